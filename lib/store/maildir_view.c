/* SPDX-License-Identifier: ISC */
/*
 * maildir_view - a maildir as an open mailbox: refused as yet.
 */
#include "store/mailbox_internal.h"

static int
refuse(struct account *a, struct why *why)
{
	return account_say(a, ACCOUNT_UNAVAILABLE, why, "%s: a maildir cannot "
	    "be opened", a->path);
}

int
account_maildir_list(struct account *a, struct why *why)
{
	return refuse(a, why);
}

int
account_maildir_make(struct account *a, struct acct_box *b, uint32_t least,
    struct why *why)
{
	(void)b;
	(void)least;
	return refuse(a, why);
}

int
account_maildir_delete(struct account *a, const struct acct_box *b,
    struct why *why)
{
	(void)b;
	return refuse(a, why);
}

int
account_maildir_rename(struct account *a, struct span from, struct span to,
    struct why *why)
{
	(void)from;
	(void)to;
	return refuse(a, why);
}

int
account_box_dir(struct account *a, uint32_t box, struct why *why)
{
	(void)box;
	return refuse(a, why);
}

int
maildir_view_open(struct mailbox *m, struct why *why)
{
	return refuse(m->a, why);
}

void
maildir_view_close(struct mailbox *m)
{
	(void)m;
}

int
maildir_view_sync(struct mailbox *m, struct why *why)
{
	return refuse(m->a, why);
}

int
maildir_view_flags(struct mailbox *m, const struct ranges *uids,
    struct why *why)
{
	(void)uids;
	return refuse(m->a, why);
}

void
maildir_view_rename(struct mailbox *m, const struct ranges *uids)
{
	(void)m;
	(void)uids;
}

int
maildir_view_unlink(struct mailbox *m, const struct ranges *uids,
    struct why *why)
{
	(void)uids;
	return refuse(m->a, why);
}

int
maildir_view_add(struct mailbox *m, struct packed_source *src,
    struct packed_arrival *a, struct why *why)
{
	(void)src;
	(void)a;
	return refuse(m->a, why);
}

int
maildir_view_content(struct mailbox *m, const struct record *r,
    struct mailbox_content *out, struct why *why)
{
	(void)r;
	(void)out;
	return refuse(m->a, why);
}
