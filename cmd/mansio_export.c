/* SPDX-License-Identifier: ISC */
/*
 * mansio export - mail into files that other programs know.
 *
 * Both forms carry UIDs and keywords where Dovecot looks for them, and where
 * "mansio import" does: X-UID, X-Keywords and X-IMAPbase in an mbox,
 * dovecot-uidlist and dovecot-keywords in a Maildir.  A file of a Maildir is
 * there whole or not at all, so that an export that was cut off is done again
 * into the same place.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "cmd/store_user.h"
#include "io/fd.h"
#include "store/mailbox.h"

#define LETTERS	26	/* keywords that names of a Maildir have letters for */

/* --- mbox ------------------------------------------------------------------------- */

/* What programs that read mboxes over IMAP keep in them; base: first message. */
static void
put_numbers(struct mailbox *m, const struct mailbox_message *msg, bool base,
    FILE *to)
{
	const uint32_t *v;
	uint32_t n = mailbox_kwset(m, msg->kwset, &v);

	if (base) {
		fprintf(to, "X-IMAPbase: %u %u",
		    (unsigned)mailbox_uidvalidity(m),
		    (unsigned)(mailbox_uidnext(m) - 1));
		for (uint32_t i = 0; i < mailbox_keyword_count(m); i++)
			fprintf(to, " %s", mailbox_keyword(m, i));
		fputc('\n', to);
	}
	fprintf(to, "X-UID: %u\n", (unsigned)msg->uid);
	if (n == 0)
		return;
	fputs("X-Keywords:", to);
	for (uint32_t i = 0; i < n; i++)
		fprintf(to, " %s", mailbox_keyword(m, v[i]));
	fputc('\n', to);
}

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
		put_numbers(m, &msg, seq == 1, to);
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

/* --- Maildir ---------------------------------------------------------------------- */

struct folder {
	struct mailbox	*m;
	int		 dir;
	struct hash	 there;		/* name without flags -> with them */
	struct buf	 uids;		/* dovecot-uidlist */
};

/* What an export before this one has left. */
static int
look_around(struct folder *f, struct why *why)
{
	int fd = openat(f->dir, "cur", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d;

	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return why_errno(why, "", "cannot read cur");
	}
	while ((e = readdir(d)) != NULL) {
		const char *colon = strchr(e->d_name, ':');

		if (colon != NULL)
			mem_free(hash_put(&f->there, span_make(e->d_name,
			    (size_t)(colon - e->d_name)),
			    mem_strdup(e->d_name)));
	}
	closedir(d);
	return 0;
}

/* "base:2,FLAGS" */
static void
file_name(const struct folder *f, const struct mailbox_message *msg,
    struct span base, struct buf *out)
{
	const uint32_t *v;
	uint32_t n = mailbox_kwset(f->m, msg->kwset, &v);

	buf_reset(out);
	buf_addf(out, "%.*s:2,%s%s%s%s%s", SPAN_ARG(base),
	    msg->flags & STORE_DRAFT ? "D" : "",
	    msg->flags & STORE_FLAGGED ? "F" : "",
	    msg->flags & STORE_ANSWERED ? "R" : "",
	    msg->flags & STORE_SEEN ? "S" : "",
	    msg->flags & STORE_DELETED ? "T" : "");
	for (uint32_t k = 0; k < LETTERS; k++)
		for (uint32_t i = 0; i < n; i++)
			if (v[i] == k)
				buf_add_char(out, (char)('a' + k));
}

static int
write_message(const struct folder *f, const char *name, struct span bytes,
    int64_t date_us, struct why *why)
{
	struct timespec times[2] = { { .tv_sec = (time_t)(date_us / 1000000) } };
	char *tmp = mem_printf("tmp/%s", name);
	char *cur = mem_printf("cur/%s", name);
	int fd, rc = 0;

	times[1] = times[0];
	fd = openat(f->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, bytes.p, bytes.len) < 0 ||
	    futimens(fd, times) < 0 ||
	    renameat(f->dir, tmp, f->dir, cur) < 0)
		rc = why_errno(why, "", "cannot write %s", cur);
	fd_close(&fd);
	mem_free(tmp);
	mem_free(cur);
	return rc;
}

/* It is there: perhaps with other flags. */
static int
name_anew(const struct folder *f, const char *old, const char *new,
    struct why *why)
{
	char *from = mem_printf("cur/%s", old), *to = mem_printf("cur/%s", new);
	int rc = strcmp(old, new) == 0 ? 0 :
	    renameat(f->dir, from, f->dir, to);

	if (rc < 0)
		rc = why_errno(why, "", "cannot rename %s", from);
	mem_free(from);
	mem_free(to);
	return rc;
}

static int
export_message(struct folder *f, uint32_t seq, struct why *why)
{
	struct buf base = BUF_INIT(BUF_UNLIMITED), name = base;
	struct mailbox_content c;
	struct mailbox_message msg;
	const char *old;
	int rc;

	if (!mailbox_message(f->m, seq, &msg))
		return 0;
	rc = mailbox_content(f->m, msg.uid, &c, why);
	if (rc == 0) {
		buf_addf(&base, "%lld.U%uV%u.mansio,S=%zu",
		    (long long)(msg.date_us / 1000000), (unsigned)msg.uid,
		    (unsigned)mailbox_uidvalidity(f->m), c.bytes.len);
		file_name(f, &msg, buf_span(&base), &name);
		old = hash_get(&f->there, buf_span(&base));
		rc = old != NULL ? name_anew(f, old, name.data, why) :
		    write_message(f, name.data, c.bytes, msg.date_us, why);
		buf_addf(&f->uids, "%u :%s\n", (unsigned)msg.uid, name.data);
	}
	mailbox_content_done(&c);
	buf_fini(&base);
	buf_fini(&name);
	return rc;
}

static int
write_lists(struct folder *f, struct why *why)
{
	struct buf words = BUF_INIT(BUF_UNLIMITED);
	uint32_t n = MIN(mailbox_keyword_count(f->m), LETTERS);
	int rc;

	for (uint32_t i = 0; i < n; i++)
		buf_addf(&words, "%u %s\n", (unsigned)i,
		    mailbox_keyword(f->m, i));
	rc = fd_replace_file(f->dir, "dovecot-uidlist", 0600, f->uids.data,
	    f->uids.len);
	if (rc == 0 && n > 0)
		rc = fd_replace_file(f->dir, "dovecot-keywords", 0600,
		    words.data, words.len);
	buf_fini(&words);
	return rc < 0 ? why_errno(why, "", "cannot write dovecot-uidlist") : 0;
}

static int
export_maildir(struct mailbox *m, int dir, struct why *why)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	struct folder f = { .m = m, .dir = dir,
	    .uids = BUF_INIT(BUF_UNLIMITED) };
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (mkdirat(dir, parts[i], 0700) < 0 && errno != EEXIST)
			return why_errno(why, "", "cannot make %s", parts[i]);
	f.there = HASH_INIT;
	buf_addf(&f.uids, "3 V%u N%u\n", (unsigned)mailbox_uidvalidity(m),
	    (unsigned)mailbox_uidnext(m));
	rc = look_around(&f, why);
	for (uint32_t seq = 1; rc == 0 && seq <= mailbox_count(m); seq++)
		rc = export_message(&f, seq, why);
	if (rc == 0)
		rc = write_lists(&f, why);
	hash_fini(&f.there, mem_free);
	buf_fini(&f.uids);
	return rc;
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
