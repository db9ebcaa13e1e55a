/* SPDX-License-Identifier: ISC */
/*
 * verify - which addresses can be delivered to, as far as the nearest server
 * for them says.
 *
 * smtpd asks (ipc/msg_verify.h).  What is not known is found out by a probe:
 * a message that takes all ways of a real one but is given up before its
 * content would be sent.  Answers are kept in memory, and in a table's file
 * that is replaced as a whole once a minute and at the end.
 */
#include "conf/params.h"
#include "base/clock.h"
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "verify/verify.h"

#define SAVE_MS		60000	/* between two files */

static struct loop_timer *timer;
static int64_t swept;		/* wall clock, seconds */

static void
on_timer(void *arg)
{
	int64_t now = clock_wall_us() / 1000000;

	if (now - swept >= conf.address_verify_cache_cleanup_interval) {
		swept = now;
		cache_sweep(now);
	}
	cache_save();
	loop_timer_set(timer, SAVE_MS);
}

static int
start(struct why *why)
{
	cache_open();
	probe_start();
	swept = clock_wall_us() / 1000000;
	timer = loop_timer_new(daemon_loop(), on_timer, NULL);
	loop_timer_set(timer, SAVE_MS);
	return 0;
}

static void
drain(void)
{
	cache_save();
	clients_drain();
}

static int
reload(struct why *why)
{
	return 0;		/* every use looks at conf */
}

static const struct daemon verify = {
	.name	= "verify",
	.start	= start,
	.accept	= session_start,
	.reload	= reload,
	.drain	= drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&verify, argc, argv);
}
