/* SPDX-License-Identifier: ISC */
/*
 * parse - see parse.h.
 */
#include "smtpd/parse.h"

#include "base/num.h"
#include "base/utf8.h"
#include "mail/address.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct span
trim(struct span s)
{
	while (s.len > 0 && is_space(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* Up to the next space; *rest begins behind the spaces. */
static bool
next_word(struct span *rest, struct span *word)
{
	size_t n = 0;

	*rest = trim(*rest);
	if (rest->len == 0)
		return false;
	while (n < rest->len && !is_space(rest->p[n]))
		n++;
	*word = span_sub(*rest, 0, n);
	*rest = trim(span_from(*rest, n));
	return true;
}

bool
parse_verb(struct span line, struct span *verb, struct span *rest)
{
	*rest = line;
	if (!next_word(rest, verb)) {
		*verb = *rest = SPAN_EMPTY;
		return false;
	}
	return true;
}

static int
fail(struct parse_error *err, const char *reply, struct span what)
{
	err->reply = reply;
	err->what = what;
	return -1;
}

/* "NAME=value" or "NAME" (value.p == NULL); RFC 5321 4.1.2 esmtp-param. */
static void
split_param(struct span word, struct span *name, struct span *value)
{
	ptrdiff_t eq = span_find(word, '=');

	if (eq < 0) {
		*name = word;
		*value = SPAN_EMPTY;
	} else {
		*name = span_sub(word, 0, (size_t)eq);
		*value = span_from(word, (size_t)eq + 1);
	}
}

/* RFC 1870 3: up to 20 digits; what does not fit is more than we take. */
static int
parse_size(struct span value, uint64_t *out)
{
	if (num_parse_u64(value, INT64_MAX, out) == 0)
		return 0;
	if (value.len == 0 || value.len > 20)
		return -1;
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return -1;
	*out = INT64_MAX;
	return 0;
}

static int
parse_mail_param(struct span word, unsigned flags, unsigned *seen,
    struct mail_params *out, struct parse_error *err)
{
	enum { SIZE = 1, BODY = 2, UTF8 = 4, RET = 8, ENVID = 16, AUTH = 32,
	    TLS = 64 };
	static const struct span none;
	struct span name, value;
	unsigned which;

	split_param(word, &name, &value);
	if (span_caseis(name, "SIZE") && (flags & PARSE_SIZE)) {
		which = SIZE;
		if (parse_size(value, &out->size) < 0)
			return fail(err, "501 5.5.4 Bad message size syntax",
			    none);
		out->has_size = true;
	} else if (span_caseis(name, "BODY") && (flags & PARSE_8BITMIME)) {
		which = BODY;
		if (span_caseis(value, "7BIT"))
			out->body = BODY_7BIT;
		else if (span_caseis(value, "8BITMIME"))
			out->body = BODY_8BITMIME;
		else if (span_caseis(value, "BINARYMIME") &&
		    (flags & PARSE_BINARY))
			out->body = BODY_BINARYMIME;
		else
			return fail(err, "555 5.5.4 Unsupported option", word);
	} else if (span_caseis(name, "SMTPUTF8") && value.p == NULL &&
	    (flags & PARSE_UTF8)) {
		which = UTF8;
		out->smtputf8 = true;
	} else if (span_caseis(name, "REQUIRETLS") && value.p == NULL &&
	    (flags & PARSE_REQUIRETLS)) {
		which = TLS;
		out->requiretls = true;
	} else if (span_caseis(name, "RET") && (flags & PARSE_DSN)) {
		which = RET;
		if (span_caseis(value, "FULL"))
			out->ret = DSN_RET_FULL;
		else if (span_caseis(value, "HDRS"))
			out->ret = DSN_RET_HDRS;
		else
			return fail(err, "501 5.5.4 Bad RET parameter syntax",
			    none);
	} else if (span_caseis(name, "ENVID") && (flags & PARSE_DSN)) {
		/* RFC 3461 4.4: at most 100 characters, encoded. */
		struct buf tmp = BUF_INIT(DSN_ENVID_MAX);
		bool bad = value.len == 0 || value.len > DSN_ENVID_MAX ||
		    dsn_xtext_decode(value, &tmp) < 0 ||
		    span_has_nul(buf_span(&tmp));

		buf_fini(&tmp);
		which = ENVID;
		if (bad)
			return fail(err, "501 5.5.4 Bad ENVID parameter syntax",
			    none);
		out->envid = value;
	} else if (span_caseis(name, "AUTH") && (flags & PARSE_AUTH)) {
		which = AUTH;
		if (value.len == 0)
			return fail(err, "501 5.5.4 Bad AUTH parameter syntax",
			    none);
		/* Which was meant to be xtext.  It changes nothing of what
		 * becomes of the mail, so nobody is sent away for it. */
		if (!span_is(value, "<>"))
			out->auth = value;
	} else {
		/* RFC 5321 4.1.1.11 */
		return fail(err, "555 5.5.4 Unsupported option", word);
	}
	/* RFC 1869 4.1.4: "may not be used more than once". */
	if (*seen & which)
		return fail(err, "501 5.5.4 Parameter given twice", word);
	*seen |= which;
	return 0;
}

/*
 * What even the lax grammar must not let through: two words where one address
 * should be, and a domain that is none.  raw is the path as it came.
 */
static bool
is_sane(struct span raw, struct span addr)
{
	bool quoted = false, route = false;
	struct span local, domain;

	raw = trim(raw);
	if (raw.len >= 2 && raw.p[0] == '<')
		raw = trim(span_sub(raw, 1, raw.len - 2));
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.p[i];

		if (c == '\\') {
			i++;
		} else if (c == '"') {
			quoted = !quoted;
		} else if (!quoted && i == 0 && c == '@') {
			route = true;
		} else if (!quoted && c == ':') {
			route = false;
		} else if (!quoted && (is_space(c) || c == ';' ||
		    (c == ',' && !route))) {
			return false;
		}
	}
	address_split(addr, &local, &domain);
	/* One final dot the parser has taken away; there is no second. */
	if (domain.len > 0 && domain.p[domain.len - 1] == '.')
		return false;
	return domain.p == NULL || (domain.len > 0 && domain.p[0] == '[' ?
	    address_literal_valid(domain) : parse_hostname_valid(domain));
}

/*
 * "FROM:" or "TO:", the path, and where the parameters begin.  Space after
 * the colon is not in the grammar, but is in the world.
 */
static int
parse_path(struct span arg, const char *keyword, unsigned flags,
    struct buf *addr, struct span *params)
{
	size_t n = strlen(keyword);
	int af = (flags & PARSE_UTF8) ? ADDRESS_UTF8 : 0;

	if (!span_casestarts(arg, span_of(keyword)))
		return -2;
	arg = span_from(arg, n);
	if (arg.len == 0 || arg.p[0] != ':')
		return -2;
	arg = span_from(arg, 1);
	if (flags & PARSE_LAX) {
		arg = trim(arg);
		af |= ADDRESS_LAX;
	}
	if (arg.len == 0)
		return -2;
	buf_reset(addr);
	if (address_parse_path(arg, af, addr, params) < 0 ||
	    span_has_nul(buf_span(addr)) || addr->len > ADDRESS_MAX ||
	    !is_sane(span_sub(arg, 0, arg.len - params->len),
	    buf_span(addr))) {
		buf_reset(addr);
		return -1;
	}
	/* Between path and parameters there is a space. */
	if (params->len > 0 && !is_space(params->p[0])) {
		buf_reset(addr);
		return -1;
	}
	return 0;
}

int
parse_mail(struct span arg, unsigned flags, struct buf *addr,
    struct mail_params *out, struct parse_error *err)
{
	struct span rest, word;
	unsigned seen = 0, n = 0;

	*out = (struct mail_params){ .has_size = false };
	switch (parse_path(arg, "FROM", flags, addr, &rest)) {
	case -2:
		return fail(err, "501 5.5.4 Syntax: MAIL FROM:<address>",
		    SPAN_EMPTY);
	case -1:
		return fail(err, "501 5.1.7 Bad sender address syntax",
		    SPAN_EMPTY);
	default:
		break;
	}
	while (next_word(&rest, &word)) {
		if (++n > PARSE_PARAM_MAX) {
			fail(err, "501 5.5.4 Too many parameters", SPAN_EMPTY);
			goto bad;
		}
		if (parse_mail_param(word, flags, &seen, out, err) < 0)
			goto bad;
	}
	return 0;
bad:
	buf_reset(addr);
	return -1;
}

int
parse_orcpt(struct span in, bool utf8, struct buf *out)
{
	ptrdiff_t semi = span_find(in, ';');
	struct span type, text;
	size_t start;

	/* RFC 3461 4.2: addr-type is an atom; the whole is at most 500. */
	if (semi <= 0 || in.len > DSN_ORCPT_MAX)
		return -1;
	type = span_sub(in, 0, (size_t)semi);
	text = span_from(in, (size_t)semi + 1);
	for (size_t i = 0; i < type.len; i++) {
		unsigned char c = (unsigned char)type.p[i];

		if (c <= ' ' || c >= 127 || strchr("()<>@,;:\\\".[]=+", c))
			return -1;
	}
	if (text.len == 0)
		return -1;
	start = out->len;
	if (buf_put_span(out, type) < 0 || buf_put_char(out, ';') < 0)
		goto bad;
	if (span_caseis(type, "utf-8")) {
		/* RFC 6533 3: utf-8-addr-xtext, or with SMTPUTF8 -unitext. */
		if ((!utf8 && !utf8_ascii(text)) ||
		    dsn_utf8_decode(text, out) < 0)
			goto bad;
	} else if (dsn_xtext_decode(text, out) < 0) {
		goto bad;
	}
	for (size_t i = start; i < out->len; i++)
		if ((unsigned char)out->data[i] < ' ' || out->data[i] == 127)
			goto bad;
	return 0;
bad:
	buf_trunc(out, start);
	return -1;
}

static int
parse_rcpt_param(struct span word, unsigned flags, unsigned *seen,
    struct rcpt_params *out, struct parse_error *err)
{
	enum { NOTIFY = 1, ORCPT = 2 };
	struct span name, value;
	unsigned which;

	split_param(word, &name, &value);
	if (span_caseis(name, "NOTIFY") && (flags & PARSE_DSN)) {
		which = NOTIFY;
		if (dsn_parse_notify(value, &out->notify) < 0)
			return fail(err,
			    "501 5.5.4 Error: Bad NOTIFY parameter syntax",
			    SPAN_EMPTY);
	} else if (span_caseis(name, "ORCPT") && (flags & PARSE_DSN)) {
		struct buf tmp = BUF_INIT(DSN_ORCPT_MAX);
		int rc = parse_orcpt(value, (flags & PARSE_UTF8) != 0, &tmp);

		buf_fini(&tmp);
		which = ORCPT;
		if (rc < 0)
			return fail(err,
			    "501 5.5.4 Error: Bad ORCPT parameter syntax",
			    SPAN_EMPTY);
		out->orcpt = value;
	} else {
		return fail(err, "555 5.5.4 Unsupported option", word);
	}
	if (*seen & which)
		return fail(err, "501 5.5.4 Parameter given twice", word);
	*seen |= which;
	return 0;
}

int
parse_rcpt(struct span arg, unsigned flags, struct buf *addr,
    struct rcpt_params *out, struct parse_error *err)
{
	struct span rest, word;
	unsigned seen = 0, n = 0;

	*out = (struct rcpt_params){ .notify = 0 };
	switch (parse_path(arg, "TO", flags, addr, &rest)) {
	case -2:
		return fail(err, "501 5.5.4 Syntax: RCPT TO:<address>",
		    SPAN_EMPTY);
	case -1:
		return fail(err, "501 5.1.3 Bad recipient address syntax",
		    SPAN_EMPTY);
	default:
		break;
	}
	/* A forward-path is never null (RFC 5321 4.1.2). */
	if (addr->len == 0)
		return fail(err, "501 5.1.3 Bad recipient address syntax",
		    SPAN_EMPTY);
	while (next_word(&rest, &word)) {
		if (++n > PARSE_PARAM_MAX) {
			fail(err, "501 5.5.4 Too many parameters", SPAN_EMPTY);
			goto bad;
		}
		if (parse_rcpt_param(word, flags, &seen, out, err) < 0)
			goto bad;
	}
	return 0;
bad:
	buf_reset(addr);
	return -1;
}

int
parse_bdat(struct span arg, uint64_t *size, bool *last)
{
	struct span word;

	if (!next_word(&arg, &word) ||
	    num_parse_u64(word, INT64_MAX, size) < 0)
		return -1;
	*last = false;
	if (next_word(&arg, &word)) {
		if (!span_caseis(word, "LAST") || arg.len > 0)
			return -1;
		*last = true;
	}
	return 0;
}

int
parse_xattr(struct span *rest, struct span *name, struct buf *value,
    struct parse_error *err)
{
	struct span word, text;

	if (!next_word(rest, &word))
		return 0;
	split_param(word, name, &text);
	buf_reset(value);
	if (name->len == 0 || text.p == NULL)
		return fail(err, "501 5.5.4 Error: attribute=value expected",
		    SPAN_EMPTY);
	/*
	 * xtext never holds control characters in clear, but "+0D+0A" does
	 * in disguise; neither is let through.
	 */
	if (dsn_xtext_decode(text, value) < 0) {
		if (value->max < text.len)
			return fail(err,
			    "501 5.5.4 Error: attribute value too long",
			    SPAN_EMPTY);
		return fail(err, "501 5.5.4 Error: bad xtext", word);
	}
	for (size_t i = 0; i < value->len; i++)
		if ((unsigned char)value->data[i] < ' ' ||
		    value->data[i] == 127)
			return fail(err, "501 5.5.4 Error: bad xtext", word);
	return 1;
}

int
parse_xaddr(struct span text, struct sock_addr *out)
{
	if (span_casestarts(text, SPAN("IPV6:"))) {
		text = span_from(text, 5);
		if (span_find(text, ':') < 0)
			return -1;
	}
	/* Not "[...]", which sock_addr_parse would take. */
	if (text.len == 0 || text.p[0] == '[')
		return -1;
	return sock_addr_parse(text, 0, out);
}

bool
parse_hostname_valid(struct span s)
{
	size_t label = 0;
	bool nondigit = false;

	/* A final dot is taken, as Postfix does. */
	if (s.len > 0 && s.p[s.len - 1] == '.')
		s.len--;
	if (s.len == 0 || s.len > PARSE_HELO_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '.') {
			if (label == 0 || s.p[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		    (c & 0x80)))
			return false;
		if (c == '-' && label == 0)
			return false;
		if (c < '0' || c > '9')
			nondigit = true;
		if (++label > 63)
			return false;
	}
	return nondigit && label > 0 && s.p[s.len - 1] != '-';
}
