/* SPDX-License-Identifier: ISC */
/*
 * digest - what deliveries leave for those who read: an index, and the cache
 * records close together.
 *
 * A delivery writes a message with its cache record and a record of the
 * journal, and nothing else.  When many have come to one mailbox, and a
 * checkpoint has made them durable, they are entered into the index and the
 * cache file, so that the first who opens the mailbox reads no journal and
 * touches no messages.  Nobody waits for it and nothing depends on it: it is
 * done in between, one mailbox at a time, and a view that is opened meanwhile
 * reads the journal.
 */
#include <errno.h>

#include "base/mem.h"
#include "store/mailbox_internal.h"
#include "store/store_internal.h"

#define DIGEST_MIN	64u	/* messages that are worth it */
#define DIGEST_SHARE	32u	/* and of so many in the mailbox one is new */
#define DIGEST_BUSY	4096u	/* the same while there is other work */
#define DIGEST_BUSY_SHARE 8u

/* Enter what the journal has up to here, all of it durable. */
static void
digest(const struct packed *p, uint64_t upto)
{
	struct mailbox m = {
		.box = p->box, .cachefd = -1, .recent_from = 1,
		.names = BUF_INIT(BUF_UNLIMITED), .loading = true,
	};

	m.p = packed_open(p->dirfd, p->path, p->box, &p->epoch, PACKED_WRITE,
	    0, NULL);
	if (m.p == NULL)
		return;
	if (m.p->head.generation == p->head.generation) {
		m.p->upto = upto;
		m.p->hook = mailbox_apply;
		m.p->hook_arg = &m;
		if (index_load(&m, false) == 0)
			packed_rewind(m.p);
		if (packed_catch_up(m.p, NULL) > 0 && !m.gone &&
		    !m.p->damaged) {
			mailbox_read_cache(&m);
			mailbox_gather_cache(&m);
			(void)index_write(&m, false);
		}
	}
	packed_close(&m.p);
	index_unload(&m);
	ARRAY_FINI(&m.extra);
	mailbox_cache_fini(&m);
}

void
digest_sync_begins(struct store *s)
{
	LIST_FOREACH(l, &s->lru) {
		struct handle *h = LIST_ENTRY(l, struct handle, lru);

		if (h->fresh == 0)
			continue;
		h->syncing = h->fresh;
		h->syncing_tail = h->pk->head.state.tail;
	}
}

void
store_synced(struct store *s)
{
	LIST_FOREACH(l, &s->lru) {
		struct handle *h = LIST_ENTRY(l, struct handle, lru);

		if (h->syncing == 0)
			continue;
		h->durable = h->syncing;
		h->durable_tail = h->syncing_tail;
		h->syncing = 0;
		s->tidy = s->tidy_idle = true;
	}
}

static bool
is_due(const struct handle *h, bool idle)
{
	uint32_t n = h->durable;

	if (n < (idle ? DIGEST_MIN : DIGEST_BUSY))
		return false;
	return n >= h->pk->head.state.messages /
	    (idle ? DIGEST_SHARE : DIGEST_BUSY_SHARE);
}

bool
store_tidy(struct store *s, bool idle)
{
	bool *may = idle ? &s->tidy_idle : &s->tidy;

	if (!*may)
		return false;
	LIST_FOREACH(l, &s->lru) {
		struct handle *h = LIST_ENTRY(l, struct handle, lru);

		if (h->durable == 0 || !is_due(h, idle))
			continue;
		digest(h->pk, h->durable_tail);
		h->fresh -= h->durable;
		h->durable = h->syncing = 0;
		return true;
	}
	*may = false;
	return false;
}
