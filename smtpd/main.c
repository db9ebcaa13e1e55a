/* SPDX-License-Identifier: ISC */
/*
 * smtpd - receive mail over SMTP (RFC 5321).
 *
 * Clients come from the listeners that master opened.  We run unprivileged
 * in a jail, open no file after the start, and know of the queue and of the
 * users only what cleanup and rewrite tell us through two sockets.
 */
#include "smtpd/daemon.h"

bool smtpd_lmtp = false;

static const struct daemon smtpd = {
	.name		= "smtpd",
	.pre_jail	= smtpd_pre_jail,
	.check		= smtpd_check,
	.start		= smtpd_start,
	.accept		= session_new,
	.drain		= session_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&smtpd, argc, argv);
}
