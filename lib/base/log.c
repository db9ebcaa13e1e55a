/* SPDX-License-Identifier: ISC */
/*
 * log - see log.h.
 *
 * Nothing here allocates: the line that says that memory is out must get
 * out.  The lock is for the gathered lines and their time stamp; it is held
 * over fork(), so that a child finds it free and the buffer empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/logsock.h"
#include "base/span.h"
#include "base/utf8.h"

#define TAG_MAX		128
#define GATHER_MAX	32768	/* bytes kept until log_flush() */

static const struct {
	const char	*prefix;
	int		 priority;
} levels[] = {
	[LOG_LEVEL_DEBUG]	= { "",		 LOG_DEBUG },
	[LOG_LEVEL_INFO]	= { "",		 LOG_INFO },
	[LOG_LEVEL_WARNING]	= { "warning: ", LOG_WARNING },
	[LOG_LEVEL_ERROR]	= { "error: ",	 LOG_ERR },
	[LOG_LEVEL_FATAL]	= { "fatal: ",	 LOG_CRIT },
	[LOG_LEVEL_PANIC]	= { "panic: ",	 LOG_CRIT },
};

static struct {
	enum { TO_STDERR, TO_SYSLOG, TO_FD } to;
	char	tag[TAG_MAX];
	char	host[65];
	int	fd;
	int	facility;
	bool	debug;
	bool	dying;
	int	fatal_status;
	void	(*hook)(enum log_level, const char *);
	int64_t	stamp_s;
	char	head[CLOCK_SYSLOG_MAX + 65 + TAG_MAX + 16];
	size_t	head_len;
	uint64_t lost;			/* lines that the file did not take */
	size_t	len;
	char	gathered[GATHER_MAX];
} state = { .tag = "mansio", .fd = -1, .fatal_status = 1, .stamp_s = -1 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The bytes at the end of it that could not be written. */
static size_t
write_fd(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		p += done;
		n -= (size_t)done;
	}
	return n;
}

static void update_head(void);

/* What there was no room for is told where it is missing. */
static void
flush_syslog(void)
{
	char head[sizeof(state.head) + 8], text[80];
	uint64_t lost;
	int n, m;

	logsock_flush();
	if (logsock_retry_ms() >= 0 || (lost = logsock_take_lost()) == 0)
		return;
	update_head();
	n = snprintf(head, sizeof(head), "<%d>%.*s",
	    state.facility | LOG_WARNING, (int)state.head_len, state.head);
	m = snprintf(text, sizeof(text), "warning: %llu lines were lost while "
	    "syslog did not take them", (unsigned long long)lost);
	logsock_put(span_make(head, (size_t)n), span_make(text, (size_t)m));
	logsock_flush();
}

/* The last that the file took may be half a line: the first that it takes again
 * begins anew. */
static bool
tell_lost_lines(void)
{
	char text[sizeof(state.head) + 96];
	int n;

	if (state.lost == 0)
		return true;
	update_head();
	n = snprintf(text, sizeof(text), "\n%.*swarning: %llu lines were lost "
	    "while the log file did not take them\n", (int)state.head_len,
	    state.head, (unsigned long long)state.lost);
	if (write_fd(state.fd, text, (size_t)n) > 0)
		return false;
	state.lost = 0;
	return true;
}

static void
flush_file(void)
{
	size_t rest = state.len;

	if (tell_lost_lines())
		rest = write_fd(state.fd, state.gathered, state.len);
	for (size_t i = state.len - rest; i < state.len; i++)
		state.lost += state.gathered[i] == '\n';
}

static void
flush_locked(void)
{
	if (state.to == TO_SYSLOG)
		flush_syslog();
	if (state.len > 0 && state.fd >= 0)
		flush_file();
	state.len = 0;
}

void
log_flush(void)
{
	int err = errno;

	pthread_mutex_lock(&lock);
	flush_locked();
	pthread_mutex_unlock(&lock);
	errno = err;
}

void
log_finish(void)
{
	int err = errno;

	log_flush();
	if (state.to == TO_SYSLOG) {
		pthread_mutex_lock(&lock);
		logsock_finish();
		flush_locked();
		pthread_mutex_unlock(&lock);
	}
	errno = err;
}

static void
before_fork(void)
{
	pthread_mutex_lock(&lock);
	flush_locked();
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* Replace in place what could fool a reader or a terminal. */
static void
make_safe(char *p, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		uint32_t cp = 0;

		n = 1;
		if (p[i] >= ' ' && p[i] < 0x7f)
			continue;
		n = utf8_next(span_make(p + i, len - i), &cp);
		/* C0, DEL and the C1 controls, which terminals obey too. */
		if (n == 0 || cp < 0xa0) {
			n = MAX(n, 1);
			memset(p + i, '?', n);
		}
	}
}

/*
 * What every line begins with: it is the same for a second, until the tag
 * changes, and in one process.
 */
static void
update_head(void)
{
	int64_t now = clock_wall_s();
	char stamp[CLOCK_SYSLOG_MAX];
	int n;

	if (now == state.stamp_s)
		return;
	state.stamp_s = now;
	clock_syslog(now, stamp);
	/* syslogd puts in the host itself. */
	n = snprintf(state.head, sizeof(state.head), "%s %s%s%s[%d]: ", stamp,
	    state.to == TO_FD ? state.host : "",
	    state.to == TO_FD ? " " : "", state.tag, (int)getpid());
	state.head_len = MIN((size_t)MAX(n, 0), sizeof(state.head) - 1);
}

static void
forget_head(void)
{
	state.stamp_s = -1;
}

/* The child's process id is another. */
static void
after_fork_child(void)
{
	forget_head();
	logsock_forget();
	pthread_mutex_unlock(&lock);
}

static void
to_syslog(enum log_level level, const char *text, size_t len)
{
	char head[sizeof(state.head) + 8];
	int n;

	pthread_mutex_lock(&lock);
	update_head();
	n = snprintf(head, sizeof(head), "<%d>%.*s",
	    state.facility | levels[level].priority, (int)state.head_len,
	    state.head);
	logsock_put(span_make(head, (size_t)n), span_make(text, len));
	if (level >= LOG_LEVEL_WARNING)
		flush_locked();
	pthread_mutex_unlock(&lock);
}

static void
gather(enum log_level level, const char *text, size_t len)
{
	pthread_mutex_lock(&lock);
	update_head();
	if (state.head_len + len + 1 > GATHER_MAX - state.len)
		flush_locked();
	memcpy(state.gathered + state.len, state.head, state.head_len);
	state.len += state.head_len;
	memcpy(state.gathered + state.len, text, len);
	state.len += len;
	state.gathered[state.len++] = '\n';
	if (level >= LOG_LEVEL_WARNING)
		flush_locked();
	pthread_mutex_unlock(&lock);
}

static void PRINTF(2, 0)
log_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX + 1];
	size_t at = strlen(levels[level].prefix), len;
	int n, err = errno;

	memcpy(line, levels[level].prefix, at + 1);
	n = vsnprintf(line + at, sizeof(line) - at, fmt, ap);
	if (n < 0)
		n = snprintf(line + at, sizeof(line) - at, "%s", fmt);
	len = MIN((size_t)n, sizeof(line) - at - 1);
	make_safe(line + at, len);
	switch (state.to) {
	case TO_STDERR:
		dprintf(STDERR_FILENO, "%s: %s\n", state.tag, line);
		break;
	case TO_SYSLOG:
		to_syslog(level, line, at + len);
		break;
	case TO_FD:
		gather(level, line, at + len);
		break;
	}
	if (state.hook != NULL)
		state.hook(level, line);
	errno = err;
}

void
log_set_tag(const char *tag)
{
	snprintf(state.tag, sizeof(state.tag), "%s", tag);
	forget_head();
}

const char *
log_tag(void)
{
	return state.tag;
}

static int
facility_number(const char *name)
{
	static const struct {
		const char	*name;
		int		 number;
	} names[] = {
		{ "auth", LOG_AUTH }, { "authpriv", LOG_AUTHPRIV },
		{ "cron", LOG_CRON }, { "daemon", LOG_DAEMON },
		{ "ftp", LOG_FTP }, { "kern", LOG_KERN },
		{ "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 },
		{ "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
		{ "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 },
		{ "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 },
		{ "lpr", LOG_LPR }, { "mail", LOG_MAIL },
		{ "news", LOG_NEWS }, { "syslog", LOG_SYSLOG },
		{ "user", LOG_USER }, { "uucp", LOG_UUCP },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_caseis(span_of(name), names[i].name))
			return names[i].number;
	return LOG_MAIL;
}

/* What is gathered gets out, once, whoever forks or exits. */
static void
register_handlers(void)
{
	static bool registered;

	if (registered)
		return;
	/* A child must not write its parent's lines once more. */
	pthread_atfork(before_fork, after_fork, after_fork_child);
	atexit(log_finish);
	registered = true;
}

void
log_open_syslog(const char *facility, int fd)
{
	tzset();	/* in the jail there is no /etc/localtime */
	pthread_mutex_lock(&lock);
	flush_locked();
	if (state.to == TO_FD)
		close(state.fd);
	state.fd = -1;
	state.facility = facility_number(facility);
	logsock_open(fd);
	state.to = TO_SYSLOG;
	forget_head();
	pthread_mutex_unlock(&lock);
	register_handlers();
}

void
log_set_facility(const char *facility)
{
	state.facility = facility_number(facility);
}

bool
log_to_syslog(void)
{
	return state.to == TO_SYSLOG;
}

void
log_open_fd(int fd)
{
	char *dot;

	tzset();
	if (gethostname(state.host, sizeof(state.host) - 1) < 0)
		snprintf(state.host, sizeof(state.host), "localhost");
	/* syslogd writes the short name too. */
	if ((dot = strchr(state.host, '.')) != NULL)
		*dot = '\0';
	pthread_mutex_lock(&lock);
	flush_locked();
	if (state.to == TO_SYSLOG)
		logsock_close();
	forget_head();
	state.fd = fd;
	state.to = TO_FD;
	pthread_mutex_unlock(&lock);
	register_handlers();
}

void
log_replace_fd(int fd)
{
	if (state.to != TO_FD) {
		log_open_fd(fd);
		return;
	}
	log_flush();
	if (fd == state.fd)
		return;
	if (dup3(fd, state.fd, O_CLOEXEC) < 0) {
		log_warning("cannot replace the log file: %m");
		return;
	}
	close(fd);
}

void
log_replace_socket(const char *facility, int fd)
{
	if (state.to != TO_SYSLOG) {
		log_open_syslog(facility, fd);
		return;
	}
	if (logsock_replace(fd) < 0)
		log_warning("cannot replace the log socket: %m");
}

int
log_keep_fd(void)
{
	switch (state.to) {
	case TO_FD:
		return state.fd;
	case TO_SYSLOG:
		return logsock_fd();
	default:
		return STDERR_FILENO;
	}
}

int
log_retry_ms(void)
{
	int ms;

	if (state.to != TO_SYSLOG)
		return -1;
	pthread_mutex_lock(&lock);
	ms = logsock_retry_ms();
	pthread_mutex_unlock(&lock);
	return ms;
}

void
log_set_debug(bool on)
{
	state.debug = on;
}

bool
log_debug_on(void)
{
	return state.debug;
}

void
log_set_hook(void (*fn)(enum log_level, const char *))
{
	state.hook = fn;
}

void
log_set_fatal_status(int status)
{
	state.fatal_status = status;
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!state.debug)
		return;
	va_start(ap, fmt);
	log_line(LOG_LEVEL_DEBUG, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_INFO, fmt, ap);
	va_end(ap);
}

void
log_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARNING, fmt, ap);
	va_end(ap);
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, fmt, ap);
	va_end(ap);
}

void
log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_FATAL, fmt, ap);
	va_end(ap);
	/* An exit handler may fail in its turn. */
	if (state.dying)
		_exit(state.fatal_status);
	state.dying = true;
	exit(state.fatal_status);
}

void
log_panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_PANIC, fmt, ap);
	va_end(ap);
	abort();
}
