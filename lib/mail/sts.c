/* SPDX-License-Identifier: ISC */
/*
 * sts - see sts.h.
 */
#include "mail/sts.h"

#include "base/num.h"
#include "dns/dns.h"

/* --- modes ---------------------------------------------------------------------- */

static const char *const modes[] = {
	[STS_NONE] = "none", [STS_TESTING] = "testing",
	[STS_ENFORCE] = "enforce",
};

const char *
sts_mode_name(enum sts_mode m)
{
	return modes[m];
}

int
sts_mode_parse(struct span name, enum sts_mode *out)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (span_is(name, modes[i])) {
			*out = (enum sts_mode)i;
			return 0;
		}
	}
	return -1;
}

/* --- TXT records: "v=NAME; field=value; ..." ---------------------------------------- */

static struct span
trim_wsp(struct span s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* What is before the next ';', without the blanks around it. */
static struct span
next_field(struct span *rest)
{
	ptrdiff_t semi = span_find(*rest, ';');
	struct span field;

	if (semi < 0) {
		field = *rest;
		*rest = SPAN_EMPTY;
	} else {
		field = span_sub(*rest, 0, (size_t)semi);
		*rest = span_from(*rest, (size_t)semi + 1);
	}
	return trim_wsp(field);
}

static bool
is_version(struct span txt, const char *version)
{
	struct span rest = txt, first = next_field(&rest);

	/* A ';' must follow: without one there is no second field. */
	return span_is(first, version) && span_find(txt, ';') >= 0;
}

/* The value of the first field called name; 0 or -1. */
static int
find_field(struct span txt, const char *name, struct span *out)
{
	(void)next_field(&txt);
	while (txt.len > 0) {
		struct span field = next_field(&txt);
		ptrdiff_t eq = span_find(field, '=');

		if (eq > 0 && span_is(span_sub(field, 0, (size_t)eq), name)) {
			*out = span_from(field, (size_t)eq + 1);
			return 0;
		}
	}
	return -1;
}

bool
sts_record_is(struct span txt)
{
	return is_version(txt, "v=STSv1");
}

int
sts_record_parse(struct span txt, struct span *id)
{
	if (!sts_record_is(txt) || find_field(txt, "id", id) < 0 ||
	    id->len == 0 || id->len > STS_ID_MAX)
		return -1;
	for (size_t i = 0; i < id->len; i++) {
		char c = id->p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z')))
			return -1;
	}
	return 0;
}

bool
tlsrpt_record_is(struct span txt)
{
	return is_version(txt, "v=TLSRPTv1");
}

static bool
uri_valid(struct span uri)
{
	for (size_t i = 0; i < uri.len; i++)
		if ((uint8_t)uri.p[i] <= ' ' || (uint8_t)uri.p[i] >= 0x7f)
			return false;
	return span_casestarts(uri, SPAN("mailto:")) ?
	    uri.len > 7 && span_find(uri, '@') > 7 :
	    span_casestarts(uri, SPAN("https://")) && uri.len > 8;
}

int
tlsrpt_record_parse(struct span txt, struct tlsrpt_record *out)
{
	struct span rua;

	*out = (struct tlsrpt_record){ .nrua = 0 };
	if (!tlsrpt_record_is(txt) || find_field(txt, "rua", &rua) < 0)
		return -1;
	while (rua.len > 0 && out->nrua < TLSRPT_RUA_MAX) {
		ptrdiff_t comma = span_find(rua, ',');
		struct span uri = comma < 0 ? rua :
		    span_sub(rua, 0, (size_t)comma);

		rua = comma < 0 ? SPAN_EMPTY :
		    span_from(rua, (size_t)comma + 1);
		uri = trim_wsp(uri);
		/* One that we cannot serve does not spoil the others. */
		if (uri_valid(uri))
			out->rua[out->nrua++] = uri;
	}
	return out->nrua > 0 ? 0 : -1;
}

/* --- the policy ------------------------------------------------------------------------ */

bool
sts_pattern_valid(struct span pattern)
{
	if (span_starts(pattern, SPAN("*.")))
		pattern = span_from(pattern, 2);
	return dns_name_valid(pattern);
}

bool
sts_pattern_matches(struct span pattern, struct span host)
{
	ptrdiff_t dot;

	if (host.len > 0 && host.p[host.len - 1] == '.')
		host.len--;
	if (!span_starts(pattern, SPAN("*.")))
		return span_caseeq(pattern, host);
	dot = span_find(host, '.');
	return dot > 0 && span_caseeq(span_from(pattern, 2),
	    span_from(host, (size_t)dot + 1));
}

struct seen {
	bool	version, mode, max_age;
};

static int
take_field(struct sts_policy *p, struct seen *seen, struct span name,
    struct span value, struct why *why)
{
	uint64_t n;

	/* Of all but mx only the first counts (RFC 8461 3.2). */
	if (span_is(name, "version")) {
		if (!seen->version && !span_is(value, "STSv1"))
			return why_set(why, "", "unknown version");
		seen->version = true;
	} else if (span_is(name, "mode")) {
		if (!seen->mode && sts_mode_parse(value, &p->mode) < 0)
			return why_set(why, "", "unknown mode");
		seen->mode = true;
	} else if (span_is(name, "max_age")) {
		if (!seen->max_age) {
			if (num_parse_u64(value, 9999999999u, &n) < 0)
				return why_set(why, "", "malformed max_age");
			p->max_age = (uint32_t)MIN(n, STS_AGE_MAX);
		}
		seen->max_age = true;
	} else if (span_is(name, "mx")) {
		if (!sts_pattern_valid(value))
			return why_set(why, "", "malformed mx");
		if (p->nmx == STS_MX_MAX)
			return why_set(why, "", "more than %d mx",
			    STS_MX_MAX);
		p->mx[p->nmx++] = value;
	}
	return 0;
}

int
sts_policy_parse(struct span text, struct sts_policy *out, struct why *why)
{
	struct seen seen = { false, false, false };
	struct span line;

	*out = (struct sts_policy){ .mode = STS_NONE };
	if (text.len > STS_POLICY_MAX)
		return why_set(why, "", "more than %d bytes", STS_POLICY_MAX);
	while (span_line(&text, &line)) {
		ptrdiff_t colon;

		line = trim_wsp(line);
		if (line.len == 0)
			continue;
		colon = span_find(line, ':');
		if (colon <= 0)
			return why_set(why, "", "a line without a field");
		if (take_field(out, &seen, trim_wsp(span_sub(line, 0,
		    (size_t)colon)), trim_wsp(span_from(line,
		    (size_t)colon + 1)), why) < 0)
			return -1;
	}
	if (!seen.version || !seen.mode || !seen.max_age)
		return why_set(why, "", "no %s", !seen.version ? "version" :
		    !seen.mode ? "mode" : "max_age");
	if (out->mode != STS_NONE && out->nmx == 0)
		return why_set(why, "", "no mx");
	return 0;
}
