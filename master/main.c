/* SPDX-License-Identifier: ISC */
/*
 * master - opens every listener; starts, watches, throttles, restarts and
 * stops the daemons; and nothing else.
 *
 * It runs as root and never reads mail or anything that a client sent.  It
 * starts only when main.cf, master.cf and the machine are right, and says all
 * that is wrong at once.  One master runs per queue directory: pid/master.pid
 * is locked by it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "master/master.h"
#include "queue/spool.h"

struct master master = { .log_fd = -1, .pid_fd = -1, .settings_fd = -1 };

#define PID_FILE	"pid/master.pid"

static int parent_fd = -1;	/* where "started" is said; -1: nobody waits */

NORETURN static void
usage(void)
{
	fprintf(stderr, "usage: master [-dtvw] [-c config_dir] "
	    "[-o name=value]\n");
	exit(64);		/* EX_USAGE */
}

/* --- before the log is open: problems go to whoever started us --------------- */

struct note {
	enum log_level	 level;
	char		*line;
};
static ARRAY(struct note) notes;	/* for the log, when it is open */

static void
report(void *arg, enum log_level level, const char *line)
{
	struct note *n = ARRAY_PUSH(&notes);

	n->level = level;
	n->line = mem_strdup(line);
	if (level != LOG_LEVEL_INFO)
		report_to_log(arg, level, line);
}

static void
log_notes(void)
{
	for (size_t i = 0; i < notes.len; i++) {
		report_to_log(NULL, notes.v[i].level, notes.v[i].line);
		mem_free(notes.v[i].line);
	}
	ARRAY_FINI(&notes);
}

/* Lines that the person who waits for the start should see too. */
static void
echo(enum log_level level, const char *line)
{
	if (level >= LOG_LEVEL_WARNING && !master.started)
		fprintf(stderr, "%s: %s\n", log_tag(), line);
}

/* --- the background ------------------------------------------------------------ */

/*
 * Go on in a child; the caller waits until that says that it has started, or
 * ends, and exits with what came of it.
 */
static void
to_background(bool wait)
{
	int fds[2];
	char answer;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		log_fatal("pipe: %m");
	pid = fork();
	if (pid < 0)
		log_fatal("fork: %m");
	if (pid > 0) {
		close(fds[1]);
		if (!wait)
			_exit(0);
		_exit(read(fds[0], &answer, 1) == 1 ? 0 : 1);
	}
	close(fds[0]);
	parent_fd = fds[1];
	if (setsid() < 0)
		log_warning("setsid: %m");
}

static void
leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		(void)dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Called while not all prestarted services have been seen ready. */
static void
see_whether_started(void *arg)
{
	if (master.started || master.stopping || !svc_all_prestarted())
		return;
	master.started = true;
	log_set_hook(NULL);
	notify_send("READY=1");
	if (parent_fd >= 0 && write(parent_fd, "", 1) < 0)
		log_debug("nobody waits any more");
	fd_close(&parent_fd);
	if (!master.foreground)
		leave_terminal();
}

/* --- the pid file ---------------------------------------------------------------- */

/* 0, or -1 when another master has it, whose pid is then in *other. */
static int
lock_pid_file(pid_t *other)
{
	char text[32] = "";

	master.pid_fd = open(PID_FILE, O_RDWR | O_CREAT | O_CLOEXEC |
	    O_NOFOLLOW, 0644);
	if (master.pid_fd < 0)
		log_fatal("cannot open %s/%s: %m", conf.queue_directory,
		    PID_FILE);
	if (flock(master.pid_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		log_fatal("cannot lock %s/%s: %m", conf.queue_directory,
		    PID_FILE);
	if (pread(master.pid_fd, text, sizeof(text) - 1, 0) > 0)
		*other = (pid_t)strtol(text, NULL, 10);
	return -1;
}

static void
write_pid_file(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(master.pid_fd, 0) < 0 ||
	    fd_pwrite_all(master.pid_fd, text, strlen(text), 0) < 0)
		log_fatal("cannot write %s: %m", PID_FILE);
}

/* --- start ------------------------------------------------------------------------- */

static void
parse_options(int argc, char **argv, bool *test, bool *wait)
{
	int c;

	master.config_dir = getenv("MAIL_CONFIG");
	if (master.config_dir == NULL)
		master.config_dir = SYSCONFDIR "/mansio";
	while ((c = getopt(argc, argv, "c:do:tvw")) != -1) {
		switch (c) {
		case 'c':
			master.config_dir = optarg;
			break;
		case 'd':
			master.foreground = true;
			break;
		case 'o':
			if (strchr(optarg, '=') == NULL)
				usage();
			*ARRAY_PUSH(&master.overrides) = optarg;
			break;
		case 't':
			*test = true;
			break;
		case 'v':
			master.debug = true;
			break;
		case 'w':
			*wait = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
}

/* Children get an absolute path: their working directory is another one. */
static void
absolute_config_dir(void)
{
	char *path = realpath(master.config_dir, NULL);

	if (path == NULL)
		log_fatal("configuration directory %s: %m",
		    master.config_dir);
	master.config_dir = path;
}

static void
close_inherited(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			_exit(1);
	} while (fd < 3);
	close(fd);
	close_range(3, ~0u, 0);
}

static void
raise_limits(void)
{
	struct rlimit lim;

	/* For us, and for the daemons, whose rows may lower it. */
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* What is needed before anything can be promised.  Returns the plan. */
static struct services
read_configuration(void)
{
	struct services plan;

	if (services_judge(master.config_dir, master.overrides.v,
	    master.overrides.len, &plan, report, NULL) < 0)
		log_fatal("not started: the configuration has errors");
	return plan;
}

/* -t: is a master running?  Exit status as Postfix's: 0 when not. */
NORETURN static void
test_lock(void)
{
	pid_t other = 0;

	if (params_load(master.config_dir, master.overrides.v,
	    master.overrides.len, NULL, NULL) < 0)
		exit(1);
	if (chdir(conf.queue_directory) < 0 || access(PID_FILE, F_OK) < 0)
		exit(0);
	exit(lock_pid_file(&other) == 0 ? 0 : 1);
}

static void
make_services(struct services *plan)
{
	bool ok = true;

	for (size_t i = 0; i < plan->v.len; i++) {
		struct svc *s = svc_new(plan->v.v[i]);

		plan->v.v[i] = NULL;
		*ARRAY_PUSH(&master.services) = s;
		for (size_t k = 0; k < s->listeners.len; k++) {
			struct why why = WHY_INIT;

			if (listener_open(s->listeners.v[k], &why) < 0) {
				log_error("%s: %s", s->plan->origin,
				    why.text);
				ok = false;
			}
		}
	}
	services_fini(plan);
	if (!ok)
		log_fatal("not started: see above");
}

static void
prepare(void)
{
	struct services plan = read_configuration();
	struct why why = WHY_INIT;
	pid_t other = 0;

	settings_keep();
	if (sandbox_ids(&master.ids, &why) < 0 ||
	    spool_create(conf.queue_directory, master.ids.uid, master.ids.gid,
	    &why) < 0)
		log_fatal("%s", why.text);
	if (chdir(conf.queue_directory) < 0)
		log_fatal("%s: %m", conf.queue_directory);
	master.queue_directory = mem_strdup(conf.queue_directory);
	if (lock_pid_file(&other) < 0)
		log_fatal("the mail system is already running (pid %d)",
		    (int)other);
	write_pid_file();
	daemon_clean_environment();
	if (logfile_open(&why) < 0)
		log_fatal("%s", why.text);
	log_notes();
	log_set_hook(echo);
	make_services(&plan);
	if (sandbox_prepare(AT_FDCWD, &why) < 0 || control_open(&why) < 0)
		log_fatal("%s", why.text);
}

/* --- signals ------------------------------------------------------------------------ */

static void
on_chld(void *arg)
{
	child_reap_all();
}

static void
on_term(void *arg)
{
	log_info("terminating on signal %d", (int)(intptr_t)arg);
	stop_begin();
}

static void
on_hup(void *arg)
{
	reload_begin(NULL);
}

static void
on_usr1(void *arg)
{
	log_info("opening the log again");
	logfile_reopen();
}

static void
watch_signals(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ign, NULL);
	sigaction(SIGXFSZ, &ign, NULL);
	(void)loop_signal_new(master.loop, SIGCHLD, on_chld, NULL);
	(void)loop_signal_new(master.loop, SIGTERM, on_term,
	    (void *)(intptr_t)SIGTERM);
	(void)loop_signal_new(master.loop, SIGINT, on_term,
	    (void *)(intptr_t)SIGINT);
	(void)loop_signal_new(master.loop, SIGHUP, on_hup, NULL);
	(void)loop_signal_new(master.loop, SIGUSR1, on_usr1, NULL);
}

int
main(int argc, char **argv)
{
	bool test = false, wait = false;
	sigset_t none;

	umask(022);
	log_set_tag("mansio/master");
	parse_options(argc, argv, &test, &wait);
	close_inherited();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	absolute_config_dir();
	if (test)
		test_lock();
	log_set_debug(master.debug);
	notify_init();
	if (!master.foreground)
		to_background(wait);
	raise_limits();
	master.loop = loop_new();
	prepare();
	master.started_ms = clock_mono_ms();
	watch_signals();
	log_info("daemon started -- version %s, configuration %s",
	    MANSIO_VERSION, master.config_dir);
	master.startup_defer.fn = see_whether_started;
	for (size_t i = 0; i < master.services.len; i++) {
		svc_start_listening(master.services.v[i]);
		svc_consider(master.services.v[i]);
	}
	loop_defer(master.loop, &master.startup_defer);
	loop_run(master.loop);
	log_info("stopped");
	log_flush();
	return 0;
}
