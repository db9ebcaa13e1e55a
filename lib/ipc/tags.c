/* SPDX-License-Identifier: ISC */
/*
 * tags - see tags.h.
 */
#include "ipc/tags.h"

#include <string.h>

#define INDEX_MASK	((1u << TAGS_INDEX_BITS) - 1)
#define GEN_MASK	((1u << (32 - TAGS_INDEX_BITS)) - 1)

uint32_t
tags_add(struct tags *t, void *p)
{
	struct tag_slot *s;
	uint32_t i;

	if (t->free != 0) {
		i = t->free - 1;
		s = &t->slots.v[i];
		t->free = s->next;
	} else {
		/* Index 0 stays unused, so that no tag is 0. */
		if (t->slots.len == 0)
			(void)ARRAY_PUSH(&t->slots);
		if (t->slots.len > INDEX_MASK)
			return 0;
		i = (uint32_t)t->slots.len;
		s = ARRAY_PUSH(&t->slots);
	}
	s->p = p;
	t->used++;
	return (s->gen & GEN_MASK) << TAGS_INDEX_BITS | i;
}

static struct tag_slot *
find(const struct tags *t, uint32_t tag)
{
	uint32_t i = tag & INDEX_MASK;
	struct tag_slot *s;

	if (i == 0 || i >= t->slots.len)
		return NULL;
	s = &t->slots.v[i];
	if (s->p == NULL || (s->gen & GEN_MASK) != tag >> TAGS_INDEX_BITS)
		return NULL;
	return s;
}

void *
tags_get(const struct tags *t, uint32_t tag)
{
	struct tag_slot *s = find(t, tag);

	return s == NULL ? NULL : s->p;
}

void
tags_del(struct tags *t, uint32_t tag)
{
	struct tag_slot *s = find(t, tag);

	if (s == NULL)
		return;
	s->p = NULL;
	s->gen++;
	s->next = t->free;
	t->free = (uint32_t)(s - t->slots.v) + 1;
	t->used--;
}

void
tags_each(struct tags *t, void (*fn)(void *p))
{
	for (size_t i = 1; i < t->slots.len; i++)
		if (t->slots.v[i].p != NULL)
			fn(t->slots.v[i].p);
}
