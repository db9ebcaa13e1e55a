/* SPDX-License-Identifier: ISC */
/*
 * start - what is done once, before the first client.
 */
#include "base/mem.h"
#include "conf/params.h"
#include "smtpd/daemon.h"

int
smtpd_pre_jail(struct why *why)
{
	command_start();
	if (policy_compile(why) < 0 || command_open(why) < 0 ||
	    footer_open(why) < 0)
		return -1;
	if (auth_open(why) < 0 || starttls_open(why) < 0)
		return -1;
	if (peername_open(why) < 0)
		return -1;
	return policy_open(why);
}

int
smtpd_check(struct why *why)
{
	int rc = 0;

	command_start();
	if (policy_compile(why) < 0) {
		/* Each of its errors is in the log. */
		*why = WHY_INIT;
		rc = -1;
	}
	if (daemon_judge(policy_open(why), why) < 0 ||
	    daemon_judge(command_open(why), why) < 0 ||
	    daemon_judge(footer_open(why), why) < 0 ||
	    daemon_judge(peername_open(why), why) < 0 ||
	    daemon_judge(auth_open(why), why) < 0 ||
	    daemon_judge(starttls_open(why), why) < 0)
		return -1;
	return rc;
}

int
smtpd_start(struct why *why)
{
	struct loop *l = daemon_loop();

	limits_start();
	session_start(l);
	peername_start(l);
	/* The paths are kept. */
	lookup_start(l, mem_printf("private/%s", conf.rewrite_service_name));
	verify_start(l);
	etrn_start(l);
	submit_start(l, mem_printf("private/%s", conf.cleanup_service_name));
	starttls_start(l);
	auth_start(l, mem_printf("private/%s", conf.auth_service_name));
	return 0;
}
