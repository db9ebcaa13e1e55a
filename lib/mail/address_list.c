/* SPDX-License-Identifier: ISC */
/*
 * address_list - the mailboxes of a header value; see address.h.
 *
 * Tokens of one list element are gathered up to the next ',', ';' or ':'
 * outside brackets, and then taken apart: whether "joe@a" was an address or
 * a careless display name is known only when a '<' did or did not follow.
 * Nothing recurses: nested comments are counted.
 */
#include "base/array.h"
#include "mail/address.h"
#include "mail/chars.h"

enum token_kind { WORD, QUOTED, LITERAL, DOT, AT, OPEN, CLOSE, COLON, COMMA,
    COMMENT };

struct token {
	enum token_kind	kind;
	size_t		start, end;	/* in the value */
	bool		space;		/* white space came before it */
};

struct lister {
	struct span	 in;
	size_t		 at;
	ARRAY(struct token) toks;	/* of this element */
	size_t		 seen, max;
	struct buf	 addr, name;
	void		(*fn)(void *, const struct address_item *);
	void		*arg;
};

/* --- tokens ---------------------------------------------------------------- */

static void
skip_nested(struct lister *l)
{
	size_t depth = 0;

	while (l->at < l->in.len) {
		char c = l->in.p[l->at++];

		if (c == '\\' && l->at < l->in.len)
			l->at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return;
	}
}

static void
skip_until(struct lister *l, char end)
{
	l->at++;
	while (l->at < l->in.len) {
		char c = l->in.p[l->at++];

		if (c == '\\' && l->at < l->in.len)
			l->at++;
		else if (c == end)
			return;
	}
}

static bool
is_special(char c)
{
	switch (c) {
	case '(': case ')': case '<': case '>': case '[': case ']':
	case ':': case ';': case '@': case ',': case '.': case '"':
		return true;
	}
	return char_is_space(c);
}

/* 1: a token, 0: the end of the value. */
static int
next_token(struct lister *l, struct token *t)
{
	t->space = false;
	while (l->at < l->in.len && (char_is_space(l->in.p[l->at]) ||
	    l->in.p[l->at] == ')' || l->in.p[l->at] == ']')) {
		t->space = true;
		l->at++;
	}
	if (l->at == l->in.len)
		return 0;
	t->start = l->at;
	switch (l->in.p[l->at]) {
	case '(':
		t->kind = COMMENT;
		skip_nested(l);
		break;
	case '"':
		t->kind = QUOTED;
		skip_until(l, '"');
		break;
	case '[':
		t->kind = LITERAL;
		skip_until(l, ']');
		break;
	case '.':
		t->kind = DOT;
		l->at++;
		break;
	case '@':
		t->kind = AT;
		l->at++;
		break;
	case '<':
		t->kind = OPEN;
		l->at++;
		break;
	case '>':
		t->kind = CLOSE;
		l->at++;
		break;
	case ':':
		t->kind = COLON;
		l->at++;
		break;
	case ',': case ';':
		t->kind = COMMA;
		l->at++;
		break;
	default:
		t->kind = WORD;
		while (l->at < l->in.len && !is_special(l->in.p[l->at]))
			l->at += l->in.p[l->at] == '\\' &&
			    l->at + 1 < l->in.len ? 2 : 1;
	}
	t->end = l->at;
	return 1;
}

/* Append what a token stands for: quotes and backslashes undone. */
static void
put_token(struct lister *l, const struct token *t, struct buf *out)
{
	size_t i = t->start, end = t->end;

	if (t->kind == QUOTED || t->kind == COMMENT) {
		char close = t->kind == QUOTED ? '"' : ')';

		i++;
		if (end > i && l->in.p[end - 1] == close)
			end--;
	}
	for (; i < end; i++) {
		char c = l->in.p[i];

		if (t->kind == LITERAL) {
			if (!char_is_space(c))
				buf_add_char(out, c);
			continue;
		}
		if (c == '\\' && i + 1 < end)
			c = l->in.p[++i];
		else if (c == '\n' || c == '\r')
			continue;		/* a fold inside quotes */
		buf_add_char(out, c);
	}
}

/* --- elements --------------------------------------------------------------- */

static bool
is_word(const struct token *t)
{
	return t->kind == WORD || t->kind == QUOTED || t->kind == LITERAL;
}

static void
emit(struct lister *l, size_t raw_start, size_t raw_end)
{
	struct address_item item;

	if (l->addr.len == 0)
		return;
	item.raw = span_sub(l->in, raw_start, raw_end - raw_start);
	item.addr = buf_span(&l->addr);
	item.name = buf_span(&l->name);
	l->fn(l->arg, &item);
}

/* The unquoted address that tokens [from, to) spell, in l->addr. */
static void
put_address(struct lister *l, size_t from, size_t to)
{
	const struct token *prev = NULL;

	buf_reset(&l->addr);
	for (size_t i = from; i < to; i++) {
		const struct token *t = &l->toks.v[i];

		if (t->kind == COMMENT || t->kind == OPEN ||
		    t->kind == CLOSE || t->kind == COMMA)
			continue;
		if (prev != NULL && is_word(prev) && is_word(t) && t->space)
			buf_add_char(&l->addr, ' ');
		put_token(l, t, &l->addr);
		prev = t;
	}
	/* "example.org." is the same domain, written for DNS. */
	if (prev != NULL && prev->kind == DOT &&
	    span_rfind(buf_span(&l->addr), '@') >= 0)
		buf_trunc(&l->addr, l->addr.len - 1);
	/* A lone '@' or a missing domain is no address. */
	if (l->addr.len > 0 && l->addr.data[l->addr.len - 1] == '@')
		buf_reset(&l->addr);
}

static void
put_name(struct lister *l, size_t from, size_t to)
{
	bool any = false;

	buf_reset(&l->name);
	for (size_t i = from; i < to; i++) {
		const struct token *t = &l->toks.v[i];

		if (t->kind == COMMENT || t->kind == OPEN || t->kind == CLOSE)
			continue;
		if (any && t->space)
			buf_add_char(&l->name, ' ');
		put_token(l, t, &l->name);
		any = true;
	}
}

/* "joe@example.org (Joe)": the comment is the name. */
static void
put_comment_name(struct lister *l, size_t from, size_t to)
{
	buf_reset(&l->name);
	for (size_t i = from; i < to; i++)
		if (l->toks.v[i].kind == COMMENT) {
			put_token(l, &l->toks.v[i], &l->name);
			return;
		}
}

static void
emit_plain(struct lister *l, size_t from, size_t to)
{
	size_t first = to, last = to;

	for (size_t i = from; i < to; i++)
		if (l->toks.v[i].kind != COMMENT &&
		    l->toks.v[i].kind != CLOSE) {
			if (first == to)
				first = i;
			last = i;
		}
	if (first == to)
		return;
	put_address(l, from, to);
	put_comment_name(l, from, to);
	emit(l, l->toks.v[first].start, l->toks.v[last].end);
}

/*
 * Tokens without angle brackets: one address, or several when commas are
 * missing ("a@b c@d").  A new one begins at a word that follows a whole
 * address with a space between.
 */
static void
plain(struct lister *l, size_t from, size_t to)
{
	const struct token *prev = NULL;
	size_t start = from;
	bool at = false;

	for (size_t i = from; i < to; i++) {
		const struct token *t = &l->toks.v[i];

		if (t->kind == COMMENT)
			continue;
		if (at && prev != NULL && is_word(prev) && is_word(t) &&
		    t->space) {
			emit_plain(l, start, i);
			start = i;
			at = false;
		}
		if (t->kind == AT)
			at = true;
		prev = t;
	}
	emit_plain(l, start, to);
}

/* "<@route:addr>": tokens [from, to) lie between the brackets. */
static void
bracketed(struct lister *l, size_t name_from, size_t from, size_t to)
{
	size_t start = from;

	if (from == to)
		return;
	if (l->toks.v[from].kind == AT)
		for (size_t i = from; i < to; i++)
			if (l->toks.v[i].kind == COLON) {
				start = i + 1;
				break;
			}
	put_address(l, start, to);
	if (name_from + 1 < from)
		put_name(l, name_from, from - 1);
	else
		buf_reset(&l->name);
	if (l->name.len == 0)
		put_comment_name(l, name_from, l->toks.len);
	emit(l, l->toks.v[from].start, l->toks.v[to - 1].end);
}

/* All tokens of an element are here: say what it names. */
static void
element(struct lister *l)
{
	size_t n = l->toks.len, name = 0, open;

	for (;;) {
		for (open = name; open < n; open++)
			if (l->toks.v[open].kind == OPEN)
				break;
		if (open == n)
			break;
		while (open + 1 < n && l->toks.v[open + 1].kind == OPEN)
			open++;				/* "<<joe@a>>" */
		size_t close = open + 1;

		while (close < n && l->toks.v[close].kind != CLOSE &&
		    l->toks.v[close].kind != OPEN)
			close++;
		bracketed(l, name, open + 1, close);
		name = close;
		while (name < n && l->toks.v[name].kind == CLOSE)
			name++;
	}
	if (name == 0)
		plain(l, 0, n);
	else
		/* "<a@b> c@d": a comma is missing; "<a@b> words": noise. */
		for (size_t i = name; i < n; i++)
			if (l->toks.v[i].kind == AT) {
				plain(l, name, n);
				break;
			}
	l->toks.len = 0;
}

int
address_list_each(struct span value, size_t max,
    void (*fn)(void *arg, const struct address_item *), void *arg)
{
	struct lister l = {
		.in = value, .max = max, .fn = fn, .arg = arg,
		.addr = BUF_INIT(BUF_UNLIMITED),
		.name = BUF_INIT(BUF_UNLIMITED),
	};
	bool inside = false;		/* between '<' and '>' */
	bool route = false;		/* and in a route there */
	struct token t;
	int rc = 0;

	while (next_token(&l, &t) == 1) {
		if (++l.seen > max) {
			rc = -1;
			break;
		}
		if (t.kind == COMMA && !(inside && route)) {
			element(&l);
			inside = false;
			continue;
		}
		if (t.kind == COLON && !inside) {
			l.toks.len = 0;		/* the name of a group */
			continue;
		}
		if (t.kind == OPEN) {
			inside = true;
			route = false;
		} else if (t.kind == CLOSE)
			inside = false;
		else if (inside && t.kind == AT && l.toks.len > 0 &&
		    l.toks.v[l.toks.len - 1].kind == OPEN)
			route = true;
		else if (inside && t.kind == COLON)
			route = false;
		*ARRAY_PUSH(&l.toks) = t;
	}
	if (rc == 0)
		element(&l);
	ARRAY_FINI(&l.toks);
	buf_fini(&l.addr);
	buf_fini(&l.name);
	return rc;
}
