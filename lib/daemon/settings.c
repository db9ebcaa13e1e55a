/* SPDX-License-Identifier: ISC */
/*
 * settings - what a daemon reads of the configuration: settings from master or
 * from the files, the log and the environment that they name, and whether
 * they are right (-C).
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "daemon/daemon_priv.h"
#include "daemon/sandbox_priv.h"
#include "io/fd.h"
#include "mail/address.h"

/* --- settings ---------------------------------------------------------------- */

static bool judged_bad;		/* by -C */

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_error("%s", line);
	else
		log_warning("%s", line);
}

/* What master has warned of is not said again by each of its processes. */
static void
only_errors(void *arg, bool is_error, const char *line)
{
	if (!is_error && strstr(line, "/main.cf") != NULL)
		log_debug("%s", line);
	else
		problem(arg, is_error, line);
}

/* What master has checked. */
static int
load_from_master(int fd)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct stat st;
	int rc;

	/* Other processes have the same open file, and its offset. */
	if (fstat(fd, &st) < 0 || fd_pread_all(fd, buf_reserve(&b,
	    (size_t)st.st_size), (size_t)st.st_size, 0) < 0)
		log_fatal("cannot read the settings that master gives: %m");
	buf_commit(&b, (size_t)st.st_size);
	rc = params_load_snapshot(buf_span(&b), daemon_state.config_dir,
	    daemon_state.overrides.v, daemon_state.overrides.len,
	    only_errors, NULL);
	buf_fini(&b);
	return rc;
}

static void
nothing(void *arg, bool is_error, const char *line)
{
}

void
daemon_load_settings(void)
{
	struct daemon_state *s = &daemon_state;
	char *own = mem_printf("service_name=%s", s->service);

	*ARRAY_PUSH(&s->overrides) = own;	/* kept for reload */
	if (s->check > 0) {
		if (params_load_flags(s->config_dir, s->overrides.v,
		    s->overrides.len, PARAMS_KEEP_GOING, s->check > 1 ?
		    nothing : problem, NULL) < 0)
			judged_bad = s->check == 1;
		if (conf.queue_directory == NULL)
			log_fatal("the configuration cannot be read");
		return;
	}
	if ((s->settings_fd >= 0 ? load_from_master(s->settings_fd)
	    : params_load(s->config_dir, s->overrides.v, s->overrides.len,
	    problem, NULL)) < 0)
		log_fatal("the configuration has errors");
	fd_close(&s->settings_fd);
}

/* How times and addresses look in the log. */
static void
set_log_shapes(void)
{
	clock_delay_digits((int)conf.delay_logging_resolution_limit);
	address_show_quoted(strcmp(conf.info_log_address_format,
	    "internal") != 0);
}

void
daemon_reload(void)
{
	struct why why = WHY_INIT;

	log_info("reload -- version %s, configuration %s", MANSIO_VERSION,
	    daemon_state.config_dir);
	/* master has checked the same files before it told us; an error now
	 * means that they changed meanwhile.  We go on as we are. */
	if (params_load(daemon_state.config_dir, daemon_state.overrides.v,
	    daemon_state.overrides.len, problem, NULL) < 0) {
		log_error("reload: the configuration has errors; "
		    "going on with the old settings");
		daemon_tell(MASTER_MSG_FAILED, 0);
		return;
	}
	log_set_debug(daemon_state.debug);
	log_set_facility(conf.syslog_facility);
	set_log_shapes();
	if (daemon_state.d->reload(&why) < 0) {
		log_error("reload: %s", why.text);
		daemon_tell(MASTER_MSG_FAILED, 0);
	}
}

void
daemon_set_tag(void)
{
	const char *base;
	char *tag;

	base = conf.syslog_name != NULL && conf.syslog_name[0] != '\0'
	    ? conf.syslog_name : "mansio";
	tag = mem_printf("%s/%s", base, daemon_state.d->name);
	log_set_tag(tag);
	mem_free(tag);
}

void
daemon_reopen_log(void)
{
	int fd;

	/* Under master the new descriptor comes from there. */
	if (daemon_state.master || daemon_state.to_stderr ||
	    conf.maillog_file == NULL || conf.maillog_file[0] == '\0')
		return;
	fd = open(conf.maillog_file,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0) {
		log_warning("cannot open %s again: %m", conf.maillog_file);
		return;
	}
	log_flush();
	log_replace_fd(fd);
	if (daemon_state.d->log_moved != NULL)
		daemon_state.d->log_moved();
}

void
daemon_open_log(void)
{
	int fd;

	daemon_set_tag();
	set_log_shapes();
	log_set_debug(daemon_state.debug);
	if (daemon_state.master_syslog)
		log_set_facility(conf.syslog_facility);
	if (daemon_state.to_stderr || daemon_state.master_log ||
	    daemon_state.master_syslog)
		return;		/* open already */
	if (!daemon_state.master && conf.maillog_file != NULL &&
	    conf.maillog_file[0] != '\0') {
		fd = open(conf.maillog_file,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
		    0600);
		if (fd < 0)
			log_fatal("cannot open %s: %m", conf.maillog_file);
		log_open_fd(fd);
		return;
	}
	log_open_syslog(conf.syslog_facility, -1);
}

/*
 * Keep just what import_environment names, "NAME" or "NAME=value".  What an
 * administrator's shell had set must not change what a daemon does.
 */
void
daemon_clean_environment(void)
{
	struct span rest = span_of(conf.import_environment), word;
	ARRAY(char *) keep = ARRAY_EMPTY;
	const char *value;
	char *name;

	while (span_token(&rest, " \t,", &word)) {
		/* master's affair with its own supervisor. */
		if (span_is(word, "NOTIFY_SOCKET"))
			continue;
		name = span_dup(word);
		if (span_find(word, '=') > 0) {
			*ARRAY_PUSH(&keep) = name;
			continue;
		}
		value = getenv(name);
		if (value != NULL)
			*ARRAY_PUSH(&keep) = mem_printf("%s=%s", name, value);
		mem_free(name);
	}
	/* Who is told to end in the midst of his work frees nothing: that is no
	 * failure, which master would count. */
	if (SANDBOX_SANITIZED)
		*ARRAY_PUSH(&keep) = mem_strdup("ASAN_OPTIONS=detect_leaks=0");
	clearenv();
	/* putenv() keeps the string: it belongs to the environment now. */
	for (size_t i = 0; i < keep.len; i++)
		if (putenv(keep.v[i]) != 0)
			log_fatal("cannot set the environment");
	/*
	 * Without TZ the C library looks at /etc/localtime again and again,
	 * and falls back to UTC where a jail hides it; with TZ it looks once.
	 */
	setenv("TZ", ":/etc/localtime", 0);
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 0);
	tzset();
	ARRAY_FINI(&keep);
}

/* --- -C: whether the settings are right ---------------------------------------- */

/* "virtual_alias_maps: bad table": say where that stands. */
static void
log_problem(const struct why *why)
{
	size_t len = strcspn(why->text, ":");
	char *name = mem_printf("%.*s", (int)len, why->text);
	char *value = params_get(name);

	if (why->text[len] == ':' && value != NULL)
		log_error("%s: %s", params_origin(name), why->text);
	else if (len > 0)
		log_error("%s", why->text);
	mem_free(value);
	mem_free(name);
}

void
daemon_remark(const char *fmt, ...)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	va_list ap;

	va_start(ap, fmt);
	(void)!buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (daemon_state.check)
		log_info("remark: %s", b.data);
	else
		log_warning("%s", b.data);
	buf_fini(&b);
}

int
daemon_judge(int rc, struct why *why)
{
	if (rc >= 0 || !daemon_state.check)
		return rc;
	log_problem(why);
	*why = WHY_INIT;
	judged_bad = true;
	return 0;
}

void
daemon_judge_values(const char *param, maps_judge_fn *fn)
{
	char *value = params_get(param);
	struct why why = WHY_INIT;
	struct maps *m = maps_new(param, value, TABLE_FOLD, &why);
	bool all;

	/* One that is written wrong has been told of. */
	if (m != NULL && maps_judge(m, fn, &all, &why) < 0) {
		if (all)
			(void)!daemon_judge(-1, &why);
		else
			daemon_remark("%s: %s", params_origin(param),
			    why.text);
	}
	maps_free(&m);
	mem_free(value);
}

bool
daemon_judged_bad(void)
{
	return judged_bad;
}

/* The answer is our exit, and lines on standard error. */
void
daemon_check_settings(void)
{
	const struct daemon *d = daemon_state.d;
	struct why why = WHY_INIT;

	if (d->check != NULL && d->check(&why) < 0) {
		judged_bad = true;
		log_problem(&why);
	}
	log_flush();
	/* What was opened to look at it is left to the kernel. */
	_exit(judged_bad ? 1 : 0);
}
