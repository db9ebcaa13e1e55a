/* SPDX-License-Identifier: ISC */
/*
 * keyd_client - see keyd_client.h.
 *
 * keyd is trusted with the keys, but what it sends is still checked: it must
 * answer what was asked.
 */
#include "tls/keyd_client.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "ipc/ipc.h"
#include "tls/tls_priv.h"

_Static_assert(sizeof(struct ticket_key) == KEYD_TICKET_KEY_LEN,
    "a ticket key");

static struct {
	struct ipc_client	*ipc;
	struct loop		*loop;
	struct loop_timer	*timer;	/* of the oldest signature */
	uint32_t		 next_tag;
	struct list		 asks;		/* asked or to be asked */
	struct list		 signs;		/* sent, oldest first */
	struct list		 listeners;
	struct ticket_key	 tickets[KEYD_TICKET_KEYS];
	size_t			 ntickets;
	bool			 init;
} me;

static void
init(void)
{
	if (me.init)
		return;
	me.init = true;
	list_init(&me.asks);
	list_init(&me.signs);
	list_init(&me.listeners);
}

static uint32_t
new_tag(void)
{
	if (++me.next_tag == 0)
		me.next_tag = 1;
	return me.next_tag;
}

/* --- ticket keys ------------------------------------------------------------------- */

static int
take_tickets(struct span body)
{
	struct keyd_tickets m;

	if (keyd_tickets_decode(&m, body) < 0 ||
	    m.keys.len % KEYD_TICKET_KEY_LEN != 0)
		return -1;
	memcpy(me.tickets, m.keys.p, m.keys.len);
	me.ntickets = m.keys.len / KEYD_TICKET_KEY_LEN;
	return 0;
}

size_t
keyd_client_tickets(const struct ticket_key **keys)
{
	*keys = me.tickets;
	return me.ntickets;
}

void
keyd_client_own_tickets(void)
{
	rnd_bytes(me.tickets, sizeof(me.tickets[0]));
	me.ntickets = 1;
}

/* --- certificates ------------------------------------------------------------------- */

static void
drop_chains(struct keyd_ask *a)
{
	for (size_t i = 0; i < a->ngot; i++)
		buf_fini(&a->got[i].der);
	a->ngot = 0;
}

static void
answer(struct keyd_ask *a, enum keyd_status status, struct span text)
{
	struct keyd_answer ans = {
		.status = status, .text = text, .v = a->got, .n = a->ngot,
	};

	list_remove(&a->link);
	a->tag = 0;
	a->fn(a, &ans);
}

static int
take_chain(struct keyd_ask *a, struct span body)
{
	struct keyd_chain m;
	struct keyd_certs *c;

	if (keyd_chain_decode(&m, body) < 0 || a->ngot == KEYD_CHAINS_MAX)
		return -1;
	c = &a->got[a->ngot++];
	c->key_id = m.key_id;
	c->der = BUF_INIT(KEYD_CERTS_MAX);
	buf_add_span(&c->der, m.certs);
	return 0;
}

/* Whether a's answer is complete; -1: it is none. */
static int
take_set(struct keyd_ask *a, struct span body)
{
	struct keyd_certs got[KEYD_CHAINS_MAX];
	struct keyd_set m;
	size_t n = a->ngot;
	struct buf text = BUF_INIT(512);

	if (keyd_set_decode(&m, body) < 0 || m.chains != n ||
	    (m.status == KEYD_OK && n == 0))
		return -1;
	/* fn may free a. */
	memcpy(got, a->got, sizeof(got[0]) * n);
	buf_add_span(&text, m.text);
	answer(a, m.status, buf_span(&text));
	for (size_t i = 0; i < n; i++)
		buf_fini(&got[i].der);
	buf_fini(&text);
	return 0;
}

static struct keyd_ask *
find_ask(uint32_t tag)
{
	LIST_FOREACH(l, &me.asks) {
		struct keyd_ask *a = LIST_ENTRY(l, struct keyd_ask, link);

		if (a->tag == tag && tag != 0)
			return a;
	}
	return NULL;
}

static void
send_ask(struct keyd_ask *a, struct ipc_conn *c)
{
	struct buf *b;

	drop_chains(a);
	a->tag = new_tag();
	b = ipc_begin(c, KEYD_GET, a->tag);
	keyd_get_encode(b, &a->what);
	ipc_end(c);
}

void
keyd_client_ask(struct keyd_ask *a)
{
	struct ipc_conn *c;

	init();
	a->tag = 0;
	a->ngot = 0;
	list_append(&me.asks, &a->link);
	c = me.ipc != NULL ? ipc_client_conn(me.ipc) : NULL;
	/* on_up asks what could not be asked yet. */
	if (c != NULL && ipc_conn_ready(c))
		send_ask(a, c);
}

void
keyd_client_ask_cancel(struct keyd_ask *a)
{
	if (!list_linked(&a->link))
		return;
	list_remove(&a->link);
	drop_chains(a);
	a->tag = 0;
}

/* --- signatures --------------------------------------------------------------------- */

static void
sign_done(struct key_op *op, bool ok)
{
	list_remove(&op->link);
	op->ok = ok;
	op->state = OP_DONE;
	op->tag = 0;
	tls_continue(op->tls);
}

static void
signs_late(void *arg)
{
	/* keyd answers in order of arrival or not at all. */
	if (!list_empty(&me.signs)) {
		log_warning("keyd does not answer");
		LIST_FOREACH(l, &me.signs)
			sign_done(LIST_ENTRY(l, struct key_op, link), false);
	}
}

static int
take_signature(uint32_t tag, struct span body)
{
	struct keyd_signature m;

	if (keyd_signature_decode(&m, body) < 0)
		return -1;
	LIST_FOREACH(l, &me.signs) {
		struct key_op *op = LIST_ENTRY(l, struct key_op, link);

		if (op->tag != tag)
			continue;
		if (m.status == KEYD_OK)
			buf_add_span(&op->sig, m.signature);
		else
			log_warning("keyd refused to sign for a handshake");
		sign_done(op, m.status == KEYD_OK);
		break;
	}
	/* One that was cancelled is answered, too. */
	if (list_empty(&me.signs))
		loop_timer_cancel(me.timer);
	else
		loop_timer_set(me.timer, KEYD_SIGN_MS);
	return 0;
}

void
keyd_client_sign(struct key_op *op)
{
	struct keyd_sign m = {
		.key_id = op->key_id, .scheme = op->scheme, .tbs = op->tbs,
	};
	struct ipc_conn *c = me.ipc != NULL ? ipc_client_conn(me.ipc) : NULL;

	buf_reset(&op->sig);
	if (c == NULL || op->tbs.len > KEYD_TBS_MAX) {
		op->ok = false;
		op->state = OP_DONE;
		return;
	}
	op->state = OP_SENT;
	op->tag = new_tag();
	keyd_sign_encode(ipc_begin(c, KEYD_SIGN, op->tag), &m);
	ipc_end(c);
	if (list_empty(&me.signs))
		loop_timer_set(me.timer, KEYD_SIGN_MS);
	list_append(&me.signs, &op->link);
}

void
keyd_client_cancel(struct key_op *op)
{
	if (op->link.next != NULL)
		list_remove(&op->link);
	op->tag = 0;
}

/* --- the connection ------------------------------------------------------------------ */

void
keyd_client_listen(struct keyd_listener *l)
{
	init();
	list_append(&me.listeners, &l->link);
}

static void
tell_changed(void)
{
	LIST_FOREACH(l, &me.listeners) {
		struct keyd_listener *who =
		    LIST_ENTRY(l, struct keyd_listener, link);

		who->changed(who);
	}
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct keyd_ask *a;

	switch (f->type) {
	case KEYD_CHAIN:
		a = find_ask(f->tag);
		return a == NULL ? 0 : take_chain(a, f->body);
	case KEYD_SET:
		a = find_ask(f->tag);
		return a == NULL ? 0 : take_set(a, f->body);
	case KEYD_SIGNATURE:
		return take_signature(f->tag, f->body);
	case KEYD_TICKETS:
		return take_tickets(f->body);
	case KEYD_CHANGED:
		tell_changed();
		return f->body.len == 0 ? 0 : -1;
	default:
		return -1;
	}
}

/* keyd may have other certificates than the keyd that we knew. */
static void
on_up(void *arg, struct ipc_conn *c)
{
	LIST_FOREACH(l, &me.asks) {
		send_ask(LIST_ENTRY(l, struct keyd_ask, link), c);
	}
	tell_changed();
}

static void
on_down(void *arg)
{
	LIST_FOREACH(l, &me.signs)
		sign_done(LIST_ENTRY(l, struct key_op, link), false);
	LIST_FOREACH(l, &me.asks)
		LIST_ENTRY(l, struct keyd_ask, link)->tag = 0;
}

static const struct ipc_client_ops client_ops = {
	.on_frame = on_frame, .on_up = on_up, .on_down = on_down,
};

void
keyd_client_start(struct loop *l, const char *path)
{
	init();
	if (me.ipc != NULL)
		return;
	me.loop = l;
	me.timer = loop_timer_new(l, signs_late, NULL);
	me.ipc = ipc_client_new(l, path, &KEYD_PROTO, &client_ops, NULL);
}

/* --- at the start ---------------------------------------------------------------------- */

static int
wait_for_set(struct keyd_ask *a, struct ipc_sync *s, struct why *why)
{
	struct ipc_frame f;
	int rc;

	for (;;) {
		rc = ipc_sync_recv(s, &f, -1, why);
		if (rc == 0)
			return why_set(why, "", "no answer");
		if (rc < 0)
			return -1;
		if (f.type == KEYD_SET && f.tag == a->tag)
			return take_set(a, f.body);
		if ((f.type == KEYD_CHAIN && f.tag == a->tag &&
		    take_chain(a, f.body) < 0) ||
		    (f.type == KEYD_TICKETS && take_tickets(f.body) < 0))
			return why_set(why, "", "a bad answer");
	}
}

void
keyd_client_ask_now(struct keyd_ask *a, const char *path)
{
	struct why why = WHY_INIT;
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct ipc_sync *s;

	init();
	a->tag = new_tag();
	a->ngot = 0;
	keyd_get_encode(&body, &a->what);
	s = ipc_sync_connect(path, &KEYD_PROTO, KEYD_START_MS, &why);
	if (s == NULL ||
	    ipc_sync_send(s, KEYD_GET, a->tag, buf_span(&body), &why) < 0 ||
	    ipc_sync_flush(s, &why) < 0 || wait_for_set(a, s, &why) < 0) {
		drop_chains(a);
		if (why.text[0] == '\0')
			why_set(&why, "", "keyd has closed the connection");
		answer(a, KEYD_FAILED, span_of(why.text));
	}
	ipc_sync_free(&s);
	buf_fini(&body);
}
