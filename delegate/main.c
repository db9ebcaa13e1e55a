/* SPDX-License-Identifier: ISC */
/*
 * delegate - asks policy services (check_policy_service, Postfix's policy
 * delegation protocol) for those who may talk to nobody outside.
 *
 * smtpd writes the request and acts on the answer (ipc/msg_delegate.h); we
 * have the connections, the times and the attempts.  Answers of strangers are
 * taken apart here, and what comes of them is one line of text.
 */
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "delegate/delegate.h"

/* master.cf may be root's alone. */
static int
pre_jail(struct why *why)
{
	servers_read();
	return 0;
}

static int
start(struct why *why)
{
	dial_setup(daemon_loop());
	return 0;
}

static int
reload(struct why *why)
{
	servers_read();
	return 0;
}

static const struct daemon delegate = {
	.name	= "delegate",
	.pre_jail = pre_jail,
	.start	= start,
	.reload	= reload,
	.accept	= session_start,
	.drain	= clients_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&delegate, argc, argv);
}
