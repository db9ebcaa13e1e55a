/* SPDX-License-Identifier: ISC */
/*
 * dummy - a daemon for the tests of master and lib/daemon.
 *
 * A client sends one word a line and gets one line back:
 *
 *	pid			our process id
 *	setting NAME		its value as we see it
 *	sleep MS		answers after that time (worker shape: sleeps)
 *	exit N, abort, segv	ends the process in that way
 *	open PATH, write PATH, connect PATH, inet, exec, fork, kill, thread
 *				tries it: "ok" or the error's text
 *	uid, cwd, env NAME
 *	master N		sends master a message of type N
 *	hang			never returns (for the watchdog)
 *	quit			closes the connection
 *
 * Run under a name that ends in "w" it is a worker, otherwise event-driven;
 * with "-o myorigin=startup-failure" start() fails.  "-o mail_name=reload"
 * makes it reload in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"
#include "daemon/daemon.h"
#include "daemon/master_proto.h"
#include "daemon/sandbox.h"
#include "io/fd.h"
#include "io/stream.h"

#define LINE_MAX_LEN	1000

struct client {
	struct stream		*s;
	struct loop_timer	*timer;
	struct client		*next, *prev;
};

static struct client *clients;		/* all of them */
static volatile int hanging = 1;

static void *
nothing(void *arg)
{
	return arg;
}

static const char *
outcome(bool ok)
{
	return ok ? "ok" : strerror(errno);
}

/* What the sandbox has to say about it. */
static const char *
try(struct span verb, const char *arg)
{
	char *const argv[] = { (char *)(uintptr_t)"/bin/true", NULL };
	struct sock_addr a;
	struct rlimit lim = { 1 << 20, 1 << 20 };
	pthread_t t;
	int fd = -1;
	pid_t pid;
	bool ok;

	if (span_is(verb, "open"))
		fd = open(arg, O_RDONLY | O_CLOEXEC);
	else if (span_is(verb, "write"))
		fd = open(arg, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	else if (span_is(verb, "connect"))
		fd = sock_connect_unix(arg, 100);
	else if (span_is(verb, "inet")) {
		if (sock_addr_parse(span_of("127.0.0.1"), 9, &a) < 0)
			return "?";
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, &a.sa, a.len) < 0) {
			fd_close(&fd);
			return errno == ECONNREFUSED ? "ok" : strerror(errno);
		}
	} else if (span_is(verb, "exec")) {
		execv("/bin/true", argv);
		return strerror(errno);
	} else if (span_is(verb, "fork")) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return outcome(pid > 0);
	} else if (span_is(verb, "kill"))
		return outcome(kill(getppid(), 0) == 0);
	else if (span_is(verb, "limit"))
		return outcome(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	else if (span_is(verb, "thread")) {
		errno = pthread_create(&t, NULL, nothing, NULL);
		if (errno != 0)
			return strerror(errno);
		pthread_join(t, NULL);
		return "ok";
	} else
		return "unknown command";
	ok = fd >= 0;
	if (!ok)
		return outcome(false);
	fd_close(&fd);
	return "ok";
}

/* The answer, to mem_free(). */
static char *
answer(struct span line, struct span *verb_out, uint64_t *number)
{
	struct span rest = line, verb = SPAN_EMPTY, arg = SPAN_EMPTY;
	char *text, *out, cwd[1000];

	(void)!span_token(&rest, " ", &verb);
	(void)!span_token(&rest, " ", &arg);
	*verb_out = verb;
	*number = 0;
	(void)!num_parse_u64(arg, UINT64_MAX, number);
	text = span_dup(arg);
	if (span_is(verb, "pid"))
		out = mem_printf("%d", (int)getpid());
	else if (span_is(verb, "uid"))
		out = mem_printf("%d %d %d", (int)getuid(), (int)geteuid(),
		    (int)getgid());
	else if (span_is(verb, "cwd"))
		out = mem_strdup(getcwd(cwd, sizeof(cwd)) != NULL ? cwd
		    : strerror(errno));
	else if (span_is(verb, "env"))
		out = mem_strdup(getenv(text) != NULL ? getenv(text)
		    : "unset");
	else if (span_is(verb, "setting")) {
		out = params_get(text);
		if (out == NULL)
			out = mem_strdup("unset");
	} else if (span_is(verb, "log")) {
		log_info("dummy: %s", text);
		out = mem_strdup("ok");
	} else if (span_is(verb, "sleep"))
		out = mem_strdup("slept");
	else if (span_is(verb, "service"))
		out = mem_strdup(daemon_service_name());
	else if (span_is(verb, "master")) {
		struct master_msg m = { .type = (uint32_t)*number };

		out = mem_strdup(send(MASTER_STATUS_FD, &m, sizeof(m), 0) ==
		    (ssize_t)sizeof(m) ? "ok" : strerror(errno));
	} else if (span_is(verb, "exit"))
		_exit((int)*number);
	else if (span_is(verb, "abort"))
		log_panic("told to");
	else if (span_is(verb, "segv")) {
		signal(SIGSEGV, SIG_DFL);	/* a sanitizer has its own */
		raise(SIGSEGV);
		_exit(1);
	} else if (span_is(verb, "hang")) {
		while (hanging)
			continue;
		out = NULL;
	} else
		out = mem_strdup(try(verb, text));
	mem_free(text);
	return out;
}

/* --- event-driven ---------------------------------------------------------------- */

static void
client_free(struct client *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	loop_timer_free(&c->timer);
	if (c->s != NULL)
		stream_finish(&c->s, 1000);
	mem_free(c);
	daemon_busy(-1);
}

static void
on_slept(void *arg)
{
	struct client *c = arg;

	stream_printf(c->s, "slept\n");
	stream_resume(c->s);
	stream_kick(c->s);
}

static void
on_read(void *arg, struct stream *s)
{
	struct client *c = arg;
	struct span in, line, verb;
	uint64_t n;
	char *out;

	for (;;) {
		ptrdiff_t lf;

		in = stream_input(s);
		lf = span_find(in, '\n');
		if (lf < 0)
			return;
		line = span_trim(span_sub(in, 0, (size_t)lf));
		if (span_is(line, "quit")) {
			client_free(c);
			return;
		}
		out = answer(line, &verb, &n);
		if (span_is(verb, "sleep")) {
			stream_consume(s, (size_t)lf + 1);
			stream_pause(s);
			loop_timer_set(c->timer, (int64_t)n);
			mem_free(out);
			return;
		}
		stream_consume(s, (size_t)lf + 1);
		stream_printf(s, "%s\n", out);
		mem_free(out);
	}
}

static void
on_end(void *arg, struct stream *s, enum stream_end end)
{
	client_free(arg);
}

static const struct stream_ops ops = { on_read, NULL, on_end };

static void
accept_client(int fd, const struct sock_addr *peer, int index)
{
	struct client *c = mem_zalloc(sizeof(*c));

	c->next = clients;
	if (clients != NULL)
		clients->prev = c;
	clients = c;
	c->timer = loop_timer_new(daemon_loop(), on_slept, c);
	c->s = stream_new(daemon_loop(), fd, LINE_MAX_LEN, 65536, &ops, c);
	stream_printf(c->s, "hello %d\n", index);
	daemon_busy(1);
}

static void
say_goodbye(void)
{
	while (clients != NULL) {
		stream_printf(clients->s, "bye\n");
		client_free(clients);
	}
}

/* --- worker ------------------------------------------------------------------------ */

static void
serve(int fd)
{
	char line[LINE_MAX_LEN], *out;
	struct span verb;
	size_t len = 0;
	uint64_t n;

	if (fd_write_all(fd, "hello 0\n", 8) < 0)
		goto done;
	while (daemon_wait(fd, 10000) == 1) {
		ssize_t got = read(fd, line + len, sizeof(line) - len);

		if (got <= 0)
			break;
		len += (size_t)got;
		while (len > 0 && memchr(line, '\n', len) != NULL) {
			char *lf = memchr(line, '\n', len);
			struct span text = span_trim(span_make(line,
			    (size_t)(lf - line)));

			if (span_is(text, "quit"))
				goto done;
			out = answer(text, &verb, &n);
			if (span_is(verb, "sleep"))
				usleep((useconds_t)n * 1000);
			if (dprintf(fd, "%s\n", out) < 0)
				goto done;
			mem_free(out);
			len -= (size_t)(lf - line) + 1;
			memmove(line, lf + 1, len);
		}
		if (len == sizeof(line))
			break;
	}
done:
	fd_close(&fd);
}

/* ------------------------------------------------------------------------------------ */

static int
start(struct why *why)
{
	if (strcmp(conf.myorigin, "startup-failure") == 0)
		return why_set(why, "", "told to fail");
	log_info("dummy: started");
	return 0;
}

static int
reload(struct why *why)
{
	log_info("dummy: reloaded");
	return 0;
}

static void
wakeup(void)
{
	log_info("dummy: wakeup");
}

static const struct jail jail_chroot = {
	.name = "dummy", .chroot = true, .may = JAIL_CONNECT,
	.sockets = "private/allowed", .paths = "",
};
static const struct jail jail_files = {
	.name = "dummy", .may = JAIL_FILES | JAIL_WRITE | JAIL_CONNECT |
	    JAIL_THREADS,
	.sockets = "", .paths = "r:/etc w:writable",
};
static const struct jail jail_root = {
	.name = "dummy", .user = JAIL_ROOT, .may = JAIL_ANYTHING,
	.new_privs = true, .sockets = "",
};

int
main(int argc, char **argv)
{
	static struct daemon d = {
		.name = "dummy", .start = start, .wakeup = wakeup,
	};
	const char *jail = "files";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "mail_name=reload") == 0)
			d.reload = reload;
		else if (strncmp(argv[i], "mail_name=jail-", 15) == 0)
			jail = argv[i] + 15;
	}
	d.jail = strcmp(jail, "chroot") == 0 ? &jail_chroot
	    : strcmp(jail, "root") == 0 ? &jail_root : &jail_files;
	if (span_ends(span_of(argv[0]), SPAN("w")))
		d.serve = serve;
	else {
		d.accept = accept_client;
		d.drain = say_goodbye;
	}
	return daemon_main(&d, argc, argv);
}
