/* SPDX-License-Identifier: ISC */
/*
 * command - deliver into a program: "|command" of an alias or .forward, and
 * mailbox_command.
 *
 * The program runs as the user (never as root), in a process group of its
 * own, with an environment made here, the message on standard input and a
 * limit of time after which the whole group is killed.  Its exit status is
 * read as sysexits.h says; the first of what it prints goes into the bounce,
 * and a leading "5.7.1" there is taken for the status code.
 *
 * The message's bytes and the peer's words (sender, recipient, HELO) never
 * become part of the command's text: they come through standard input and
 * the environment, where characters that mean something to a shell have been
 * replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"
#include "local/command.h"
#include "local/cred.h"
#include "local/local.h"
#include "mail/dsn.h"
#include "store/store_internal.h"

static const struct {
	int		 status;
	const char	*code, *text;
} sys_exits[] = {
	{ EX_USAGE,	"5.3.0", "command line usage error" },
	{ EX_DATAERR,	"5.6.0", "data format error" },
	{ EX_NOINPUT,	"5.3.0", "cannot open input" },
	{ EX_NOUSER,	"5.1.1", "user unknown" },
	{ EX_NOHOST,	"5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE,	"5.3.0", "internal software error" },
	{ EX_OSERR,	"4.3.0", "system resource problem" },
	{ EX_OSFILE,	"5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT,	"5.2.0", "can't create user output file" },
	{ EX_IOERR,	"5.3.0", "input/output error" },
	{ EX_TEMPFAIL,	"4.3.0", "temporary failure" },
	{ EX_PROTOCOL,	"5.5.0", "remote error in protocol" },
	{ EX_NOPERM,	"5.7.0", "permission denied" },
	{ EX_CONFIG,	"5.3.5", "local configuration error" },
};

void
command_status(int status, char code[WHY_CODE_MAX], const char **text)
{
	*text = NULL;
	memcpy(code, "5.3.0", sizeof("5.3.0"));
	for (size_t i = 0; i < ARRAY_LEN(sys_exits); i++) {
		if (sys_exits[i].status == status) {
			snprintf(code, WHY_CODE_MAX, "%s", sys_exits[i].code);
			*text = sys_exits[i].text;
		}
	}
}

/* --- environment and arguments ------------------------------------------------- */

struct strings {
	ARRAY(char *)	 v;
	struct arena	*arena;
};

static void
env_put(struct strings *e, const char *name, struct span value, bool filter)
{
	char *s = arena_printf(e->arena, "%s=%.*s", name, SPAN_ARG(value));

	if (filter) {
		for (char *p = s + strlen(name) + 1; *p != '\0'; p++) {
			if (strchr(conf.command_expansion_filter, *p) == NULL)
				*p = '_';
		}
	}
	*ARRAY_PUSH(&e->v) = s;
}

static void
make_env(struct delivery *d, const struct attr *a, const struct user *u,
    struct strings *e)
{
	const struct envelope *env = &d->job->env;
	struct span rest = span_of(conf.export_environment), t;

	*ARRAY_PUSH(&e->v) = arena_strdup(e->arena, "PATH=" PROGRAM_PATH);
	while (span_token(&rest, " \t\r\n,", &t)) {
		ptrdiff_t eq = span_find(t, '=');
		char *name = arena_span_dup(e->arena, t);
		const char *v;

		if (span_starts(t, SPAN("PATH=")) || span_is(t, "PATH"))
			continue;
		if (eq > 0)
			*ARRAY_PUSH(&e->v) = name;
		else if ((v = getenv(name)) != NULL)
			env_put(e, name, span_of(v), false);
	}
	env_put(e, "HOME", span_of(u->home), false);
	env_put(e, "SHELL", span_of(u->shell), false);
	env_put(e, "LOGNAME", span_of(a->as != NULL ? a->user : u->name),
	    true);
	env_put(e, "USER", span_of(a->as != NULL ? a->user : u->name), true);
	if (a->extension[0] != '\0')
		env_put(e, "EXTENSION", span_of(a->extension), true);
	env_put(e, "DOMAIN", span_of(a->domain), true);
	env_put(e, "LOCAL", span_of(a->local), true);
	env_put(e, "RECIPIENT", span_of(a->recipient), true);
	env_put(e, "ORIGINAL_RECIPIENT", d->rcpt->orig.len > 0 ?
	    d->rcpt->orig : d->rcpt->addr, true);
	env_put(e, "SENDER", a->sender.len > 0 ? a->sender :
	    SPAN("MAILER-DAEMON"), true);
	env_put(e, "CLIENT_ADDRESS", env->client_addr, true);
	env_put(e, "CLIENT_HOSTNAME", env->client_name, true);
	env_put(e, "CLIENT_HELO", env->helo, true);
	env_put(e, "CLIENT_PROTOCOL", env->protocol, true);
	if (env->login.len > 0) {
		env_put(e, "SASL_USERNAME", env->login, true);
		env_put(e, "SASL_METHOD", env->sasl_method, true);
	}
	*ARRAY_PUSH(&e->v) = NULL;
}

/* Words and a path, nothing that a shell would do something about. */
static bool
is_simple(const char *command)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	    "_%+=:,./@- \t";
	struct span rest = span_of(command), first;

	return command[strspn(command, plain)] == '\0' &&
	    span_token(&rest, " \t", &first) && first.p[0] == '/' &&
	    span_find(first, '=') < 0;
}

static void
make_argv(const char *command, struct strings *v)
{
	struct span rest = span_of(command), t;

	if (conf.local_command_shell[0] != '\0') {
		struct span shell = span_of(conf.local_command_shell);

		while (span_token(&shell, " \t", &t))
			*ARRAY_PUSH(&v->v) = arena_span_dup(v->arena, t);
		*ARRAY_PUSH(&v->v) = arena_strdup(v->arena, "-c");
		*ARRAY_PUSH(&v->v) = arena_strdup(v->arena, command);
	} else if (is_simple(command)) {
		while (span_token(&rest, " \t", &t))
			*ARRAY_PUSH(&v->v) = arena_span_dup(v->arena, t);
	} else {
		*ARRAY_PUSH(&v->v) = arena_strdup(v->arena, "/bin/sh");
		*ARRAY_PUSH(&v->v) = arena_strdup(v->arena, "-c");
		*ARRAY_PUSH(&v->v) = arena_strdup(v->arena, command);
	}
	*ARRAY_PUSH(&v->v) = NULL;
}

/* --- the parent ------------------------------------------------------------------- */

struct feed {			/* what standard input still gets */
	struct job	*job;
	struct span	 head;
	uint64_t	 at, total;	/* head and content as one */
};

/* Write what fits.  1 there is more, 0 all is written or nobody reads, -1
 * why: the message could not be read. */
static int
feed_some(struct feed *f, int fd, struct why *why)
{
	while (f->at < f->total) {
		struct span piece;
		ssize_t n;

		if (f->at < f->head.len)
			piece = span_from(f->head, (size_t)f->at);
		else if (store_content_read(&f->job->content,
		    f->at - f->head.len, &piece, why) < 0)
			return -1;
		n = write(fd, piece.p, piece.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0)
			return 0;	/* EPIPE: it has read enough */
		f->at += (uint64_t)n;
	}
	return 0;
}

/* Keep the first of the output; true at its end. */
static bool
take_output(int fd, struct buf *out)
{
	char tmp[4096];
	ssize_t n;

	while ((n = read(fd, tmp, sizeof(tmp))) != 0) {
		if (n < 0)
			return errno != EAGAIN && errno != EINTR;
		buf_add(out, tmp, MIN((size_t)n, COMMAND_OUTPUT_MAX - out->len));
	}
	return true;
}

/*
 * Feed it, hear it, wait for its end.  The wait status, or -1 with why; it
 * has ended, and its group was killed, in every case.
 */
static int
attend(pid_t pid, int in, int out, struct feed *f, int64_t limit_s,
    struct buf *text, bool *late, struct why *why)
{
	int64_t end = clock_mono_ms() + limit_s * 1000;
	int status = 0, rc = 0, more = 1, step = 1;
	pid_t got = 0;

	while (got == 0) {
		int64_t left = end - clock_mono_ms();

		if (left <= 0) {
			*late = true;
			break;
		}
		if (in >= 0) {
			more = feed_some(f, in, why);
			if (more <= 0)
				fd_close(&in);
			if (more < 0) {
				rc = -1;
				break;
			}
		}
		if (out >= 0 && take_output(out, text))
			fd_close(&out);
		got = waitpid(pid, &status, WNOHANG);
		if (got != 0)
			break;
		/* Without descriptors to wait for: look again soon, then
		 * less often. */
		if (in < 0 && out < 0) {
			agent_wait(-1, 0, MIN(left, step));
			step = MIN(step * 2, 200);
		} else if (in >= 0 && out >= 0) {
			struct pollfd p[2] = {
				{ .fd = in, .events = POLLOUT },
				{ .fd = out, .events = POLLIN },
			};

			if (poll(p, 2, 0) == 0)
				(void)agent_wait(out, POLLIN, MIN(left, step));
			step = MIN(step * 2, 20);
		} else {
			(void)agent_wait(in >= 0 ? in : out,
			    in >= 0 ? POLLOUT : POLLIN, MIN(left, 1000));
		}
	}
	if (got <= 0) {
		/* All of them: what the command started as well. */
		(void)kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (out >= 0)
		(void)take_output(out, text);
	fd_close(&in);
	fd_close(&out);
	return rc < 0 ? -1 : status;
}

/* The output as one line, and a status code in front taken off. */
static void
read_output(struct buf *text, char code[WHY_CODE_MAX], struct span *rest)
{
	struct span s, word;

	for (size_t i = 0; i < text->len; i++) {
		if ((unsigned char)text->data[i] < ' ')
			text->data[i] = ' ';
	}
	*rest = s = span_trim(buf_span(text));
	code[0] = '\0';
	if (span_token(&s, " ", &word) && word.len < WHY_CODE_MAX &&
	    dsn_code_valid(word)) {
		snprintf(code, WHY_CODE_MAX, "%.*s", SPAN_ARG(word));
		*rest = span_trim(s);
	}
}

int
command_judge(const char *command, int status, bool late, struct buf *text,
    struct why *why)
{
	char code[WHY_CODE_MAX], said[WHY_CODE_MAX];
	const char *means;
	struct span out;

	read_output(text, said, &out);
	if (late)
		return why_set(why, "5.3.0", "Command time limit exceeded: "
		    "\"%.200s\"%s%.*s", command, out.len > 0 ?
		    ". Command output: " : "", SPAN_ARG(out));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return why_set(why, "4.3.0", "Command died with signal %d: "
		    "\"%.200s\"%s%.*s", WTERMSIG(status), command,
		    out.len > 0 ? ". Command output: " : "", SPAN_ARG(out));
	command_status(WEXITSTATUS(status), code, &means);
	if (said[0] == '4' || said[0] == '5')
		memcpy(code, said, sizeof(code));
	if (means != NULL && said[0] != '\0')
		return why_set(why, code, "%.*s", SPAN_ARG(out));
	if (means != NULL)
		return why_set(why, code, "%s%s%.*s", means, out.len > 0 ?
		    ". Command output: " : "", SPAN_ARG(out));
	return why_set(why, code, "Command died with status %d: \"%.200s\""
	    "%s%.*s", WEXITSTATUS(status), command, out.len > 0 ?
	    ". Command output: " : "", SPAN_ARG(out));
}

/* The wait status, or -1 with why: it did not run, or not with all of the
 * message. */
int
command_run(const struct command_spec *c, struct buf *text, bool *late,
    struct why *why)
{
	struct feed f = { .job = c->job, .head = c->head,
	    .total = c->head.len };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = -1;
	pid_t pid = -1;

	if (c->job != NULL)
		f.total += c->job->content.len;
	*late = false;
	/* Others must not wait for somebody's program. */
	agent_slow();
	cred_restore();
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		why_errno(why, "4.3.0", "cannot make a pipe");
		goto end;
	}
	for (int64_t i = 0; i < MAX(conf.fork_attempts, 1); i++) {
		if ((pid = fork()) != -1)
			break;
		agent_wait(-1, 0, conf.fork_delay * 1000);
	}
	if (pid < 0) {
		why_errno(why, "4.3.0", "cannot start a process");
		goto end;
	}
	if (pid == 0)
		program_exec(&c->run, in[0], out[1], -1);
	(void)setpgid(pid, pid);	/* whoever comes first */
	fd_close(&in[0]);
	fd_close(&out[1]);
	fd_set_nonblock(in[1], true);
	fd_set_nonblock(out[0], true);
	status = attend(pid, in[1], out[0], &f, c->limit_s, text, late, why);
	in[1] = out[0] = -1;
end:
	fd_close(&in[0]);
	fd_close(&in[1]);
	fd_close(&out[0]);
	fd_close(&out[1]);
	return status;
}

void
deliver_command(struct delivery *d, const struct attr *a,
    const struct user *u, const char *command, bool mailbox)
{
	struct strings env = { .arena = d->arena }, argv = {
	    .arena = d->arena };
	struct buf text = BUF_INIT(COMMAND_OUTPUT_MAX);
	struct buf head = BUF_INIT(BUF_UNLIMITED);
	struct command_spec c = { .job = d->job,
	    .limit_s = conf.command_time_limit };
	struct why why = WHY_INIT;
	char *dir = NULL;
	bool late;
	int status;

	/* Not root, whoever asks. */
	if (u == NULL || u->uid == 0)
		u = &lc.nobody;
	if (!mailbox && !lc.command_from[a->origin]) {
		note_fail(d, "5.7.1", "mail to command is restricted");
		return;
	}
	if (!first_time(d, 'c', u->uid, command))
		return;
	if (conf.command_execution_directory[0] != '\0') {
		dir = expand_local(d, a, u, conf.command_execution_directory,
		    conf.execution_directory_expansion_filter, &why);
		if (dir == NULL) {
			log_warning("command_execution_directory: %s",
			    why.text);
			note_fail(d, "4.3.5", "mail system configuration "
			    "error");
			return;
		}
	}
	mbox_from_line(&head, a->sender, clock_wall_us());
	job_head(&head, d->rcpt, a->sender, mailbox || lc.head_command ?
	    d->rcpt->addr : SPAN_EMPTY);
	make_env(d, a, u, &env);
	make_argv(command, &argv);
	c.run = (struct program_run){ .uid = u->uid, .gid = u->gid,
	    .dir = dir, .argv = argv.v.v, .env = env.v.v };
	c.head = buf_span(&head);
	status = command_run(&c, &text, &late, &why);
	if (status < 0 && why.text[0] != '\0')
		note_why(d, &why);
	else if (command_judge(command, status, late, &text, &why) < 0)
		note_why(d, &why);
	else
		note_ok(d, false, "delivered to command: %.300s", command);
	ARRAY_FINI(&env.v);
	ARRAY_FINI(&argv.v);
	buf_fini(&text);
	buf_fini(&head);
}
