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

const char *
index_check(const void *file, size_t len)
{
	const struct index_head *h = file;
	const struct record *r;
	uint64_t need;

	if (len < INDEX_HEAD)
		return "too short";
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) != 0 ||
	    h->crc != crc32c(0, h, offsetof(struct index_head, crc)))
		return "head is damaged";
	if (h->order != INDEX_ORDER || h->record_size != sizeof(*r))
		return "of another machine or version";
	need = (uint64_t)h->nrecords * sizeof(*r) +
	    (uint64_t)h->nvanished * sizeof(struct vanished);
	if (h->len != len - INDEX_HEAD || need > h->len ||
	    h->nkeywords > MAILBOX_KEYWORDS_MAX)
		return "lengths do not fit";
	if (h->tail < PACKED_START || h->tail % 8 != 0 || h->uidnext == 0)
		return "numbers make no sense";
	if (crc32c(0, (const char *)file + INDEX_HEAD, (size_t)h->len) !=
	    h->body_crc)
		return "is damaged";
	r = (const void *)((const char *)file + INDEX_HEAD);
	for (uint32_t i = 0, last = 0; i < h->nrecords; last = r[i++].uid) {
		if (r[i].uid <= last || r[i].flags & ~RECORD_KEPT)
			return "records make no sense";
	}
	return NULL;
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
take(struct mailbox *m, void *map, size_t len)
{
	const struct index_head *h = map;
	struct packed_state *st = &m->p->head.state;
	const char *at = (const char *)map + INDEX_HEAD;

	m->base = (struct record *)(uintptr_t)at;
	m->nbase = h->nrecords;
	at += (size_t)h->nrecords * sizeof(struct record);
	for (uint32_t i = 0; i < h->nvanished; i++) {
		memcpy(ARRAY_PUSH(&m->vanished), at,
		    sizeof(struct vanished));
		at += sizeof(struct vanished);
	}
	if (load_words(m, h, span_make(at, len -
	    (size_t)(at - (const char *)map))) < 0)
		return -1;
	m->map = map;
	m->map_len = len;
	m->index_tail = h->tail;
	m->recent_from = h->recent_from;
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

/*
 * An index file is never changed, only replaced: one that this process has
 * found to be right, or has written, is so still when the same mailbox is
 * opened again, which POP3 clients do all the time.
 */
static struct stat right;

static const char *
check_once(const void *map, const struct stat *st)
{
	const char *bad;

	if (st->st_ino == right.st_ino && st->st_dev == right.st_dev &&
	    st->st_size == right.st_size &&
	    st->st_ctim.tv_sec == right.st_ctim.tv_sec &&
	    st->st_ctim.tv_nsec == right.st_ctim.tv_nsec)
		return NULL;
	bad = index_check(map, (size_t)st->st_size);
	if (bad == NULL)
		right = *st;
	return bad;
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
index_load(struct mailbox *m)
{
	const struct packed_head *ph = &m->p->head;
	const struct index_head *h;
	char name[PACKED_NAME_MAX];
	struct stat st, js;
	const char *bad = NULL;
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
	bad = check_once(map, &st);
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
	if (bad == NULL && take(m, map, (size_t)st.st_size) < 0)
		bad = "words do not fit";
	if (bad != NULL) {
		if (!is_lost(h, &m->p->epoch))
			log_warning("%s: index %s: %s: reading the journal "
			    "instead", m->p->path, name, bad);
		(void)munmap(map, (size_t)st.st_size);
		index_unload(m);
		m->map = NULL;
		return 0;
	}
	return 1;
}

void
index_unload(struct mailbox *m)
{
	if (m->map != NULL)
		(void)munmap(m->map, m->map_len);
	m->map = NULL;
	m->map_len = 0;
	m->base = NULL;
	m->nbase = 0;
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
	uint32_t	 crc;
	struct buf	 b;
};

static int
put(struct writer *w, const void *p, size_t n, bool last)
{
	buf_add(&w->b, p, n);
	if (w->b.len < WRITE_STEP && !last)
		return 0;
	w->crc = crc32c(w->crc, w->b.data, w->b.len);
	if (fd_pwrite_all(w->fd, w->b.data, w->b.len, w->at) < 0)
		return -1;
	w->at += (off_t)w->b.len;
	buf_reset(&w->b);
	return 0;
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
		h->nrecords++;
		h->messages++;
		h->bytes += r.size != 0 ? r.size : r.len;
		if (put(w, &r, sizeof(r), false) < 0) {
			buf_fini(&names);
			return -1;
		}
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
	rc = put_body(&w, m, &h);
	h.len = (uint64_t)w.at - INDEX_HEAD;
	h.body_crc = w.crc;
	h.crc = crc32c(0, &h, offsetof(struct index_head, crc));
	memcpy(head, &h, sizeof(h));
	if (rc == 0)
		rc = fd_pwrite_all(fd, head, sizeof(head), 0);
	buf_fini(&w.b);
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
			right = st;
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
	    MAX(SAVE_MIN, m->map_len / 8) ||
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
	if (m->p->writable)
		mailbox_gather_cache(m);
	if (fault_fdatasync(m->p->jfd) == 0)
		(void)index_write(m, true);
}
