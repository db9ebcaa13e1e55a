/* SPDX-License-Identifier: ISC */
/*
 * qlog_slot - slots as files: their headers, making one, giving one back; see
 * qlog_slot.h.
 */
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog_slot.h"

void
slot_head_encode(const struct slot_head *h, char out[SLOT_HEAD_LEN])
{
	memset(out, 0, SLOT_HEAD_LEN);
	num_put_le32(out, SLOT_MAGIC);
	num_put_le32(out + 4, SLOT_VERSION);
	num_put_le32(out + 8, h->no);
	num_put_le32(out + 12, h->generation);
	num_put_le64(out + 16, h->first_seq);
	num_put_le64(out + 24, h->mark);
	num_put_le32(out + 32, h->used);
	num_put_le32(out + SLOT_HEAD_LEN - 4,
	    crc32c(0, out, SLOT_HEAD_LEN - 4));
}

int
slot_head_decode(struct slot_head *h, const char in[SLOT_HEAD_LEN])
{
	if (num_get_le32(in) != SLOT_MAGIC ||
	    num_get_le32(in + 4) != SLOT_VERSION ||
	    num_get_le32(in + SLOT_HEAD_LEN - 4) !=
	    crc32c(0, in, SLOT_HEAD_LEN - 4))
		return -1;
	h->no = num_get_le32(in + 8);
	h->generation = num_get_le32(in + 12);
	h->first_seq = num_get_le64(in + 16);
	h->mark = num_get_le64(in + 24);
	h->used = num_get_le32(in + 32) != 0;
	return h->first_seq > SEQ_MAX || h->mark > SEQ_MAX ? -1 : 0;
}

void
slot_name(uint32_t no, char out[SLOT_NAME_MAX])
{
	snprintf(out, SLOT_NAME_MAX, "%02u.seg", no);
}

void
rec_head_encode(const struct rec_head *r, char out[QLOG_HEADER_LEN])
{
	num_put_le32(out, REC_MAGIC);
	num_put_le16(out + 4, r->type);
	num_put_le16(out + 6, 0);
	num_put_le32(out + 8, r->generation);
	num_put_le32(out + 12, 0);
	num_put_le64(out + 16, r->seq);
	num_put_le64(out + 24, r->durable);
	num_put_le32(out + 32, r->len);
	num_put_le32(out + 36, r->payload_crc);
	num_put_le64(out + 40, (uint64_t)r->wall_us);
	num_put_le32(out + 12, crc32c(0, out, QLOG_HEADER_LEN));
}

int
rec_head_decode(struct rec_head *r, const char in[QLOG_HEADER_LEN])
{
	char copy[QLOG_HEADER_LEN];

	if (num_get_le32(in) != REC_MAGIC)
		return -1;
	memcpy(copy, in, sizeof(copy));
	num_put_le32(copy + 12, 0);
	if (num_get_le32(in + 12) != crc32c(0, copy, sizeof(copy)) ||
	    num_get_le16(in + 6) != 0)
		return -1;
	r->type = num_get_le16(in + 4);
	r->generation = num_get_le32(in + 8);
	r->seq = num_get_le64(in + 16);
	r->durable = num_get_le64(in + 24);
	r->len = num_get_le32(in + 32);
	r->payload_crc = num_get_le32(in + 36);
	r->wall_us = (int64_t)num_get_le64(in + 40);
	return 0;
}

int
slot_pwrite(int fd, const char *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = fault_pwrite(fd, p, n, (off_t)at);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (done == 0) {
			errno = EIO;
			return -1;
		}
		p += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

int
slot_zero(int fd, uint64_t at, uint64_t end)
{
	enum { STEP = 1 << 20 };
	char *zeros = mem_zalloc(STEP);
	int rc = 0;

	while (rc == 0 && at < end) {
		size_t n = (size_t)MIN(end - at, (uint64_t)STEP);

		rc = slot_pwrite(fd, zeros, n, at);
		at += n;
	}
	mem_free(zeros);
	return rc;
}

static int
fill(int fd, size_t size, bool zeros)
{
	if (!zeros) {
		if (fault_fallocate(fd, 0, (off_t)size) == 0)
			return 0;
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return -1;
	}
	return slot_zero(fd, 0, size);
}

int
slot_create(int dirfd, uint32_t no, size_t size, uint32_t generation,
    bool zeros, const char **what)
{
	char name[SLOT_NAME_MAX], tmp[SLOT_NAME_MAX + 4], head[SLOT_HEAD_LEN];
	struct slot_head h = { .no = no, .generation = generation };
	struct statvfs v;
	int fd, saved;

	slot_name(no, name);
	snprintf(tmp, sizeof(tmp), "new.%s", name);
	*what = "unlink";
	if (fault_unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
		return -1;
	*what = "create";
	fd = fault_openat(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (fd < 0)
		return -1;
	slot_head_encode(&h, head);
	*what = "fill";
	/* Not filling the disk to the last byte before it is given up. */
	if (fstatvfs(fd, &v) == 0 &&
	    (uint64_t)v.f_bavail * v.f_frsize < size) {
		errno = ENOSPC;
		goto bad;
	}
	if (fill(fd, size, zeros) < 0 ||
	    slot_pwrite(fd, head, sizeof(head), 0) < 0)
		goto bad;
	*what = "sync";
	if (fault_fsync(fd) < 0)
		goto bad;
	*what = "rename";
	if (fault_renameat(dirfd, tmp, dirfd, name) < 0)
		goto bad;
	*what = "sync directory of";
	if (fault_fsync(dirfd) < 0) {
		saved = errno;
		fd_close(&fd);
		errno = saved;
		return -1;	/* has its name, but perhaps not for long */
	}
	return fd;
bad:
	saved = errno;
	fd_close(&fd);
	/* A failure leaves a file that the next attempt removes. */
	(void)unlinkat(dirfd, tmp, 0);
	errno = saved;
	return -1;
}

int
slot_release(int dirfd, const struct slot_head *h)
{
	char name[SLOT_NAME_MAX], head[SLOT_HEAD_LEN];
	int fd, rc;

	slot_name(h->no, name);
	fd = fault_openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return -1;
	slot_head_encode(h, head);
	rc = slot_pwrite(fd, head, sizeof(head), 0);
	if (rc == 0)
		rc = fault_fdatasync(fd);
	if (rc < 0) {
		int saved = errno;

		fd_close(&fd);
		errno = saved;
		return -1;
	}
	return fd;
}
