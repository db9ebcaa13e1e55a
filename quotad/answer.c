/* SPDX-License-Identifier: ISC */
/*
 * answer - does the mailbox of this address have room?
 *
 * What cannot be found out is answered with yes: the delivery agent looks
 * again, and mail that waits in the queue is better than mail refused for
 * want of an answer.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "quotad/quotad.h"
#include "store/virtual_map.h"

#define KEEP_MS		2000	/* how old what is known may be */
#define KEEP_MAX	4096	/* accounts */

struct known {
	int64_t			 at_ms;
	struct store_quota	 used, limits;
};

static struct virtual_map *places;
static struct quota_map *quotas;
static struct hash known;		/* by address */

int
answer_open(struct why *why)
{
	struct virtual_map *m = virtual_map_new(why);
	struct quota_map *q = quota_map_new(why);

	if (m == NULL || q == NULL) {
		virtual_map_free(&m);
		quota_map_free(&q);
		return -1;
	}
	virtual_map_free(&places);
	quota_map_free(&quotas);
	places = m;
	quotas = q;
	hash_fini(&known, mem_free);
	return 0;
}

/* 1: *k says; 0: no mailbox of ours; -1 with why. */
static int
look(struct span addr, struct known *k, struct why *why)
{
	struct virtual_place v = { .path = BUF_INIT(VIRTUAL_PATH_MAX) };
	struct store_quota limits;
	struct store_place p = {
		.base = virtual_map_base(), .quota = &limits,
		.own_quota = true,
	};
	int rc = virtual_map_find(places, addr, &v, why);

	if (rc == 1 && quota_map_find(quotas, addr, &limits, why) < 0)
		rc = -1;
	if (rc == 1) {
		p.format = v.format;
		p.flags = v.detect ? STORE_DETECT : 0;
		p.path = v.path.data;
		if (store_usage(&p, &k->used, &k->limits, why) < 0)
			rc = -1;
	}
	buf_fini(&v.path);
	return rc;
}

static struct known *
find(struct span addr, struct why *why)
{
	int64_t now = clock_mono_ms();
	struct hash_entry *e;
	struct known fresh, *k;
	bool made;
	int rc;

	k = hash_get(&known, addr);
	if (k != NULL && now - k->at_ms < KEEP_MS)
		return k;
	rc = look(addr, &fresh, why);
	if (rc < 0)
		log_warning("%.*s: %s", SPAN_ARG(addr), why->text);
	if (rc <= 0)
		return NULL;
	if (known.count >= KEEP_MAX)
		hash_fini(&known, mem_free);
	e = hash_enter(&known, addr, &made);
	if (made)
		e->value = mem_alloc(sizeof(*k));
	k = e->value;
	*k = fresh;
	k->at_ms = now;
	return k;
}

void
answer_ask(const struct quota_ask *q, struct quota_answer *a,
    struct why *why)
{
	const struct known *k = find(q->address, why);

	*a = (struct quota_answer){ .room = true, .text = SPAN("") };
	*why = (struct why)WHY_INIT;
	if (k == NULL || store_quota_fits(&k->used, &k->limits, q->bytes,
	    why) == 0)
		return;
	a->room = false;
	a->never = why->code[0] == '5';
	a->text = span_of(why->text);
}
