/* SPDX-License-Identifier: ISC */
/*
 * A log segment with any content: the scan ends, sees records in order, and
 * the writer goes on behind what the scan saw.
 *
 * The input is laid over a segment that begins well, so that records with
 * right checksums are met too: 2 bytes where, the rest what.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "io/fd.h"
#include "queue/qlog.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static char good[QLOG_SEGMENT_MIN];

static const struct qlog_options options = {
	.segment_size = QLOG_SEGMENT_MIN, .slots_max = 4, .no_thread = true
};

static void
die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void
cleanup(void)
{
	char path[96];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%02d.seg", dir, i);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/lock", dir);
	unlink(path);
	rmdir(dir);
}

static void
prepare(void)
{
	const char *tmp = getenv("TMPDIR");
	struct why why = WHY_INIT;
	struct qlog_pos pos;
	struct qlog *q;
	char path[96];
	int fd;

	snprintf(dir, sizeof(dir), "%s/fuzz.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		die("mkdtemp");
	atexit(cleanup);
	log_set_hook(NULL);
	q = qlog_open(AT_FDCWD, dir, &options, &why);
	if (q == NULL)
		die(why.text);
	for (int i = 0; i < 8; i++) {
		struct span parts[] = { SPAN("record with some text"),
		    { good, (size_t)i * 700 } };

		if (qlog_append(q, 1, parts, 2, &pos, &why) < 0 ||
		    (i % 3 == 0 && qlog_commit(q, &why) < 0))
			die(why.text);
	}
	if (qlog_commit(q, &why) < 0)
		die(why.text);
	qlog_close(&q);
	snprintf(path, sizeof(path), "%s/00.seg", dir);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fd_read_all(fd, good, sizeof(good)) < 0)
		die("read");
	close(fd);
}

static uint64_t last;

static bool
on_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	unsigned sum = 0;

	if (pos->seq <= last)
		die("records out of order");
	last = pos->seq;
	for (size_t i = 0; i < payload.len; i++)
		sum += (unsigned char)payload.p[i];
	return sum != 1;
}

static void
on_damage(void *arg, uint32_t slot, uint64_t offset, struct span bytes)
{
	unsigned sum = 0;

	for (size_t i = 0; i < bytes.len; i++)
		sum += (unsigned char)bytes.p[i];
	(void)sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct qlog_visit visit = { on_record, on_damage, NULL };
	struct why why = WHY_INIT;
	struct qlog_pos pos;
	struct qlog *q;
	char path[96];
	size_t at;
	int fd;

	if (dir[0] == '\0')
		prepare();
	if (size < 2)
		return 0;
	at = (size_t)(data[0] | data[1] << 8);
	size = MIN(size - 2, sizeof(good) - at);
	cleanup();
	if (mkdir(dir, 0700) < 0)
		die("mkdir");
	snprintf(path, sizeof(path), "%s/00.seg", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fd_pwrite_all(fd, good, sizeof(good), 0) < 0 ||
	    fd_pwrite_all(fd, data + 2, size, (off_t)at) < 0)
		die("write");
	close(fd);
	last = 0;
	if (qlog_scan(AT_FDCWD, dir, 0, &visit, &why) < 0)
		die(why.text);
	q = qlog_open(AT_FDCWD, dir, &options, &why);
	if (q == NULL)
		die(why.text);
	if (qlog_next_seq(q) <= last)
		die("sequence numbers go back");
	if (qlog_append(q, 1, &(struct span){ "new", 3 }, 1, &pos, &why) == 0) {
		uint64_t want = pos.seq;

		if (qlog_commit(q, &why) < 0)
			die(why.text);
		last = 0;
		if (qlog_scan(AT_FDCWD, dir, 0, &visit, &why) < 0)
			die(why.text);
		if (last != want)
			die("the new record is not seen");
	}
	qlog_close(&q);
	return 0;
}
