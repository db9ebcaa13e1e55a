/* SPDX-License-Identifier: ISC */
/*
 * expand - a recursive descent over the text; see expand.h for the grammar.
 *
 * A loop (a = $b, b = $a) is found by depth, as in Postfix.  What can be
 * written is bounded by out->max and the work by EXPAND_STEPS_MAX, so that
 * doubling (a = $b$b, b = $c$c, ...) ends.
 */
#include "conf/expand.h"

#include <ctype.h>

#include "base/num.h"

struct expander {
	int		 flags;
	const char	*filter;
	expand_fn	*fn;
	void		*arg;
	struct buf	*out;
	struct why	*why;
	unsigned	 depth, steps;
};

static int expand_span(struct expander *x, struct span s, bool is_value);

static bool
is_name_char(char c)
{
	return c == '_' || isalnum((unsigned char)c);
}

static int
full(struct expander *x)
{
	return why_set(x->why, "4.3.5",
	    "an expanded value is longer than %zu bytes", x->out->max);
}

static int
put(struct expander *x, struct span s, bool value)
{
	if (!value || x->filter == NULL)
		return buf_put_span(x->out, s) == 0 ? 0 : full(x);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '\0' || strchr(x->filter, c) == NULL)
			c = '_';
		if (buf_put_char(x->out, c) == -1)
			return full(x);
	}
	return 0;
}

/* A value that the callback gave. */
static int
put_value(struct expander *x, const char *value)
{
	if (value == NULL)
		return 0;
	if (x->flags & EXPAND_RECURSE)
		return expand_span(x, span_of(value), true);
	return put(x, span_of(value), true);
}

static struct span
skip_space(struct span s)
{
	while (s.len > 0 && isspace((unsigned char)s.p[0]))
		s = span_from(s, 1);
	return s;
}

/* The length of the {...} at the start of s, braces included, or 0. */
static size_t
balanced(struct span s, char open, char close)
{
	size_t level = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == open)
			level++;
		else if (s.p[i] == close && --level == 0)
			return i + 1;
	}
	return 0;
}

/* Take "{text}" off *s; text without outer space. */
static int
take_braces(struct expander *x, struct span *s, struct span *text)
{
	size_t n;

	*s = skip_space(*s);
	if (s->len == 0 || s->p[0] != '{' || (n = balanced(*s, '{', '}')) == 0)
		return why_set(x->why, "4.3.5",
		    "expected \"{text}\" at \"%.*s\"", SPAN_ARG(*s));
	*text = span_trim(span_sub(*s, 1, n - 2));
	*s = skip_space(span_from(*s, n));
	return 0;
}

static int
cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* "3.6.1" as one number; -1 when it is none. */
static int
parse_level(struct span s, uint64_t *out)
{
	uint64_t part, level = 0;
	unsigned parts = 0;

	while (s.len > 0) {
		ptrdiff_t dot = span_find(s, '.');
		struct span p = dot < 0 ? s : span_sub(s, 0, (size_t)dot);

		if (num_parse_u64(p, 999, &part) == -1 || ++parts > 3)
			return -1;
		level = level * 1000 + part;
		s = dot < 0 ? SPAN_EMPTY : span_from(s, (size_t)dot + 1);
	}
	if (parts == 0)
		return -1;
	for (; parts < 3; parts++)
		level *= 1000;
	*out = level;
	return 0;
}

static int
compare(struct expander *x, struct span a, struct span op, struct span b,
    bool *yes)
{
	bool level = span_ends(op, SPAN("level"));
	uint64_t na, nb;
	int c;

	if (level) {
		op.len -= strlen("level");
		if (parse_level(a, &na) == -1 || parse_level(b, &nb) == -1)
			return why_set(x->why, "4.3.5", "not a compatibility "
			    "level: \"%.*s\" or \"%.*s\"", SPAN_ARG(a),
			    SPAN_ARG(b));
		c = cmp_u64(na, nb);
	} else if (num_parse_u64(a, UINT64_MAX, &na) == 0 &&
	    num_parse_u64(b, UINT64_MAX, &nb) == 0) {
		c = cmp_u64(na, nb);
	} else {
		c = span_cmp(a, b);
	}
	if (span_is(op, "=="))
		*yes = c == 0;
	else if (span_is(op, "!="))
		*yes = c != 0;
	else if (span_is(op, "<"))
		*yes = c < 0;
	else if (span_is(op, "<="))
		*yes = c <= 0;
	else if (span_is(op, ">"))
		*yes = c > 0;
	else if (span_is(op, ">="))
		*yes = c >= 0;
	else
		return why_set(x->why, "4.3.5",
		    "unknown comparison \"%.*s\"", SPAN_ARG(op));
	return 0;
}

/* Expand s into a buffer of its own. */
static int
expand_apart(struct expander *x, struct span s, struct buf *tmp)
{
	struct buf *out = x->out;
	int rc;

	x->out = tmp;
	rc = expand_span(x, s, false);
	x->out = out;
	return rc;
}

/* "{a} op {b}" at the start of *s. */
static int
relation(struct expander *x, struct span *s, bool *yes)
{
	struct buf a = BUF_INIT(x->out->max), b = BUF_INIT(x->out->max);
	struct span l, r, op;
	size_t n = 0;
	int rc = -1;

	if (take_braces(x, s, &l) == -1)
		return -1;
	while (n < s->len && (strchr("=!<>", s->p[n]) != NULL ||
	    isalpha((unsigned char)s->p[n])))
		n++;
	op = span_sub(*s, 0, n);
	*s = span_from(*s, n);
	if (take_braces(x, s, &r) == 0 && expand_apart(x, l, &a) == 0 &&
	    expand_apart(x, r, &b) == 0 &&
	    compare(x, buf_span(&a), op, buf_span(&b), yes) == 0)
		rc = 0;
	buf_fini(&a);
	buf_fini(&b);
	return rc;
}

/* What follows the name or the comparison: "?..." or ":...". */
static int
conditional(struct expander *x, struct span rest, bool yes, bool is_value)
{
	struct span t = SPAN_EMPTY, f = SPAN_EMPTY;
	char what = rest.p[0];
	struct span after = skip_space(span_from(rest, 1));

	if (after.len > 0 && after.p[0] == '{' &&
	    balanced(after, '{', '}') != 0) {
		struct span s = after, first;

		if (take_braces(x, &s, &first) == -1)
			return -1;
		*(what == '?' ? &t : &f) = first;
		if (what == '?' && s.len > 0 && s.p[0] == ':') {
			s = span_from(s, 1);
			if (take_braces(x, &s, &f) == -1)
				return -1;
		}
		if (s.len > 0)
			return why_set(x->why, "4.3.5",
			    "unexpected text \"%.*s\" after \"{text}\"",
			    SPAN_ARG(s));
	} else {
		*(what == '?' ? &t : &f) = span_from(rest, 1);
	}
	return expand_span(x, yes ? t : f, is_value);
}

/* The inside of ${...} or $(...). */
static int
expand_inside(struct expander *x, struct span s, bool is_value)
{
	struct span name, rest;
	const char *value;
	size_t n = 0;
	bool yes = false;

	s = skip_space(s);
	if (s.len > 0 && s.p[0] == '{') {
		if (relation(x, &s, &yes) == -1)
			return -1;
		if (s.len == 0 || (s.p[0] != '?' && s.p[0] != ':'))
			return why_set(x->why, "4.3.5", "expected \"?\" or "
			    "\":\" after a comparison, at \"%.*s\"",
			    SPAN_ARG(s));
		return conditional(x, s, yes, is_value);
	}
	while (n < s.len && is_name_char(s.p[n]))
		n++;
	name = span_sub(s, 0, n);
	rest = skip_space(span_from(s, n));
	if (name.len == 0)
		return why_set(x->why, "4.3.5", "empty name in \"${%.*s}\"",
		    SPAN_ARG(s));
	if (rest.len == 0)
		return put_value(x, x->fn(x->arg, name, false));
	if (rest.p[0] != '?' && rest.p[0] != ':')
		return why_set(x->why, "4.3.5",
		    "attribute name followed by \"%.*s\"", SPAN_ARG(rest));
	value = x->fn(x->arg, name, true);
	return conditional(x, rest, value != NULL && *value != '\0',
	    is_value);
}

/* is_value: text is the value of a name, so the filter is applied. */
static int
expand_span(struct expander *x, struct span s, bool is_value)
{
	if (++x->depth > EXPAND_DEPTH_MAX)
		return why_set(x->why, "4.3.5",
		    "names are nested too deep: is there a loop?");
	if (++x->steps > EXPAND_STEPS_MAX)
		return why_set(x->why, "4.3.5",
		    "a value takes more than %d steps to expand",
		    EXPAND_STEPS_MAX);
	while (s.len > 0) {
		ptrdiff_t dollar = span_find(s, '$');
		size_t n;

		if (dollar < 0) {
			if (put(x, s, is_value) == -1)
				return -1;
			break;
		}
		if (put(x, span_sub(s, 0, (size_t)dollar), is_value) == -1)
			return -1;
		s = span_from(s, (size_t)dollar + 1);
		if (s.len > 0 && s.p[0] == '$') {
			if (put(x, SPAN("$"), is_value) == -1)
				return -1;
			s = span_from(s, 1);
		} else if (s.len > 0 && (s.p[0] == '{' || s.p[0] == '(')) {
			n = balanced(s, s.p[0], s.p[0] == '{' ? '}' : ')');
			if (n == 0)
				return why_set(x->why, "4.3.5",
				    "\"%c\" without its end in \"$%.*s\"",
				    s.p[0], SPAN_ARG(s));
			if (expand_inside(x, span_sub(s, 1, n - 2),
			    is_value) == -1)
				return -1;
			s = span_from(s, n);
		} else {
			for (n = 0; n < s.len && is_name_char(s.p[n]); n++)
				;
			if (n == 0)
				return why_set(x->why, "4.3.5",
				    "\"$\" without a name (write $$)");
			if (put_value(x, x->fn(x->arg, span_sub(s, 0, n),
			    false)) == -1)
				return -1;
			s = span_from(s, n);
		}
	}
	x->depth--;
	return 0;
}

int
expand_text(const char *text, int flags, const char *filter, expand_fn *fn,
    void *arg, struct buf *out, struct why *why)
{
	struct expander x = { .flags = flags, .filter = filter, .fn = fn,
	    .arg = arg, .out = out, .why = why };

	return expand_span(&x, span_of(text), false);
}
