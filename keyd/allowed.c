/* SPDX-License-Identifier: ISC */
/*
 * allowed - the files and tables that clients may name, because the
 * configuration names them.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "keyd/keyd.h"
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

/* "-o smtpd_tls_chain_files=..." of a service. */
static void
allow_override(const char *text)
{
	const char *eq = strchr(text, '=');
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	bool is_table;
	char *name;

	if (eq == NULL)
		return;
	name = mem_strndup(text, (size_t)(eq - text));
	if (tls_settings_is_files(name, &is_table)) {
		if (params_expand(eq + 1, &value, &why) < 0)
			log_warning("master.cf: %s: %s", text, why.text);
		else if (value.len > 0)
			allow(NULL, value.data, is_table);
	}
	buf_fini(&value);
	mem_free(name);
}

static void
problem(void *arg, bool is_error, const char *line)
{
	/* master has said it already. */
	log_debug("%s", line);
}

int
allowed_load(struct why *why)
{
	struct master_cf m;

	hash_fini(&files, NULL);
	hash_fini(&tables, NULL);
	tls_settings_files(allow, NULL);
	(void)!master_cf_load(params_config_dir(), &m, problem, NULL);
	for (size_t i = 0; i < m.services.len; i++) {
		struct service *s = &m.services.v[i];

		for (size_t k = 0; k < s->overrides.len; k++)
			allow_override(s->overrides.v[k]);
	}
	master_cf_fini(&m);
	return 0;
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
