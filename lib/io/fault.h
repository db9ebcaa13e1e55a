/* SPDX-License-Identifier: ISC */
/*
 * fault - system calls that change the disk, with a place to fail them.
 *
 * Queue and store use these instead of the plain calls.  Normally they are
 * the calls.  fault_arm(n) makes the nth of them fail with err (ENOSPC, EIO);
 * a write that fails has written the first half, as a full disk does.
 * fault_arm(n, FAULT_KILL) ends the process at the nth instead, before it is
 * done (a write: half done): a crash.
 *
 * In the programs below build/.../fault/ MANSIO_FAULT="n:ENOSPC" ("n:EIO",
 * "n:KILL") in the environment arms it, for tests only; MANSIO_FAULT_TAG=smtpd
 * limits that to the process with this program name.  A line on standard error
 * says when the call has come.
 */
#ifndef IO_FAULT_H
#define IO_FAULT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/cc.h"

#define FAULT_KILL	(-1)

void	 fault_arm(unsigned n, int err);	/* 0 disarms */
unsigned fault_count(void);			/* calls since fault_arm() */

ssize_t	 fault_write(int fd, const void *p, size_t n);
ssize_t	 fault_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t	 fault_pwritev(int fd, const struct iovec *iov, int cnt, off_t at,
	    int flags);				/* RWF_... */
int	 fault_fsync(int fd);
int	 fault_fdatasync(int fd);
int	 fault_syncfs(int fd);
int	 fault_renameat(int od, const char *o, int nd, const char *n);
int	 fault_unlinkat(int d, const char *p, int flags);
int	 fault_openat(int d, const char *p, int flags, mode_t mode);
int	 fault_linkat(int od, const char *o, int nd, const char *n);
int	 fault_mkdirat(int d, const char *p, mode_t mode);
int	 fault_ftruncate(int fd, off_t len);
int	 fault_fallocate(int fd, off_t at, off_t len);	/* mode 0 */

#endif
