/* SPDX-License-Identifier: ISC */
/*
 * list - doubly linked lists through a link inside the element.
 *
 * A list is a circle through its head.  An element that is on no list has a
 * link that points at itself or at NULL; list_remove() of such a link does
 * nothing, so an owner can always call it.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/cc.h"

struct list {
	struct list	*next, *prev;
};

#define LIST_INIT(head)	{ &(head), &(head) }
#define LIST_ENTRY(l, T, m)	CONTAINER_OF(l, T, m)
/* The loop body may remove or free the element it is at. */
#define LIST_FOREACH(l, head)						\
	for (struct list *l = (head)->next, *l##_next = l->next;	\
	    l != (head); l = l##_next, l##_next = l->next)

static inline void
list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head || head->next == NULL;
}

static inline void
list_insert_before(struct list *at, struct list *l)
{
	l->prev = at->prev;
	l->next = at;
	at->prev->next = l;
	at->prev = l;
}

static inline void
list_append(struct list *head, struct list *l)
{
	list_insert_before(head, l);
}

static inline void
list_prepend(struct list *head, struct list *l)
{
	list_insert_before(head->next, l);
}

static inline void
list_remove(struct list *l)
{
	if (l->next == NULL)
		return;
	l->next->prev = l->prev;
	l->prev->next = l->next;
	l->next = l->prev = l;
}

/* Whether an element's link is on some list. */
static inline bool
list_linked(const struct list *l)
{
	return l->next != NULL && l->next != l;
}

#endif
