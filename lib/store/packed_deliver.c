/* SPDX-License-Identifier: ISC */
/*
 * packed_deliver - putting a queued message into a packed mailbox.
 *
 * A hot delivery is a pwritev of the message, a pwrite of its record and the
 * lock; several in a row to the same mailbox share the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/packed_file.h"
#include "store/store_internal.h"

struct place {				/* where a delivery's bytes lie */
	uint32_t	segment, uid, crc;
	uint64_t	offset, len;
	int64_t		date_us;
	uint8_t		guid[16];
	bool		zstd;
};

void
packed_index_add(struct packed *p, const struct packed_arrival *a)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct place *pl = mem_alloc(sizeof(*pl));

	*pl = (struct place){ a->segment, a->uid, a->crc, a->offset, a->len,
	    a->date_us, { 0 }, a->how & PACKED_ZSTD };
	memcpy(pl->guid, a->guid, sizeof(pl->guid));
	buf_add_span(&key, a->queue_id);
	buf_add_char(&key, '\0');
	buf_add_span(&key, a->rcpt);
	mem_free(hash_put(&p->index, buf_span(&key), pl));
	buf_fini(&key);
}

static bool
index_record(void *arg, const struct packed_record *r)
{
	struct packed *p = arg;
	struct packed_arrival a;

	/* Those with ids and the bytes in another place were delivered here,
	 * too: a purge or an import gave them that. */
	if (r->type == PACKED_ARRIVAL &&
	    packed_arrival_decode(&a, r->payload) == 0 &&
	    a.queue_id.len > 0 && !(a.how & PACKED_FILE))
		packed_index_add(p, &a);
	p->moved |= r->type == PACKED_MOVED;
	return true;
}

static int
build_index(struct packed *p, struct why *why)
{
	if (p->have_index)
		return 0;
	p->have_index = true;
	if (packed_scan_file(p->jfd, PACKED_START, p->head.state.tail, NULL,
	    index_record, p) < 0) {
		p->have_index = false;
		hash_fini(&p->index, mem_free);
		return store_fail(why, "cannot read", p->path);
	}
	return 0;
}

static bool
moved_record(void *arg, const struct packed_record *r)
{
	struct place *pl = arg;

	for (struct span in = r->type == PACKED_MOVED ? r->payload :
	    SPAN_EMPTY; in.len >= 16; in = span_from(in, 16)) {
		if (num_get_le32(in.p) != pl->uid)
			continue;
		pl->segment = num_get_le32(in.p + 4);
		pl->offset = num_get_le64(in.p + 8);
	}
	return true;
}

/* Whether the bytes are in their place: 1, 0, -1 with errno; 2: but without the
 * header, which is needed only to rebuild the journal. */
static int
check_place(struct packed *p, const struct place *pl)
{
	uint8_t h[PACKED_MESSAGE_HEADER];
	struct packed_message pm;
	int rc;

	if (packed_segment_open(p, pl->segment) < 0)
		return errno == ENOENT ? 0 : -1;
	rc = packed_check_bytes(p->segfd, pl->offset + sizeof(h), pl->len,
	    pl->crc);
	if (rc == 1 && (fd_pread_all(p->segfd, h, sizeof(h),
	    (off_t)pl->offset) < 0 || packed_message_decode(&pm,
	    span_make(h, sizeof(h))) < 0 || pm.crc != pl->crc))
		rc = 2;
	return rc;
}

/*
 * Is this delivery in the journal?  1: yes, and its bytes are right, or have
 * been made right; 0: no; -1 why.
 */
static int
look_for(struct store *s, struct packed *p, const struct store_message *m,
    struct why *why)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct place *pl;
	struct packed_message pm;
	struct packed_source src = { .head = m->head, .content = m->content };
	struct line_count lines;
	char name[PACKED_NAME_MAX];
	uint64_t whole;
	bool zstd;
	int rc;

	if (build_index(p, why) < 0)
		return -1;
	buf_add_span(&key, span_sub(m->queue_id, 0, PACKED_ID_MAX));
	buf_add_char(&key, '\0');
	buf_add_span(&key, span_sub(m->rcpt, 0, PACKED_ID_MAX));
	pl = hash_get(&p->index, buf_span(&key));
	buf_fini(&key);
	if (pl == NULL)
		return 0;
	rc = check_place(p, pl);
	if (rc == 0 && p->moved) {
		/* A purge may have given them another place. */
		rc = packed_scan_file(p->jfd, PACKED_START,
		    p->head.state.tail, NULL, moved_record, pl) < 0 ? -1 :
		    check_place(p, pl);
	}
	if (rc < 0)
		return store_fail(why, "cannot read", p->path);
	if (rc == 1)
		return 1;
	zstd = pl->zstd && packed_compress(&src, s->opt.compression,
	    &s->small, &lines, &whole);
	if (pl->zstd != zstd || pl->len != (zstd ? src.head.len :
	    m->head.len + m->content->len))
		return rc == 2;	/* else it is damaged: deliver it anew */
	log_warning("%.*s: %s: writing message %u again: its bytes were lost",
	    SPAN_ARG(m->queue_id), p->path, (unsigned)pl->uid);
	if (p->segfd < 0) {
		/* Its directory entry was lost; the number is ours still. */
		packed_segment_name(pl->segment, name);
		p->segfd = fault_openat(p->dirfd, name, O_RDWR | O_CREAT |
		    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (p->segfd < 0)
			return store_fail(why, "cannot make a segment of",
			    p->path);
		p->segno = pl->segment;
		p->ddirty = true;
	}
	pm = (struct packed_message){
		.box = p->head.box, .uidvalidity = p->head.uidvalidity,
		.uid = pl->uid, .date_us = pl->date_us, .zstd = zstd,
	};
	memcpy(pm.guid, pl->guid, sizeof(pm.guid));
	/* A cache record behind it was lost, too; readers make another. */
	if (packed_segment_write(p, &src, &pm, pl->offset, &lines, why) < 0)
		return -1;
	/* Same length, other bytes: the record would not match. */
	return pm.crc == pl->crc;
}

static void
lock_wait(void *arg, int64_t ms)
{
	struct store *s = arg;

	/* The first tries are short. */
	if (ms > 1)
		store_slow(s);
	store_wait(s, ms);
}

/*
 * What readers want to know of the message, while it is at hand.  Not of one
 * that is larger than the piece we hold: the first reader makes it.
 */
static void
make_cache(struct store *s, const struct store_message *m,
    struct packed_source *src, struct line_count *lines)
{
	struct span piece, whole;

	if (!s->opt.parse || store_content_read(m->content, 0, &piece,
	    NULL) < 0 || !store_content_whole(m->content, m->head, &whole))
		return;
	buf_reset(&s->cache);
	message_make_cache(whole, &s->cache, lines);
	src->cache = buf_span(&s->cache);
	src->lines = lines;
}

int
packed_deliver(struct store *s, struct handle *h,
    const struct store_message *m, struct why *why)
{
	struct packed *p = h->pk;
	struct packed_state *st = &p->head.state;
	struct packed_source src = { .head = m->head, .content = m->content };
	struct buf *b = &s->scratch;
	struct packed_message pm;
	struct packed_arrival a;
	struct line_count lines, counted, were;
	uint64_t need, whole;
	bool small;
	int rc;

	if (!p->locked) {
		p->wait = lock_wait;
		p->wait_arg = s;
		if ((rc = packed_lock(p, why)) < 0)
			return rc;
		s->locked = h;
		s->stale = s->opt.stale != NULL && s->opt.stale(s->opt.arg);
	}
	/* Its folder was deleted: find out where it goes now. */
	if (st->deleted)
		return PACKED_GONE;
	if ((m->again || s->stale) && (rc = look_for(s, p, m, why)) != 0)
		return rc;
	if (deliver_quota(s, h, m->head.len + m->content->len, why) < 0 ||
	    packed_reserve(p, 1, why) < 0)
		return -1;
	store_content_align(m->content, st->segment_tail +
	    PACKED_MESSAGE_HEADER + m->head.len);
	make_cache(s, m, &src, &counted);
	small = packed_compress(&src, s->opt.compression, &s->small, &were,
	    &whole);
	need = packed_need(small ? src.head.len : m->head.len +
	    m->content->len, src.cache.len);
	if (packed_segment_choose(p, need, why) < 0)
		return -1;
	pm = (struct packed_message){
		.box = p->head.box, .uidvalidity = p->head.uidvalidity,
		.uid = st->uidnext, .date_us = clock_wall_us(),
		.zstd = small,
	};
	packed_new_guid(pm.guid);
	if (packed_segment_write(p, &src, &pm, st->segment_tail, &lines,
	    why) < 0)
		goto undo_segment;
	if (small)
		lines = were;
	else
		whole = pm.len;
	a = (struct packed_arrival){
		.uid = pm.uid, .segment = st->segment, .crc = pm.crc,
		.offset = st->segment_tail, .len = pm.len,
		.date_us = pm.date_us,
		.zone_min = clock_zone_min(pm.date_us / 1000000),
		.size = whole + lines.bare, .how = line_count_how(&lines) |
		    (small ? PACKED_ZSTD : 0),
		.cache_len = (uint32_t)src.cache.len,
		.queue_id = span_sub(m->queue_id, 0, PACKED_ID_MAX),
		.rcpt = span_sub(m->rcpt, 0, PACKED_ID_MAX),
	};
	memcpy(a.guid, pm.guid, sizeof(a.guid));
	buf_reset(b);
	packed_arrival_encode(b, &a);
	packed_put(p, PACKED_ARRIVAL, buf_span(b));
	if (packed_flush(p, why) == 0) {
		deliver_counted(h, a.size);
		return 0;
	}
undo_segment:
	packed_segment_undo(p);
	return -1;
}
