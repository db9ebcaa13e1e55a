/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of quotad: any number of requests, each answered in
 * the turn it is read.
 */
#include "daemon/clients.h"
#include "quotad/quotad.h"

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct why why = WHY_INIT;
	struct quota_answer a;
	struct quota_ask q;

	if (f->type != QUOTA_ASK || f->fd >= 0 ||
	    quota_ask_decode(&q, f->body) < 0)
		return -1;
	answer_ask(&q, &a, &why);
	quota_answer_encode(client_answer(c, QUOTA_ANSWER, f->tag), &a);
	client_sent(c);
	return 0;
}

static const struct client_kind kind = {
	.proto = &QUOTA_PROTO,
	.on_frame = on_frame,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}
