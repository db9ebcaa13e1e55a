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

static void
load_settings(void)
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
	if (daemon_state.d->reload(&why) < 0) {
		log_error("reload: %s", why.text);
		daemon_tell(MASTER_MSG_FAILED, 0);
	}
}

static void
set_tag(void)
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

static void
open_log(void)
{
	int fd;

	set_tag();
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

bool
daemon_judged_bad(void)
{
	return judged_bad;
}

/* The answer is our exit, and lines on standard error. */
NORETURN static void
check_settings(void)
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
	set_tag();
	log_set_debug(s->debug);
	if (s->master_log)
		log_open_fd(MASTER_LOG_FD);
	else if (s->master_syslog)
		log_open_syslog("mail", MASTER_LOG_FD);

	load_settings();
	daemon_clean_environment();
	if (s->check)
		check_settings();
	open_log();
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
