/* SPDX-License-Identifier: ISC */
/*
 * logsock - the socket of syslogd, and what it has not taken yet.
 *
 * syslog(3) opens /dev/log again when syslogd has been restarted, which a
 * process in a jail cannot do.  So master has one socket that all its children
 * inherit, and connects that again (master/syslog.c): whoever has it speaks to
 * the new syslogd without doing anything.  Here are the lines that wait until
 * then, or for a syslogd that is slow: LOGSOCK_KEEP bytes of them.  What does
 * not fit any more is counted.
 *
 * Nothing here allocates or logs.  log.c is the only user, and holds its lock.
 */
#ifndef BASE_LOGSOCK_H
#define BASE_LOGSOCK_H

#include "base/cc.h"
#include "base/span.h"

#define LOGSOCK_PATH	"/dev/log"
#define LOGSOCK_KEEP	65536		/* bytes, with two for each line */

/* fd is master's and connected by it; -1: we open LOGSOCK_PATH ourselves,
 * and again when it has to be. */
void	logsock_open(int fd);
/* Put fd in the place of the present one, at the same number. */
int	logsock_replace(int fd);
void	logsock_close(void);
int	logsock_fd(void);		/* -1: there is none now */
/* Keep a line for the next flush: "<22>Mar  2 14:05:09 tag[1]: text". */
void	logsock_put(struct span head, struct span text);
/* Send what there is, as far as it is taken without waiting long. */
void	logsock_flush(void);
/* Before the process ends: wait for a syslogd that is being restarted. */
void	logsock_finish(void);
/* In a forked child: what is kept is the parent's to send. */
void	logsock_forget(void);
/* In how many milliseconds to flush again; -1: nothing is kept. */
int	logsock_retry_ms(void);
/* Lines that there was no room for since the last call. */
uint64_t logsock_take_lost(void);

#endif
