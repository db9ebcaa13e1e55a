/* SPDX-License-Identifier: ISC */
/*
 * answer - requests in, answers out.
 */
#include "auth/srs.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/sandbox.h"
#include "rewrite/rewrite.h"
#include "route/addr_map.h"

#define TRANSPORT_MAX	64		/* the rows of msg_rewrite.h */
#define NEXTHOP_MAX	1024
#define ADDRESS_TEXT_MAX 1024
#define TEXT_MAX	512
#define VALUE_MAX	(64 * 1024)

struct knowledge knowledge;

int
knowledge_load(struct why *why)
{
	struct resolver *r = resolver_new(why);
	struct tables *tables;
	struct sandbox_ids ids;
	struct srs *srs;

	if (r == NULL)
		return -1;
	if (sandbox_ids(&ids, why) < 0 ||
	    srs_setup(&srs, ids.uid, ids.gid, why) < 0) {
		resolver_free(&r);
		return -1;
	}
	tables = tables_new();
	if (knowledge.tables != NULL)
		tables_adopt(tables, knowledge.tables);
	knowledge_free();
	knowledge.resolver = r;
	knowledge.srs = srs;
	knowledge.sender = BUF_INIT(BUF_UNLIMITED);
	route_init(&knowledge.other);
	knowledge.tables = tables;
	knowledge.value = BUF_INIT(TABLE_VALUE_MAX);
	route_init(&knowledge.route);
	return 0;
}

void
knowledge_free(void)
{
	if (knowledge.resolver == NULL)
		return;
	resolver_free(&knowledge.resolver);
	srs_free(&knowledge.srs);
	buf_fini(&knowledge.sender);
	route_fini(&knowledge.other);
	tables_free(&knowledge.tables);
	route_fini(&knowledge.route);
	buf_fini(&knowledge.value);
}

/* For people only: cut at the row's limit. */
static struct span
cut(struct span s, size_t max)
{
	return span_sub(s, 0, max);
}

/* A route that does not fit its rows is a mistake in a table. */
static bool
too_long(const struct route *r)
{
	return r->transport.len > TRANSPORT_MAX ||
	    r->nexthop.len > NEXTHOP_MAX || r->address.len > ADDRESS_TEXT_MAX;
}

/* --- mail that is sent on, and what comes back --------------------------------- */

/* Whether mail for address ends here; a table that is away says no. */
static bool
is_ours(struct span address)
{
	struct route *r = &knowledge.other;

	resolver_resolve(knowledge.resolver, address, SPAN_EMPTY, 0, r);
	return r->status == ROUTE_OK && r->class != ROUTE_DEFAULT;
}

/*
 * Somebody else's mail to one of ours goes to another host: with a sender of
 * ours, and only then.
 */
static struct span
forward_sender(const struct rewrite_resolve *q, const struct route *r)
{
	if (knowledge.srs == NULL || q->orig.len == 0 || q->sender.len == 0 ||
	    r->status != ROUTE_OK || r->class != ROUTE_DEFAULT ||
	    is_ours(q->sender) || !is_ours(q->orig))
		return SPAN_EMPTY;
	buf_reset(&knowledge.sender);
	if (srs_forward(knowledge.srs, q->sender, clock_wall_us() / 1000000,
	    &knowledge.sender) < 0)
		return SPAN_EMPTY;
	return buf_span(&knowledge.sender);
}

/* A bounce to such a sender: cleanup will put the address inside in its
 * place.  True when that is what it is. */
static bool
answer_srs(const struct rewrite_resolve *q, struct buf *out)
{
	struct rewrite_resolved a = { .status = REWRITE_OK,
	    .class = CLASS_LOCAL, .transport = SPAN("local"),
	    .address = q->address, .rule = SPAN("srs_domain") };
	struct why why = WHY_INIT;

	if (knowledge.srs == NULL || !q->want_listed ||
	    !srs_is(knowledge.srs, q->address))
		return false;
	buf_reset(&knowledge.sender);
	a.listed = srs_reverse(knowledge.srs, q->address,
	    clock_wall_us() / 1000000, &knowledge.sender, &why) == 0;
	a.text = span_of(why.text);
	rewrite_resolved_encode(out, &a);
	return true;
}

void
answer_resolve(const struct rewrite_resolve *q, struct buf *out)
{
	struct route *r = &knowledge.route;
	struct rewrite_resolved a = { .class = CLASS_DEFAULT };

	if (answer_srs(q, out))
		return;
	resolver_resolve(knowledge.resolver, q->address, q->sender,
	    (q->want_listed ? RESOLVE_LISTED : 0) |
	    (q->probe ? RESOLVE_PROBE : 0), r);
	if (r->status == ROUTE_OK && (r->transport.len == 0 || too_long(r))) {
		r->status = ROUTE_TEMPFAIL;
		(void)why_set(&r->why, "4.3.5", "bad route for this address "
		    "in %s", r->rule.data);
	}
	if (r->status == ROUTE_TEMPFAIL)
		log_warning("cannot resolve <%.*s>: %s", SPAN_ARG(q->address),
		    r->why.text);
	a.status = (uint32_t)r->status;
	a.listed = r->status == ROUTE_OK && r->listed;
	a.routed = r->routed;
	a.text = cut(span_of(r->why.text), TEXT_MAX);
	if (r->status == ROUTE_OK) {
		a.class = (uint32_t)r->class;
		a.transport = buf_span(&r->transport);
		a.nexthop = buf_span(&r->nexthop);
		a.address = buf_span(&r->address);
		a.alias = r->alias;
		a.forward_sender = forward_sender(q, r);
		a.relocated = cut(buf_span(&r->relocated), TEXT_MAX);
		a.rule = cut(buf_span(&r->rule), TEXT_MAX);
	}
	rewrite_resolved_encode(out, &a);
}

/* 1 found (value in knowledge.value), 0 not, -1 why. */
static int
look_up(const struct rewrite_lookup *q, struct rewrite_found *a,
    struct why *why)
{
	struct span rest = q->keys, key;
	struct table *t;
	bool known;
	int rc = 0;

	t = tables_find(knowledge.tables, q->table, &known, why);
	if (t == NULL) {
		if (!known)
			a->status = REWRITE_INVALID;
		return -1;
	}
	for (a->key = 0; rc == 0 && rest.len > 0; a->key++) {
		if (a->key == REWRITE_KEYS_MAX ||
		    ipc_get_blob(&rest, TABLE_KEY_MAX, &key) < 0) {
			a->status = REWRITE_INVALID;
			return why_set(why, "5.5.4", "bad keys");
		}
		if (a->key >= q->nwhole && table_is_pattern(t))
			break;
		buf_reset(&knowledge.value);
		rc = table_get(t, key, &knowledge.value, why);
		if (rc > 0)
			break;
	}
	if (rc > 0 && knowledge.value.len > VALUE_MAX)
		return why_set(why, "4.3.5", "value too long in %s",
		    table_spec(t));
	return rc;
}

void
answer_lookup(const struct rewrite_lookup *q, struct buf *out)
{
	struct rewrite_found a = { .status = REWRITE_OK };
	struct why why = WHY_INIT;
	int rc = look_up(q, &a, &why);

	if (rc < 0) {
		if (a.status == REWRITE_OK)
			a.status = REWRITE_TEMPFAIL;
		log_warning("cannot look up in %.*s: %s", SPAN_ARG(q->table),
		    why.text);
		a.text = cut(span_of(why.text), TEXT_MAX);
	}
	a.found = rc > 0;
	a.key = rc > 0 ? a.key : 0;
	if (rc > 0) {
		a.value = buf_span(&knowledge.value);
		/* A STR holds no NUL; old postmap files end values with one. */
		while (a.value.len > 0 && a.value.p[a.value.len - 1] == '\0')
			a.value.len--;
	}
	rewrite_found_encode(out, &a);
}

/* The first address only: an address cannot become two on its way out. */
static void
on_mapped(void *arg, struct span addr)
{
	if (knowledge.value.len == 0)
		buf_add_span(&knowledge.value, addr);
}

void
answer_map(const struct rewrite_map *q, struct buf *out)
{
	struct rewrite_found a = { .status = REWRITE_OK };
	struct why why = WHY_INIT;
	bool known;
	struct maps *m = tables_maps(knowledge.tables, q->maps, &known, &why);
	int rc = -1;

	buf_reset(&knowledge.value);
	if (m != NULL)
		rc = addr_map(m, q->propagate, q->address, on_mapped, NULL,
		    &why);
	if (rc < 0) {
		a.status = known ? REWRITE_TEMPFAIL : REWRITE_INVALID;
		log_warning("cannot look up in %.*s: %s", SPAN_ARG(q->maps),
		    why.text);
		a.text = cut(span_of(why.text), TEXT_MAX);
	}
	a.found = rc > 0;
	if (rc > 0)
		a.value = buf_span(&knowledge.value);
	rewrite_found_encode(out, &a);
}
