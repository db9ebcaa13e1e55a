/* SPDX-License-Identifier: ISC */
/*
 * quotad - tells smtpd(8) and lmtpd(8) at RCPT whether a virtual mailbox has
 * room, so that mail is refused while its sender is still there.
 *
 * It runs as the owner of the mailboxes, because counting means reading their
 * journals, and writes nothing.  It is asked only where there are quotas.
 */
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "quotad/quotad.h"

static const struct daemon quotad_daemon = {
	.name		= "quotad",
	.pre_jail	= answer_open,
	.accept		= session_start,
	.reload		= answer_open,
	.drain		= clients_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&quotad_daemon, argc, argv);
}
