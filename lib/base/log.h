/* SPDX-License-Identifier: ISC */
/*
 * log - one line per event, to syslog, a file or a terminal.
 *
 * Lines have Postfix's shape, which people's tools parse:
 *
 *	Mar  2 14:05:09 host mansio/smtpd[4711]: 4cXyQk3fGhz1: client=...
 *
 * Text from a peer is made safe here: control characters and bytes that are
 * not valid UTF-8 come out as '?', and a line is at most LOG_LINE_MAX bytes.
 * To a file, lines are gathered and written by log_flush(), which the event
 * loop calls once a turn and a worker once a batch; warnings and worse are
 * written at once.  So it is with syslog, where lines also wait as long as
 * syslogd is away (logsock.h).  Any thread may log; what sets the log up
 * belongs to the first, before there are others.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/cc.h"

#define LOG_LINE_MAX	2000	/* bytes, without what syslog puts in front */

enum log_level {
	LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL, LOG_LEVEL_PANIC
};

/*
 * Until log_open_*() lines go to standard error as "tag: level: text".
 * tag is "mansio/smtpd"; it is copied.
 */
void	log_set_tag(const char *tag);
const char *log_tag(void);
/*
 * facility: "mail", "local0", ...  fd: the socket that master connects, ours
 * from now on; -1: open and connect one.
 */
void	log_open_syslog(const char *facility, int fd);
void	log_set_facility(const char *facility);
bool	log_to_syslog(void);
/* Use fd, opened O_APPEND by master, or duplicated from it; stays ours. */
void	log_open_fd(int fd);
/* Put fd in the place of the present one (the file was rotated). */
void	log_replace_fd(int fd);
/* The same for syslog's socket, and for a change from a file to syslog. */
void	log_replace_socket(const char *facility, int fd);
/* In a forked child: the descriptor that lines go to, not to be closed; -1:
 * there is none, as nobody listens at syslog's socket. */
int	log_keep_fd(void);
void	log_set_debug(bool on);
bool	log_debug_on(void);
/* Also call fn for each line (tests and master's status); NULL for none. */
void	log_set_hook(void (*fn)(enum log_level, const char *line));
void	log_flush(void);
/* In how many milliseconds to log_flush() again, as some lines could not be
 * sent; -1: none is left. */
int	log_retry_ms(void);
/* log_flush() before the end of the process, with some patience; exit(3) does
 * it by itself. */
void	log_finish(void);

void	log_debug(const char *fmt, ...) PRINTF(1, 2);
void	log_info(const char *fmt, ...) PRINTF(1, 2);
void	log_warning(const char *fmt, ...) PRINTF(1, 2);
void	log_error(const char *fmt, ...) PRINTF(1, 2);
/* The machine or the configuration is broken: one clear line, exit(1). */
NORETURN void	log_fatal(const char *fmt, ...) PRINTF(1, 2);
/* An invariant of ours is broken: a line, then abort() with a core. */
NORETURN void	log_panic(const char *fmt, ...) PRINTF(1, 2);

/* The exit status of log_fatal() (default 1); commands use sysexits(3). */
void	log_set_fatal_status(int status);

#endif
