/* SPDX-License-Identifier: ISC */
/*
 * storeops - an account under change, for the test that cuts the power.
 *
 *	storeops run FORMAT BASE SEED
 *
 * appends, delivers (packed), flags, expunges, undeletes, copies, moves and
 * purges at random in two mailboxes, subscribes and annotates, and takes a third
 * mailbox through its life (steps[]), until standard input ends.  FORMAT is
 * packed, maildir, or zstd: packed, compressed.  What it says, a line each, to
 * which an empty line is waited for:
 *
 *	touch BOX UID ...	these are about to be changed or to go
 *	seen BOX UID TAG ...	these UIDs were given to messages
 *	ack STATE		all so far is durable, and the account is this
 *
 *	storeops dump FORMAT BASE
 *
 * says "state STATE", appends to each mailbox and says "new BOX UID" and "end".
 * A STATE is, for each mailbox: "BOX uidvalidity uidnext modseq", and for each
 * message "UID:FLAGS:TAG"; TAG is 0 when its bytes, or what is kept of them, are
 * damaged.  Before them comes "ROUND:SUBSCRIPTIONS:STATE:QUOTA:THIRD": the
 * annotation counts rounds, each round subscribes to, or unsubscribes from, the
 * next of SUBS names, sets a quota that is the round's number, and takes the
 * third mailbox one step further, which is then
 * "NAME,MESSAGES,USE,COMMENT,IDENTIFIER=RIGHTS", or "-".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/num.h"
#include "mail/message_cache.h"
#include "store/account.h"
#include "store/compress.h"
#include "store/mailbox.h"
#include "store/store.h"

#define SUBS	7
#define QUOTA	((uint64_t)1 << 40)	/* bytes, and the number of the round */
#define KEPT	60	/* messages in a mailbox: above, some are expunged */

static struct why why;
static struct account *account;
static struct store *store;		/* for deliveries, or NULL */
static const char *base_dir;
static uint32_t boxes[2], state;
static unsigned last_tag, rounds;
static bool waits;

static uint32_t
any(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(state >> 4) * n >> 28);
}

static void
need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "storeops: %s: %s\n", what, why.text);
	exit(1);
}

/* What was said is noted before we go on. */
static void
wait_noted(void)
{
	char line[16];

	fflush(stdout);
	if (waits && fgets(line, sizeof(line), stdin) == NULL)
		exit(0);
}

static void
open_all(const char *format, const char *base)
{
	struct account_options o = {
		.flags = STORE_MAKE_BASE, .base = base, .path = "user",
		.owner = "user", .hostname = "h", .depth_limit = 9,
		.quota = { QUOTA_UNLIMITED, QUOTA_UNLIMITED, QUOTA_UNLIMITED },
		.count_limit = 99, .own_quota = true, .special_use = "Flagged",
	};
	const struct account_box *b;

	if (strcmp(format, "zstd") == 0) {
		format = "packed";
		o.compression = compress_level("zstd");
	}
	o.expunge_delay_s = 86400;
	need(store_format_parse(span_of(format), &o.format) == 0, "format");
	if (o.format == STORE_PACKED) {
		struct store_options so = { .open_max = 2, .hostname = "h",
		    .parse = true, .compression = o.compression };

		store = store_new(&so);
		base_dir = base;
	}
	account_warm();
	account = account_open(&o, &why);
	need(account != NULL, "account_open");
	boxes[0] = ACCOUNT_INBOX;
	b = account_find(account, SPAN("x"));
	if (b != NULL)
		boxes[1] = b->box;
	else
		need(account_create(account, SPAN("x"), 0, &boxes[1],
		    &why) == 0, "create");
}

/* --- what is there ------------------------------------------------------------------ */

static unsigned
tag_of(struct mailbox *m, uint32_t uid)
{
	struct mailbox_content c;
	unsigned tag = 0, len = 0;

	if (mailbox_content(m, uid, &c, &why) == 0) {
		const char *at = memmem(c.bytes.p, c.bytes.len, "Tag: ", 5);

		if (at == NULL || sscanf(at + 5, "%u %u", &tag, &len) != 2 ||
		    c.bytes.len < len)
			tag = 0;
	}
	mailbox_content_done(&c);
	return tag;
}

/* --- the third mailbox ------------------------------------------------------------- */

static const struct account_box *
third(void)
{
	const struct account_box *b = account_find(account, SPAN("t"));

	if (b == NULL || b->box == 0)
		b = account_find(account, SPAN("t2"));
	return b != NULL && b->box != 0 ? b : NULL;
}

static bool
put_right(void *arg, struct span ident, unsigned rights)
{
	(void)arg;
	if (!span_is(ident, "user"))
		printf(",%.*s=%u", SPAN_ARG(ident), rights);
	return true;
}

static void
put_third(void)
{
	const struct account_box *b = third();
	struct buf text = BUF_INIT(100);
	struct mailbox_status st;

	if (b == NULL) {
		printf(":-");
		return;
	}
	need(account_status(account, b->box, &st, &why) == 0, "status");
	need(account_metadata_get(account, b->box, SPAN("/shared/comment"),
	    &text, &why) >= 0, "metadata");
	printf(":%s,%u,%u,%s", b->name, st.messages, b->special, text.data);
	account_acl_each(account, b->box, put_right, NULL);
	buf_fini(&text);
}

static int
step_create(uint32_t *box)
{
	return account_create(account, SPAN("t"), 0, box, &why);
}

static int
step_append(uint32_t *box)
{
	struct append *ap = append_begin(account, *box, NULL, 0,
	    &why);
	struct append_info info = { .flags = STORE_SEEN };
	struct uid_result r;
	int rc = ap != NULL && append_next(ap, &info, &why) == 0 &&
	    append_data(ap, SPAN("Subject: t\n\nt\n"), &why) == 0 ?
	    append_commit(ap, &r, &why) : -1;

	append_free(&ap);
	return rc;
}

static int
step_share(uint32_t *box)
{
	return account_acl_set(account, *box, SPAN("bob"), 0,
	    RIGHT_LOOKUP | RIGHT_READ, &why);
}

static int
step_annotate(uint32_t *box)
{
	return account_metadata_set(account, *box, SPAN("/shared/comment"),
	    SPAN("c"), &why);
}

static int
step_rename(uint32_t *box)
{
	(void)box;
	return account_rename(account, SPAN("t"), SPAN("t2"), &why);
}

static int
step_use(uint32_t *box)
{
	return account_set_special(account, *box, USE_FLAGGED, &why);
}

static int
step_share_more(uint32_t *box)
{
	return account_acl_set(account, *box, SPAN("bob"), '+', RIGHT_SEEN,
	    &why);
}

static int
step_unshare(uint32_t *box)
{
	return account_acl_set(account, *box, SPAN("bob"), 0, 0, &why);
}

static int
step_delete(uint32_t *box)
{
	(void)box;
	return account_delete(account, SPAN("t2"), &why);
}

static int
step_undelete(uint32_t *box)
{
	(void)box;
	return account_undelete(account, SPAN("t2"), &why);
}

/* What a round does with it; tests/system/test_crash_store.py knows what it is
 * after each. */
static int (*const steps[])(uint32_t *box) = {
	step_create, step_append, step_share, step_annotate, step_rename,
	step_use, step_share_more, step_delete, step_undelete, step_unshare,
	step_delete,
};

/* "ROUND:SUBSCRIPTIONS:STATE:QUOTA:THIRD" */
static void
put_list(void)
{
	struct store_quota quota;
	struct buf b = BUF_INIT(100);
	struct account_state now;
	char name[8];

	need(account_metadata_get(account, 0, SPAN("/private/round"), &b,
	    &why) >= 0, "metadata");
	printf(" %s:", b.len > 0 ? b.data : "0");
	for (unsigned i = 0; i < SUBS; i++) {
		const struct account_box *box;

		snprintf(name, sizeof(name), "s%u", i);
		box = account_find(account, span_of(name));
		printf("%d", box != NULL && box->flags & BOX_SUBSCRIBED);
	}
	/* Told, but perhaps not durable: it may not be told again. */
	need(account_changes(account, NULL, &now, NULL, NULL, &why) >= 0,
	    "changes");
	printf(":%llu", (unsigned long long)now.number);
	need(account_limits(account, &quota, &why) == 0, "limits");
	printf(":%llu", quota.storage == QUOTA_UNLIMITED ? 0ULL :
	    (unsigned long long)(quota.storage - QUOTA));
	put_third();
	buf_fini(&b);
}

static void
change_list(void)
{
	struct store_quota quota = { .storage = QUOTA + rounds + 1,
	    .messages = QUOTA_UNSET, .mailboxes = QUOTA_UNSET };
	const struct account_box *box = third();
	uint32_t number = box != NULL ? box->box : 0;
	char name[8], text[16];

	need(account_quota_set(account, &quota, &why) == 0, "quota");
	need(steps[rounds % ARRAY_LEN(steps)](&number) == 0, "step");
	snprintf(name, sizeof(name), "s%u", rounds % SUBS);
	box = account_find(account, span_of(name));
	need(account_subscribe(account, span_of(name), box == NULL ||
	    !(box->flags & BOX_SUBSCRIBED), &why) == 0, "subscribe");
	snprintf(text, sizeof(text), "%u", ++rounds);
	need(account_metadata_set(account, 0, SPAN("/private/round"),
	    span_of(text), &why) == 0, "metadata");
}

/* Whether the record of a message is its own. */
static bool
is_kept(struct mailbox *m, uint32_t uid, unsigned tag)
{
	struct mailbox_content c;
	struct message_cache rec;
	char want[16];
	bool ok;

	if (mailbox_cache(m, uid, MESSAGE_CACHE_ALL, &c, &rec, &why) < 0)
		return false;
	snprintf(want, sizeof(want), "%u", tag);
	ok = span_is(rec.base_subject, want);
	mailbox_content_done(&c);
	return ok;
}

static void
put_state(void)
{
	struct mailbox_message msg;

	put_list();

	for (int i = 0; i < 2; i++) {
		struct mailbox *m = mailbox_open(account, boxes[i],
		    MAILBOX_READONLY, &why);

		need(m != NULL, "mailbox_open");
		printf(" %d %u %u %llu", i, mailbox_uidvalidity(m),
		    mailbox_uidnext(m),
		    (unsigned long long)mailbox_modseq(m));
		for (uint32_t n = 1; n <= mailbox_count(m); n++) {
			unsigned tag;

			need(mailbox_message(m, n, &msg), "message");
			tag = tag_of(m, msg.uid);
			printf(" %u:%x:%u", msg.uid, msg.flags & 0x1f,
			    is_kept(m, msg.uid, tag) ? tag : 0);
		}
		mailbox_close(&m);
	}
	printf("\n");
}

/* --- changes ------------------------------------------------------------------------- */

static void
make_text(struct buf *b)
{
	unsigned len = any(4) == 0 ? any(100000) : any(3000);

	buf_addf(b, "Tag: %u %u\nSubject: %u\n\n", last_tag + 1, len,
	    last_tag + 1);
	last_tag++;
	while (b->len < len)
		buf_addf(b, "%u %u\n", last_tag, (unsigned)any(1u << 20));
}

/* So many that a digest is worth while after two of these. */
static void
deliver(struct mailbox *m)
{
	struct store_place p = { .format = STORE_PACKED, .base = base_dir,
	    .path = "user", .flags = STORE_MAKE_BASE, .uid = geteuid(),
	    .gid = getegid() };
	uint32_t uid = mailbox_uidnext(m), n = 30 + any(20);

	for (uint32_t k = 0; k < n; k++) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);
		struct store_content c;
		char id[32];
		struct store_message msg = { .rcpt = SPAN("u@example.test"),
		    .content = &c };

		make_text(&b);
		snprintf(id, sizeof(id), "Q%u", last_tag);
		msg.queue_id = span_of(id);
		store_content_of(&c, buf_span(&b));
		need(store_deliver(store, &p, &msg, &why) == 0, "deliver");
		store_content_fini(&c);
		buf_fini(&b);
	}
	store_settle(store);
	printf("seen 0");
	for (uint32_t k = 0; k < n; k++)
		printf(" %u %u", uid + k, last_tag - n + 1 + k);
	printf("\n");
	wait_noted();
}

static void
sync_deliveries(void)
{
	struct store_sync *y;

	if (store == NULL || !store_dirty(store))
		return;
	y = store_sync_begin(store);
	need(store_sync_run(y, &why) == 0, "syncfs");
	store_sync_free(&y);
	store_synced(store);
}

static void
append(int i, unsigned count)
{
	struct append *ap = append_begin(account, boxes[i], NULL, 0,
		    &why);
	struct append_info info = { .flags = any(32) & ~(uint32_t)STORE_DELETED };
	unsigned first = last_tag + 1;
	struct uid_result r = { 0 };

	need(ap != NULL, "append_begin");
	for (unsigned k = 0; k < count; k++) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);

		make_text(&b);
		need(append_next(ap, &info, &why) == 0 &&
		    append_data(ap, buf_span(&b), &why) == 0, "append");
		buf_fini(&b);
	}
	need(append_commit(ap, &r, &why) == 0, "append_commit");
	printf("seen %d", i);
	for (size_t k = 0; k < r.to->len; k++)
		for (uint32_t u = r.to->v[k].lo; u <= r.to->v[k].hi; u++)
			printf(" %u %u", u, first++);
	printf("\n");
	wait_noted();
	append_free(&ap);
}

static void
choose(struct mailbox *m, int i, uint32_t one_in, struct ranges *out)
{
	*out = (struct ranges){ .v = NULL };
	printf("touch %d", i);
	for (uint32_t n = 1; n <= mailbox_count(m); n++) {
		uint32_t uid = mailbox_uid(m, n);

		if (any(one_in) != 0)
			continue;
		ranges_add(out, uid, uid);
		printf(" %u", uid);
	}
	printf("\n");
	wait_noted();
}

static void
say_copies(int to, const unsigned *tags, size_t left,
    const struct uid_result *r)
{

	printf("seen %d", to);
	for (size_t k = 0; k < r->to->len; k++)
		for (uint32_t u = r->to->v[k].lo; u <= r->to->v[k].hi &&
		    left > 0; u++, left--)
			printf(" %u %u", u, *tags++);
	printf("\n");
	wait_noted();
}

static void
transfer(struct mailbox *m, int i, bool move)
{
	ARRAY(unsigned) tags = ARRAY_EMPTY;
	struct ranges set;
	struct uid_result r = { 0 };

	choose(m, i, 8, &set);
	for (size_t k = 0; k < set.len; k++)
		for (uint32_t u = set.v[k].lo; u <= set.v[k].hi; u++)
			*ARRAY_PUSH(&tags) = tag_of(m, u);
	need((move ? mailbox_move : mailbox_copy)(m, &set, account,
	    boxes[1 - i], &r, &why) == 0, "copy");
	say_copies(1 - i, tags.v, tags.len, &r);
	ARRAY_FINI(&tags);
	ranges_fini(&set);
}

static void
undelete(struct mailbox *m, int i)
{
	ARRAY(unsigned) tags = ARRAY_EMPTY;
	struct ranges set = RANGES_INIT;
	struct mailbox_changes c;
	struct uid_result r = { 0 };
	uint32_t next = mailbox_uidnext(m);

	ranges_add(&set, 1 + any(next), next);
	need(mailbox_undelete(m, &set, &r, &why) == 0, "undelete");
	ranges_fini(&set);
	for (size_t k = 0; k < r.to->len; k++)
		ranges_add(&set, r.to->v[k].lo, r.to->v[k].hi);
	need(mailbox_refresh(m, 0, &c, &why) >= 0, "refresh");
	for (size_t k = 0; k < set.len; k++)
		for (uint32_t u = set.v[k].lo; u <= set.v[k].hi; u++)
			*ARRAY_PUSH(&tags) = tag_of(m, u);
	r.to = &set;
	say_copies(i, tags.v, tags.len, &r);
	ARRAY_FINI(&tags);
	ranges_fini(&set);
}

static void
one_change(void)
{
	int i = (int)any(2);
	struct account_purged purged;
	struct expunge_result ex;
	struct flags_result fr;
	struct ranges set;
	struct mailbox *m = mailbox_open(account, boxes[i], 0, &why);
	uint32_t what = any(12);

	need(m != NULL, "mailbox_open");
	if (mailbox_count(m) > KEPT)
		what = 9;
	if (what < 4 && i == 0 && store != NULL && any(2) == 0) {
		deliver(m);
	} else if (what < 4) {
		append(i, 1 + any(3));
	} else if (what < 7) {
		struct flags_request rq = { .uids = &set,
		    .op = (enum flags_op)any(3), .flags = any(32),
		    .unchanged_since = UINT64_MAX };

		choose(m, i, 3, &set);
		need(mailbox_store_flags(m, &rq, &fr, &why) == 0, "flags");
		ranges_fini(&set);
	} else if (what < 9) {
		transfer(m, i, what == 8);
	} else if (what < 11) {
		choose(m, i, 4, &set);
		need(mailbox_expunge(m, &set, true, &ex, &why) == 0,
		    "expunge");
		ranges_fini(&set);
	}
	if (what == 11 && any(6) == 0 && mailbox_count(m) < KEPT / 2)
		undelete(m, i);
	mailbox_close(&m);
	if (what == 11 && any(4) == 0)
		need(account_purge(account, &purged, &why) == 0, "purge");
}

NORETURN static void
run(void)
{
	waits = true;
	for (;;) {
		for (unsigned n = 1 + any(4); n > 0; n--)
			one_change();
		change_list();
		need(account_sync(account, &why) == 0, "sync");
		sync_deliveries();
		printf("ack");
		put_state();
		wait_noted();
		while (store != NULL && store_tidy(store, true))
			;
	}
}

static int
dump(void)
{
	printf("state");
	put_state();
	for (int i = 0; i < 2; i++) {
		printf("new %d ", i);
		last_tag = 1000000;
		append(i, 1);
	}
	need(account_sync(account, &why) == 0, "sync");
	printf("end\n");
	return 0;
}

int
main(int argc, char **argv)
{
	bool running = argc == 5 && strcmp(argv[1], "run") == 0;
	uint64_t seed = 0;
	int rc;

	if (!running && (argc != 4 || strcmp(argv[1], "dump") != 0)) {
		fprintf(stderr, "usage: storeops run FORMAT BASE SEED | "
		    "dump FORMAT BASE\n");
		return 2;
	}
	if (running)
		need(num_parse_u64(span_of(argv[4]), UINT32_MAX, &seed) == 0,
		    "seed");
	state = (uint32_t)seed;
	open_all(argv[2], argv[3]);
	if (running)
		run();
	rc = dump();
	account_close(&account);
	store_free(&store);
	return rc;
}
