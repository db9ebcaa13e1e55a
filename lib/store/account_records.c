/* SPDX-License-Identifier: ISC */
/*
 * account_records - the state of an account's list, record by record.
 *
 * What is said last holds.  A record that makes no sense (a damaged or
 * hostile journal) is passed over.
 */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "store/account_internal.h"

#define BOX_FIXED	32

static int
find_box(const struct account *a, uint32_t box, size_t *at)
{
	size_t lo = 0, hi = a->boxes.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (a->boxes.v[mid].box < box)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return lo < a->boxes.len && a->boxes.v[lo].box == box;
}

struct acct_box *
account_box_by_id(struct account *a, uint32_t box)
{
	size_t at;

	return find_box(a, box, &at) ? &a->boxes.v[at] : NULL;
}

static void
apply_box(struct account *a, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct acct_box *b;
	struct span name;
	size_t at;

	if (in.len < BOX_FIXED || num_get_le32(p) == 0)
		return;
	/* By another name nobody would find it. */
	name = account_canon(span_from(in, BOX_FIXED));
	if (name.len == 0 || name.len > ACCOUNT_NAME_MAX || span_has_nul(name))
		return;
	if (!find_box(a, num_get_le32(p), &at)) {
		(void)ARRAY_PUSH(&a->boxes);
		memmove(&a->boxes.v[at + 1], &a->boxes.v[at],
		    (a->boxes.len - 1 - at) * sizeof(a->boxes.v[0]));
		memset(&a->boxes.v[at], 0, sizeof(a->boxes.v[at]));
	}
	b = &a->boxes.v[at];
	mem_free(b->name);
	b->box = num_get_le32(p);
	b->flags = num_get_le32(p + 4) & BOX_NOSELECT;
	b->special = num_get_le32(p + 8);
	b->uidvalidity = num_get_le32(p + 12);
	memcpy(b->mailboxid, p + 16, 16);
	b->name = span_dup(name);
	b->gone = b->purged = false;
}

static void
free_buf(void *arg)
{
	struct buf *b = arg;

	if (b != NULL) {
		buf_fini(b);
		mem_free(b);
	}
}

struct of_box {
	struct hash	*metadata;
	uint32_t	 box;
};

static void
forget_metadata(struct hash_entry *e, void *arg)
{
	const struct of_box *o = arg;

	if (num_get_le32(e->key.p) == o->box)
		free_buf(hash_del(o->metadata, e->key));
}

/* A mailbox that nobody can have back: others need the room. */
static void
forget_box(struct account *a, struct acct_box *b)
{
	struct of_box of = { &a->metadata, b->box };
	size_t keep = 0;

	b->purged = true;
	b->special = 0;
	for (size_t i = 0; i < a->rights.len; i++) {
		if (a->rights.v[i].box != b->box)
			a->rights.v[keep++] = a->rights.v[i];
		else
			mem_free(a->rights.v[i].ident);
	}
	a->rights.len = keep;
	hash_each(&a->metadata, forget_metadata, &of);
}

static void
apply_gone(struct account *a, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct acct_box *b;

	if (in.len < 16 || (b = account_box_by_id(a,
	    num_get_le32(p))) == NULL || b->box == ACCOUNT_INBOX)
		return;
	b->gone = true;
	b->gone_us = (int64_t)num_get_le64(p + 8);
	if (num_get_le32(p + 4) != 0)
		forget_box(a, b);
}

static void
apply_subscribed(struct account *a, struct span in)
{
	struct span name = account_canon(span_from(in, 4));

	if (in.len < 5 || name.len > ACCOUNT_NAME_MAX || span_has_nul(name))
		return;
	if (num_get_le32(in.p))
		(void)hash_enter(&a->subscribed, name, NULL);
	else
		(void)hash_del(&a->subscribed, name);
}

void
account_metadata_key(struct buf *key, uint32_t box, struct span entry)
{
	uint8_t n[4];

	num_put_le32(n, box);
	buf_add(key, n, sizeof(n));
	for (size_t i = 0; i < entry.len; i++) {
		char c = entry.p[i];

		buf_add_char(key, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
}

static void
note_metadata(struct account *a, uint32_t box, struct span entry)
{
	size_t i = a->meta_changes++ % ACCOUNT_METADATA_TOLD;

	mem_free(a->meta_keys[i]);
	a->meta_keys[i] = span_dup(entry);
	a->meta_boxes[i] = box;
}

static void
apply_metadata(struct account *a, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct buf key = BUF_INIT(BUF_UNLIMITED), *value;
	size_t n;

	if (in.len < 8 || (n = num_get_le16(p + 4)) > in.len - 8)
		return;
	account_metadata_key(&key, num_get_le32(p), span_sub(in, 8, n));
	if (num_get_le16(p + 6)) {
		value = mem_alloc(sizeof(*value));
		*value = BUF_INIT(BUF_UNLIMITED);
		buf_add_span(value, span_from(in, 8 + n));
		free_buf(hash_put(&a->metadata, buf_span(&key), value));
	} else {
		free_buf(hash_del(&a->metadata, buf_span(&key)));
	}
	note_metadata(a, num_get_le32(p), span_from(buf_span(&key), 4));
	buf_fini(&key);
}

static void
apply_acl(struct account *a, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct span ident = span_from(in, 8);
	uint32_t box, rights;
	size_t i;

	if (in.len < 9 || ident.len > ACCOUNT_IDENT_MAX + 1 ||
	    span_has_nul(ident))
		return;
	box = num_get_le32(p);
	rights = num_get_le32(p + 4) & RIGHT_ALL;
	for (i = 0; i < a->rights.len; i++) {
		if (a->rights.v[i].box == box &&
		    span_is(ident, a->rights.v[i].ident))
			break;
	}
	if (i == a->rights.len) {
		if (rights == 0)
			return;
		*ARRAY_PUSH(&a->rights) = (struct acct_right){
			box, span_dup(ident), rights };
	} else if (rights == 0) {
		/* The others stay in the order in which they are listed. */
		mem_free(a->rights.v[i].ident);
		memmove(&a->rights.v[i], &a->rights.v[i + 1],
		    (--a->rights.len - i) * sizeof(a->rights.v[0]));
	} else {
		a->rights.v[i].rights = rights;
	}
}

void
account_apply(void *arg, const struct packed_record *r, bool own)
{
	struct account *a = arg;

	(void)own;
	switch (r->type) {
	case PACKED_BOX:
		apply_box(a, r->payload);
		break;
	case PACKED_BOX_GONE:
		apply_gone(a, r->payload);
		break;
	case PACKED_SUBSCRIBED:
		apply_subscribed(a, r->payload);
		break;
	case PACKED_METADATA:
		apply_metadata(a, r->payload);
		break;
	case PACKED_ACL:
		apply_acl(a, r->payload);
		break;
	default:
		return;
	}
	a->stale = true;
	a->change++;
	if (a->parent != NULL) {
		a->parent->stale = true;
		a->parent->change++;
	}
}

void
account_records_fini(struct account *a)
{
	for (size_t i = 0; i < a->boxes.len; i++)
		mem_free(a->boxes.v[i].name);
	ARRAY_FINI(&a->boxes);
	for (size_t i = 0; i < a->rights.len; i++)
		mem_free(a->rights.v[i].ident);
	ARRAY_FINI(&a->rights);
	hash_fini(&a->subscribed, NULL);
	hash_fini(&a->metadata, free_buf);
	for (size_t i = 0; i < ACCOUNT_METADATA_TOLD; i++) {
		mem_free(a->meta_keys[i]);
		a->meta_keys[i] = NULL;
	}
	a->stale = true;
}

void
account_put_box(struct account *a, const struct acct_box *b)
{
	struct buf v = BUF_INIT(BUF_UNLIMITED);
	uint8_t h[BOX_FIXED];

	num_put_le32(h, b->box);
	num_put_le32(h + 4, b->flags);
	num_put_le32(h + 8, b->special);
	num_put_le32(h + 12, b->uidvalidity);
	memcpy(h + 16, b->mailboxid, 16);
	buf_add(&v, h, sizeof(h));
	buf_add_str(&v, b->name);
	packed_put(a->list, PACKED_BOX, buf_span(&v));
	buf_fini(&v);
}
