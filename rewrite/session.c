/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of rewrite: any number of requests, each answered in
 * the turn it is read.
 */
#include "daemon/clients.h"
#include "rewrite/rewrite.h"

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct rewrite_resolve resolve;
	struct rewrite_lookup lookup;
	struct rewrite_map map;

	switch (f->type) {
	case REWRITE_RESOLVE:
		if (rewrite_resolve_decode(&resolve, f->body) < 0)
			return -1;
		answer_resolve(&resolve,
		    client_answer(c, REWRITE_RESOLVED, f->tag));
		break;
	case REWRITE_LOOKUP:
		if (rewrite_lookup_decode(&lookup, f->body) < 0)
			return -1;
		answer_lookup(&lookup, client_answer(c, REWRITE_FOUND, f->tag));
		break;
	case REWRITE_MAP:
		if (rewrite_map_decode(&map, f->body) < 0)
			return -1;
		answer_map(&map, client_answer(c, REWRITE_FOUND, f->tag));
		break;
	default:
		return -1;
	}
	client_sent(c);
	return 0;
}

static const struct client_kind kind = {
	.proto = &REWRITE_PROTO,
	.on_frame = on_frame,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}
