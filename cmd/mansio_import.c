/* SPDX-License-Identifier: ISC */
/*
 * mansio import - mail from a Maildir or an mbox of another server.
 *
 * An mbox is opened before we become the user, so that one that only the
 * administrator can read can be taken over; of a Maildir that is only its
 * directory, what is in it is read by the user.  All of it is the user's to
 * write, and hostile: it is parsed as that user.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cmd/mansio.h"
#include "cmd/store_user.h"
#include "io/fd.h"
#include "store/foreign_mbox.h"
#include "store/import.h"
#include "store/uidl_format.h"
#include "store/uidls.h"

#define MESSAGE_MAX	(1u << 30)	/* bytes of a message in a Maildir */
#define COMPLAINTS_MAX	20		/* lines told of what is passed over */
#define UPDATES_MAX	1000000		/* files in courierimapkeywords */

/* A file of a Maildir. */
struct source {
	char		*name;
	bool		 in_new;
	uint32_t	 uid;		/* 0: none */
};

struct job {
	struct account	*a;
	uint32_t	 box;
	const char	*path;		/* for messages */
	bool		 new_uids;	/* -n */
	const char	*format;	/* of unique ids; NULL: the server's */
	struct foreign	 f;
	struct import	*im;
	uint32_t	 complaints;
	int		 dir;		/* the Maildir, or -1 */
	ARRAY(struct source) sources;
	struct buf	 text, id;
};

static void
complain(void *arg, const char *file, size_t line, const char *what)
{
	struct job *j = arg;

	if (++j->complaints <= COMPLAINTS_MAX)
		log_warning("%s: %s:%zu: %s: passed over", j->path, file,
		    line, what);
}

/* --- files of the user -------------------------------------------------------------------- */

/*
 * All of a regular file below dir.  1, 0 there is none, -1 with why.  when may
 * be NULL: its time.
 */
static int
read_file(int dir, const char *name, size_t max, struct buf *out,
    int64_t *when_us, struct why *why)
{
	struct stat st;
	int fd, rc = -1;
	char *to;

	buf_reset(out);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : why_errno(why, "",
		    "cannot open %s", name);
	if (fstat(fd, &st) < 0) {
		(void)why_errno(why, "", "cannot read %s", name);
	} else if (!S_ISREG(st.st_mode)) {
		(void)why_set(why, "", "%s is no regular file", name);
	} else if ((uint64_t)st.st_size > max) {
		(void)why_set(why, "", "%s has more than %zu bytes", name,
		    max);
	} else if ((to = buf_reserve(out, (size_t)st.st_size)) == NULL ||
	    fd_pread_all(fd, to, (size_t)st.st_size, 0) < 0) {
		(void)why_errno(why, "", "cannot read %s", name);
	} else {
		buf_commit(out, (size_t)st.st_size);
		if (when_us != NULL)
			*when_us = (int64_t)st.st_mtim.tv_sec * 1000000;
		rc = 1;
	}
	close(fd);
	return rc;
}

static int
read_list(struct job *j, const char *name, struct why *why)
{
	return read_file(j->dir, name, FOREIGN_FILE_MAX, &j->text, NULL, why);
}

/* --- what the other server knew ------------------------------------------------------------- */

/* Of ".N.file" the one with the greatest N holds, before it "file" itself. */
struct update {
	char		*base;
	uint64_t	 n;		/* UINT64_MAX: the name has none */
	char		*name;
};

static int
by_update(const void *a, const void *b)
{
	const struct update *x = a, *y = b;
	int c = strcmp(x->base, y->base);

	return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

static bool
parse_update(const char *name, struct update *u)
{
	struct span s = span_of(name);
	ptrdiff_t dot;

	u->n = UINT64_MAX;
	if (name[0] == '.') {
		s = span_from(s, 1);
		dot = span_find(s, '.');
		if (dot < 0 || num_parse_u64(span_sub(s, 0, (size_t)dot),
		    UINT64_MAX - 1, &u->n) < 0)
			return false;
		s = span_from(s, (size_t)dot + 1);
	}
	if (s.len == 0 || span_is(s, ":list"))
		return false;
	u->base = span_dup(s);
	u->name = mem_strdup(name);
	return true;
}

static int
read_courier_updates(struct job *j, struct why *why)
{
	ARRAY(struct update) v = ARRAY_EMPTY;
	struct update u;
	struct dirent *e;
	DIR *d;
	int fd, rc = 0;

	fd = openat(j->dir, "courierimapkeywords", O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return 0;
	}
	while (v.len < UPDATES_MAX && (e = readdir(d)) != NULL) {
		if (parse_update(e->d_name, &u))
			*ARRAY_PUSH(&v) = u;
	}
	qsort(v.v, v.len, sizeof(v.v[0]), by_update);
	for (size_t i = 0; i < v.len; i++) {
		if (rc == 0 && (rc = read_file(fd, v.v[i].name,
		    FOREIGN_FILE_MAX, &j->text, NULL, why)) == 1) {
			foreign_courier_words(&j->f, span_of(v.v[i].base),
			    buf_span(&j->text));
			rc = 0;
		}
		mem_free(v.v[i].base);
		mem_free(v.v[i].name);
	}
	ARRAY_FINI(&v);
	closedir(d);
	return rc;
}

static int
read_courier(struct job *j, struct why *why)
{
	int rc;

	if ((rc = read_list(j, "courierimapuiddb", why)) < 0 ||
	    (rc > 0 && foreign_courier_uids(&j->f, buf_span(&j->text),
	    why) < 0) ||
	    (rc = read_list(j, "courierpop3dsizelist", why)) < 0 ||
	    (rc > 0 && foreign_courier_pop3(&j->f, buf_span(&j->text),
	    why) < 0) ||
	    (rc = read_list(j, "courierimapkeywords/:list", why)) < 0)
		return -1;
	if (rc > 0)
		foreign_courier_list(&j->f, buf_span(&j->text));
	return read_courier_updates(j, why);
}

/* Dovecot comes last where both are: it takes over from Courier. */
static int
read_lists(struct job *j, struct why *why)
{
	int rc;

	if ((rc = read_list(j, "dovecot-uidlist", why)) < 0)
		return -1;
	if (rc == 0)
		return read_courier(j, why);
	if (foreign_uidlist(&j->f, buf_span(&j->text), why) < 0 ||
	    (rc = read_list(j, "dovecot-keywords", why)) < 0)
		return -1;
	if (rc > 0)
		foreign_keywords(&j->f, buf_span(&j->text));
	/* What it sends where nobody has set anything else. */
	if (j->format == NULL)
		j->format = uidl_format_of("dovecot");
	return 0;
}

/* The unique id of a message: what was kept, or what the format makes. */
static struct span
unique_id(struct job *j, const struct uidl_values *v, struct span kept)
{
	buf_reset(&j->id);
	if (kept.len > 0)
		return uidls_id_ok(kept) ? kept : SPAN_EMPTY;
	if (j->format == NULL || uidl_format(j->format, v, &j->id) < 0 ||
	    !uidls_id_ok(buf_span(&j->id)))
		return SPAN_EMPTY;
	return buf_span(&j->id);
}

static int
begin(struct job *j, struct why *why)
{
	j->im = import_begin(j->a, j->box, j->new_uids ? 0 :
	    j->f.uidvalidity, j->f.uidnext, why);
	return j->im != NULL ? 0 : -1;
}

/* --- Maildir ------------------------------------------------------------------------------ */

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

/* With UIDs first, ascending; then by name, which begins with the time. */
static int
by_uid(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid - 1 < y->uid - 1 ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
list_dir(struct job *j, const char *sub, bool in_new, struct why *why)
{
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(j->dir, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		int rc = errno == ENOENT ? 0 : why_errno(why, "",
		    "cannot open %s", sub);

		fd_close(&fd);
		return rc;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		const struct foreign_message *m;
		struct source *s;

		if (e->d_name[0] == '.')
			continue;
		m = foreign_find(&j->f, span_of(e->d_name));
		s = ARRAY_PUSH(&j->sources);
		s->name = mem_strdup(e->d_name);
		s->in_new = in_new;
		s->uid = m != NULL ? m->uid : 0;
	}
	int rc = errno != 0 ? why_errno(why, "", "cannot read %s", sub) : 0;
	closedir(d);
	return rc;
}

/* Courier's keywords of a message, and the letters of Dovecot's names. */
static size_t
keywords_of(const struct job *j, const char *name,
    const struct foreign_message *m, struct span *out, size_t max)
{
	const struct foreign *f = &j->f;
	const char *p = strstr(name, ":2,");
	size_t n = 0;

	for (size_t i = 0; m != NULL && i < m->words.len && n < max; i++)
		out[n++] = span_of(f->words.v[m->words.v[i]]);
	for (p = p != NULL ? p + 3 : ""; *p != '\0' && n < max; p++) {
		if (*p >= 'a' && *p <= 'z' && f->letters[*p - 'a'] >= 0)
			out[n++] = span_of(f->words.v[f->letters[*p - 'a']]);
	}
	return n;
}

static int
add_file(struct job *j, int dir, const struct source *s, struct why *why)
{
	const struct foreign_message *m = foreign_find(&j->f,
	    span_of(s->name));
	struct span words[128], base = foreign_base(span_of(s->name));
	struct uidl_values v = {
		.uid = s->uid, .file = base, .guid = base,
		.uidvalidity = s->uid != 0 ? j->f.uidvalidity : 0,
	};
	struct import_message im = {
		.uid = s->uid, .flags = maildir_flags(s->name),
		.keywords = words, .name = base,
		.nkeywords = keywords_of(j, s->name, m, words,
		    ARRAY_LEN(words)),
	};
	int rc = read_file(dir, s->name, MESSAGE_MAX, &j->text, &im.date_us,
	    why);

	/* 0: its owner has removed or renamed it meanwhile. */
	if (rc == 0)
		return why_set(why, "", "%s is not there any more: the Maildir "
		    "is in use", s->name);
	if (rc < 0)
		return -1;
	im.bytes = buf_span(&j->text);
	if (m != NULL && m->guid != NULL)
		v.guid = span_of(m->guid);
	im.uidl = unique_id(j, &v, m != NULL ? span_of(m->uidl) : SPAN_EMPTY);
	return import_add(j->im, &im, why);
}

static int
import_maildir(struct job *j, struct why *why)
{
	int dirs[2] = { -1, -1 }, rc = -1;

	if (read_lists(j, why) < 0 || list_dir(j, "cur", false, why) < 0 ||
	    list_dir(j, "new", true, why) < 0)
		return -1;
	qsort(j->sources.v, j->sources.len, sizeof(j->sources.v[0]), by_uid);
	dirs[0] = openat(j->dir, "cur", O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	dirs[1] = openat(j->dir, "new", O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (dirs[0] < 0 && dirs[1] < 0)
		return why_set(why, "", "%s is no Maildir", j->path);
	rc = begin(j, why);
	for (size_t i = 0; rc == 0 && i < j->sources.len; i++)
		rc = add_file(j, dirs[j->sources.v[i].in_new],
		    &j->sources.v[i], why);
	fd_close(&dirs[0]);
	fd_close(&dirs[1]);
	return rc;
}

/* --- mbox --------------------------------------------------------------------------------- */

/* A message with a UID behind those without one would get a new one, too. */
static int
add_mail(struct job *j, const struct foreign_mail *m, struct why *why)
{
	struct uidl_values v = {
		.uid = m->uid,
		.uidvalidity = m->uid != 0 ? j->f.uidvalidity : 0,
	};
	struct import_message im = {
		.bytes = buf_span(&m->text), .flags = m->flags,
		.uid = j->f.uidvalidity != 0 ? m->uid : 0,
		.date_us = m->date_us, .keywords = m->words.v,
		.nkeywords = m->words.len,
	};

	/* A server that writes UIDs has no use for the other's ids. */
	im.uidl = unique_id(j, &v, j->format == NULL &&
	    j->f.uidvalidity == 0 ? m->uidl : SPAN_EMPTY);
	if (j->format != NULL && strcmp(j->format, "header") == 0)
		im.uidl = uidls_id_ok(m->uidl) ? m->uidl : SPAN_EMPTY;
	return import_add(j->im, &im, why);
}

/*
 * One time through the file for those with a UID (or, where there are none,
 * for all), and one for the rest.
 */
static int
pass(struct job *j, struct span all, bool with_uid, uint32_t *left,
    struct why *why)
{
	struct foreign_mail m = { .text = BUF_INIT(BUF_UNLIMITED) };
	struct foreign_mbox b;
	int rc = foreign_mbox_init(&b, &j->f, all);

	if (rc < 0)
		return why_set(why, "", "%s is neither a Maildir nor an mbox",
		    j->path);
	*left = 0;
	while (rc == 0 && foreign_mbox_next(&b, &m)) {
		if (j->im == NULL) {
			if (j->f.uidvalidity != 0 && j->format == NULL)
				j->format = uidl_format_of("dovecot");
			rc = begin(j, why);
		}
		if (rc == 0 && (m.uid != 0 || j->f.uidvalidity == 0) !=
		    with_uid)
			++*left;
		else if (rc == 0 && (rc = add_mail(j, &m, why)) < 0)
			why_prefix(why, "mbox:%zu", m.line);
	}
	foreign_mail_fini(&m);
	return rc;
}

static int
import_mbox(struct job *j, int fd, uint64_t size, struct why *why)
{
	struct span all = SPAN_EMPTY;
	uint32_t left = 0;
	void *map = NULL;
	int rc;

	if (size > 0) {
		map = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			return why_errno(why, "", "cannot read %s", j->path);
		all = span_make(map, (size_t)size);
	}
	rc = pass(j, all, true, &left, why);
	if (rc == 0 && left > 0) {
		j->f.complain = NULL;	/* it was told */
		rc = pass(j, all, false, &left, why);
	}
	if (map != NULL)
		(void)munmap(map, (size_t)size);
	if (rc == 0 && j->im == NULL)
		rc = begin(j, why);
	return rc;
}

/* --- the command --------------------------------------------------------------------------- */

static void
say_result(const struct job *j)
{
	const struct import_result *r = import_result(j->im);

	printf("%" PRIu32 " messages", r->stored);
	if (r->were > 0)
		printf(", %" PRIu32 " were there already", r->were);
	if (r->gone > 0)
		printf(", %" PRIu32 " were there and are expunged", r->gone);
	if (r->uidls > 0)
		printf(", %" PRIu32 " unique ids", r->uidls);
	if (r->uidl_twice > 0)
		printf(", %" PRIu32 " unique ids not kept: other messages "
		    "have them", r->uidl_twice);
	putchar('\n');
}

static int
find_box(struct job *j, const char *name, struct why *why)
{
	const struct account_box *b = account_find(j->a, span_of(name));

	if (b == NULL || b->box == 0)
		return account_create(j->a, span_of(name), 0, &j->box, why);
	j->box = b->box;
	return 0;
}

static int
run(struct job *j, int fd, const struct stat *st, struct why *why)
{
	int rc;

	foreign_init(&j->f);
	j->f.complain = complain;
	j->f.arg = j;
	j->dir = fd;
	rc = S_ISDIR(st->st_mode) ? import_maildir(j, why) :
	    import_mbox(j, fd, (uint64_t)st->st_size, why);
	if (j->complaints > COMPLAINTS_MAX)
		log_warning("%s: and in %u lines more", j->path,
		    (unsigned)(j->complaints - COMPLAINTS_MAX));
	if (rc == 0)
		rc = import_commit(j->im, why);
	/* Found out at the begin, or, in a maildir, at the end. */
	if (rc < 0 && !j->new_uids && account_error(j->a) == ACCOUNT_EXISTS)
		why_prefix(why, "with -n all messages get new UIDs");
	if (rc == 0)
		say_result(j);
	else if (j->im != NULL && import_result(j->im)->stored > 0)
		why_prefix(why, "after %u messages, which are in the mailbox",
		    (unsigned)import_result(j->im)->stored);
	else
		why_prefix(why, "nothing was imported");
	import_free(&j->im);
	foreign_fini(&j->f);
	for (size_t i = 0; i < j->sources.len; i++)
		mem_free(j->sources.v[i].name);
	ARRAY_FINI(&j->sources);
	return rc;
}

/* "none", "header", a server's name or a format; -1: no such one. */
static int
parse_format(struct job *j, const char *arg)
{
	static const uint8_t id[16];
	const struct uidl_values v = {
		.uid = 1, .uidvalidity = 1, .id = id, .file = SPAN("f"),
		.guid = SPAN("g"),
	};
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const char *of = uidl_format_of(arg);
	int rc;

	j->format = of != NULL ? of : strcmp(arg, "none") == 0 ? "" : arg;
	rc = uidl_format(j->format, &v, &b);
	/* The store's own id means nothing to another server's clients. */
	if (uidl_format_has(j->format, 'i'))
		rc = -1;
	buf_fini(&b);
	return rc;
}

int
mansio_import(int argc, char **argv)
{
	struct job j = { .text = BUF_INIT(MESSAGE_MAX),
	    .id = BUF_INIT(4 * UIDLS_ID_MAX) };
	struct why why = WHY_INIT;
	struct stat st;
	int fd, rc, c;

	optind = 1;
	while ((c = getopt(argc, argv, "nu:")) != -1) {
		if (c == 'n')
			j.new_uids = true;
		else if (c != 'u')
			return mansio_usage(argv[0]);
		else if (parse_format(&j, optarg) < 0)
			log_fatal("-u %s: this is no format of unique ids",
			    optarg);
	}
	if (argc - optind != 3)
		return mansio_usage(argv[0]);
	argv += optind;
	mansio_load();
	j.path = argv[2];
	fd = open(j.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		log_fatal("cannot open %s: %m", j.path);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		log_fatal("%s is neither a Maildir nor an mbox", j.path);
	j.a = store_user_open(argv[0]);
	rc = find_box(&j, argv[1], &why);
	if (rc == 0)
		rc = run(&j, fd, &st, &why);
	buf_fini(&j.text);
	buf_fini(&j.id);
	close(fd);
	return store_user_done(&j.a, rc, &why);
}
