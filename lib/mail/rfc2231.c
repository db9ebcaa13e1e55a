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
	struct lex l = lex_on(params);
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

/* --- for BODYSTRUCTURE ---------------------------------------------------------- */

/* A parameter, or a piece of one; name and value one after the other in text. */
struct param {
	size_t		 off, name, value;	/* bytes */
	size_t		 base;		/* of name, without "*1*"; 0: whole */
	struct piece	 pc;
	bool		 shown;
};

typedef ARRAY(struct param) params_t;

static struct span
name_of(const struct buf *text, const struct param *p)
{
	return span_sub(buf_span(text), p->off, p->name);
}

static struct span
value_of(const struct buf *text, const struct param *p)
{
	return span_sub(buf_span(text), p->off + p->name, p->value);
}

/* The piece with this number of the parameter that p is a piece of. */
static struct param *
find_piece(const params_t *ps, const struct buf *text, const struct param *p,
    uint32_t number)
{
	struct span base = span_sub(name_of(text, p), 0, p->base);

	for (size_t i = 0; i < ps->len; i++) {
		struct param *q = &ps->v[i];

		if (q->base > 0 && !q->shown && q->pc.number == number &&
		    span_caseeq(span_sub(name_of(text, q), 0, q->base), base))
			return q;
	}
	return NULL;
}

/* All pieces of the parameter that begins with p, number 0, in value. */
static bool
join_param(const params_t *ps, const struct buf *text, struct param *p,
    struct buf *value)
{
	bool encoded = false;
	struct param *q;
	uint32_t n;

	for (n = 0; (q = find_piece(ps, text, p, n)) != NULL; n++)
		encoded |= q->pc.encoded;
	if (encoded && !p->pc.encoded)
		buf_add_str(value, "''");	/* no charset, no language */
	for (n = 0; (q = find_piece(ps, text, p, n)) != NULL; n++) {
		struct span v = value_of(text, q);

		for (size_t i = 0; i < v.len; i++)
			if (encoded && !q->pc.encoded && v.p[i] == '%')
				buf_add_str(value, "%25");
			else
				buf_add_char(value, v.p[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		if ((q = find_piece(ps, text, p, i)) != NULL)
			q->shown = true;
	return encoded;
}

void
lex_each_param(struct span params, size_t max, void (*fn)(void *arg,
    struct span name, struct span value), void *arg)
{
	struct lex l = lex_on(params);
	struct buf n = BUF_INIT(BUF_UNLIMITED), v = n, text = n;
	params_t ps = ARRAY_EMPTY;

	for (size_t i = 0; i < max && lex_param(&l, &n, &v) > 0; i++) {
		ptrdiff_t star = span_find(buf_span(&n), '*');
		struct param p = { .off = text.len, .name = n.len,
		    .value = v.len };

		if (star <= 0 || (size_t)star + 1 == n.len ||
		    !is_piece(span_from(buf_span(&n), (size_t)star), &p.pc)) {
			fn(arg, buf_span(&n), buf_span(&v));
			continue;
		}
		p.base = (size_t)star;
		buf_add_span(&text, buf_span(&n));
		buf_add_span(&text, buf_span(&v));
		*ARRAY_PUSH(&ps) = p;
	}
	for (size_t i = 0; i < ps.len; i++) {
		struct param *p = &ps.v[i];

		if (p->shown || p->pc.number != 0)
			continue;
		buf_reset(&n);
		buf_reset(&v);
		buf_add_span(&n, span_sub(name_of(&text, p), 0, p->base));
		if (join_param(&ps, &text, p, &v))
			buf_add_char(&n, '*');
		fn(arg, buf_span(&n), buf_span(&v));
	}
	/* Those whose beginning is missing. */
	for (size_t i = 0; i < ps.len; i++)
		if (!ps.v[i].shown)
			fn(arg, name_of(&text, &ps.v[i]),
			    value_of(&text, &ps.v[i]));
	ARRAY_FINI(&ps);
	buf_fini(&n);
	buf_fini(&v);
	buf_fini(&text);
}
