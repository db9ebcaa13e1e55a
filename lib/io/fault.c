/* SPDX-License-Identifier: ISC */
/*
 * fault - see fault.h.
 *
 * The counters are atomic: commits run in a thread of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "base/span.h"
#include "io/fault.h"

static atomic_uint	fault_at;	/* 0: never */
static atomic_uint	calls;
static atomic_int	fault_err;

void
fault_arm(unsigned n, int err)
{
	atomic_store(&fault_at, 0);
	atomic_store(&calls, 0);
	atomic_store(&fault_err, err);
	atomic_store(&fault_at, n);
}

unsigned
fault_count(void)
{
	return atomic_load(&calls);
}

#ifdef FAULT
__attribute__((constructor)) static void
arm_from_environment(void)
{
	struct span rest = span_of(getenv("MANSIO_FAULT")), n, err;
	const char *tag = getenv("MANSIO_FAULT_TAG");
	uint32_t at;

	if (tag != NULL && !span_is(span_of(tag),
		program_invocation_short_name))
		return;
	if (!span_token(&rest, ":", &n) || !span_token(&rest, ":", &err) ||
	    num_parse_u32(n, UINT32_MAX, &at) < 0)
		return;
	fault_arm(at, span_is(err, "KILL") ? FAULT_KILL :
	    span_is(err, "ENOSPC") ? ENOSPC : EIO);
}
#endif

/* Whether this call is the one that fails. */
static bool
is_due(void)
{
	unsigned n = atomic_fetch_add(&calls, 1) + 1;

	return n == atomic_load(&fault_at);
}

static int
fail(void)
{
	int err = atomic_load(&fault_err);

#ifdef FAULT
	/* What recovers from it may have nothing to say. */
	dprintf(STDERR_FILENO, "fault: a call fails\n");
#endif
	if (err == FAULT_KILL)
		raise(SIGKILL);
	errno = err;
	return -1;
}

ssize_t
fault_write(int fd, const void *p, size_t n)
{
	if (!is_due())
		return write(fd, p, n);
	if (write(fd, p, n / 2) < 0)
		return -1;
	return fail();
}

ssize_t
fault_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (!is_due())
		return pwrite(fd, p, n, at);
	if (pwrite(fd, p, n / 2, at) < 0)
		return -1;
	return fail();
}

ssize_t
fault_pwritev(int fd, const struct iovec *iov, int cnt, off_t at, int flags)
{
	struct iovec half;

	if (!is_due())
		return flags == 0 ? pwritev(fd, iov, cnt, at) :
		    pwritev2(fd, iov, cnt, at, flags);
	if (cnt > 1 && pwritev(fd, iov, cnt / 2, at) < 0)
		return -1;
	if (cnt == 1) {
		half = (struct iovec){ iov->iov_base, iov->iov_len / 2 };
		if (pwritev(fd, &half, 1, at) < 0)
			return -1;
	}
	return fail();
}

int
fault_fsync(int fd)
{
	return is_due() ? fail() : fsync(fd);
}

int
fault_fdatasync(int fd)
{
	return is_due() ? fail() : fdatasync(fd);
}

int
fault_syncfs(int fd)
{
	return is_due() ? fail() : syncfs(fd);
}

int
fault_renameat(int od, const char *o, int nd, const char *n)
{
	return is_due() ? fail() : renameat(od, o, nd, n);
}

int
fault_unlinkat(int d, const char *p, int flags)
{
	return is_due() ? fail() : unlinkat(d, p, flags);
}

int
fault_openat(int d, const char *p, int flags, mode_t mode)
{
	return is_due() ? fail() : openat(d, p, flags, mode);
}

int
fault_linkat(int od, const char *o, int nd, const char *n)
{
	return is_due() ? fail() : linkat(od, o, nd, n, 0);
}

int
fault_mkdirat(int d, const char *p, mode_t mode)
{
	return is_due() ? fail() : mkdirat(d, p, mode);
}

int
fault_ftruncate(int fd, off_t len)
{
	return is_due() ? fail() : ftruncate(fd, len);
}

int
fault_fallocate(int fd, off_t at, off_t len)
{
	return is_due() ? fail() : fallocate(fd, 0, at, len);
}
