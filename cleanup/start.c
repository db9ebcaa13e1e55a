/* SPDX-License-Identifier: ISC */
/*
 * start - what is done at the start, at a reload, and at the end.
 */
#include <fcntl.h>

#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup.h"
#include "cleanup/quota_count.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "daemon/daemon.h"

#define SETTINGS_MS	1000	/* between attempts to open tables */
#define KEEP_FREE	(64u << 20)	/* bytes, until nothing is under way */

struct cleanup cl;

static int64_t tried_ms;	/* the last attempt to read the settings */

/*
 * Tables that cannot be opened at the start are tried again: until then mail
 * has to wait, but nothing has to be started once more.
 */
bool
settings_ready(void)
{
	struct why why = WHY_INIT;
	int64_t now = loop_now_ms(cl.loop);

	if (cl.set != NULL)
		return true;
	if (tried_ms != 0 && now - tried_ms < SETTINGS_MS)
		return false;
	tried_ms = now;
	cl.set = settings_new(&why);
	if (cl.set == NULL)
		log_error("%s: mail is answered 451 until this is put right",
		    why.text);
	return cl.set != NULL;
}

/* What a crash left in large/ under a temporary name. */
static void
sweep_large(void)
{
	struct why why = WHY_INIT;

	if (spool_sweep_tmp(&cl.spool, SPOOL_LARGE, &why) < 0)
		log_warning("%s", why.text);
}

int
cleanup_start(struct why *why)
{
	struct qlog_options opt = {
		.segment_size = (size_t)conf.queue_segment_size,
		.slots_max = (unsigned)conf.queue_segment_limit
	};

	cl.loop = daemon_loop();
	mem_keep_free(KEEP_FREE);
	list_init(&cl.conns);
	if (spool_open(&cl.spool, ".", why) < 0)
		return -1;
	cl.large_dirfd = open("large", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cl.large_dirfd < 0)
		return why_errno(why, "4.3.0", "open large/");
	cl.log = qlog_open(cl.spool.dirfd, "log", &opt, why);
	if (cl.log == NULL)
		return -1;
	(void)settings_ready();
	sweep_large();
	if (commit_start(why) < 0)
		return -1;
	feed_start();
	room_start();
	session_start();
	return 0;
}

int
cleanup_reload(struct why *why)
{
	struct settings *s = settings_new(why);

	if (s == NULL)
		return -1;		/* the old ones stay */
	settings_free(&cl.set);
	cl.set = s;
	room_look_again();
	return 0;
}

int
cleanup_check(struct why *why)
{
	struct settings *s;

	daemon_judge_values("sender_quota_maps", quota_judge);
	daemon_judge_values("sender_domain_quota_maps", quota_judge);
	s = settings_new(why);
	if (s == NULL)
		return -1;
	settings_free(&s);
	return 0;
}

/* Messages under way go to their end; daemon_busy() counts them. */
void
cleanup_drain(void)
{
	feed_drain();
	quota_counters_end();
}
