/* SPDX-License-Identifier: ISC */
/*
 * resolve - where a recipient goes: rewrite's answers, cached.
 *
 * A cache of bounded size, the least recently used goes first; answers are
 * good for REWRITE_TTL_MS.  Recipients that ask for the same address while
 * the question is under way wait at its entry, so a burst to one address
 * costs one question.  While rewrite is away the entries keep their waiters
 * and ask again.
 */
#include "qmgr/qmgr.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "mail/address.h"
#include "route/probe_sender.h"

#define CACHE_MAX	10000		/* answers kept */
#define AGAIN_MS	1000		/* rewrite is away: ask again */

struct waiter {
	struct message	*m;
	uint32_t	i;
};

struct answer {
	struct list	lru;		/* or pending */
	struct hash_entry *entry;
	uint32_t	tag;
	bool		known, asked;
	int64_t		good_until_ms;
	uint32_t	status;
	char		*transport, *nexthop, *address, *text;
	char		*sender;	/* to send it on with; "" */
	ARRAY(struct waiter) waiters;	/* while it is not known */
};

static struct {
	struct ipc_client *client;
	struct loop_timer *again;
	struct hash	 by_key, by_tag;
	struct list	 lru, pending;
	uint32_t	 next_tag;
	struct buf	 key;
} rs;

static void
answer_clear(struct answer *a)
{
	mem_free(a->transport);
	mem_free(a->nexthop);
	mem_free(a->address);
	mem_free(a->text);
	mem_free(a->sender);
	a->transport = a->nexthop = a->address = a->text = a->sender = NULL;
	a->known = false;
}

static void
answer_free(struct answer *a)
{
	list_remove(&a->lru);
	(void)hash_del(&rs.by_key, a->entry->key);
	answer_clear(a);
	ARRAY_FINI(&a->waiters);
	mem_free(a);
}

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

/* Whether it matters whom the address stands in for. */
static bool
is_forward(const struct rcpt *r)
{
	return strcmp(conf.srs_enable, "no") != 0 && r->orig.len > 0 &&
	    !span_eq(r->orig, r->addr);
}

static bool
by_sender(bool probe)
{
	return probe ?
	    conf.address_verify_sender_dependent_default_transport_maps[0] !=
	    '\0' ||
	    conf.address_verify_sender_dependent_relayhost_maps[0] != '\0' :
	    conf.sender_dependent_default_transport_maps[0] != '\0' ||
	    conf.sender_dependent_relayhost_maps[0] != '\0';
}

/* A probe of verify; one that a user has sent takes the ways of his mail. */
static bool
is_probe(const struct message *m)
{
	return (m->env.flags & (ENV_PROBE | ENV_REPORT)) == ENV_PROBE;
}

/* The key is sender, NUL, address: routes may depend on the sender.  For mail
 * that is sent on there is NUL and whom it was for; probes have routes of
 * their own. */
static struct span
make_key(const struct message *m, const struct rcpt *r)
{
	bool forward = is_forward(r);

	buf_reset(&rs.key);
	if (is_probe(m))
		buf_add_str(&rs.key, "\n");
	if (forward || by_sender(is_probe(m)))
		buf_add_span(&rs.key, m->env.sender);
	buf_add_char(&rs.key, '\0');
	buf_add_span(&rs.key, r->addr);
	if (forward) {
		buf_add_char(&rs.key, '\0');
		buf_add_span(&rs.key, r->orig);
	}
	return buf_span(&rs.key);
}

static void
ask(struct answer *a)
{
	struct ipc_conn *c = ipc_client_conn(rs.client);
	struct waiter *w = &a->waiters.v[0];
	const struct rcpt *r = &w->m->env.rcpts.v[w->i];
	struct rewrite_resolve q = {
		.address = r->addr, .sender = w->m->env.sender,
		.orig = is_forward(r) ? r->orig : SPAN_EMPTY,
		.probe = is_probe(w->m),
	};

	if (c == NULL) {
		loop_timer_set(rs.again, AGAIN_MS);
		return;
	}
	a->asked = true;
	rewrite_resolve_encode(ipc_begin(c, REWRITE_RESOLVE, a->tag), &q);
	ipc_end(c);
}

/* Mail to the address that only ever sends: the end of a chain of notices. */
static bool
is_double_bounce(struct span address)
{
	struct span local, domain;

	address_split(address, &local, &domain);
	if (conf.double_bounce_sender[0] == '\0' ||
	    !span_casestarts(local, span_of(conf.double_bounce_sender)))
		return false;
	return probe_sender_is(address, clock_wall_s()) ||
	    (span_caseis(local, conf.double_bounce_sender) &&
	    (domain.p == NULL || span_caseis(domain, conf.myhostname) ||
	    span_caseis(domain, conf.myorigin)));
}

/* "transport:nexthop", without nexthop that domain. */
static void
assign_to(struct message *m, uint32_t i, struct span way, struct span domain,
    struct span sender)
{
	ptrdiff_t colon = span_find(way, ':');
	struct span transport = way, nexthop = SPAN_EMPTY;

	if (colon >= 0) {
		transport = span_sub(way, 0, (size_t)colon);
		nexthop = span_from(way, (size_t)colon + 1);
	}
	if (config_deferred_transport(transport))
		rcpt_defer_logged(m, i, "4.3.2", SPAN("deferred transport"));
	else
		sched_assign(m, i, transport, nexthop.len > 0 ? nexthop :
		    domain, m->env.rcpts.v[i].addr, sender);
}

static void
apply(const struct answer *a, struct message *m, uint32_t i)
{
	struct rcpt *r = &m->env.rcpts.v[i];
	struct span filter = m->env.filter, local, domain;

	switch (a->status) {
	case REWRITE_TEMPFAIL:
		rcpt_defer_logged(m, i, "4.3.0", a->text[0] != '\0'
		    ? span_of(a->text) : SPAN("address resolver failure"));
		return;
	case REWRITE_INVALID:
		rcpt_bounce_logged(m, i, "5.1.3", a->text[0] != '\0'
		    ? span_of(a->text) : SPAN("bad address syntax"));
		return;
	default:
		break;
	}
	if (a->address[0] != '\0' && !span_is(r->addr, a->address))
		r->addr = span_of(arena_strdup(&m->texts, a->address));
	if (is_double_bounce(r->addr)) {
		rcpt_drop_logged(m, i,
		    SPAN("undeliverable postmaster notification discarded"));
		return;
	}
	if (filter.len > 0) {		/* content_filter, FILTER action */
		address_split(r->addr, &local, &domain);
		assign_to(m, i, filter, conf.default_filter_nexthop[0] !=
		    '\0' ? span_of(conf.default_filter_nexthop) :
		    domain.p != NULL ? domain : span_of(conf.myhostname),
		    span_of(a->sender));
	} else if (config_deferred_transport(span_of(a->transport))) {
		rcpt_defer_logged(m, i, "4.3.2", SPAN("deferred transport"));
	} else {
		sched_assign(m, i, span_of(a->transport), span_of(a->nexthop),
		    r->addr, span_of(a->sender));
	}
}

void
resolve_best_mx(struct message *m, uint32_t i, struct span text)
{
	struct span local, domain;

	/* The other way ends here, too. */
	if (m->mr[i].best_mx || conf.best_mx_transport[0] == '\0') {
		rcpt_bounce_logged(m, i, "5.4.6", text);
		return;
	}
	m->mr[i].best_mx = true;
	address_split(m->env.rcpts.v[i].addr, &local, &domain);
	rcpt_set(m, i, R_RESOLVING);	/* until all are assigned */
	assign_to(m, i, span_of(conf.best_mx_transport), domain.p != NULL ?
	    domain : span_of(conf.myhostname), SPAN_EMPTY);
}

void
resolve_rcpt(struct message *m, uint32_t i)
{
	struct rcpt *r = &m->env.rcpts.v[i];
	struct hash_entry *e;
	struct answer *a;
	bool made;

	if (r->addr.len == 0)
		r->addr = span_of(arena_strdup(&m->texts,
		    conf.empty_address_recipient));
	e = hash_enter(&rs.by_key, make_key(m, r), &made);
	if (made) {
		a = e->value = mem_zalloc(sizeof(*a));
		a->entry = e;
	} else {
		a = e->value;
		if (a->known && loop_now_ms(qm.loop) < a->good_until_ms) {
			list_remove(&a->lru);
			list_append(&rs.lru, &a->lru);
			apply(a, m, i);
			return;
		}
	}
	*ARRAY_PUSH(&a->waiters) = (struct waiter){ m, i };
	if (a->waiters.len > 1)
		return;		/* asked already */
	answer_clear(a);
	a->asked = false;
	do
		a->tag = ++rs.next_tag;
	while (hash_find(&rs.by_tag, tag_key(&a->tag)) != NULL);
	(void)hash_put(&rs.by_tag, tag_key(&a->tag), a);
	list_remove(&a->lru);
	list_append(&rs.pending, &a->lru);
	ask(a);
}

static void
answered(struct answer *a, const struct rewrite_resolved *r)
{
	/* Applying one may make others wait again: take them all first. */
	struct waiter *w = a->waiters.v;
	size_t n = a->waiters.len;
	char text[600];

	a->waiters.v = NULL;
	a->waiters.len = a->waiters.alloc = 0;
	(void)hash_del(&rs.by_tag, tag_key(&a->tag));
	a->status = r->status;
	a->transport = span_dup(r->transport);
	a->nexthop = span_dup(r->nexthop);
	a->address = span_dup(r->address);
	a->text = span_dup(r->text);
	a->sender = span_dup(r->forward_sender);
	if (r->status == REWRITE_OK && r->relocated.len > 0) {
		(void)snprintf(text, sizeof(text),
		    "5.1.6 User has moved to %.*s", SPAN_ARG(r->relocated));
		mem_free(a->transport);
		mem_free(a->nexthop);
		a->transport = mem_strdup(conf.error_service_name);
		a->nexthop = mem_strdup(text);
	} else if (r->status == REWRITE_OK && r->transport.len == 0) {
		a->status = REWRITE_TEMPFAIL;
	}
	a->known = true;
	a->good_until_ms = a->status == REWRITE_OK
	    ? loop_now_ms(qm.loop) + REWRITE_TTL_MS : 0;
	list_remove(&a->lru);
	list_append(&rs.lru, &a->lru);
	for (size_t i = 0; i < n; i++)
		apply(a, w[i].m, w[i].i);
	mem_free(w);
	while (rs.by_key.count > CACHE_MAX && !list_empty(&rs.lru))
		answer_free(LIST_ENTRY(rs.lru.next, struct answer, lru));
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct rewrite_resolved r;
	struct answer *a;

	if (f->type != REWRITE_RESOLVED ||
	    rewrite_resolved_decode(&r, f->body) < 0)
		return -1;
	a = hash_get(&rs.by_tag, tag_key(&f->tag));
	if (a != NULL && a->waiters.len > 0)
		answered(a, &r);
	else if (a != NULL)		/* its waiters have gone */
		(void)hash_del(&rs.by_tag, tag_key(&f->tag));
	return 0;
}

static void
ask_again(void *arg)
{
	LIST_FOREACH(l, &rs.pending) {
		struct answer *a = LIST_ENTRY(l, struct answer, lru);

		if (!a->asked && a->waiters.len > 0)
			ask(a);
	}
}

static void
on_up(void *arg, struct ipc_conn *c)
{
	ask_again(NULL);
}

static void
on_down(void *arg)
{
	LIST_FOREACH(l, &rs.pending)
		LIST_ENTRY(l, struct answer, lru)->asked = false;
	if (!list_empty(&rs.pending))
		loop_timer_set(rs.again, AGAIN_MS);
}

/* Its recipients that wait for an answer wait no more. */
void
resolve_message_gone(struct message *m)
{
	LIST_FOREACH(l, &rs.pending) {
		struct answer *a = LIST_ENTRY(l, struct answer, lru);

		for (size_t i = 0; i < a->waiters.len;) {
			if (a->waiters.v[i].m != m) {
				i++;
				continue;
			}
			rcpt_set(m, a->waiters.v[i].i, R_FRESH);
			ARRAY_DROP(&a->waiters, i);
		}
		if (a->waiters.len == 0) {
			(void)hash_del(&rs.by_tag, tag_key(&a->tag));
			answer_free(a);
		}
	}
}

void
resolve_forget(void)
{
	while (!list_empty(&rs.lru))
		answer_free(LIST_ENTRY(rs.lru.next, struct answer, lru));
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_up = on_up, .on_down = on_down,
};

void
resolve_start(void)
{
	rs.by_key = rs.by_tag = HASH_INIT;
	rs.key = BUF_INIT(BUF_UNLIMITED);
	list_init(&rs.lru);
	list_init(&rs.pending);
	rs.again = loop_timer_new(qm.loop, ask_again, NULL);
	rs.client = ipc_client_new(qm.loop, daemon_socket_path(
	    "private/rewrite"), &REWRITE_PROTO, &ops, NULL);
}

void
resolve_stop(void)
{
	ipc_client_free(&rs.client);
	loop_timer_free(&rs.again);
	resolve_forget();
	while (!list_empty(&rs.pending))
		answer_free(LIST_ENTRY(rs.pending.next, struct answer, lru));
	hash_fini(&rs.by_key, NULL);
	hash_fini(&rs.by_tag, NULL);
	buf_fini(&rs.key);
}
