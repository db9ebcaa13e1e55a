/* SPDX-License-Identifier: ISC */
/*
 * stop - ending in stages, so that what is under way can be finished.
 *
 * First those that take mail in, then qmgr, the delivery agents, bounce, and
 * last cleanup and rewrite, which serve all the others.  A stage begins when
 * the one before has no process left, or has had its share of
 * stop_time_limit; whoever is left at the end of that is killed.  That loses
 * nothing: what is acknowledged is on disk.
 */
#include "master/master.h"

#include <signal.h>

#include "base/log.h"
#include "conf/params.h"

static struct loop_timer *timer;
static bool killing;

bool
stop_reached(enum plan_stage stage)
{
	return master.stopping && stage <= master.stage;
}

static bool
any_left(enum plan_stage upto)
{
	for (size_t i = 0; i < master.services.len; i++)
		if (master.services.v[i]->plan->stage <= upto &&
		    !list_empty(&master.services.v[i]->children))
			return true;
	return false;
}

static void
signal_all(enum plan_stage from, enum plan_stage upto, int signo)
{
	for (size_t i = 0; i < master.services.len; i++) {
		struct svc *s = master.services.v[i];

		if (s->plan->stage < from || s->plan->stage > upto)
			continue;
		LIST_FOREACH(l, &s->children)
			child_signal(LIST_ENTRY(l, struct child, link),
			    signo);
	}
}

static void
enter(enum plan_stage stage)
{
	master.stage = stage;
	for (size_t i = 0; i < master.services.len; i++)
		if (master.services.v[i]->plan->stage == stage)
			svc_unlisten(master.services.v[i]);
	signal_all(stage, stage, SIGTERM);
}

/* Half of what is left for each stage, but all that is left for the last. */
static void
set_timer(void)
{
	int64_t ms = conf.stop_time_limit * 1000;

	for (unsigned i = 0; i <= master.stage && master.stage != STAGE_CORE;
	    i++)
		ms /= 2;
	if (master.stage == STAGE_CORE)
		ms = conf.stop_time_limit * 1000 >> STAGE_CORE;
	loop_timer_set(timer, ms < 100 ? 100 : ms);
}

void
stop_step(void)
{
	while (!any_left(master.stage)) {
		if (master.stage == STAGE_CORE) {
			if (!reload_checking())
				loop_stop(master.loop);
			return;
		}
		enter(master.stage + 1);
		set_timer();
	}
}

static void
on_timer(void *arg)
{
	if (killing) {
		log_warning("some processes cannot be killed; leaving them");
		loop_stop(master.loop);
		return;
	}
	if (master.stage == STAGE_CORE) {
		log_warning("killing what has not finished in "
		    "stop_time_limit");
		signal_all(STAGE_FRONT, STAGE_CORE, SIGKILL);
		killing = true;
		loop_timer_set(timer, 5000);
		return;
	}
	enter(master.stage + 1);
	set_timer();
}

void
stop_begin(void)
{
	if (master.stopping) {
		/* Told twice: no more patience. */
		signal_all(STAGE_FRONT, STAGE_CORE, SIGKILL);
		killing = true;
		loop_timer_set(timer, 5000);
		return;
	}
	notify_send("STOPPING=1");
	master.stopping = true;
	timer = loop_timer_new(master.loop, on_timer, NULL);
	control_close();
	reload_stop();
	enter(STAGE_FRONT);
	set_timer();
	stop_step();
}
