/* SPDX-License-Identifier: ISC */
/*
 * params_names - the names of settings: which there are beside the rows, what
 * an administrator has made for himself, and what may have been meant.
 */
#include <ctype.h>

#include "base/hash.h"
#include "base/mem.h"
#include "conf/cf_file.h"
#include "conf/params_priv.h"

#define NEAR_MAX	3		/* edits to what may have been meant */

#define KNOWN(n)	n,
#define MISSED(n, says)	n,
static const char *const known[] = {
#include "conf/params_known.def"
};
#undef KNOWN
#undef MISSED

#define KNOWN(n)
#define MISSED(n, says)	{ n, says },
static const struct {
	const char	*name, *says;
} missed[] = {
#include "conf/params_known.def"
};
#undef KNOWN
#undef MISSED

/* What qmgr and others look for behind the name of a transport. */
static const char *const transport_suffixes[] = {
	"_delivery_slot_cost", "_delivery_slot_discount",
	"_delivery_slot_loan", "_destination_concurrency_failed_cohort_limit",
	"_destination_concurrency_limit",
	"_destination_concurrency_negative_feedback",
	"_destination_concurrency_positive_feedback",
	"_destination_rate_delay", "_destination_recipient_limit",
	"_extra_recipient_limit", "_initial_destination_concurrency",
	"_minimum_delivery_slots", "_recipient_limit",
	"_recipient_refill_delay", "_recipient_refill_limit",
	"_time_limit", "_transport_rate_delay", NULL
};

/* Set by daemon_main for one process; elsewhere they make no sense. */
const char *const params_not_in_main_cf[] = {
	"process_id", "process_name", "service_name", NULL
};

/* What has another name today. */
static const char *const old_names[][2] = {
	{ "lmtp_enforce_tls", "lmtp_tls_security_level" },
	{ "lmtp_tls_enforce_peername", "lmtp_tls_security_level" },
	{ "lmtp_tls_per_site", "lmtp_tls_policy_maps" },
	{ "lmtp_use_tls", "lmtp_tls_security_level" },
	{ "smtp_enforce_tls", "smtp_tls_security_level" },
	{ "smtp_tls_enforce_peername", "smtp_tls_security_level" },
	{ "smtp_tls_per_site", "smtp_tls_policy_maps" },
	{ "smtp_use_tls", "smtp_tls_security_level" },
	{ "smtpd_enforce_tls", "smtpd_tls_security_level" },
	{ "smtpd_use_tls", "smtpd_tls_security_level" },
};

const char *
params_name_today(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(old_names); i++)
		if (strcmp(name, old_names[i][0]) == 0)
			return old_names[i][1];
	return NULL;
}

static int
by_text(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

bool
params_is_known(const char *name)
{
	return bsearch(name, known, ARRAY_LEN(known), sizeof(known[0]),
	    by_text) != NULL;
}

const char *const *
params_transport_suffixes(void)
{
	return transport_suffixes;
}

/* Enter every name that text uses as $name, ${name or $(name. */
static void
collect_references(struct hash *refs, struct span text)
{
	ptrdiff_t at;
	bool made;

	while ((at = span_find(text, '$')) >= 0) {
		size_t n = 0;

		text = span_from(text, (size_t)at + 1);
		while (text.len > 0 && (text.p[0] == '{' || text.p[0] == '(' ||
		    text.p[0] == ' '))
			text = span_from(text, 1);
		while (n < text.len && (text.p[n] == '_' ||
		    isalnum((unsigned char)text.p[n])))
			n++;
		if (n > 0)
			(void)hash_enter(refs, span_sub(text, 0, n), &made);
		text = span_from(text, n);
	}
}

static void
collect_from_file(struct hash *refs, const char *path)
{
	struct cf_file f;

	if (cf_file_open(&f, path, CF_CONFIG_MAX, NULL) == -1)
		return;
	collect_references(refs, f.rest);
	cf_file_close(&f);
}

/* Names that the administrator made: used somewhere, so they are no typos. */
static void
collect_all(struct hash *refs)
{
	struct span rest, word;
	struct cf_paths paths;
	char *classes = params_loading_get("smtpd_restriction_classes");
	char *path;
	bool made;

	for (size_t i = 0; i < params_loading->cf.settings.len; i++)
		collect_references(refs,
		    span_of(params_loading->cf.settings.v[i]->value));
	rest = span_of(classes);
	while (span_token(&rest, ", \t\r\n", &word))
		(void)hash_enter(refs, word, &made);
	mem_free(classes);
	path = mem_printf("%s/master.cf", params_config_dir());
	collect_from_file(refs, path);
	mem_free(path);
	path = mem_printf("%s/master.cf.d", params_config_dir());
	if (cf_drop_ins(path, ".cf", &paths, NULL) == 0) {
		for (size_t i = 0; i < paths.list.len; i++)
			collect_from_file(refs, paths.list.v[i]);
		cf_paths_fini(&paths);
	}
	mem_free(path);
}

static const char *
transport_suffix(const char *name)
{
	struct span n = span_of(name);

	for (const char *const *s = transport_suffixes; *s != NULL; s++)
		if (span_ends(n, span_of(*s)) && n.len > strlen(*s))
			return *s;
	return NULL;
}

/* "foo_server_host" belongs to a table "ldap:foo". */
static bool
is_table_setting(const char *name)
{
	static const char *const types[] = {
		"ldap:", "mysql:", "pgsql:", "sqlite:", "memcache:", NULL
	};

	for (size_t i = 0; i < params_loading->cf.settings.len; i++) {
		const char *value = params_loading->cf.settings.v[i]->value;

		for (const char *const *t = types; *t != NULL; t++) {
			const char *at = strstr(value, *t);
			size_t n;

			if (at == NULL)
				continue;
			at += strlen(*t);
			n = strcspn(at, ", \t\r\n}");
			if (n > 0 && strncmp(name, at, n) == 0 &&
			    name[n] == '_')
				return true;
		}
	}
	return false;
}

unsigned
params_distance(const char *a, const char *b, unsigned limit)
{
	enum { LONGEST = 80 };
	unsigned d[3][LONGEST + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > LONGEST || nb > LONGEST ||
	    (na > nb ? na - nb : nb - na) > limit)
		return limit + 1;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *row = d[i % 3], *up = d[(i + 2) % 3];
		unsigned *up2 = d[(i + 1) % 3], best;

		best = row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned v = up[j - 1] + (a[i - 1] != b[j - 1]);

			v = MIN(v, MIN(up[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				v = MIN(v, up2[j - 2] + 1);
			row[j] = v;
			best = MIN(best, v);
		}
		if (best > limit)
			return limit + 1;
	}
	return d[na % 3][nb];
}

static const char *
nearest(const char *name)
{
	const char *best = NULL;
	unsigned found = NEAR_MAX + 1, d;
	size_t n_rows;
	const struct param_row *rows = params_rows(&n_rows);

	for (size_t i = 0; i < n_rows; i++) {
		d = params_distance(name, rows[i].name, found - 1);
		if (d < found) {
			found = d;
			best = rows[i].name;
		}
		if (found == 1)
			return best;
	}
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		d = params_distance(name, known[i], found - 1);
		if (d < found) {
			found = d;
			best = known[i];
		}
		if (found == 1)
			break;
	}
	/* Three edits make any short word into any other. */
	return best != NULL && found * 3 <= strlen(name) ? best : NULL;
}

/* What is so instead of what the setting says; NULL: nobody will miss it. */
static const char *
missed_says(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(missed); i++)
		if (strcmp(name, missed[i].name) == 0)
			return missed[i].says;
	return NULL;
}

/* Warn of a setting without effect, when it or what it is short for is one. */
static void
tell_missed(struct params_load *l, const struct main_cf_setting *s,
    const char *name)
{
	const char *says = missed_says(name);

	if (says != NULL && s->value[0] != '\0')
		params_problem(l->problem, l->arg, false, s->origin,
		    "%s has no effect here: %s", s->name, says);
}

/* A setting that has no row. */
static void
check_foreign(struct params_load *l, const struct main_cf_setting *s,
    const struct hash *refs)
{
	const char *suffix = transport_suffix(s->name), *near;
	const struct param_row *row;
	struct buf b = BUF_INIT(PARAM_VALUE_MAX);
	char *def;
	int64_t v;

	if (suffix != NULL) {
		def = mem_printf("default%s", suffix);
		row = params_row(def);
		tell_missed(l, s, def);
		mem_free(def);
		if (row == NULL)
			row = params_row(suffix + 1);
		if (row != NULL && row->type != PARAM_STR &&
		    params_expand(s->value, &b, NULL) == 0 &&
		    param_parse_number(span_trim(buf_span(&b)), row, &v) == -1)
			params_bad_value(l, row, s->origin, b.data);
		buf_fini(&b);
		return;
	}
	if (params_is_known(s->name)) {
		tell_missed(l, s, s->name);
		return;
	}
	if (hash_find(refs, span_of(s->name)) != NULL ||
	    is_table_setting(s->name))
		return;
	near = nearest(s->name);
	if (near != NULL)
		params_problem(l->problem, l->arg, false, s->origin,
		    "unknown parameter %s: did you mean %s?", s->name, near);
	else
		params_problem(l->problem, l->arg, false, s->origin,
		    "unknown parameter %s", s->name);
}

enum param_origin
params_kind(const char *name)
{
	struct hash refs = HASH_INIT;
	bool used;

	if (params_row(name) != NULL)
		return PARAM_BUILTIN;
	if (transport_suffix(name) != NULL)
		return PARAM_SERVICE;
	if (params_is_known(name))
		return PARAM_POSTFIX;
	collect_all(&refs);
	used = hash_find(&refs, span_of(name)) != NULL ||
	    is_table_setting(name);
	hash_fini(&refs, NULL);
	return used ? PARAM_USER : PARAM_UNKNOWN;
}

void
params_check_names(struct params_load *l)
{
	struct hash refs = HASH_INIT;
	bool collected = false;

	if (l->problem == NULL)
		return;
	for (size_t i = 0; i < params_loading->cf.settings.len; i++) {
		const struct main_cf_setting *s = params_loading->cf.settings.v[i];

		if (params_row(s->name) != NULL) {
			if (!s->override && params_in_list(params_not_in_main_cf, s->name))
				params_problem(l->problem, l->arg, false,
				    s->origin, "%s cannot be set in main.cf",
				    s->name);
			continue;
		}
		if (!collected) {
			collect_all(&refs);
			collected = true;
		}
		check_foreign(l, s, &refs);
	}
	hash_fini(&refs, NULL);
}

const char *
params_source(const char *name)
{
	const struct param_row *row = params_row(name), *next;

	while (row != NULL && !params_loading_is_set(row->name)) {
		next = row->def[0] == '$' ? params_row(row->def + 1) : NULL;
		if (next == NULL)
			break;
		row = next;
	}
	return row != NULL ? row->name : name;
}

void
params_check_name(struct params_load *l, const struct main_cf_setting *s)
{
	struct hash refs = HASH_INIT;

	collect_all(&refs);
	check_foreign(l, s, &refs);
	hash_fini(&refs, NULL);
}
