/* SPDX-License-Identifier: ISC */
/*
 * verify - password checks, in threads, because a good hash is slow.
 *
 * authd_worker_limit threads work at the same time: that bounds CPU and the
 * memory of argon2.  Who waits is queued by source (the client's network),
 * and the sources are served in turn, so a flood from one place delays that
 * place.  Beyond authd_queue_limit in all, or SOURCE_MAX from one source,
 * nothing is queued at all: the client is told to come back.
 *
 * A thread sees only what its job holds.
 */
#include "authd/authd.h"
#include "auth/password.h"
#include "base/hash.h"
#include "base/mem.h"
#include "conf/params.h"

#define WORKERS_MAX	64
#define SOURCE_MAX	64		/* jobs waiting from one network */

struct source {
	struct list	 link;		/* of those that wait, in turn */
	struct list	 jobs;
	size_t		 n;
	struct span	 key;		/* the table's */
};

struct verify_job {
	struct list	 link;		/* source->jobs, while it waits */
	struct source	*source;	/* NULL: it runs */
	struct worker	*worker;	/* NULL: it waits */
	char		*password, *secret;
	size_t		 password_len;
	int		 right;
	verify_fn	*fn;		/* NULL: cancelled */
	void		*arg;
};

struct worker {
	struct loop_worker	*thread;
	struct verify_job	*job;
};

static struct loop *loop;
static struct worker workers[WORKERS_MAX];
static struct hash sources;
static struct list turns = LIST_INIT(turns);
static size_t waiting;

void
verify_start(struct loop *l)
{
	loop = l;
}

size_t
verify_waiting(void)
{
	return waiting;
}

static void
job_free(struct verify_job *j)
{
	mem_wipe(j->password, j->password_len);
	mem_free(j->password);
	mem_wipe(j->secret, strlen(j->secret));
	mem_free(j->secret);
	mem_free(j);
}

/* In a thread. */
static void
work(void *arg)
{
	struct worker *w = arg;
	struct verify_job *j = w->job;

	j->right = password_check(span_make(j->password, j->password_len),
	    span_of(j->secret));
}

static void
leave_queue(struct verify_job *j)
{
	struct source *s = j->source;

	list_remove(&j->link);
	j->source = NULL;
	waiting--;
	if (--s->n > 0)
		return;
	list_remove(&s->link);
	(void)hash_del(&sources, s->key);
	mem_free(s);
}

static void worked(void *arg);

static void
give_out(void)
{
	size_t n = MIN((size_t)conf.authd_worker_limit, WORKERS_MAX);

	for (size_t i = 0; i < n && waiting > 0; i++) {
		struct worker *w = &workers[i];
		struct source *s;
		struct verify_job *j;

		if (w->job != NULL)
			continue;
		if (w->thread == NULL)
			w->thread = loop_worker_new(loop);
		s = LIST_ENTRY(turns.next, struct source, link);
		j = LIST_ENTRY(s->jobs.next, struct verify_job, link);
		/* To the end: the others come first now. */
		list_remove(&s->link);
		list_append(&turns, &s->link);
		leave_queue(j);
		w->job = j;
		j->worker = w;
		(void)!loop_worker_start(w->thread, work, worked, w);
	}
}

static void
worked(void *arg)
{
	struct worker *w = arg;
	struct verify_job *j = w->job;

	w->job = NULL;
	if (j->fn != NULL)
		j->fn(j->arg, j->right);
	job_free(j);
	give_out();
}

struct verify_job *
verify_new(struct span key, struct span password, struct span secret,
    verify_fn *fn, void *arg)
{
	struct hash_entry *h;
	struct verify_job *j;
	struct source *s;
	bool made;

	if (waiting >= (size_t)conf.authd_queue_limit)
		return NULL;
	h = hash_enter(&sources, key, &made);
	s = h->value;
	if (made) {
		s = h->value = mem_zalloc(sizeof(*s));
		s->key = h->key;
		list_init(&s->jobs);
		list_append(&turns, &s->link);
	}
	if (s->n >= SOURCE_MAX)
		return NULL;
	j = mem_zalloc(sizeof(*j));
	j->password = mem_strndup(password.p, password.len);
	j->password_len = password.len;
	j->secret = span_dup(secret);
	j->fn = fn;
	j->arg = arg;
	j->source = s;
	list_append(&s->jobs, &j->link);
	s->n++;
	waiting++;
	give_out();
	return j;
}

void
verify_cancel(struct verify_job **jp)
{
	struct verify_job *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	j->fn = NULL;
	if (j->source != NULL) {
		leave_queue(j);
		job_free(j);
	}
}
