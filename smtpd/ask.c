/* SPDX-License-Identifier: ISC */
/*
 * ask - what rules ask others while a decision is made: rewrite, quotad,
 * verify, policy services, the DNS.  The answer is put aside, and the rule is
 * called again and finds it.
 */
#include "smtpd/policy.h"

struct span
policy_keep(struct policy_run *r, struct span s)
{
	return s.len == 0 ? SPAN_EMPTY :
	    span_make(arena_span_dup(&r->arena, s), s.len);
}

static void
answered(struct ask *ask, const struct answer *got)
{
	struct policy_run *r = CONTAINER_OF(ask, struct policy_run, ask);
	struct answer a = *got;

	a.text = policy_keep(r, a.text);
	a.address = policy_keep(r, a.address);
	a.relocated = policy_keep(r, a.relocated);
	a.rule = policy_keep(r, a.rule);
	a.nexthop = policy_keep(r, a.nexthop);
	a.value = policy_keep(r, a.value);
	switch (r->asked) {
	case ASKED_RCPT:
		r->have_rcpt = true;
		r->rcpt_answer = a;
		if (a.status == ANSWER_OK && a.address.len > 0)
			r->out.addr = a.address;
		break;
	case ASKED_SENDER:
		r->have_sender = true;
		r->sender_answer = a;
		break;
	default:
		r->have_table = true;
		r->table = a;
		break;
	}
	r->asked = ASKED_NONE;
	if (!r->stepping)
		policy_continue(r);
}

const struct answer *
policy_need_rcpt(struct policy_run *r)
{
	if (!r->have_rcpt) {
		r->asked = ASKED_RCPT;
		lookup_resolve(&r->ask, r->rcpt, true);
	}
	return r->have_rcpt ? &r->rcpt_answer : NULL;
}

const struct answer *
policy_need_sender(struct policy_run *r)
{
	if (!r->have_sender) {
		r->asked = ASKED_SENDER;
		lookup_resolve(&r->ask, r->s->txn->env.sender, true);
	}
	return r->have_sender ? &r->sender_answer : NULL;
}

const struct answer *
policy_ask_table(struct policy_run *r, struct span table)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		lookup_table(&r->ask, table, &r->keys);
		if (!r->have_table)
			return NULL;
	}
	r->have_table = false;
	return &r->table;
}

const struct answer *
policy_ask_room(struct policy_run *r, struct span addr, uint64_t bytes)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		lookup_room(&r->ask, addr, bytes);
		if (!r->have_table)
			return NULL;
	}
	r->have_table = false;
	return &r->table;
}

const struct answer *
policy_ask_verify(struct policy_run *r, struct span addr)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		verify_ask(&r->ask, addr);
		if (!r->have_table)
			return NULL;
	}
	r->have_table = false;
	return &r->table;
}

const struct answer *
policy_ask_service(struct policy_run *r, const struct policy_service *p)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		service_ask(&r->ask, r, p, &r->service);
		if (!r->have_table) {
			r->patience_ms = service_patience_ms(p);
			return NULL;
		}
	}
	r->have_table = false;
	return &r->table;
}

static void
got_dns(void *arg, const struct dns_answer *a)
{
	struct policy_dns *d = arg;
	struct policy_run *r = d->r;

	d->q = NULL;
	d->answer = *a;
	d->answer.name = policy_keep(r, a->name);
	d->answer.records = policy_keep(r, a->records);
	d->answer.text = policy_keep(r, a->text);
	/* An answer that nobody waits for any more is none to go on with. */
	if (r->dns_wait)
		policy_continue(r);
}

const struct dns_answer *
policy_ask_dns(struct policy_run *r, struct span name, enum dns_type type)
{
	static const struct dns_answer too_many = {
		.status = RESOLVER_REFUSED
	};
	struct policy_dns *d;

	LIST_FOREACH(l, &r->dns) {
		d = LIST_ENTRY(l, struct policy_dns, link);
		if (d->type != type || !span_caseeq(d->name, name))
			continue;
		if (d->q == NULL)
			return &d->answer;
		r->dns_wait = true;
		return NULL;
	}
	if (r->ndns == POLICY_DNS_MAX)
		return &too_many;
	r->ndns++;
	d = arena_zalloc(&r->arena, sizeof(*d));
	d->r = r;
	d->type = type;
	d->name = policy_keep(r, name);
	list_append(&r->dns, &d->link);
	d->q = dns_ask(smtpd_dns(), d->name, type, type == DNS_A ||
	    type == DNS_AAAA ? RESOLVER_USE_HOSTS : 0, got_dns, d);
	r->dns_wait = true;
	return NULL;
}

void
policy_ask_init(struct policy_run *r)
{
	r->ask.fn = answered;
	list_init(&r->dns);
}

/* Nobody waits for the answers any more. */
void
policy_ask_cancel(struct policy_run *r)
{
	service_cancel(&r->service);
	lookup_cancel(&r->ask);
	LIST_FOREACH(l, &r->dns) {
		dns_cancel(&LIST_ENTRY(l, struct policy_dns, link)->q);
	}
}
