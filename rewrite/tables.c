/* SPDX-License-Identifier: ISC */
/*
 * tables - the tables that clients may ask for by name: those that the
 * configuration names, and no others, so that who takes over a client cannot
 * read files of their choosing through us.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "conf/table.h"
#include "rewrite/rewrite.h"

#define RETRY_MS	1000		/* between attempts to open one */
#define LISTS_MAX	100		/* lists of tables kept open */
#define SCAN_DEPTH_MAX	20		/* { { ... } } in a setting */

struct entry {
	char		*spec;
	struct table	*table;		/* NULL: not open */
	int64_t		 next_ms;
	struct why	 why;
};

struct tables {
	struct hash	by_spec;
	struct hash	lists;		/* text -> struct maps */
};

static int
entry_open(struct entry *e)
{
	int64_t now = clock_mono_ms();

	if (e->table != NULL)
		return 0;
	if (now < e->next_ms)
		return -1;
	e->next_ms = now + RETRY_MS;
	e->why = WHY_INIT;
	e->table = table_open(e->spec, TABLE_FOLD, &e->why);
	if (e->table == NULL) {
		log_warning("cannot open %s: %s", e->spec, e->why.text);
		return -1;
	}
	return 0;
}

static void
entry_free(void *arg)
{
	struct entry *e = arg;

	table_close(&e->table);
	mem_free(e->spec);
	mem_free(e);
}

static bool
is_table_type(struct span type)
{
	const char *const *t = table_types();

	/* proxymap's prefix: look-ups happen here anyway. */
	if (span_is(type, "proxy"))
		return true;
	for (; *t != NULL; t++)
		if (span_is(type, *t))
			return true;
	return false;
}

static void
add(struct tables *t, struct span word, bool open_now)
{
	ptrdiff_t colon = span_find(word, ':');
	struct hash_entry *h;
	struct entry *e;
	bool made;

	if (colon <= 0 || !is_table_type(span_sub(word, 0, (size_t)colon)))
		return;
	h = hash_enter(&t->by_spec, word, &made);
	if (made) {
		e = mem_zalloc(sizeof(*e));
		e->spec = span_dup(word);
		h->value = e;
	}
	if (open_now)
		(void)entry_open(h->value);
}

static bool
is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

/* A word ends at a separator that is not within braces. */
static struct span
take_word(struct span *s)
{
	size_t depth = 0, i;
	struct span w;

	for (i = 0; i < s->len; i++) {
		if (s->p[i] == '{')
			depth++;
		else if (s->p[i] == '}' && depth > 0)
			depth--;
		else if (depth == 0 && is_separator(s->p[i]))
			break;
	}
	w = span_sub(*s, 0, i);
	*s = span_from(*s, i);
	return w;
}

static void
scan(struct tables *t, struct span text, bool open_now, unsigned depth)
{
	while (text.len > 0) {
		struct span w;

		if (is_separator(text.p[0])) {
			text = span_from(text, 1);
			continue;
		}
		w = take_word(&text);
		if (w.p[0] == '{') {
			/* { check_client_access hash:/a }, { name = value } */
			w = span_sub(w, 1, w.len - 1 -
			    (w.p[w.len - 1] == '}' && w.len > 1));
			if (depth < SCAN_DEPTH_MAX)
				scan(t, w, open_now, depth + 1);
		} else {
			if (w.p[0] == '!')
				w = span_from(w, 1);
			add(t, w, open_now);
		}
	}
}

void
tables_scan(struct tables *t, struct span text, bool open_now)
{
	scan(t, text, open_now, 0);
}

/* Settings whose tables are opened at once, while we may open what only root
 * may read: passwords for other hosts are such files. */
static bool
is_access(const char *name)
{
	struct span s = span_of(name);

	return span_starts(s, SPAN("smtpd_")) || span_starts(s, SPAN("lmtpd_"))
	    || span_ends(s, SPAN("_sasl_password_maps"));
}

static void
scan_setting(struct tables *t, const char *name, bool open_now)
{
	char *value = params_get(name);

	if (value != NULL)
		tables_scan(t, span_of(value), open_now);
	mem_free(value);
}

static void
scan_classes(struct tables *t)
{
	char *list = params_get("smtpd_restriction_classes");
	struct span rest = span_of(list), word;

	while (span_token(&rest, " \t\r\n,", &word)) {
		char *name = span_dup(word);

		scan_setting(t, name, true);
		mem_free(name);
	}
	mem_free(list);
}

static void
no_report(void *arg, bool is_error, const char *line)
{
}

/* As the service itself will read it: "$name" and "$$" stand for others. */
static void
scan_override(struct tables *t, const char *text)
{
	const char *eq = strchr(text, '=');
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	/* master has reported what cannot be expanded. */
	if (eq != NULL && params_expand(eq + 1, &value, &why) == 0)
		tables_scan(t, buf_span(&value), is_access(text));
	buf_fini(&value);
}

/* Services have settings of their own: "-o name=value". */
static void
scan_services(struct tables *t)
{
	struct master_cf m = { ARRAY_EMPTY };

	/* master has reported what is wrong with the file. */
	if (master_cf_load(params_config_dir(), &m, no_report, NULL) < 0)
		return;
	for (size_t i = 0; i < m.services.len; i++) {
		const struct service *s = &m.services.v[i];

		for (size_t k = 0; k < s->overrides.len; k++) {
			scan_override(t, s->overrides.v[k]);
		}
	}
	master_cf_fini(&m);
}

/* What cannot be opened any more, for we are not root, stays open. */
static void
keep_open(struct hash_entry *h, void *arg)
{
	struct tables *old = arg;
	struct entry *e = h->value, *was = hash_get(&old->by_spec, h->key);

	if (e->table != NULL || was == NULL || was->table == NULL)
		return;
	e->table = was->table;
	was->table = NULL;
}

void
tables_adopt(struct tables *t, struct tables *old)
{
	hash_each(&t->by_spec, keep_open, old);
}

struct tables *
tables_new(void)
{
	struct tables *t = mem_zalloc(sizeof(*t));
	const struct param_row *rows;
	size_t n;

	t->by_spec = HASH_INIT;
	t->lists = HASH_INIT;
	rows = params_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].type == PARAM_STR)
			scan_setting(t, rows[i].name, is_access(rows[i].name));
	scan_classes(t);
	scan_services(t);
	return t;
}

static void
list_free(void *arg)
{
	struct maps *m = arg;

	maps_free(&m);
}

void
tables_free(struct tables **tp)
{
	struct tables *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	hash_fini(&t->by_spec, entry_free);
	hash_fini(&t->lists, list_free);
	mem_free(t);
}

bool
tables_names(const struct tables *t, const char *spec)
{
	return hash_find(&t->by_spec, span_of(spec)) != NULL;
}

struct table *
tables_find(struct tables *t, struct span spec, bool *known, struct why *why)
{
	struct entry *e = hash_get(&t->by_spec, spec);

	*known = e != NULL;
	if (e == NULL) {
		(void)why_set(why, "5.7.1", "no setting names this table");
		return NULL;
	}
	if (entry_open(e) < 0) {
		*why = e->why;
		return NULL;
	}
	return e->table;
}

static bool
names_all(struct tables *t, struct span text)
{
	while (text.len > 0) {
		struct span w;

		if (is_separator(text.p[0])) {
			text = span_from(text, 1);
			continue;
		}
		w = take_word(&text);
		if (hash_find(&t->by_spec, w) == NULL)
			return false;
	}
	return true;
}

struct maps *
tables_maps(struct tables *t, struct span text, bool *known, struct why *why)
{
	struct maps *m = hash_get(&t->lists, text);
	char *value;

	*known = true;
	if (m != NULL)
		return m;
	*known = names_all(t, text);
	if (!*known) {
		(void)why_set(why, "5.7.1", "no setting names this table");
		return NULL;
	}
	/* As many as there are settings: a client can only permute them. */
	if (t->lists.count >= LISTS_MAX) {
		hash_fini(&t->lists, list_free);
		t->lists = HASH_INIT;
	}
	value = span_dup(text);
	m = maps_new("table", value, TABLE_FOLD, why);
	mem_free(value);
	if (m != NULL)
		(void)hash_put(&t->lists, text, m);
	return m;
}
