/* SPDX-License-Identifier: ISC */
/*
 * params - from the text of main.cf to the struct conf.
 *
 * A load builds everything anew beside the present state and puts it in its
 * place only when there was no error.  Strings in conf are interned and never
 * freed: a daemon that reloads may still hold the old ones, and only values
 * that changed cost anything.
 */
#include "conf/params.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/cf_file.h"
#include "conf/expand.h"
#include "conf/main_cf.h"
#include "conf/params_priv.h"

#define VALUE_MAX	(1 << 20)	/* bytes of an expanded value */
#define NEAR_MAX	3		/* edits to what may have been meant */

struct params conf;

#define ROW(T, n, d, lo_, hi_, v, r, t) {				\
	.name = #n, .type = PARAM_##T, .def = d, .min = #lo_,		\
	.max = #hi_, .values = v, .readers = r, .text = t,		\
	.offset = offsetof(struct params, n), .lo = lo_, .hi = hi_ },
#define P_STR(n, d, r, t)		ROW(STR, n, d, 0, 0, NULL, r, t)
#define P_RAW(n, d, r, t)		ROW(RAW, n, d, 0, 0, NULL, r, t)
#define P_ENUM(n, d, v, r, t)		ROW(ENUM, n, d, 0, 0, v, r, t)
#define P_BOOL(n, d, r, t)		ROW(BOOL, n, d, 0, 0, NULL, r, t)
#define P_INT(n, d, lo, hi, r, t)	ROW(INT, n, d, lo, hi, NULL, r, t)
#define P_SIZE(n, d, lo, hi, r, t)	ROW(SIZE, n, d, lo, hi, NULL, r, t)
#define P_TIME(n, d, lo, hi, r, t)	ROW(TIME, n, d, lo, hi, NULL, r, t)
static struct param_row rows[] = {
#include "conf/params.def"
};

#define KNOWN(n)	n,
static const char *const known[] = {
#include "conf/params_known.def"
};
#undef KNOWN

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

/* In Postfix 0 means unlimited for these; here it is a warning. */
static const char *const zero_is_unlimited[] = {
	"mailbox_size_limit", "message_size_limit",
	"smtpd_client_connection_count_limit",
	"smtpd_client_connection_rate_limit",
	"smtpd_client_message_rate_limit",
	"smtpd_client_recipient_rate_limit", "virtual_mailbox_limit", NULL
};

/* Set by daemon_main for one process; elsewhere they make no sense. */
static const char *const not_in_main_cf[] = {
	"process_id", "process_name", "service_name", NULL
};

struct state {
	struct main_cf	 cf;
	char		*config_dir;
	struct hash	 computed;	/* name to char *: COMPUTED values */
	struct hash	 undefined;	/* names already warned of */
};

static struct state current = { .cf = { .by_name = HASH_INIT } };
static struct state *loading = &current;
static struct hash row_by_name = HASH_INIT;
static struct hash interned = HASH_INIT;

static void
rows_init(void)
{
	if (row_by_name.count > 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].name[0] == 'n' &&
		    isdigit((unsigned char)rows[i].name[1]))
			rows[i].name++;
		hash_put(&row_by_name, span_of(rows[i].name), &rows[i]);
	}
}

const struct param_row *
params_rows(size_t *n)
{
	rows_init();
	*n = ARRAY_LEN(rows);
	return rows;
}

const struct param_row *
params_row(const char *name)
{
	rows_init();
	return hash_get(&row_by_name, span_of(name));
}

static bool
in_list(const char *const *list, const char *name)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
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

static const char *
intern(struct span s)
{
	bool made;
	struct hash_entry *e = hash_enter(&interned, s, &made);

	return e->key.p;
}

/* --- values --------------------------------------------------------------- */

const char *
params_default(const struct param_row *row)
{
	char *text;

	if (row->def[0] != '\001') {
		if (strcmp(row->name, "config_directory") == 0 &&
		    loading->config_dir != NULL)
			return loading->config_dir;
		return row->def;
	}
	text = hash_get(&loading->computed, span_of(row->name));
	if (text == NULL) {
		text = params_compute(row->name);
		mem_free(hash_put(&loading->computed, span_of(row->name),
		    text));
	}
	return text;
}

const char *
params_raw(const char *name)
{
	const struct main_cf_setting *s = main_cf_find(&loading->cf, name);
	const struct param_row *row;

	if (s != NULL)
		return s->value;
	row = params_row(name);
	return row != NULL ? params_default(row) : NULL;
}

struct expansion {
	params_problem_fn	*problem;
	void			*arg;
	const char		*origin;
};

static const char *
look_up(void *arg, struct span name, bool test)
{
	struct expansion *x = arg;
	char *n = span_dup(name);
	const char *value = params_raw(n);
	bool made;

	/* "${name?...}" asks; "$name" means to have it. */
	if (value == NULL && !test && x->problem != NULL) {
		hash_enter(&loading->undefined, name, &made);
		if (made)
			params_problem(x->problem, x->arg, false, x->origin,
			    "undefined parameter: %s", n);
	}
	mem_free(n);
	return value;
}

int
params_expand(const char *text, struct buf *out, struct why *why)
{
	struct expansion x = { .origin = "" };

	return expand_text(text, EXPAND_RECURSE, NULL, look_up, &x, out, why);
}

char *
params_get(const char *name)
{
	struct buf b = BUF_INIT(VALUE_MAX);
	struct why why = WHY_INIT;
	const char *raw = params_raw(name);

	if (raw == NULL)
		return NULL;
	if (params_expand(raw, &b, &why) == -1) {
		log_warning("%s: parameter %s: %s", params_origin(name), name,
		    why.text);
		buf_fini(&b);
		return NULL;
	}
	if (b.len == 0) {
		buf_fini(&b);
		return mem_strdup("");
	}
	return buf_take(&b);
}

char *
params_loading_get(const char *name)
{
	struct buf b = BUF_INIT(VALUE_MAX);
	const char *raw = params_raw(name);

	if (raw == NULL || params_expand(raw, &b, NULL) == -1 || b.len == 0) {
		buf_fini(&b);
		return mem_strdup("");
	}
	return buf_take(&b);
}

bool
params_loading_is_set(const char *name)
{
	return main_cf_find(&loading->cf, name) != NULL;
}

const char *
params_origin(const char *name)
{
	const struct main_cf_setting *s = main_cf_find(&loading->cf, name);

	if (s != NULL)
		return s->origin;
	return params_row(name) != NULL ? "default" : NULL;
}

const char *
params_config_dir(void)
{
	const char *env;

	if (loading->config_dir != NULL)
		return loading->config_dir;
	env = secure_getenv("MAIL_CONFIG");
	return env != NULL && *env != '\0' ? env : SYSCONFDIR "/mansio";
}

/* --- parsing -------------------------------------------------------------- */

static int
parse_size(struct span s, int64_t *out)
{
	uint64_t n, unit = 1;
	char c = s.len > 0 ? s.p[s.len - 1] : '\0';

	switch (tolower((unsigned char)c)) {
	case 'k':
		unit = 1 << 10;
		break;
	case 'm':
		unit = 1 << 20;
		break;
	case 'g':
		unit = 1 << 30;
		break;
	}
	if (unit > 1)
		s.len--;
	if (num_parse_u64(s, INT64_MAX / unit, &n) == -1)
		return -1;
	*out = (int64_t)(n * unit);
	return 0;
}

static int
unit_seconds(char c, int64_t *out)
{
	switch (tolower((unsigned char)c)) {
	case 's':
		*out = 1;
		return 0;
	case 'm':
		*out = 60;
		return 0;
	case 'h':
		*out = 3600;
		return 0;
	case 'd':
		*out = 86400;
		return 0;
	case 'w':
		*out = 7 * 86400;
		return 0;
	}
	return -1;
}

/* A number without unit has that of the default, as in Postfix. */
static int
parse_time(struct span s, const char *def, int64_t *out)
{
	size_t n = strlen(def);
	int64_t unit = 1;
	uint64_t v;

	if (n > 0)
		(void)unit_seconds(def[n - 1], &unit);
	if (s.len > 0 && !isdigit((unsigned char)s.p[s.len - 1])) {
		if (unit_seconds(s.p[s.len - 1], &unit) == -1)
			return -1;
		s.len--;
	}
	if (num_parse_u64(s, (uint64_t)(INT64_MAX / unit), &v) == -1)
		return -1;
	*out = (int64_t)v * unit;
	return 0;
}

static int
parse_enum(struct span s, const struct param_row *row, const char **out)
{
	struct span rest = span_of(row->values), word;

	if (s.len == 0 && row->def[0] == '\0') {
		*out = "";
		return 0;
	}
	while (span_token(&rest, " ", &word)) {
		if (span_eq(word, s) || span_caseeq(word, s)) {
			*out = intern(word);
			return 0;
		}
	}
	return -1;
}

/* What a row allows, for a message: "expected a number from 1 to 1000". */
static void
describe(const struct param_row *row, struct buf *out)
{
	const char *unlimited = row->hi == PARAM_UNLIMITED ? ", or unlimited"
	    : "";

	switch (row->type) {
	case PARAM_BOOL:
		(void)!buf_put_str(out, "yes or no");
		break;
	case PARAM_ENUM:
		(void)!buf_printf(out, "one of: %s%s", row->values,
		    row->def[0] == '\0' ? ", or nothing" : "");
		break;
	case PARAM_TIME:
		(void)!buf_printf(out, "a time such as 30s, 5m, 2h, 1d or 1w, "
		    "from %jds to %jds", (intmax_t)row->lo,
		    (intmax_t)row->hi);
		break;
	default:
		(void)!buf_printf(out, "a number%s",
		    row->type == PARAM_SIZE ? " of bytes (k, m and g may "
		    "follow)" : "");
		if (row->hi == PARAM_UNLIMITED)
			(void)!buf_printf(out, " of at least %jd%s",
			    (intmax_t)row->lo, unlimited);
		else
			(void)!buf_printf(out, " from %jd to %jd",
			    (intmax_t)row->lo, (intmax_t)row->hi);
		break;
	}
}

static int
parse_number(struct span s, const struct param_row *row, int64_t *out)
{
	int64_t v;
	int rc;

	if (row->hi == PARAM_UNLIMITED && span_caseis(s, "unlimited")) {
		*out = PARAM_UNLIMITED;
		return 0;
	}
	if (row->type == PARAM_TIME)
		rc = parse_time(s, row->def, &v);
	else if (row->type == PARAM_SIZE)
		rc = parse_size(s, &v);
	else
		rc = num_parse_i64(s, INT64_MIN, INT64_MAX, &v);
	if (rc == -1 || v < row->lo || v > row->hi)
		return -1;
	*out = v;
	return 0;
}

/* Put an expanded value into its field; -1 when the row does not allow it. */
static int
store(struct params *p, const struct param_row *row, struct span s)
{
	void *field = (char *)p + row->offset;

	switch (row->type) {
	case PARAM_STR:
	case PARAM_RAW:
		*(const char **)field = intern(s);
		return 0;
	case PARAM_ENUM:
		return parse_enum(span_trim(s), row, field);
	case PARAM_BOOL:
		s = span_trim(s);
		if (!span_caseis(s, "yes") && !span_caseis(s, "no"))
			return -1;
		*(bool *)field = span_caseis(s, "yes");
		return 0;
	default:
		return parse_number(span_trim(s), row, field);
	}
}

/* --- loading --------------------------------------------------------------- */

struct load {
	struct params		 values;
	params_problem_fn	*problem;
	void			*arg;
	int			 flags;
	unsigned		 errors;
};

static void
bad_value(struct load *l, const struct param_row *row, const char *origin,
    const char *value)
{
	struct buf want = BUF_INIT(1024);

	describe(row, &want);
	params_problem(l->problem, l->arg, true, origin,
	    "bad value of %s: \"%s\": expected %s", row->name, value,
	    want.data);
	l->errors++;
	buf_fini(&want);
}

static void
store_default(struct load *l, const struct param_row *row)
{
	struct buf b = BUF_INIT(VALUE_MAX);
	struct why why = WHY_INIT;
	const char *text = params_default(row);

	if (row->type == PARAM_RAW)
		buf_add_str(&b, text);
	else if (params_expand(text, &b, &why) == -1)
		buf_reset(&b);		/* a name in it is broken: reported */
	if (store(&l->values, row, buf_span(&b)) == -1)
		log_panic("params.def: bad default of %s: %s", row->name,
		    b.data);
	buf_fini(&b);
}

/* Debian's way: myorigin = /etc/mailname. */
static int
first_line_of(const char *path, struct buf *out, struct why *why)
{
	struct cf_file f;
	struct cf_line line;
	struct span s = SPAN_EMPTY;
	int rc;

	if (cf_file_open(&f, path, CF_CONFIG_MAX, why) == -1)
		return -1;
	rc = cf_file_next(&f, &line, why);
	if (rc == 1)
		(void)span_line(&line.text, &s);
	if (rc == 0)
		rc = why_set(why, "4.3.5", "%s: no name in this file", path);
	buf_reset(out);
	if (rc == 1 && buf_put_span(out, span_trim(s)) == -1)
		rc = why_set(why, "4.3.5", "%s: line too long", path);
	cf_file_close(&f);
	return rc == 1 ? 0 : -1;
}

static void
store_setting(struct load *l, const struct param_row *row,
    const struct main_cf_setting *s)
{
	struct buf b = BUF_INIT(VALUE_MAX);
	struct why why = WHY_INIT;
	struct expansion x = { .problem = l->problem, .arg = l->arg,
	    .origin = s->origin };
	int64_t *number = (int64_t *)(void *)((char *)&l->values +
	    row->offset);
	int rc = 0;

	if (row->type == PARAM_RAW)
		rc = buf_put_str(&b, s->value);
	else
		rc = expand_text(s->value, EXPAND_RECURSE, NULL, look_up, &x,
		    &b, &why);
	if (rc == 0 && strcmp(row->name, "myorigin") == 0 &&
	    b.data[0] == '/') {
		char *path = mem_strdup(b.data);

		rc = first_line_of(path, &b, &why);
		mem_free(path);
	}
	if (rc == -1) {
		params_problem(l->problem, l->arg, true, s->origin,
		    "%s: %s", row->name, why.text);
		l->errors++;
		store_default(l, row);
	} else if (store(&l->values, row, buf_span(&b)) == -1) {
		bad_value(l, row, s->origin, b.data);
		store_default(l, row);
	} else if ((row->type == PARAM_SIZE || row->type == PARAM_INT) &&
	    *number == 0 && in_list(zero_is_unlimited, row->name)) {
		params_problem(l->problem, l->arg, false, s->origin,
		    "%s = 0 is taken as unlimited: write unlimited",
		    row->name);
		*number = PARAM_UNLIMITED;
	}
	buf_fini(&b);
}

/* --- names ------------------------------------------------------------------ */

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

	for (size_t i = 0; i < loading->cf.settings.len; i++)
		collect_references(refs,
		    span_of(loading->cf.settings.v[i]->value));
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

	for (size_t i = 0; i < loading->cf.settings.len; i++) {
		const char *value = loading->cf.settings.v[i]->value;

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

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
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

/* A setting that has no row. */
static void
check_foreign(struct load *l, const struct main_cf_setting *s,
    const struct hash *refs)
{
	const char *suffix = transport_suffix(s->name), *near;
	const struct param_row *row;
	struct buf b = BUF_INIT(VALUE_MAX);
	char *def;
	int64_t v;

	if (suffix != NULL) {
		def = mem_printf("default%s", suffix);
		row = params_row(def);
		mem_free(def);
		if (row == NULL)
			row = params_row(suffix + 1);
		if (row != NULL && row->type != PARAM_STR &&
		    params_expand(s->value, &b, NULL) == 0 &&
		    parse_number(span_trim(buf_span(&b)), row, &v) == -1)
			bad_value(l, row, s->origin, b.data);
		buf_fini(&b);
		return;
	}
	if (params_is_known(s->name)) {
		if (l->flags & PARAMS_NOTE_KNOWN)
			params_problem(l->problem, l->arg, false, s->origin,
			    "%s has no effect here", s->name);
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

static void
check_names(struct load *l)
{
	struct hash refs = HASH_INIT;
	bool collected = false;

	if (l->problem == NULL)
		return;
	for (size_t i = 0; i < loading->cf.settings.len; i++) {
		const struct main_cf_setting *s = loading->cf.settings.v[i];

		if (params_row(s->name) != NULL) {
			if (!s->override && in_list(not_in_main_cf, s->name))
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

/* --- what must fit together -------------------------------------------------- */

static const char *
where(const char *name)
{
	const char *origin = params_origin(name);

	return strcmp(origin, "default") == 0 ? params_config_dir() : origin;
}

static void
check_together(struct load *l)
{
	struct params *v = &l->values;

	if (v->mailbox_size_limit < v->message_size_limit) {
		params_problem(l->problem, l->arg, true,
		    where("mailbox_size_limit"), "mailbox_size_limit is "
		    "smaller than message_size_limit");
		l->errors++;
	}
	if (v->virtual_mailbox_limit < v->message_size_limit) {
		params_problem(l->problem, l->arg, true,
		    where("virtual_mailbox_limit"), "virtual_mailbox_limit "
		    "is smaller than message_size_limit");
		l->errors++;
	}
	if (v->queue_minfree > 0 && v->message_size_limit != PARAM_UNLIMITED &&
	    v->queue_minfree / 3 < v->message_size_limit / 2)
		params_problem(l->problem, l->arg, false,
		    where("queue_minfree"), "queue_minfree is less than 1.5 "
		    "times message_size_limit: mail may fill the disk");
	if (v->maximal_backoff_time < v->minimal_backoff_time) {
		params_problem(l->problem, l->arg, false,
		    where("maximal_backoff_time"), "maximal_backoff_time is "
		    "smaller than minimal_backoff_time: taken as equal");
		v->maximal_backoff_time = v->minimal_backoff_time;
	}
	if (v->queue_run_delay > v->minimal_backoff_time)
		params_problem(l->problem, l->arg, false,
		    where("queue_run_delay"), "queue_run_delay is longer "
		    "than minimal_backoff_time");
	if (!v->enable_long_queue_ids)
		params_problem(l->problem, l->arg, false,
		    where("enable_long_queue_ids"), "enable_long_queue_ids = "
		    "no: queue ids are always long here");
	if (strcmp(v->smtpd_forbid_bare_newline, "no") == 0)
		params_problem(l->problem, l->arg, false,
		    where("smtpd_forbid_bare_newline"),
		    "smtpd_forbid_bare_newline = no is taken as normalize");
}

/* --- the load ----------------------------------------------------------------- */

static void
state_fini(struct state *s)
{
	main_cf_fini(&s->cf);
	hash_fini(&s->computed, mem_free);
	hash_fini(&s->undefined, NULL);
	mem_free(s->config_dir);
	s->config_dir = NULL;
}

char *
params_choose_config_dir(const char *dir)
{
	char *real;

	if (dir == NULL) {
		dir = secure_getenv("MAIL_CONFIG");
		if (dir == NULL || *dir == '\0')
			dir = SYSCONFDIR "/mansio";
	}
	/* Daemons change their directory. */
	real = dir[0] == '/' ? NULL : realpath(dir, NULL);
	return real != NULL ? real : mem_strdup(dir);
}

/* snapshot NULL: from the files. */
static int
load(const char *config_dir, const struct span *snapshot,
    const char *const *overrides, size_t n, int flags,
    params_problem_fn *problem, void *arg)
{
	struct state next = { .cf = MAIN_CF_INIT, .computed = HASH_INIT,
	    .undefined = HASH_INIT };
	struct load *l = mem_zalloc(sizeof(*l));
	bool failed;

	rows_init();
	l->problem = problem;
	l->arg = arg;
	l->flags = flags;
	next.config_dir = params_choose_config_dir(config_dir);
	loading = &next;
	if (snapshot != NULL) {
		if (main_cf_unpack(&next.cf, *snapshot) < 0)
			log_panic("a snapshot of main.cf is damaged");
	} else if (!(flags & PARAMS_DEFAULTS))
		main_cf_read(&next.cf, next.config_dir, problem, arg);
	for (size_t i = 0; i < n; i++)
		main_cf_override(&next.cf, overrides[i], "-o", problem, arg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct main_cf_setting *s = main_cf_find(&next.cf,
		    rows[i].name);

		if (s != NULL && (s->override ||
		    !in_list(not_in_main_cf, s->name)))
			store_setting(l, &rows[i], s);
		else
			store_default(l, &rows[i]);
	}
	if (snapshot == NULL)
		check_names(l);
	check_together(l);
	failed = l->errors + next.cf.errors > 0;
	if (failed && !(flags & PARAMS_KEEP_GOING)) {
		state_fini(&next);
	} else {
		state_fini(&current);
		current = next;
		conf = l->values;
	}
	loading = &current;
	mem_free(l);
	return failed ? -1 : 0;
}

int
params_load_flags(const char *config_dir, const char *const *overrides,
    size_t n, int flags, params_problem_fn *problem, void *arg)
{
	return load(config_dir, NULL, overrides, n, flags, problem, arg);
}

int
params_load(const char *config_dir, const char *const *overrides, size_t n,
    params_problem_fn *problem, void *arg)
{
	return load(config_dir, NULL, overrides, n, 0, problem, arg);
}

int
params_load_anyhow(const char *config_dir, const char *const *overrides,
    size_t n, params_problem_fn *problem, void *arg)
{
	char *dir = params_choose_config_dir(config_dir);
	char *path = mem_printf("%s/main.cf", dir);
	bool there = access(path, R_OK) == 0;

	/* Without the file this tells why, and leaves conf alone. */
	if (load(config_dir, NULL, overrides, n, there ? PARAMS_KEEP_GOING : 0,
	    problem, arg) < 0 && there && conf.queue_directory == NULL)
		there = false;
	mem_free(path);
	mem_free(dir);
	return there ? 0 : -1;
}

int
params_load_snapshot(struct span snapshot, const char *config_dir,
    const char *const *overrides, size_t n, params_problem_fn *problem,
    void *arg)
{
	return load(config_dir, &snapshot, overrides, n, 0, problem, arg);
}

void
params_snapshot(struct buf *out)
{
	main_cf_pack(&current.cf, out);
}

int
params_check_override(const char *text, const char *origin,
    params_problem_fn *problem, void *arg)
{
	struct main_cf one = MAIN_CF_INIT;
	struct load *l = mem_zalloc(sizeof(*l));
	struct hash refs = HASH_INIT;
	int rc;

	l->problem = problem;
	l->arg = arg;
	main_cf_override(&one, text, origin, problem, arg);
	for (size_t i = 0; i < one.settings.len; i++) {
		const struct param_row *row = params_row(
		    one.settings.v[i]->name);

		if (row != NULL) {
			store_setting(l, row, one.settings.v[i]);
		} else {
			collect_all(&refs);
			check_foreign(l, one.settings.v[i], &refs);
		}
	}
	rc = l->errors + one.errors > 0 ? -1 : 0;
	hash_fini(&refs, NULL);
	main_cf_fini(&one);
	mem_free(l);
	return rc;
}

int64_t
params_transport_int(const char *transport, const char *suffix,
    int64_t fallback)
{
	char *own = mem_printf("%s_%s", transport, suffix);
	char *def = mem_printf("default_%s", suffix);
	const struct param_row *row = params_row(def);
	char *text = NULL;
	int64_t v;

	if (row == NULL)		/* initial_destination_concurrency */
		row = params_row(suffix);
	text = params_get(own);
	if (text == NULL && params_raw(def) != NULL)
		text = params_get(def);
	if (text == NULL)
		text = params_get(suffix);
	if (text != NULL) {
		struct span s = span_trim(span_of(text));

		if (row != NULL && parse_number(s, row, &v) == 0)
			fallback = v;
		else if (row == NULL && (parse_time(s, "s", &v) == 0))
			fallback = v;
	}
	mem_free(text);
	mem_free(own);
	mem_free(def);
	return fallback;
}

const char *const *
params_transport_suffixes(void)
{
	return transport_suffixes;
}

char *
params_transport_default(const char *suffix)
{
	char *name = strcmp(suffix, "_time_limit") == 0
	    ? mem_strdup("command_time_limit")
	    : mem_printf("default%s", suffix), *def = NULL;

	if (params_row(name) != NULL)
		def = mem_printf("$%s", name);
	else if (params_row(suffix + 1) != NULL)
		def = mem_printf("$%s", suffix + 1);
	mem_free(name);
	return def;
}

static int
by_setting_name(const void *a, const void *b)
{
	return strcmp((*(struct main_cf_setting *const *)a)->name,
	    (*(struct main_cf_setting *const *)b)->name);
}

void
params_each(void (*fn)(const char *name, const char *value,
    const char *origin, void *arg), void *arg)
{
	size_t n = current.cf.settings.len;
	struct main_cf_setting **sorted;

	if (n == 0)
		return;
	sorted = mem_alloc_array(n, sizeof(*sorted));
	memcpy(sorted, current.cf.settings.v, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_setting_name);
	for (size_t i = 0; i < n; i++)
		fn(sorted[i]->name, sorted[i]->value, sorted[i]->origin, arg);
	mem_free(sorted);
}
