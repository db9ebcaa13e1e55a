/* SPDX-License-Identifier: ISC */
/*
 * rewrite - see rewrite.h.
 */
#include "base/hash.h"
#include "base/log.h"
#include "cleanup/rewrite.h"
#include "conf/params.h"
#include "mail/address.h"
#include "route/addr_find.h"
#include "route/addr_map.h"
#include "route/resolve.h"

#define CANONICAL_MAX	1000	/* steps of one address through one table */

static struct span
dup_span(struct arena *a, struct span s)
{
	return span_make(arena_span_dup(a, s), s.len);
}

struct span
rewrite_complete(struct arena *a, struct span addr)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct span domain, result = addr;
	ptrdiff_t at = span_rfind(addr, '@');

	/* Nothing to do for nearly every address there is. */
	if (addr.len == 0)
		return addr;
	if (at > 0) {
		domain = span_from(addr, (size_t)at + 1);
		if (domain.len > 0 && domain.p[domain.len - 1] != '.' &&
		    (span_find(domain, '.') > 0 || domain.p[0] == '['))
			return addr;
	}
	address_complete(addr, &out);
	if (!span_eq(buf_span(&out), addr))
		result = dup_span(a, buf_span(&out));
	buf_fini(&out);
	return result;
}

/* --- the result of a table: addresses ------------------------------------------------ */

struct results {
	struct arena	*arena;
	struct span_list *out;
};

static void
on_result(void *arg, struct span addr)
{
	struct results *r = arg;

	*ARRAY_PUSH(r->out) = dup_span(r->arena, addr);
}

/* Look addr up: 1 and its results appended, 0 none, -1. */
static int
map_address(struct maps *maps, bool propagate, struct arena *a,
    struct span addr, struct span_list *out, struct why *why)
{
	struct results r = { .arena = a, .out = out };

	return addr_map(maps, propagate, addr, on_result, &r, why);
}

/* --- canonical and masquerade --------------------------------------------------------- */

static int
canonical(struct maps *maps, const char *title, bool propagate,
    struct arena *a, struct span *addr, struct why *why)
{
	struct span_list got = { NULL, 0, 0 };
	int rc = 0;

	if (maps_empty(maps))
		return 0;
	for (int step = 0;; step++) {
		struct span was = *addr;

		got.len = 0;
		if (step == CANONICAL_MAX) {
			rc = why_set(why, "4.6.0", "unreasonable %s nesting "
			    "for %.*s", title, SPAN_ARG(*addr));
			break;
		}
		rc = map_address(maps, propagate, a, *addr, &got, why);
		if (rc <= 0)
			break;
		if (got.len > 1)
			log_warning("multi-valued %s entry for %.*s", title,
			    SPAN_ARG(was));
		*addr = got.v[0];
		if (span_caseeq(was, *addr))
			break;
	}
	ARRAY_FINI(&got);
	return rc < 0 ? -1 : 0;
}

static int
masquerade(const struct settings *s, struct arena *a, struct span *addr,
    struct why *why)
{
	struct span local, domain;
	int rc;

	address_split(*addr, &local, &domain);
	if (s->masquerade.len == 0 || domain.p == NULL)
		return 0;
	rc = match_list_string(s->masquerade_exceptions, local, why);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	for (size_t i = 0; i < s->masquerade.len; i++) {
		const struct masquerade *m = &s->masquerade.v[i];
		struct span parent = span_of(m->domain);

		if (span_caseeq(domain, parent))
			return 0;
		if (domain.len <= parent.len ||
		    domain.p[domain.len - parent.len - 1] != '.' ||
		    !span_caseends(domain, parent))
			continue;
		if (!m->not) {
			const char *p = arena_printf(a, "%.*s@%.*s",
			    SPAN_ARG(local), SPAN_ARG(parent));

			*addr = span_of(p);
		}
		return 0;
	}
	return 0;
}

int
rewrite_map(const struct settings *s, struct arena *a, struct span *addr,
    unsigned class, struct why *why)
{
	bool sender = class & (CLASS_ENVELOPE_SENDER | CLASS_HEADER_SENDER);

	if (addr->len == 0 || !s->rewrites)
		return 0;
	if (sender && (s->sender_canonical_classes & class) &&
	    canonical(s->sender_canonical, "sender_canonical_maps",
	    s->propagate_canonical, a, addr, why) < 0)
		return -1;
	if (!sender && (s->recipient_canonical_classes & class) &&
	    canonical(s->recipient_canonical, "recipient_canonical_maps",
	    s->propagate_canonical, a, addr, why) < 0)
		return -1;
	if ((s->canonical_classes & class) &&
	    canonical(s->canonical, "canonical_maps", s->propagate_canonical,
	    a, addr, why) < 0)
		return -1;
	if (s->masquerade_classes & class)
		return masquerade(s, a, addr, why);
	return 0;
}

/* --- virtual aliases -------------------------------------------------------------------- */

static bool
listed(const struct hash *h, struct span addr, struct buf *tmp)
{
	buf_reset(tmp);
	address_fold(addr, true, tmp);
	return hash_find(h, buf_span(tmp)) != NULL;
}

int
rewrite_virtual(const struct settings *s, struct arena *a, struct span addr,
    struct span_list *out, struct why *why)
{
	size_t first = out->len;
	struct hash done = HASH_INIT;	/* are their own expansion */
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);
	struct span_list got = { NULL, 0, 0 };
	int rc = -1;

	*ARRAY_PUSH(out) = addr;
	for (size_t i = first; i < out->len; i++) {
		for (int64_t depth = 0;; depth++) {
			struct span was = out->v[i];

			if (listed(&done, was, &tmp))
				break;
			got.len = 0;
			rc = map_address(s->virtual_alias,
			    s->propagate_virtual, a, was, &got, why);
			if (rc < 0)
				goto out;
			if (rc == 0)
				break;
			rc = -1;
			if (depth >= conf.virtual_alias_recursion_limit) {
				log_warning("unreasonable virtual_alias_maps "
				    "map nesting for %.*s -- message not "
				    "accepted, try again later",
				    SPAN_ARG(addr));
				why_set(why, "4.6.0", "Alias expansion error");
				goto out;
			}
			for (size_t k = 0; k < got.len; k++) {
				if (span_caseeq(got.v[k], was)) {
					(void)listed(&done, was, &tmp);
					(void)hash_put(&done, buf_span(&tmp),
					    &done);
				}
				if (k == 0)
					out->v[i] = got.v[0];
				else
					*ARRAY_PUSH(out) = got.v[k];
			}
			if ((int64_t)(out->len - first) >
			    conf.virtual_alias_expansion_limit) {
				log_warning("unreasonable virtual_alias_maps "
				    "map expansion size for %.*s -- message "
				    "not accepted, try again later",
				    SPAN_ARG(addr));
				why_set(why, "4.6.0", "Alias expansion error");
				goto out;
			}
		}
	}
	rc = 0;
out:
	ARRAY_FINI(&got);
	buf_fini(&tmp);
	hash_fini(&done, NULL);
	return rc;
}

int
rewrite_bcc(const struct settings *s, struct maps *maps, struct arena *a,
    struct span addr, struct span *out, struct why *why)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	int rc;

	if (addr.len == 0)
		return 0;
	rc = addr_find(maps, addr, FIND_DEFAULT, &value, NULL, why);
	if (rc > 0) {
		struct span v = span_trim(buf_span(&value));

		if (span_find(v, ',') >= 0 || span_find(v, '@') < 0) {
			log_warning("%s: bcc of %.*s: \"%.*s\" is not one "
			    "address", maps_last_table(maps), SPAN_ARG(addr),
			    SPAN_ARG(v));
		}
		*out = rewrite_complete(a, dup_span(a, v));
	}
	buf_fini(&value);
	return rc;
}
