/* SPDX-License-Identifier: ISC */
/*
 * packed_id - what tells one thing from another: the time between two starts
 * of the machine, messages, and files by their names.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fd.h"
#include "store/packed_file.h"

void
packed_epoch_get(struct packed_epoch *e)
{
	struct buf b = BUF_INIT(256);
	/* For crash rigs, which mount the disk of a "dead" machine without a
	 * reboot of their own. */
	const char *given = getenv("MANSIO_STORE_EPOCH");
	/* A process that is jailed later, or is forked from this one, cannot
	 * read it any more. */
	static struct packed_epoch known;
	static bool is_known;
	uint32_t crc;

	if (given == NULL && is_known) {
		*e = known;
		return;
	}
	if (given != NULL)
		buf_add_span(&b, span_sub(span_of(given), 0, 255));
	else if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id",
	    &b) < 0)
		buf_reset(&b);
	if (b.len == 0) {
		/* Unknown: then each process is an epoch of its own. */
		rnd_bytes(e->b, sizeof(e->b));
	} else {
		for (unsigned i = 0; i < 4; i++) {
			crc = crc32c(i, b.data, b.len);
			num_put_le32(e->b + 4 * i, crc ^ (i * 0x9e3779b9));
		}
		if (given == NULL) {
			known = *e;
			is_known = true;
		}
	}
	buf_fini(&b);
}

static uint64_t guid_mine;		/* 0: not chosen yet */

static void
forget_guid(void)
{
	guid_mine = 0;
}

void
packed_new_guid(uint8_t out[16])
{
	static uint64_t count;
	static bool asked;

	/* A process that was forked is another one. */
	if (!asked && pthread_atfork(NULL, NULL, forget_guid) != 0)
		log_fatal("pthread_atfork: out of memory");
	asked = true;
	if (guid_mine == 0)
		guid_mine = rnd_u64() | 1;
	num_put_le64(out, guid_mine);
	num_put_le64(out + 8, ++count);
}

void
packed_name(uint32_t box, const char *suffix, char out[PACKED_NAME_MAX])
{
	snprintf(out, PACKED_NAME_MAX, "%08x.%s", (unsigned)box, suffix);
}

int
packed_open_checked(int dirfd, const char *name, int flags)
{
	struct stat st;
	int fd;

	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}
