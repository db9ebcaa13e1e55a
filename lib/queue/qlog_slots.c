/* SPDX-License-Identifier: ISC */
/*
 * qlog_slots - the writer's table of slots, and the thread that makes and
 * releases them; see qlog.c for how it fits in.
 */
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog_writer.h"

#define RETRY_MS	1000		/* after a slot could not be made */
/* Room for the longest record, header and seal. */
#define SLOT_FIRST_SIZE	(QLOG_RECORD_MAX + 4 * QLOG_PAGE)
#define SURPLUS		2		/* free slots beyond slots_keep */
#define SHORT_SLOTS	16		/* space is short: room for so few */

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

/*
 * A slot is filled with zeros, so that each batch costs one flush from the
 * first time on.  But where a batch is megabytes, the zeros would be as much
 * again for the disk to write and for the processor to move, and a second
 * flush a batch is little: then its space is only allocated.
 */
int
qlog_prepare_one(struct qlog *q)
{
	const char *what;
	uint32_t no = 0, generation;
	size_t size = q->opt.segment_size;
	struct slot *s;
	bool zeros;
	int fd;

	while (qlog_slot_find(q, no) != NULL)
		no++;
	if (no >= q->opt.slots_max) {
		snprintf(q->trouble, sizeof(q->trouble),
		    "all %u log segments are in use", q->opt.slots_max);
		q->no_space = true;
		q->retry_ms = clock_mono_ms() + RETRY_MS;
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
	zeros = !q->big_batches;
	pthread_mutex_unlock(&q->lock);
	fd = slot_create(q->dirfd, no, size, generation, zeros, &what);
	if (fd < 0) {
		int err = errno;

		pthread_mutex_lock(&q->lock);
		snprintf(q->trouble, sizeof(q->trouble),
		    "%s log segment of %zu bytes: %s", what,
		    size, strerror(err));
		q->no_space = err == ENOSPC || err == EDQUOT;
		q->retry_ms = clock_mono_ms() + RETRY_MS;
		s = qlog_slot_find(q, no);
		ARRAY_DROP(&q->slots, (size_t)(s - q->slots.v));
		return -1;
	}
	pthread_mutex_lock(&q->lock);
	q->retry_ms = 0;
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
}

/* --- giving space back ----------------------------------------------------------- */

static bool
space_short(const struct qlog *q)
{
	struct statvfs v;

	return fstatvfs(q->dirfd, &v) == 0 && (uint64_t)v.f_bavail *
	    v.f_frsize < SHORT_SLOTS * (uint64_t)q->opt.segment_size;
}

/*
 * A free slot that can go: not the one released last, whose header says where
 * sequence numbers go on when all others are gone.
 */
static struct slot *
surplus_slot(struct qlog *q)
{
	struct slot *last = NULL, *other = NULL;

	for (struct slot *s = q->slots.v; s < q->slots.v + q->slots.len; s++) {
		if (s->state != SLOT_FREE || s->busy)
			continue;
		if (last == NULL || s->mark > last->mark) {
			other = last;
			last = s;
		} else
			other = s;
	}
	return other;
}

/*
 * Slots that a burst of mail has left behind are used again by the next one;
 * to make them anew each time would double what is written.  So they go when
 * they were not needed for surplus_ms, one a step, or when space is short.
 */
static bool
trim_one(struct qlog *q)
{
	size_t keep = q->opt.slots_keep + SURPLUS;
	int64_t now = clock_mono_ms();
	char name[SLOT_NAME_MAX];
	struct slot *s;
	uint32_t no;
	int rc;

	if (qlog_slot_count(q, SLOT_FREE) <= keep) {
		q->trim_ms = 0;
		return false;
	}
	if (q->trim_ms == 0) {
		q->trim_ms = now + q->opt.surplus_ms;
		q->free_min = qlog_slot_count(q, SLOT_FREE);
	}
	if (now < q->trim_ms && !space_short(q))
		return false;
	if (now >= q->trim_ms && q->free_min <= keep) {
		q->trim_ms = 0;		/* all were needed: look again later */
		return true;
	}
	s = surplus_slot(q);
	no = s->no;
	s->state = SLOT_DEAD;
	s->busy = true;
	fd_close(&s->fd);
	slot_name(no, name);
	pthread_mutex_unlock(&q->lock);
	rc = fault_unlinkat(q->dirfd, name, 0);
	pthread_mutex_lock(&q->lock);
	s = qlog_slot_find(q, no);
	s->busy = false;
	q->free_min -= MIN(q->free_min, 1);
	if (rc == 0)
		ARRAY_DROP(&q->slots, (size_t)(s - q->slots.v));
	return true;
}

/* --- the preparer ------------------------------------------------------------------ */

/* One piece of work; false when there is none now. */
static bool
prepare_step(struct qlog *q)
{
	struct slot *s = qlog_slot_first(q, SLOT_RELEASING);

	if (s != NULL) {
		release_one(q, s);
		return true;
	}
	if (qlog_slot_count(q, SLOT_FREE) < q->opt.slots_keep)
		return clock_mono_ms() >= q->retry_ms &&
		    qlog_prepare_one(q) == 0;
	return trim_one(q);
}

/* When there may be work though nobody wakes us; 0: never. */
static int64_t
next_step_ms(const struct qlog *q)
{
	if (qlog_slot_count(q, SLOT_FREE) < q->opt.slots_keep)
		return q->retry_ms;
	return q->trim_ms;
}

void *
qlog_preparer(void *arg)
{
	struct qlog *q = arg;
	int64_t at;

	pthread_mutex_lock(&q->lock);
	while (!q->stop) {
		if (prepare_step(q))
			continue;
		at = next_step_ms(q);
		if (at != 0) {
			struct timespec until = { .tv_sec = at / 1000,
			    .tv_nsec = at % 1000 * 1000000 };

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
