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
#include "conf/params.h"
#include "conf/table.h"
#include "conf/values.h"
#include "conf/words.h"
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

static void
scan(struct tables *t, struct span text, bool open_now, unsigned depth)
{
	struct span w;

	while (words_next(&text, &w) != 0) {
		if (span_caseis(w, "check_policy_service")) {
			/* "unix:path" is no table there. */
			(void)words_next(&text, &w);
		} else if (w.p[0] == '{') {
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
scan_value(void *arg, const char *name, struct span value, bool is_class)
{
	tables_scan(arg, value, is_class || is_access(name));
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

	t->by_spec = HASH_INIT;
	t->lists = HASH_INIT;
	values_each(scan_value, t);
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
	struct span w;

	while (words_next(&text, &w) != 0)
		if (hash_find(&t->by_spec, w) == NULL)
			return false;
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
