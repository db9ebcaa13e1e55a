/* SPDX-License-Identifier: ISC */
/*
 * named - see named.h.
 */
#include "tls/named.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "tls/settings.h"

/* What a program of master.cf shows of certificates. */
static const struct program {
	const char	*command;
	int		 server;	/* enum tls_service; -1: it is a client */
	/* Where its settings come from, the nearest first. */
	const char	*from[3];
} programs[] = {
	{ "smtpd", TLS_SMTPD, { "smtpd" } },
	{ "lmtpd", TLS_LMTPD, { "smtpd" } },
	{ "imapd", TLS_IMAPD, { "imapd", "mua", "smtpd" } },
	{ "pop3d", TLS_POP3D, { "pop3d", "mua", "smtpd" } },
	{ "smtp", -1, { "smtp" } },
	{ "lmtp", -1, { "lmtp" } },
};

struct walk {
	void		(*fn)(void *arg, const struct tls_named *n);
	void		*arg;
	const struct program *program;
	const struct service *service;	/* NULL: main.cf */
};

/* The parameter that a program's files come from. */
static const char *
files_param(const struct program *p)
{
	static const char *const ends[] = {
		"chain_files", "cert_file", "eccert_file", "key_file",
		"eckey_file",
	};
	const struct param_row *row = NULL;

	for (size_t i = 0; i < ARRAY_LEN(p->from) && p->from[i] != NULL; i++)
		for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
			char *name = mem_printf("%s_tls_%s", p->from[i],
			    ends[k]);
			char *value = params_get(name);
			bool set = value != NULL && value[0] != '\0';

			row = params_row(name);
			mem_free(value);
			mem_free(name);
			if (set)
				return row->name;
		}
	return row->name;
}

static void
give(const struct walk *w, const char *param, const char *value, bool table)
{
	const struct service *s = w->service;
	const char *origin = params_origin(param);
	char *who = s == NULL ? mem_strdup(w->program->command) :
	    mem_printf("%s (%s)", s->name, s->command);

	/* An option is found on the line of its service. */
	w->fn(w->arg, &(struct tls_named){ .who = who,
	    .origin = s != NULL && strcmp(origin, "-o") == 0 ? s->origin :
	    origin, .param = param, .value = value, .table = table });
	mem_free(who);
}

/* The files of a program, with the settings as they are. */
static void
give_files(void *arg)
{
	const struct walk *w = arg;
	struct tls_settings s;
	char *files;

	if (w->program->server < 0) {
		files = tls_client_files(w->program->from[0][0] == 'l');
	} else {
		tls_settings_get((enum tls_service)w->program->server, &s);
		files = s.files;
	}
	if (files[0] != '\0')
		give(w, files_param(w->program), files, false);
	mem_free(files);
}

static void
give_table(void *arg)
{
	if (conf.tls_server_sni_maps[0] != '\0')
		give(arg, "tls_server_sni_maps", conf.tls_server_sni_maps, true);
}

/* --- master.cf ------------------------------------------------------------------------ */

static void
problem(void *arg, bool is_error, const char *line)
{
	/* Whoever starts the services has said it. */
	log_debug("%s", line);
}

/* What of a service's options is about certificates. */
static void
look_at_options(const struct service *s, bool *files, bool *table)
{
	for (size_t i = 0; i < s->overrides.len; i++) {
		const char *text = s->overrides.v[i];
		char *name = mem_strndup(text, strcspn(text, "= \t"));
		bool is_table;

		if (tls_settings_is_files(name, &is_table))
			*(is_table ? table : files) = true;
		mem_free(name);
	}
}

static void
walk_service(struct walk *w)
{
	const struct service *s = w->service;
	ARRAY(const char *) over = ARRAY_EMPTY;
	bool files = false, table = false;
	char *name;

	w->program = NULL;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (strcmp(programs[i].command, s->command) == 0)
			w->program = &programs[i];
	if (w->program == NULL)
		return;
	look_at_options(s, &files, &table);
	name = mem_printf("service_name=%s", s->name);
	for (size_t i = 0; i < s->overrides.len; i++)
		*ARRAY_PUSH(&over) = s->overrides.v[i];
	*ARRAY_PUSH(&over) = name;
	if (files)
		params_with(over.v, over.len, give_files, w);
	if (table && w->program->server >= 0)
		params_with(over.v, over.len, give_table, w);
	mem_free(name);
	ARRAY_FINI(&over);
}

void
tls_named_each(void (*fn)(void *arg, const struct tls_named *n), void *arg)
{
	struct walk w = { .fn = fn, .arg = arg };
	struct master_cf m;

	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		w.program = &programs[i];
		give_files(&w);
	}
	w.program = &programs[0];
	give_table(&w);
	(void)!master_cf_load(params_config_dir(), &m, problem, NULL);
	for (size_t i = 0; i < m.services.len; i++) {
		w.service = &m.services.v[i];
		walk_service(&w);
	}
	master_cf_fini(&m);
}
