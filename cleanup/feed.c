/* SPDX-License-Identifier: ISC */
/*
 * feed - tell qmgr what has become durable, and take slots back.
 *
 * A follower that does not read is not waited for: beyond FEED_HIGH bytes it
 * gets a GAP and nothing more until it subscribes again; the log has it all.
 */
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup.h"
#include "conf/params.h"
#include "ipc/ipc.h"

#define FEED_HIGH	(16u << 20)
#define RELEASE_MS	20		/* look whether a release is done */
#define BEHIND_MAX	10000		/* messages qmgr has not looked at */

struct feed {
	struct list	 all;
	struct ipc_conn	*ipc;
	bool		 subscribed;
	uint32_t	 incoming, active;
};

static struct {
	struct list		 feeds;
	struct loop_timer	*timer;
} fe;

static void
send_at(struct feed *f, uint16_t type, uint64_t seq)
{
	struct feed_at at = { .seq = seq };

	feed_at_encode(ipc_begin(f->ipc, type, 0), &at);
	ipc_end(f->ipc);
}

void
feed_message(const struct message *m)
{
	struct feed_message fm = {
		.seq = m->pos.seq, .slot = m->pos.slot,
		.generation = m->pos.generation, .offset = m->pos.offset,
		.len = m->pos.len,
		.large = m->pos.len == m->record.len && m->large_len > 0,
		.content_skip = (uint32_t)m->record.len,
		.envelope = span_from(buf_span(&m->record), 4)
	};

	LIST_FOREACH(l, &fe.feeds) {
		struct feed *f = LIST_ENTRY(l, struct feed, all);

		if (!f->subscribed)
			continue;
		if (ipc_out_len(f->ipc) > FEED_HIGH ||
		    fm.envelope.len > CLEANUP_ENVELOPE_MAX - 4096) {
			f->subscribed = false;
			send_at(f, FEED_GAP, fm.seq);
			continue;
		}
		feed_message_encode(ipc_begin(f->ipc, FEED_MESSAGE, 0), &fm);
		ipc_end(f->ipc);
	}
}

/* Mail comes faster than it goes out (in_flow_delay of Postfix). */
static void
adjust_delay(void)
{
	bool behind = false;

	LIST_FOREACH(l, &fe.feeds) {
		struct feed *f = LIST_ENTRY(l, struct feed, all);

		behind |= f->incoming > BEHIND_MAX || (f->incoming > 0 &&
		    f->active >= (uint32_t)MIN(conf.qmgr_message_active_limit,
		    (int64_t)UINT32_MAX));
	}
	room_set_busy(cl.full,
	    behind ? (uint32_t)(conf.in_flow_delay * 1000) : 0);
}

static void
send_released(struct feed *f, uint32_t slot, uint32_t generation)
{
	struct feed_release r = { .slot = slot, .generation = generation };

	feed_release_encode(ipc_begin(f->ipc, FEED_RELEASED, 0), &r);
	ipc_end(f->ipc);
}

static void
on_timer(void *arg)
{
	struct qlog_slot s;

	while (qlog_take_released(cl.log, &s))
		LIST_FOREACH(l, &fe.feeds)
			send_released(LIST_ENTRY(l, struct feed, all), s.slot,
			    s.generation);
	if (qlog_releasing(cl.log) > 0)
		loop_timer_set(fe.timer, RELEASE_MS);
}

static int
on_release(struct feed *f, struct span body)
{
	struct feed_release r;

	if (feed_release_decode(&r, body) < 0)
		return -1;
	if (qlog_release(cl.log, r.slot, r.generation))
		loop_timer_set(fe.timer, RELEASE_MS);
	else if (!qlog_slot_used(cl.log, r.slot, r.generation))
		send_released(f, r.slot, r.generation);
	return 0;
}

static int
on_frame(void *arg, struct ipc_conn *ipc, const struct ipc_frame *frame)
{
	struct feed *f = arg;
	struct feed_load load;

	switch (frame->type) {
	case FEED_SUBSCRIBE:
		if (frame->body.len != 0)
			return -1;
		f->subscribed = true;
		send_at(f, FEED_AT, qlog_durable_seq(cl.log));
		return 0;
	case FEED_RELEASE:
		return on_release(f, frame->body);
	case FEED_LOAD:
		if (feed_load_decode(&load, frame->body) < 0)
			return -1;
		f->incoming = load.incoming;
		f->active = load.active;
		adjust_delay();
		return 0;
	default:
		return -1;
	}
}

static void
feed_free(struct feed *f)
{
	list_remove(&f->all);
	ipc_conn_free(&f->ipc);
	mem_free(f);
}

static void
on_end(void *arg, struct ipc_conn *ipc)
{
	feed_free(arg);
	adjust_delay();
}

void
feed_accept(int fd)
{
	static const struct ipc_ops ops = { .on_frame = on_frame,
	    .on_end = on_end };
	struct feed *f = mem_zalloc(sizeof(*f));

	f->ipc = ipc_conn_new(cl.loop, fd, &FEED_PROTO, &ops, f);
	list_append(&fe.feeds, &f->all);
}

void
feed_start(void)
{
	list_init(&fe.feeds);
	fe.timer = loop_timer_new(cl.loop, on_timer, NULL);
}

/* qmgr is told of all that is durable until the end: nothing to do.  It
 * finds the rest in the log. */
void
feed_drain(void)
{
	LIST_FOREACH(l, &fe.feeds)
		stream_flush(ipc_conn_stream(LIST_ENTRY(l, struct feed,
		    all)->ipc));
}
