/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of the reporting daemon: events in, nothing out
 * (msg_tlsrpt.h).
 */
#include "daemon/clients.h"
#include "dns/dns.h"
#include "tlsrpt/tlsrpt.h"

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct tlsrpt_event e;

	if (f->type != TLSRPT_EVENT ||
	    tlsrpt_event_decode(&e, f->body) < 0 || !dns_name_valid(e.domain))
		return -1;
	period_event(&e);
	return 0;
}

static const struct client_kind kind = {
	.proto = &TLSRPT_PROTO,
	.on_frame = on_frame,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}

/* A reload, or the end: the next process reads what is saved now. */
void
session_retire(void)
{
	period_save();
	clients_drain();
}
