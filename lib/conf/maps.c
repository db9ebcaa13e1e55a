/* SPDX-License-Identifier: ISC */
/*
 * maps - a list of tables, first answer wins.
 *
 * A table that cannot be opened must not be skipped, for then its users would
 * not exist: a look-up that comes to it fails as temporary, and it is tried
 * again once a second.
 */
#include "conf/table_priv.h"
#include "conf/maps_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define RETRY_MS	1000
#define MAPS_MAX	1000

struct maps {
	char		*title;
	int		 flags;
	ARRAY(struct late_table *) list;
	size_t		 last;		/* that gave an answer */
};

struct late_table {
	char		*spec;
	int		 flags;
	struct table	*table;		/* NULL: not open */
	int64_t		 tried_ms;
	struct why	 why;
};

/* Whether opening failed for what is written, not for the state of a file. */
static bool
is_syntax(struct span spec)
{
	ptrdiff_t colon;

	while (span_starts(spec, SPAN("proxy:")))
		spec = span_from(spec, strlen("proxy:"));
	colon = span_find(spec, ':');
	if (colon <= 0)
		return true;
	for (const char *const *t = table_types(); *t != NULL; t++)
		if (span_is(span_sub(spec, 0, (size_t)colon), *t))
			return span_from(spec, (size_t)colon + 1).len == 0 ||
			    spec.p[colon + 1] != '/';
	return true;
}

struct late_table *
late_table_new(const char *title, struct span spec, int flags,
    struct why *why)
{
	struct late_table *l = mem_zalloc(sizeof(*l));

	l->spec = span_dup(spec);
	l->flags = flags;
	l->tried_ms = clock_mono_ms();
	l->table = table_open(l->spec, flags, &l->why);
	if (l->table == NULL) {
		if (is_syntax(spec)) {
			why_set(why, "4.3.5", "%s: %s", title, l->why.text);
			late_table_free(&l);
			return NULL;
		}
		log_warning("%s: %s", title, l->why.text);
	}
	return l;
}

void
late_table_free(struct late_table **lp)
{
	struct late_table *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	table_close(&l->table);
	mem_free(l->spec);
	mem_free(l);
}

struct table *
late_table_get(struct late_table *l, struct why *why)
{
	int64_t now;

	if (l->table != NULL)
		return l->table;
	now = clock_mono_ms();
	if (now - l->tried_ms >= RETRY_MS) {
		l->tried_ms = now;
		l->table = table_open(l->spec, l->flags, &l->why);
		if (l->table != NULL)
			return l->table;
	}
	why_set(why, "4.3.0", "table %s is unavailable: %s", l->spec,
	    l->why.text);
	return NULL;
}

const char *
late_table_spec(const struct late_table *l)
{
	return l->spec;
}

struct maps *
maps_new(const char *title, const char *value, int flags, struct why *why)
{
	struct maps *m = mem_zalloc(sizeof(*m));
	struct span rest = span_of(value), item;
	bool braced;
	int rc;

	m->title = mem_strdup(title);
	m->flags = flags;
	while ((rc = table_next_item(&rest, &item, &braced)) == 1) {
		struct late_table *l;

		if (item.len == 0)
			continue;
		if (m->list.len >= MAPS_MAX) {
			why_set(why, "4.3.5", "%s: more than %d tables",
			    title, MAPS_MAX);
			maps_free(&m);
			return NULL;
		}
		l = late_table_new(title, item, flags, why);
		if (l == NULL) {
			maps_free(&m);
			return NULL;
		}
		*ARRAY_PUSH(&m->list) = l;
	}
	if (rc == -1) {
		why_set(why, "4.3.5", "%s: braces do not match in \"%s\"",
		    title, value);
		maps_free(&m);
	}
	return m;
}

void
maps_free(struct maps **mp)
{
	struct maps *m = *mp;

	if (m == NULL)
		return;
	*mp = NULL;
	for (size_t i = 0; i < m->list.len; i++)
		late_table_free(&m->list.v[i]);
	ARRAY_FINI(&m->list);
	mem_free(m->title);
	mem_free(m);
}

bool
maps_empty(const struct maps *m)
{
	return m->list.len == 0;
}

int
maps_get(struct maps *m, struct span key, bool partial, struct buf *out,
    struct why *why)
{
	for (size_t i = 0; i < m->list.len; i++) {
		struct table *t = late_table_get(m->list.v[i], why);
		int rc;

		if (t == NULL) {
			why_prefix(why, "%s", m->title);
			return -1;
		}
		if (partial && table_is_pattern(t))
			continue;
		rc = table_get(t, key, out, why);
		if (rc == -1)
			why_prefix(why, "%s", m->title);
		if (rc == 1)
			m->last = i;
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
maps_each(struct maps *m, table_each_fn *fn, void *arg, struct why *why)
{
	for (size_t i = 0; i < m->list.len; i++) {
		struct table *t = late_table_get(m->list.v[i], why);
		struct why cannot = WHY_INIT;

		if (t == NULL)
			return -1;
		if (table_each(t, fn, arg, &cannot) < 0)
			log_debug("%s: %s: %s", m->title, m->list.v[i]->spec,
			    cannot.text);
	}
	return 0;
}

/* --- what is in them --------------------------------------------------------- */

struct judging {
	maps_judge_fn	*fn;
	size_t		 table;
	const char	*spec;
	unsigned	 looked, bad;
	struct buf	 key;		/* of the first: tables have no order */
	size_t		 key_table;
	struct why	 first;
};

/* Of all that are bad it is always the same that is told of. */
static bool
comes_first(const struct judging *j, struct span key)
{
	return j->bad == 0 || (j->table == j->key_table &&
	    span_cmp(key, buf_span(&j->key)) < 0);
}

static bool
judge_entry(void *arg, struct span key, struct span value)
{
	struct judging *j = arg;
	struct why why = WHY_INIT;

	if (j->looked++ >= MAPS_JUDGE_MAX)
		return false;
	if (j->fn(value, &why) == 0)
		return true;
	if (comes_first(j, key)) {
		buf_reset(&j->key);
		buf_add_span(&j->key, key);
		j->key_table = j->table;
		why_set(&j->first, "4.3.5", "%s: %.*s: %s", j->spec,
		    SPAN_ARG(key), why.text);
	}
	j->bad++;
	return true;
}

/* static: has one value, and no key. */
static bool
judge_static(struct judging *j, struct table *t)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	struct why why = WHY_INIT;
	bool bad = table_get(t, SPAN("x"), &value, &why) == 1 &&
	    j->fn(buf_span(&value), &why) < 0;

	if (bad)
		why_set(&j->first, "4.3.5", "%s: %s", j->spec, why.text);
	buf_fini(&value);
	return bad;
}

int
maps_judge(struct maps *m, maps_judge_fn *fn, bool *all, struct why *why)
{
	struct judging j = { .fn = fn, .first = WHY_INIT,
	    .key = BUF_INIT(BUF_UNLIMITED) };
	struct why cannot = WHY_INIT;

	*all = false;
	for (size_t i = 0; i < m->list.len && !*all; i++) {
		struct table *t = late_table_get(m->list.v[i], &cannot);

		j.table = i;
		j.spec = m->list.v[i]->spec;
		/* Whoever opened it has told of one that cannot be. */
		if (t == NULL)
			continue;
		if (t->type == &table_type_static)
			*all = judge_static(&j, t);
		else
			(void)!table_each(t, judge_entry, &j, &cannot);
	}
	buf_fini(&j.key);
	if (*all || j.bad == 1)
		return why_set(why, "4.3.5", "%s: %s", m->title,
		    j.first.text);
	if (j.bad > 1)
		return why_set(why, "4.3.5", "%s: %s (and %u more)", m->title,
		    j.first.text, j.bad - 1);
	return 0;
}

const char *
maps_last_table(const struct maps *m)
{
	return m->last < m->list.len ? m->list.v[m->last]->spec : "";
}
