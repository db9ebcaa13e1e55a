/* SPDX-License-Identifier: ISC */
/*
 * asker - see asker.h.
 */
#include "ipc/asker.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/fd.h"

#define CHECK_MS	1000
#define GONE_MS		50	/* a question waits, where nobody is for long */

struct asker {
	struct loop	*loop;
	struct ipc_client *ipc;
	const struct asker_ops *ops;
	struct loop_timer *timer;
	struct list	 all;
	struct hash	 by_tag;
	uint32_t	 next_tag;	/* not used again soon: an answer may
					 * be on its way to who is gone */
	bool		 up;		/* the service has said HELLO */
	int64_t		 down_ms;	/* since when it is not there */
};

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static struct question *
entry(struct list *l)
{
	return LIST_ENTRY(l, struct question, link);
}

/* --- the connection --------------------------------------------------------------- */

static void
put(struct asker *a, struct question *q)
{
	struct ipc_conn *c = ipc_client_conn(a->ipc);

	if (c == NULL)
		return;
	q->put = true;
	a->ops->put(q, c);
}

static void
put_all(struct asker *a)
{
	LIST_FOREACH(l, &a->all)
		if (!entry(l)->put)
			put(a, entry(l));
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct asker *a = arg;
	struct question *q;
	int fd = f->fd;

	if (fd >= 0) {
		fd_close(&fd);
		return -1;
	}
	if (a->ops->answer_type != 0 && f->type != a->ops->answer_type)
		return -1;
	q = hash_get(&a->by_tag, tag_key(&f->tag));
	if (q == NULL || !q->put)
		return 0;	/* forgotten while it was on its way */
	return a->ops->answer(q, f);
}

static void
on_up(void *arg, struct ipc_conn *c)
{
	struct asker *a = arg;

	a->up = true;
	put_all(a);
}

/* The first that too many connections have ended with; its handler may do
 * anything to the others. */
static bool
lose_suspect(struct asker *a)
{
	LIST_FOREACH(l, &a->all) {
		struct question *q = entry(l);

		if (q->ended < ASKER_PUTS_MAX)
			continue;
		asker_forget(a, q);
		a->ops->lost(q);
		return true;
	}
	return false;
}

static void
on_down(void *arg)
{
	struct asker *a = arg;
	bool suspects = false;

	LIST_FOREACH(l, &a->all) {
		struct question *q = entry(l);

		/* Who has not said HELLO has read nothing of it. */
		if (a->up && q->put && ++q->ended >= ASKER_PUTS_MAX)
			suspects = true;
		q->put = false;
	}
	if (a->up)
		a->down_ms = loop_now_ms(a->loop);
	a->up = false;
	while (suspects && lose_suspect(a))
		;
}

static const struct ipc_client_ops client_ops = {
	.on_frame = on_frame, .on_up = on_up, .on_down = on_down,
};

/* --- time ---------------------------------------------------------------------------- */

static bool
gone(const struct asker *a)
{
	return !a->up && loop_now_ms(a->loop) - a->down_ms >= a->ops->away_ms;
}

static void
set_timer(struct asker *a)
{
	loop_timer_set(a->timer, gone(a) ? GONE_MS : CHECK_MS);
}

static int64_t
patience_ms(const struct asker *a, const struct question *q)
{
	if (gone(a))
		return GONE_MS;
	if (!a->up || !q->put)
		return a->ops->away_ms;
	return q->wait_ms > 0 ? q->wait_ms : a->ops->wait_ms;
}

/* The first that has waited too long; its handler may do anything to the
 * others. */
static bool
lose_one(struct asker *a)
{
	int64_t now = loop_now_ms(a->loop);

	LIST_FOREACH(l, &a->all) {
		struct question *q = entry(l);

		if (now - q->asked_ms < patience_ms(a, q))
			continue;
		asker_forget(a, q);
		a->ops->lost(q);
		return true;
	}
	return false;
}

static void
on_timer(void *arg)
{
	struct asker *a = arg;

	put_all(a);
	while (lose_one(a))
		;
	if (!list_empty(&a->all))
		set_timer(a);
}

/* --- public --------------------------------------------------------------------------- */

struct asker *
asker_new(struct loop *l, const char *path, const struct ipc_proto *p,
    const struct asker_ops *ops)
{
	struct asker *a = mem_zalloc(sizeof(*a));

	a->loop = l;
	a->ops = ops;
	a->down_ms = loop_now_ms(l);
	a->by_tag = HASH_INIT;
	list_init(&a->all);
	a->timer = loop_timer_new(l, on_timer, a);
	a->ipc = ipc_client_new(l, path, p, &client_ops, a);
	return a;
}

void
asker_free(struct asker **ap)
{
	struct asker *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	ipc_client_free(&a->ipc);
	loop_timer_free(&a->timer);
	hash_fini(&a->by_tag, NULL);
	mem_free(a);
}

void
asker_ask(struct asker *a, struct question *q)
{
	q->asked_ms = loop_now_ms(a->loop);
	q->ended = 0;
	do
		q->tag = ++a->next_tag;
	while (hash_find(&a->by_tag, tag_key(&q->tag)) != NULL);
	(void)hash_put(&a->by_tag, tag_key(&q->tag), q);
	if (list_empty(&a->all))
		set_timer(a);
	list_append(&a->all, &q->link);
	put(a, q);
}

void
asker_again(struct asker *a, struct question *q)
{
	q->ended = 0;
	put(a, q);
}

void
asker_forget(struct asker *a, struct question *q)
{
	list_remove(&q->link);
	(void)hash_del(&a->by_tag, tag_key(&q->tag));
}

struct question *
asker_any(const struct asker *a)
{
	return list_empty(&a->all) ? NULL : entry(a->all.next);
}

struct ipc_conn *
asker_conn(struct asker *a, const struct question *q)
{
	return q->put ? ipc_client_conn(a->ipc) : NULL;
}
