/* SPDX-License-Identifier: ISC */
/*
 * names - server names to sets, by tls_server_sni_maps.
 *
 * What a value may be says tls_sni_is_pem().
 */
#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "keyd/keyd.h"

static struct hash tables = { NULL, 0, 0 };	/* struct maps by value */

static void
free_maps(void *value)
{
	struct maps *m = value;

	maps_free(&m);
}

static struct maps *
open_maps(struct span value, struct why *why)
{
	char *text = span_dup(value);
	struct maps *m = maps_new("tls_server_sni_maps", text, TABLE_FOLD,
	    why);

	mem_free(text);
	if (m != NULL)
		(void)hash_put(&tables, value, m);
	return m;
}

void
names_add(struct span table)
{
	struct why why = WHY_INIT;

	if (hash_get(&tables, table) == NULL)
		(void)open_maps(table, &why);
}

int
names_open(struct why *why)
{
	struct span value = span_of(conf.tls_server_sni_maps);

	hash_fini(&tables, free_maps);
	return value.len == 0 || open_maps(value, why) != NULL ? 0 : -1;
}

/* What a table's value stands for. */
static const struct tls_set *
set_of_value(struct span value, struct why *why)
{
	struct buf pem = BUF_SECRET(TLS_FILE_MAX);
	const struct tls_set *set;

	value = span_trim(value);
	if (tls_sni_is_pem(value, &pem))
		set = sets_get(buf_span(&pem), true, why);
	else
		set = sets_get(value, false, why);
	buf_wipe(&pem);
	return set;
}

/* The name, then ".domain" for each domain above it. */
static int
look_up(struct maps *m, struct span name, struct buf *value, struct why *why)
{
	bool partial = false;

	for (;;) {
		ptrdiff_t dot;
		int rc = maps_get(m, name, partial, value, why);

		if (rc != 0)
			return rc;
		dot = span_find(span_from(name, 1), '.');
		if (dot < 0)
			return 0;
		name = span_from(name, (size_t)dot + 1);
		partial = true;
	}
}

int
names_find(struct span table, struct span name, const struct tls_set **set,
    struct why *why)
{
	struct maps *m = hash_get(&tables, table);
	struct buf value = BUF_INIT(TLS_FILE_MAX * 2);
	int rc;

	if (name.len == 0 || name.p[0] == '.')
		return 0;
	if (m == NULL)
		m = open_maps(table, why);
	if (m == NULL)
		return -1;
	rc = look_up(m, name, &value, why);
	if (rc == 1) {
		*set = set_of_value(buf_span(&value), why);
		if (*set == NULL)
			rc = -1;
	}
	buf_wipe(&value);
	return rc;
}

/* --- folders -------------------------------------------------------------------------------------- */

static bool
add_entry(void *arg, struct span key, struct span value)
{
	struct buf pem = BUF_SECRET(TLS_FILE_MAX);

	value = span_trim(value);
	if (!tls_sni_is_pem(value, &pem))
		folders_add_files(value);
	buf_wipe(&pem);
	return true;
}

static void
table_folders(struct hash_entry *e, void *arg)
{
	struct why why = WHY_INIT;

	if (maps_each(e->value, add_entry, NULL, &why) < 0)
		folders_everywhere();
}

void
names_folders(void)
{
	hash_each(&tables, table_folders, NULL);
}

/* --- the check ------------------------------------------------------------------------------------ */

struct check {
	const char	*who;
	bool		 bad;
};

static bool
check_entry(void *arg, struct span key, struct span value)
{
	struct check *c = arg;
	struct why why = WHY_INIT;
	struct tls_set *set = tls_set_of_sni(value, TLS_SET_DATES, &why);

	if (set == NULL) {
		log_error("%s: %.*s: %s", c->who, SPAN_ARG(key), why.text);
		c->bad = true;
	}
	tls_set_free(&set);
	return true;
}

int
names_check(struct span table, const char *who)
{
	struct check c = { .who = who };
	struct why why = WHY_INIT;
	struct maps *m = hash_get(&tables, table);

	if (m == NULL)
		m = open_maps(table, &why);
	if (m == NULL || maps_each(m, check_entry, &c, &why) < 0) {
		/* who ends with the parameter's name, and why begins with it. */
		const char *text = why.text;
		struct span name = SPAN("tls_server_sni_maps: ");

		if (span_starts(span_of(text), name))
			text += name.len;
		log_error("%s: %s", who, text);
		return -1;
	}
	return c.bad ? -1 : 0;
}
