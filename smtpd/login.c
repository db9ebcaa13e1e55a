/* SPDX-License-Identifier: ISC */
/*
 * login - whether a sender address belongs to who is logged in.
 *
 * smtpd_sender_login_maps is asked for the address, the address without
 * extension, and @domain, table by table; the value is a list of logins.
 * Pattern tables are asked for the whole address only.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "mail/address.h"
#include "smtpd/restrict.h"

static void
make_keys(struct policy_run *r, struct span sender)
{
	struct lookup_keys *k = &r->keys;
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain, user, ext, addr;

	address_fold(sender, true, &low);
	addr = span_make(arena_span_dup(&r->arena, buf_span(&low)), low.len);
	buf_fini(&low);
	k->n = 0;
	k->v[k->n++] = addr;
	k->nwhole = 1;
	address_split(addr, &local, &domain);
	if (domain.p == NULL)
		return;
	if (conf.recipient_delimiter[0] != '\0' &&
	    address_split_ext(local, conf.recipient_delimiter, &user, &ext))
		k->v[k->n++] = span_of(arena_printf(&r->arena, "%.*s@%.*s",
		    SPAN_ARG(user), SPAN_ARG(domain)));
	k->v[k->n++] = span_of(arena_printf(&r->arena, "@%.*s",
	    SPAN_ARG(domain)));
}

static bool
lists(struct span value, const char *login)
{
	struct span name;

	while (span_token(&value, " \t\r\n,", &name))
		if (span_caseis(name, login))
			return true;
	return false;
}

static enum verdict
not_owner(struct policy_run *r)
{
	const struct session *s = r->s;

	if (s->login == NULL)
		return policy_reject(r, 553, "5.7.1", "<%s>: Sender address "
		    "rejected: not logged in",
		    policy_reply_name(r, FOR_SENDER));
	return policy_reject(r, 553, "5.7.1", "<%s>: Sender address "
	    "rejected: not owned by user %s",
	    policy_reply_name(r, FOR_SENDER), s->login);
}

/*
 * LOGIN_AUTH: who is logged in must own the address.  LOGIN_UNAUTH: who is
 * not must not use an address that has an owner.  LOGIN_KNOWN: as LOGIN_AUTH,
 * for addresses that have an owner.
 */
enum verdict
eval_login_mismatch(struct policy_run *r, const struct rule *rule)
{
	int which = rule->def->flavour;
	const struct session *s = r->s;
	const struct answer *a;
	struct span table;

	/* Bounces have no sender; RFC 6409 3.2 lets them pass. */
	if (s->txn == NULL || s->txn->env.sender.len == 0 ||
	    conf.smtpd_sender_login_maps[0] == '\0' ||
	    !(which & (s->login != NULL ? LOGIN_AUTH | LOGIN_KNOWN :
	    LOGIN_UNAUTH)))
		return V_DUNNO;
	make_keys(r, s->txn->env.sender);
	for (; restrict_nth_table(conf.smtpd_sender_login_maps, r->sub,
	    &table); r->sub++) {
		a = policy_ask_table(r, table);
		if (a == NULL)
			return V_WAIT;
		if (a->status != ANSWER_OK)
			return policy_reject(r, 451, "4.3.0",
			    "<%s>: Temporary lookup failure",
			    policy_reply_name(r, FOR_SENDER));
		if (!a->found)
			continue;
		return s->login != NULL && lists(a->value, s->login)
		    ? V_DUNNO : not_owner(r);
	}
	return which & LOGIN_AUTH && s->login != NULL ? not_owner(r) :
	    V_DUNNO;
}
