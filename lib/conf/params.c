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
#include "conf/cf_file.h"
#include "conf/expand.h"
#include "conf/main_cf.h"
#include "conf/params_priv.h"

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

/* In Postfix 0 means unlimited for these; here it is a warning. */
static const char *const zero_is_unlimited[] = {
	"mailbox_size_limit", "message_size_limit",
	"smtpd_client_connection_count_limit",
	"smtpd_client_connection_rate_limit",
	"smtpd_client_message_rate_limit",
	"smtpd_client_recipient_rate_limit", "virtual_mailbox_limit", NULL
};

static struct params_state current = { .cf = { .by_name = HASH_INIT } };
struct params_state *params_loading = &current;
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

bool
params_in_list(const char *const *list, const char *name)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

const char *
params_intern(struct span s)
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
		    params_loading->config_dir != NULL)
			return params_loading->config_dir;
		return row->def;
	}
	text = hash_get(&params_loading->computed, span_of(row->name));
	if (text == NULL) {
		text = params_compute(row->name);
		mem_free(hash_put(&params_loading->computed, span_of(row->name),
		    text));
	}
	return text;
}

const char *
params_raw(const char *name)
{
	const struct main_cf_setting *s = main_cf_find(&params_loading->cf, name);
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
		hash_enter(&params_loading->undefined, name, &made);
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
	struct buf b = BUF_INIT(PARAM_VALUE_MAX);
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
	struct buf b = BUF_INIT(PARAM_VALUE_MAX);
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
	return main_cf_find(&params_loading->cf, name) != NULL;
}

const char *
params_origin(const char *name)
{
	const struct main_cf_setting *s = main_cf_find(&params_loading->cf, name);

	if (s != NULL)
		return s->origin;
	return params_row(name) != NULL ? "default" : NULL;
}

const char *
params_config_dir(void)
{
	const char *env;

	if (params_loading->config_dir != NULL)
		return params_loading->config_dir;
	env = secure_getenv("MAIL_CONFIG");
	return env != NULL && *env != '\0' ? env : SYSCONFDIR "/mansio";
}

/* --- loading --------------------------------------------------------------- */

void
params_bad_value(struct params_load *l, const struct param_row *row, const char *origin,
    const char *value)
{
	struct buf want = BUF_INIT(1024);

	param_describe(row, &want);
	params_problem(l->problem, l->arg, true, origin,
	    "bad value of %s: \"%s\": expected %s", row->name, value,
	    want.data);
	l->errors++;
	buf_fini(&want);
}

/* What stands in the place of a value that is not given; -1: it is none. */
static int
store_text(struct params_load *l, const struct param_row *row,
    const char *text, struct buf *b)
{
	struct why why = WHY_INIT;

	buf_reset(b);
	if (row->type == PARAM_RAW)
		buf_add_str(b, text);
	else if (params_expand(text, b, &why) == -1)
		buf_reset(b);		/* a name in it is broken: reported */
	return param_store(&l->values, row, buf_span(b));
}

static void
store_default(struct params_load *l, const struct param_row *row)
{
	struct buf b = BUF_INIT(PARAM_VALUE_MAX);
	const char *text = params_default(row);
	const struct param_row *from = row;

	while (store_text(l, row, text, &b) == -1) {
		/* "$other", whose value is wrong: it is told of there, and
		 * what goes for it goes for us. */
		from = text[0] == '$' ? params_row(text + 1) : NULL;
		if (from == NULL)
			log_panic("params.def: bad default of %s: %s",
			    row->name, b.data);
		if (from->type != row->type)
			params_bad_value(l, row, params_origin(from->name),
			    b.data);
		text = params_default(from);
		l->errors++;
	}
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
store_setting(struct params_load *l, const struct param_row *row,
    const struct main_cf_setting *s)
{
	struct buf b = BUF_INIT(PARAM_VALUE_MAX);
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
	} else if (param_store(&l->values, row, buf_span(&b)) == -1) {
		params_bad_value(l, row, s->origin, b.data);
		store_default(l, row);
	} else if ((row->type == PARAM_SIZE || row->type == PARAM_INT) &&
	    *number == 0 && params_in_list(zero_is_unlimited, row->name)) {
		params_problem(l->problem, l->arg, false, s->origin,
		    "%s = 0 is taken as unlimited: write unlimited",
		    row->name);
		*number = PARAM_UNLIMITED;
	}
	buf_fini(&b);
}

/* --- what must fit together -------------------------------------------------- */

static const char *
where(const char *name)
{
	const char *origin = params_origin(name);

	return strcmp(origin, "default") == 0 ? params_config_dir() : origin;
}

/* RFC 1123 2.1, and '_', as Postfix lets one call a host. */
static bool
is_host_name(struct span name)
{
	size_t label = 0;

	if (name.len == 0 || name.len > 255)
		return false;
	for (size_t i = 0; i <= name.len; i++) {
		char c = i < name.len ? name.p[i] : '.';

		if (c == '.') {
			if (label == 0 || label > 63 || name.p[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if ((c < '0' || c > '9') && ((c | 0x20) < 'a' ||
		    (c | 0x20) > 'z') && c != '_' &&
		    (c != '-' || label == 0) && (c & 0x80) == 0)
			return false;
		label++;
	}
	return true;
}

static void
check_host_name(struct params_load *l, const char *param, const char *value)
{
	/* What the machine itself is called is not ours to refuse. */
	if (strcmp(params_origin(param), "default") == 0 ||
	    is_host_name(span_of(value)))
		return;
	params_problem(l->problem, l->arg, true, where(param), "bad value of "
	    "%s: \"%s\": expected the name of a host", param, value);
	l->errors++;
}

static void
check_together(struct params_load *l)
{
	struct params *v = &l->values;

	check_host_name(l, "myhostname", v->myhostname);
	check_host_name(l, "mydomain", v->mydomain);

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
state_fini(struct params_state *s)
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
	struct params_state next = { .cf = MAIN_CF_INIT, .computed = HASH_INIT,
	    .undefined = HASH_INIT };
	struct params_load *l = mem_zalloc(sizeof(*l));
	bool failed;

	rows_init();
	l->problem = problem;
	l->arg = arg;
	l->flags = flags;
	next.config_dir = params_choose_config_dir(config_dir);
	params_loading = &next;
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
		    !params_in_list(params_not_in_main_cf, s->name)))
			store_setting(l, &rows[i], s);
		else
			store_default(l, &rows[i]);
	}
	if (snapshot == NULL)
		params_check_names(l);
	check_together(l);
	failed = l->errors + next.cf.errors > 0;
	if (failed && !(flags & PARAMS_KEEP_GOING)) {
		state_fini(&next);
	} else {
		state_fini(&current);
		current = next;
		conf = l->values;
	}
	params_loading = &current;
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

static void
say_nothing(void *arg, bool is_error, const char *line)
{
}

static void
load_again(const struct buf *files, char *const *overrides, size_t n)
{
	struct span text = buf_span(files);
	char *dir = mem_strdup(params_config_dir());

	(void)!load(dir, &text, (const char *const *)overrides, n,
	    PARAMS_KEEP_GOING, say_nothing, NULL);
	mem_free(dir);
}

void
params_with(const char *const *overrides, size_t n, void (*fn)(void *arg),
    void *arg)
{
	struct buf files = BUF_INIT(BUF_UNLIMITED);
	ARRAY(char *) all = ARRAY_EMPTY;
	size_t own;

	main_cf_pack(&current.cf, &files);
	for (size_t i = 0; i < current.cf.settings.len; i++) {
		const struct main_cf_setting *s = current.cf.settings.v[i];

		if (s->override)
			*ARRAY_PUSH(&all) = mem_printf("%s=%s", s->name,
			    s->value);
	}
	own = all.len;
	for (size_t i = 0; i < n; i++)
		*ARRAY_PUSH(&all) = mem_strdup(overrides[i]);
	load_again(&files, all.v, all.len);
	fn(arg);
	load_again(&files, all.v, own);
	for (size_t i = 0; i < all.len; i++)
		mem_free(all.v[i]);
	ARRAY_FINI(&all);
	buf_fini(&files);
}

int
params_check_override(const char *text, const char *origin,
    params_problem_fn *problem, void *arg)
{
	struct main_cf one = MAIN_CF_INIT;
	struct params_load *l = mem_zalloc(sizeof(*l));
	int rc;

	l->problem = problem;
	l->arg = arg;
	main_cf_override(&one, text, origin, problem, arg);
	for (size_t i = 0; i < one.settings.len; i++) {
		const struct param_row *row = params_row(
		    one.settings.v[i]->name);

		if (row != NULL)
			store_setting(l, row, one.settings.v[i]);
		else
			params_check_name(l, one.settings.v[i]);
	}
	rc = l->errors + one.errors > 0 ? -1 : 0;
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

		if (row != NULL && param_parse_number(s, row, &v) == 0)
			fallback = v;
		else if (row == NULL && (param_parse_time(s, "s", &v) == 0))
			fallback = v;
	}
	mem_free(text);
	mem_free(own);
	mem_free(def);
	return fallback;
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
