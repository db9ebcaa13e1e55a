/* SPDX-License-Identifier: ISC */
/*
 * mansio export - mail into files that other programs know.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "cmd/store_user.h"
#include "io/fd.h"
#include "store/mailbox.h"

static int
export_mbox(struct mailbox *m, FILE *to, struct why *why)
{
	for (uint32_t seq = 1; seq <= mailbox_count(m); seq++) {
		struct mailbox_content c;
		struct mailbox_message msg;
		struct span rest, line;
		time_t t;
		struct tm tm;
		char date[64] = "";

		if (!mailbox_message(m, seq, &msg))
			break;
		if (mailbox_content(m, msg.uid, &c, why) < 0) {
			mailbox_content_done(&c);
			return -1;
		}
		t = (time_t)(msg.date_us / 1000000);
		if (gmtime_r(&t, &tm) != NULL)
			(void)strftime(date, sizeof(date),
			    "%a %b %e %H:%M:%S %Y", &tm);
		fprintf(to, "From MAILER-DAEMON  %s\n", date);
		fprintf(to, "Status: %sO\n", msg.flags & STORE_SEEN ? "R" :
		    "");
		fprintf(to, "X-Status: %s%s%s%s\n",
		    msg.flags & STORE_ANSWERED ? "A" : "",
		    msg.flags & STORE_FLAGGED ? "F" : "",
		    msg.flags & STORE_DRAFT ? "T" : "",
		    msg.flags & STORE_DELETED ? "D" : "");
		rest = c.bytes;
		while (span_line(&rest, &line)) {
			struct span s = line;

			while (s.len > 0 && s.p[0] == '>')
				s = span_from(s, 1);
			if (span_starts(s, SPAN("From ")))
				fputc('>', to);
			fwrite(line.p, 1, line.len, to);
			fputc('\n', to);
		}
		fputc('\n', to);
		mailbox_content_done(&c);
		if (ferror(to))
			return why_errno(why, "", "cannot write");
	}
	return 0;
}

static int
export_maildir(struct mailbox *m, int dir, struct why *why)
{
	static const char *const parts[] = { "cur", "new", "tmp" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (mkdirat(dir, parts[i], 0700) < 0 && errno != EEXIST)
			return why_errno(why, "", "cannot make %s", parts[i]);
	for (uint32_t seq = 1; seq <= mailbox_count(m); seq++) {
		struct mailbox_content c;
		struct mailbox_message msg;
		struct timespec times[2] = { { 0, 0 } };
		char *name;
		int fd, rc = 0;

		if (!mailbox_message(m, seq, &msg))
			break;
		if (mailbox_content(m, msg.uid, &c, why) < 0) {
			mailbox_content_done(&c);
			return -1;
		}
		name = mem_printf("cur/%lld.U%uV%u.mansio,S=%zu:2,%s%s%s%s%s",
		    (long long)(msg.date_us / 1000000), (unsigned)msg.uid,
		    (unsigned)mailbox_uidvalidity(m), c.bytes.len,
		    msg.flags & STORE_DRAFT ? "D" : "",
		    msg.flags & STORE_FLAGGED ? "F" : "",
		    msg.flags & STORE_ANSWERED ? "R" : "",
		    msg.flags & STORE_SEEN ? "S" : "",
		    msg.flags & STORE_DELETED ? "T" : "");
		times[0].tv_sec = times[1].tv_sec =
		    (time_t)(msg.date_us / 1000000);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 || fd_write_all(fd, c.bytes.p, c.bytes.len) < 0 ||
		    futimens(fd, times) < 0)
			rc = why_errno(why, "", "cannot write %s", name);
		fd_close(&fd);
		mem_free(name);
		mailbox_content_done(&c);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int
mansio_export(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct account *a;
	struct mailbox *m;
	FILE *to = stdout;
	int dir = -1, rc = -1;

	if (argc < 3 || argc > 4)
		return mansio_usage(argv[0]);
	mansio_load();
	/* Made with the rights of who asks; into a directory that is there
	 * the user writes. */
	if (argc == 4) {
		dir = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 && (errno == ENOTDIR || errno == ENOENT)) {
			int fd = open(argv[3], O_WRONLY | O_CREAT | O_EXCL |
			    O_CLOEXEC, 0600);

			if (fd < 0 || (to = fdopen(fd, "w")) == NULL)
				log_fatal("cannot make %s: %m", argv[3]);
		} else if (dir < 0) {
			log_fatal("cannot open %s: %m", argv[3]);
		}
	}
	a = store_user_open(argv[1]);
	m = mailbox_open(a, store_user_box(a, argv[2]), MAILBOX_READONLY,
	    &why);
	if (m != NULL)
		rc = dir >= 0 ? export_maildir(m, dir, &why) :
		    export_mbox(m, to, &why);
	mailbox_close(&m);
	if (fflush(to) != 0 && rc == 0)
		rc = why_errno(&why, "", "cannot write");
	if (to != stdout)
		fclose(to);
	fd_close(&dir);
	return store_user_done(&a, rc, &why);
}
