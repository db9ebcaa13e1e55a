/* SPDX-License-Identifier: ISC */
/*
 * table_regexp - regexp: (POSIX, from libc) and pcre: (PCRE2) tables.
 *
 *	/pattern/flags value		!/pattern/flags value
 *	/pattern/!/pattern/ value	the first matches, the second does not
 *	if /pattern/ ... endif		if !/pattern/ ... endif
 *
 * $1 ${1} $(1) in the value is what the first parenthesis matched, $$ a
 * dollar.  The first rule that matches gives the answer.  Keys come from
 * strangers, so the work of one match is bounded for PCRE; going over it is an
 * error and not "no match".
 *
 * No other file sees the types of PCRE2.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "conf/table_rules.h"

#include <ctype.h>
#include <regex.h>

#include "base/mem.h"
#include "base/num.h"

#define GROUPS_MAX	100		/* $1 to $99 */
#define MATCH_WORK_MAX	1000000		/* steps of PCRE in one match */
#define MATCH_DEPTH_MAX	10000
#define MATCH_HEAP_KIB	16384

/* One compiled pattern of either kind. */
struct pattern {
	regex_t		*posix;
	pcre2_code	*pcre;
};

struct regexp_rule {
	struct rule	 rule;
	struct pattern	 yes;
	struct pattern	 no;		/* of /yes/!/no/ */
	char		*value;
	bool		 substitutes;	/* the value contains $ */
};

struct regexp {
	ARRAY(struct regexp_rule) rules;
	pcre2_match_context	*limits;
	pcre2_match_data	*match;
	size_t			 groups;	/* the largest $n */
};

/* Where the groups matched: offsets into the key, -1 where not. */
struct groups {
	ptrdiff_t	from[GROUPS_MAX], to[GROUPS_MAX];
};

static struct rule *
rule_at(struct table *t, size_t i)
{
	return &((struct regexp *)t->impl)->rules.v[i].rule;
}

static size_t
rule_count(struct table *t)
{
	return ((struct regexp *)t->impl)->rules.len;
}

/* --- compiling ------------------------------------------------------------------ */

/* Take "/pattern/flags" off *text. */
static int
take_pattern(struct span *text, struct span *pattern, struct span *flags,
    struct why *why)
{
	char delimiter;
	size_t n = 1;

	if (text->len == 0 || isalnum((unsigned char)text->p[0]) ||
	    isspace((unsigned char)text->p[0]))
		return why_set(why, "4.3.5", "expected /pattern/ at "
		    "\"%.*s\"", SPAN_ARG(*text));
	delimiter = text->p[0];
	while (n < text->len && text->p[n] != delimiter) {
		if (text->p[n] == '\\' && n + 1 < text->len)
			n++;
		n++;
	}
	if (n >= text->len)
		return why_set(why, "4.3.5", "no closing delimiter \"%c\"",
		    delimiter);
	*pattern = span_sub(*text, 1, n - 1);
	*text = span_from(*text, n + 1);
	n = 0;
	while (n < text->len && isalpha((unsigned char)text->p[n]))
		n++;
	*flags = span_sub(*text, 0, n);
	*text = span_from(*text, n);
	return 0;
}

static int
compile_posix(struct span pattern, struct span flags, bool groups,
    struct pattern *out, struct why *why)
{
	int cflags = REG_EXTENDED | REG_ICASE | (groups ? 0 : REG_NOSUB), rc;
	char *text, message[128];

	for (size_t i = 0; i < flags.len; i++) {
		switch (flags.p[i]) {
		case 'i':
			cflags ^= REG_ICASE;
			break;
		case 'm':
			cflags ^= REG_NEWLINE;
			break;
		case 'x':
			cflags ^= REG_EXTENDED;
			break;
		default:
			return why_set(why, "4.3.5", "unknown regexp option "
			    "\"%c\": expected i, m or x", flags.p[i]);
		}
	}
	text = span_dup(pattern);
	out->posix = mem_zalloc(sizeof(*out->posix));
	rc = regcomp(out->posix, text, cflags);
	mem_free(text);
	if (rc != 0) {
		(void)regerror(rc, out->posix, message, sizeof(message));
		mem_free(out->posix);
		out->posix = NULL;
		return why_set(why, "4.3.5", "regexp: %s", message);
	}
	return 0;
}

static int
compile_pcre(struct span pattern, struct span flags, struct pattern *out,
    struct why *why)
{
	uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL;
	PCRE2_UCHAR message[256];
	PCRE2_SIZE at;
	int e;

	for (size_t i = 0; i < flags.len; i++) {
		switch (flags.p[i]) {
		case 'i':
			options ^= PCRE2_CASELESS;
			break;
		case 'm':
			options ^= PCRE2_MULTILINE;
			break;
		case 's':
			options ^= PCRE2_DOTALL;
			break;
		case 'x':
			options ^= PCRE2_EXTENDED;
			break;
		case 'A':
			options ^= PCRE2_ANCHORED;
			break;
		case 'E':
			options ^= PCRE2_DOLLAR_ENDONLY;
			break;
		case 'U':
			options ^= PCRE2_UNGREEDY;
			break;
		case 'X':		/* PCRE2 is always so */
			break;
		default:
			return why_set(why, "4.3.5", "unknown PCRE option "
			    "\"%c\": expected i, m, s, x, A, E, U or X",
			    flags.p[i]);
		}
	}
	out->pcre = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len,
	    options | PCRE2_NEVER_BACKSLASH_C, &e, &at, NULL);
	if (out->pcre == NULL) {
		if (pcre2_get_error_message(e, message, sizeof(message)) < 0)
			message[0] = '\0';
		return why_set(why, "4.3.5", "error in pattern at offset %zu: "
		    "%s", (size_t)at, (const char *)message);
	}
	return 0;
}

static void
pattern_fini(struct pattern *p)
{
	if (p->posix != NULL) {
		regfree(p->posix);
		mem_free(p->posix);
	}
	pcre2_code_free(p->pcre);
	*p = (struct pattern){ NULL, NULL };
}

static size_t
pattern_groups(const struct pattern *p)
{
	uint32_t n = 0;

	if (p->posix != NULL)
		return p->posix->re_nsub;
	if (pcre2_pattern_info(p->pcre, PCRE2_INFO_CAPTURECOUNT, &n) != 0)
		return 0;
	return n;
}

/* --- values ------------------------------------------------------------------------ */

/*
 * Take "1", "{1}" or "(1)" off *s, which stands behind a dollar.  The number,
 * or -1.
 */
static int
take_group(struct span *s)
{
	uint64_t v;
	size_t n;
	char close = '\0';

	if (s->len > 0 && (s->p[0] == '{' || s->p[0] == '(')) {
		close = s->p[0] == '{' ? '}' : ')';
		*s = span_from(*s, 1);
	}
	for (n = 0; n < s->len && isdigit((unsigned char)s->p[n]); n++)
		;
	if (num_parse_u64(span_sub(*s, 0, n), GROUPS_MAX - 1, &v) == -1)
		return -1;
	*s = span_from(*s, n);
	if (close != '\0') {
		if (s->len == 0 || s->p[0] != close)
			return -1;
		*s = span_from(*s, 1);
	}
	return (int)v;
}

/* The largest $n of a value, 0 for none; -1 with why. */
static int
check_value(struct span value, struct why *why)
{
	int largest = 0, n;
	ptrdiff_t at;

	while ((at = span_find(value, '$')) >= 0) {
		value = span_from(value, (size_t)at + 1);
		if (value.len > 0 && value.p[0] == '$') {
			value = span_from(value, 1);
			continue;
		}
		n = take_group(&value);
		if (n < 1)
			return why_set(why, "4.3.5", "bad replacement: "
			    "expected $1 to $%d, or $$ for a dollar",
			    GROUPS_MAX - 1);
		largest = MAX(largest, n);
	}
	return largest;
}

static int
substitute(const struct table *t, struct span value, struct span key,
    const struct groups *g, struct buf *out, struct why *why)
{
	ptrdiff_t at;

	while (value.len > 0) {
		at = span_find(value, '$');
		if (table_give(t, at < 0 ? value : span_sub(value, 0,
		    (size_t)at), out, why) == -1)
			return -1;
		if (at < 0)
			break;
		value = span_from(value, (size_t)at + 1);
		if (value.len > 0 && value.p[0] == '$') {
			value = span_from(value, 1);
			if (table_give(t, SPAN("$"), out, why) == -1)
				return -1;
		} else {
			int n = take_group(&value);

			if (n > 0 && g->from[n] >= 0 && table_give(t,
			    span_sub(key, (size_t)g->from[n],
			    (size_t)(g->to[n] - g->from[n])), out, why) == -1)
				return -1;
		}
	}
	return 1;
}

/* --- parsing ------------------------------------------------------------------------ */

static void
rule_fini(struct regexp_rule *r)
{
	pattern_fini(&r->yes);
	pattern_fini(&r->no);
	mem_free(r->value);
}

static int
compile(const struct table *t, struct span pattern, struct span flags,
    bool groups, struct pattern *out, struct why *why)
{
	if (t->type == &table_type_pcre)
		return compile_pcre(pattern, flags, out, why);
	return compile_posix(pattern, flags, groups, out, why);
}

static int
regexp_parse(struct table *t, struct span text, enum rule_kind kind,
    int lineno, struct why *why)
{
	struct regexp *x = t->impl;
	struct regexp_rule r = { .rule = { .kind = kind, .lineno = lineno } };
	struct span pattern, flags, pattern2, flags2;
	bool second = false;
	int largest = 0;

	while (text.len > 0 && text.p[0] == '!') {
		r.rule.negated = !r.rule.negated;
		text = span_trim(span_from(text, 1));
	}
	if (take_pattern(&text, &pattern, &flags, why) == -1)
		return -1;
	if (kind == RULE_MATCH && t->type == &table_type_regexp &&
	    text.len > 1 && text.p[0] == '!') {
		text = span_from(text, 1);
		if (take_pattern(&text, &pattern2, &flags2, why) == -1)
			return -1;
		second = true;
	}
	if (text.len > 0 && !isspace((unsigned char)text.p[0]))
		return why_set(why, "4.3.5", "unexpected text behind the "
		    "pattern: \"%.*s\"", SPAN_ARG(text));
	text = span_trim(text);
	if (kind == RULE_IF && text.len > 0)
		return why_set(why, "4.3.5", "extra text after the pattern");
	if (kind == RULE_MATCH && text.len == 0)
		return why_set(why, "4.3.5", "no replacement text");
	if (kind == RULE_MATCH && (largest = check_value(text, why)) == -1)
		return -1;
	if (largest > 0 && (t->flags & TABLE_NO_SUBST))
		return why_set(why, "4.3.5", "$number is not allowed for "
		    "security reasons");
	if (largest > 0 && r.rule.negated)
		return why_set(why, "4.3.5", "$number is not allowed with a "
		    "negated pattern");
	if (compile(t, pattern, flags, largest > 0, &r.yes, why) == -1)
		return -1;
	if (largest > 0 && (size_t)largest > pattern_groups(&r.yes)) {
		rule_fini(&r);
		return why_set(why, "4.3.5", "$%d: the pattern has not so "
		    "many parentheses", largest);
	}
	if (second && compile(t, pattern2, flags2, false, &r.no, why) == -1) {
		rule_fini(&r);
		return -1;
	}
	if (kind == RULE_MATCH) {
		r.value = span_dup(text);
		r.substitutes = span_find(text, '$') >= 0;
	}
	x->groups = MAX(x->groups, (size_t)largest);
	*ARRAY_PUSH(&x->rules) = r;
	return 0;
}

static void
regexp_close(struct table *t)
{
	struct regexp *x = t->impl;

	for (size_t i = 0; i < x->rules.len; i++)
		rule_fini(&x->rules.v[i]);
	ARRAY_FINI(&x->rules);
	pcre2_match_data_free(x->match);
	pcre2_match_context_free(x->limits);
	mem_free(x);
	t->impl = NULL;
}

static int
regexp_open(struct table *t, struct why *why)
{
	static const struct rules_parser parser = {
		.parse = regexp_parse, .rule_at = rule_at,
		.count = rule_count
	};
	struct regexp *x = mem_zalloc(sizeof(*x));

	t->impl = x;
	if (t->type == &table_type_pcre) {
		x->limits = pcre2_match_context_create(NULL);
		x->match = pcre2_match_data_create(GROUPS_MAX, NULL);
		if (x->limits == NULL || x->match == NULL) {
			regexp_close(t);
			return why_set(why, "4.3.0", "table %s: out of memory",
			    t->spec);
		}
		(void)pcre2_set_match_limit(x->limits, MATCH_WORK_MAX);
		(void)pcre2_set_depth_limit(x->limits, MATCH_DEPTH_MAX);
		(void)pcre2_set_heap_limit(x->limits, MATCH_HEAP_KIB);
	}
	if (table_rules_read(t, &parser, why) == -1) {
		regexp_close(t);
		return -1;
	}
	return 0;
}

/* --- matching ------------------------------------------------------------------------ */

static void
groups_of_pcre(const struct regexp *x, int count, struct groups *g)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(x->match);

	for (int i = 0; i < GROUPS_MAX; i++) {
		bool set = i < count && v[2 * i] != PCRE2_UNSET &&
		    v[2 * i] <= v[2 * i + 1];

		g->from[i] = set ? (ptrdiff_t)v[2 * i] : -1;
		g->to[i] = set ? (ptrdiff_t)v[2 * i + 1] : -1;
	}
}

/* 1 matches, 0 not, -1 with why.  g may be NULL. */
static int
pattern_match(const struct table *t, const struct rule *rule,
    const struct pattern *p, struct span key, struct groups *g,
    struct why *why)
{
	const struct regexp *x = t->impl;
	char message[128] = "";
	int rc;

	if (p->posix != NULL) {
		regmatch_t m[GROUPS_MAX];

		m[0].rm_so = 0;
		m[0].rm_eo = (regoff_t)key.len;
		rc = regexec(p->posix, key.p,
		    g != NULL ? x->groups + 1 : 0, m, REG_STARTEND);
		if (rc == REG_NOMATCH)
			return 0;
		if (rc == 0) {
			for (size_t i = 0; g != NULL && i < GROUPS_MAX; i++) {
				bool have = i <= x->groups;

				g->from[i] = have ? m[i].rm_so : -1;
				g->to[i] = have ? m[i].rm_eo : -1;
			}
			return 1;
		}
		(void)regerror(rc, p->posix, message, sizeof(message));
	} else {
		rc = pcre2_match(p->pcre, (PCRE2_SPTR)key.p, key.len, 0, 0,
		    x->match, x->limits);
		if (rc == PCRE2_ERROR_NOMATCH)
			return 0;
		if (rc >= 0) {
			if (g != NULL)
				groups_of_pcre(x, rc > 0 ? rc : GROUPS_MAX, g);
			return 1;
		}
		if (pcre2_get_error_message(rc, (PCRE2_UCHAR *)message,
		    sizeof(message)) < 0)
			message[0] = '\0';
	}
	return why_set(why, "4.3.0", "table %s, line %d: %s", t->spec,
	    rule->lineno, message);
}

static int
regexp_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	const struct regexp *x = t->impl;
	char text[TABLE_KEY_MAX + 1];

	/* regexec() is told the length, but not everything that looks over
	 * its shoulder is (sanitizers): end the key with a NUL too. */
	if (key.len > 0)
		memcpy(text, key.p, key.len);
	text[key.len] = '\0';
	key.p = text;
	for (size_t i = 0; i < x->rules.len;) {
		const struct regexp_rule *r = &x->rules.v[i];
		struct groups g;
		int rc = pattern_match(t, &r->rule, &r->yes, key,
		    r->substitutes ? &g : NULL, why);

		if (rc == -1)
			return -1;
		if (r->rule.negated)
			rc = !rc;
		if (r->rule.kind == RULE_IF) {
			i = rc ? i + 1 : r->rule.skip;
			continue;
		}
		if (rc == 1 && (r->no.posix != NULL || r->no.pcre != NULL)) {
			int no = pattern_match(t, &r->rule, &r->no, key, NULL,
			    why);

			if (no == -1)
				return -1;
			rc = !no;
		}
		if (rc == 0) {
			i++;
			continue;
		}
		if (!r->substitutes)
			return table_give(t, span_of(r->value), out, why);
		return substitute(t, span_of(r->value), key, &g, out, why);
	}
	return 0;
}

const struct table_type table_type_regexp = {
	.name = "regexp", .pattern = true, .file_suffix = "",
	.open = regexp_open, .get = regexp_get, .close = regexp_close,
};

const struct table_type table_type_pcre = {
	.name = "pcre", .pattern = true, .file_suffix = "",
	.open = regexp_open, .get = regexp_get, .close = regexp_close,
};
