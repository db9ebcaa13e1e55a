/* SPDX-License-Identifier: ISC */
/*
 * cmd_quota - GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208).  There is one
 * quota root, "", for all of an account; limits are the administrator's.
 */
#include "imapd/imap.h"

static void
put_resource(struct imap *im, const char *name, uint64_t used, uint64_t limit)
{
	if (limit == ACCOUNT_UNLIMITED)
		return;
	buf_addf(&im->out, "%s%s %ju %ju",
	    im->out.data[im->out.len - 1] == '(' ? "" : " ", name,
	    (uintmax_t)used, (uintmax_t)limit);
}

/* STORAGE counts 1024 octets (RFC 9208 5.1). */
static uint64_t
kib(uint64_t bytes)
{
	return bytes == ACCOUNT_UNLIMITED ? bytes : bytes / 1024 +
	    (bytes % 1024 != 0);
}

static int
put_quota(struct imap *im, struct why *why)
{
	struct account_usage u;

	if (account_usage(im->account, &u, why) != 0)
		return -1;
	buf_add_str(&im->out, "* QUOTA \"\" (");
	put_resource(im, "STORAGE", kib(u.storage), u.storage_limit ==
	    ACCOUNT_UNLIMITED ? u.storage_limit : u.storage_limit / 1024);
	put_resource(im, "MESSAGE", u.messages, u.messages_limit);
	put_resource(im, "MAILBOX", u.mailboxes, u.mailboxes_limit);
	buf_add_str(&im->out, ")\r\n");
	return 0;
}

void
cmd_getquota(struct imap *im, struct scan *s)
{
	struct why why = WHY_INIT;
	struct span root;

	if (!scan_sp(s) || !scan_astring(s, &root) || !scan_end(s))
		imap_refuse(im, s);
	else if (root.len > 0)
		imap_no(im, "NONEXISTENT", "Quota root doesn't exist.");
	else if (put_quota(im, &why) != 0)
		imap_fail(im, &why);
	else
		imap_done(im);
}

void
cmd_getquotaroot(struct imap *im, struct scan *s)
{
	struct why why = WHY_INIT;
	struct span name;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	/* A mailbox that will be made would count, too. */
	buf_add_str(&im->out, "* QUOTAROOT ");
	put_mailbox(im, &im->out, name);
	buf_add_str(&im->out, " \"\"\r\n");
	if (put_quota(im, &why) != 0)
		imap_fail(im, &why);
	else
		imap_done(im);
}

void
cmd_setquota(struct imap *im, struct scan *s)
{
	struct span root;

	if (!scan_sp(s) || !scan_astring(s, &root) || !scan_sp(s) ||
	    !scan_is(s, '(') || !scan_skip(s) || !scan_end(s))
		imap_refuse(im, s);
	else
		imap_no(im, "NOPERM",
		    "Limits are set by the administrator.");
}
