/* SPDX-License-Identifier: ISC */
/*
 * monitor - start, reload and stop of the session monitor.
 */
#include "session/monitor.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"

struct monitor monitor;

/*
 * What costs time is done once, here, and inherited by every fork: the filter
 * of the users' processes, the engines' tables.
 */
static bool was_root;

int
monitor_pre_jail(struct why *why)
{
	was_root = geteuid() == 0;
	if (was_root)
		hibernate_raise_limits();
	monitor.engines = monitor_engines;
	for (size_t i = 0; monitor.engines[i] != NULL; i++)
		if (monitor.engines[i]->warm != NULL)
			monitor.engines[i]->warm();
	return sandbox_compile(sandbox_find("session-user"), why);
}

/* RFC 4314 2.1, and the rights of RFC 2086 that are several of these. */
static int
check_owner_rights(struct why *why)
{
	size_t n = strspn(conf.acl_owner_rights, "lrswipkxteacd");

	if (conf.acl_owner_rights[n] == '\0')
		return 0;
	return why_set(why, "", "acl_owner_rights: \"%c\" is no right; "
	    "expected letters of lrswipkxteacd", conf.acl_owner_rights[n]);
}

int
monitor_check(struct why *why)
{
	if (daemon_judge(check_owner_rights(why), why) < 0)
		return -1;
	for (size_t i = 0; monitor_engines[i] != NULL; i++)
		if (monitor_engines[i]->check != NULL &&
		    daemon_judge(monitor_engines[i]->check(why), why) < 0)
			return -1;
	return 0;
}

static void
on_child(void *arg)
{
	nursery_reap();
}

int
monitor_start(struct why *why)
{
	/* Without root altogether (tests) there is one user to become. */
	if (was_root && geteuid() != 0)
		return why_set(why, "", "the monitor must be root to become "
		    "its users: column 4 of its entry in master.cf is to be "
		    "\"n\"");
	monitor.loop = daemon_loop();
	list_init(&monitor.processes);
	list_init(&monitor.resting);
	loop_signal_new(monitor.loop, SIGCHLD, on_child, NULL);
	if (hibernate_init(why) < 0 || nursery_init(why) < 0)
		return -1;
	return start_init(why);
}

static void
forget_process(struct hash_entry *e, void *arg)
{
	process_retire(e->value);
}

/*
 * The settings are new.  Processes have theirs from when they were forked:
 * they keep what they have, and the next connection of a user gets a process
 * with the new ones.
 */
int
monitor_reload(struct why *why)
{
	hash_each(&monitor.users, forget_process, NULL);
	process_drop_spares();
	nursery_renew();
	return 0;
}

static void
end_frozen(struct hash_entry *e, void *arg)
{
	struct conn *c = e->value;

	if (c->frozen != NULL)
		hibernate_end(c, "Server shutting down");
}

void
monitor_drain(void)
{
	monitor.draining = true;
	process_drop_spares();
	process_rouse();
	nursery_drain();
	hash_each(&monitor.conns, end_frozen, NULL);
	LIST_FOREACH(at, &monitor.processes) {
		struct process *p = LIST_ENTRY(at, struct process, link);

		/* Until it is gone there is something to wait for. */
		daemon_busy(1);
		process_drain(p, SESSION_STOP_SHUTDOWN, 0);
	}
}

void
monitor_log_moved(void)
{
	process_drop_spares();	/* they have the old log */
	nursery_log_moved();
	LIST_FOREACH(at, &monitor.processes) {
		struct process *p = LIST_ENTRY(at, struct process, link);

		if (p->control != NULL)
			ipc_send_fd(p->control, log_to_syslog()
			    ? CONTROL_SYSLOG : CONTROL_LOG, 0, SPAN_EMPTY,
			    log_keep_fd());
	}
}
