/* SPDX-License-Identifier: ISC */
/*
 * count - what happened in the sessions with a domain, by policy and kind of
 * failure; bounded whatever happens.
 */
#include "base/mem.h"
#include "base/num.h"
#include "tlsrpt/tlsrpt.h"

static const char *const results[] = {	/* RFC 8460 4.3 */
	[TLSRPT_SUCCESS] = "success",
	[TLSRPT_STARTTLS] = "starttls-not-supported",
	[TLSRPT_NAME] = "certificate-host-mismatch",
	[TLSRPT_EXPIRED] = "certificate-expired",
	[TLSRPT_UNTRUSTED] = "certificate-not-trusted",
	[TLSRPT_FAILURE] = "validation-failure",
	[TLSRPT_BAD_TLSA] = "tlsa-invalid",
	[TLSRPT_DNSSEC] = "dnssec-invalid",
	[TLSRPT_DANE] = "dane-required",
	[TLSRPT_STS_FETCH] = "sts-policy-fetch-error",
	[TLSRPT_STS_INVALID] = "sts-policy-invalid",
	[TLSRPT_STS_WEBPKI] = "sts-webpki-invalid",
};

static const char *const policies[] = {
	[TLSRPT_NO_POLICY] = "no-policy-found", [TLSRPT_STS] = "sts",
	[TLSRPT_TLSA] = "tlsa",
};

const char *
result_name(enum tlsrpt_result r)
{
	return results[r];
}

const char *
policy_name(enum tlsrpt_policy t)
{
	return policies[t];
}

/* Printable ASCII: what ends a field or a line of the file is none. */
static char
clean(char c)
{
	return (uint8_t)c < ' ' || (uint8_t)c >= 0x7f ? '?' : c;
}

static char *
clean_dup(struct span s)
{
	char *out = span_dup(s);

	for (char *c = out; *c != '\0'; c++)
		*c = clean(*c);
	return out;
}

/* Whether kept was made from s. */
static bool
same(struct span s, const char *kept)
{
	size_t i;

	for (i = 0; i < s.len && s.p[i] != '\0'; i++)
		if (kept[i] != clean(s.p[i]))
			return false;
	return kept[i] == '\0';
}

static void
failure_fini(struct failure *f)
{
	mem_free(f->mx);
	mem_free(f->mx_ip);
	mem_free(f->my_ip);
	mem_free(f->reason);
}

void
counts_fini(struct counts *c)
{
	for (size_t i = 0; i < c->policies.len; i++) {
		struct rpolicy *p = &c->policies.v[i];

		for (size_t k = 0; k < p->failures.len; k++)
			failure_fini(&p->failures.v[k]);
		ARRAY_FINI(&p->failures);
		mem_free(p->domain);
		mem_free(p->strings);
		mem_free(p->patterns);
	}
	ARRAY_FINI(&c->policies);
}

/* --- events ---------------------------------------------------------------------- */

static struct rpolicy *
find_policy(struct counts *c, const struct tlsrpt_event *e)
{
	struct rpolicy *p;

	for (size_t i = 0; i < c->policies.len; i++) {
		p = &c->policies.v[i];
		if (p->type == e->type && same(e->strings, p->strings) &&
		    same(e->policy_domain, p->domain))
			return p;
	}
	if (c->policies.len == POLICIES_MAX)
		return NULL;
	p = ARRAY_PUSH(&c->policies);
	p->type = (enum tlsrpt_policy)e->type;
	p->domain = clean_dup(e->policy_domain);
	p->strings = clean_dup(e->strings);
	p->patterns = clean_dup(e->patterns);
	return p;
}

void
counts_add(struct counts *c, const struct tlsrpt_event *e)
{
	struct rpolicy *p = find_policy(c, e);
	struct failure *f;

	if (p == NULL)
		return;
	if (e->result == TLSRPT_SUCCESS) {
		p->good++;
		return;
	}
	p->bad++;
	for (size_t i = 0; i < p->failures.len; i++) {
		f = &p->failures.v[i];
		if (f->result == e->result && same(e->mx, f->mx) &&
		    same(e->mx_ip, f->mx_ip) && same(e->my_ip, f->my_ip) &&
		    same(e->reason, f->reason)) {
			f->count++;
			return;
		}
	}
	if (p->failures.len == FAILURES_MAX)
		return;
	f = ARRAY_PUSH(&p->failures);
	*f = (struct failure){ .result = (enum tlsrpt_result)e->result,
	    .mx = clean_dup(e->mx), .mx_ip = clean_dup(e->mx_ip),
	    .my_ip = clean_dup(e->my_ip), .reason = clean_dup(e->reason),
	    .count = 1 };
}

/* --- the file ---------------------------------------------------------------------------- */

void
counts_put(const struct counts *c, struct buf *out)
{
	for (size_t i = 0; i < c->policies.len; i++) {
		const struct rpolicy *p = &c->policies.v[i];

		buf_addf(out, "policy\t%s\t%s\t%llu\t%llu\t%s\t%s\n",
		    policies[p->type], p->domain, (unsigned long long)p->good,
		    (unsigned long long)p->bad, p->strings, p->patterns);
		for (size_t k = 0; k < p->failures.len; k++) {
			const struct failure *f = &p->failures.v[k];

			buf_addf(out, "failure\t%s\t%s\t%s\t%s\t%llu\t%s\n",
			    results[f->result], f->mx, f->mx_ip, f->my_ip,
			    (unsigned long long)f->count, f->reason);
		}
	}
}

#define FIELDS	7

/* Fields between tabs, empty ones too. */
static int
split(struct span line, struct span f[FIELDS])
{
	for (size_t i = 0; i < FIELDS; i++) {
		ptrdiff_t tab = span_find(line, '\t');

		if ((tab < 0) != (i == FIELDS - 1))
			return -1;
		f[i] = tab < 0 ? line : span_sub(line, 0, (size_t)tab);
		line = tab < 0 ? SPAN_EMPTY : span_from(line, (size_t)tab + 1);
	}
	return 0;
}

static int
find_word(struct span s, const char *const *words, size_t n, unsigned *out)
{
	for (size_t i = 0; i < n; i++) {
		if (span_is(s, words[i])) {
			*out = (unsigned)i;
			return 0;
		}
	}
	return -1;
}

static int
parse_policy(struct counts *c, const struct span f[FIELDS])
{
	struct rpolicy *p;
	uint64_t good, bad;
	unsigned type;

	if (c->policies.len == POLICIES_MAX ||
	    find_word(f[1], policies, ARRAY_LEN(policies), &type) < 0 ||
	    num_parse_u64(f[3], UINT64_MAX / 2, &good) < 0 ||
	    num_parse_u64(f[4], UINT64_MAX / 2, &bad) < 0)
		return -1;
	p = ARRAY_PUSH(&c->policies);
	p->type = (enum tlsrpt_policy)type;
	p->domain = clean_dup(f[2]);
	p->good = good;
	p->bad = bad;
	p->strings = clean_dup(f[5]);
	p->patterns = clean_dup(f[6]);
	return 0;
}

static int
parse_failure(struct counts *c, const struct span f[FIELDS])
{
	struct rpolicy *p;
	uint64_t count;
	unsigned result;

	if (c->policies.len == 0 ||
	    find_word(f[1], results, ARRAY_LEN(results), &result) < 0 ||
	    result == TLSRPT_SUCCESS ||
	    num_parse_u64(f[5], UINT64_MAX / 2, &count) < 0)
		return -1;
	p = &c->policies.v[c->policies.len - 1];
	if (p->failures.len == FAILURES_MAX)
		return -1;
	*ARRAY_PUSH(&p->failures) = (struct failure){
	    .result = (enum tlsrpt_result)result, .mx = clean_dup(f[2]),
	    .mx_ip = clean_dup(f[3]), .my_ip = clean_dup(f[4]),
	    .count = count, .reason = clean_dup(f[6]) };
	return 0;
}

int
counts_parse(struct counts *c, struct span line)
{
	struct span f[FIELDS];

	if (split(line, f) < 0)
		return -1;
	if (span_is(f[0], "policy"))
		return parse_policy(c, f);
	return span_is(f[0], "failure") ? parse_failure(c, f) : -1;
}
