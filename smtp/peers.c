/* SPDX-License-Identifier: ISC */
/*
 * peers - see peers.h; no I/O.
 */
#include "smtp/peers.h"

#include <stdlib.h>

#include "base/rnd.h"

static int prefer;	/* for qsort() */

void
peers_fini(struct peers *p)
{
	ARRAY_FINI(p);
}

bool
peers_drop_self(struct peers *p, bool (*self)(const struct sock_addr *a),
    uint32_t *self_pref)
{
	uint32_t best = UINT32_MAX;
	size_t n = 0, before = p->len;

	for (size_t i = 0; i < p->len; i++)
		if (p->v[i].pref < best && self(&p->v[i].addr))
			best = p->v[i].pref;
	if (best == UINT32_MAX)
		return false;
	for (size_t i = 0; i < p->len; i++)
		if (p->v[i].pref < best)
			p->v[n++] = p->v[i];
	p->len = n;
	*self_pref = best;
	return n == 0 && before > 0;
}

static int
compare(const void *va, const void *vb)
{
	const struct peer *a = va, *b = vb;

	if (a->pref != b->pref)
		return a->pref < b->pref ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (prefer != AF_UNSPEC &&
	    a->addr.sa.sa_family != b->addr.sa.sa_family)
		return a->addr.sa.sa_family == prefer ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/*
 * What the limit cuts off must not be all of a family: when the other one is
 * out of order today, nothing would be left to try.
 */
static void
keep_both(struct peers *p, size_t limit)
{
	int first = p->v[0].addr.sa.sa_family;

	for (size_t i = 1; i < limit; i++)
		if (p->v[i].addr.sa.sa_family != first)
			return;
	for (size_t i = limit; i < p->len; i++) {
		if (p->v[i].addr.sa.sa_family == first)
			continue;
		p->v[limit - 1] = p->v[i];
		return;
	}
}

void
peers_order(struct peers *p, bool shuffle, int family, bool balance,
    size_t limit)
{
	if (p->len == 0)
		return;
	for (size_t i = 0; i < p->len; i++)
		p->v[i].order = shuffle ? rnd_u64() : i;
	prefer = family;
	qsort(p->v, p->len, sizeof(p->v[0]), compare);
	if (limit == 0 || p->len <= limit)
		return;
	if (balance && limit > 1)
		keep_both(p, limit);
	p->len = limit;
}
