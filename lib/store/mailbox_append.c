/* SPDX-License-Identifier: ISC */
/*
 * mailbox_append - APPEND in pieces, and the part that COPY shares with it.
 *
 * A message waits in memory, or, when it is larger than APPEND_MEMORY, in a
 * file without a name, until commit; only then the lock is taken, and all
 * messages are written with one set of records.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/mailbox_internal.h"

#define APPEND_MEMORY	(1u << 20)	/* bytes */
#define AHEAD		(512u << 10)	/* bytes written before the disk is
					 * told to begin with them */

struct pending {
	uint32_t	 flags;
	int64_t		 date_us;
	int		 zone_min;
	ARRAY(char *)	 keywords;
	struct buf	 bytes;
	int		 fd;		/* when it is large; else -1 */
	uint64_t	 len;
};

struct append {
	struct account	*a;
	uint32_t	 box;
	unsigned	 rights;
	ARRAY(struct pending) messages;
	struct mailbox	*replaces;
	uint32_t	 replaces_uid;
	uint64_t	 frees;		/* bytes, of the same account's quota */
	struct ranges	 uids;
};

/* --- the target ------------------------------------------------------------------- */

int
target_lock(struct target *t, struct account *a, uint32_t box, bool words,
    struct mailbox *view, struct why *why)
{
	*t = (struct target){ .a = a, .box = box };
	if (view != NULL && view->a == a && view->box == box) {
		t->view = view;
	} else if (words || a->format == STORE_MAILDIR) {
		/* Keywords have numbers there: it takes the whole state. */
		if (a->target != NULL && (a->target->box != box ||
		    a->target->gone))
			mailbox_close(&a->target);
		if (a->target == NULL) {
			a->target = mailbox_open_inside(a, box, 0, why);
			if (a->target == NULL)
				return -1;
		}
		t->view = a->target;
	}
	if (t->view != NULL) {
		if (mailbox_lock_journal(t->view, why) < 0)
			return -1;
		t->p = t->view->p;
	} else if ((t->p = account_writer(a, box, why)) == NULL) {
		return -1;
	}
	if (t->p->head.state.deleted) {
		target_unlock(t);
		return account_say(a, ACCOUNT_NONEXISTENT, why,
		    "the mailbox was deleted");
	}
	t->segment = t->p->head.state.segment;
	t->tail = t->p->head.state.segment_tail;
	return 0;
}

void
target_undo(struct target *t)
{
	struct packed_state *st = &t->p->head.state;

	packed_drop(t->p);
	if (t->view != NULL && t->view->md != NULL) {
		maildir_view_undo(t->view);
		return;
	}
	st->segment_tail = st->segment == t->segment ? t->tail :
	    SEGMENT_CLOSED;
	packed_segment_undo(t->p);
}

void
target_unlock(struct target *t)
{
	if (t->view != NULL)
		mailbox_unlock(t->view);
	else if (t->p != NULL)
		packed_unlock(t->p);
	t->p = NULL;
}

/*
 * Many messages that come one after the other are synced once: what there is
 * goes to the disk while the next ones are taken, and the sync waits less.
 * It still is the sync that says whether all of it is there.
 */
static void
write_ahead(struct target *t)
{
	uint64_t tail = t->p->head.state.segment_tail;

	if (t->p->segfd < 0 || t->p->segno != t->segment || tail < t->tail)
		return;
	t->a->ahead += tail - t->tail;
	if (t->a->ahead < AHEAD)
		return;
	t->a->ahead = 0;
	(void)sync_file_range(t->p->segfd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int
target_flush(struct target *t, struct why *why)
{
	bool maildir = t->view != NULL && t->view->md != NULL;

	if ((maildir && maildir_view_place(t->view, why) < 0) ||
	    packed_flush(t->p, why) < 0) {
		target_undo(t);
		return account_io(t->a, why);
	}
	if (t->view != NULL) {
		t->view->kw_mark = t->view->keywords.len;
		t->view->set_mark = t->view->kwsets.len;
	}
	account_wrote(t->a, t->p);
	if (maildir)
		maildir_view_done(t->view);
	else
		write_ahead(t);
	return 0;
}

uint32_t
target_kwset(struct target *t, const struct span *names, size_t n,
    struct why *why, bool *failed)
{
	ARRAY(uint32_t) v = ARRAY_EMPTY;
	uint32_t set = 0;

	*failed = false;
	if (t->view == NULL || n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		int64_t k = mailbox_keyword_number(t->view, names[i], why);
		size_t at = 0;

		if (k < 0) {
			*failed = true;
			break;
		}
		while (at < v.len && v.v[at] < (uint32_t)k)
			at++;
		if (at < v.len && v.v[at] == (uint32_t)k)
			continue;
		(void)ARRAY_PUSH(&v);
		memmove(&v.v[at + 1], &v.v[at],
		    (v.len - 1 - at) * sizeof(v.v[0]));
		v.v[at] = (uint32_t)k;
	}
	if (!*failed)
		set = mailbox_kwset_number(t->view, v.v, (uint32_t)v.len);
	ARRAY_FINI(&v);
	return set;
}

/* Which flags may be set by who inserts. */
uint32_t
target_flags(unsigned rights, uint32_t flags)
{
	if (!(rights & RIGHT_SEEN))
		flags &= ~(uint32_t)STORE_SEEN;
	if (!(rights & RIGHT_DELETE))
		flags &= ~(uint32_t)STORE_DELETED;
	if (!(rights & RIGHT_WRITE))
		flags &= STORE_SEEN | STORE_DELETED;
	return flags & RECORD_STORED;
}

int
target_write(struct target *t, struct packed_source *src,
    struct packed_arrival *arrival, struct why *why)
{
	struct packed *p = t->p;
	struct packed_state *st = &p->head.state;
	struct packed_message pm = {
		.box = p->head.box, .uidvalidity = p->head.uidvalidity,
		.uid = arrival->uid, .date_us = arrival->date_us,
	};
	struct buf b = BUF_INIT(BUF_UNLIMITED), bytes = b;
	struct line_count lines, were;
	uint64_t len = src->head.len + (src->content != NULL ?
	    src->content->len : 0), need;
	bool small;
	int rc = -1;

	if (t->view != NULL && t->view->md != NULL)
		return maildir_view_add(t->view, src, arrival, why);
	small = packed_compress(src, t->a->opt.compression, &bytes, &were,
	    &len);
	need = packed_need(small ? src->head.len : len, src->cache.len);
	if (packed_segment_choose(p, need, why) < 0) {
		buf_fini(&bytes);
		return account_io(t->a, why);
	}
	memcpy(pm.guid, arrival->guid, sizeof(pm.guid));
	pm.zstd = small;
	if (packed_segment_write(p, src, &pm, st->segment_tail,
	    &lines, why) < 0) {
		rc = account_io(t->a, why);
	} else {
		arrival->segment = st->segment;
		arrival->offset = st->segment_tail;
		arrival->len = pm.len;
		arrival->size = len + (small ? were : lines).bare;
		arrival->how |= line_count_how(small ? &were : &lines) |
		    (small ? PACKED_ZSTD : 0);
		arrival->crc = pm.crc;
		arrival->cache_len = (uint32_t)src->cache.len;
		st->segment_tail += need;
		packed_arrival_encode(&b, arrival);
		packed_put(p, PACKED_ARRIVAL, buf_span(&b));
		rc = 0;
	}
	buf_fini(&b);
	buf_fini(&bytes);
	return rc;
}

/* --- APPEND -------------------------------------------------------------------------- */

/* RFC 8508 3.4: "only the net quota consumption is considered". */
static int
has_room(struct append *ap, uint64_t bytes, uint64_t messages,
    struct why *why)
{
	if (ap->replaces != NULL && ap->replaces->a == ap->a) {
		bytes = bytes > ap->frees ? bytes - ap->frees : 0;
		messages = messages > 1 ? messages - 1 : 0;
		if (bytes == 0 && messages == 0)
			return 0;
	}
	return account_quota_check(ap->a, ap->box, bytes, messages, why);
}

/* RFC 8508 4.1: the rights of UID STORE and UID EXPUNGE, before anything is
 * put anywhere. */
static int
may_replace(struct mailbox *m, struct why *why)
{
	if (m->flags & MAILBOX_READONLY)
		return account_say(m->a, ACCOUNT_NOPERM, why, "the mailbox is "
		    "read-only");
	return account_need(m->a, m->box, RIGHT_DELETE | RIGHT_EXPUNGE, why);
}

struct append *
append_begin(struct account *a, uint32_t box, struct mailbox *m, uint32_t uid,
    struct why *why)
{
	struct mailbox_message old = { 0 };
	const struct acct_box *b;
	struct append *ap;

	a = account_at(a, &box);
	if (account_refresh(a, why) < 0)
		return NULL;
	b = account_box_by_id(a, box);
	if (b == NULL || b->gone || b->flags & BOX_NOSELECT) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
		return NULL;
	}
	if (account_need(a, box, RIGHT_INSERT, why) < 0 ||
	    (m != NULL && may_replace(m, why) < 0))
		return NULL;
	ap = mem_zalloc(sizeof(*ap));
	ap->a = a;
	ap->box = box;
	ap->rights = account_rights(a, box);
	ap->replaces = m;
	ap->replaces_uid = uid;
	if (m != NULL && mailbox_message(m, mailbox_seq(m, uid), &old))
		ap->frees = old.size;
	if (has_room(ap, 1, 1, why) < 0)
		append_free(&ap);
	return ap;
}

int
append_next(struct append *ap, const struct append_info *i, struct why *why)
{
	struct pending *p;
	uint64_t total = i->size;

	for (size_t k = 0; k < ap->messages.len; k++)
		total = num_add_sat(total, ap->messages.v[k].len);
	if (has_room(ap, total, ap->messages.len + 1, why) < 0)
		return -1;
	p = ARRAY_PUSH(&ap->messages);
	p->flags = target_flags(ap->rights, i->flags);
	p->date_us = i->date_us;
	p->zone_min = i->zone_min;
	if (p->date_us == 0) {
		p->date_us = clock_wall_us();
		p->zone_min = clock_zone_min(p->date_us / 1000000);
	}
	p->fd = -1;
	p->bytes = BUF_INIT(BUF_UNLIMITED);
	for (size_t k = 0; k < i->nkeywords && ap->rights & RIGHT_WRITE; k++)
		*ARRAY_PUSH(&p->keywords) = span_dup(i->keywords[k]);
	return 0;
}

/* Where the file system has no files without names, one is made and its name
 * removed at once. */
static int
open_nameless(struct account *a)
{
	char name[64];
	int fd;

	fd = fault_openat(a->dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	snprintf(name, sizeof(name), "append.%ld.tmp", (long)getpid());
	fd = fault_openat(a->dirfd, name, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(a->dirfd, name, 0);
	return fd;
}

int
append_data(struct append *ap, struct span s, struct why *why)
{
	struct pending *p = &ap->messages.v[ap->messages.len - 1];

	if (p->fd < 0 && p->bytes.len + s.len <= APPEND_MEMORY) {
		buf_add_span(&p->bytes, s);
		p->len += s.len;
		return 0;
	}
	if (p->fd < 0) {
		if ((p->fd = open_nameless(ap->a)) < 0 ||
		    fd_pwrite_all(p->fd, p->bytes.data, p->bytes.len, 0) < 0) {
			(void)store_fail(why, "cannot write to", ap->a->path);
			return account_io(ap->a, why);
		}
		buf_fini(&p->bytes);
		p->bytes = BUF_INIT(BUF_UNLIMITED);
	}
	if (fd_pwrite_all(p->fd, s.p, s.len, (off_t)p->len) < 0) {
		(void)store_fail(why, "cannot write to", ap->a->path);
		return account_io(ap->a, why);
	}
	p->len += s.len;
	return 0;
}

int
append_again(struct append *ap,
    int (*fn)(void *arg, struct span bytes, struct why *why), void *arg,
    struct why *why)
{
	struct pending *p = &ap->messages.v[ap->messages.len - 1];
	struct buf bytes = p->bytes;
	uint64_t len = p->len;
	int fd = p->fd, rc;
	void *map;

	p->bytes = BUF_INIT(BUF_UNLIMITED);
	p->fd = -1;
	p->len = 0;
	if (fd < 0) {
		rc = fn(arg, buf_span(&bytes), why);
	} else if ((map = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, fd,
	    0)) == MAP_FAILED) {
		(void)store_fail(why, "cannot read", ap->a->path);
		rc = account_io(ap->a, why);
	} else {
		rc = fn(arg, span_make(map, (size_t)len), why);
		(void)munmap(map, (size_t)len);
	}
	buf_fini(&bytes);
	fd_close(&fd);
	return rc;
}

static int
write_one(struct target *t, struct pending *p, uint32_t uid, struct why *why)
{
	struct buf cache = BUF_INIT(BUF_UNLIMITED);
	struct line_count lines;
	struct store_content content;
	struct packed_source src = { .head = SPAN_EMPTY };
	struct packed_arrival arrival = {
		.uid = uid, .flags = p->flags,
		.date_us = p->date_us, .zone_min = p->zone_min,
		.save_us = clock_wall_us(),
	};
	bool failed;
	int rc = -1;
	struct span *names = mem_alloc_array(p->keywords.len + 1,
	    sizeof(*names));

	for (size_t i = 0; i < p->keywords.len; i++)
		names[i] = span_of(p->keywords.v[i]);
	arrival.kwset = target_kwset(t, names, p->keywords.len, why, &failed);
	mem_free(names);
	if (failed)
		return -1;
	packed_new_guid(arrival.guid);
	if (p->fd >= 0) {
		store_content_init(&content, p->fd, 0, p->len);
		src.content = &content;
	} else {
		src.head = buf_span(&p->bytes);
		message_make_cache(src.head, &cache, &lines);
		src.cache = buf_span(&cache);
		src.lines = &lines;
	}
	rc = target_write(t, &src, &arrival, why);
	if (p->fd >= 0)
		store_content_fini(&content);
	buf_fini(&cache);
	return rc;
}

static int
commit(struct append *ap, struct target *t, struct uid_result *out,
    struct why *why)
{
	uint32_t n = (uint32_t)ap->messages.len, uid;

	if (packed_reserve(t->p, n, why) < 0)
		return account_io(ap->a, why);
	uid = t->p->head.state.uidnext;
	for (uint32_t i = 0; i < n; i++) {
		if (write_one(t, &ap->messages.v[i], uid + i, why) < 0) {
			target_undo(t);
			return -1;
		}
	}
	if (target_flush(t, why) < 0)
		return -1;
	ranges_reset(&ap->uids);
	if (n > 0)
		ranges_add(&ap->uids, uid, uid + n - 1);
	out->uidvalidity = t->p->head.uidvalidity;
	out->to = &ap->uids;
	return 0;
}

int
append_commit(struct append *ap, struct uid_result *out, struct why *why)
{
	struct ranges one = RANGES_INIT;
	struct target t;
	uint64_t total = 0;
	bool words = false;
	int rc;

	*out = (struct uid_result){ .to = &ap->uids };
	for (size_t i = 0; i < ap->messages.len; i++) {
		words |= ap->messages.v[i].keywords.len > 0;
		total = num_add_sat(total, ap->messages.v[i].len);
	}
	if (has_room(ap, total, ap->messages.len, why) < 0)
		return -1;
	if (target_lock(&t, ap->a, ap->box, words, NULL, why) < 0)
		return -1;
	rc = commit(ap, &t, out, why);
	target_unlock(&t);
	if (rc == 0 && ap->replaces != NULL) {
		ranges_add(&one, ap->replaces_uid, ap->replaces_uid);
		rc = mailbox_expunge(ap->replaces, &one, true, &out->expunged,
		    why);
		ranges_fini(&one);
	}
	return rc;
}

void
append_free(struct append **app)
{
	struct append *ap = *app;

	if (ap == NULL)
		return;
	*app = NULL;
	for (size_t i = 0; i < ap->messages.len; i++) {
		struct pending *p = &ap->messages.v[i];

		for (size_t k = 0; k < p->keywords.len; k++)
			mem_free(p->keywords.v[k]);
		ARRAY_FINI(&p->keywords);
		buf_fini(&p->bytes);
		fd_close(&p->fd);
	}
	ARRAY_FINI(&ap->messages);
	ranges_fini(&ap->uids);
	mem_free(ap);
}
