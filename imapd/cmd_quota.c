/* SPDX-License-Identifier: ISC */
/*
 * cmd_quota - GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208).  There is one
 * quota root, "", for all of an account; limits are the administrator's, who
 * sets them here as a master user.
 */
#include <string.h>

#include "base/num.h"
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

static void
put_usage(struct imap *im, const struct account_usage *u)
{
	buf_add_str(&im->out, "* QUOTA \"\" (");
	put_resource(im, "STORAGE", kib(u->storage), u->storage_limit ==
	    ACCOUNT_UNLIMITED ? u->storage_limit : u->storage_limit / 1024);
	put_resource(im, "MESSAGE", u->messages, u->messages_limit);
	put_resource(im, "MAILBOX", u->mailboxes, u->mailboxes_limit);
	buf_add_str(&im->out, ")\r\n");
}

static int
put_quota(struct imap *im, struct why *why)
{
	struct account_usage u;

	if (account_usage(im->account, &u, why) != 0)
		return -1;
	put_usage(im, &u);
	return 0;
}

static bool
is_limited(const struct account_usage *u)
{
	return u->storage_limit != ACCOUNT_UNLIMITED ||
	    u->messages_limit != ACCOUNT_UNLIMITED ||
	    u->mailboxes_limit != ACCOUNT_UNLIMITED;
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
	struct account_usage u;
	struct span name;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	if (account_usage(im->account, &u, &why) != 0) {
		imap_fail(im, &why);
		return;
	}
	/* A mailbox that will be made would count, too. */
	buf_add_str(&im->out, "* QUOTAROOT ");
	put_mailbox(im, &im->out, name);
	/*
	 * What others' mail takes up is not this user's affair.  And where
	 * there is no limit there is no root: a quota-list has at least one
	 * resource (RFC 9208 7), and Thunderbird complains of "()".
	 */
	if (account_is_mounted(im->account, name) || !is_limited(&u)) {
		buf_add_str(&im->out, "\r\n");
	} else {
		buf_add_str(&im->out, " \"\"\r\n");
		put_usage(im, &u);
	}
	imap_done(im);
}

/*
 * A master user's session in another's mail: who may that may read and delete
 * all of it, so its limits, too.
 */
bool
quota_may_set(const struct imap *im)
{
	const struct session_user *u = im->conn->user;

	return u->is_virtual && strcmp(u->login, u->name) != 0;
}

/* One resource and its limit; false: the command was answered. */
static bool
scan_limit(struct imap *im, struct scan *s, struct store_quota *q)
{
	struct span name, number;
	uint64_t n;

	if (!scan_atom(s, &name) || !scan_sp(s) || !scan_atom(s, &number) ||
	    num_parse_u64(number, INT64_MAX, &n) < 0) {
		imap_refuse(im, s);
		return false;
	}
	/* RFC 9208 3.1.2: that nothing at all may be there.  Limits of 0 are
	 * no limit elsewhere (quota.h), so it is not taken for that. */
	if (n == 0) {
		imap_no(im, "CANNOT", "A limit of 0 cannot be set.");
		return false;
	}
	if (span_caseis(name, "STORAGE")) {
		q->storage = n > (QUOTA_UNSET - 1) / 1024 ? QUOTA_UNLIMITED :
		    n * 1024;
	} else if (span_caseis(name, "MESSAGE")) {
		q->messages = n;
	} else if (span_caseis(name, "MAILBOX")) {
		q->mailboxes = n;
	} else {
		imap_no(im, "CANNOT", "There is no such resource here.");
		return false;
	}
	return true;
}

static bool
scan_limits(struct imap *im, struct scan *s, struct store_quota *q)
{
	bool more = false;

	/* RFC 9208 4.1.3: what is not named has no limit any more. */
	*q = (struct store_quota){ QUOTA_UNLIMITED, QUOTA_UNLIMITED,
	    QUOTA_UNLIMITED };
	if (!scan_sp(s) || !scan_open(s)) {
		imap_refuse(im, s);
		return false;
	}
	while (!scan_is(s, ')')) {
		if (more && !scan_sp(s)) {
			imap_refuse(im, s);
			return false;
		}
		if (!scan_limit(im, s, q))
			return false;
		more = true;
	}
	if (!scan_close(s) || !scan_end(s)) {
		imap_refuse(im, s);
		return false;
	}
	return true;
}

void
cmd_setquota(struct imap *im, struct scan *s)
{
	struct why why = WHY_INIT;
	struct store_quota q;
	struct span root;

	if (!scan_sp(s) || !scan_astring(s, &root)) {
		imap_refuse(im, s);
		return;
	}
	if (!scan_limits(im, s, &q))
		return;
	if (!quota_may_set(im))
		imap_no(im, "NOPERM",
		    "Limits are set by the administrator.");
	else if (root.len > 0)
		imap_no(im, "NONEXISTENT", "Quota root doesn't exist.");
	else if (account_quota_set(im->account, &q, &why) < 0 ||
	    put_quota(im, &why) < 0)
		imap_fail(im, &why);
	else
		imap_done(im);
}
