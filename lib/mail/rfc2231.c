/* SPDX-License-Identifier: ISC */
/*
 * rfc2231 - a parameter by name, continuations and charsets undone; see lex.h.
 */
#include "base/array.h"
#include "base/num.h"
#include "mail/charset.h"
#include "mail/encoded.h"
#include "mail/lex.h"

#define PIECES_MAX	1000

struct piece {
	uint32_t	 number;
	bool		 encoded;	/* "name*1*": percent signs */
	size_t		 off, len;	/* of its value, in text */
};

typedef ARRAY(struct piece) pieces_t;

/*
 * What follows the name in "name*1*" (RFC 2231 3, 4).  False: it is another
 * parameter.
 */
static bool
is_piece(struct span rest, struct piece *pc)
{
	pc->encoded = false;
	pc->number = 0;
	if (!span_starts(rest, SPAN("*")))
		return false;
	rest = span_from(rest, 1);
	if (rest.len == 0) {
		pc->encoded = true;		/* "name*" */
		return true;
	}
	if (span_ends(rest, SPAN("*"))) {
		pc->encoded = true;
		rest.len--;
	}
	return num_parse_u32(rest, PIECES_MAX, &pc->number) == 0;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
put_percent(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '%' && i + 2 < s.len && hex(s.p[i + 1]) >= 0 &&
		    hex(s.p[i + 2]) >= 0) {
			buf_add_char(out, (char)(hex(s.p[i + 1]) << 4 |
			    hex(s.p[i + 2])));
			i += 2;
		} else
			buf_add_char(out, s.p[i]);
	}
}

/* The pieces 0, 1, 2, … up to the first that is missing, in UTF-8. */
static void
join(const pieces_t *pieces, const struct buf *text, struct buf *out)
{
	struct buf raw = BUF_INIT(BUF_UNLIMITED);
	struct span charset = SPAN_EMPTY;

	for (uint32_t n = 0; n < pieces->len; n++) {
		const struct piece *pc = NULL;
		struct span v;

		/* They mostly come in order. */
		if (pieces->v[n].number == n)
			pc = &pieces->v[n];
		else
			for (size_t i = 0; i < pieces->len && pc == NULL; i++)
				if (pieces->v[i].number == n)
					pc = &pieces->v[i];
		if (pc == NULL)
			break;
		v = span_sub(buf_span(text), pc->off, pc->len);
		if (pc->encoded && n == 0) {
			/* charset'language'text */
			ptrdiff_t a = span_find(v, '\''), b = a < 0 ? -1 :
			    span_find(span_from(v, (size_t)a + 1), '\'');

			if (b >= 0) {
				charset = span_sub(v, 0, (size_t)a);
				v = span_from(v, (size_t)(a + b + 2));
			}
		}
		if (pc->encoded)
			put_percent(v, &raw);
		else
			buf_add_span(&raw, v);
	}
	charset_convert(charset, buf_span(&raw), out);
	buf_fini(&raw);
}

bool
lex_find_param(struct span params, const char *name, struct buf *value)
{
	struct lex l = { params.p, params.p + params.len, NULL };
	struct buf n = BUF_INIT(BUF_UNLIMITED), v = n, text = n;
	pieces_t pieces = ARRAY_EMPTY;
	bool found = false;

	while (!found && lex_param(&l, &n, &v) > 0) {
		struct piece pc;

		if (!span_casestarts(buf_span(&n), span_of(name)))
			continue;
		if (n.len == strlen(name)) {
			buf_reset(value);
			buf_add_span(value, buf_span(&v));
			found = true;
		} else if (pieces.len < PIECES_MAX &&
		    is_piece(span_from(buf_span(&n), strlen(name)), &pc)) {
			pc.off = text.len;
			pc.len = v.len;
			buf_add_span(&text, buf_span(&v));
			*ARRAY_PUSH(&pieces) = pc;
		}
	}
	if (!found && pieces.len > 0) {
		buf_reset(value);
		join(&pieces, &text, value);
		found = true;
	}
	ARRAY_FINI(&pieces);
	buf_fini(&n);
	buf_fini(&v);
	buf_fini(&text);
	return found;
}
