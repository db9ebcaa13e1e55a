/* SPDX-License-Identifier: ISC */
/*
 * maildir_change - what we do to the files of a maildir.
 *
 * Files first, then the journal: what another program would see is there
 * before we promise it, and as long as the journal does not say so it can be
 * undone, for which no room on the disk is needed.  Whoever dies in between
 * leaves files that differ from the journal, and the next look takes them for
 * what another program did.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/maildir_view.h"

/* "It cannot be done", for account_error(). */
static int
fail(struct mailbox *m, const char *what, struct why *why)
{
	(void)store_fail(why, what, m->p->path);
	return account_io(m->a, why);
}

static struct mdmove *
new_move(struct maildir_view *v, int why, int from, char *old, int to,
    char *name)
{
	struct mdmove *mv = ARRAY_PUSH(&v->moves);

	*mv = (struct mdmove){ .from = from, .to = to, .old = old,
	    .name = name };
	mv->why = why;
	return mv;
}

/* The file is called so from now on. */
static void
set_name(struct mailbox *m, const char *name, bool in_cur)
{
	struct maildir_view *v = m->md;
	struct hash_entry *e;
	struct mdfile *f;
	bool made;

	e = hash_enter(&v->files, maildir_base(name), &made);
	if (made)
		e->value = mem_zalloc(sizeof(*f));
	f = e->value;
	if (f->counted && in_cur) {
		f->counted = false;
		v->nnew--;
	}
	char *copy = mem_strdup(name);
	mem_free(f->name);
	f->name = copy;
	f->in_cur = in_cur;
	f->seen = true;
}

static void
tell_progress(struct mailbox *m)
{
	if (m->progress != NULL && m->files_done < m->files_goal)
		m->progress(m->progress_arg, m->files_done++, m->files_goal);
}

int
maildir_view_rename(struct mailbox *m, const struct ranges *uids,
    uint32_t flags, struct why *why)
{
	struct maildir_view *v = m->md;
	struct buf to = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	for (size_t k = 0; k < uids->len && rc == 0; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo);
		    i < record_count(m) && rc == 0; i++) {
			const struct record *r = record_at(m, i);
			struct mdfile *f;
			int from;

			if (r->uid > uids->v[k].hi)
				break;
			if (r->flags & MESSAGE_EXPUNGED ||
			    (f = maildir_file(m, r)) == NULL)
				continue;
			tell_progress(m);
			maildir_name_with(&to, record_base(m, r), f->name,
			    flags);
			if (f->in_cur && span_is(buf_span(&to), f->name))
				continue;
			from = f->in_cur ? v->cur : v->new;
			if (fault_renameat(from, f->name, v->cur,
			    to.data) < 0) {
				/* Somebody has renamed or removed it just
				 * now: that is left to the next look. */
				if (errno != ENOENT)
					rc = fail(m, "cannot rename a message "
					    "of", why);
				continue;
			}
			new_move(v, MOVED_FLAGS, from, mem_strdup(f->name),
			    v->cur, mem_strdup(to.data))->done = true;
			set_name(m, to.data, true);
		}
	}
	buf_fini(&to);
	return rc;
}

/* --- leaving ---------------------------------------------------------------------- */

static int
open_gone(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	if (v->gone >= 0)
		return 0;
	if (fault_mkdirat(m->p->dirfd, MAILDIR_EXPUNGED, 0700) < 0 &&
	    errno != EEXIST)
		return -1;
	v->gone = openat(m->p->dirfd, MAILDIR_EXPUNGED, O_RDONLY |
	    O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return v->gone < 0 ? -1 : 0;
}

/* Into the place for what was expunged.  1; 0 it is not there; -1. */
static int
put_aside(struct mailbox *m, const struct record *r, const struct mdfile *f,
    bool moved, struct why *why)
{
	struct maildir_view *v = m->md;
	int from = f->in_cur ? v->cur : v->new;
	char *base = span_dup(record_base(m, r));
	struct mdmove *mv;

	if (open_gone(m) == 0 &&
	    fault_renameat(from, f->name, v->gone, base) == 0) {
		mv = new_move(v, MOVED_GONE, from, mem_strdup(f->name),
		    v->gone, base);
		mv->done = true;
		mv->drop = moved || m->a->opt.expunge_delay_s == 0;
		return 1;
	}
	mem_free(base);
	if (errno == ENOENT)
		return 0;
	/* Making room must be possible where there is none. */
	if ((errno == ENOSPC || errno == EDQUOT) &&
	    fault_unlinkat(from, f->name, 0) == 0)
		return 1;
	return fail(m, "cannot remove a message of", why);
}

int
maildir_view_expunge(struct mailbox *m, const struct ranges *uids,
    bool moved, struct why *why)
{
	for (size_t k = 0; k < uids->len; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo);
		    i < record_count(m); i++) {
			const struct record *r = record_at(m, i);
			struct mdfile *f;

			if (r->uid > uids->v[k].hi)
				break;
			if (r->flags & MESSAGE_EXPUNGED ||
			    (f = maildir_file(m, r)) == NULL)
				continue;
			tell_progress(m);
			if (put_aside(m, r, f, moved, why) < 0)
				return -1;
		}
	}
	return 0;
}

/* --- coming ------------------------------------------------------------------------ */

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

/* Others take INTERNALDATE from the file's time. */
static void
set_date(int fd, int64_t date_us)
{
	struct timespec times[2];

	times[0].tv_sec = times[1].tv_sec = (time_t)(date_us / 1000000);
	times[0].tv_nsec = times[1].tv_nsec = (long)(date_us % 1000000 * 1000);
	if (date_us >= 0)
		(void)futimens(fd, times);
}

/* Put the arrival of a file that will be called base, with its flags. */
static void
put_file(struct mailbox *m, struct packed_arrival *a, const char *base,
    int from, char *old, int why)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), name = BUF_INIT(BUF_UNLIMITED);

	a->segment = PACKED_NO_SEGMENT;
	a->offset = 0;
	a->crc = 0;
	a->cache_len = 0;
	a->queue_id = span_of(base);
	if (!(a->how & PACKED_COPIED))
		maildir_guid(a->queue_id, a->guid);
	packed_arrival_encode(&b, a);
	packed_put(m->p, PACKED_ARRIVAL, buf_span(&b));
	maildir_name_with(&name, span_of(base), "", a->flags);
	new_move(m->md, why, from, old, m->md->cur, buf_take(&name));
	buf_fini(&b);
	buf_fini(&name);
}

int
maildir_view_add(struct mailbox *m, struct packed_source *src,
    struct packed_arrival *a, struct why *why)
{
	struct maildir_view *v = m->md;
	char tmp[80], *base;
	int fd;

	snprintf(tmp, sizeof(tmp), "%lld.P%ldN%zu.append",
	    (long long)clock_wall_us(), (long)getpid(), v->moves.len);
	fd = fault_openat(v->tmp, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0 || write_source(fd, src, a, why) < 0) {
		(void)fail(m, "cannot write to", why);
		if (fd >= 0)
			(void)unlinkat(v->tmp, tmp, 0);
		fd_close(&fd);
		return -1;
	}
	set_date(fd, a->date_us);
	account_note_dirty(m->a, fd);
	fd_close(&fd);
	base = a->queue_id.len > 0 ? span_dup(a->queue_id) :
	    new_name(m, a->len, a->size);
	put_file(m, a, base, v->tmp, mem_strdup(tmp), MOVED_FRESH);
	mem_free(base);
	return 0;
}

void
maildir_view_adopt(struct mailbox *m, struct span bytes,
    struct packed_arrival *a)
{
	struct line_count lines = LINE_COUNT_INIT;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	line_count_add(&lines, bytes);
	a->segment = PACKED_NO_SEGMENT;
	a->len = bytes.len;
	a->size = bytes.len + lines.bare;
	a->how |= PACKED_FILE | line_count_how(&lines);
	packed_arrival_encode(&b, a);
	packed_put(m->p, PACKED_ARRIVAL, buf_span(&b));
	buf_fini(&b);
}

int
maildir_view_restore(struct mailbox *m, const struct mailbox *w,
    const struct record *r, struct packed_arrival *a, struct why *why)
{
	struct maildir_view *v = m->md;
	char *old = span_dup(record_base(w, r)), *base;
	struct stat st;

	if (open_gone(m) < 0 || fstatat(v->gone, old, &st,
	    AT_SYMLINK_NOFOLLOW) < 0) {
		mem_free(old);
		return fail(m, "cannot find an expunged message of", why);
	}
	a->len = (uint64_t)st.st_size;
	a->size = r->size;
	a->how = PACKED_FILE | PACKED_COPIED | record_how(r);
	/* A name of its own: the old one's UID is over. */
	base = new_name(m, a->len, r->size != 0 ? r->size : a->len);
	put_file(m, a, base, v->gone, old, MOVED_BACK);
	mem_free(base);
	return 0;
}

int
maildir_view_place(struct mailbox *m, struct why *why)
{
	struct maildir_view *v = m->md;

	for (size_t i = 0; i < v->moves.len; i++) {
		struct mdmove *mv = &v->moves.v[i];

		if (mv->done)
			continue;
		if (fault_renameat(mv->from, mv->old, mv->to, mv->name) < 0)
			return fail(m, "cannot write to", why);
		mv->done = true;
	}
	return 0;
}

/* --- the end ------------------------------------------------------------------------ */

static void
free_moves(struct maildir_view *v)
{
	for (size_t i = 0; i < v->moves.len; i++) {
		mem_free(v->moves.v[i].old);
		mem_free(v->moves.v[i].name);
	}
	v->moves.len = 0;
}

void
maildir_view_done(struct mailbox *m)
{
	struct maildir_view *v = m->md;
	bool aside = false;

	for (size_t i = 0; i < v->moves.len; i++) {
		struct mdmove *mv = &v->moves.v[i];

		if (mv->why == MOVED_FRESH || mv->why == MOVED_BACK)
			set_name(m, mv->name, true);
		aside |= mv->to == v->gone || mv->from == v->gone;
		/* One that is left is removed by a purge. */
		if (mv->drop)
			(void)fault_unlinkat(mv->to, mv->name, 0);
	}
	if (v->moves.len > 0)
		account_note_dirty(m->a, v->cur);
	if (aside)
		account_note_dirty(m->a, v->gone);
	if (v->scanned || v->followed)
		maildir_enter_records(m);
	free_moves(v);
}

void
maildir_view_undo(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	for (size_t i = v->moves.len; i-- > 0;) {
		struct mdmove *mv = &v->moves.v[i];

		if (mv->why == MOVED_FRESH) {
			(void)unlinkat(mv->done ? mv->to : mv->from,
			    mv->done ? mv->name : mv->old, 0);
			continue;
		}
		if (!mv->done)
			continue;
		if (renameat(mv->to, mv->name, mv->from, mv->old) < 0)
			log_warning("%s: cannot take back the change of %s: %s",
			    m->p->path, mv->old, strerror(errno));
		else if (mv->why == MOVED_FLAGS)
			set_name(m, mv->old, mv->from == v->cur);
	}
	if (v->moves.len > 0)
		maildir_view_force(m);
	free_moves(v);
}

/* --- what was expunged --------------------------------------------------------------- */

bool
maildir_is_kept(const struct mailbox *w, const struct record *r)
{
	struct buf path = BUF_INIT(BUF_UNLIMITED);
	struct stat st;
	bool is;

	buf_add_str(&path, MAILDIR_EXPUNGED "/");
	buf_add_span(&path, record_base(w, r));
	is = fstatat(w->p->dirfd, path.data, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode);
	buf_fini(&path);
	return is;
}

uint64_t
maildir_purge(int dir, int64_t before_us)
{
	uint64_t bytes = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd;

	fd = openat(dir, MAILDIR_EXPUNGED, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return 0;
	}
	while ((e = readdir(d)) != NULL) {
		/* Its name was changed last when it came here. */
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) ||
		    (int64_t)st.st_ctim.tv_sec * 1000000 +
		    st.st_ctim.tv_nsec / 1000 >= before_us)
			continue;
		if (fault_unlinkat(fd, e->d_name, 0) == 0)
			bytes += (uint64_t)st.st_size;
	}
	closedir(d);
	return bytes;
}
