/* SPDX-License-Identifier: ISC */
/*
 * paths - opening and making what lies below a directory, and only there.
 *
 * Users own their homes and may put symbolic links anywhere at any moment,
 * so a check followed by an open proves nothing.  openat2(RESOLVE_BENEATH)
 * makes the kernel refuse to leave the directory while it resolves; links
 * that stay inside (~/Maildir -> mail/inbox) go on working.  Kernels without
 * it get the stricter walk that follows no link at all.
 */
#define STORE_FAIL_IMPLEMENTATION
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/store_internal.h"
#include "store/store_path.h"

static int
walk_nofollow(int dirfd, const char *path, int flags, mode_t mode)
{
	struct span rest = span_of(path), part;
	char name[256];
	int at = dirfd, fd;

	if (!span_token(&rest, "/", &part))
		return openat(dirfd, ".", flags | O_CLOEXEC, mode);
	for (;;) {
		struct span next, peek = rest;
		bool last = !span_token(&peek, "/", &next);

		if (span_is(part, "..") ||
		    span_copy(part, name, sizeof(name)) < 0) {
			errno = part.len >= sizeof(name) ? ENAMETOOLONG : EXDEV;
			fd = -1;
		} else if (last) {
			fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC,
			    mode);
		} else {
			fd = openat(at, name, O_PATH | O_DIRECTORY |
			    O_NOFOLLOW | O_CLOEXEC);
		}
		if (at != dirfd) {
			int e = errno;

			close(at);
			errno = e;
		}
		if (fd < 0 || last)
			return fd;
		at = fd;
		(void)span_token(&rest, "/", &part);
	}
}

int
path_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	static bool have_openat2 = true;
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	while (*path == '/')
		path++;
	if (*path == '\0')
		path = ".";
	if (have_openat2) {
		int fd;

		do {
			fd = (int)syscall(SYS_openat2, dirfd, path, &how,
			    sizeof(how));
		} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
		if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
			return fd;
		/* No such call, or a system call filter without it. */
		have_openat2 = false;
	}
	return walk_nofollow(dirfd, path, flags, mode);
}

int
path_make_beneath(int dirfd, const char *path, mode_t mode)
{
	struct span rest = span_of(path), part;
	char name[256];
	int at, fd;

	fd = path_open_beneath(dirfd, path, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	if ((at = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	while (span_token(&rest, "/", &part)) {
		if (span_copy(part, name, sizeof(name)) < 0 ||
		    span_is(part, "..")) {
			close(at);
			errno = EINVAL;
			return -1;
		}
		/*
		 * One component at a time from the directory reached so far:
		 * a link met on the way is below `at', which is below dirfd.
		 */
		fd = path_open_beneath(at, name, O_PATH | O_DIRECTORY, 0);
		if (fd < 0 && errno == ENOENT) {
			if (fault_mkdirat(at, name, mode) < 0 &&
			    errno != EEXIST) {
				int e = errno;

				close(at);
				errno = e;
				return -1;
			}
			fd = path_open_beneath(at, name,
			    O_PATH | O_DIRECTORY, 0);
		}
		int e = errno;
		close(at);
		errno = e;
		if (fd < 0)
			return -1;
		at = fd;
	}
	return at;
}

int
path_open_base(const struct store_place *p, struct why *why)
{
	int fd;

	fd = open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && p->flags & STORE_MAKE_BASE) {
		if (fd_mkdir_p(p->base, 0700) == 0)
			fd = open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return store_fail(why, "cannot open directory", p->base);
	return fd;
}

int
store_fail(struct why *why, const char *what, const char *path)
{
	const char *code = "4.3.0";

	switch (errno) {
	case ENOSPC:
		code = "4.3.1";
		break;
	case EDQUOT:
	case EFBIG:
		code = "4.2.2";
		break;
	case EACCES:
	case EPERM:
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case EXDEV:
	case EAGAIN:
		code = "4.2.0";
		break;
	}
	return why_errno(why, code, "%s %s", what, path);
}

int
store_path_open(int dirfd, const char *path, int flags)
{
	return path_open_beneath(dirfd, path, flags, 0);
}
