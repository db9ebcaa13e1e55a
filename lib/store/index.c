/* SPDX-License-Identifier: ISC */
/*
 * index - reading and writing index files (index.h).
 */
#include "store/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"

#define SAVE_MIN	(128u << 10)	/* bytes of journal worth an index */
#define WORK_MIN	1024		/* changed records that are */
#define WRITE_STEP	(256u << 10)

_Static_assert(sizeof(struct record) == 96, "the layout is a file's");
_Static_assert(sizeof(struct vanished) == 16, "the layout is a file's");
_Static_assert(sizeof(struct index_head) <= INDEX_HEAD, "it fits");

static void
index_name(const struct mailbox *m, char out[PACKED_NAME_MAX])
{
	if (m->p->alone)
		snprintf(out, PACKED_NAME_MAX, "mansio.idx");
	else
		packed_name(m->box, "idx", out);
}

/* --- reading -------------------------------------------------------------------- */

static int
load_words(struct mailbox *m, const struct index_head *h, struct span in)
{
	for (uint32_t i = 0; i < h->nkeywords; i++) {
		uint16_t n;

		if (in.len < sizeof(n))
			return -1;
		memcpy(&n, in.p, sizeof(n));
		in = span_from(in, sizeof(n));
		if (n > in.len || n > MAILBOX_KEYWORD_MAX)
			return -1;
		*ARRAY_PUSH(&m->keywords) = mem_strndup(in.p, n);
		in = span_from(in, n);
	}
	for (uint32_t i = 0; i < h->nkwsets; i++) {
		struct kwset *k;
		uint32_t n;

		if (in.len < sizeof(n))
			return -1;
		memcpy(&n, in.p, sizeof(n));
		in = span_from(in, sizeof(n));
		if (n > MAILBOX_KEYWORDS_MAX || n > in.len / sizeof(n))
			return -1;
		k = ARRAY_PUSH(&m->kwsets);
		if (n == 0)
			continue;
		k->v = mem_alloc_array(n, sizeof(*k->v));
		for (; k->n < n; in = span_from(in, sizeof(n))) {
			memcpy(&k->v[k->n], in.p, sizeof(n));
			if (k->v[k->n++] >= m->keywords.len)
				return -1;
		}
	}
	if (in.len != h->names_len)
		return -1;
	buf_add_span(&m->names, in);
	return 0;
}

static int
take(struct mailbox *m)
{
	const struct index_head *h = m->map;
	struct packed_state *st = &m->p->head.state;
	const char *end = (const char *)m->map + m->map_st.st_size;
	const char *at = index_take_blocks(m);

	for (uint32_t i = 0; i < h->nvanished; i++) {
		memcpy(ARRAY_PUSH(&m->vanished), at,
		    sizeof(struct vanished));
		at += sizeof(struct vanished);
	}
	if (load_words(m, h, span_make(at, (size_t)(end - at))) < 0)
		return -1;
	m->index_tail = h->tail;
	m->recent_from = h->recent_from;
	m->sum = (struct mailbox_sum){
		.messages = h->messages, .unseen = h->unseen,
		.deleted = h->deleted, .bytes = h->bytes,
		.deleted_bytes = h->deleted_bytes,
		.first_unseen = h->first_unseen,
		.recent_from = h->recent_from, .recent_at = h->recent_at,
	};
	m->history = h->history;
	m->cache_tail = h->cache_tail;
	m->cache_number = h->cache_number;
	/* Turn, epoch and reserved are the journal's own. */
	st->tail = h->tail;
	st->uidnext = MAX(st->uidnext, h->uidnext);
	st->modseq = MAX(st->modseq, h->modseq);
	st->segment = h->segment;
	st->segment_tail = h->segment_tail;
	st->totals = true;
	st->messages = h->messages;
	st->bytes = h->bytes;
	return 0;
}

/* One of another version, or that was not synced before the power went. */
static bool
is_lost(const struct index_head *h, const struct packed_epoch *e)
{
	static const char none[sizeof(h->magic)];

	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) != 0)
		return memcmp(h->magic, INDEX_MAGIC,
		    sizeof(h->magic) - 1) == 0 ||
		    memcmp(h->magic, none, sizeof(none)) == 0;
	return h->flags & INDEX_UNSYNCED &&
	    memcmp(&h->epoch, e, sizeof(*e)) != 0;
}

int
index_load(struct mailbox *m, bool late)
{
	const struct packed_head *ph = &m->p->head;
	const struct index_head *h;
	struct packed_state was;
	char name[PACKED_NAME_MAX];
	struct stat st, js;
	const char *bad;
	void *map;
	int fd;

	index_name(m, name);
	if ((fd = packed_open_checked(m->p->dirfd, name, O_RDONLY)) < 0)
		return 0;
	if (fstat(fd, &st) < 0 || fstat(m->p->jfd, &js) < 0 ||
	    st.st_size < (off_t)INDEX_HEAD) {
		close(fd);
		return 0;
	}
	/* Private and writable: what we change in it stays ours. */
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return 0;
	h = map;
	bad = index_check(map, (size_t)st.st_size);
	if (bad == NULL && (h->generation != ph->generation ||
	    h->uidvalidity != ph->uidvalidity ||
	    memcmp(h->mailboxid, ph->mailboxid, 16) != 0 ||
	    h->tail > (uint64_t)js.st_size)) {
		/* The journal was made anew: no damage.  Or it was cut. */
		if (h->generation == ph->generation)
			packed_records_lost(m->p);
		(void)munmap(map, (size_t)st.st_size);
		return 0;
	}
	was = m->p->head.state;
	m->map = map;
	m->map_st = st;
	m->map_lost = is_lost(h, &m->p->epoch);
	if (bad == NULL && take(m) < 0)
		bad = "words do not fit";
	/* What a power cut may have left is looked at as a whole. */
	if (bad == NULL && ((late && !m->map_lost) || index_all_ready(m)))
		return 1;
	if (bad != NULL)
		index_say(m, bad);
	m->p->head.state = was;
	index_unload(m);
	return 0;
}

void
index_say(const struct mailbox *m, const char *bad)
{
	char name[PACKED_NAME_MAX];

	index_name(m, name);
	if (!m->map_lost)
		log_warning("%s: index %s: %s: reading the journal instead",
		    m->p->path, name, bad);
}

void
index_unload(struct mailbox *m)
{
	if (m->map != NULL)
		(void)munmap(m->map, (size_t)m->map_st.st_size);
	m->map = NULL;
	m->map_st.st_size = 0;
	m->base = NULL;
	m->nbase = 0;
	m->blocks = NULL;
	m->base_last = 0;
	mem_free(m->ready);
	m->ready = NULL;
	m->nunready = 0;
	m->bad = false;
	m->sum = (struct mailbox_sum){ .messages = 0 };
	m->index_tail = 0;
	ARRAY_FINI(&m->vanished);
	mailbox_keywords_fini(m);
	buf_fini(&m->names);
	m->recent_from = 1;
	m->history = 0;
	m->cache_tail = m->cache_number = 0;
}

/* --- writing ----------------------------------------------------------------------- */

struct writer {
	int		 fd;
	off_t		 at;
	bool		 sums;		/* what is put counts for crc */
	uint32_t	 crc;
	struct buf	 b;
	struct index_head *h;
	uint32_t	 recent_from;
	ARRAY(struct index_block) blocks;
};

static int
put(struct writer *w, const void *p, size_t n, bool last)
{
	if (n > 0)
		buf_add(&w->b, p, n);
	if (w->sums)
		w->crc = crc32c(w->crc, p, n);
	if (w->b.len < WRITE_STEP && !last)
		return 0;
	if (fd_pwrite_all(w->fd, w->b.data, w->b.len, w->at) < 0)
		return -1;
	w->at += (off_t)w->b.len;
	buf_reset(&w->b);
	return 0;
}

/* One more, in the sums and in its block. */
static int
put_record(struct writer *w, const struct record *r)
{
	struct index_head *h = w->h;
	uint64_t size = r->size != 0 ? r->size : r->len;
	struct index_block *b;

	if (h->nrecords % RECORD_BLOCK == 0)
		*ARRAY_PUSH(&w->blocks) = (struct index_block){
			.first = r->uid };
	b = &w->blocks.v[w->blocks.len - 1];
	b->last = r->uid;
	b->crc = crc32c(b->crc, r, sizeof(*r));
	if (r->uid < w->recent_from)
		h->recent_at = h->nrecords + 1;
	if (!(r->flags & STORE_SEEN) && h->unseen++ == 0)
		h->first_unseen = h->nrecords;
	if (r->flags & STORE_DELETED) {
		h->deleted++;
		h->deleted_bytes += size;
	}
	h->nrecords++;
	h->messages++;
	h->bytes += size;
	if (h->unseen == 0)
		h->first_unseen = h->nrecords;
	return put(w, r, sizeof(*r), false);
}

static int
put_body(struct writer *w, const struct mailbox *m, struct index_head *h)
{
	struct buf names = BUF_INIT(BUF_UNLIMITED);
	uint32_t n = record_count(m);
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		struct record r = *record_at(m, i);

		if (r.flags & MESSAGE_EXPUNGED)
			continue;
		if (r.segment == PACKED_NO_SEGMENT) {
			size_t at = (size_t)r.offset;

			r.offset = names.len;
			if (at + 2 <= m->names.len)
				buf_add_span(&names, span_sub(buf_span(
				    &m->names), at, 2u +
				    num_get_le16(m->names.data + at)));
		}
		r.flags &= RECORD_KEPT;
		if (put_record(w, &r) < 0) {
			buf_fini(&names);
			return -1;
		}
	}
	w->sums = true;
	if (put(w, w->blocks.v, w->blocks.len * sizeof(w->blocks.v[0]),
	    false) < 0) {
		buf_fini(&names);
		return -1;
	}
	for (size_t i = 0; i < m->vanished.len; i++) {
		if (put(w, &m->vanished.v[i], sizeof(struct vanished),
		    false) < 0)
			return -1;
	}
	for (size_t i = 0; i < m->keywords.len; i++) {
		uint16_t len = (uint16_t)strlen(m->keywords.v[i]);

		if (put(w, &len, sizeof(len), false) < 0 ||
		    put(w, m->keywords.v[i], len, false) < 0)
			return -1;
	}
	for (size_t i = 0; i < m->kwsets.len; i++) {
		const struct kwset *k = &m->kwsets.v[i];

		if (put(w, &k->n, sizeof(k->n), false) < 0 ||
		    put(w, k->v, k->n * sizeof(*k->v), false) < 0)
			return -1;
	}
	h->names_len = names.len;
	rc = put(w, names.data, names.len, true);
	buf_fini(&names);
	return rc;
}

static int
write_file(struct mailbox *m, int fd, bool sync)
{
	const struct packed_head *ph = &m->p->head;
	struct writer w = { .fd = fd, .at = INDEX_HEAD,
	    .b = BUF_INIT(BUF_UNLIMITED) };
	struct index_head h = {
		.order = INDEX_ORDER, .record_size = sizeof(struct record),
		.generation = ph->generation, .uidvalidity = ph->uidvalidity,
		.tail = ph->state.tail, .modseq = ph->state.modseq,
		.uidnext = ph->state.uidnext, .segment = ph->state.segment,
		.segment_tail = ph->state.segment_tail,
		.recent_from = m->recent_from, .history = m->history,
		.nvanished = (uint32_t)m->vanished.len,
		.nkeywords = (uint32_t)m->keywords.len,
		.nkwsets = (uint32_t)m->kwsets.len,
		.cache_tail = m->cache_tail,
		.cache_number = m->cache_number,
		.epoch = m->p->epoch,
		.flags = sync ? 0 : INDEX_UNSYNCED,
	};
	char head[INDEX_HEAD] = { 0 };
	int rc;

	memcpy(h.magic, INDEX_MAGIC, sizeof(h.magic));
	memcpy(h.mailboxid, ph->mailboxid, 16);
	w.h = &h;
	w.recent_from = h.recent_from;
	rc = put_body(&w, m, &h);
	h.len = (uint64_t)w.at - INDEX_HEAD;
	h.rest_crc = w.crc;
	h.crc = crc32c(0, &h, offsetof(struct index_head, crc));
	memcpy(head, &h, sizeof(h));
	if (rc == 0)
		rc = fd_pwrite_all(fd, head, sizeof(head), 0);
	buf_fini(&w.b);
	ARRAY_FINI(&w.blocks);
	return rc;
}

int
index_write(struct mailbox *m, bool sync)
{
	char name[PACKED_NAME_MAX], tmp[PACKED_NAME_MAX + 24];
	struct stat st;
	int fd, rc = -1;

	index_name(m, name);
	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", name, (long)getpid());
	(void)unlinkat(m->p->dirfd, tmp, 0);
	fd = fault_openat(m->p->dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write_file(m, fd, sync) < 0 || (sync && fault_fdatasync(fd) < 0) ||
	    fault_renameat(m->p->dirfd, tmp, m->p->dirfd, name) < 0) {
		log_warning("%s: cannot write index %s: %s", m->p->path, name,
		    strerror(errno));
		(void)unlinkat(m->p->dirfd, tmp, 0);
	} else {
		if (fstat(fd, &st) == 0)
			index_note_right(&st);
		m->index_tail = m->p->head.state.tail;
		m->work = 0;
		rc = 0;
	}
	close(fd);
	return rc;
}

/* Much has happened since it was written. */
static bool
is_due(const struct mailbox *m)
{
	return m->p->head.state.tail - m->index_tail >=
	    MAX(SAVE_MIN, (uint64_t)m->map_st.st_size / 8) ||
	    m->work >= WORK_MIN + record_count(m) / 8;
}

/*
 * Failing costs only time at the next opening.  It covers nothing that a
 * power cut could still take from the journal, so that is synced first.
 */
void
index_save(struct mailbox *m, bool force)
{
	uint64_t tail = m->p->head.state.tail;

	if (m->gone || tail < m->index_tail ||
	    (tail == m->index_tail && m->work == 0) ||
	    (!force && !is_due(m)))
		return;
	mailbox_settle(m);
	mailbox_note_cache(m);
	if (m->gone)
		return;
	if (m->p->writable)
		mailbox_gather_cache(m);
	if (fault_fdatasync(m->p->jfd) == 0)
		(void)index_write(m, true);
}
