/* SPDX-License-Identifier: ISC */
/*
 * daemon - from main() to the first client: what is the same in every daemon.
 *
 * The order matters.  The log comes before the settings, because a setting
 * may be wrong; descriptors we did not ask for are closed before anything is
 * opened; what needs privileges or files is opened before the sandbox; and
 * READY is said only when a client can be served.
 */
#include "daemon/daemon.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"
#include "daemon/daemon_priv.h"
#include "io/fd.h"

#define LOCK_POLL_MS	10
#define LISTEN_BACKLOG	1024		/* stand-alone; the kernel clamps it */

struct daemon_state daemon_state = { .status_fd = -1, .settings_fd = -1 };

struct loop *
daemon_loop(void)
{
	return daemon_state.loop;
}

const char *
daemon_service_name(void)
{
	return daemon_state.service;
}

bool
daemon_draining(void)
{
	return daemon_state.draining;
}

const char *
daemon_socket_path(const char *name)
{
	return name;
}

int
daemon_argc(void)
{
	return daemon_state.argc;
}

char *const *
daemon_argv(void)
{
	return daemon_state.argv;
}

uid_t
daemon_mail_uid(void)
{
	return daemon_state.ids.uid;
}

gid_t
daemon_mail_gid(void)
{
	return daemon_state.ids.gid;
}

uid_t
daemon_own_uid(void)
{
	return daemon_state.own.uid;
}

gid_t
daemon_own_gid(void)
{
	return daemon_state.own.gid;
}

/* --- the other end: master -------------------------------------------------- */

void
daemon_tell(enum master_msg_type type, uint32_t value)
{
	struct master_msg m = { .type = type, .value = value };

	if (daemon_state.status_fd < 0)
		return;
	/*
	 * Never wait for master.  A full socket means that master has not read
	 * for hundreds of messages: it is stopped or very late, and a state
	 * that it does not learn costs a process more or less, no mail.
	 */
	if (send(daemon_state.status_fd, &m, sizeof(m),
	    MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
	    errno != EPIPE && errno != ECONNRESET)
		log_warning("cannot tell master: %m");
}

int
daemon_hear(struct master_msg *m)
{
	union {
		struct cmsghdr	h;
		char		space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = m, .iov_len = sizeof(*m) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;
	int fd = -1;

	do {
		n = recvmsg(daemon_state.status_fd, &msg,
		    MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	for (c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET &&
		    c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if ((size_t)n != sizeof(*m)) {
		fd_close(&fd);
		return -1;
	}
	if ((m->type == MASTER_MSG_LOG || m->type == MASTER_MSG_SYSLOG) &&
	    fd >= 0) {
		log_flush();
		if (m->type == MASTER_MSG_LOG)
			log_replace_fd(fd);
		else
			log_replace_socket(conf.syslog_facility, fd);
		fd = -1;
		if (daemon_state.d->log_moved != NULL)
			daemon_state.d->log_moved();
	}
	fd_close(&fd);
	return 1;
}

/* --- the watchdog ------------------------------------------------------------ */

static timer_t	watchdog;
static bool	watchdog_on;
static int64_t	watchdog_said;

static void
watchdog_expired(int signo)
{
	static const char text[] = "watchdog timeout\n";

	/* The process hangs somewhere; only this much is safe here.  master
	 * logs the signal. */
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	signal(SIGALRM, SIG_DFL);
	abort();
}

void
daemon_alive(void)
{
	struct itimerspec when = {
		.it_value.tv_sec = (time_t)conf.daemon_timeout,
	};
	struct timespec now;

	if (!watchdog_on || conf.daemon_timeout == PARAM_UNLIMITED)
		return;
	/* Called every turn: a system call a second is enough. */
	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0 ||
	    now.tv_sec == watchdog_said)
		return;
	watchdog_said = now.tv_sec;
	if (timer_settime(watchdog, 0, &when, NULL) < 0)
		log_warning("cannot set the watchdog: %m");
}

void
daemon_watchdog_start(void)
{
	struct sigevent how = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM,
	};
	struct sigaction act = { .sa_handler = watchdog_expired };

	/* A POSIX timer and not alarm(2): it is not inherited by commands
	 * that we execute, and nobody else can take it away. */
	sigaction(SIGALRM, &act, NULL);
	if (timer_create(CLOCK_MONOTONIC, &how, &watchdog) < 0) {
		log_warning("no watchdog: %m");
		return;
	}
	watchdog_on = true;
	watchdog_said = 0;
	daemon_alive();
}

int64_t
daemon_alive_ms(void)
{
	int64_t every = MIN(conf.daemon_timeout / 4, 60);

	return MAX(every, 1) * 1000;
}

/* --- options, descriptors, signals ------------------------------------------- */

NORETURN static void
usage(const char *name)
{
	fprintf(stderr, "usage: %s [-fuv] [-c config_dir] [-n service] "
	    "[-t type] [-o name=value]\n"
	    "	-C | -L inet:address:port | -L unix:path ...\n"
	    "Normally %s is started by master(8).\n", name, name);
	exit(64);		/* EX_USAGE */
}

static uint32_t
parse_options(int argc, char **argv)
{
	struct daemon_state *s = &daemon_state;
	uint32_t nlisten = 0;
	int c;

	s->service = s->d->name;
	s->type = "unix";
	s->config_dir = getenv("MAIL_CONFIG");
	if (s->config_dir == NULL)
		s->config_dir = SYSCONFDIR "/mansio";
	opterr = 0;
	while ((c = getopt(argc, argv, "+Cc:fkL:lmn:o:s:t:uvy")) != -1) {
		switch (c) {
		case 'C':
			s->check++;
			break;
		case 'c':
			s->config_dir = optarg;
			break;
		case 'f':
			s->to_stderr = true;
			break;
		case 'k':
			s->keep = true;
			break;
		case 'L':
			*ARRAY_PUSH(&s->listen) = optarg;
			break;
		case 'l':
			s->master_log = true;
			break;
		case 'm':
			s->settings_given = true;
			break;
		case 'n':
			s->service = optarg;
			break;
		case 'o':
			if (strchr(optarg, '=') == NULL)
				usage(s->d->name);
			*ARRAY_PUSH(&s->overrides) = optarg;
			break;
		case 's':
			if (num_parse_u32(span_of(optarg), MASTER_LISTEN_MAX,
			    &nlisten) < 0)
				usage(s->d->name);
			s->master = true;
			break;
		case 't':
			s->type = optarg;
			break;
		case 'u':
			s->unpriv = true;
			break;
		case 'v':
			s->debug = true;
			break;
		case 'y':
			s->master_syslog = true;
			break;
		default:
			fprintf(stderr, "%s: error: option -%c is unknown or "
			    "lacks its value\n", s->d->name, optopt);
			usage(s->d->name);
		}
	}
	s->argc = argc - optind;
	s->argv = argv + optind;
	if (s->master || s->check ? s->listen.len != 0 : s->listen.len == 0)
		usage(s->d->name);
	return nlisten;
}

/* Descriptors 0 to 2 exist, and none that we were not given. */
static void
tidy_descriptors(uint32_t nlisten)
{
	struct daemon_state *s = &daemon_state;
	unsigned first = 3;
	struct stat st;
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
		if (fd < 0)
			_exit(1);
	} while (fd < 3);
	close(fd);
	if (s->master) {
		first = MASTER_LISTEN_FD + nlisten;
		if (fstat(MASTER_STATUS_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
			usage(s->d->name);
		s->status_fd = MASTER_STATUS_FD;
		fd_set_cloexec(MASTER_STATUS_FD, true);
		if (s->master_log || s->master_syslog)
			fd_set_cloexec(MASTER_LOG_FD, true);
		else
			close(MASTER_LOG_FD);
		for (uint32_t i = 0; i < nlisten; i++) {
			fd = MASTER_LISTEN_FD + (int)i;
			fd_set_cloexec(fd, true);
			fd_set_nonblock(fd, true);
			*ARRAY_PUSH(&s->listeners) = fd;
		}
		if (s->settings_given)
			s->settings_fd = (int)first++;
	}
	close_range(first, ~0u, 0);
}

void
daemon_reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	struct sigaction ign = { .sa_handler = SIG_IGN };
	static const int ours[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM,
	};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		sigaction(ours[i], &dfl, NULL);
	sigaction(SIGPIPE, &ign, NULL);
	/* A full disk is an error of write(2), not the end of the process. */
	sigaction(SIGXFSZ, &ign, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * A service that must have one process at a time has a lock for that.  Its
 * last process may still be finishing: then master was killed and started
 * again, and we wait for it, because two would write into each other's files.
 */
static void
lock_single(void)
{
	struct daemon_state *s = &daemon_state;
	char *path = mem_printf("pid/%s.%s.pid", s->type, s->service);
	int64_t end = clock_mono_ms() + conf.stop_time_limit * 1000;
	bool said = false;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* Agents look who qmgr is (local/agent.c), whatever our umask. */
	if (fd < 0 || fchmod(fd, 0644) < 0)
		log_fatal("cannot open %s: %m", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			log_fatal("cannot lock %s: %m", path);
		if (clock_mono_ms() >= end)
			log_fatal("another %s process runs (%s)", s->service,
			    path);
		if (!said)
			log_info("waiting for the last %s process to finish",
			    s->service);
		said = true;
		poll(NULL, 0, LOCK_POLL_MS);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_warning("cannot write %s: %m", path);
	mem_free(path);
	/* fd stays open, and with it the lock, as long as we live. */
}

/* -L: a listener of our own. */
static int
listen_here(const char *spec, struct why *why)
{
	struct span s = span_of(spec), port;
	struct sock_addr a;
	ptrdiff_t colon;
	uint32_t n;

	if (span_starts(s, SPAN("unix:")))
		return sock_listen_unix(spec + 5, 0666, LISTEN_BACKLOG, why);
	if (!span_starts(s, SPAN("inet:")))
		return why_set(why, "", "-L %s: want inet: or unix:", spec);
	s = span_from(s, 5);
	colon = span_rfind(s, ':');
	port = span_from(s, (size_t)(colon + 1));
	if (colon < 1 || num_parse_u32(port, 65535, &n) < 0 ||
	    sock_addr_parse(span_sub(s, 0, (size_t)colon), (uint16_t)n,
	    &a) < 0)
		return why_set(why, "", "-L %s: want inet:address:port", spec);
	return sock_listen_inet(&a, LISTEN_BACKLOG, why);
}

static void
open_listeners(void)
{
	struct daemon_state *s = &daemon_state;
	struct why why = WHY_INIT;
	int fd;

	for (size_t i = 0; i < s->listen.len; i++) {
		fd = listen_here(s->listen.v[i], &why);
		if (fd < 0)
			log_fatal("%s", why.text);
		*ARRAY_PUSH(&s->listeners) = fd;
	}
}

int
daemon_main(const struct daemon *d, int argc, char **argv)
{
	struct daemon_state *s = &daemon_state;
	struct why why = WHY_INIT;
	const struct jail *jail;
	uint32_t nlisten;

	umask(077);
	s->d = d;
	nlisten = parse_options(argc, argv);
	tidy_descriptors(nlisten);
	daemon_reset_signals();

	/* A log for what goes wrong while the settings are read. */
	daemon_set_tag();
	log_set_debug(s->debug);
	if (s->master_log)
		log_open_fd(MASTER_LOG_FD);
	else if (s->master_syslog)
		log_open_syslog("mail", MASTER_LOG_FD);

	daemon_load_settings();
	daemon_clean_environment();
	if (s->check)
		daemon_check_settings();
	daemon_open_log();
	jail = d->jail != NULL ? d->jail : sandbox_find(d->name);
	if (jail == NULL)
		log_panic("the sandbox table has no row \"%s\"", d->name);
	if (sandbox_ids(&s->ids, &why) < 0)
		log_fatal("%s", why.text);
	sandbox_own_ids(jail, &s->ids, &s->own);
	if (chdir(conf.queue_directory) < 0)
		log_fatal("cannot use queue_directory %s: %m",
		    conf.queue_directory);
	if (s->master && s->keep)
		lock_single();
	open_listeners();
	if (d->pre_jail != NULL && d->pre_jail(&why) < 0)
		log_fatal("%s", why.text);
	/* master has made the jail, and linked the sockets that there were. */
	if (!s->master && jail->chroot &&
	    sandbox_prepare(AT_FDCWD, &why) < 0)
		log_fatal("%s", why.text);
	/* The loop's epoll and signal descriptors need no file; made before
	 * the filter all the same, with all else that libraries do once. */
	if (d->accept != NULL)
		s->loop = loop_new();
	daemon_watchdog_start();
	if (sandbox_enter(jail, &s->own, !s->unpriv, &why) < 0)
		log_fatal("%s", why.text);
	if (d->start != NULL && d->start(&why) < 0)
		log_fatal("%s", why.text);
	if (d->accept != NULL)
		daemon_run_events();
	else
		daemon_run_worker();
	log_flush();
	return 0;
}
