/* SPDX-License-Identifier: ISC */
/*
 * postconf_service - the settings that exist because master.cf has a service
 * for them: a transport's, as smtp_destination_rate_delay, and the time limit
 * of commands.
 */
#include "cmd/postconf.h"

#include "base/mem.h"
#include "conf/cf_file.h"
#include "conf/master_cf.h"
#include "conf/params.h"

static bool
is_one_of(const char *const *list, const char *word)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

/* Whether a service that runs this program has the setting. */
static bool
has_setting(const char *program, const char *suffix)
{
	static const char *const agents[] = {
		"smtp", "lmtp", "local", "virtual", "pipe", "error", NULL
	};
	static const char *const commands[] = { "pipe", "spawn", NULL };

	return is_one_of(strcmp(suffix, "_time_limit") == 0 ? commands
	    : agents, program);
}

static void
add_service(const struct service_text *s, struct hash *out)
{
	const char *const *suffixes = params_transport_suffixes();

	for (; *suffixes != NULL; suffixes++) {
		char *name, *def;

		if (!has_setting(s->columns[MASTER_COMMAND], *suffixes))
			continue;
		name = mem_printf("%s%s", s->columns[MASTER_NAME], *suffixes);
		def = params_transport_default(*suffixes);
		if (def != NULL && params_row(name) == NULL)
			mem_free(hash_put(out, span_of(name), def));
		else
			mem_free(def);
		mem_free(name);
	}
}

static void
add_file(const char *path, struct hash *out)
{
	struct master_cf_text text;

	/* What is wrong in it is for "mansio check" to say. */
	if (master_cf_read(path, &text, NULL, NULL) == 0)
		for (size_t i = 0; i < text.services.len; i++)
			add_service(&text.services.v[i], out);
	master_cf_text_fini(&text);
}

void
postconf_read_services(struct postconf *p)
{
	char *path = mem_printf("%s/master.cf", p->config_dir);
	char *dir = mem_printf("%s/master.cf.d", p->config_dir);
	struct cf_paths drop_ins;

	add_file(path, &p->defaults_of);
	if (cf_drop_ins(dir, ".cf", &drop_ins, NULL) == 0) {
		for (size_t i = 0; i < drop_ins.list.len; i++)
			add_file(drop_ins.list.v[i], &p->defaults_of);
		cf_paths_fini(&drop_ins);
	}
	mem_free(path);
	mem_free(dir);
}
