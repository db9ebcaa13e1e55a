/* SPDX-License-Identifier: ISC */
/*
 * A queue file with any content: read or refused; and a log record's payload.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/fd.h"
#include "queue/qmsg.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void
cleanup(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/corrupt/0000000000z1", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/corrupt", dir);
	rmdir(path);
	rmdir(dir);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct spool spool;
	struct why why = WHY_INIT;
	struct envelope e;
	struct span content;
	struct qfile *f;
	int fd;

	if (dir[0] == '\0') {
		const char *tmp = getenv("TMPDIR");

		snprintf(dir, sizeof(dir), "%s/fuzz.XXXXXX",
		    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
		if (mkdtemp(dir) == NULL || spool_open(&spool, dir, &why) < 0 ||
		    mkdirat(spool.dirfd, "corrupt", 0700) < 0)
			abort();
		atexit(cleanup);
	}
	for (int type = QREC_MESSAGE; type <= QREC_LARGE; type++)
		if (qmsg_parse((uint16_t)type, span_make(data, size), &e, &content,
		    &why) == 0)
			envelope_fini(&e);
	fd = openat(spool.dirfd, "corrupt/0000000000z1",
	    O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fd_write_all(fd, data, size) < 0)
		abort();
	close(fd);
	f = qfile_open(&spool, SPOOL_CORRUPT, SPAN("0000000000z1"), &why);
	if (f != NULL) {
		struct qmsg_content c = qfile_content(f);

		if (c.offset + c.len > size)
			abort();
		qfile_close(&f);
	}
	return 0;
}
