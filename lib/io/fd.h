/* SPDX-License-Identifier: ISC */
/*
 * fd - descriptors: closing, whole reads and writes, opening safely.
 */
#ifndef IO_FD_H
#define IO_FD_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/why.h"

void	 fd_close(int *fd);		/* *fd becomes -1; -1 is fine */
int	 fd_set_nonblock(int fd, bool on);
int	 fd_set_cloexec(int fd, bool on);
/*
 * All n bytes, over EINTR and short counts.  0, or -1 with errno; an early
 * end of file is -1 with errno EPIPE.  The p versions take an offset.  Those
 * that write are points of fault injection (fault.h).
 */
MUST_CHECK int fd_write_all(int fd, const void *p, size_t n);
MUST_CHECK int fd_pwrite_all(int fd, const void *p, size_t n, off_t at);
MUST_CHECK int fd_pwritev_all(int fd, struct iovec *iov, int n, off_t at);
/*
 * The same for much that nobody is going to read soon: where the system can,
 * no copy of it is kept in memory.  Whole pages of an iovec whose address and
 * place in the file are the same modulo FD_PAGE go to the device from where
 * they lie; that saves both copy and cache.  What is in front of them is
 * written last.
 */
MUST_CHECK int fd_pwritev_out(int fd, struct iovec *iov, int n, off_t at);
#define FD_PAGE		4096
MUST_CHECK int fd_read_all(int fd, void *p, size_t n);
MUST_CHECK int fd_pread_all(int fd, void *p, size_t n, off_t at);
/* Append the whole file to b; -1 with errno, EFBIG beyond b->max. */
MUST_CHECK int fd_read_file(int dirfd, const char *path, struct buf *b);
/*
 * Write a small file so that after a crash either the old or the new content
 * is there: temporary name, rename, fsync of file and directory.
 */
MUST_CHECK int fd_replace_file(int dirfd, const char *path, mode_t mode,
	    const void *p, size_t n);
int	 fd_mkdir_p(const char *path, mode_t mode);
/*
 * Open a file that an untrusted user may have prepared: the last component
 * is not followed when a symlink, must be a regular file with one link, and
 * does not block when it is a FIFO.  With O_CREAT the file is found as such,
 * or made by us alone.  O_TRUNC takes effect after the checks.  The
 * descriptor, close-on-exec, and *st (may be NULL); -1 with why and errno.
 */
int	 fd_safe_open(int dirfd, const char *path, int flags, mode_t mode,
	    struct stat *st, struct why *why);

#endif
