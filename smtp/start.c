/* SPDX-License-Identifier: ISC */
/*
 * start - before the first delivery.
 */
#include "smtp/start.h"

#include "daemon/daemon.h"
#include "route/our.h"
#include "smtp/smtp.h"

int
smtp_pre_jail(bool lmtp, struct why *why)
{
	/* Our own addresses, while names can be looked up. */
	if (daemon_judge(our_open(why), why) < 0 ||
	    daemon_judge(settings_load(lmtp, why), why) < 0 ||
	    settings_tables(lmtp, why) < 0)
		return -1;
	return settings_tls(lmtp, why);
}

int
smtp_start(struct why *why)
{
	tls_client_start(set.tls, daemon_loop());
	dns = dns_client_new(daemon_loop(),
	    daemon_socket_path("private/resolver"));
	dns_client_filter(dns, set.dns_filter);
	tables_start(daemon_loop(), daemon_socket_path("private/rewrite"));
	report_start(daemon_loop(), daemon_socket_path("private/tlsrpt"));
	sts_start(daemon_loop(), daemon_socket_path("private/mtasts"));
	return 0;
}

void
smtp_accept(int fd, const struct sock_addr *peer, int index)
{
	agent_accept(fd, peer, index);
}

void
smtp_retire(void)
{
	agent_retire();
}
