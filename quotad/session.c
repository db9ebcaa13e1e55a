/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of quotad: one connection each, any number of
 * requests under way.  A request is answered in the turn it is read, so a
 * session has no state but its connection.
 */
#include "base/list.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "quotad/quotad.h"

/* A client that does not read its answers is not read from. */
#define OUT_HIGH	(1u << 20)	/* bytes */

struct session {
	struct list	 link;
	struct ipc_conn	*conn;
	bool		 paused;
};

static struct list sessions = LIST_INIT(sessions);

static void
session_end(struct session *s)
{
	list_remove(&s->link);
	ipc_conn_free(&s->conn);
	mem_free(s);
	daemon_busy(-1);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct session *s = arg;
	struct why why = WHY_INIT;
	struct quota_answer a;
	struct quota_ask q;

	if (f->type != QUOTA_ASK || f->fd >= 0 ||
	    quota_ask_decode(&q, f->body) < 0)
		return -1;
	answer_ask(&q, &a, &why);
	quota_answer_encode(ipc_begin(c, QUOTA_ANSWER, f->tag), &a);
	ipc_end(c);
	if (ipc_out_len(c) > OUT_HIGH && !s->paused) {
		s->paused = true;
		ipc_pause(c);
	}
	return 0;
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	struct session *s = arg;

	if (daemon_draining()) {
		session_end(s);
		return;
	}
	if (s->paused) {
		s->paused = false;
		ipc_resume(c);
	}
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	session_end(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	struct session *s = mem_zalloc(sizeof(*s));

	daemon_busy(1);
	list_append(&sessions, &s->link);
	s->conn = ipc_conn_new(daemon_loop(), fd, &QUOTA_PROTO, &ops, s);
}

/* Clients connect again, to the next process, when they have to ask. */
void
session_drain_all(void)
{
	LIST_FOREACH(l, &sessions) {
		struct session *s = LIST_ENTRY(l, struct session, link);

		if (ipc_out_len(s->conn) == 0)
			session_end(s);
	}
}
