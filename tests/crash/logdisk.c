/* SPDX-License-Identifier: ISC */
/*
 * logdisk - a disk that remembers: one FUSE file whose every write and flush
 * is logged, so that the disk can be rebuilt as any power cut may have left
 * it.
 *
 *	logdisk IMAGE LOG MOUNTPOINT [fuse options]
 *
 * MOUNTPOINT/disk reads and writes IMAGE; a loop device over it carries the
 * file system under test.  Bytes written to MOUNTPOINT/mark go into the log
 * as a mark: the test writes one at the moment a client sees a reply.  LOG is
 * a sequence of records: struct entry, then len bytes (not for a flush).
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC 0x4b534944u		/* "DISK" */

struct entry {
	uint32_t	magic;
	uint32_t	kind;		/* 'W' write, 'F' flush, 'M' mark */
	uint64_t	offset;		/* bytes */
	uint64_t	len;
};

static int	image_fd, log_fd;
static off_t	image_size;

static void
record(char kind, off_t offset, const void *data, size_t len)
{
	struct entry e = {
		.magic = MAGIC, .kind = (uint32_t)kind,
		.offset = (uint64_t)offset, .len = len,
	};
	struct iovec iov[2] = {
		{ &e, sizeof(e) }, { (void *)(uintptr_t)data, len },
	};

	/* A log with a hole would prove nothing: give up. */
	if (writev(log_fd, iov, 2) != (ssize_t)(sizeof(e) + len)) {
		perror("logdisk: log");
		abort();
	}
}

static int
disk_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return 0;
	}
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	if (strcmp(path, "/disk") == 0)
		st->st_size = image_size;
	else if (strcmp(path, "/mark") != 0)
		return -ENOENT;
	return 0;
}

static int
disk_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
    struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	(void)path, (void)off, (void)fi, (void)flags;
	fill(buf, "disk", NULL, 0, 0);
	fill(buf, "mark", NULL, 0, 0);
	return 0;
}

static int
disk_open(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	fi->direct_io = 1;	/* no page cache between us and the loop */
	return 0;
}

static int
disk_read(const char *path, char *buf, size_t n, off_t at,
    struct fuse_file_info *fi)
{
	ssize_t got;

	(void)fi;
	if (strcmp(path, "/disk") != 0)
		return 0;
	got = pread(image_fd, buf, n, at);
	return got < 0 ? -errno : (int)got;
}

static int
disk_write(const char *path, const char *buf, size_t n, off_t at,
    struct fuse_file_info *fi)
{
	ssize_t put;

	(void)fi;
	if (strcmp(path, "/mark") == 0) {
		record('M', 0, buf, n);
		return (int)n;
	}
	record('W', at, buf, n);
	put = pwrite(image_fd, buf, n, at);
	return put < 0 ? -errno : (int)put;
}

static int
disk_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	(void)datasync, (void)fi;
	if (strcmp(path, "/disk") == 0)
		record('F', 0, NULL, 0);
	return 0;
}

static int
disk_truncate(const char *path, off_t len, struct fuse_file_info *fi)
{
	(void)path, (void)len, (void)fi;
	return 0;
}

/* A discard would be a write we do not see: refuse, and none is sent. */
static int
disk_fallocate(const char *path, int mode, off_t at, off_t len,
    struct fuse_file_info *fi)
{
	(void)path, (void)mode, (void)at, (void)len, (void)fi;
	return -EOPNOTSUPP;
}

static const struct fuse_operations operations = {
	.getattr = disk_getattr, .readdir = disk_readdir, .open = disk_open,
	.read = disk_read, .write = disk_write, .fsync = disk_fsync,
	.truncate = disk_truncate, .fallocate = disk_fallocate,
};

int
main(int argc, char **argv)
{
	struct stat st;

	if (argc < 4) {
		fprintf(stderr, "usage: logdisk IMAGE LOG MOUNTPOINT ...\n");
		return 2;
	}
	image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	log_fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_APPEND |
	    O_CLOEXEC, 0600);
	if (image_fd < 0 || log_fd < 0 || fstat(image_fd, &st) < 0) {
		perror("logdisk");
		return 1;
	}
	image_size = st.st_size;
	argv[2] = argv[0];
	return fuse_main(argc - 2, argv + 2, &operations, NULL);
}
