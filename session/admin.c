/* SPDX-License-Identifier: ISC */
/*
 * admin - mansio who and mansio kick.
 *
 * There may be many thousands of sessions, and others who wait for us: a
 * question is answered in pieces, a few sessions a turn of the loop, and who
 * no faster than the answer is read.  What it is about is what was there when
 * it was asked; sessions that have ended since are passed over.
 */
#include "base/log.h"
#include "base/mem.h"
#include "session/monitor.h"

#define PER_TURN	256		/* sessions */
#define OUT_HIGH	(64 * 1024)	/* bytes of rows that nobody has read */
#define BIRTH_MS	1		/* between two looks for a number */

struct question {
	struct ipc_conn	*to;
	uint32_t	 tag;
	bool		 kick;
	char		*whom;		/* a user, a session id, or "" */
	bool		 unborn;	/* the next one has no number yet */
	uint32_t	 count;
	size_t		 at;
	ARRAY(uint32_t)	 serials;
	struct loop_timer *next;
};

static bool
matches(const struct question *q, const struct conn *c,
    const struct control_facts *f)
{
	struct span whom = span_of(q->whom);

	return whom.len == 0 || span_eq(whom, f->id) ||
	    span_caseeq(whom, span_of(c->user->who.name));
}

static void
show(struct question *q, const struct conn *c, const struct control_facts *f)
{
	struct session_row m = {
		.user = span_of(c->user->who.name),
		.service = span_of(c->engine->service), .id = f->id,
		.client_ip = f->client_ip, .client_port = f->client_port,
		.tls = f->tls,
		.pid = c->process != NULL ? (uint32_t)c->process->pid : 0,
		.since = c->since,
	};

	session_row_encode(ipc_begin(q->to, SESSION_ROW, q->tag), &m);
	ipc_end(q->to);
}

static void
kick(struct conn *c, const struct control_facts *f)
{
	log_info("%s: kicked: user=<%s>, session=<%.*s>", c->engine->service,
	    c->user->who.name, SPAN_ARG(f->id));
	if (c->process != NULL)
		process_drain(c->process, SESSION_STOP_KICKED, c->serial);
	else
		hibernate_end(c, "Kicked");
}

/* A process may be at work before its nursery has said its number. */
static bool
is_unborn(const struct conn *c)
{
	return c->process != NULL && c->process->pid == 0;
}

/* Some of it; false: that was all. */
static bool
go_on(struct question *q)
{
	struct control_facts f;

	q->unborn = false;
	for (int n = 0; n < PER_TURN && q->at < q->serials.len; n++) {
		struct conn *c = conn_find(q->serials.v[q->at]);

		if (!q->kick && ipc_out_len(q->to) > OUT_HIGH)
			break;
		q->unborn = !q->kick && c != NULL && is_unborn(c);
		if (q->unborn)
			break;
		q->at++;
		if (c == NULL)
			continue;
		conn_facts(c, &f);
		if (!matches(q, c, &f))
			continue;
		q->count++;
		if (q->kick)
			kick(c, &f);
		else
			show(q, c, &f);
	}
	return q->at < q->serials.len;
}

static void
on_next(void *arg)
{
	struct question *q = arg;
	struct session_end m;

	if (go_on(q)) {
		/* When the asker does not read, admin_go_on() is called. */
		if (q->kick || ipc_out_len(q->to) <= OUT_HIGH)
			loop_timer_set(q->next, q->unborn ? BIRTH_MS : 0);
		return;
	}
	m.count = q->count;
	session_end_encode(ipc_begin(q->to, SESSION_END, q->tag), &m);
	ipc_end(q->to);
	q->at = SIZE_MAX;	/* the next one may be asked */
}

void
admin_go_on(struct question *q)
{
	if (q != NULL && q->at < q->serials.len)
		loop_timer_set(q->next, 0);
}

void
admin_forget(struct question **qp)
{
	struct question *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	loop_timer_free(&q->next);
	ARRAY_FINI(&q->serials);
	mem_free(q->whom);
	mem_free(q);
}

/* Who is kicked gets a new process, should he come back. */
static void
retire(struct hash_entry *e, void *arg)
{
	const struct question *q = arg;
	struct user *u = e->value;

	if (span_caseeq(span_of(q->whom), span_of(u->who.name)))
		process_retire(u);
}

static void
collect(struct hash_entry *e, void *arg)
{
	const struct conn *c = e->value;
	struct question *q = arg;

	*ARRAY_PUSH(&q->serials) = c->serial;
}

int
admin_ask(struct question **qp, struct ipc_conn *to, uint32_t tag,
    struct span whom, bool kick)
{
	struct question *q = *qp;

	if (q != NULL && q->at != SIZE_MAX)
		return -1;	/* one after the other */
	admin_forget(qp);
	q = *qp = mem_zalloc(sizeof(*q));
	q->to = to;
	q->tag = tag;
	q->kick = kick;
	q->whom = span_dup(whom);
	q->next = loop_timer_new(monitor.loop, on_next, q);
	if (!kick || whom.len > 0)	/* nobody kicks all by mistake */
		hash_each(&monitor.conns, collect, q);
	if (kick)
		hash_each(&monitor.users, retire, q);
	on_next(q);
	return 0;
}
