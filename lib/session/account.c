/* SPDX-License-Identifier: ISC */
/*
 * account - the user's account, opened when the first engine asks for it and
 * shared by all.
 */
#include "session/private.h"
#include "store/account.h"

static void
close_account(void)
{
	account_close(&session_process.account);
}

static uint64_t
limit(uint64_t n)
{
	return n == 0 ? QUOTA_UNLIMITED : n;
}

struct account *
session_account(struct session_conn *c, struct why *why)
{
	struct session_process *p = &session_process;
	const struct session_user *u = c->user;
	struct account_options o;

	if (p->account != NULL)
		return p->account;
	account_options_init(&o);
	o.format = u->format;
	o.flags = STORE_MAKE_BASE | (u->detect ? STORE_DETECT : 0);
	o.base = u->base;
	o.path = u->path;
	o.owner = u->name;
	o.user = NULL;
	o.quota = (struct store_quota){
		.storage = limit(u->quota_bytes),
		.messages = limit(u->quota_messages),
		.mailboxes = limit(u->quota_mailboxes),
	};
	o.own_quota = u->is_virtual;
	p->account = account_open(&o, why);
	p->close_account = close_account;
	return p->account;
}
