/* SPDX-License-Identifier: ISC */
/*
 * gate - see gate.h.
 */
#include "smtp/gate.h"

#define USUAL_FIRST_MS	250	/* before anything is known */
#define USUAL_WEIGHT	8	/* of what was, against the newest */
#define PATIENCE	4	/* times what is usual */

void
gate_init(struct gate *g, size_t limit)
{
	list_init(&g->waiting);
	list_init(&g->counted);
	g->ncounted = 0;
	g->limit = MAX(limit, 1);
	g->usual_ms = USUAL_FIRST_MS;
}

static int64_t
patience_ms(const struct gate *g)
{
	int64_t ms = g->usual_ms * PATIENCE;

	return ms < GATE_PATIENCE_MIN_MS ? GATE_PATIENCE_MIN_MS :
	    MIN(ms, GATE_PATIENCE_MAX_MS);
}

static struct gate_pass *
first(const struct list *l)
{
	return list_empty(l) ? NULL :
	    LIST_ENTRY(l->next, struct gate_pass, link);
}

static void
begin(struct gate *g, struct gate_pass *p, int64_t now_ms)
{
	p->state = PASS_COUNTS;
	p->began_ms = now_ms;
	list_append(&g->counted, &p->link);
	g->ncounted++;
}

static void
uncount(struct gate *g, struct gate_pass *p)
{
	list_remove(&p->link);
	g->ncounted--;
}

/* Those that take too long do not count any more. */
static void
overlook(struct gate *g, int64_t now_ms)
{
	int64_t since = now_ms - patience_ms(g);
	struct gate_pass *p;

	while ((p = first(&g->counted)) != NULL && p->began_ms <= since) {
		uncount(g, p);
		p->state = PASS_LATE;
	}
}

bool
gate_enter(struct gate *g, struct gate_pass *p, int64_t now_ms)
{
	if (g->ncounted >= g->limit)
		overlook(g, now_ms);
	if (list_empty(&g->waiting) && g->ncounted < g->limit) {
		begin(g, p, now_ms);
		return true;
	}
	p->state = PASS_WAITS;
	list_append(&g->waiting, &p->link);
	return false;
}

void
gate_leave(struct gate *g, struct gate_pass *p, int64_t now_ms, bool finished)
{
	switch (p->state) {
	case PASS_NONE:
		return;
	case PASS_WAITS:
		list_remove(&p->link);
		break;
	case PASS_COUNTS:
		uncount(g, p);
		break;
	case PASS_LATE:
		break;
	}
	if (finished && p->state != PASS_WAITS) {
		/* One that took very long says no more than "very long". */
		int64_t took = MIN(now_ms - p->began_ms, GATE_PATIENCE_MAX_MS);

		g->usual_ms = (g->usual_ms * (USUAL_WEIGHT - 1) + took) /
		    USUAL_WEIGHT;
	}
	p->state = PASS_NONE;
}

struct gate_pass *
gate_next(struct gate *g, int64_t now_ms)
{
	struct gate_pass *p = first(&g->waiting);

	if (p == NULL)
		return NULL;
	if (g->ncounted >= g->limit)
		overlook(g, now_ms);
	if (g->ncounted >= g->limit)
		return NULL;
	list_remove(&p->link);
	begin(g, p, now_ms);
	return p;
}

int64_t
gate_due_ms(const struct gate *g, int64_t now_ms)
{
	const struct gate_pass *p = first(&g->counted);

	if (list_empty(&g->waiting))
		return -1;
	if (g->ncounted < g->limit || p == NULL)
		return 0;
	return MAX(p->began_ms + patience_ms(g) - now_ms, 0);
}
