/* SPDX-License-Identifier: ISC */
/*
 * mansio import, export - mail from and to files that other programs know.
 *
 * What is imported is opened before we become the user, so that a mailbox
 * that only the administrator can read can be taken over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "cmd/store_user.h"
#include "io/fd.h"
#include "store/mailbox.h"

#define BATCH	200		/* messages with one sync */

struct import {
	struct account	*a;
	uint32_t	 box, count;
	struct append	*ap;
	struct buf	 text;
};

static int
flush(struct import *im, struct why *why)
{
	struct uid_result got;
	int rc = 0;

	if (im->ap != NULL && (rc = append_commit(im->ap, &got, why)) == 0)
		rc = account_sync(im->a, why);
	append_free(&im->ap);
	return rc;
}

static int
add(struct import *im, struct span text, uint32_t flags, int64_t date_us,
    struct why *why)
{
	struct append_info info = { .flags = flags, .date_us = date_us,
	    .size = text.len };

	if (im->ap == NULL &&
	    (im->ap = append_begin(im->a, im->box, why)) == NULL)
		return -1;
	if (append_next(im->ap, &info, why) < 0 ||
	    append_data(im->ap, text, why) < 0)
		return -1;
	return ++im->count % BATCH == 0 ? flush(im, why) : 0;
}

/* --- Maildir -------------------------------------------------------------------- */

static uint32_t
maildir_flags(const char *name)
{
	static const char letters[] = "SRFTD";
	const char *p = strstr(name, ":2,"), *at;
	uint32_t f = 0;

	for (p = p != NULL ? p + 3 : ""; *p != '\0'; p++)
		if ((at = strchr(letters, *p)) != NULL)
			f |= 1u << (at - letters);
	return f;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
import_dir(struct import *im, int dir, const char *sub, struct why *why)
{
	struct dirent **list;
	int fd, n, rc = 0;

	fd = openat(dir, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : why_errno(why, "",
		    "cannot open %s", sub);
	if ((n = scandirat(dir, sub, &list, NULL, by_name)) < 0) {
		close(fd);
		return why_errno(why, "", "cannot read %s", sub);
	}
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		struct stat st;

		buf_reset(&im->text);
		if (rc == 0 && name[0] != '.' &&
		    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode)) {
			if (fd_read_file(fd, name, &im->text) < 0)
				rc = why_errno(why, "", "cannot read %s/%s",
				    sub, name);
			else
				rc = add(im, buf_span(&im->text),
				    maildir_flags(name),
				    (int64_t)st.st_mtim.tv_sec * 1000000, why);
		}
		free(list[i]);
	}
	free(list);
	close(fd);
	return rc;
}

/* --- mbox ------------------------------------------------------------------------- */

/* The time of "From sender  Mon Mar  2 14:05:09 2026", or 0. */
static int64_t
from_line_date(struct span line)
{
	struct tm tm = { .tm_isdst = 0 };
	char text[128];
	const char *p;

	if (span_copy(span_sub(line, 0, sizeof(text) - 1), text,
	    sizeof(text)) < 0)
		return 0;
	/* The sender may have blanks: the date is the last five words. */
	for (p = text + 5; (p = strchr(p, ' ')) != NULL; p++) {
		const char *end = strptime(p, " %a %b %d %H:%M:%S %Y", &tm);

		if (end != NULL)
			return (int64_t)timegm(&tm) * 1000000;
	}
	return 0;
}

static void
status_flags(struct span line, uint32_t *flags)
{
	bool x = span_casestarts(line, SPAN("X-Status:"));

	if (!x && !span_casestarts(line, SPAN("Status:")))
		return;
	for (size_t i = x ? 9 : 7; i < line.len; i++) {
		switch (line.p[i]) {
		case 'R':
			*flags |= x ? 0 : STORE_SEEN;
			break;
		case 'A':
			*flags |= STORE_ANSWERED;
			break;
		case 'F':
			*flags |= STORE_FLAGGED;
			break;
		case 'T':
			*flags |= STORE_DRAFT;
			break;
		case 'D':
			*flags |= STORE_DELETED;
			break;
		}
	}
}

static int
import_mbox(struct import *im, struct span all, struct why *why)
{
	struct span line;
	bool any = false, header = false, blank = true;
	uint32_t flags = 0;
	int64_t date = 0;

	if (!span_starts(all, SPAN("From ")))
		return why_set(why, "", "this is neither a Maildir nor an "
		    "mbox");
	while (span_line(&all, &line)) {
		if (blank && span_starts(line, SPAN("From "))) {
			if (any && add(im, buf_span(&im->text), flags, date,
			    why) < 0)
				return -1;
			any = header = true;
			blank = false;
			flags = 0;
			date = from_line_date(line);
			buf_reset(&im->text);
			continue;
		}
		/* The blank line before a From_ line is not the message's. */
		if (blank && !header)
			buf_add_char(&im->text, '\n');
		blank = line.len == 0;
		if (header) {
			status_flags(line, &flags);
			if (blank)
				buf_add_char(&im->text, '\n');
		}
		if (blank) {
			blank = !header;
			header = false;
			continue;
		}
		/* "mboxrd": one '>' less. */
		struct span rest = line;
		while (rest.len > 0 && rest.p[0] == '>')
			rest = span_from(rest, 1);
		if (line.p[0] == '>' && span_starts(rest, SPAN("From ")))
			line = span_from(line, 1);
		buf_add_span(&im->text, line);
		buf_add_char(&im->text, '\n');
	}
	return any ? add(im, buf_span(&im->text), flags, date, why) : 0;
}

int
mansio_import(int argc, char **argv)
{
	struct import im = { .text = BUF_INIT(BUF_UNLIMITED) };
	struct why why = WHY_INIT;
	const struct account_box *b;
	struct stat st;
	int fd, rc;

	if (argc != 4)
		return mansio_usage(argv[0]);
	mansio_load();
	fd = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		log_fatal("cannot open %s: %m", argv[3]);
	im.a = store_user_open(argv[1]);
	b = account_find(im.a, span_of(argv[2]));
	rc = 0;
	if (b != NULL && b->box != 0)
		im.box = b->box;
	else
		rc = account_create(im.a, span_of(argv[2]), 0, &im.box, &why);
	if (rc == 0 && S_ISDIR(st.st_mode)) {
		if ((rc = import_dir(&im, fd, "cur", &why)) == 0)
			rc = import_dir(&im, fd, "new", &why);
	} else if (rc == 0 && st.st_size > 0) {
		void *map = mmap(NULL, (size_t)st.st_size, PROT_READ,
		    MAP_PRIVATE, fd, 0);

		if (map == MAP_FAILED) {
			rc = why_errno(&why, "", "cannot read %s", argv[3]);
		} else {
			rc = import_mbox(&im, span_make(map,
			    (size_t)st.st_size), &why);
			(void)munmap(map, (size_t)st.st_size);
		}
	}
	if (rc == 0)
		rc = flush(&im, &why);
	append_free(&im.ap);
	if (rc == 0)
		printf("%u messages\n", (unsigned)im.count);
	buf_fini(&im.text);
	close(fd);
	return store_user_done(&im.a, rc, &why);
}

/* --- export ------------------------------------------------------------------------- */

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
