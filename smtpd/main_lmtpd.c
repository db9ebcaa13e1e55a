/* SPDX-License-Identifier: ISC */
/*
 * lmtpd - receive mail over LMTP (RFC 2033).
 *
 * The same program as smtpd but for the protocol's name, LHLO, and a reply
 * for each recipient after the content.
 */
#include "smtpd/daemon.h"

bool smtpd_lmtp = true;

static const struct daemon lmtpd = {
	.name		= "lmtpd",
	.pre_jail	= smtpd_pre_jail,
	.check		= smtpd_check,
	.start		= smtpd_start,
	.accept		= session_new,
	.drain		= session_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&lmtpd, argc, argv);
}
