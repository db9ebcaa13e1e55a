/* SPDX-License-Identifier: ISC */
/*
 * post - mail of our own: notices that somebody should read.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup.h"

struct post {
	struct list	 link;
	char		*rcpt;
	struct buf	 text;
};

static struct list posts = LIST_INIT(posts);
static struct loop_timer *post_timer;

static void
post_one(const struct post *p)
{
	struct message *m = message_new();
	struct why why = WHY_INIT;

	m->env.flags = ENV_LOCAL;
	m->env.sender = SPAN("");
	m->env.protocol = SPAN("local");
	m->env.arrival_us = clock_wall_us();
	ARRAY_PUSH(&m->env.rcpts)->addr = span_make(arena_span_dup(&m->arena,
	    span_of(p->rcpt)), strlen(p->rcpt));
	if (commit_numbers(1, &why) < 0) {
		log_warning("a notice to %s is lost: %s", p->rcpt, why.text);
		message_free(m);
		return;
	}
	commit_queue_id(m->queue_id);
	m->env.queue_id = span_of(m->queue_id);
	trace_id_make(m->trace_id);
	m->env.trace_id = span_of(m->trace_id);
	room_hold(m, sizeof(*m) + p->text.len);
	if (envelope_begin(m) == 0)
		content_begin(m);
	if (m->refused != 0 || content_write(m, buf_span(&p->text)) < 0 ||
	    content_end(m) < 0 || envelope_end(m) < 0) {
		log_warning("a notice to %s is lost: %s", p->rcpt,
		    m->why.text);
		message_free(m);
		return;
	}
	commit_message(m);
}

static void
post_all(void *arg)
{
	while (!list_empty(&posts)) {
		struct post *p = LIST_ENTRY(posts.next, struct post, link);

		list_remove(&p->link);
		if (settings_ready())
			post_one(p);
		buf_fini(&p->text);
		mem_free(p->rcpt);
		mem_free(p);
	}
}

void
post_mail(const char *rcpt, struct buf *text)
{
	struct post *p = mem_zalloc(sizeof(*p));

	if (post_timer == NULL)
		post_timer = loop_timer_new(cl.loop, post_all, NULL);
	p->rcpt = mem_strdup(rcpt);
	p->text = *text;
	*text = BUF_INIT(BUF_UNLIMITED);
	list_append(&posts, &p->link);
	loop_timer_set(post_timer, 0);
}
