/* SPDX-License-Identifier: ISC */
/*
 * match_list - membership in a list of domains, networks or names.
 *
 * Patterns are tried in order and the first that matches decides; "!" in front
 * turns its answer around.  A file's patterns stand in the place of its name
 * and are read once, when the list is made.
 */
#include "conf/maps_priv.h"
#include "conf/table_priv.h"

#include "base/mem.h"
#include "conf/cf_file.h"
#include "conf/params.h"
#include "io/sock.h"

#define PATTERNS_MAX	1000000
#define FILES_NEST_MAX	10

struct match_pattern {
	bool		 negated;
	bool		 is_net;
	char		*text;		/* in lower case; NULL for a table */
	struct sock_net	 net;
	struct late_table *table;
};

struct match_list {
	char		*title;
	int		 flags;
	ARRAY(struct match_pattern) patterns;
};

static int add_text(struct match_list *m, struct span text, bool negated,
    unsigned nested, struct why *why);

/* "type:name" and no IPv6 address. */
static bool
is_table(struct span s)
{
	if (span_find(s, ':') <= 0 || s.p[0] == '[' || s.p[0] == '/')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (strchr("0123456789abcdefABCDEF:./", s.p[i]) == NULL)
			return true;
	return false;
}

/* Something that can only be meant as an address or network. */
static bool
looks_like_net(struct span s)
{
	bool digits = s.len > 0;

	for (size_t i = 0; i < s.len; i++)
		if (strchr("0123456789./", s.p[i]) == NULL)
			digits = false;
	return (digits && (span_find(s, '.') > 0 || span_find(s, '/') > 0)) ||
	    (s.len > 0 && s.p[0] == '[') || span_search(s, SPAN("::")) >= 0;
}

static int
add_file(struct match_list *m, struct span path, bool negated,
    unsigned nested, struct why *why)
{
	char *p = span_dup(path);
	struct cf_file f;
	struct cf_line line;
	int rc;

	rc = cf_file_open(&f, p, CF_FILE_MAX, why);
	mem_free(p);
	if (rc == -1) {
		why_prefix(why, "%s", m->title);
		return -1;
	}
	while ((rc = cf_file_next(&f, &line, why)) == 1) {
		if (add_text(m, line.text, negated, nested + 1, why) == -1) {
			rc = -1;
			break;
		}
	}
	cf_file_close(&f);
	return rc;
}

static int
add_pattern(struct match_list *m, struct span item, bool negated,
    unsigned nested, struct why *why)
{
	struct match_pattern p = { .text = NULL };
	struct buf folded = BUF_INIT(BUF_UNLIMITED);

	while (item.len > 0 && item.p[0] == '!') {
		negated = !negated;
		item = span_trim(span_from(item, 1));
	}
	if (item.len == 0)
		return why_set(why, "4.3.5", "%s: \"!\" without a pattern",
		    m->title);
	if (m->patterns.len >= PATTERNS_MAX)
		return why_set(why, "4.3.5", "%s: more than %d patterns",
		    m->title, PATTERNS_MAX);
	if (item.p[0] == '/') {
		if (nested >= FILES_NEST_MAX)
			return why_set(why, "4.3.5", "%s: files are nested "
			    "too deep at %.*s", m->title, SPAN_ARG(item));
		return add_file(m, item, negated, nested, why);
	}
	p.negated = negated;
	if (is_table(item)) {
		p.table = late_table_new(m->title, item,
		    TABLE_FOLD, why);
		if (p.table == NULL)
			return -1;
	} else {
		if (looks_like_net(item) && !(m->flags & MATCH_EXACT)) {
			if (sock_net_parse(item, &p.net, why) == -1) {
				why_prefix(why, "%s", m->title);
				return -1;
			}
			p.is_net = true;
		}
		table_fold(item, &folded);
		p.text = mem_strndup(folded.data, folded.len);
		buf_fini(&folded);
	}
	*ARRAY_PUSH(&m->patterns) = p;
	return 0;
}

static int
add_text(struct match_list *m, struct span text, bool negated,
    unsigned nested, struct why *why)
{
	struct span item;
	bool braced;
	int rc;

	while ((rc = table_next_item(&text, &item, &braced)) == 1)
		if (item.len > 0 && add_pattern(m, item, negated, nested,
		    why) == -1)
			return -1;
	if (rc == -1)
		return why_set(why, "4.3.5", "%s: braces do not match",
		    m->title);
	return 0;
}

struct match_list *
match_list_new(const char *title, const char *value, int flags,
    struct why *why)
{
	struct match_list *m = mem_zalloc(sizeof(*m));

	m->title = mem_strdup(title);
	m->flags = flags;
	if (add_text(m, span_of(value), false, 0, why) == -1)
		match_list_free(&m);
	return m;
}

void
match_list_free(struct match_list **mp)
{
	struct match_list *m = *mp;

	if (m == NULL)
		return;
	*mp = NULL;
	for (size_t i = 0; i < m->patterns.len; i++) {
		mem_free(m->patterns.v[i].text);
		late_table_free(&m->patterns.v[i].table);
	}
	ARRAY_FINI(&m->patterns);
	mem_free(m->title);
	mem_free(m);
}

static int
look_up(const struct match_list *m, struct table *t, struct span key,
    struct why *why)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	int rc = table_get(t, key, &value, why);

	if (rc == -1)
		why_prefix(why, "%s", m->title);
	buf_fini(&value);
	return rc;
}

static int
match_table(const struct match_list *m, const struct match_pattern *p,
    struct span s, bool parents, struct why *why)
{
	struct table *t = late_table_get(p->table, why);
	struct span part = s;
	ptrdiff_t dot;
	int rc;

	if (t == NULL) {
		why_prefix(why, "%s", m->title);
		return -1;
	}
	for (;;) {
		rc = look_up(m, t, part, why);
		if (rc != 0 || !parents || table_is_pattern(t) ||
		    part.len == 0)
			return rc;
		dot = span_find(span_from(part, 1), '.');
		if (dot < 0)
			return 0;
		part = span_from(part, (size_t)dot + 1);
		if (m->flags & MATCH_PARENT)
			part = span_from(part, 1);
	}
}

/* s is in lower case. */
static bool
match_name(const struct match_list *m, const char *pattern, struct span s)
{
	struct span p = span_of(pattern);

	if (span_eq(p, s))
		return true;
	if ((m->flags & MATCH_EXACT) || p.len >= s.len)
		return false;
	if (m->flags & MATCH_PARENT)
		return span_ends(s, p) && s.p[s.len - p.len - 1] == '.';
	return p.len > 0 && p.p[0] == '.' && span_ends(s, p);
}

/* Either of name (lower case) and addr may be missing. */
static int
match(struct match_list *m, const struct span *name,
    const struct sock_addr *addr, struct why *why)
{
	char text[SOCK_ADDR_TEXT_MAX] = "";
	struct span addr_text = SPAN_EMPTY;

	if (addr != NULL) {
		sock_addr_text(addr, text);
		addr_text = span_of(text);
	}
	for (size_t i = 0; i < m->patterns.len; i++) {
		const struct match_pattern *p = &m->patterns.v[i];
		int rc = 0;

		if (p->table != NULL) {
			if (name != NULL)
				rc = match_table(m, p, *name,
				    !(m->flags & MATCH_EXACT), why);
			if (rc == 0 && addr != NULL)
				rc = match_table(m, p, addr_text, false, why);
		} else {
			if (name != NULL)
				rc = match_name(m, p->text, *name);
			if (rc == 0 && addr != NULL)
				rc = p->is_net ? sock_net_has(&p->net, addr)
				    : span_is(addr_text, p->text);
		}
		if (rc == -1)
			return -1;
		if (rc == 1)
			return !p->negated;
	}
	return 0;
}

int
match_list_string(struct match_list *m, struct span s, struct why *why)
{
	return match_list_client(m, s, NULL, why);
}

int
match_list_addr(struct match_list *m, const struct sock_addr *a,
    struct why *why)
{
	return match(m, NULL, a, why);
}

int
match_list_client(struct match_list *m, struct span name,
    const struct sock_addr *a, struct why *why)
{
	struct buf folded;
	struct span s;
	int rc;

	if (m->patterns.len == 0)
		return 0;
	if (name.len > TABLE_KEY_MAX)
		name.len = TABLE_KEY_MAX;
	folded = BUF_INIT(TABLE_KEY_MAX);
	table_fold(name, &folded);
	s = buf_span(&folded);
	rc = match(m, &s, a, why);
	buf_fini(&folded);
	return rc;
}

int
match_parent_flag(const char *title)
{
	struct span rest = span_of(conf.parent_domain_matches_subdomains);
	struct span word;

	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, title))
			return MATCH_PARENT;
	return 0;
}
