/* SPDX-License-Identifier: ISC */
/*
 * start - what is done once, before the first client.
 */
#include "conf/params.h"
#include "smtpd/daemon.h"

int
smtpd_pre_jail(struct why *why)
{
	command_start();
	if (policy_compile(why) < 0)
		return -1;
	return policy_open(why);
}

int
smtpd_start(struct why *why)
{
	struct loop *l = daemon_loop();

	limits_start();
	session_start(l);
	lookup_start(l, daemon_socket_path("private/rewrite"));
	submit_start(l, daemon_socket_path("private/cleanup"));
	return 0;
}
