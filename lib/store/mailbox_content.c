/* SPDX-License-Identifier: ISC */
/*
 * mailbox_content - the bytes of messages, and what is kept of them.
 *
 * A message's bytes are mapped and compared with their checksum once in each
 * view; mailbox_cache.c has what was found out about it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "mail/signature.h"
#include "store/compress.h"
#include "store/mailbox_internal.h"

/* A word that is common stands near the beginning. */
#define LOOK_FIRST	768u		/* bytes of a text */
#define LOOK_WHOLE	4096u		/* of a message: all of it at once */
#define LOOK_MOST	16384u		/* more is mapped */

/* --- the bytes ---------------------------------------------------------------- */

/* What in says decompressed; NULL when it is damaged. */
static struct content_hold *
decompress(struct span in)
{
	struct content_hold *h;
	int64_t len = compress_undone_len(in);

	if (len < 0)
		return NULL;
	h = mem_alloc(sizeof(*h) + (size_t)len);
	*h = (struct content_hold){ NULL, (size_t)len, 0 };
	if (compress_undo(in, (char *)(h + 1), (size_t)len) < 0) {
		mem_free(h);
		return NULL;
	}
	return h;
}

/* The bytes of a message that lies compressed in the segment. */
static int
undo(struct mailbox *m, const struct record *r, struct mailbox_content *out,
    struct why *why)
{
	struct account *a = m->a;
	struct content_hold *h;
	struct span in = out->bytes;

	out->bytes = SPAN_EMPTY;
	if (a->undone.hold == NULL || a->undone.segment != r->segment ||
	    a->undone.offset != r->offset || a->undone.crc != r->crc) {
		content_hold_free(a->undone.hold);
		a->undone.hold = decompress(in);
		if (a->undone.hold == NULL) {
			log_error("%s: message %u is damaged: it cannot be "
			    "decompressed", m->p->path, (unsigned)r->uid);
			return account_say(a, ACCOUNT_CORRUPT, why,
			    "message %u is damaged", (unsigned)r->uid);
		}
		a->undone.segment = r->segment;
		a->undone.offset = r->offset;
		a->undone.crc = r->crc;
	}
	h = a->undone.hold;
	h->others++;
	out->hold = h;
	out->bytes = span_make(h + 1, h->len);
	return 0;
}

static int
map_message(struct mailbox *m, uint32_t i, struct mailbox_content *out,
    struct why *why)
{
	const struct record *r = record_at(m, i);
	const char *p;

	p = account_map(m->a, r->segment, r->offset + PACKED_MESSAGE_HEADER,
	    r->len, why);
	if (p == NULL)
		return -1;
	out->bytes = span_make(p, (size_t)r->len);
	if (mailbox_was_checked(m, i, CHECKED_BYTES))
		return r->flags & RECORD_ZSTD ? undo(m, r, out, why) : 0;
	if (crc32c(0, p, (size_t)r->len) != r->crc) {
		if (r->flags & RECORD_ZSTD)
			out->bytes = SPAN_EMPTY;
		log_error("%s: message %u is damaged: its checksum is wrong",
		    m->p->path, (unsigned)r->uid);
		return account_say(m->a, ACCOUNT_CORRUPT, why, "message %u is "
		    "damaged", (unsigned)r->uid);
	}
	mailbox_set_checked(m, i, CHECKED_BYTES);
	return r->flags & RECORD_ZSTD ? undo(m, r, out, why) : 0;
}

int
mailbox_content(struct mailbox *m, uint32_t uid, struct mailbox_content *out,
    struct why *why)
{
	uint32_t i = record_find(m, uid);

	*out = (struct mailbox_content){ .hold = NULL };
	if (i >= record_count(m) || record_at(m, i)->uid != uid)
		return account_say(m->a, ACCOUNT_EXPUNGED, why, "no message "
		    "with UID %u", (unsigned)uid);
	if (m->md != NULL)
		return maildir_view_content(m, record_at(m, i), out, why);
	if (map_message(m, i, out, why) == 0)
		return 0;
	if (out->bytes.p == NULL) {
		/* A compaction gave it another place: read where. */
		uint32_t segment = record_at(m, i)->segment;
		uint64_t offset = record_at(m, i)->offset;

		if (packed_catch_up(m->p, NULL) > 0 && (segment !=
		    record_at(m, i)->segment || offset !=
		    record_at(m, i)->offset))
			return map_message(m, i, out, why);
	}
	return -1;
}

void
content_hold_free(struct content_hold *h)
{
	if (h != NULL && h->others > 0) {
		h->others--;
		return;
	}
	if (h != NULL && h->map != NULL)
		(void)munmap(h->map, h->len);
	mem_free(h);
}

void
mailbox_content_done(struct mailbox_content *c)
{
	content_hold_free(c->hold);
	*c = (struct mailbox_content){ .hold = NULL };
}

/* How the bytes of r end, and, where that is not known, their CRLF form. */
static void
learn_lines(struct mailbox *m, struct record *r)
{
	struct line_count lines = LINE_COUNT_INIT;
	struct mailbox_content c;
	struct why why = WHY_INIT;
	const char *last = NULL;

	if (r->size != 0 && m->md == NULL && !(r->flags & RECORD_ZSTD))
		last = account_map(m->a, r->segment, r->offset +
		    PACKED_MESSAGE_HEADER + r->len - 1, 1, &why);
	if (last != NULL) {
		lines.last = *last;
	} else if (mailbox_content(m, r->uid, &c, &why) == 0) {
		line_count_add(&lines, c.bytes);
		r->size = c.bytes.len + lines.bare;
		mailbox_content_done(&c);
	} else {
		mailbox_content_done(&c);
		return;
	}
	r->flags |= line_count_how(&lines) == PACKED_OPEN ? RECORD_OPEN :
	    RECORD_ENDED;
	m->work++;
}

uint64_t
mailbox_lines_size(struct mailbox *m, uint32_t seq)
{
	struct record *r = record_shown(m, seq);
	uint64_t size;

	if (r == NULL)
		return 0;
	if (r->len > 0 && (r->size == 0 || record_how(r) == 0))
		learn_lines(m, r);
	size = r->size != 0 ? r->size : r->len;
	return r->flags & RECORD_OPEN ? size + 2 : size;
}

int
mailbox_threadid(struct mailbox *m, uint32_t uid, uint8_t out[16],
    struct why *why)
{
	struct mailbox_content rec;
	struct message_cache c;
	uint64_t root;

	if (mailbox_cache(m, uid, MESSAGE_CACHE_KEYS, &rec, &c, why) < 0)
		return -1;
	/*
	 * The oldest message that it names: the start of the thread, as far as
	 * this message knows.  It depends on nothing else, so it never
	 * changes.  (RFC 8474 4.4)
	 */
	root = c.nrefs > 0 ? message_cache_ref(&c, 0) : c.msgid;
	mailbox_content_done(&rec);
	if (root == 0)
		return 0;
	num_put_le64(out, root);
	num_put_le64(out + 8, root * 0x9e3779b97f4a7c15u);
	return 1;
}

bool
mailbox_maybe(struct mailbox *m, uint32_t uid,
    const struct signature_query *q)
{
	struct mailbox_content rec;
	struct message_cache c;
	bool maybe = true;

	if (q->n == 0 || mailbox_cache(m, uid, MESSAGE_CACHE_SEARCH, &rec, &c,
	    NULL) < 0)
		return true;
	maybe = signature_may_contain((const uint8_t *)c.signature.p, q);
	mailbox_content_done(&rec);
	return maybe;
}

/* Whether plain text that lies there in the segment has the key. */
static bool
segment_has(struct mailbox *m, const struct record *r, uint64_t at,
    uint64_t len, const struct message_key *k)
{
	uint64_t from = r->offset + PACKED_MESSAGE_HEADER + at;
	char room[LOOK_MOST];
	struct why why = WHY_INIT;
	struct span text = account_look(m->a, r->segment, from, len,
	    (size_t)MIN(len, LOOK_FIRST), room);
	const char *p;

	if (text.len == 0 || message_plain_has(text, k))
		return text.len > 0;
	if (text.len == len)
		return false;
	if (len <= LOOK_MOST) {
		text = account_look(m->a, r->segment, from, len, (size_t)len,
		    room);
		return message_plain_has(text, k);
	}
	p = account_map(m->a, r->segment, from, len, &why);
	return p != NULL && message_plain_has(span_make(p, (size_t)len), k);
}

static bool
parts_have(struct mailbox *m, const struct record *r,
    const struct message_cache *c, const struct message_key *k)
{
	uint64_t at, len;

	for (size_t i = 0; message_cache_plain(c, i, &at, &len); i++) {
		if (at > r->len || len > r->len - at)
			break;
		if (segment_has(m, r, at, len, k))
			return true;
	}
	return false;
}

/* What the whole message says of a word, where all words of its text stand in
 * it as they are: one look at it answers both ways. */
static int
words_say(struct mailbox *m, uint32_t i, const struct message_cache *c,
    const struct message_key *k)
{
	const struct record *r = record_at(m, i);
	uint64_t at, len;
	char room[LOOK_MOST];
	struct span all = account_look(m->a, r->segment, r->offset +
	    PACKED_MESSAGE_HEADER, r->len, (size_t)r->len, room);

	if (all.len == 0)
		return 0;
	for (size_t n = 0; message_cache_plain(c, n, &at, &len); n++) {
		if (at > all.len || len > all.len - at)
			return 0;
		if (message_plain_has(span_sub(all, (size_t)at, (size_t)len),
		    k))
			return 1;
	}
	/* Who takes it apart tells of damage. */
	if (!message_lacks_word(all, k) ||
	    (!mailbox_was_checked(m, i, CHECKED_BYTES) &&
	    crc32c(0, all.p, all.len) != r->crc))
		return 0;
	mailbox_set_checked(m, i, CHECKED_BYTES);
	return -1;
}

int
mailbox_has_plain(struct mailbox *m, uint32_t uid,
    const struct message_cache *c, const struct message_key *k)
{
	uint32_t i = record_find(m, uid);
	const struct record *r;
	bool stand;

	if (!k->plain || m->md != NULL || i >= record_count(m) ||
	    (r = record_at(m, i))->uid != uid || r->flags & RECORD_ZSTD)
		return 0;
	stand = k->word && c->flags & MESSAGE_WORDS_STAND &&
	    r->len <= LOOK_MOST;
	if ((!stand || r->len > LOOK_WHOLE) && parts_have(m, r, c, k))
		return 1;
	return stand ? words_say(m, i, c, k) : 0;
}
