/* SPDX-License-Identifier: ISC */
/*
 * mbox_lock - the locks of a mailbox that other programs write, too: fcntl,
 * flock, and the file "name.lock", each tried once here; mbox.c waits between.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/store_internal.h"

int
mbox_lock_file(int fd, unsigned flags)
{
	if (flags & STORE_LOCK_FCNTL) {
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		/* An open-file-description lock keeps other programs' POSIX
		 * locks out and does not vanish when another descriptor of
		 * the same file is closed. */
		if (fcntl(fd, F_OFD_SETLK, &fl) < 0)
			return -1;
	}
	if (flags & STORE_LOCK_FLOCK && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (flags & STORE_LOCK_FCNTL) {
			struct flock fl = {
				.l_type = F_UNLCK, .l_whence = SEEK_SET
			};

			(void)fcntl(fd, F_OFD_SETLK, &fl);
		}
		return -1;
	}
	return 0;
}

/* Whether the lock in fd names a process of this machine that is no more. */
static bool
left_by_dead(struct store *s, int fd)
{
	struct span in, pid;
	char text[150];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	uint64_t id;

	in = span_make(text, n > 0 ? (size_t)n : 0);
	return span_token(&in, " \n", &pid) &&
	    num_parse_u64(pid, INT32_MAX, &id) == 0 && id > 1 &&
	    span_is(span_trim(in), s->hostname) &&
	    kill((pid_t)id, 0) < 0 && errno == ESRCH;
}

/* Whether name is still the file that st is of. */
static bool
still_named(int dirfd, const char *name, const struct stat *st)
{
	struct stat now;

	return fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now.st_ino == st->st_ino && now.st_dev == st->st_dev;
}

/*
 * Take away a lock that nobody holds any more.  Two of us may come to that
 * conclusion at once, and the slower one must not take away the lock that the
 * faster one has made meanwhile: who removes a lock has an flock on it, and
 * looks whether the name still means this file after it has found the owner
 * dead, for then nobody else can change that.
 */
static void
remove_stale(struct store *s, int dirfd, const char *name)
{
	struct stat st;
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	bool dead, old;

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
		dead = left_by_dead(s, fd);
		old = clock_wall_s() - (int64_t)st.st_mtime >
		    s->opt.stale_lock_s;
		if ((dead || old) && still_named(dirfd, name, &st)) {
			log_warning("removing %s: %s", name, dead ?
			    "its writer is dead" :
			    "it is older than stale_lock_time");
			(void)unlinkat(dirfd, name, 0);
		}
	}
	close(fd);
}

/*
 * Make the lock with our pid in it before it has its name: a writer that is
 * killed leaves a lock that left_by_dead() knows, or none, but never an empty
 * one that would be honoured until stale_lock_time.  0, or -1 with errno.
 */
static int
dotlock_make(struct store *s, int dirfd, const char *name)
{
	char *tmp = mem_printf("%s.%ld", name, (long)getpid()), us[128];
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd, rc, e;

	snprintf(us, sizeof(us), "%ld %s\n", (long)getpid(), s->hostname);
	fd = fault_openat(dirfd, tmp, flags, 0444);
	if (fd < 0 && errno == EEXIST && unlinkat(dirfd, tmp, 0) == 0)
		/* Of a dead process that had our pid. */
		fd = fault_openat(dirfd, tmp, flags, 0444);
	if (fd < 0) {
		mem_free(tmp);
		return -1;
	}
	rc = fd_write_all(fd, us, strlen(us));
	close(fd);
	if (rc == 0)
		rc = fault_linkat(dirfd, tmp, dirfd, name);
	e = errno;
	(void)unlinkat(dirfd, tmp, 0);
	mem_free(tmp);
	if (rc < 0 && (e == EPERM || e == EOPNOTSUPP || e == EMLINK ||
	    e == ENOSYS)) {
		/* A file system without links: the name first, then. */
		fd = fault_openat(dirfd, name, flags, 0444);
		if (fd < 0)
			return -1;
		if (fd_write_all(fd, us, strlen(us)) < 0)
			log_debug("%s: %m", name);
		close(fd);
		return 0;
	}
	errno = e;
	return rc;
}

int
mbox_dotlock(struct store *s, int dirfd, const char *name)
{
	if (dotlock_make(s, dirfd, name) == 0)
		return 1;
	if (errno != EEXIST)
		return -1;
	remove_stale(s, dirfd, name);
	return 0;
}
