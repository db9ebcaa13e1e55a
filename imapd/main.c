/* SPDX-License-Identifier: ISC */
/*
 * imapd - the front of the IMAP service (RFC 9051): TLS and login.
 *
 * Clients come from the listener that master opened.  We run unprivileged in
 * a jail and hand a client that has logged in to the user's session process;
 * no mail passes through our memory in the clear except on its way to the
 * client.  What is said after the login is in engine.c and all it leads to.
 */
#include "daemon/daemon.h"
#include "imapd/front.h"

static struct front_settings settings;

static int
pre_jail(struct why *why)
{
	settings = (struct front_settings){
		.login_timeout_ms = conf.imapd_login_timeout * 1000,
		.input_max = (size_t)conf.imapd_login_line_limit + 4096,
		.error_limit = conf.imapd_login_error_limit,
		.tls = TLS_IMAPD,
		.tls_wrappermode = conf.imapd_tls_wrappermode,
		.tls_loglevel = conf.imapd_tls_loglevel,
		.cleartext_networks = conf.imapd_cleartext_networks,
	};
	return front_pre_jail(&imapd_front, &settings, why);
}

static const struct daemon imapd = {
	.name		= "imapd",
	.pre_jail	= pre_jail,
	.check		= pre_jail,
	.start		= front_start,
	.accept		= front_accept,
	.drain		= front_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&imapd, argc, argv);
}
