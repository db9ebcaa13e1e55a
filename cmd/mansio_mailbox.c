/* SPDX-License-Identifier: ISC */
/*
 * mansio mailbox, quota, acl - the mailboxes of a user.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/ranges.h"
#include "cmd/mansio.h"
#include "cmd/store_user.h"
#include "store/mailbox.h"

static int
list(struct account *a, struct why *why)
{
	printf("%10s %10s %12s %s\n", "MESSAGES", "UNSEEN", "SIZE", "MAILBOX");
	for (size_t i = 0; i < account_count(a); i++) {
		struct account_box b = *account_box(a, i);
		struct mailbox_status st;
		char *name = mem_strdup(b.name);

		if (b.box == 0) {
			printf("%10s %10s %12s %s%s\n", "-", "-", "-", name,
			    b.flags & BOX_SUBSCRIBED ? " (subscribed)" : "");
		} else if (account_status(a, b.box, &st, why) < 0) {
			mem_free(name);
			return -1;
		} else {
			printf("%10u %10u %12llu %s%s", st.messages,
			    st.unseen, (unsigned long long)st.size, name,
			    b.flags & BOX_SUBSCRIBED ? " (subscribed)" : "");
			for (unsigned u = 1; u <= USE_IMPORTANT; u <<= 1)
				if (b.special & u)
					printf(" %s", account_use_name(u));
			printf("\n");
		}
		mem_free(name);
	}
	return 0;
}

/* --- changes ---------------------------------------------------------------------- */

struct changes {
	struct account	*a;
	struct why	*why;
	int		 rc;
};

/* What has changed in a mailbox, as numbers. */
static void
show_change(void *arg, const struct account_change *ch)
{
	struct changes *c = arg;
	struct ranges gone = RANGES_INIT;
	unsigned come = 0, changed = 0;
	const struct account_box *b = account_by_id(c->a, ch->box);
	struct mailbox_message msg;
	struct mailbox *m;

	if (ch->box == 0) {
		printf("list\n");
		return;
	}
	if (ch->gone || b == NULL) {
		printf("mailbox %u\tdeleted\n", (unsigned)ch->box);
		return;
	}
	printf("%s\t", b->name);
	m = mailbox_open(c->a, ch->box, MAILBOX_READONLY, c->why);
	if (m == NULL || mailbox_vanished(m, ch->from, &gone, c->why) < 0) {
		c->rc = -1;
	} else {
		for (uint32_t i = 1; mailbox_message(m, i, &msg); i++) {
			come += msg.uid >= ch->uidnext;
			changed += msg.uid < ch->uidnext &&
			    msg.modseq > ch->from;
		}
		ranges_remove(&gone, ch->uidnext, UINT32_MAX);
		printf("%u new, %u changed, %llu gone\n", come, changed,
		    (unsigned long long)ranges_count(&gone));
	}
	ranges_fini(&gone);
	mailbox_close(&m);
}

/* "VALIDITY-NUMBER". */
static int
parse_state(const char *text, struct account_state *out, struct why *why)
{
	struct span s = span_of(text);
	ptrdiff_t at = span_find(s, '-');

	if (at < 0 || num_parse_u32(span_sub(s, 0, (size_t)at), UINT32_MAX,
	    &out->validity) < 0 || num_parse_u64(span_from(s, (size_t)at + 1),
	    UINT64_MAX, &out->number) < 0)
		return why_set(why, "", "\"%s\" is no state: one is what this "
		    "command printed before", text);
	return 0;
}

static int
changes(struct account *a, const char *since, struct why *why)
{
	struct changes c = { a, why, 0 };
	struct account_state from = { 0, 0 }, now;
	int rc;

	if (since != NULL && parse_state(since, &from, why) < 0)
		return -1;
	rc = account_changes(a, &from, &now, show_change, &c, why);
	if (rc < 0 || c.rc < 0)
		return -1;
	if (rc == 0 && since != NULL)
		printf("(that state is not known any more: this is all)\n");
	printf("state\t%u-%llu\n", (unsigned)now.validity,
	    (unsigned long long)now.number);
	return 0;
}

int
mansio_mailbox(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct why why = WHY_INIT;
	struct account *a;
	uint32_t box;
	bool since = strcmp(what, "changes") == 0;
	int want = strcmp(what, "list") == 0 ? 3 : since ? MAX(argc, 3) :
	    strcmp(what, "rename") == 0 ? 5 :
	    strcmp(what, "create") == 0 || strcmp(what, "delete") == 0 ||
	    strcmp(what, "subscribe") == 0 ||
	    strcmp(what, "unsubscribe") == 0 ? 4 : 0;
	int rc;

	if (want == 0 || argc != want || (since && argc > 4))
		return mansio_usage(argv[0]);
	mansio_load();
	a = store_user_open(argv[2]);
	if (strcmp(what, "list") == 0)
		rc = list(a, &why);
	else if (since)
		rc = changes(a, argc > 3 ? argv[3] : NULL, &why);
	else if (strcmp(what, "create") == 0)
		rc = account_create(a, span_of(argv[3]), 0, &box, &why);
	else if (strcmp(what, "delete") == 0)
		rc = account_delete(a, span_of(argv[3]), &why);
	else if (strcmp(what, "rename") == 0)
		rc = account_rename(a, span_of(argv[3]), span_of(argv[4]),
		    &why);
	else
		rc = account_subscribe(a, span_of(argv[3]),
		    what[0] == 's', &why);
	return store_user_done(&a, rc, &why);
}

static void
show_limit(const char *what, uint64_t used, uint64_t limit)
{
	if (limit == ACCOUNT_UNLIMITED)
		printf("%-10s %16llu %16s\n", what, (unsigned long long)used,
		    "unlimited");
	else
		printf("%-10s %16llu %16llu %5.1f %%\n", what,
		    (unsigned long long)used, (unsigned long long)limit,
		    limit > 0 ? 100.0 * (double)used / (double)limit : 100.0);
}

static int
show_usage(struct account *a, struct why *why)
{
	struct account_usage u;

	if (account_usage(a, &u, why) < 0)
		return -1;
	printf("%-10s %16s %16s\n", "QUOTA", "USED", "LIMIT");
	show_limit("storage", u.storage, u.storage_limit);
	show_limit("messages", u.messages, u.messages_limit);
	show_limit("mailboxes", u.mailboxes, u.mailboxes_limit);
	return 0;
}

int
mansio_quota(int argc, char **argv)
{
	bool get = argc == 2, set = argc > 3 && strcmp(argv[1], "set") == 0,
	    clear = argc == 3 && strcmp(argv[1], "clear") == 0;
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct store_quota q;
	struct why why = WHY_INIT;
	struct account *a;
	int rc;

	if (!get && !set && !clear)
		return mansio_usage(argv[0]);
	for (int i = 3; i < argc; i++)
		buf_addf(&text, "%s ", argv[i]);
	mansio_load();
	if (store_quota_parse(buf_span(&text), &q, &why) < 0)
		log_fatal("%s", why.text);
	buf_fini(&text);
	a = store_user_open(argv[get ? 1 : 2]);
	rc = get ? 0 : account_quota_set(a, &q, &why);
	if (rc == 0)
		rc = show_usage(a, &why);
	return store_user_done(&a, rc, &why);
}

static bool
show_right(void *arg, struct span ident, unsigned rights)
{
	char text[ACCOUNT_RIGHTS_MAX];

	account_rights_format(rights, text);
	printf("%-16s %.*s\n", text, SPAN_ARG(ident));
	return true;
}

int
mansio_acl(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct why why = WHY_INIT;
	struct account *a;
	unsigned rights = 0;
	uint32_t box;
	int rc = 0;

	if (!(strcmp(what, "get") == 0 && argc == 4) &&
	    !(strcmp(what, "set") == 0 && argc == 6) &&
	    !(strcmp(what, "delete") == 0 && argc == 5))
		return mansio_usage(argv[0]);
	mansio_load();
	/* While we are root, and also for a right that is taken: one line too
	 * many in the list of shares shows nothing. */
	if (strcmp(what, "set") == 0)
		store_user_share(argv[2], argv[4]);
	a = store_user_open(argv[2]);
	box = store_user_box(a, argv[3]);
	if (strcmp(what, "get") == 0) {
		account_acl_each(a, box, show_right, NULL);
	} else if (strcmp(what, "delete") == 0) {
		rc = account_acl_set(a, box, span_of(argv[4]), 0, 0, &why);
	} else {
		struct span text = span_of(argv[5]);
		char mod = text.len > 0 && (text.p[0] == '+' ||
		    text.p[0] == '-') ? text.p[0] : '\0';

		if (account_rights_parse(span_from(text, mod != 0),
		    &rights) < 0)
			rc = why_set(&why, "", "\"%s\" are no rights (letters "
			    "of lrswipkxtea)", argv[5]);
		else
			rc = account_acl_set(a, box, span_of(argv[4]), mod,
			    rights, &why);
	}
	return store_user_done(&a, rc, &why);
}
