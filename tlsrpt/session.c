/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of the reporting daemon: events in, nothing out
 * (msg_tlsrpt.h).
 */
#include "base/mem.h"
#include "daemon/daemon.h"
#include "dns/dns.h"
#include "tlsrpt/tlsrpt.h"

struct session {
	struct list	 link;
	struct ipc_conn	*conn;
};

static struct list sessions = LIST_INIT(sessions);

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct tlsrpt_event e;

	if (f->type != TLSRPT_EVENT ||
	    tlsrpt_event_decode(&e, f->body) < 0 || !dns_name_valid(e.domain))
		return -1;
	period_event(&e);
	return 0;
}

static void
session_end(struct session *s)
{
	list_remove(&s->link);
	ipc_conn_free(&s->conn);
	mem_free(s);
	daemon_busy(-1);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	session_end(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_end = on_end,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	struct session *s = mem_zalloc(sizeof(*s));

	daemon_busy(1);
	list_append(&sessions, &s->link);
	s->conn = ipc_conn_new(daemon_loop(), fd, &TLSRPT_PROTO, &ops, s);
}

/* A reload, or the end: the next process reads what is saved now. */
void
session_retire(void)
{
	period_save();
	LIST_FOREACH(l, &sessions)
		session_end(LIST_ENTRY(l, struct session, link));
}
