/* SPDX-License-Identifier: ISC */
/*
 * maildir_view - a maildir as an open mailbox.
 *
 * Files are the truth for what there is and for the five flags in their names;
 * the journal beside them (mansio.jrn) gives each file, by the part of its
 * name before the ':', a UID, remembers keywords and dates, and counts
 * MODSEQs.  Whenever new/ or cur/ have changed, maildir_view_sync() compares
 * the two under the journal's lock and writes down what others did: mail
 * readers that rename, programs that deliver, hands that delete.
 *
 * We hold the lock while we change files, so that other processes of ours
 * never see a file before its record.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/mailbox_internal.h"

#define SCANS_MAX	5	/* until the directories hold still */
#define MAP_MIN		(128u << 10)	/* bytes: smaller files are read */

struct mdfile {
	char		*name;		/* as it is now */
	bool		 in_cur;
	bool		 seen;		/* in this scan */
	bool		 known;		/* has a record */
	uint32_t	 rec;
};

struct mdnew {				/* written, waits for its record */
	char		*tmp, *name;
};

struct maildir_view {
	int		 cur, new, tmp;
	struct timespec	 cur_at, new_at;	/* scanned; tv_sec 0: not */
	struct hash	 files;			/* base -> struct mdfile */
	uint32_t	 nnamed;		/* records whose name is in it */
	ARRAY(struct mdnew) pending;
};

static void
free_file(void *arg)
{
	struct mdfile *f = arg;

	if (f != NULL) {
		mem_free(f->name);
		mem_free(f);
	}
}

static struct span
base_of(const char *name)
{
	return span_make(name, strcspn(name, ":"));
}

/* The name part that a record remembers. */
struct span
record_base(const struct mailbox *m, const struct record *r)
{
	uint16_t n;

	if (r->offset + 2 > m->names.len)
		return SPAN_EMPTY;
	n = num_get_le16(m->names.data + r->offset);
	return span_sub(buf_span(&m->names), (size_t)r->offset + 2, n);
}

static uint32_t
flags_of(const char *name)
{
	static const char letters[] = "SRFTD";	/* in the order of the bits */
	const char *p = strstr(name, ":2,"), *at;
	uint32_t f = 0;

	for (p = p != NULL ? p + 3 : ""; *p != '\0'; p++) {
		if ((at = strchr(letters, *p)) != NULL)
			f |= 1u << (at - letters);
	}
	return f;
}

_Static_assert(STORE_SEEN == 1 && STORE_ANSWERED == 2 && STORE_FLAGGED == 4 &&
    STORE_DELETED == 8 && STORE_DRAFT == 16, "letters[] above");

/* base, ":2," and the flags in the order of the alphabet, and what letters
 * other programs have put there. */
static void
name_with(struct buf *out, struct span base, const char *old, uint32_t flags)
{
	const char *p = strstr(old, ":2,");
	uint32_t has = flags;

	buf_reset(out);
	buf_add_span(out, base);
	buf_add_str(out, ":2,");
	for (char c = 'A'; c <= 'Z'; c++) {
		uint32_t bit = c == 'D' ? STORE_DRAFT : c == 'F' ?
		    STORE_FLAGGED : c == 'R' ? STORE_ANSWERED : c == 'S' ?
		    STORE_SEEN : c == 'T' ? STORE_DELETED : 0;

		if (bit != 0 ? (has & bit) != 0 :
		    p != NULL && strchr(p + 3, c) != NULL)
			buf_add_char(out, c);
	}
	for (char c = 'a'; c <= 'z'; c++) {
		if (p != NULL && strchr(p + 3, c) != NULL)
			buf_add_char(out, c);
	}
}

static int
open_part(struct mailbox *m, const char *name, struct why *why)
{
	int fd;

	fd = openat(m->p->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	/* EEXIST: another process that opens it for the first time, too. */
	if (fd < 0 && errno == ENOENT &&
	    (fault_mkdirat(m->p->dirfd, name, 0700) == 0 || errno == EEXIST))
		fd = openat(m->p->dirfd, name, O_RDONLY | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		(void)store_fail(why, "cannot open", m->p->path);
		return account_io(m->a, why);
	}
	return fd;
}

int
maildir_view_open(struct mailbox *m, struct why *why)
{
	struct maildir_view *v = mem_zalloc(sizeof(*v));

	m->md = v;
	v->cur = v->new = v->tmp = -1;
	if ((v->cur = open_part(m, "cur", why)) < 0 ||
	    (v->new = open_part(m, "new", why)) < 0 ||
	    (v->tmp = open_part(m, "tmp", why)) < 0)
		return -1;
	return maildir_view_sync(m, why);
}

void
maildir_view_close(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	if (v == NULL)
		return;
	m->md = NULL;
	fd_close(&v->cur);
	fd_close(&v->new);
	fd_close(&v->tmp);
	hash_fini(&v->files, free_file);
	ARRAY_FINI(&v->pending);
	mem_free(v);
}

/* --- looking ---------------------------------------------------------------------- */

static int
scan_dir(struct mailbox *m, int dir, bool cur)
{
	struct maildir_view *v = m->md;
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return -1;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		struct hash_entry *he;
		struct mdfile *f;
		bool made;

		if (e->d_name[0] == '.')
			continue;
		he = hash_enter(&v->files, base_of(e->d_name), &made);
		if (made)
			he->value = mem_zalloc(sizeof(*f));
		f = he->value;
		/* In both: being moved by somebody right now. */
		if (f->seen && f->in_cur && !cur)
			continue;
		f->seen = true;
		f->in_cur = cur;
		if (f->name == NULL || !span_is(span_of(e->d_name), f->name)) {
			mem_free(f->name);
			f->name = mem_strdup(e->d_name);
		}
	}
	int err = errno;
	closedir(d);
	errno = err;
	return err != 0 ? -1 : 0;
}

/* Enter the records that came since, so that their files are known. */
static void
enter_records(struct mailbox *m)
{
	struct maildir_view *v = m->md;
	uint32_t n = record_count(m);

	for (; v->nnamed < n; v->nnamed++) {
		const struct record *r = record_at(m, v->nnamed);
		struct hash_entry *e;
		struct mdfile *f;
		bool made;

		if (r->flags & MESSAGE_EXPUNGED ||
		    r->segment != PACKED_NO_SEGMENT)
			continue;
		e = hash_enter(&v->files, record_base(m, r), &made);
		if (made)
			e->value = mem_zalloc(sizeof(*f));
		f = e->value;
		f->known = true;
		f->rec = v->nnamed;
	}
}

static void
clear_seen(struct hash_entry *e, void *arg)
{
	struct mdfile *f = e->value;

	(void)arg;
	f->seen = false;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * All files, in hash files.  A file that is renamed while a directory is read
 * may not show at all, so it is read again until nothing has moved meanwhile;
 * *still says whether that was reached.
 */
static int
scan(struct mailbox *m, bool *still, struct why *why)
{
	struct maildir_view *v = m->md;
	struct stat c1, n1, c2, n2;

	*still = false;
	for (int i = 0; i < SCANS_MAX && !*still; i++) {
		hash_each(&v->files, clear_seen, NULL);
		if (fstat(v->cur, &c1) < 0 || fstat(v->new, &n1) < 0 ||
		    scan_dir(m, v->new, false) < 0 ||
		    scan_dir(m, v->cur, true) < 0 ||
		    fstat(v->cur, &c2) < 0 || fstat(v->new, &n2) < 0) {
			(void)store_fail(why, "cannot read", m->p->path);
			return account_io(m->a, why);
		}
		*still = same_time(&c1.st_mtim, &c2.st_mtim) &&
		    same_time(&n1.st_mtim, &n2.st_mtim);
	}
	/* What happens in the same tick of the clock would not show. */
	int64_t now = clock_wall_us();
	bool sure = *still && now - ((int64_t)c2.st_mtim.tv_sec * 1000000 +
	    c2.st_mtim.tv_nsec / 1000) > 20000 &&
	    now - ((int64_t)n2.st_mtim.tv_sec * 1000000 +
	    n2.st_mtim.tv_nsec / 1000) > 20000;
	v->cur_at = sure ? c2.st_mtim : (struct timespec){ 0, 0 };
	v->new_at = sure ? n2.st_mtim : (struct timespec){ 0, 0 };
	return 0;
}

/* --- comparing --------------------------------------------------------------------- */

struct difference {
	struct mailbox	*m;
	ARRAY(struct mdfile *) fresh;
	ARRAY(struct hash_entry *) gone;
	struct ranges	 lost;
};

static void
compare(struct hash_entry *e, void *arg)
{
	struct difference *d = arg;
	struct mdfile *f = e->value;
	struct record *r = f->known ? record_at(d->m, f->rec) : NULL;

	if (r != NULL && r->flags & MESSAGE_EXPUNGED) {
		f->known = false;
		r = NULL;
	}
	if (!f->seen) {
		if (r != NULL)
			ranges_add(&d->lost, r->uid, r->uid);
		*ARRAY_PUSH(&d->gone) = e;
	} else if (r == NULL) {
		*ARRAY_PUSH(&d->fresh) = f;
	} else if ((flags_of(f->name) ^ r->flags) & RECORD_STORED) {
		/* Somebody renamed it: one record each, it is rare. */
		uint8_t le[16];

		num_put_le32(le, flags_of(f->name));
		num_put_le32(le + 4, r->kwset);
		num_put_le32(le + 8, r->uid);
		num_put_le32(le + 12, r->uid);
		packed_put(d->m->p, PACKED_FLAGS_SET,
		    span_make(le, sizeof(le)));
	}
}

/* Files as deliverers name them begin with the time: so these are in the order
 * of arrival. */
static int
by_arrival(const void *x, const void *y)
{
	const struct mdfile *const *a = x, *const *b = y;
	struct span p = span_of((*a)->name), q = span_of((*b)->name);
	size_t np = strspn((*a)->name, "0123456789");
	size_t nq = strspn((*b)->name, "0123456789");

	if (np != nq)
		return np < nq ? -1 : 1;
	return span_cmp(p, q);
}

static int
read_file(const struct maildir_view *v, const struct mdfile *f,
    struct stat *st)
{
	int fd = openat(f->in_cur ? v->cur : v->new, f->name, O_RDONLY |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* The bytes of a file: mapped, or in memory. */
static struct content_hold *
hold_file(int fd, size_t len, struct span *bytes)
{
	struct content_hold *h;
	void *map;

	if (len >= MAP_MIN) {
		map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			return NULL;
		h = mem_zalloc(sizeof(*h));
		h->map = map;
		h->len = len;
		*bytes = span_make(map, len);
		return h;
	}
	h = mem_alloc(sizeof(*h) + len);
	*h = (struct content_hold){ NULL, 0 };
	if (fd_pread_all(fd, h + 1, len, 0) < 0) {
		mem_free(h);
		return NULL;
	}
	*bytes = span_make(h + 1, len);
	return h;
}

/*
 * A message's id is made from its file's name without the flags, which is
 * its own for ever: it survives the loss of the journal, and with it the ids
 * that POP3 clients have noted.
 */
static void
name_guid(struct span base, uint8_t out[16])
{
	static const uint64_t keys[2][2] = {
		{ 0x4d4e534f4d444952, 1 }, { 0x4d4e534f4d444952, 2 },
	};

	num_put_le64(out, hash_bytes_with(keys[0], base));
	num_put_le64(out + 8, hash_bytes_with(keys[1], base));
}

/* A new file gets a UID. */
static void
put_arrival(struct mailbox *m, struct mdfile *f, uint32_t uid)
{
	struct maildir_view *v = m->md;
	struct packed_arrival a = {
		.uid = uid, .flags = flags_of(f->name),
		.segment = PACKED_NO_SEGMENT, .how = PACKED_FILE,
		.save_us = clock_wall_us(), .queue_id = base_of(f->name),
	};
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct content_hold *h = NULL;
	struct span bytes = SPAN_EMPTY;
	struct line_count lines = LINE_COUNT_INIT;
	struct stat st;
	int fd = read_file(v, f, &st);

	name_guid(base_of(f->name), a.guid);
	if (fd >= 0) {
		a.len = (uint64_t)st.st_size;
		a.date_us = (int64_t)st.st_mtim.tv_sec * 1000000 +
		    st.st_mtim.tv_nsec / 1000;
		a.zone_min = clock_zone_min((int64_t)st.st_mtim.tv_sec);
		h = hold_file(fd, (size_t)st.st_size, &bytes);
		if (h != NULL) {
			line_count_add(&lines, bytes);
			a.size = a.len + lines.bare;
			a.how |= line_count_how(&lines);
		}
		content_hold_free(h);
		close(fd);
	}
	packed_arrival_encode(&b, &a);
	packed_put(m->p, PACKED_ARRIVAL, buf_span(&b));
	buf_fini(&b);
}

/* Out of new/, for whoever opens the mailbox to read it. */
static void
move_to_cur(struct mailbox *m, struct mdfile *f)
{
	struct maildir_view *v = m->md;
	struct buf to = BUF_INIT(BUF_UNLIMITED);

	name_with(&to, base_of(f->name), f->name, flags_of(f->name));
	if (fault_renameat(v->new, f->name, v->cur, to.data) == 0) {
		f->in_cur = true;
		mem_free(f->name);
		f->name = buf_take(&to);
	}
	buf_fini(&to);
}

static int
write_difference(struct mailbox *m, bool still, struct why *why)
{
	struct maildir_view *v = m->md;
	struct difference d = { .m = m };
	uint32_t uid;
	int rc = -1;

	hash_each(&v->files, compare, &d);
	if (d.fresh.len > 0) {
		if (packed_reserve(m->p, (uint32_t)d.fresh.len, why) < 0) {
			(void)account_io(m->a, why);
			goto out;
		}
		qsort(d.fresh.v, d.fresh.len, sizeof(d.fresh.v[0]),
		    by_arrival);
		uid = m->p->head.state.uidnext;
		for (size_t i = 0; i < d.fresh.len; i++)
			put_arrival(m, d.fresh.v[i], uid + (uint32_t)i);
	}
	if (still)
		mailbox_put_expunge(m, &d.lost, 0);
	m->foreign = true;
	rc = mailbox_flush(m, why);
	m->foreign = false;
	enter_records(m);
	for (size_t i = 0; still && i < d.gone.len; i++)
		free_file(hash_del(&v->files, d.gone.v[i]->key));
out:
	ARRAY_FINI(&d.fresh);
	ARRAY_FINI(&d.gone);
	ranges_fini(&d.lost);
	return rc;
}

static void
take_new(struct hash_entry *e, void *arg)
{
	struct mdfile *f = e->value;

	if (f->seen && !f->in_cur)
		move_to_cur(arg, f);
}

/* Whether the directories are as they were looked at last. */
static bool
is_current(struct mailbox *m)
{
	struct maildir_view *v = m->md;
	struct stat c, n;

	if (fstat(v->cur, &c) < 0 || fstat(v->new, &n) < 0 ||
	    c.st_nlink == 0) {
		m->gone = true;
		return true;
	}
	return same_time(&c.st_mtim, &v->cur_at) &&
	    same_time(&n.st_mtim, &v->new_at) &&
	    v->nnamed == record_count(m);
}

int
maildir_view_sync_locked(struct mailbox *m, struct why *why)
{
	bool still;
	int rc;

	if (is_current(m))
		return 0;
	enter_records(m);
	if ((rc = scan(m, &still, why)) < 0 ||
	    (rc = write_difference(m, still, why)) < 0)
		return rc;
	if (m->flags & MAILBOX_RECENT && !(m->flags & MAILBOX_READONLY))
		hash_each(&m->md->files, take_new, m);
	return 0;
}

int
maildir_view_sync(struct mailbox *m, struct why *why)
{
	if (is_current(m))
		return 0;
	/* Taking the lock does it. */
	if (mailbox_lock(m, why) < 0)
		return m->gone ? 0 : -1;
	mailbox_unlock(m);
	return 0;
}

/* --- content --------------------------------------------------------------------------- */

static struct mdfile *
find_file(struct mailbox *m, const struct record *r)
{
	enter_records(m);
	return hash_get(&m->md->files, record_base(m, r));
}

int
maildir_view_content(struct mailbox *m, const struct record *r,
    struct mailbox_content *out, struct why *why)
{
	uint32_t uid = r->uid;

	for (int turn = 0; turn < 3; turn++) {
		struct mdfile *f = find_file(m, r);
		struct stat st;
		int fd;

		if (f == NULL || f->name == NULL)
			break;
		fd = read_file(m->md, f, &st);
		if (fd >= 0) {
			out->hold = hold_file(fd, (size_t)st.st_size,
			    &out->bytes);
			close(fd);
			if (out->hold != NULL)
				return 0;
		}
		if (errno != ENOENT) {
			(void)store_fail(why, "cannot read", m->p->path);
			return account_io(m->a, why);
		}
		/* Renamed by somebody: look where it is. */
		m->md->cur_at.tv_sec = 0;
		if (maildir_view_sync(m, why) < 0)
			return -1;
		if ((r = record_by_uid(m, uid)) == NULL)
			break;
	}
	return account_say(m->a, ACCOUNT_EXPUNGED, why, "message %u is gone",
	    (unsigned)uid);
}

/* --- changing ---------------------------------------------------------------------------- */

static void
touched(struct mailbox *m, int dir)
{
	account_note_dirty(m->a, dir);
}

/*
 * The files get the names that say what the records say.  One that somebody
 * has renamed or removed meanwhile is left to the next look.
 */
void
maildir_view_rename(struct mailbox *m, const struct ranges *uids)
{
	struct maildir_view *v = m->md;
	struct buf to = BUF_INIT(BUF_UNLIMITED);
	bool any = false;

	for (size_t k = 0; k < uids->len; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo);
		    i < record_count(m); i++) {
			const struct record *r = record_at(m, i);
			struct mdfile *f;

			if (r->uid > uids->v[k].hi)
				break;
			f = find_file(m, r);
			if (f == NULL || f->name == NULL)
				continue;
			name_with(&to, record_base(m, r), f->name, r->flags);
			if (f->in_cur && span_is(buf_span(&to), f->name))
				continue;
			if (fault_renameat(f->in_cur ? v->cur : v->new,
			    f->name, v->cur, to.data) == 0) {
				f->in_cur = true;
				mem_free(f->name);
				f->name = buf_take(&to);
				to = BUF_INIT(BUF_UNLIMITED);
				any = true;
			}
		}
	}
	if (any)
		touched(m, v->cur);
	buf_fini(&to);
}

int
maildir_view_unlink(struct mailbox *m, const struct ranges *uids,
    struct why *why)
{
	struct maildir_view *v = m->md;
	bool any = false;

	for (size_t k = 0; k < uids->len; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo);
		    i < record_count(m); i++) {
			const struct record *r = record_at(m, i);
			struct mdfile *f;

			if (r->uid > uids->v[k].hi)
				break;
			f = find_file(m, r);
			if (f == NULL || f->name == NULL)
				continue;
			if (fault_unlinkat(f->in_cur ? v->cur : v->new,
			    f->name, 0) < 0 && errno != ENOENT) {
				(void)store_fail(why, "cannot remove a message "
				    "of", m->p->path);
				return account_io(m->a, why);
			}
			any = true;
		}
	}
	if (any)
		touched(m, v->cur);
	return 0;
}

/* "<s>.M<us>P<pid>Q<n>.<host>,S=<bytes>,W=<bytes with CRLF>". */
static char *
new_name(struct mailbox *m, uint64_t len, uint64_t size)
{
	static unsigned count;
	int64_t now = clock_wall_us();
	struct buf host = BUF_INIT(BUF_UNLIMITED);
	char *s;

	for (const char *p = m->a->opt.hostname; *p != '\0' && host.len < 64;
	    p++) {
		if (*p != '/' && *p != ':' && *p != ',' && *p > ' ')
			buf_add_char(&host, *p);
	}
	s = mem_printf("%lld.M%lldP%ldQ%u.%s,S=%llu,W=%llu",
	    (long long)(now / 1000000), (long long)(now % 1000000),
	    (long)getpid(), ++count, host.data, (unsigned long long)len,
	    (unsigned long long)size);
	buf_fini(&host);
	return s;
}

/* Write the bytes to fd; a's len, size and how as they become. */
static int
write_source(int fd, struct packed_source *src, struct packed_arrival *a,
    struct why *why)
{
	uint64_t done = 0, clen = src->content ? src->content->len : 0;
	struct line_count lines = LINE_COUNT_INIT;
	struct span piece;

	line_count_add(&lines, src->head);
	if (fd_pwrite_all(fd, src->head.p, src->head.len, 0) < 0)
		return -1;
	while (done < clen) {
		if (store_content_read(src->content, done, &piece, why) < 0)
			return -1;
		if (fd_pwrite_all(fd, piece.p, piece.len,
		    (off_t)(src->head.len + done)) < 0)
			return -1;
		line_count_add(&lines, piece);
		done += piece.len;
	}
	a->len = src->head.len + clen;
	a->size = a->len + lines.bare;
	a->how |= PACKED_FILE | line_count_how(&lines);
	return 0;
}

int
maildir_view_add(struct mailbox *m, struct packed_source *src,
    struct packed_arrival *a, struct why *why)
{
	struct maildir_view *v = m->md;
	struct buf b = BUF_INIT(BUF_UNLIMITED), name = BUF_INIT(BUF_UNLIMITED);
	struct timespec times[2];
	char tmp[80];
	struct mdnew *n;
	int fd, rc = -1;

	snprintf(tmp, sizeof(tmp), "%lld.P%ldN%zu.append",
	    (long long)clock_wall_us(), (long)getpid(), v->pending.len);
	fd = fault_openat(v->tmp, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0 || write_source(fd, src, a, why) < 0) {
		(void)store_fail(why, "cannot write to", m->p->path);
		(void)account_io(m->a, why);
		goto out;
	}
	/* Others take INTERNALDATE from here. */
	times[0].tv_sec = times[1].tv_sec = (time_t)(a->date_us / 1000000);
	times[0].tv_nsec = times[1].tv_nsec =
	    (long)(a->date_us % 1000000 * 1000);
	if (a->date_us >= 0)
		(void)futimens(fd, times);
	account_note_dirty(m->a, fd);
	char *base = new_name(m, a->len, a->size);
	a->segment = PACKED_NO_SEGMENT;
	a->offset = 0;
	a->crc = 0;
	a->cache_len = 0;
	a->queue_id = span_of(base);
	if (!(a->how & PACKED_COPIED))
		name_guid(a->queue_id, a->guid);
	packed_arrival_encode(&b, a);
	packed_put(m->p, PACKED_ARRIVAL, buf_span(&b));
	name_with(&name, span_of(base), "", a->flags);
	n = ARRAY_PUSH(&v->pending);
	n->tmp = mem_strdup(tmp);
	n->name = buf_take(&name);
	mem_free(base);
	rc = 0;
out:
	if (rc < 0 && fd >= 0)
		(void)unlinkat(v->tmp, tmp, 0);
	fd_close(&fd);
	buf_fini(&b);
	buf_fini(&name);
	return rc;
}

void
maildir_view_commit(struct mailbox *m, bool keep)
{
	struct maildir_view *v = m->md;

	for (size_t i = 0; i < v->pending.len; i++) {
		struct mdnew *n = &v->pending.v[i];
		struct hash_entry *e;
		struct mdfile *f;
		bool made;

		if (!keep || fault_renameat(v->tmp, n->tmp, v->cur,
		    n->name) < 0) {
			(void)unlinkat(v->tmp, n->tmp, 0);
		} else {
			e = hash_enter(&v->files, base_of(n->name), &made);
			if (made)
				e->value = mem_zalloc(sizeof(*f));
			f = e->value;
			mem_free(f->name);
			f->name = mem_strdup(n->name);
			f->in_cur = true;
		}
		mem_free(n->tmp);
		mem_free(n->name);
	}
	if (v->pending.len > 0 && keep) {
		touched(m, v->cur);
		enter_records(m);
	}
	v->pending.len = 0;
}
