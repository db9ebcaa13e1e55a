/* SPDX-License-Identifier: ISC */
/*
 * maildir_sync - what other programs did to a maildir.
 *
 * Three ways lead to it, the cheapest that can be trusted is taken:
 * - A view that has looked once, on a disk of this machine, is told by
 *   inotify which names came and went, and looks at these files only
 *   (maildir_follow.c).
 * - Where cur/ is as old as the journal says that it was when all in it was
 *   known (SCANNED), only new/ is read.
 * - Else all names are read, and compared with the journal.
 *
 * All of it happens under the journal's lock, so programs of ours never
 * interfere; others may at any instruction.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/maildir_view.h"

#define SCANS_MAX	5	/* until the directories hold still */
#define TICK_US		20000	/* more than a tick of the clock of files */
#define WAIT_MIN	20000	/* messages: reading takes longer than a tick */

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Whether what happens now would give the file another time. */
static bool
is_sure(const struct timespec *t)
{
	return clock_wall_us() - ((int64_t)t->tv_sec * 1000000 +
	    t->tv_nsec / 1000) > TICK_US;
}

void
maildir_count_new(struct maildir_view *v, struct mdfile *f, bool is)
{
	v->nnew += (uint32_t)is - (uint32_t)f->counted;
	f->counted = is;
}

/* Where nothing stands before the flags there is no name to know a file by. */
bool
maildir_is_message(const char *name)
{
	return name[0] != '.' && name[0] != ':';
}

/* --- reading the directories -------------------------------------------------------- */

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

		if (!maildir_is_message(e->d_name))
			continue;
		he = hash_enter(&v->files, maildir_base(e->d_name), &made);
		if (made)
			he->value = mem_zalloc(sizeof(*f));
		f = he->value;
		/* In both: being moved by somebody right now. */
		if (f->seen && f->in_cur && !cur)
			continue;
		if (!cur)
			maildir_count_new(v, f, true);
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

void
maildir_enter_records(struct mailbox *m)
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
	f->seen = f->counted = false;
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
		v->nnew = 0;
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
	bool sure = *still && is_sure(&c2.st_mtim) && is_sure(&n2.st_mtim);
	v->cur_at = sure ? c2.st_mtim : (struct timespec){ 0, 0 };
	v->new_at = sure ? n2.st_mtim : (struct timespec){ 0, 0 };
	v->scanned = *still;
	return 0;
}

/*
 * cur/ is as it was: only new/ is read, and its files get their records.  1;
 * 0: not all that were in it before are there still, so all has to be read.
 */
static int
scan_new(struct mailbox *m, struct why *why)
{
	struct maildir_view *v = m->md;
	uint32_t known = 0;
	bool all = true;
	struct stat st;

	v->nnew = 0;
	hash_each(&v->files, clear_seen, NULL);
	if (fstat(v->new, &st) < 0 || scan_dir(m, v->new, false) < 0) {
		(void)store_fail(why, "cannot read", m->p->path);
		return account_io(m->a, why);
	}
	for (uint32_t i = v->nnew > 0 ? 0 : record_find(m, v->was_next);
	    i < record_count(m); i++) {
		const struct record *r = record_at(m, i);
		struct mdfile *f;

		if (r->flags & MESSAGE_EXPUNGED)
			continue;
		if ((f = hash_get(&v->files, record_base(m, r))) == NULL ||
		    !f->seen) {
			all = all && r->uid < v->was_next;
			continue;
		}
		f->known = true;
		f->rec = i;
		known += r->uid < v->was_next;
	}
	v->new_at = is_sure(&st.st_mtim) ? st.st_mtim :
	    (struct timespec){ 0, 0 };
	return all && known == v->was_new;
}

/* What is known now is what the next look is compared with. */
static void
note_known(struct mailbox *m)
{
	struct maildir_view *v = m->md;
	uint32_t n = record_count(m);

	v->was_new = v->nnew;
	v->was_next = n > 0 ? record_at(m, n - 1)->uid + 1 : 1;
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
		if (f->name != NULL)
			*ARRAY_PUSH(&d->fresh) = f;
	} else if (f->name != NULL &&
	    (maildir_flags(f->name) ^ r->flags) & RECORD_STORED) {
		/* Somebody renamed it: one record each, it is rare. */
		uint8_t le[16];

		num_put_le32(le, maildir_flags(f->name));
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

/* A new file gets a UID. */
static void
put_arrival(struct mailbox *m, struct mdfile *f, uint32_t uid)
{
	struct maildir_view *v = m->md;
	struct packed_arrival a = {
		.uid = uid, .flags = maildir_flags(f->name),
		.segment = PACKED_NO_SEGMENT, .how = PACKED_FILE,
		.save_us = clock_wall_us(), .queue_id = maildir_base(f->name),
	};
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct content_hold *h = NULL;
	struct span bytes = SPAN_EMPTY;
	struct line_count lines = LINE_COUNT_INIT;
	struct stat st;
	int fd = maildir_read_file(v, f, &st);

	maildir_guid(maildir_base(f->name), a.guid);
	if (fd >= 0) {
		a.len = (uint64_t)st.st_size;
		a.date_us = (int64_t)st.st_mtim.tv_sec * 1000000 +
		    st.st_mtim.tv_nsec / 1000;
		a.zone_min = clock_zone_min((int64_t)st.st_mtim.tv_sec);
		h = maildir_hold_file(fd, (size_t)st.st_size, &bytes);
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

static int
write_difference(struct mailbox *m, bool still, bool only_touched,
    struct why *why)
{
	struct maildir_view *v = m->md;
	struct difference d = { .m = m };
	uint32_t uid;
	int rc = -1;

	/* What no event speaks of is as it was. */
	for (size_t i = 0; only_touched && i < v->touched.len; i++)
		compare(v->touched.v[i], &d);
	if (!only_touched)
		hash_each(&v->files, compare, &d);
	maildir_forget_touched(v);
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
	if (v->scanned || v->followed)
		maildir_enter_records(m);
	for (size_t i = 0; rc == 0 && still && i < d.gone.len; i++)
		maildir_file_free(hash_del(&v->files, d.gone.v[i]->key));
out:
	ARRAY_FINI(&d.fresh);
	ARRAY_FINI(&d.gone);
	ranges_fini(&d.lost);
	return rc;
}

/* Out of new/, for whoever opens the mailbox to read it. */
static void
take_new(struct hash_entry *e, void *arg)
{
	struct mailbox *m = arg;
	struct maildir_view *v = m->md;
	struct mdfile *f = e->value;
	struct buf to = BUF_INIT(BUF_UNLIMITED);

	if (!f->seen || f->in_cur || f->name == NULL)
		return;
	maildir_name_with(&to, maildir_base(f->name), f->name,
	    maildir_flags(f->name));
	if (fault_renameat(v->new, f->name, v->cur, to.data) == 0) {
		f->in_cur = true;
		mem_free(f->name);
		f->name = buf_take(&to);
		maildir_count_new(v, f, false);
		/* Their times are another's now. */
		v->cur_at = v->new_at = (struct timespec){ 0, 0 };
	}
	buf_fini(&to);
}

/* --- looking ----------------------------------------------------------------------- */

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
	if (v->force)
		return false;
	if (v->followed)
		return !maildir_has_events(v);
	return same_time(&c.st_mtim, &v->cur_at) &&
	    same_time(&n.st_mtim, &v->new_at);
}

/* All is known by the directories' times: what comes will be told. */
static void
begin_to_follow(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	if (v->followed)
		return;
	maildir_follow(m);
	v->followed = v->events >= 0 && is_current(m);
}

enum looked { LOOK_FAILED = -1, LOOK_MOVING, LOOK_ALL, LOOK_EVENTS };

/* Read as much as is needed; MOVING: others did not hold still. */
static enum looked
look(struct mailbox *m, struct why *why)
{
	struct maildir_view *v = m->md;
	struct stat c;
	bool still;
	int rc;

	if (v->followed && !v->force && maildir_take_events(m) == 1)
		return LOOK_EVENTS;
	maildir_follow(m);
	if (!v->followed && !v->force && !v->scanned &&
	    v->cur_at.tv_sec != 0 && fstat(v->cur, &c) == 0 &&
	    same_time(&c.st_mtim, &v->cur_at)) {
		if ((rc = scan_new(m, why)) != 0)
			return rc < 0 ? LOOK_FAILED : LOOK_ALL;
	}
	maildir_enter_records(m);
	/* What is told from here on is looked at again. */
	if (v->events >= 0 && !maildir_drain(m))
		maildir_events_close(v);
	maildir_forget_touched(v);
	if (scan(m, &still, why) < 0)
		return LOOK_FAILED;
	return still ? LOOK_ALL : LOOK_MOVING;
}

int
maildir_view_sync_locked(struct mailbox *m, struct why *why)
{
	struct maildir_view *v = m->md;
	enum looked how;

	if (is_current(m)) {
		begin_to_follow(m);
		return 0;
	}
	if ((how = look(m, why)) == LOOK_FAILED ||
	    write_difference(m, how != LOOK_MOVING, how == LOOK_EVENTS,
	    why) < 0) {
		/* The journal does not know what we have seen. */
		v->force = true;
		return -1;
	}
	v->force = false;
	v->followed = how != LOOK_MOVING && v->events >= 0;
	if (v->nnew > 0 && m->flags & MAILBOX_RECENT &&
	    !(m->flags & MAILBOX_READONLY))
		hash_each(&v->files, take_new, m);
	note_known(m);
	return 0;
}

/* No room for the journal. */
static bool
is_full(const struct why *why)
{
	return span_is(span_of(why->code), "4.3.1") ||
	    span_is(span_of(why->code), "4.2.2");
}

int
maildir_view_sync(struct mailbox *m, struct why *why)
{
	struct why w = WHY_INIT;

	if (is_current(m))
		return 0;
	/* In the middle of a change: what it has put is written first. */
	if (m->p->locked)
		return m->p->out.len > 0 ? 0 : maildir_view_sync_locked(m, why);
	/* Taking the lock does it. */
	if (mailbox_lock(m, &w) < 0) {
		if (m->gone)
			return 0;
		if (!is_full(&w)) {
			*why = w;
			return -1;
		}
		/* What is in the journal can be read all the same. */
		log_warning("%s: cannot take in what is new: %s", m->p->path,
		    w.text);
		return 0;
	}
	mailbox_unlock(m);
	return 0;
}

void
maildir_view_force(struct mailbox *m)
{
	m->md->force = true;
}

static void
forget_record(struct hash_entry *e, void *arg)
{
	struct mdfile *f = e->value;

	(void)arg;
	f->known = false;
}

void
maildir_view_reloaded(struct mailbox *m)
{
	hash_each(&m->md->files, forget_record, NULL);
	m->md->nnamed = 0;
	m->md->force = true;
}

int
maildir_view_prepare(struct mailbox *m, const struct ranges *uids,
    struct why *why)
{
	struct maildir_view *v = m->md;

	for (size_t k = 0; k < uids->len && !v->scanned; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo);
		    i < record_count(m) && !v->scanned; i++) {
			const struct record *r = record_at(m, i);
			struct mdfile *f;

			if (r->uid > uids->v[k].hi)
				break;
			if (r->flags & MESSAGE_EXPUNGED)
				continue;
			f = maildir_file(m, r);
			if (f != NULL && maildir_is_there(v, f))
				continue;
			v->force = true;
			return maildir_view_sync_locked(m, why);
		}
	}
	return 0;
}

/* --- for the next one ---------------------------------------------------------------- */

/*
 * A hint, so nobody waits for the lock; only for the clock, where the next one
 * would need longer for reading all names.
 */
void
maildir_note_scanned(struct mailbox *m)
{
	struct maildir_view *v = m->md;
	struct timespec tick = { 0, TICK_US * 1000 + 1000000 };
	struct stat c, n;
	uint8_t le[32] = { 0 };

	if (m->gone || m->p == NULL || !m->p->writable ||
	    record_count(m) < MAILDIR_FOLLOW_MIN || v->cur < 0 || v->new < 0 ||
	    fstat(v->cur, &c) < 0 || fstat(v->new, &n) < 0 ||
	    (m->scanned.at >= m->index_tail && m->scanned.nnew == v->was_new &&
	    m->scanned.uidnext == v->was_next &&
	    same_time(&c.st_mtim, &m->scanned.cur) &&
	    same_time(&n.st_mtim, &m->scanned.new)))
		return;
	if (!v->followed && !(same_time(&c.st_mtim, &v->cur_at) &&
	    same_time(&n.st_mtim, &v->new_at)))
		return;
	if (!is_sure(&c.st_mtim) || !is_sure(&n.st_mtim)) {
		if (record_count(m) < WAIT_MIN)
			return;
		(void)nanosleep(&tick, NULL);
	}
	if (flock(m->p->jfd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (mailbox_lock_journal(m, NULL) < 0) {
		(void)flock(m->p->jfd, LOCK_UN);
		return;
	}
	/* Our own changes are among what is told. */
	if (maildir_view_sync_locked(m, NULL) == 0 &&
	    fstat(v->cur, &c) == 0 && fstat(v->new, &n) == 0 &&
	    is_sure(&c.st_mtim) && is_sure(&n.st_mtim)) {
		if (v->followed) {
			maildir_barrier(v->cur);
			maildir_barrier(v->new);
		}
		if (is_current(m)) {
			num_put_le64(le, (uint64_t)c.st_mtim.tv_sec);
			num_put_le32(le + 8, (uint32_t)c.st_mtim.tv_nsec);
			num_put_le32(le + 12, v->was_new);
			num_put_le64(le + 16, (uint64_t)n.st_mtim.tv_sec);
			num_put_le32(le + 24, (uint32_t)n.st_mtim.tv_nsec);
			num_put_le32(le + 28, v->was_next);
			packed_put(m->p, PACKED_SCANNED,
			    span_make(le, sizeof(le)));
			(void)mailbox_flush(m, NULL);
		}
	}
	mailbox_unlock(m);
}
