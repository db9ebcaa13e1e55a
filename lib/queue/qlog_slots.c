/* SPDX-License-Identifier: ISC */
/*
 * qlog_slots - the writer's table of slots, and the thread that makes and
 * releases them; see qlog.c for how it fits in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog_writer.h"

#define RETRY_S		1		/* after a slot could not be made */
/* Room for the longest record, header and seal. */
#define SLOT_FIRST_SIZE	(QLOG_RECORD_MAX + 4 * QLOG_PAGE)
#define SURPLUS		2		/* free slots beyond slots_keep */

struct slot *
qlog_slot_find(struct qlog *q, uint32_t no)
{
	for (size_t i = 0; i < q->slots.len; i++)
		if (q->slots.v[i].no == no)
			return &q->slots.v[i];
	return NULL;
}

size_t
qlog_slot_count(const struct qlog *q, enum slot_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < q->slots.len; i++)
		n += q->slots.v[i].state == state;
	return n;
}

struct slot *
qlog_slot_first(struct qlog *q, enum slot_state state)
{
	for (size_t i = 0; i < q->slots.len; i++)
		if (q->slots.v[i].state == state && !q->slots.v[i].busy)
			return &q->slots.v[i];
	return NULL;
}

int
qlog_prepare_one(struct qlog *q)
{
	const char *what;
	uint32_t no = 0, generation;
	size_t size = q->opt.segment_size;
	struct slot *s;
	int fd;

	while (qlog_slot_find(q, no) != NULL)
		no++;
	if (no >= q->opt.slots_max) {
		snprintf(q->trouble, sizeof(q->trouble),
		    "all %u log segments are in use", q->opt.slots_max);
		q->no_space = true;
		q->retry_at = time(NULL) + RETRY_S;
		return -1;
	}
	generation = (uint32_t)rnd_u64();
	/* Somebody waits for the first: smaller, it is there sooner. */
	if (q->slots.len == 0)
		size = MIN(size, (size_t)SLOT_FIRST_SIZE);
	s = ARRAY_PUSH(&q->slots);
	*s = (struct slot){ .no = no, .state = SLOT_DEAD, .fd = -1,
	    .size = size, .generation = generation,
	    .busy = true };
	pthread_mutex_unlock(&q->lock);
	fd = slot_create(q->dirfd, no, size, generation, &what);
	if (fd < 0) {
		int err = errno;

		pthread_mutex_lock(&q->lock);
		snprintf(q->trouble, sizeof(q->trouble),
		    "%s log segment of %zu bytes: %s", what,
		    size, strerror(err));
		q->no_space = err == ENOSPC || err == EDQUOT;
		q->retry_at = time(NULL) + RETRY_S;
		s = qlog_slot_find(q, no);
		ARRAY_DROP(&q->slots, (size_t)(s - q->slots.v));
		return -1;
	}
	pthread_mutex_lock(&q->lock);
	q->retry_at = 0;
	q->trouble[0] = '\0';
	q->no_space = false;
	s = qlog_slot_find(q, no);
	s->fd = fd;
	s->busy = false;
	s->state = SLOT_FREE;
	return 0;
}

/* The same about one slot to release. */
static void
release_one(struct qlog *q, struct slot *s)
{
	struct slot_head copy = {
		.no = s->no, .generation = s->generation,
		.first_seq = s->first_seq, .mark = s->mark, .used = false
	};
	struct slot *extra;
	int fd, err;

	s->busy = true;
	pthread_mutex_unlock(&q->lock);
	fd = slot_release(q->dirfd, &copy);
	err = errno;
	pthread_mutex_lock(&q->lock);
	s = qlog_slot_find(q, copy.no);
	s->busy = false;
	if (fd < 0) {
		/* What the disk holds is unknown: leave it alone. */
		log_warning("log segment %u cannot be released: %s", copy.no,
		    strerror(err));
		s->state = SLOT_DEAD;
		return;
	}
	s->state = SLOT_FREE;
	s->fd = fd;
	*ARRAY_PUSH(&q->released) = (struct qlog_slot){ copy.no,
	    copy.generation, copy.first_seq };
	if (qlog_slot_count(q, SLOT_FREE) <= q->opt.slots_keep + SURPLUS)
		return;
	/* Give space back.  The one just released holds the mark. */
	for (extra = q->slots.v; extra < q->slots.v + q->slots.len; extra++) {
		char name[SLOT_NAME_MAX];

		if (extra->state != SLOT_FREE || extra->no == copy.no)
			continue;
		slot_name(extra->no, name);
		fd_close(&extra->fd);
		if (fault_unlinkat(q->dirfd, name, 0) < 0)
			extra->state = SLOT_DEAD;
		else
			ARRAY_DROP(&q->slots, (size_t)(extra - q->slots.v));
		return;
	}
}

/* One piece of work; false when there is none now. */
static bool
prepare_step(struct qlog *q)
{
	struct slot *s = qlog_slot_first(q, SLOT_RELEASING);

	if (s != NULL) {
		release_one(q, s);
		return true;
	}
	if (qlog_slot_count(q, SLOT_FREE) < q->opt.slots_keep &&
	    (q->retry_at == 0 || time(NULL) >= q->retry_at ||
	    time(NULL) + 2 * RETRY_S < q->retry_at))
		return qlog_prepare_one(q) == 0;
	return false;
}

void *
qlog_preparer(void *arg)
{
	struct qlog *q = arg;

	pthread_mutex_lock(&q->lock);
	while (!q->stop) {
		if (prepare_step(q))
			continue;
		if (q->retry_at != 0) {
			struct timespec until;

			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += RETRY_S;
			pthread_cond_timedwait(&q->cond, &q->lock, &until);
		} else
			pthread_cond_wait(&q->cond, &q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

void
qlog_preparer_wake(struct qlog *q)		/* lock held */
{
	if (q->threaded)
		pthread_cond_signal(&q->cond);
	else
		while (prepare_step(q))
			;
}

int
qlog_slot_cmp(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->first_seq < y->first_seq ? -1 : x->first_seq > y->first_seq;
}

/* --- release ------------------------------------------------------------------- */

bool
qlog_release(struct qlog *q, uint32_t no, uint32_t generation)
{
	struct slot *s;
	bool known = false;

	pthread_mutex_lock(&q->lock);
	s = qlog_slot_find(q, no);
	if (s != NULL && s->generation == generation &&
	    (s->state == SLOT_USED || s->state == SLOT_RELEASING)) {
		known = true;
		if (s->state == SLOT_USED) {
			s->state = SLOT_RELEASING;
			s->mark = q->next_seq;
			qlog_preparer_wake(q);
		}
	}
	pthread_mutex_unlock(&q->lock);
	return known;
}

bool
qlog_take_released(struct qlog *q, struct qlog_slot *out)
{
	bool any;

	pthread_mutex_lock(&q->lock);
	any = q->released.len > 0;
	if (any)
		*out = q->released.v[--q->released.len];
	pthread_mutex_unlock(&q->lock);
	return any;
}

size_t
qlog_releasing(struct qlog *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = qlog_slot_count(q, SLOT_RELEASING) + q->released.len;
	pthread_mutex_unlock(&q->lock);
	return n;
}

bool
qlog_preparing(struct qlog *q)
{
	bool soon;

	pthread_mutex_lock(&q->lock);
	soon = q->threaded && !q->broken && q->trouble[0] == '\0';
	pthread_mutex_unlock(&q->lock);
	return soon;
}

bool
qlog_full(struct qlog *q, struct why *why)
{
	bool full;

	pthread_mutex_lock(&q->lock);
	full = q->cur_fd < 0 && q->no_space &&
	    qlog_slot_count(q, SLOT_FREE) == 0;
	if (full)
		why_set(why, "4.3.1", "%s", q->trouble);
	pthread_mutex_unlock(&q->lock);
	return full;
}

bool
qlog_slot_used(struct qlog *q, uint32_t no, uint32_t generation)
{
	struct slot *s;
	bool used;

	pthread_mutex_lock(&q->lock);
	s = qlog_slot_find(q, no);
	used = s != NULL && s->generation == generation &&
	    s->state != SLOT_FREE;
	pthread_mutex_unlock(&q->lock);
	return used;
}

size_t
qlog_free_slots(struct qlog *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = qlog_slot_count(q, SLOT_FREE);
	pthread_mutex_unlock(&q->lock);
	return n;
}

size_t
qlog_slots(struct qlog *q, struct qlog_slot *out, size_t max)
{
	ARRAY(struct slot) used = ARRAY_EMPTY;
	size_t n;

	pthread_mutex_lock(&q->lock);
	for (size_t i = 0; i < q->slots.len; i++)
		if (q->slots.v[i].state == SLOT_USED ||
		    q->slots.v[i].state == SLOT_SEALING ||
		    q->slots.v[i].state == SLOT_CURRENT)
			*ARRAY_PUSH(&used) = q->slots.v[i];
	pthread_mutex_unlock(&q->lock);
	if (used.len > 0)
		qsort(used.v, used.len, sizeof(used.v[0]), qlog_slot_cmp);
	n = MIN(used.len, max);
	for (size_t i = 0; i < n; i++)
		out[i] = (struct qlog_slot){ used.v[i].no,
		    used.v[i].generation, used.v[i].first_seq };
	ARRAY_FINI(&used);
	return n;
}
