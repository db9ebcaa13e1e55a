/* SPDX-License-Identifier: ISC */
/*
 * account_metadata - annotations of mailboxes and of the account (RFC 5464).
 *
 * What is below /shared belongs to the mailbox; what is below /private to the
 * mailbox and the user.  The owner's is kept under its name, another user's
 * under "/user3:bob/comment", which no client can say.  /private/specialuse is
 * the mailbox's special uses (RFC 6154 4), and kept nowhere else.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "store/account_internal.h"

#define METADATA_MAX	65536u	/* bytes of a value */
#define METADATA_COUNT	1000u	/* entries in an account */

#define PRIVATE		SPAN("/private")
#define SPECIAL_USE	SPAN("/private/specialuse")
#define ADMIN		SPAN("/shared/admin")

static bool
is_private(struct span entry)
{
	return span_casestarts(entry, PRIVATE) &&
	    (entry.len == PRIVATE.len || entry.p[PRIVATE.len] == '/');
}

/* What stands for "/private" in the names of the acting user's entries. */
static void
put_prefix(const struct account *a, struct buf *b)
{
	if (account_is_owner(a))
		buf_add_span(b, PRIVATE);
	else
		buf_addf(b, "/user%zu:%s", strlen(a->opt.user), a->opt.user);
}

/* Append the name under which an entry is kept. */
static void
put_kept(const struct account *a, struct span entry, struct buf *b)
{
	if (is_private(entry)) {
		put_prefix(a, b);
		entry = span_from(entry, PRIVATE.len);
	}
	buf_add_span(b, entry);
}

/* The other way round; false: it is another user's. */
static bool
put_shown(const struct account *a, struct span kept, struct buf *b)
{
	struct buf prefix = BUF_INIT(BUF_UNLIMITED);
	bool ours = span_casestarts(kept, SPAN("/shared"));

	if (ours) {
		buf_add_span(b, kept);
		return true;
	}
	put_prefix(a, &prefix);
	ours = span_casestarts(kept, buf_span(&prefix)) &&
	    kept.len > prefix.len && kept.p[prefix.len] == '/';
	if (ours) {
		buf_add_span(b, PRIVATE);
		buf_add_span(b, span_from(kept, prefix.len));
	}
	buf_fini(&prefix);
	return ours;
}

/* RFC 5464 3.3: "l" and one of "r", "s", "w", "i" and "p". */
static int
need(struct account *a, uint32_t box, struct why *why)
{
	unsigned r;

	if (box == 0)
		return account_is_owner(a) ? 0 : account_say(a, ACCOUNT_NOPERM,
		    why, "permission denied");
	r = account_rights(a, box);
	if (!(r & RIGHT_LOOKUP))
		return account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
	return r & (RIGHT_READ | RIGHT_SEEN | RIGHT_WRITE | RIGHT_INSERT |
	    RIGHT_POST) ? 0 : account_say(a, ACCOUNT_NOPERM, why,
	    "permission denied");
}

int
account_metadata_may(struct account *a, uint32_t box, struct why *why)
{
	a = account_at(a, &box);
	return need(a, box, why);
}

/* --- special uses ------------------------------------------------------------------ */

/* "\\Drafts \\Sent"; false: it has none.  Another user has uses of his own. */
static bool
put_uses(struct account *a, uint32_t box, struct buf *out)
{
	const struct acct_box *b = account_box_by_id(a, box);
	const char *sep = "";

	if (b == NULL || b->special == 0 || !account_is_owner(a))
		return false;
	for (unsigned bit = 1; bit <= b->special; bit <<= 1) {
		if (b->special & bit) {
			buf_addf(out, "%s%s", sep, account_use_name(bit));
			sep = " ";
		}
	}
	return true;
}

/* RFC 6154 4: as for CREATE.  A view of other mailboxes is no use for one that
 * holds messages. */
static int
check_uses(struct account *a, uint32_t box, struct span value, unsigned *uses,
    struct why *why)
{
	struct span word;
	unsigned one;

	*uses = 0;
	while (span_token(&value, " ", &word)) {
		one = account_use_parse(word);
		if (one == 0 || one & (USE_ALL | USE_FLAGGED))
			return account_say(a, ACCOUNT_CANNOT, why,
			    "%.*s is no use that a mailbox can be given",
			    SPAN_ARG(span_sub(word, 0, MIN(word.len, 32))));
		*uses |= one;
	}
	if (!account_is_owner(a) || box == 0 ||
	    (box == ACCOUNT_INBOX && *uses != 0))
		return account_say(a, ACCOUNT_CANNOT, why, "this mailbox "
		    "cannot have a special use");
	return 0;
}

static void
set_uses(struct account *a, uint32_t box, unsigned uses)
{
	struct acct_box now = *account_box_by_id(a, box);

	account_take_special(a, uses, box);
	now.special = uses;
	account_put_box(a, &now);
}

/* --- looking ----------------------------------------------------------------------- */

int
account_metadata_get(struct account *a, uint32_t box, struct span entry,
    struct buf *out, struct why *why)
{
	struct buf kept = BUF_INIT(BUF_UNLIMITED);
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	const struct buf *value;

	a = account_at(a, &box);
	if (need(a, box, why) < 0)
		return -1;
	if (span_caseeq(entry, SPECIAL_USE))
		return put_uses(a, box, out);
	put_kept(a, entry, &kept);
	account_metadata_key(&key, box, buf_span(&kept));
	value = hash_get(&a->metadata, buf_span(&key));
	buf_fini(&key);
	buf_fini(&kept);
	if (value == NULL)
		return 0;
	buf_add_span(out, buf_span(value));
	return 1;
}

struct entries {
	const struct account *a;
	uint32_t	 box;
	ARRAY(struct account_entry) v;		/* names are copies */
};

static void
collect_entry(struct hash_entry *e, void *arg)
{
	struct buf name = BUF_INIT(BUF_UNLIMITED);
	struct entries *l = arg;

	if (e->key.len > 4 && num_get_le32(e->key.p) == l->box &&
	    put_shown(l->a, span_from(e->key, 4), &name))
		*ARRAY_PUSH(&l->v) = (struct account_entry){
			span_make(span_dup(buf_span(&name)), name.len),
			buf_span(e->value) };
	buf_fini(&name);
}

static int
by_name(const void *x, const void *y)
{
	const struct account_entry *a = x, *b = y;

	return span_cmp(a->name, b->name);
}

void
account_metadata_each(struct account *a, uint32_t box,
    bool (*fn)(void *arg, struct span entry, struct span value), void *arg)
{
	struct buf uses = BUF_INIT(BUF_UNLIMITED);
	struct entries l = { .a = NULL };
	bool more = true;

	l.a = a = account_at(a, &box);
	l.box = box;
	if (need(a, box, NULL) < 0)
		return;
	hash_each(&a->metadata, collect_entry, &l);
	if (put_uses(a, box, &uses))
		*ARRAY_PUSH(&l.v) = (struct account_entry){
			span_make(span_dup(SPECIAL_USE), SPECIAL_USE.len),
			buf_span(&uses) };
	if (l.v.len > 1)
		qsort(l.v.v, l.v.len, sizeof(l.v.v[0]), by_name);
	for (size_t i = 0; i < l.v.len; i++) {
		more = more && fn(arg, l.v.v[i].name, l.v.v[i].value);
		mem_free((void *)(uintptr_t)l.v.v[i].name.p);
	}
	ARRAY_FINI(&l.v);
	buf_fini(&uses);
}

/* --- setting ----------------------------------------------------------------------- */

static void
put_record(struct account *a, uint32_t box, struct span kept,
    struct span value)
{
	struct buf v = BUF_INIT(BUF_UNLIMITED);
	uint8_t h[8];

	num_put_le32(h, box);
	num_put_le16(h + 4, (uint16_t)kept.len);
	num_put_le16(h + 6, value.p != NULL);
	buf_add(&v, h, sizeof(h));
	buf_add_span(&v, kept);
	buf_add_span(&v, value);
	packed_put(a->list, PACKED_METADATA, buf_span(&v));
	buf_fini(&v);
}

static int
check_entry(struct account *a, uint32_t box, const struct account_entry *e,
    struct why *why)
{
	unsigned uses;

	if (e->name.len == 0 || e->name.len > ACCOUNT_ENTRY_MAX ||
	    e->value.len > METADATA_MAX)
		return account_say(a, ACCOUNT_LIMIT, why, "the annotation is "
		    "too large");
	if (span_caseeq(e->name, SPECIAL_USE))
		return check_uses(a, box, e->value, &uses, why);
	/* RFC 5464 3.2.1.1: "clients cannot change it". */
	if (box == 0 && span_caseeq(e->name, ADMIN))
		return account_say(a, ACCOUNT_NOPERM, why, "this annotation "
		    "is read-only");
	if (box != 0 && !is_private(e->name))
		return account_need(a, box, RIGHT_WRITE, why);
	return 0;
}

int
account_metadata_set_all(struct account *a, uint32_t box,
    const struct account_entry *v, size_t n, struct why *why)
{
	struct buf kept = BUF_INIT(BUF_UNLIMITED);
	const struct acct_box *b;
	size_t more = 0;
	unsigned uses;
	int rc = -1;

	a = account_at(a, &box);
	if (account_lock(a, why) < 0)
		return -1;
	b = account_box_by_id(a, box);
	if (box != 0 && (b == NULL || b->gone)) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
		goto out;
	}
	if (need(a, box, why) < 0)
		goto out;
	/* RFC 5464 4.3: all of them or none. */
	for (size_t i = 0; i < n; i++) {
		if (check_entry(a, box, &v[i], why) < 0)
			goto out;
		more += v[i].value.p != NULL;
	}
	if (more > 0 && a->metadata.count + more > METADATA_COUNT) {
		(void)account_say(a, ACCOUNT_LIMIT, why, "too many "
		    "annotations");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		if (span_caseeq(v[i].name, SPECIAL_USE)) {
			(void)check_uses(a, box, v[i].value, &uses, NULL);
			set_uses(a, box, uses);
			continue;
		}
		buf_reset(&kept);
		put_kept(a, v[i].name, &kept);
		put_record(a, box, buf_span(&kept), v[i].value);
	}
	rc = account_flush(a, why);
	/* RFC 7162 3.2: the mailbox's MODSEQ grows; set_uses() may have moved
	 * the boxes. */
	if (rc == 0 && box != 0 && n > 0 &&
	    (b = account_box_by_id(a, box)) != NULL)
		account_note_name(a, box, span_of(b->name));
out:
	account_unlock(a);
	buf_fini(&kept);
	return rc;
}

int
account_metadata_set(struct account *a, uint32_t box, struct span entry,
    struct span value, struct why *why)
{
	const struct account_entry e = { entry, value };

	return account_metadata_set_all(a, box, &e, 1, why);
}

struct copy {
	struct account	*a;
	uint32_t	 from, to;
	size_t		 n;
};

static void
count_entry(struct hash_entry *e, void *arg)
{
	struct copy *c = arg;

	c->n += num_get_le32(e->key.p) == c->from;
}

static void
copy_entry(struct hash_entry *e, void *arg)
{
	struct copy *c = arg;

	if (num_get_le32(e->key.p) == c->from)
		put_record(c->a, c->to, span_from(e->key, 4),
		    buf_span(e->value));
}

int
account_metadata_copy(struct account *a, uint32_t from, uint32_t to,
    struct why *why)
{
	struct copy c = { a, from, to, 0 };
	int rc;

	if (account_lock(a, why) < 0)
		return -1;
	hash_each(&a->metadata, count_entry, &c);
	/* Where there is no room the copy goes without. */
	if (c.n > 0 && a->metadata.count + c.n <= METADATA_COUNT)
		hash_each(&a->metadata, copy_entry, &c);
	rc = account_flush(a, why);
	account_unlock(a);
	return rc;
}

/* --- what has changed -------------------------------------------------------------- */

uint64_t
account_metadata_changes(const struct account *a)
{
	return a->meta_changes;
}

void
account_metadata_since(const struct account *a, uint64_t since,
    void (*fn)(void *arg, uint32_t box, const char *entry), void *arg)
{
	uint64_t first = a->meta_changes > ACCOUNT_METADATA_TOLD ?
	    a->meta_changes - ACCOUNT_METADATA_TOLD : 0;
	struct buf name = BUF_INIT(BUF_UNLIMITED);

	for (uint64_t n = MAX(since, first); n < a->meta_changes; n++) {
		size_t i = n % ACCOUNT_METADATA_TOLD;

		/* The records were read anew, after damage. */
		if (a->meta_keys[i] == NULL)
			continue;
		buf_reset(&name);
		if (put_shown(a, span_of(a->meta_keys[i]), &name))
			fn(arg, a->meta_boxes[i], name.data);
	}
	buf_fini(&name);
}
