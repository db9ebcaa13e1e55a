/* SPDX-License-Identifier: ISC */
/*
 * fd - see fd.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"

void
fd_close(int *fd)
{
	int err = errno;

	/* After EINTR the descriptor is gone on Linux: never try twice. */
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = err;
}

static int
set_flag(int fd, int get, int set, int flag, bool on)
{
	int old = fcntl(fd, get), new;

	if (old < 0)
		return -1;
	new = on ? old | flag : old & ~flag;
	return new == old ? 0 : fcntl(fd, set, new);
}

int
fd_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int
fd_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int
fd_write_all(int fd, const void *p, size_t n)
{
	const char *from = p;
	ssize_t done;

	while (n > 0) {
		done = fault_write(fd, from, n);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		from += done;
		n -= (size_t)done;
	}
	return 0;
}

int
fd_pwrite_all(int fd, const void *p, size_t n, off_t at)
{
	const char *from = p;
	ssize_t done;

	while (n > 0) {
		done = fault_pwrite(fd, from, n, at);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		from += done;
		n -= (size_t)done;
		at += done;
	}
	return 0;
}

/* Linux 6.14; a newer number than the C library's headers. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE	0x80
#endif

/* flags is only a wish: a system that does not know them writes all the same. */
static int
pwritev_flags(int fd, struct iovec *iov, int n, off_t at, int flags)
{
	ssize_t done;

	while (n > 0) {
		if (iov->iov_len == 0) {
			iov++, n--;
			continue;
		}
		done = fault_pwritev(fd, iov, MIN(n, IOV_MAX), at, flags);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			if (flags != 0 && (errno == EOPNOTSUPP ||
			    errno == EINVAL || errno == ENOSYS)) {
				flags = 0;
				continue;
			}
			return -1;
		}
		at += done;
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++, n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

int
fd_pwritev_all(int fd, struct iovec *iov, int n, off_t at)
{
	return pwritev_flags(fd, iov, n, at, 0);
}

/* Pages of iov[i] that can be written from where they are. */
struct direct {
	int	i;
	size_t	skip, len;	/* bytes in front of them, and they */
	off_t	at;		/* place in the file */
};
#define DIRECT_MIN	(64u << 10)	/* bytes: below, not worth the calls */

static bool
find_direct(const struct iovec *iov, int n, off_t at, struct direct *d)
{
	*d = (struct direct){ .len = 0 };
	for (int i = 0; i < n; i++) {
		size_t skip = (size_t)(-at & (FD_PAGE - 1)), len;

		if ((((uintptr_t)iov[i].iov_base ^ (uintptr_t)at) &
		    (FD_PAGE - 1)) == 0 && iov[i].iov_len > skip) {
			len = (iov[i].iov_len - skip) & ~(size_t)(FD_PAGE - 1);
			if (len > d->len)
				*d = (struct direct){ i, skip, len,
				    at + (off_t)skip };
		}
		at += (off_t)iov[i].iov_len;
	}
	return d->len >= DIRECT_MIN;
}

/* 1; 0 with errno when the file cannot be written so, -1 with errno. */
static int
write_direct(int fd, void *p, const struct direct *d)
{
	struct iovec v = { (char *)p + d->skip, d->len };
	int flags = fcntl(fd, F_GETFL), rc, err;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return 0;
	rc = pwritev_flags(fd, &v, 1, d->at, 0);
	err = errno;
	if (fcntl(fd, F_SETFL, flags) < 0)
		return -1;
	errno = err;
	return rc == 0 ? 1 : err == EINVAL || err == EOPNOTSUPP ? 0 : -1;
}

int
fd_pwritev_out(int fd, struct iovec *iov, int n, off_t at)
{
	struct direct d;
	struct iovec *big;
	size_t len;
	char *p;

	if (!find_direct(iov, n, at, &d))
		return pwritev_flags(fd, iov, n, at, RWF_DONTCACHE);
	big = &iov[d.i];
	p = big->iov_base;
	len = big->iov_len;
	switch (write_direct(fd, p, &d)) {
	case 0:
		return pwritev_flags(fd, iov, n, at, RWF_DONTCACHE);
	case -1:
		return -1;
	}
	*big = (struct iovec){ p + d.skip + d.len, len - d.skip - d.len };
	if (pwritev_flags(fd, big, n - d.i, d.at + (off_t)d.len, 0) < 0)
		return -1;
	*big = (struct iovec){ p, d.skip };
	return pwritev_flags(fd, iov, d.i + 1, at, 0);
}

int
fd_read_all(int fd, void *p, size_t n)
{
	char *to = p;
	ssize_t got;

	while (n > 0) {
		got = read(fd, to, n);
		if (got == 0) {
			errno = EPIPE;
			return -1;
		}
		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

int
fd_pread_all(int fd, void *p, size_t n, off_t at)
{
	char *to = p;
	ssize_t got;

	while (n > 0) {
		got = pread(fd, to, n, at);
		if (got == 0) {
			errno = EPIPE;
			return -1;
		}
		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		to += got;
		n -= (size_t)got;
		at += got;
	}
	return 0;
}

int
fd_read_file(int dirfd, const char *path, struct buf *b)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t was = b->len, room;
	struct stat st;
	ssize_t got;
	char *to, extra;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		goto fail;
	/* The size is a hint only: /proc says 0, and files grow. */
	room = S_ISREG(st.st_mode) && st.st_size > 0
	    ? (size_t)st.st_size + 1 : 4096;
	for (;;) {
		room = MIN(room, b->max - b->len);
		if (room > 0) {
			to = buf_reserve(b, room);
			got = read(fd, to, room);
		} else {
			got = read(fd, &extra, 1);
			if (got > 0) {
				errno = EFBIG;
				goto fail;
			}
		}
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			goto fail;
		if (got == 0)
			break;
		buf_commit(b, (size_t)got);
		room = MAX((size_t)got, 4096);
	}
	fd_close(&fd);
	return 0;
fail:
	buf_trunc(b, was);
	fd_close(&fd);
	return -1;
}

/* fsync() of the directory that path lies in: makes a name durable. */
static int
sync_parent(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? mem_strdup(".")
	    : mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	mem_free(dir);
	if (fd < 0)
		return -1;
	rc = fault_fsync(fd);
	fd_close(&fd);
	return rc;
}

int
fd_replace_file(int dirfd, const char *path, mode_t mode, const void *p,
    size_t n)
{
	char *tmp = mem_printf("%s.tmp.%d", path, (int)getpid());
	int fd, rc = -1;

	/* One of a process that died with our number is in the way. */
	(void)unlinkat(dirfd, tmp, 0);
	fd = fault_openat(dirfd, tmp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		goto out;
	if (fchmod(fd, mode) < 0 || fd_write_all(fd, p, n) < 0 ||
	    fault_fsync(fd) < 0 ||
	    fault_renameat(dirfd, tmp, dirfd, path) < 0) {
		int err = errno;

		(void)unlinkat(dirfd, tmp, 0);
		errno = err;
		goto out;
	}
	rc = sync_parent(dirfd, path);
out:
	fd_close(&fd);
	mem_free(tmp);
	return rc;
}

int
fd_mkdir_p(const char *path, mode_t mode)
{
	char *copy, *slash;
	struct stat st;
	int rc;

	/* Nearly always it is there. */
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	copy = slash = mem_strdup(path);
	while (*slash == '/')
		slash++;
	while ((slash = strchr(slash, '/')) != NULL) {
		*slash = '\0';
		rc = mkdir(copy, mode);
		*slash++ = '/';
		if (rc < 0 && errno != EEXIST)
			goto out;
	}
	rc = mkdir(copy, mode);
	if (rc < 0 && errno == EEXIST) {
		rc = stat(copy, &st);
		if (rc == 0 && !S_ISDIR(st.st_mode)) {
			errno = ENOTDIR;
			rc = -1;
		}
	}
out:
	mem_free(copy);
	return rc < 0 ? -1 : 0;
}

#define SAFE_OPEN_TRIES	10

int
fd_safe_open(int dirfd, const char *path, int flags, mode_t mode,
    struct stat *st, struct why *why)
{
	const int safe = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int plain = (flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | safe;
	struct stat own;
	int fd = -1;

	if (st == NULL)
		st = &own;
	/* Whoever removes and makes it while we look gets a few rounds. */
	for (int i = 0; i < SAFE_OPEN_TRIES && fd < 0; i++) {
		if (!(flags & O_CREAT) || !(flags & O_EXCL)) {
			fd = openat(dirfd, path, plain);
			if (fd >= 0 || errno != ENOENT || !(flags & O_CREAT))
				break;
		}
		fd = fault_openat(dirfd, path, plain | O_CREAT | O_EXCL, mode);
		if (fd >= 0 || errno != EEXIST || (flags & O_EXCL))
			break;
	}
	if (fd < 0) {
		if (errno == ELOOP)
			return why_set(why, "4.3.0", "%s: is a symbolic link",
			    path);
		return why_errno(why, "4.3.0", "cannot open %s", path);
	}
	if (fstat(fd, st) < 0) {
		why_errno(why, "4.3.0", "cannot stat %s", path);
		goto refuse;
	}
	if (!S_ISREG(st->st_mode)) {
		why_set(why, "4.3.0", "%s: is not a regular file", path);
		errno = EPERM;
		goto refuse;
	}
	if (st->st_nlink != 1) {
		why_set(why, "4.3.0", "%s: has %lu hard links instead of one",
		    path, (unsigned long)st->st_nlink);
		errno = EPERM;
		goto refuse;
	}
	if ((flags & O_TRUNC) && st->st_size > 0) {
		if (fault_ftruncate(fd, 0) < 0) {
			why_errno(why, "4.3.0", "cannot truncate %s", path);
			goto refuse;
		}
		st->st_size = 0;
	}
	if (!(flags & O_NONBLOCK))
		(void)fd_set_nonblock(fd, false);
	return fd;
refuse:
	fd_close(&fd);
	return -1;
}
