/* SPDX-License-Identifier: ISC */
/*
 * address - see address.h.  Paths, splitting, quoting, domains; the header
 * address lists are in address_list.c.
 */
#include <arpa/inet.h>

#include "base/num.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/chars.h"

/* --- paths --------------------------------------------------------------- */

struct path_parser {
	struct span	 in;
	size_t		 at;
	int		 flags;
	struct buf	 local, domain;
};

static int
peek(const struct path_parser *p)
{
	return p->at < p->in.len ? (unsigned char)p->in.p[p->at] : -1;
}

static void
skip_space(struct path_parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t')
		p->at++;
}

/* Take one character of UTF-8 beyond ASCII; its bytes are appended. */
static int
take_utf8(struct path_parser *p, struct buf *out)
{
	size_t n;

	if (!(p->flags & ADDRESS_UTF8))
		return -1;
	n = utf8_next(span_from(p->in, p->at), NULL);
	if (n == 0 || buf_put(out, p->in.p + p->at, n) < 0)
		return -1;
	p->at += n;
	return 0;
}

/* Quoted-string (RFC 5321 4.1.2); what it stands for is appended. */
static int
take_quoted(struct path_parser *p, struct buf *out)
{
	int c;

	p->at++;
	while ((c = peek(p)) != '"') {
		if (c == '\\') {
			p->at++;
			c = peek(p);
		}
		if (c >= 0x80) {
			if (take_utf8(p, out) < 0)
				return -1;
			continue;
		}
		if (c < ' ' || c == 0x7f || buf_put_char(out, (char)c) < 0)
			return -1;
		p->at++;
	}
	p->at++;
	return 0;
}

static int
take_atom(struct path_parser *p, struct buf *out)
{
	size_t start = p->at;
	int c;

	while ((c = peek(p)) >= 0) {
		if (c >= 0x80) {
			if (take_utf8(p, out) < 0)
				return -1;
			continue;
		}
		if (!char_is_atext(c))
			break;
		if (buf_put_char(out, (char)c) < 0)
			return -1;
		p->at++;
	}
	return p->at == start ? -1 : 0;
}

/* "@a,@b:" - RFC 5321 4.1.1.3 says to accept it and to ignore it. */
static int
skip_route(struct path_parser *p)
{
	int c;

	while ((c = peek(p)) != ':') {
		if (c <= ' ' || c == '<' || c == '>' || c == '"' || c >= 0x7f)
			return -1;
		p->at++;
	}
	p->at++;
	return 0;
}

static int
take_strict_local(struct path_parser *p)
{
	if (peek(p) == '"')
		return take_quoted(p, &p->local);
	for (;;) {
		if (take_atom(p, &p->local) < 0)
			return -1;
		if (peek(p) != '.')
			return 0;
		if (buf_put_char(&p->local, '.') < 0)
			return -1;
		p->at++;
	}
}

static int
take_strict_domain(struct path_parser *p)
{
	size_t start = p->at;
	struct span d;

	while (peek(p) > ' ' && peek(p) != '>')
		p->at++;
	d = span_sub(p->in, start, p->at - start);
	if (!address_domain_valid(d, p->flags) && !address_literal_valid(d))
		return -1;
	return buf_put_span(&p->domain, d);
}

static int
parse_strict(struct path_parser *p)
{
	if (peek(p) != '<')
		return -1;
	p->at++;
	if (peek(p) == '>') {
		p->at++;
		return 0;
	}
	if (peek(p) == '@' && skip_route(p) < 0)
		return -1;
	if (take_strict_local(p) < 0)
		return -1;
	if (peek(p) == '>') {
		/* RFC 5321 4.1.1.3: "<Postmaster>" needs no domain. */
		if (!span_caseis(buf_span(&p->local), "postmaster"))
			return -1;
	} else {
		if (peek(p) != '@')
			return -1;
		p->at++;
		if (take_strict_domain(p) < 0)
			return -1;
	}
	if (peek(p) != '>')
		return -1;
	p->at++;
	return 0;
}

/* "(anything (nested) \) )"; only in lax paths. */
static int
skip_comment(struct path_parser *p)
{
	size_t depth = 0;
	int c;

	do {
		c = peek(p);
		if (c < 0)
			return -1;
		if (c == '\\')
			p->at++;
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
		p->at++;
	} while (depth > 0);
	return 0;
}

/*
 * What old and careless clients send: words, dots and quoted strings with
 * spaces around them.  Two words side by side keep one space between them:
 * that is a bad address, but one the resolver can name.
 */
static int
take_lax_local(struct path_parser *p, bool bracket)
{
	bool glue = true;		/* nothing, or a dot, came before */
	size_t n = p->local.len;
	int c;

	for (;;) {
		if (bracket)
			skip_space(p);
		c = peek(p);
		if (c < 0 || c == '@' || c == '>' || c == ' ' || c == '\t')
			return 0;
		if (c == '(') {
			if (skip_comment(p) < 0)
				return -1;
			continue;
		}
		if (c == '.') {
			if (buf_put_char(&p->local, '.') < 0)
				return -1;
			p->at++;
			glue = true;
			continue;
		}
		if (!glue && p->local.len > n &&
		    (p->in.p[p->at - 1] == ' ' || p->in.p[p->at - 1] == '\t') &&
		    buf_put_char(&p->local, ' ') < 0)
			return -1;
		if (c == '"') {
			if (take_quoted(p, &p->local) < 0)
				return -1;
		} else if (c == '\\') {
			p->at++;
			c = peek(p);
			if (c < ' ' || c >= 0x7f ||
			    buf_put_char(&p->local, (char)c) < 0)
				return -1;
			p->at++;
		} else if (c == ':' || c == ';' || c == ',' || c == '[' ||
		    c == ']') {
			if (buf_put_char(&p->local, (char)c) < 0)
				return -1;
			p->at++;
		} else if (take_atom(p, &p->local) < 0)
			return -1;
		glue = false;
	}
}

/* "[...]": whether it is an address is the resolver's question, but nothing
 * in it may be taken for another part of the path. */
static int
take_lax_literal(struct path_parser *p)
{
	int c;

	if (buf_put_char(&p->domain, '[') < 0)
		return -1;
	p->at++;
	do {
		c = peek(p);
		if (c != ']' && c != '.' && c != ':' && c != '-' &&
		    !char_is_alnum(c))
			return -1;
		if (buf_put_char(&p->domain, (char)c) < 0)
			return -1;
		p->at++;
	} while (c != ']');
	return 0;
}

static int
take_lax_domain(struct path_parser *p, bool bracket)
{
	int c;

	for (;;) {
		if (bracket)
			skip_space(p);
		c = peek(p);
		if (c < 0 || c == '>' || c == ' ' || c == '\t')
			break;
		if (c == '(') {
			if (skip_comment(p) < 0)
				return -1;
		} else if (c == '[') {
			if (take_lax_literal(p) < 0)
				return -1;
		} else if (c >= 0x80) {
			if (take_utf8(p, &p->domain) < 0)
				return -1;
		} else if (char_is_atext(c) || c == '.') {
			if (buf_put_char(&p->domain, (char)c) < 0)
				return -1;
			p->at++;
		} else
			return -1;
	}
	/* "example.org." is the same domain, written for DNS. */
	if (p->domain.len > 1 && p->domain.data[p->domain.len - 1] == '.')
		buf_trunc(&p->domain, p->domain.len - 1);
	return p->domain.len == 0 ||
	    p->domain.data[p->domain.len - 1] == '.' ? -1 : 0;
}

/*
 * "joe@a@b": the last '@' separates, as everywhere; what was taken for a
 * domain before it belongs to the local part.
 */
static int
shift_domain(struct path_parser *p)
{
	if (buf_put_char(&p->local, '@') < 0 ||
	    buf_put_span(&p->local, buf_span(&p->domain)) < 0)
		return -1;
	buf_reset(&p->domain);
	return 0;
}

static int
parse_lax(struct path_parser *p)
{
	bool bracket, quoted, have_domain = false;

	skip_space(p);
	bracket = peek(p) == '<';
	if (bracket) {
		p->at++;
		skip_space(p);
	}
	if (peek(p) < 0)
		return -1;
	if (peek(p) == '@' && skip_route(p) < 0)
		return -1;
	if (take_lax_local(p, bracket) < 0)
		return -1;
	while (peek(p) == '@') {
		if (have_domain && shift_domain(p) < 0)
			return -1;
		have_domain = true;
		p->at++;
		/* Stops at '@' with -1: give the next round a chance. */
		if (take_lax_domain(p, bracket) < 0 &&
		    (peek(p) != '@' || p->domain.len == 0))
			return -1;
	}
	/*
	 * Nothing is the null path only as "<>"; '""' is an empty local part;
	 * and '"a@b"' alone must not turn into the address a@b.
	 */
	quoted = p->at > 0 && memchr(p->in.p, '"', p->at) != NULL;
	if (p->local.len == 0 && (have_domain ? !quoted : quoted || !bracket))
		return -1;
	if (!have_domain && span_rfind(buf_span(&p->local), '@') >= 0)
		return -1;
	if (!bracket)
		return 0;
	if (peek(p) != '>')
		return -1;
	p->at++;
	return 0;
}

int
address_parse_path(struct span in, int flags, struct buf *out,
    struct span *rest)
{
	struct path_parser p = {
		.in = in, .flags = flags,
		.local = BUF_INIT(ADDRESS_LOCAL_MAX),
		.domain = BUF_INIT(ADDRESS_DOMAIN_MAX),
	};
	size_t old = out->len;
	int rc;

	rc = flags & ADDRESS_LAX ? parse_lax(&p) : parse_strict(&p);
	if (rc == 0 && peek(&p) >= 0 && peek(&p) != ' ' && peek(&p) != '\t')
		rc = -1;
	if (rc == 0 && (buf_put_span(out, buf_span(&p.local)) < 0 ||
	    (p.domain.len > 0 && (buf_put_char(out, '@') < 0 ||
	    buf_put_span(out, buf_span(&p.domain)) < 0)))) {
		buf_trunc(out, old);
		rc = -1;
	}
	if (rc == 0)
		*rest = span_from(in, p.at);
	buf_fini(&p.local);
	buf_fini(&p.domain);
	return rc;
}

/* --- parts --------------------------------------------------------------- */

void
address_split(struct span addr, struct span *local, struct span *domain)
{
	ptrdiff_t at = span_rfind(addr, '@');

	if (at < 0) {
		*local = addr;
		*domain = SPAN_EMPTY;
		return;
	}
	*local = span_sub(addr, 0, (size_t)at);
	*domain = span_from(addr, (size_t)at + 1);
}

bool
address_split_ext(struct span local, const char *delimiters, struct span *user,
    struct span *ext)
{
	size_t i;

	if (delimiters == NULL || delimiters[0] == '\0')
		return false;
	if (span_caseis(local, "mailer-daemon") ||
	    span_caseis(local, "double-bounce"))
		return false;
	if (strchr(delimiters, '-') != NULL &&
	    (span_casestarts(local, SPAN("owner-")) ||
	    (local.len > 8 && span_caseends(local, SPAN("-request")))))
		return false;
	for (i = 1; i < local.len; i++)
		if (local.p[i] != '\0' &&
		    strchr(delimiters, local.p[i]) != NULL)
			break;
	if (i >= local.len)
		return false;
	/* user may be the same object as local */
	*ext = span_from(local, i + 1);
	*user = span_sub(local, 0, i);
	return true;
}

/* --- quoting --------------------------------------------------------------- */

static bool
is_dot_string(struct span local)
{
	bool dot = true;	/* the start is like after a dot */

	for (size_t i = 0; i < local.len; i++) {
		unsigned char c = (unsigned char)local.p[i];

		if (c == '.') {
			if (dot)
				return false;
			dot = true;
		} else if (c >= 0x80 || char_is_atext(c))
			dot = false;
		else
			return false;
	}
	return !dot;
}

/*
 * A control character never gets out: it could end the line that the address
 * is written into.
 */
static void
put_safe(struct buf *out, struct span s, bool quoted)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (quoted && (c == '"' || c == '\\'))
			buf_add_char(out, '\\');
		buf_add_char(out, c < ' ' || c == 0x7f ? '?' : (char)c);
	}
}

static void
quote(struct span addr, struct buf *out)
{
	struct span local, domain;

	if (addr.len == 0)
		return;
	address_split(addr, &local, &domain);
	if (is_dot_string(local))
		buf_add_span(out, local);
	else {
		buf_add_char(out, '"');
		put_safe(out, local, true);
		buf_add_char(out, '"');
	}
	if (domain.p != NULL) {
		buf_add_char(out, '@');
		put_safe(out, domain, false);
	}
}

/* RFC 5321 4.1.2 Local-part: Dot-string / Quoted-string. */
void
address_quote_821(struct span addr, struct buf *out)
{
	quote(addr, out);
}

/* RFC 5322 3.4.1 local-part: dot-atom / quoted-string; the same set today. */
void
address_quote_822(struct span addr, struct buf *out)
{
	quote(addr, out);
}

static bool show_quoted = true;

void
address_show_quoted(bool quoted)
{
	show_quoted = quoted;
}

const char *
address_show(struct span addr, struct buf *tmp)
{
	buf_reset(tmp);
	if (show_quoted)
		quote(addr, tmp);
	else
		buf_add_span(tmp, addr);
	return tmp->data;
}

void
address_fold(struct span addr, bool both, struct buf *out)
{
	ptrdiff_t at = span_rfind(addr, '@');

	for (size_t i = 0; i < addr.len; i++) {
		char c = addr.p[i];

		if (c >= 'A' && c <= 'Z' &&
		    (both || (at >= 0 && i > (size_t)at)))
			c = (char)(c - 'A' + 'a');
		buf_add_char(out, c);
	}
}

/* --- domains --------------------------------------------------------------- */

bool
address_domain_valid(struct span domain, int flags)
{
	size_t label = 0;		/* bytes of this label so far */
	bool numeric = true;
	size_t i = 0;

	if (domain.len == 0 || domain.len > ADDRESS_DOMAIN_MAX)
		return false;
	while (i < domain.len) {
		unsigned char c = (unsigned char)domain.p[i];
		size_t n = 1;

		if (c == '.') {
			if (label == 0 || domain.p[i - 1] == '-')
				return false;
			label = 0;
			i++;
			continue;
		}
		if (c >= 0x80) {
			if (!(flags & ADDRESS_UTF8))
				return false;
			n = utf8_next(span_from(domain, i), NULL);
			if (n == 0)
				return false;
			numeric = false;
		} else if (!char_is_alnum(c) && c != '_' &&
		    (c != '-' || label == 0))
			return false;
		else if (!char_is_digit(c))
			numeric = false;
		label += n;
		/* A U-label's A-label is longer, but not known here. */
		if (label > 63)
			return false;
		i += n;
	}
	return label > 0 && domain.p[domain.len - 1] != '-' && !numeric;
}

bool
address_literal_valid(struct span domain)
{
	unsigned char addr[16];
	char text[64];
	struct span in;

	if (domain.len < 2 || domain.p[0] != '[' ||
	    domain.p[domain.len - 1] != ']')
		return false;
	in = span_sub(domain, 1, domain.len - 2);
	if (span_casestarts(in, SPAN("IPv6:")))
		return span_copy(span_from(in, 5), text, sizeof(text)) == 0 &&
		    inet_pton(AF_INET6, text, addr) == 1;
	return span_copy(in, text, sizeof(text)) == 0 &&
	    inet_pton(AF_INET, text, addr) == 1;
}
