/* SPDX-License-Identifier: ISC */
/*
 * account - the user's account, opened when the first engine asks for it and
 * shared by all.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "session/private.h"
#include "session/shares.h"
#include "store/account.h"

#define PURGE_SEGMENTS	4	/* copied at a time */

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

static void
set_options(struct account_options *o, const struct session_user *u)
{
	account_options_init(o);
	o->format = u->format;
	o->flags = u->detect ? STORE_DETECT : 0;
	o->base = u->base;
	o->path = u->path;
	o->owner = u->name;
	o->quota = (struct store_quota){
		.storage = limit(u->quota_bytes),
		.messages = limit(u->quota_messages),
		.mailboxes = limit(u->quota_mailboxes),
	};
	o->own_quota = u->is_virtual;
}

/* --- what others share ------------------------------------------------------------ */

struct groups {
	ARRAY(const char *) v;
};

static void
split_groups(const char *text, struct groups *g)
{
	struct span rest = span_of(text != NULL ? text : ""), one;

	while (span_token(&rest, ", \t", &one))
		*ARRAY_PUSH(&g->v) = span_dup(one);
}

static void
mount_one(struct account *a, const struct session_user *owner,
    const struct session_user *user, const struct groups *g)
{
	struct buf prefix = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct account_options o;
	struct account *other;

	set_options(&o, owner);
	o.user = user->name;
	o.groups = g->v.v;
	o.ngroups = g->v.len;
	o.auto_create = o.auto_subscribe = "";
	if (!shares_prefix(span_of(owner->name), &prefix)) {
		buf_fini(&prefix);
		return;
	}
	other = account_open(&o, &why);
	if (other == NULL || account_mount(a, prefix.data, other, &why) < 0) {
		log_warning("mail of %s, shared with %s: %s", owner->name,
		    user->name, why.text);
		account_close(&other);
	}
	buf_fini(&prefix);
}

static void
reserve(struct account *a, const char *prefix)
{
	struct span s = span_of(prefix);
	char *name;

	while (span_ends(s, SPAN("/")))
		s.len--;
	if (s.len == 0)
		return;
	name = span_dup(s);
	account_reserve(a, name);
	mem_free(name);
}

struct account *
session_account(struct session_conn *c, struct why *why)
{
	struct session_process *p = &session_process;
	struct account_options o;
	struct groups g = { .v = ARRAY_EMPTY };

	if (p->account != NULL)
		return p->account;
	split_groups(c->user->groups, &g);
	set_options(&o, c->user);
	o.flags |= STORE_MAKE_BASE;
	o.groups = g.v.v;
	o.ngroups = g.v.len;
	p->account = account_open(&o, why);
	p->close_account = close_account;
	if (p->account != NULL) {
		reserve(p->account, conf.store_namespace_others);
		reserve(p->account, conf.store_namespace_shared);
		for (size_t i = 0; i < p->nshares; i++)
			mount_one(p->account, p->shares[i], c->user, &g);
	}
	for (size_t i = 0; i < g.v.len; i++)
		mem_free((void *)(uintptr_t)g.v.v[i]);
	ARRAY_FINI(&g.v);
	return p->account;
}

/* --- at the end --------------------------------------------------------------------- */

/*
 * The user has gone, and the monitor knows that we are on our way out: a
 * client that comes now gets another process and need not wait.  What is left
 * when the limit is reached is for the next time.
 */
void
session_purge(void)
{
	struct session_process *p = &session_process;
	struct account_purged out;
	struct why why = WHY_INIT;

	if (p->account == NULL || !account_purge_due(p->account,
	    conf.store_purge_interval))
		return;
	if (account_purge_some(p->account, PURGE_SEGMENTS, &out, &why) < 0 ||
	    account_sync(p->account, &why) < 0)
		log_warning("purge of %s: %s", p->user->name, why.text);
	else if (out.journals > 0 || out.segments > 0)
		log_info("purge of %s: %u journals, %u segments, %llu bytes "
		    "given back", p->user->name, (unsigned)out.journals,
		    (unsigned)out.segments, (unsigned long long)out.bytes);
}
