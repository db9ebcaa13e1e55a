/* SPDX-License-Identifier: ISC */
/*
 * envelope - the sender at BEGIN, the recipients at END.
 *
 * The order is Postfix's: complete, canonical, masquerade; then the bcc
 * tables see the result; then virtual aliases; then duplicates are dropped.
 * Recipients wait until END because the content may add one (BCC) or replace
 * them all (REDIRECT).
 */
#include "auth/srs.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup.h"
#include "cleanup/quota.h"
#include "cleanup/rewrite.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"

#define FEW	16	/* recipients compared one by one */

struct expand {
	struct message	*m;
	ARRAY(struct rcpt) out;
	ARRAY(struct rcpt) told;	/* aliases whose expansion is reported */
	struct hash	 seen;
	struct buf	 key;
	bool		 hashed;
};

/* --- duplicates ---------------------------------------------------------------- */

/*
 * Two recipients are one when all that makes a difference to somebody is the
 * same: the address, what it was before (for X-Original-To), and what was
 * asked for notices.
 */
static void
dup_key(struct buf *b, const struct rcpt *r)
{
	buf_reset(b);
	address_fold(r->addr, true, b);
	buf_add_char(b, '\n');
	if (conf.enable_original_recipient)
		address_fold(r->orig, true, b);
	buf_addf(b, "\n%u\n", r->dsn_notify);
	buf_add_span(b, r->dsn_orcpt);
}

static bool
same(const struct rcpt *a, const struct rcpt *b)
{
	return span_caseeq(a->addr, b->addr) &&
	    (!conf.enable_original_recipient ||
	    span_caseeq(a->orig, b->orig)) &&
	    a->dsn_notify == b->dsn_notify &&
	    span_eq(a->dsn_orcpt, b->dsn_orcpt);
}

static bool
is_dup(struct expand *x, const struct rcpt *r)
{
	bool made;

	if (x->out.len == 0)
		return false;
	if (!x->hashed && x->out.len < FEW) {
		for (size_t i = 0; i < x->out.len; i++)
			if (same(&x->out.v[i], r))
				return true;
		return false;
	}
	if (!x->hashed) {
		x->hashed = true;
		for (size_t i = 0; i < x->out.len; i++) {
			dup_key(&x->key, &x->out.v[i]);
			(void)hash_enter(&x->seen, buf_span(&x->key), &made);
		}
	}
	dup_key(&x->key, r);
	if (x->seen.count >= (size_t)conf.duplicate_filter_limit)
		return hash_find(&x->seen, buf_span(&x->key)) != NULL;
	(void)hash_enter(&x->seen, buf_span(&x->key), &made);
	return !made;
}

static int
put(struct expand *x, struct rcpt *r)
{
	/* "As given to us" says nothing where it is the same. */
	if (!conf.enable_original_recipient || span_eq(r->addr, r->orig))
		r->orig = SPAN_EMPTY;
	if (is_dup(x, r))
		return 0;
	if (x->out.len >= ENVELOPE_RCPT_MAX)
		return refuse(x->m, 452, "4.5.3",
		    "Error: too many recipients");
	*ARRAY_PUSH(&x->out) = *r;
	return 0;
}

/* --- one recipient ------------------------------------------------------------------ */

static int
table_error(struct message *m, const struct why *why)
{
	log_warning("%s: %s -- message not accepted, try again later",
	    m->queue_id, why->text);
	return refuse(m, 451, strcmp(why->code, "4.6.0") == 0 ? "4.6.0" :
	    "4.3.0", "Error: %s", strcmp(why->code, "4.6.0") == 0 ?
	    "Alias expansion error" : "queue file write error");
}

static int	add(struct expand *x, struct rcpt *r, bool bcc);

/* A copy for somebody who has no part in the message's notices. */
static int
add_bcc(struct expand *x, struct span addr)
{
	struct rcpt r = { .addr = addr, .dsn_notify = DSN_NOTIFY_NEVER };

	return add(x, &r, true);
}

static int
recipient_bcc(struct expand *x, struct span addr)
{
	struct span bcc;
	struct why why = WHY_INIT;
	int rc;

	if (maps_empty(cl.set->recipient_bcc) ||
	    (x->m->env.flags & ENV_NO_BCC))
		return 0;
	rc = rewrite_bcc(cl.set, cl.set->recipient_bcc, &x->m->arena, addr,
	    &bcc, &why);
	if (rc < 0)
		return table_error(x->m, &why);
	return rc == 0 ? 0 : add_bcc(x, bcc);
}

/*
 * RFC 3461 5.2.7.2: the alias is where the sender's NOTIFY=SUCCESS is
 * answered, once.  It travels as a recipient that is delivered already.
 */
static void
add_expanded(struct expand *x, const struct rcpt *r)
{
	struct rcpt *n = ARRAY_PUSH(&x->told);

	*n = *r;
	if (span_eq(n->addr, n->orig))
		n->orig = SPAN_EMPTY;
	n->fate = RCPT_DELIVERED;
	n->dsn = SPAN("2.0.0");
	n->text = SPAN(RCPT_TEXT_EXPANDED);
}

/* What comes back to a sender of ours made for another's mail goes to him.
 * smtpd has refused it when the address is no good. */
static void
undo_srs(struct message *m, struct rcpt *r)
{
	struct buf to = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	if (cl.set->srs == NULL || !srs_is(cl.set->srs, r->addr))
		return;
	if (srs_reverse(cl.set->srs, r->addr, clock_wall_us() / 1000000, &to,
	    &why) == 0)
		r->addr = span_make(arena_span_dup(&m->arena, buf_span(&to)),
		    to.len);
	else
		log_info("%s: %.*s: %s", m->queue_id, SPAN_ARG(r->addr),
		    why.text);
	buf_fini(&to);
}

static int
add(struct expand *x, struct rcpt *r, bool bcc)
{
	struct message *m = x->m;
	struct span_list all = { NULL, 0, 0 };
	struct span orig = r->orig.len > 0 ? r->orig : r->addr;
	struct why why = WHY_INIT;
	int rc = 0;

	r->orig = orig;
	undo_srs(x->m, r);
	r->addr = rewrite_complete(&m->arena, r->addr);
	if (!(m->env.flags & ENV_NO_REWRITE) &&
	    rewrite_map(cl.set, &m->arena, &r->addr,
	    CLASS_ENVELOPE_RECIPIENT, &why) < 0)
		return table_error(m, &why);
	if (!bcc && recipient_bcc(x, r->addr) < 0)
		return -1;
	if (maps_empty(cl.set->virtual_alias) || r->addr.len == 0 ||
	    (m->env.flags & (ENV_NO_REWRITE | ENV_NO_RCPT_MAP)))
		return put(x, r);
	if (rewrite_virtual(cl.set, &m->arena, r->addr, &all, &why) < 0)
		rc = table_error(m, &why);
	/* As Postfix: also for an alias with one member. */
	bool tell = (r->dsn_notify & DSN_NOTIFY_SUCCESS) && (all.len > 1 ||
	    (all.len == 1 && !span_eq(all.v[0], r->addr)));
	size_t before = x->out.len;
	for (size_t i = 0; rc == 0 && i < all.len; i++) {
		struct rcpt copy = *r;

		copy.addr = all.v[i];
		if (tell)
			copy.dsn_notify = dsn_notify_members(r->dsn_notify);
		rc = put(x, &copy);
	}
	/* When nobody is new it was told before. */
	if (rc == 0 && tell && x->out.len > before)
		add_expanded(x, r);
	ARRAY_FINI(&all);
	return rc;
}

/* --- the whole --------------------------------------------------------------------------- */

int
envelope_begin(struct message *m)
{
	struct envelope *e = &m->env;
	struct why why = WHY_INIT;
	int local;

	/* State is ours to keep, not a client's to set. */
	for (size_t i = 0; i < e->rcpts.len; i++) {
		struct rcpt *r = &e->rcpts.v[i];

		r->fate = RCPT_PENDING;
		r->dsn = r->text = r->relay = SPAN_EMPTY;
		r->tried_us = 0;
	}
	e->next_us = 0;
	e->attempts = 0;
	e->warned = false;
	e->flags &= ~(unsigned)ENV_EXPIRE;

	local = settings_local_client(cl.set, e, &why);
	if (local < 0)
		return table_error(m, &why);
	m->local_headers = local > 0;
	e->sender = rewrite_complete(&m->arena, e->sender);
	if (!(e->flags & ENV_NO_REWRITE) && rewrite_map(cl.set, &m->arena,
	    &e->sender, CLASS_ENVELOPE_SENDER, &why) < 0)
		return table_error(m, &why);
	return 0;
}

static int
add_all(struct expand *x)
{
	struct message *m = x->m;
	struct envelope *e = &m->env;
	struct why why = WHY_INIT;
	struct span bcc;
	int rc;

	if (e->redirect.len > 0) {
		/* REDIRECT: in the place of all, copies included. */
		struct rcpt r = { .addr = e->redirect };

		return add(x, &r, true);
	}
	for (size_t i = 0; i < e->rcpts.len; i++) {
		struct rcpt r = e->rcpts.v[i];

		if (add(x, &r, false) < 0)
			return -1;
	}
	for (size_t i = 0; i < m->bcc.len; i++)
		if (add_bcc(x, m->bcc.v[i]) < 0)
			return -1;
	if (e->flags & ENV_NO_BCC)
		return 0;
	if (!maps_empty(cl.set->sender_bcc)) {
		rc = rewrite_bcc(cl.set, cl.set->sender_bcc, &m->arena,
		    e->sender, &bcc, &why);
		if (rc < 0)
			return table_error(m, &why);
		if (rc > 0 && add_bcc(x, bcc) < 0)
			return -1;
	}
	if (conf.always_bcc[0] != '\0')
		return add_bcc(x, span_of(conf.always_bcc));
	return 0;
}

int
envelope_end(struct message *m)
{
	struct expand x = { .m = m, .seen = HASH_INIT,
	    .key = BUF_INIT(BUF_UNLIMITED) };
	int rc = quota_check(m, m->env.rcpts.len);

	if (rc == 0)
		rc = add_all(&x);

	hash_fini(&x.seen, NULL);
	buf_fini(&x.key);
	/* Last, so that they are nobody's duplicates. */
	for (size_t i = 0; rc == 0 && i < x.told.len; i++) {
		if (x.out.len >= ENVELOPE_RCPT_MAX)
			rc = refuse(m, 452, "4.5.3",
			    "Error: too many recipients");
		else
			*ARRAY_PUSH(&x.out) = x.told.v[i];
	}
	ARRAY_FINI(&x.told);
	if (rc < 0) {
		ARRAY_FINI(&x.out);
		return -1;
	}
	ARRAY_FINI(&m->env.rcpts);
	m->env.rcpts.v = x.out.v;
	m->env.rcpts.len = x.out.len;
	m->env.rcpts.alloc = x.out.alloc;
	m->env.size = m->large_len + m->out.len;
	if (m->hold)
		m->env.flags |= ENV_HOLD;
	return 0;
}
