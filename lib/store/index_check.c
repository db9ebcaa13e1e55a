/* SPDX-License-Identifier: ISC */
/*
 * index_check - whether an index file, or a part of it, is what was written
 * (index.h).
 */
#include "store/index.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

static uint32_t
block_count(const struct index_head *h)
{
	return h->nrecords / RECORD_BLOCK + (h->nrecords % RECORD_BLOCK != 0);
}

static const struct record *
records_of(const void *file)
{
	return (const void *)((const char *)file + INDEX_HEAD);
}

static const struct index_block *
blocks_of(const void *file)
{
	const struct index_head *h = file;

	return (const void *)(records_of(file) + h->nrecords);
}

const char *
index_check(const void *file, size_t len)
{
	const struct index_head *h = file;
	const struct index_block *b;
	uint64_t records, need;

	if (len < INDEX_HEAD)
		return "too short";
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) != 0 ||
	    h->crc != crc32c(0, h, offsetof(struct index_head, crc)))
		return "head is damaged";
	if (h->order != INDEX_ORDER || h->record_size != sizeof(struct record))
		return "of another machine or version";
	records = (uint64_t)h->nrecords * sizeof(struct record);
	need = records + (uint64_t)block_count(h) * sizeof(*b) +
	    (uint64_t)h->nvanished * sizeof(struct vanished);
	if (h->len != len - INDEX_HEAD || need > h->len ||
	    h->nkeywords > MAILBOX_KEYWORDS_MAX)
		return "lengths do not fit";
	if (h->tail < PACKED_START || h->tail % 8 != 0 || h->uidnext == 0 ||
	    h->first_unseen > h->nrecords || h->recent_at > h->nrecords ||
	    h->messages != h->nrecords)
		return "numbers make no sense";
	b = blocks_of(file);
	if (crc32c(0, b, (size_t)(h->len - records)) != h->rest_crc)
		return "is damaged";
	for (uint32_t i = 0, last = 0; i < block_count(h); last = b[i++].last) {
		if (b[i].first <= last || b[i].last < b[i].first)
			return "blocks make no sense";
	}
	return NULL;
}

const char *
index_check_block(const void *file, uint32_t block)
{
	const struct index_head *h = file;
	const struct index_block *b = &blocks_of(file)[block];
	const struct record *r = records_of(file) + (size_t)block * RECORD_BLOCK;
	uint32_t n = MIN(h->nrecords - block * RECORD_BLOCK, RECORD_BLOCK);

	if (crc32c(0, r, n * sizeof(*r)) != b->crc)
		return "is damaged";
	if (r[0].uid != b->first || r[n - 1].uid != b->last)
		return "records make no sense";
	for (uint32_t i = 0, last = 0; i < n; last = r[i++].uid) {
		if (r[i].uid <= last || r[i].flags & ~RECORD_KEPT)
			return "records make no sense";
	}
	return NULL;
}

/* --- of a view -------------------------------------------------------------------- */

/*
 * An index file is never changed, only replaced: one that this process has
 * found to be right, or has written, is so still when the same mailbox is
 * opened again, which POP3 clients do all the time.
 */
static struct stat right;

void
index_note_right(const struct stat *st)
{
	right = *st;
}

static bool
is_right(const struct stat *st)
{
	return st->st_ino == right.st_ino && st->st_dev == right.st_dev &&
	    st->st_size == right.st_size &&
	    st->st_ctim.tv_sec == right.st_ctim.tv_sec &&
	    st->st_ctim.tv_nsec == right.st_ctim.tv_nsec;
}

const char *
index_take_blocks(struct mailbox *m)
{
	const struct index_head *h = m->map;
	uint32_t n = block_count(h);

	m->base = (struct record *)(uintptr_t)records_of(m->map);
	m->nbase = h->nrecords;
	m->blocks = blocks_of(m->map);
	m->base_last = n > 0 ? m->blocks[n - 1].last : 0;
	if (n > 0 && !is_right(&m->map_st)) {
		m->ready = mem_zalloc(n);
		m->nunready = n;
	}
	return (const char *)(m->blocks + n);
}

bool
index_block_ready(struct mailbox *m, uint32_t block)
{
	const char *bad;

	if (m->nunready == 0 || m->ready[block])
		return true;
	if (m->bad)
		return false;
	if ((bad = index_check_block(m->map, block)) != NULL) {
		index_say(m, bad);
		m->bad = true;
		return false;
	}
	m->ready[block] = 1;
	if (--m->nunready == 0)
		index_note_right(&m->map_st);
	return true;
}

bool
index_all_ready(struct mailbox *m)
{
	for (uint32_t b = 0; m->nunready > 0; b++) {
		if (!index_block_ready(m, b))
			return false;
	}
	return true;
}

uint32_t
index_block_of(const struct mailbox *m, uint32_t uid)
{
	uint32_t lo = 0, hi = (m->nbase - 1) / RECORD_BLOCK;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (m->blocks[mid].last < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool
index_uids_ready(struct mailbox *m, uint32_t first, uint32_t last)
{
	uint32_t b, end;

	if (m->nunready == 0 || first > m->base_last)
		return true;
	/* Also the one with the first UID behind them. */
	end = index_block_of(m, last == UINT32_MAX ? last : last + 1);
	for (b = index_block_of(m, first); b <= end; b++) {
		if (!index_block_ready(m, b))
			return false;
	}
	return true;
}
