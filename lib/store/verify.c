/* SPDX-License-Identifier: ISC */
/*
 * verify - comparing what is kept of a mailbox with what it is kept of, and
 * making it anew.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fault.h"
#include "mail/message_cache.h"
#include "store/mailbox_internal.h"

/* Whether two views of one mailbox say the same of a message. */
static bool
same(const struct record *a, const struct record *b)
{
	return a->uid == b->uid && a->kwset == b->kwset &&
	    (a->flags & RECORD_STORED) == (b->flags & RECORD_STORED) &&
	    MAX(a->modseq, 1) == MAX(b->modseq, 1) && a->len == b->len &&
	    a->segment == b->segment && (a->segment == PACKED_NO_SEGMENT ||
	    a->offset == b->offset) && a->date_us == b->date_us;
}

static void
compare(const struct mailbox *m, const struct mailbox *w,
    struct mailbox_verified *out)
{
	uint32_t i = 0, k = 0, n = record_count(m), nw = record_count(w);

	while (i < n || k < nw) {
		const struct record *a = i < n ? record_at(m, i) : NULL;
		const struct record *b = k < nw ? record_at(w, k) : NULL;

		if (a != NULL && a->flags & MESSAGE_EXPUNGED) {
			i++;
		} else if (b != NULL && b->flags & MESSAGE_EXPUNGED) {
			k++;
		} else if (a == NULL || b == NULL || !same(a, b)) {
			out->differences++;
			i += a != NULL && (b == NULL || a->uid <= b->uid);
			k += b != NULL && (a == NULL || b->uid <= a->uid);
		} else {
			i++;
			k++;
		}
	}
}

int
mailbox_verify(struct account *a, uint32_t box, struct mailbox_verified *out,
    struct why *why)
{
	struct mailbox *w, *m = mailbox_open_inside(a, box, 0, why);

	*out = (struct mailbox_verified){ .messages = 0 };
	if (m == NULL)
		return -1;
	/* What came in between is in the second only. */
	if ((w = mailbox_open_whole(a, box, why)) == NULL ||
	    packed_catch_up(m->p, why) == -1) {
		mailbox_close(&w);
		mailbox_close(&m);
		return -1;
	}
	compare(m, w, out);
	for (uint32_t seq = 1; seq <= m->count; seq++) {
		struct mailbox_content c;

		out->messages++;
		if (mailbox_content(m, mailbox_uid(m, seq), &c, why) < 0)
			out->damaged++;
		mailbox_content_done(&c);
	}
	mailbox_close(&w);
	mailbox_close(&m);
	return 0;
}

int
mailbox_rebuild(struct account *a, uint32_t box, struct why *why)
{
	static const char *const suffixes[] = { "idx", "cch" };
	struct mailbox *m = mailbox_open_inside(a, box, 0, why);
	char name[PACKED_NAME_MAX];

	if (m == NULL)
		return -1;
	/* First, as the index may know what the journal has lost. */
	if (mailbox_damaged(m)) {
		mailbox_close(&m);
		if (mailbox_salvage(a, box, why) < 0 || (m =
		    mailbox_open_inside(a, box, 0, why)) == NULL)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (m->p->alone)
			snprintf(name, sizeof(name), "mansio.%s", suffixes[i]);
		else
			packed_name(box, suffixes[i], name);
		(void)fault_unlinkat(m->p->dirfd, name, 0);
	}
	mailbox_close(&m);
	if ((m = mailbox_open_inside(a, box, 0, why)) == NULL)
		return -1;
	if (m->md != NULL) {
		maildir_view_force(m);
		if (maildir_view_sync(m, why) < 0) {
			mailbox_close(&m);
			return -1;
		}
		(void)mailbox_take_in(m);
	}
	for (uint32_t seq = 1; seq <= m->count; seq++) {
		struct mailbox_content c;
		struct message_cache record;

		/* A damaged message has none; verify tells of it. */
		if (mailbox_cache(m, mailbox_uid(m, seq),
		    MESSAGE_CACHE_ALL, &c, &record, NULL) == 0)
			mailbox_content_done(&c);
	}
	index_save(m, true);
	mailbox_close(&m);
	return 0;
}
