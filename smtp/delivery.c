/* SPDX-License-Identifier: ISC */
/*
 * delivery - one message for some recipients and one next hop: which host
 * comes next, and what becomes of each recipient.
 *
 * As Postfix: a temporary failure, of a host or of a recipient, leads to the
 * next host as long as there is one; a permanent one ends it.  What is left
 * when all have been tried is deferred for the last reason.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "mail/address.h"
#include "route/status_filter.h"
#include "smtp/smtp.h"

/* --- log ------------------------------------------------------------------------ */

static void
log_rcpt(const struct delivery *d, const struct rcpt *r,
    enum deliver_outcome o, const char *dsn, const char *text)
{
	static const char *const names[] = {
		[DELIVER_DELIVERED] = "sent", [DELIVER_BOUNCED] = "bounced",
		[DELIVER_DEFERRED] = "deferred",
	};
	struct buf to = BUF_INIT(BUF_UNLIMITED), orig = BUF_INIT(BUF_UNLIMITED);
	bool show = r->orig.len > 0 && !span_eq(r->orig, r->addr);
	int64_t now = clock_wall_us(), active = d->active_us;
	int64_t ready = d->ready_us != 0 ? d->ready_us : now;
	const char *to_text = address_show(r->addr, &to);
	const char *orig_text = show ? address_show(r->orig, &orig) : "";
	char all[CLOCK_DELAY_MAX], a[CLOCK_DELAY_MAX], b[CLOCK_DELAY_MAX],
	    c[CLOCK_DELAY_MAX], e[CLOCK_DELAY_MAX];

	if (active == 0 || active > d->began_us)
		active = d->began_us;
	log_info("%.*s: to=<%s>, %s%s%srelay=%s, delay=%s, "
	    "delays=%s/%s/%s/%s, dsn=%s, status=%s (%s)",
	    SPAN_ARG(d->env.queue_id), to_text, show ? "orig_to=<" : "",
	    orig_text, show ? ">, " : "", d->relay[0] ? d->relay : "none",
	    clock_delay(now - d->env.arrival_us, all),
	    clock_delay(active - d->env.arrival_us, a),
	    clock_delay(d->began_us - active, b),
	    clock_delay(ready - d->began_us, c),
	    clock_delay(now - ready, e), dsn,
	    (d->env.flags & ENV_PROBE) ? (o == DELIVER_DELIVERED ?
	    "deliverable" : "undeliverable") :
	    o == DELIVER_DEFERRED && dsn[0] == '5' ? "SOFTBOUNCE" : names[o],
	    text);
	buf_fini(&to);
	buf_fini(&orig);
}

/* --- recipients --------------------------------------------------------------------- */

void
delivery_rcpt_done(struct delivery *d, size_t i, enum deliver_outcome o,
    const char *dsn, const char *text, const char *action)
{
	const struct rcpt *r = &d->env.rcpts.v[i];
	bool deferred = o == DELIVER_DEFERRED;
	struct deliver_status st;
	struct why w = WHY_INIT;

	if (d->targets[i].state == T_DONE)
		log_panic("%.*s: recipient %zu answered for twice",
		    SPAN_ARG(d->env.queue_id), i);
	d->targets[i].state = T_DONE;
	d->ntodo--;
	(void)why_set(&w, dsn, "%s", text);
	status_filter(set.status_filter, "delivery_status_filter", &o, &w);
	if (o == DELIVER_BOUNCED && conf.soft_bounce)
		o = DELIVER_DEFERRED;
	log_rcpt(d, r, o, w.code, w.text);
	st = (struct deliver_status){
		.rcpt = (uint32_t)i, .outcome = o, .dsn = span_of(w.code),
		.text = span_sub(span_of(w.text), 0, 1000),
		.relay = span_of(d->relay[0] ? d->relay : "none"),
		.remote_dsn = d->session != NULL ? span_of(dsn) : SPAN_EMPTY,
		.action = span_of(action),
		.site_down = deferred && d->no_host,
	};
	agent_status(d, &st);
}

void
delivery_all_done(struct delivery *d, const struct why *why)
{
	enum deliver_outcome o = why->code[0] == '5' ? DELIVER_BOUNCED :
	    DELIVER_DEFERRED;

	for (size_t i = 0; i < d->env.rcpts.len; i++)
		if (d->targets[i].state == T_TODO)
			delivery_rcpt_done(d, i, o, why->code, why->text, "");
}

/* --- hosts ---------------------------------------------------------------------------- */

bool
delivery_final(const struct delivery *d)
{
	if (d->at + 1 < d->hops.len && !(d->why_loop && d->at == 0))
		return false;
	if (set.mx_session_limit > 0 && d->sessions >= set.mx_session_limit)
		return true;
	return d->next_peer >= d->peers.len && list_empty(&d->attempts);
}

void
delivery_host_failed(struct delivery *d, const struct why *why,
    bool site_down)
{
	d->why = *why;
	if (why->code[0] != '5' && !delivery_final(d)) {
		log_info("%.*s: %s", SPAN_ARG(d->env.queue_id), why->text);
		return;
	}
	d->no_host = site_down && why->code[0] != '5';
	delivery_all_done(d, why);
}

int
delivery_facts(struct delivery *d, struct why *why)
{
	if (d->facts_known)
		return 0;
	if (content_look(d->source->fd, d->offset, d->len, &d->facts,
	    why) < 0)
		return -1;
	d->facts_known = true;
	return 0;
}

/* --- from hop to hop --------------------------------------------------------------------- */

/* qmgr sends them by best_mx_transport: as with Postfix, what the DNS says
 * makes this host the destination. */
static void
ours_by_dns(struct delivery *d)
{
	log_info("%.*s: %s: delivering by %s", SPAN_ARG(d->env.queue_id),
	    d->why.text, conf.best_mx_transport);
	for (size_t i = 0; i < d->env.rcpts.len; i++) {
		struct deliver_status st = { .rcpt = (uint32_t)i,
		    .outcome = DELIVER_BEST_MX, .dsn = span_of(d->why.code),
		    .text = span_of(d->why.text), .relay = SPAN("none") };

		if (d->targets[i].state == T_DONE)
			continue;
		d->targets[i].state = T_DONE;
		d->ntodo--;
		agent_status(d, &st);
	}
}

/*
 * Nobody is left to be tried.  A mistake in the settings must not return
 * mail: what the administrator named and what does not work is deferred.
 */
static void
give_up(struct delivery *d)
{
	if (d->why.code[0] == '\0')
		(void)why_set(&d->why, "4.3.0", "server unavailable or unable "
		    "to receive mail");
	if (d->why_loop && conf.best_mx_transport[0] != '\0') {
		ours_by_dns(d);
		return;
	}
	if (d->why.code[0] == '5' && d->nprimary < d->hops.len &&
	    d->at > d->nprimary) {
		log_warning("%s_fallback_relay configuration problem: %s",
		    set.proto, d->why.text);
		(void)why_set(&d->why, "4.3.5", "Server configuration error");
	} else if (d->why.code[0] == '5' && conf.relayhost[0] != '\0' &&
	    strcmp(d->nexthop, conf.relayhost) == 0) {
		log_warning("relayhost configuration problem: %s",
		    d->why.text);
		(void)why_set(&d->why, "4.3.5", "Server configuration error");
	}
	d->no_host = d->why.code[0] != '5';
	delivery_all_done(d, &d->why);
}

static void
on_lookup(void *arg, struct peers *peers, const struct why *why, bool loop)
{
	struct delivery *d = arg;

	d->lookup = NULL;
	peers_fini(&d->peers);
	d->peers = *peers;
	*peers = (struct peers){ .len = 0 };
	d->next_peer = 0;
	d->sessions = 0;
	if (d->peers.len == 0) {
		d->why = *why;
		d->relay = "";
		d->why_loop = loop;
	}
	delivery_next(d);
}

bool
delivery_requires_tls(const struct delivery *d)
{
	return (d->env.flags & ENV_REQUIRETLS) && d->env.sender.len > 0;
}

/* The policy is known: a kept session, or a new one. */
static void
find_hosts(struct delivery *d)
{
	struct session *s;

	if (d->key != NULL)
		cache_count(d->key, -1);
	mem_free(d->key);
	d->key = mem_printf("%s\t%s:%u %d%s%s %.*s", d->hops.v[d->at],
	    d->hop.name, d->hop.port, (int)d->policy.level,
	    sts_active(d->sts) ? d->sts->id : "",
	    delivery_requires_tls(d) ? "!" : "",
	    SPAN_ARG(set.sasl && set.sasl_by_sender ? d->env.sender :
	    SPAN_EMPTY));
	cache_count(d->key, 1);
	s = cache_take(d->key);
	if (s != NULL) {
		session_reuse(s, d);
		return;
	}
	d->lookup = lookup_start(&d->hop, on_lookup, d);
}

static void
on_sts(void *arg, struct sts *sts)
{
	struct delivery *d = arg;

	d->sts_query = NULL;
	d->sts = sts;
	if (sts != NULL) {
		find_hosts(d);
		return;
	}
	(void)why_set(&d->why, "4.7.5", "MTA-STS policy look-up failed for "
	    "%s", d->hop.name);
	d->peers.len = d->next_peer = 0;
	delivery_next(d);
}

/* Policies are about mail exchangers: it is certain that none will be used. */
static bool
only_srv(const struct hop *hop)
{
	return lookup_by_srv(hop) && !conf.allow_srv_lookup_fallback &&
	    !conf.ignore_srv_lookup_error;
}

/*
 * What the domain demands of its senders (RFC 8461), where the administrator
 * has left the level to chance.  A message that is to arrive whatever others
 * demand is not held up by it (RFC 8689 4.2.2).
 */
static void
ask_sts(struct delivery *d)
{
	struct buf name = BUF_INIT(BUF_UNLIMITED);

	if (!conf.mtasts_enable || set.lmtp || d->by_table ||
	    d->hop.kind != HOP_DOMAIN || only_srv(&d->hop) || (d->policy.level != TLS_LEVEL_MAY &&
	    d->policy.level != TLS_LEVEL_ENCRYPT &&
	    d->policy.level != TLS_LEVEL_DANE) ||
	    (d->env.flags & (ENV_TLS_OPTIONAL | ENV_REQUIRETLS)) ==
	    ENV_TLS_OPTIONAL || !dns_name_valid(span_of(d->hop.name))) {
		find_hosts(d);
		return;
	}
	address_fold(span_of(d->hop.name), true, &name);
	d->sts = sts_cached(buf_span(&name));
	if (d->sts != NULL)
		find_hosts(d);
	else
		d->sts_query = sts_ask(buf_span(&name), on_sts, d);
	buf_fini(&name);
}

/* RFC 8689: the message says how it is to be secured, too. */
static void
policy_known(struct delivery *d)
{
	if (delivery_requires_tls(d)) {
		d->policy.level = MAX(d->policy.level, TLS_LEVEL_DANE);
	} else if ((d->env.flags & ENV_TLS_OPTIONAL) &&
	    (d->policy.level == TLS_LEVEL_DANE ||
	    d->policy.level == TLS_LEVEL_DANE_ONLY)) {
		d->policy.level = TLS_LEVEL_MAY;
	}
	ask_sts(d);
}

static void
policy_bad(struct delivery *d, const char *text)
{
	log_warning("%.*s: %s_tls_policy_maps, %s: %s",
	    SPAN_ARG(d->env.queue_id), set.proto, d->hops.v[d->at], text);
	(void)why_set(&d->why, "4.7.5", "client TLS configuration problem");
	d->peers.len = d->next_peer = 0;
	delivery_next(d);
}

static void
on_policy(void *arg, int rc, struct span value, const char *text)
{
	struct delivery *d = arg;
	struct why why = WHY_INIT;

	d->table = NULL;
	if (rc < 0) {
		policy_bad(d, text);
		return;
	}
	if (rc > 0 && (policy_parse(value, &d->policy, &why) < 0 ||
	    !starttls_policy_works(&d->policy, &why))) {
		policy_bad(d, why.text);
		return;
	}
	d->by_table = rc > 0;
	policy_known(d);
}

static void
ask_policy(struct delivery *d)
{
	struct span keys[POLICY_KEYS_MAX];
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char *low;
	size_t n;

	address_fold(span_of(d->hops.v[d->at]), true, &b);
	low = arena_span_dup(&d->arena, buf_span(&b));
	buf_fini(&b);
	n = policy_keys(span_of(low), keys);
	d->table = tables_ask(set.tls_policy_maps, keys, n, n, on_policy, d);
}

static void
next_hop(struct delivery *d)
{
	struct why why = WHY_INIT;

	if (hop_parse(span_of(d->hops.v[d->at]), set.lmtp, set.port, &d->hop,
	    &why) < 0) {
		log_warning("%.*s: %s", SPAN_ARG(d->env.queue_id), why.text);
		d->why = why;
		delivery_next(d);
		return;
	}
	policy_fini(&d->policy);
	sts_drop(&d->sts);
	d->policy.level = set.tls_level;
	d->by_table = false;
	if (set.tls_policy_maps[0] != '\0' && d->hop.kind != HOP_UNIX)
		ask_policy(d);
	else
		policy_known(d);
}

void
delivery_restart(struct delivery *d)
{
	d->lookup = lookup_start(&d->hop, on_lookup, d);
}

static void
step(void *arg)
{
	struct delivery *d = arg;

	if (d->ntodo == 0) {
		agent_delivery_over(d);
		return;
	}
	if (d->next_peer < d->peers.len && !(set.mx_session_limit > 0 &&
	    d->sessions >= set.mx_session_limit)) {
		connect_start(d);
		return;
	}
	/* Mail that comes back to us is not sent by another way: that would
	 * hide the loop. */
	if (d->at + 1 < d->hops.len && !d->why_loop) {
		d->at++;
		next_hop(d);
		return;
	}
	give_up(d);
	loop_defer(daemon_loop(), &d->step);
}

void
delivery_next(struct delivery *d)
{
	loop_defer(daemon_loop(), &d->step);
}

static void
add_hops(struct delivery *d, const char *list)
{
	struct span rest = span_of(list), word;

	while (span_token(&rest, HOP_SEPARATORS, &word))
		*ARRAY_PUSH(&d->hops) = arena_span_dup(&d->arena, word);
}

static void
on_generic(void *arg, const struct why *why)
{
	struct delivery *d = arg;

	if (why->code[0] == '\0') {
		next_hop(d);
		return;
	}
	log_warning("%.*s: %s", SPAN_ARG(d->env.queue_id), why->text);
	delivery_all_done(d, why);
	delivery_next(d);
}

/* How the world should see the addresses; then the first hop. */
static void
map_addresses(struct delivery *d)
{
	struct why why = WHY_INIT;

	if (set.generic_maps[0] == '\0') {
		next_hop(d);
		return;
	}
	d->generic = generic_start(set.generic_maps, set.generic_propagate,
	    &d->env, d->source->fd, d->offset, d->len, on_generic, d, &why);
	if (d->generic == NULL)
		on_generic(d, &why);
}

void
delivery_start(struct delivery *d)
{
	size_t n = d->env.rcpts.len;

	list_init(&d->attempts);
	d->began_us = clock_wall_us();
	d->step = (struct loop_defer){ .fn = step, .arg = d };
	d->targets = arena_zalloc(&d->arena, (n + 1) * sizeof(d->targets[0]));
	d->ntodo = n;
	add_hops(d, d->nexthop);
	d->nprimary = d->hops.len;
	add_hops(d, set.fallback_relay);
	if (d->nprimary == 0) {
		(void)why_set(&d->why, "4.3.5", "no next hop");
		delivery_all_done(d, &d->why);
	}
	if (d->ntodo == 0) {
		delivery_next(d);
		return;
	}
	map_addresses(d);
}

void
delivery_free(struct delivery *d)
{
	if (d->session != NULL)
		session_detach(d->session);
	connect_cancel(d);
	loop_timer_free(&d->race);
	tables_cancel(&d->table);
	sts_cancel(&d->sts_query);
	sts_drop(&d->sts);
	policy_fini(&d->policy);
	lookup_cancel(&d->lookup);
	generic_free(&d->generic);
	loop_defer_cancel(&d->step);
	peers_fini(&d->peers);
	if (d->key != NULL)
		cache_count(d->key, -1);
	mem_free(d->key);
	ARRAY_FINI(&d->hops);
	envelope_fini(&d->env);
	arena_fini(&d->arena);
	mem_free(d);
}
