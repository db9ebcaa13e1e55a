/* SPDX-License-Identifier: ISC */
/*
 * allowed - the files and tables that clients may name, because the
 * configuration names them.
 */
#include "base/hash.h"
#include "keyd/keyd.h"
#include "tls/named.h"
#include "tls/settings.h"

#define SEPARATORS	", \t\r\n"

static struct hash files = { NULL, 0, 0 }, tables = { NULL, 0, 0 };

static char yes[] = "";

static void
allow(void *arg, const char *value, bool is_table)
{
	struct span rest = span_of(value), word;

	if (is_table) {
		(void)hash_put(&tables, span_of(value), yes);
		return;
	}
	while (span_token(&rest, SEPARATORS, &word))
		(void)hash_put(&files, word, yes);
}

static void
allow_named(void *arg, const struct tls_named *n)
{
	allow(arg, n->value, n->table);
}

void
allowed_load(void)
{
	hash_fini(&files, NULL);
	hash_fini(&tables, NULL);
	/* Whatever is named, also what another setting stands in front of. */
	tls_settings_files(allow, NULL);
	tls_named_each(allow_named, NULL);
}

static void
one_file(struct hash_entry *e, void *arg)
{
	folders_add_files(e->key);
}

static void
one_table(struct hash_entry *e, void *arg)
{
	folders_add_table(e->key);
	names_add(e->key);
}

void
allowed_folders(void)
{
	hash_each(&files, one_file, NULL);
	hash_each(&tables, one_table, NULL);
}

bool
allowed_files(struct span list)
{
	struct span word;
	size_t n = 0;

	while (span_token(&list, SEPARATORS, &word)) {
		if (hash_get(&files, word) == NULL)
			return false;
		n++;
	}
	return n > 0;
}

bool
allowed_table(struct span table)
{
	return hash_get(&tables, table) != NULL;
}
