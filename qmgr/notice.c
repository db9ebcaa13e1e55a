/* SPDX-License-Identifier: ISC */
/*
 * notice - requests to bounce, and what becomes of them.
 *
 * A request stays until it is answered: when bounce goes away it is sent
 * again to the next one.  So a notice may be sent twice after a crash, but
 * never not at all.
 */
#include "qmgr/qmgr.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"

#define AGAIN_MS	1000	/* bounce is away */
#define RETRY_MS	30000	/* it could not */
#define UNDER_WAY_MAX	50	/* requests at a time: each has a file open */

struct notice {
	struct list	link;
	struct message	*m;
	enum bounce_kind kind;
	uint32_t	tag;		/* 0: not sent */
	int64_t		not_before_ms;
};

static struct {
	struct ipc_client *client;
	struct loop_timer *timer;
	struct list	 all;		/* oldest first */
	struct hash	 by_tag;
	uint32_t	 next_tag, under_way;
	struct buf	 envelope, body;
} nt;

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
unsend(struct notice *n)
{
	if (n->tag == 0)
		return;
	(void)hash_del(&nt.by_tag, tag_key(&n->tag));
	n->tag = 0;
	nt.under_way--;
}

static void
notice_free(struct notice *n)
{
	unsend(n);
	list_remove(&n->link);
	mem_free(n);
}

static unsigned
fate(const struct notice *n, uint32_t i)
{
	switch (n->kind) {
	case BOUNCE_FAILURE:
	case BOUNCE_DOUBLE:
		return RCPT_BOUNCED;
	case BOUNCE_DELAY:
		return RCPT_PENDING;
	case BOUNCE_VERIFY:
		return n->m->mr[i].state == R_DELIVERED ? RCPT_DELIVERED :
		    n->m->mr[i].state == R_DEFERRED ? RCPT_PENDING :
		    RCPT_BOUNCED;
	default:
		return RCPT_DELIVERED;
	}
}

static void
encode(const struct notice *n)
{
	struct envelope e = n->m->env;
	ARRAY(struct rcpt) rcpts = ARRAY_EMPTY;

	for (uint32_t i = 0; i < n->m->env.rcpts.len; i++) {
		struct rcpt *r;

		if (!message_notice_has(n->m, i, n->kind))
			continue;
		r = ARRAY_PUSH(&rcpts);
		*r = n->m->env.rcpts.v[i];
		r->fate = fate(n, i);
	}
	e.rcpts.v = rcpts.v;
	e.rcpts.len = rcpts.len;
	buf_reset(&nt.envelope);
	envelope_encode(&nt.envelope, &e);
	ARRAY_FINI(&rcpts);
}

static void
send_notice(struct notice *n, struct ipc_conn *c)
{
	struct message *m = n->m;
	struct bounce_request q = { .kind = n->kind, .offset = m->off,
	    .len = m->len };
	struct why why = WHY_INIT;
	bool close_fd;
	int fd = message_content(m, &close_fd, &why);

	if (fd < 0) {
		log_warning("%.*s: %s", SPAN_ARG(m->env.queue_id), why.text);
		n->not_before_ms = loop_now_ms(qm.loop) + RETRY_MS;
		loop_timer_set(nt.timer, AGAIN_MS);
		return;
	}
	encode(n);
	q.envelope = buf_span(&nt.envelope);
	if (n->kind == BOUNCE_DELAY)
		q.give_up_us = (uint64_t)(m->env.arrival_us +
		    conf.maximal_queue_lifetime * 1000000);
	buf_reset(&nt.body);
	bounce_request_encode(&nt.body, &q);
	do
		n->tag = ++nt.next_tag;
	while (n->tag == 0 || hash_find(&nt.by_tag, tag_key(&n->tag)) != NULL);
	(void)hash_put(&nt.by_tag, tag_key(&n->tag), n);
	nt.under_way++;
	ipc_send_fd(c, BOUNCE_REQUEST, n->tag, buf_span(&nt.body), fd);
	if (close_fd)
		fd_close(&fd);
}

static void
send_all(void *arg)
{
	struct ipc_conn *c = list_empty(&nt.all) ? NULL
	    : ipc_client_conn(nt.client);
	bool wait = c == NULL;

	LIST_FOREACH(l, &nt.all) {
		struct notice *n = LIST_ENTRY(l, struct notice, link);

		if (c == NULL || nt.under_way >= UNDER_WAY_MAX)
			break;
		if (n->tag != 0)
			continue;
		if (n->not_before_ms > loop_now_ms(qm.loop)) {
			wait = true;
			continue;
		}
		send_notice(n, c);
	}
	if (wait && !list_empty(&nt.all))
		loop_timer_set(nt.timer, AGAIN_MS);
}

void
notice_request(struct message *m, enum bounce_kind kind)
{
	struct notice *n = mem_zalloc(sizeof(*n));

	n->m = m;
	n->kind = kind;
	list_append(&nt.all, &n->link);
	loop_timer_set(nt.timer, 0);
}

void
notice_forget(struct message *m)
{
	if (m->n_notices == 0)
		return;
	LIST_FOREACH(l, &nt.all) {
		struct notice *n = LIST_ENTRY(l, struct notice, link);

		if (n->m == m)
			notice_free(n);
	}
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct bounce_result r;
	struct notice *n;
	struct message *m;
	enum bounce_kind kind;

	if (f->type != BOUNCE_RESULT || bounce_result_decode(&r, f->body) < 0)
		return -1;
	n = hash_get(&nt.by_tag, tag_key(&f->tag));
	if (n == NULL)
		return 0;		/* the message has been deleted */
	m = n->m;
	kind = n->kind;
	if (!r.ok && kind != BOUNCE_FAILURE && kind != BOUNCE_DOUBLE &&
	    kind != BOUNCE_DELAY) {
		/* What it tells of is over: there is nothing to fall back to. */
		unsend(n);
		n->not_before_ms = loop_now_ms(qm.loop) + RETRY_MS;
		loop_timer_set(nt.timer, AGAIN_MS);
		return 0;
	}
	notice_free(n);
	message_notice_done(m, kind, r.ok, r.text);
	if (!list_empty(&nt.all))
		loop_timer_set(nt.timer, 0);
	return 0;
}

static void
on_up(void *arg, struct ipc_conn *c)
{
	send_all(NULL);
}

static void
on_down(void *arg)
{
	LIST_FOREACH(l, &nt.all)
		unsend(LIST_ENTRY(l, struct notice, link));
	if (!list_empty(&nt.all))
		loop_timer_set(nt.timer, AGAIN_MS);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_up = on_up, .on_down = on_down,
};

void
notice_start(void)
{
	char path[128];

	list_init(&nt.all);
	nt.by_tag = HASH_INIT;
	nt.envelope = nt.body = BUF_INIT(BUF_UNLIMITED);
	nt.timer = loop_timer_new(qm.loop, send_all, NULL);
	(void)snprintf(path, sizeof(path), "private/%s",
	    conf.bounce_service_name);
	nt.client = ipc_client_new(qm.loop, daemon_socket_path(path),
	    &BOUNCE_PROTO, &ops, NULL);
}

void
notice_stop(void)
{
	ipc_client_free(&nt.client);
	loop_timer_free(&nt.timer);
	while (!list_empty(&nt.all))
		notice_free(LIST_ENTRY(nt.all.next, struct notice, link));
	hash_fini(&nt.by_tag, NULL);
	buf_fini(&nt.envelope);
	buf_fini(&nt.body);
}
