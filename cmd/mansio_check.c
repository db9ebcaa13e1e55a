/* SPDX-License-Identifier: ISC */
/*
 * mansio check - all problems of configuration and machine in one go.
 *
 * Silent and exit 0 when nothing is wrong; with -v also what is merely worth
 * knowing.  --strict makes warnings count.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "cmd/mansio.h"
#include "conf/table.h"
#include "conf/words.h"
#include "daemon/sandbox.h"
#include "daemon/services.h"

#define WORDS_DEPTH_MAX	10	/* lists in lists that are looked into */

static unsigned errors, warnings;
static struct hash said = HASH_INIT;

static void
report(void *arg, enum log_level level, const char *line)
{
	bool first;

	/* Several look at the same setting. */
	hash_enter(&said, span_of(line), &first);
	if (!first)
		return;
	if (level >= LOG_LEVEL_ERROR) {
		log_error("%s", line);
		errors++;
	} else if (level == LOG_LEVEL_WARNING) {
		log_warning("%s", line);
		warnings++;
	} else if (mansio_verbose())
		log_info("%s", line);
}

static void PRINTF(2, 3)
say(enum log_level level, const char *fmt, ...)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	va_list ap;

	va_start(ap, fmt);
	(void)!buf_vprintf(&b, fmt, ap);
	va_end(ap);
	report(NULL, level, b.data);
	buf_fini(&b);
}

/* --- tables ------------------------------------------------------------------------- */

static bool
is_table_type(struct span word)
{
	const char *const *t = table_types();

	for (; *t != NULL; t++)
		if (span_is(word, *t))
			return true;
	return false;
}

/*
 * One word of a setting: a table when it is "type:/path" or "type:{...}", whose
 * rules are read, too.  Others (static) are checked by whoever uses them.
 */
static void
check_word(const char *origin, const char *name, struct span word)
{
	ptrdiff_t colon;
	struct why why = WHY_INIT;
	struct table *t;
	char *spec;

	/* "!" of lists, "proxy:" of Postfix. */
	if (word.len > 0 && word.p[0] == '!')
		word = span_from(word, 1);
	colon = span_find(word, ':');
	if (colon > 0 && span_is(span_sub(word, 0, (size_t)colon), "proxy")) {
		word = span_from(word, (size_t)colon + 1);
		colon = span_find(word, ':');
	}
	if (colon < 1 || (size_t)colon + 1 >= word.len ||
	    (word.p[colon + 1] != '/' && word.p[colon + 1] != '{') ||
	    !is_table_type(span_sub(word, 0, (size_t)colon)))
		return;
	spec = span_dup(word);
	t = table_open(spec, TABLE_FOLD, &why);
	if (t == NULL)
		/* A default names a file that this machine need not have. */
		say(strcmp(origin, "default") == 0 ? LOG_LEVEL_WARNING
		    : LOG_LEVEL_ERROR, "%s: %s: %s", origin, name, why.text);
	table_close(&t);
	mem_free(spec);
}

/* Lists may have lists: "{ check_client_access cidr:/file }". */
static void
check_words(const char *origin, const char *name, struct span word,
    unsigned depth)
{
	struct span inside;

	if (depth >= WORDS_DEPTH_MAX || !words_unbrace(word, &inside)) {
		check_word(origin, name, word);
		return;
	}
	while (words_next(&inside, &word) == 1)
		check_words(origin, name, word, depth + 1);
}

static void
check_setting(const char *name, const char *origin)
{
	char *value = params_get(name);
	struct span rest = span_of(value), word;

	/* An open brace is for its reader to complain about. */
	while (value != NULL && words_next(&rest, &word) == 1)
		check_words(origin, name, word, 0);
	mem_free(value);
}

/* Passwords for other hosts, which rewrite opens while it is root. */
static bool
is_secret(const char *name)
{
	return span_ends(span_of(name), SPAN("_sasl_password_maps"));
}

static void
check_one(const char *name, const char *value, const char *origin, void *arg)
{
	/* Postfix's caches and the like, which nothing here opens. */
	if (params_kind(name) != PARAM_POSTFIX && !is_secret(name))
		check_setting(name, origin);
}

static void
check_secret(const char *name, const char *value, const char *origin, void *arg)
{
	if (is_secret(name) && strcmp(origin, "default") != 0)
		check_setting(name, origin);
}

/* As the daemons do: with mail_owner's rights. */
static void
check_tables(const struct sandbox_ids *ids)
{
	int status;
	pid_t pid;

	params_each(check_secret, NULL);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		log_fatal("fork: %m");
	if (pid > 0) {
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			say(LOG_LEVEL_ERROR, "the check of the tables died");
		else {
			errors += (unsigned)WEXITSTATUS(status) & 1;
			warnings += (unsigned)WEXITSTATUS(status) >> 1 & 1;
		}
		return;
	}
	errors = warnings = 0;
	if (ids->root && (setgroups(1, &ids->gid) < 0 ||
	    setresgid(ids->gid, ids->gid, ids->gid) < 0 ||
	    setresuid(ids->uid, ids->uid, ids->uid) < 0))
		log_fatal("cannot become %s: %m", conf.mail_owner);
	params_each(check_one, NULL);
	if (strcmp(params_origin("alias_maps"), "default") == 0)
		check_setting("alias_maps", "default");
	_exit((errors > 0) | (warnings > 0) << 1);
}

/* --- the spool ------------------------------------------------------------------------ */

static const struct {
	const char	*name;
	mode_t		 forbidden;
	bool		 owned;		/* by mail_owner */
} folders[] = {
	{ "log", 077, true }, { "state", 077, true }, { "large", 077, true },
	{ "deferred", 077, true }, { "hold", 077, true },
	{ "corrupt", 077, true }, { "private", 027, false },
	{ "public", 022, false }, { "jail", 077, false },
	{ "pid", 022, false },
};

static void
check_folder(const char *name, mode_t forbidden, uid_t owner)
{
	char *path = mem_printf("%s/%s", conf.queue_directory, name);
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT)
			say(LOG_LEVEL_ERROR, "%s: %s", path, strerror(errno));
		else
			say(LOG_LEVEL_INFO, "%s: will be made", path);
	} else if (!S_ISDIR(st.st_mode))
		say(LOG_LEVEL_ERROR, "%s: not a directory", path);
	else {
		if (st.st_uid != owner)
			say(LOG_LEVEL_WARNING, "%s: belongs to uid %d, not "
			    "%d; starting puts it right", path,
			    (int)st.st_uid, (int)owner);
		if (st.st_mode & forbidden)
			say(LOG_LEVEL_ERROR, "%s: mode %04o gives others too "
			    "much; it should be %04o", path,
			    (unsigned)st.st_mode & 07777,
			    (unsigned)(st.st_mode & 0777 & ~forbidden));
	}
	mem_free(path);
}

static void
check_spool(const struct sandbox_ids *ids)
{
	struct stat st;
	uid_t root = ids->root ? 0 : ids->uid;

	if (stat(conf.queue_directory, &st) < 0) {
		if (errno != ENOENT)
			say(LOG_LEVEL_ERROR, "%s: %s", conf.queue_directory,
			    strerror(errno));
		else
			say(LOG_LEVEL_INFO, "%s: will be made",
			    conf.queue_directory);
		return;
	}
	if (ids->root && st.st_uid != 0)
		say(LOG_LEVEL_ERROR, "%s: belongs to uid %d, not root",
		    conf.queue_directory, (int)st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		say(LOG_LEVEL_ERROR, "%s: others can write there",
		    conf.queue_directory);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		check_folder(folders[i].name, folders[i].forbidden,
		    folders[i].owned ? ids->uid : root);
}

/* What makes no difference to say, as far as it goes. */
static void
note_setting(const char *name, const char *value, const char *origin,
    void *arg)
{
	const char *today = params_name_today(name);

	if (today != NULL)
		say(LOG_LEVEL_INFO, "%s: %s is an old name: %s says it today",
		    origin, name, today);
	else if (params_kind(name) == PARAM_POSTFIX)
		say(LOG_LEVEL_INFO, "%s: %s has no effect here", origin, name);
}

int
mansio_check(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "strict", no_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' }, { NULL, 0, NULL, 0 },
	};
	struct why why = WHY_INIT;
	struct sandbox_ids ids;
	struct services plan;
	bool strict = false;
	int c;

	while ((c = getopt_long(argc, argv, "sv", longopts, NULL)) != -1) {
		if (c == 's')
			strict = true;
		else if (c == 'v')
			mansio_say_more();
		else
			return mansio_usage(argv[0]);
	}
	if (optind != argc)
		return mansio_usage(argv[0]);
	if (services_judge(mansio_config_dir(), NULL, 0, &plan, report,
	    NULL) == 0)
		services_fini(&plan);
	/* Go on with what could be read, so that the rest is said too. */
	if (params_load_flags(mansio_config_dir(), NULL, 0, PARAMS_KEEP_GOING,
	    NULL, NULL) < 0 && conf.queue_directory == NULL)
		return MANSIO_FAILED;
	params_each(note_setting, NULL);
	/* Said already when mail_owner is wrong. */
	if (sandbox_ids(&ids, &why) == 0) {
		check_spool(&ids);
		check_tables(&ids);
	}
	return errors > 0 || (strict && warnings > 0) ? MANSIO_FAILED
	    : MANSIO_OK;
}
