/* SPDX-License-Identifier: ISC */
/*
 * mansio index, search, undelete, purge - looking after what is kept of a
 * user's mail.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cmd/mansio.h"
#include "cmd/store_user.h"
#include "mail/message_text.h"
#include "mail/signature.h"
#include "store/mailbox.h"

/* fn for one mailbox, or for all of them. */
static int
each_box(struct account *a, const char *name,
    int (*fn)(struct account *a, uint32_t box, const char *name,
    struct why *why), struct why *why)
{
	int rc = 0;

	if (name != NULL)
		return fn(a, store_user_box(a, name), name, why);
	for (size_t i = 0; i < account_count(a) && rc == 0; i++) {
		char *s = mem_strdup(account_box(a, i)->name);

		if (account_box(a, i)->box != 0)
			rc = fn(a, account_box(a, i)->box, s, why);
		mem_free(s);
	}
	return rc;
}

static bool found_damage;

static int
verify(struct account *a, uint32_t box, const char *name, struct why *why)
{
	struct mailbox_verified v;

	if (mailbox_verify(a, box, &v, why) < 0)
		return -1;
	printf("%s: %u messages, %u damaged, %u differences between index "
	    "and journal\n", name, (unsigned)v.messages, (unsigned)v.damaged,
	    (unsigned)v.differences);
	found_damage |= v.damaged > 0 || v.differences > 0;
	return 0;
}

static int
rebuild(struct account *a, uint32_t box, const char *name, struct why *why)
{
	if (mailbox_rebuild(a, box, why) < 0)
		return -1;
	printf("%s: rebuilt\n", name);
	return 0;
}

int
mansio_index(int argc, char **argv)
{
	bool check = argc > 1 && strcmp(argv[1], "verify") == 0;
	struct why why = WHY_INIT;
	struct account *a;
	int rc;

	if (argc < 3 || argc > 4 || (!check && strcmp(argv[1], "rebuild") != 0))
		return mansio_usage(argv[0]);
	mansio_load();
	a = store_user_open(argv[2]);
	rc = each_box(a, argc > 3 ? argv[3] : NULL, check ? verify : rebuild,
	    &why);
	rc = store_user_done(&a, rc, &why);
	return rc == MANSIO_OK && found_damage ? MANSIO_FAILED : rc;
}

/* --- search --------------------------------------------------------------------- */

static struct message_key key;
static struct signature_query query;

static int
search(struct account *a, uint32_t box, const char *name, struct why *why)
{
	struct mailbox *m = mailbox_open(a, box, MAILBOX_READONLY, why);

	if (m == NULL)
		return -1;
	for (uint32_t seq = 1; seq <= mailbox_count(m); seq++) {
		uint32_t uid = mailbox_uid(m, seq);
		struct mailbox_content c;
		struct message msg;

		if (!mailbox_maybe(m, uid, &query) ||
		    mailbox_content(m, uid, &c, why) < 0)
			continue;
		message_parse(&msg, c.bytes);
		if (message_has_text(&msg, &key))
			printf("%s\t%u\n", name, (unsigned)uid);
		message_fini(&msg);
		mailbox_content_done(&c);
	}
	mailbox_close(&m);
	return 0;
}

int
mansio_search(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct account *a;
	int rc;

	if (argc < 3 || argc > 4)
		return mansio_usage(argv[0]);
	mansio_load();
	if (message_key_init(&key, span_of(argv[2])) < 0)
		log_fatal("the text is too long");
	signature_query(&query, span_make(key.bytes, key.len));
	a = store_user_open(argv[1]);
	rc = each_box(a, argc > 3 ? argv[3] : NULL, search, &why);
	message_key_fini(&key);
	return store_user_done(&a, rc, &why);
}

/* --- undelete ---------------------------------------------------------------------- */

static void
show_time(int64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	char text[32] = "?";

	if (localtime_r(&t, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s", text);
}

static bool
show_deleted(void *arg, const struct mailbox_deleted *d)
{
	printf("%10u %12llu  ", (unsigned)d->uid,
	    (unsigned long long)d->size);
	show_time(d->date_us);
	printf("  expunged ");
	show_time(d->expunged_us);
	printf("\n");
	return true;
}

static bool
take_deleted(void *arg, const struct mailbox_deleted *d)
{
	ranges_add(arg, d->uid, d->uid);
	return true;
}

/* "3,7:9" or "all". */
static int
parse_uids(struct account *a, uint32_t box, const char *text,
    struct ranges *out, struct why *why)
{
	struct span rest = span_of(text), part;

	if (strcmp(text, "all") == 0)
		return mailbox_deleted(a, box, take_deleted, out, why);
	while (span_token(&rest, ",", &part)) {
		ptrdiff_t colon = span_find(part, ':');
		uint32_t lo, hi;

		if (num_parse_u32(colon < 0 ? part : span_sub(part, 0,
		    (size_t)colon), UINT32_MAX, &lo) < 0 ||
		    num_parse_u32(span_from(part, (size_t)(colon + 1)),
		    UINT32_MAX, &hi) < 0 || lo == 0 || hi < lo)
			return why_set(why, "", "\"%.*s\" is no UID",
			    SPAN_ARG(part));
		ranges_add(out, lo, hi);
	}
	return 0;
}

static int
put_back(struct account *a, uint32_t box, const char *text, struct why *why)
{
	struct ranges uids = RANGES_INIT;
	struct uid_result got;
	struct mailbox *m;
	int rc = parse_uids(a, box, text, &uids, why);

	if (rc == 0) {
		m = mailbox_open(a, box, 0, why);
		rc = m == NULL ? -1 : mailbox_undelete(m, &uids, &got, why);
		if (rc == 0)
			printf("%llu messages are back\n",
			    (unsigned long long)ranges_count(got.to));
		mailbox_close(&m);
	}
	ranges_fini(&uids);
	return rc;
}

int
mansio_undelete(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct account *a;
	int rc;

	if (argc < 3 || argc > 4)
		return mansio_usage(argv[0]);
	mansio_load();
	a = store_user_open(argv[1]);
	if (argc == 4 && strcmp(argv[3], "mailbox") == 0)
		rc = account_undelete(a, span_of(argv[2]), &why);
	else if (argc == 4)
		rc = put_back(a, store_user_box(a, argv[2]), argv[3], &why);
	else
		rc = mailbox_deleted(a, store_user_box(a, argv[2]),
		    show_deleted, NULL, &why);
	return store_user_done(&a, rc, &why);
}

int
mansio_purge(int argc, char **argv)
{
	struct account_purged got;
	struct why why = WHY_INIT;
	struct account *a;
	int rc;

	if (argc != 2)
		return mansio_usage(argv[0]);
	mansio_load();
	a = store_user_open(argv[1]);
	rc = account_purge(a, &got, &why);
	if (rc == 0)
		printf("%u journals and %u segments compacted, %u mailboxes "
		    "removed, %llu bytes given back\n",
		    (unsigned)got.journals, (unsigned)got.segments,
		    (unsigned)got.mailboxes, (unsigned long long)got.bytes);
	return store_user_done(&a, rc, &why);
}
