/* SPDX-License-Identifier: ISC */
#include "conf/table_rules.h"

#include <ctype.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/cf_file.h"

struct reader {
	struct table			*t;
	const struct rules_parser	*p;
	struct {
		size_t	at;
		int	lineno;
	}				 open[RULES_IF_MAX];
	size_t				 nopen, too_deep;
};

static void
skip(const struct reader *r, int lineno, const char *text)
{
	log_warning("%s map %s, line %d: %s: skipping this rule",
	    r->t->type->name, r->t->name, lineno, text);
}

/* The first word is "if" or "endif" (in any case) and nothing else. */
static bool
is_word(struct span line, const char *word, struct span *rest)
{
	size_t n = strlen(word);

	if (!span_casestarts(line, span_of(word)))
		return false;
	*rest = span_from(line, n);
	if (rest->len > 0 && isalnum((unsigned char)rest->p[0]))
		return false;
	*rest = span_trim(*rest);
	return true;
}

static void
read_rule(struct reader *r, struct span line, int lineno)
{
	struct why why = WHY_INIT;
	struct span rest;
	size_t n = r->p->count(r->t);

	line = span_trim(line);
	if (line.len == 0)
		return;
	if (n >= RULES_MAX) {
		skip(r, lineno, "too many rules");
		return;
	}
	if (is_word(line, "endif", &rest)) {
		if (r->too_deep > 0) {
			r->too_deep--;
			return;
		}
		if (r->nopen == 0) {
			skip(r, lineno, "endif without preceding if");
			return;
		}
		if (rest.len > 0)
			log_warning("%s map %s, line %d: ignoring extra text "
			    "after endif", r->t->type->name, r->t->name,
			    lineno);
		r->nopen--;
		r->p->rule_at(r->t, r->open[r->nopen].at)->skip = n;
		return;
	}
	if (is_word(line, "if", &rest)) {
		if (r->nopen == RULES_IF_MAX) {
			skip(r, lineno, "if nested too deep");
			r->too_deep++;
			return;
		}
		if (r->p->parse(r->t, rest, RULE_IF, lineno, &why) == -1) {
			skip(r, lineno, why.text);
			/* Its endif must not end another if. */
			r->too_deep++;
			return;
		}
		r->open[r->nopen].at = n;
		r->open[r->nopen++].lineno = lineno;
		return;
	}
	if (r->p->parse(r->t, line, RULE_MATCH, lineno, &why) == -1)
		skip(r, lineno, why.text);
}

int
table_rules_read(struct table *t, const struct rules_parser *p,
    struct why *why)
{
	struct reader *r = mem_zalloc(sizeof(*r));
	struct span name = span_trim(span_of(t->name));
	struct cf_file f;
	struct cf_line line;
	int rc = 0;

	r->t = t;
	r->p = p;
	if (name.len >= 2 && name.p[0] == '{' &&
	    name.p[name.len - 1] == '}') {
		struct span rest = span_sub(name, 1, name.len - 2), item;
		bool braced;
		int i = 0;

		while ((rc = table_next_item(&rest, &item, &braced)) == 1) {
			i++;
			if (!braced) {
				rc = -1;
				break;
			}
			read_rule(r, item, i);
		}
		if (rc == -1)
			why_set(why, "4.3.5", "bad syntax: \"%s\": expected "
			    "%s:{ {rule}, {rule} ... }", t->spec,
			    t->type->name);
	} else {
		if (cf_file_open(&f, t->name, CF_FILE_MAX, why) == -1) {
			why_prefix(why, "open table %s", t->spec);
			mem_free(r);
			return -1;
		}
		while ((rc = cf_file_next(&f, &line, why)) == 1)
			read_rule(r, line.text, line.first);
		cf_file_close(&f);
	}
	while (r->nopen > 0) {
		r->nopen--;
		log_warning("%s map %s, line %d: if has no matching endif",
		    t->type->name, t->name, r->open[r->nopen].lineno);
		p->rule_at(t, r->open[r->nopen].at)->skip = p->count(t);
	}
	mem_free(r);
	return rc;
}
