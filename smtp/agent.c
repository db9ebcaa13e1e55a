/* SPDX-License-Identifier: ISC */
/*
 * agent - the side that qmgr talks to (ipc/msg_deliver.h): messages in, one
 * status for each recipient out.
 *
 * Descriptors of log segments are kept by number and shared by the deliveries
 * that read from them; one that is dropped stays open until its last delivery
 * is over.
 */
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "smtp/smtp.h"

struct agent {
	struct list	 link;
	struct ipc_conn	*conn;
	struct list	 deliveries;
	ARRAY(struct source *) segments;
};

static bool retiring;
static struct list agents = LIST_INIT(agents);

/* --- sources ---------------------------------------------------------------------- */

static struct source *
source_new(int fd)
{
	struct source *s = mem_alloc(sizeof(*s));

	s->fd = fd;
	s->refs = 1;
	return s;
}

static void
source_drop(struct source **sp)
{
	struct source *s = *sp;

	*sp = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	fd_close(&s->fd);
	mem_free(s);
}

#define SEGMENTS_MAX	65536	/* numbers of slots */

static int
on_segment(struct agent *a, const struct ipc_frame *f, bool drop)
{
	struct deliver_segment m;

	if (deliver_segment_decode(&m, f->body) < 0 ||
	    m.segment >= SEGMENTS_MAX || (!drop && f->fd < 0))
		return -1;
	while (a->segments.len <= m.segment)
		*ARRAY_PUSH(&a->segments) = NULL;
	source_drop(&a->segments.v[m.segment]);
	if (!drop)
		a->segments.v[m.segment] = source_new(dup(f->fd));
	return 0;
}

static struct source *
source_find(struct agent *a, uint32_t segment, int fd)
{
	struct source *s;

	if (segment == DELIVER_FILE)
		return fd < 0 ? NULL : source_new(dup(fd));
	s = segment < a->segments.len ? a->segments.v[segment] : NULL;
	if (s != NULL)
		s->refs++;
	return s;
}

/* --- messages ------------------------------------------------------------------------- */

static int
on_message(struct agent *a, const struct ipc_frame *f)
{
	struct deliver_message m;
	struct why why = WHY_INIT;
	struct delivery *d;
	struct span blob;

	if (deliver_message_decode(&m, f->body) < 0)
		return -1;
	d = mem_zalloc(sizeof(*d));
	d->arena = ARENA_INIT;
	d->relay = "";
	d->agent = a;
	d->tag = f->tag;
	blob = span_make(arena_span_dup(&d->arena, m.envelope),
	    m.envelope.len);
	d->source = source_find(a, m.segment, f->fd);
	if (d->source == NULL || d->source->fd < 0 ||
	    envelope_decode(&d->env, blob, &why) < 0) {
		log_warning("bad delivery request: %s", why.text);
		source_drop(&d->source);
		arena_fini(&d->arena);
		mem_free(d);
		return -1;
	}
	d->offset = m.offset;
	d->len = m.len;
	d->active_us = (int64_t)m.active_us;
	d->nexthop = arena_span_dup(&d->arena, m.nexthop);
	list_append(&a->deliveries, &d->link);
	daemon_busy(1);
	delivery_start(d);
	return 0;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct agent *a = arg;
	int fd = f->fd, rc = -1;

	switch (f->type) {
	case DELIVER_SEGMENT:
		rc = on_segment(a, f, false);
		break;
	case DELIVER_DROP:
		rc = on_segment(a, f, true);
		break;
	case DELIVER_MESSAGE:
		rc = on_message(a, f);
		break;
	default:
		break;
	}
	fd_close(&fd);
	return rc;
}

void
agent_status(struct delivery *d, const struct deliver_status *st)
{
	if (d->agent == NULL)
		return;		/* qmgr is gone; it will ask again */
	deliver_status_encode(ipc_begin(d->agent->conn, DELIVER_STATUS,
	    d->tag), st);
	ipc_end(d->agent->conn);
}

static void	 on_end(void *arg, struct ipc_conn *c);

/* Nothing is left to do or to say for qmgr: it has, or makes, a connection to
 * a process with fresh settings. */
static void
close_if_done(struct agent *a)
{
	if (retiring && list_empty(&a->deliveries) &&
	    ipc_out_len(a->conn) == 0)
		on_end(a, a->conn);
}

void
agent_delivery_over(struct delivery *d)
{
	struct agent *a = d->agent;

	list_remove(&d->link);
	source_drop(&d->source);
	delivery_free(d);
	daemon_busy(-1);
	if (a != NULL)
		close_if_done(a);
}

/*
 * qmgr is gone.  What has not gone out is given up: it will be asked for
 * again, and twice is worse than late.
 */
static void
on_end(void *arg, struct ipc_conn *c)
{
	struct agent *a = arg;

	while (!list_empty(&a->deliveries)) {
		struct delivery *d = LIST_ENTRY(a->deliveries.next,
		    struct delivery, link);

		d->agent = NULL;
		agent_delivery_over(d);
	}
	for (size_t i = 0; i < a->segments.len; i++)
		source_drop(&a->segments.v[i]);
	ARRAY_FINI(&a->segments);
	list_remove(&a->link);
	ipc_conn_free(&a->conn);
	mem_free(a);
	daemon_busy(-1);
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	close_if_done(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

static void
send_capacity(struct agent *a, uint32_t n)
{
	struct deliver_capacity m = { .deliveries = n };

	deliver_capacity_encode(ipc_begin(a->conn, DELIVER_CAPACITY, 0), &m);
	ipc_end(a->conn);
}

void
agent_accept(int fd, const struct sock_addr *peer, int index)
{
	struct agent *a = mem_zalloc(sizeof(*a));

	daemon_busy(1);
	list_init(&a->deliveries);
	list_append(&agents, &a->link);
	a->conn = ipc_conn_new(daemon_loop(), fd, &DELIVER_PROTO, &ops, a);
	send_capacity(a, (uint32_t)conf.smtp_session_limit);
}

/* A reload, or the end: what is under way is finished, and no more comes. */
void
agent_retire(void)
{
	retiring = true;
	cache_drain();
	LIST_FOREACH(l, &agents)
		send_capacity(LIST_ENTRY(l, struct agent, link), 0);
}
