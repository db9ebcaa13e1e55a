/* SPDX-License-Identifier: ISC */
/*
 * syslog - the socket to syslogd that we and all our children share.
 *
 * A process in a jail cannot open /dev/log, and so not again either when
 * syslogd has been restarted.  But a datagram socket that several processes
 * have inherited is one socket: when we connect it to the new syslogd, it is
 * connected for all of them, and they need not even know.  Where syslogd wants
 * a stream, which can be connected only once, everybody gets a new descriptor.
 *
 * That syslogd is back shows in the directory of its socket.  Until then each
 * process keeps its own lines (base/logsock.h).
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/logsock.h"
#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"
#include "io/fd.h"

#define AWAY_MS		1000	/* between attempts while nobody is there */
#define UNWATCHED_MS	5000	/* between looks where inotify(7) fails */
#define LINKS_MAX	8	/* from /dev/log to the socket */
#define WATCH_MASK	(IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM)

static struct {
	int		 fd;		/* master.log_fd too; -1: not in use */
	bool		 stream;
	bool		 away;
	int64_t		 away_ms;	/* monotonic: since when */
	struct loop_io	*end_io;	/* tells of a stream's end */
	struct loop_timer *timer;
	int		 inotify_fd;
	struct loop_io	*inotify_io;
	struct { int wd; char name[NAME_MAX + 1]; } names[LINKS_MAX];
	size_t		 nnames;
} sys = { .fd = -1, .inotify_fd = -1 };

static void look_again(void);

/* --- the names on the way to the socket ----------------------------------------- */

/* What path is a link to, in out[PATH_MAX]; false: it is none. */
static bool
follow(const char *path, size_t dir_len, char *out)
{
	char to[PATH_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	int len;

	if (n <= 0)
		return false;
	to[n] = '\0';
	len = to[0] == '/' ? snprintf(out, PATH_MAX, "%s", to)
	    : snprintf(out, PATH_MAX, "%.*s/%s", (int)dir_len, path, to);
	return len > 0 && len < PATH_MAX;
}

/* With systemd /dev/log is a link; both ends of it may be replaced. */
static void
watch_names(void)
{
	char path[PATH_MAX] = LOGSOCK_PATH, next[PATH_MAX], dir[PATH_MAX];

	sys.nnames = 0;
	if (sys.inotify_fd < 0)
		return;
	while (sys.nnames < LINKS_MAX) {
		char *slash = strrchr(path, '/');
		size_t dir_len = (size_t)(slash - path);
		int wd;

		snprintf(dir, sizeof(dir), "%.*s/", (int)dir_len, path);
		wd = inotify_add_watch(sys.inotify_fd, dir, WATCH_MASK);
		if (wd >= 0) {
			sys.names[sys.nnames].wd = wd;
			snprintf(sys.names[sys.nnames++].name, NAME_MAX + 1,
			    "%s", slash + 1);
		}
		if (!follow(path, dir_len, next))
			return;
		memcpy(path, next, sizeof(path));
		if (strrchr(path, '/') == NULL)
			return;
	}
}

static bool
is_ours(const struct inotify_event *e)
{
	for (size_t i = 0; i < sys.nnames; i++)
		if (e->wd == sys.names[i].wd && e->len > 0 &&
		    strcmp(e->name, sys.names[i].name) == 0)
			return true;
	return (e->mask & IN_Q_OVERFLOW) != 0;
}

static void
on_inotify(void *arg, unsigned events)
{
	_Alignas(struct inotify_event) char b[16 * 1024];
	ssize_t n = read(sys.inotify_fd, b, sizeof(b));
	bool changed = false;
	size_t at = 0;

	while (n > 0 && at + sizeof(struct inotify_event) <= (size_t)n) {
		const struct inotify_event *e = (const void *)(b + at);

		changed = changed || is_ours(e);
		at += sizeof(*e) + e->len;
	}
	if (changed)
		look_again();
}

/* --- connecting ------------------------------------------------------------------- */

static int
connect_to_syslogd(int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX,
	    .sun_path = LOGSOCK_PATH };

	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static void
on_end(void *arg, unsigned events)
{
	char b[64];
	ssize_t n = read(sys.fd, b, sizeof(b));

	/* syslogd has nothing to say: this is its end. */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		loop_io_free(&sys.end_io);
		look_again();
	}
}

/* Use fd from now on, and have our children use it. */
static void
take(int fd, bool stream)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0) {
		log_warning("syslog: %m");
		close(fd);
		return;
	}
	loop_io_free(&sys.end_io);
	log_replace_socket(conf.syslog_facility, copy);
	if (sys.fd >= 0)
		close(sys.fd);
	sys.fd = master.log_fd = fd;
	sys.stream = stream;
	if (stream) {
		sys.end_io = loop_io_new(master.loop, fd, on_end, NULL);
		loop_io_want(sys.end_io, LOOP_READ);
	}
	logfile_tell_children();
}

/* A new socket, of the type that syslogd's has. */
static int
make_connected(bool *stream)
{
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
		if (fd < 0)
			return -1;
		*stream = types[i] == SOCK_STREAM;
		if (connect_to_syslogd(fd) == 0)
			return fd;
		close(fd);
		if (errno != EPROTOTYPE)
			return -1;
	}
	return -1;
}

static bool
connected(void)
{
	bool stream;
	int fd;

	if (!sys.stream && connect_to_syslogd(sys.fd) == 0)
		return true;
	/* A stream goes on as long as its own syslogd does. */
	if (sys.stream && sys.end_io != NULL)
		return true;
	if (!sys.stream && errno != EPROTOTYPE)
		return false;
	fd = make_connected(&stream);
	if (fd >= 0)
		take(fd, stream);
	return fd >= 0;
}

static void
look_again(void)
{
	int err;

	watch_names();		/* before: what comes after that is an event */
	if (connected()) {
		if (sys.away)
			log_info("syslog is there again after %lld s",
			    (long long)(clock_mono_ms() - sys.away_ms) / 1000);
		sys.away = false;
		if (sys.nnames == 0)
			loop_timer_set(sys.timer, UNWATCHED_MS);
		else
			loop_timer_cancel(sys.timer);
		return;
	}
	err = errno;
	loop_timer_set(sys.timer, AWAY_MS);
	if (sys.away)
		return;
	sys.away = true;
	sys.away_ms = clock_mono_ms();
	errno = err;
	log_warning("%s: %m; log lines wait for a syslog daemon",
	    LOGSOCK_PATH);
}

static void
on_timer(void *arg)
{
	look_again();
}

static void
start_watching(void)
{
	sys.timer = loop_timer_new(master.loop, on_timer, NULL);
	sys.inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (sys.inotify_fd < 0) {
		log_warning("inotify: %m; looking at %s every %d s",
		    LOGSOCK_PATH, UNWATCHED_MS / 1000);
		return;
	}
	sys.inotify_io = loop_io_new(master.loop, sys.inotify_fd, on_inotify,
	    NULL);
	loop_io_want(sys.inotify_io, LOOP_READ);
}

int
syslog_open(struct why *why)
{
	int fd;

	if (sys.fd >= 0) {
		log_set_facility(conf.syslog_facility);
		return 0;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return why_errno(why, "", "syslog");
	take(fd, false);
	if (sys.fd < 0)
		return why_set(why, "", "cannot log to syslog");
	start_watching();
	/* Whether it works is told in the first turn, to who waits for the
	 * start too; but the lines until then should not have to wait. */
	(void)connected();
	loop_timer_set(sys.timer, 0);
	return 0;
}

void
syslog_close(void)
{
	if (sys.fd < 0)
		return;
	loop_io_free(&sys.end_io);
	loop_io_free(&sys.inotify_io);
	loop_timer_free(&sys.timer);
	fd_close(&sys.inotify_fd);
	sys.fd = -1;		/* master.log_fd is its own, or another's by now */
	sys.away = false;
}
