/* SPDX-License-Identifier: ISC */
/*
 * services_check - whether this machine is fit for the settings, and what the
 * programs themselves say of theirs.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/sandbox.h"
#include "daemon/services_priv.h"

/* --- the machine ----------------------------------------------------------------- */

static void
check_directory(struct reporter *r, const char *param, const char *path)
{
	struct stat st;

	if (path[0] != '/')
		report_to(r, LOG_LEVEL_ERROR, "%s: %s = %s: not an absolute "
		    "path", params_origin(param), param, path);
	else if (stat(path, &st) < 0)
		report_to(r, LOG_LEVEL_ERROR, "%s: %s = %s: %s",
		    params_origin(param), param, path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		report_to(r, LOG_LEVEL_ERROR, "%s: %s = %s: not a directory",
		    params_origin(param), param, path);
	else if (geteuid() == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)))
		report_to(r, LOG_LEVEL_WARNING, "%s: %s = %s: others than its "
		    "owner can write there", params_origin(param), param,
		    path);
}

static void
check_log_file(struct reporter *r)
{
	struct span rest = span_of(conf.maillog_file_prefixes), word;
	struct span file = span_of(conf.maillog_file);

	if (file.len == 0)
		return;
	while (span_token(&rest, " \t,", &word)) {
		if (!span_starts(file, word))
			continue;
		/* "/var" is no prefix of "/variable". */
		if (file.len == word.len || word.p[word.len - 1] == '/' ||
		    file.p[word.len] == '/')
			goto found;
	}
	report_to(r, LOG_LEVEL_ERROR, "%s: maillog_file = %s: not below any of "
	    "maillog_file_prefixes = %s", params_origin("maillog_file"),
	    conf.maillog_file, conf.maillog_file_prefixes);
found:
	if (span_is(span_of(conf.maillog_file_permissions), "0600") ||
	    span_is(span_of(conf.maillog_file_permissions), "0640") ||
	    span_is(span_of(conf.maillog_file_permissions), "0644"))
		return;
	report_to(r, LOG_LEVEL_ERROR, "%s: maillog_file_permissions = %s: none "
	    "of 0600, 0640, 0644", params_origin("maillog_file_permissions"),
	    conf.maillog_file_permissions);
}

int
services_check_machine(report_fn *fn, void *arg)
{
	struct reporter r = { .report = fn, .arg = arg };
	struct sandbox_ids ids;
	struct why why = WHY_INIT;

	if (sandbox_ids(&ids, &why) < 0)
		report_to(&r, LOG_LEVEL_ERROR, "%s: %s",
		    params_origin("mail_owner"), why.text);
	if (conf.queue_directory[0] != '/')
		report_to(&r, LOG_LEVEL_ERROR, "%s: queue_directory = %s: not "
		    "an absolute path", params_origin("queue_directory"),
		    conf.queue_directory);
	check_directory(&r, "daemon_directory", conf.daemon_directory);
	check_log_file(&r);
	return r.bad ? -1 : 0;
}

/* --- the programs' own opinion ------------------------------------------------- */

struct opinion {
	struct reporter	 r;
	const char	*config_dir;
	const char *const *overrides;
	size_t		 n;
	ARRAY(char *)	 said;		/* the same from two is said once */
	bool		 error;		/* from the one that runs */
	const char	*origin;	/* its service: master.cf's file:line */
};

/*
 * Whether a line only says again what follows from another that was said: a
 * default takes its wrong value from there ("authd_ban_exceptions = $mynetworks").
 */
static bool
follows(const struct opinion *o, const char *line)
{
	static const char head[] = "default: ";
	const char *text;

	if (strncmp(line, head, strlen(head)) != 0 ||
	    (text = strstr(line + strlen(head), ": ")) == NULL)
		return false;
	for (size_t i = 0; i < o->said.len; i++)
		if (span_ends(span_of(o->said.v[i]), span_of(text)))
			return true;
	return false;
}

/* Whether it tells where it is wrong; else the service's line has to do. */
static bool
has_origin(const struct opinion *o, const char *line)
{
	size_t len = strlen(o->config_dir);

	return strncmp(line, "default: ", 9) == 0 ||
	    (strncmp(line, o->config_dir, len) == 0 && line[len] == '/');
}

/* "smtpd: error: text", as a command's standard error shows it. */
static void
take_line(struct opinion *o, const char *line)
{
	static const struct {
		const char	*mark;
		enum log_level	 level;
	} marks[] = {
		{ ": error: ", LOG_LEVEL_ERROR },
		{ ": fatal: ", LOG_LEVEL_ERROR },
		{ ": panic: ", LOG_LEVEL_ERROR },
		/* The settings were read before, and warned of. */
		{ ": warning: ", LOG_LEVEL_DEBUG },
		{ ": remark: ", LOG_LEVEL_WARNING },	/* daemon_remark() */
	};
	enum log_level level = LOG_LEVEL_INFO;

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		const char *at = strstr(line, marks[i].mark);

		if (at == NULL)
			continue;
		line = at + strlen(marks[i].mark);
		level = marks[i].level;
		break;
	}
	if (level == LOG_LEVEL_DEBUG)
		return;
	o->error |= level == LOG_LEVEL_ERROR;
	o->r.bad |= level == LOG_LEVEL_ERROR;
	/* An option is found on the line of its service. */
	if (strncmp(line, "-o: ", 4) == 0)
		line += 4;
	if (follows(o, line))
		return;
	for (size_t i = 0; i < o->said.len; i++)
		if (strcmp(o->said.v[i], line) == 0)
			return;
	*ARRAY_PUSH(&o->said) = mem_strdup(line);
	if (level == LOG_LEVEL_INFO || has_origin(o, line))
		report_to(&o->r, level, "%s", line);
	else
		report_to(&o->r, level, "%s: %s", o->origin, line);
}

NORETURN static void
run_check(const struct opinion *o, const struct plan *p, int fd)
{
	ARRAY(char *) argv = ARRAY_EMPTY;
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	*ARRAY_PUSH(&argv) = mem_strdup(p->command);
	*ARRAY_PUSH(&argv) = mem_strdup("-CC");
	*ARRAY_PUSH(&argv) = mem_strdup("-c");
	*ARRAY_PUSH(&argv) = mem_strdup(o->config_dir);
	*ARRAY_PUSH(&argv) = mem_strdup("-n");
	*ARRAY_PUSH(&argv) = mem_strdup(p->name);
	*ARRAY_PUSH(&argv) = mem_strdup("-t");
	*ARRAY_PUSH(&argv) = mem_strdup(p->type);
	for (size_t i = 0; i < o->n; i++) {
		*ARRAY_PUSH(&argv) = mem_strdup("-o");
		*ARRAY_PUSH(&argv) = mem_strdup(o->overrides[i]);
	}
	for (size_t i = 0; i < p->options.len; i++)
		*ARRAY_PUSH(&argv) = mem_strdup(p->options.v[i]);
	*ARRAY_PUSH(&argv) = NULL;
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(p->program, argv.v);
	dprintf(STDERR_FILENO, "%s: error: cannot execute %s: %s\n",
	    p->command, p->program, strerror(errno));
	_exit(126);
}

/* A program that judges its settings, on its way. */
struct question {
	const struct plan *p;
	pid_t		 pid;
	FILE		*in;		/* what it says; NULL: could not ask */
};

static struct question
ask_program(struct opinion *o, const struct plan *p)
{
	struct question q = { .p = p, .pid = -1 };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		report_to(&o->r, LOG_LEVEL_ERROR, "pipe: %s", strerror(errno));
		return q;
	}
	fflush(NULL);
	q.pid = fork();
	if (q.pid == 0)
		run_check(o, p, fds[1]);
	close(fds[1]);
	q.in = q.pid < 0 ? NULL : fdopen(fds[0], "r");
	if (q.in == NULL) {
		report_to(&o->r, LOG_LEVEL_ERROR, "fork: %s", strerror(errno));
		close(fds[0]);
	}
	return q;
}

static void
take_answer(struct opinion *o, struct question *q)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int status = 0;

	o->error = false;
	o->origin = q->p->origin;
	while (q->in != NULL && (len = getline(&line, &room, q->in)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		take_line(o, line);
	}
	if (q->in != NULL)
		fclose(q->in);
	free(line);
	while (q->pid > 0 && waitpid(q->pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	if (q->pid > 0 && status != 0 && !o->error)
		report_to(&o->r, LOG_LEVEL_ERROR, "%s: %s does not accept its "
		    "settings", q->p->origin, q->p->command);
}

static bool
same_options(const struct plan *a, const struct plan *b)
{
	if (strcmp(a->program, b->program) != 0 ||
	    a->options.len != b->options.len)
		return false;
	for (size_t i = 0; i < a->options.len; i++)
		if (strcmp(a->options.v[i], b->options.v[i]) != 0)
			return false;
	return true;
}

int
services_check_programs(const struct services *s, const char *config_dir,
    const char *const *overrides, size_t n, report_fn *fn, void *arg)
{
	struct opinion o = { .r = { .report = fn, .arg = arg },
		.config_dir = config_dir, .overrides = overrides, .n = n };
	ARRAY(struct question) asked = ARRAY_EMPTY;

	/* All at once, for a start waits for them; heard in their order. */
	for (size_t i = 0; i < s->v.len; i++) {
		const struct plan *p = s->v.v[i];
		size_t k = 0;

		if (!(p->flags & PLAN_JUDGES))
			continue;
		while (k < i && !same_options(s->v.v[k], p))
			k++;
		if (k == i)
			*ARRAY_PUSH(&asked) = ask_program(&o, p);
	}
	for (size_t i = 0; i < asked.len; i++)
		take_answer(&o, &asked.v[i]);
	ARRAY_FINI(&asked);
	for (size_t i = 0; i < o.said.len; i++)
		mem_free(o.said.v[i]);
	ARRAY_FINI(&o.said);
	return o.r.bad ? -1 : 0;
}
