/* SPDX-License-Identifier: ISC */
/*
 * reload - from one configuration to the next without losing a client.
 *
 * The files are first read and checked by a process of our own, which may be
 * slow (DNS) or even crash without harm.  Only when it finds nothing wrong do
 * we read them too.  Then services are compared: sockets that both have stay
 * open, new ones are opened before anything is closed, and only when nothing
 * can fail any more do processes hear of it.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"

static struct {
	pid_t		 checker;	/* leads a group; 0: none is at work */
	bool		 again;		/* asked for meanwhile */
	reload_done_fn	*done;		/* all who wait hear of it by this */
} state;

void
report_to_log(void *arg, enum log_level level, const char *line)
{
	if (level >= LOG_LEVEL_ERROR)
		log_error("%s", line);
	else if (level == LOG_LEVEL_WARNING)
		log_warning("%s", line);
	else
		log_info("%s", line);
}

/* The checker has said the rest. */
static void
report_errors(void *arg, enum log_level level, const char *line)
{
	if (level >= LOG_LEVEL_ERROR)
		report_to_log(arg, level, line);
}

/*
 * The checker: what is wrong goes to the log, and the answer is its exit.  Our
 * handlers would tell master of what was meant for the checker, and whoever
 * looks whether the mail system runs sees the lock on the pid file.
 */
NORETURN static void
check(void)
{
	static const int ours[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP,
	    SIGUSR1 };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	struct services plan;
	sigset_t none;
	bool ok;

	(void)setpgid(0, 0);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		sigaction(ours[i], &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fd_close(&master.pid_fd);
	ok = services_judge(master.config_dir, master.overrides.v,
	    master.overrides.len, &plan, report_to_log, NULL) == 0;
	if (ok && strcmp(conf.queue_directory, master.queue_directory) != 0) {
		log_error("%s: queue_directory cannot change from %s to %s "
		    "while the mail system runs: stop and start it",
		    params_origin("queue_directory"), master.queue_directory,
		    conf.queue_directory);
		ok = false;
	}
	log_flush();
	_exit(ok ? 0 : 1);
}

/* --- the new plan takes over ------------------------------------------------------- */

static struct svc *
find_old(const struct plan *p)
{
	for (size_t i = 0; i < master.services.len; i++) {
		struct svc *s = master.services.v[i];

		if (!s->removed && strcmp(s->plan->name, p->name) == 0 &&
		    strcmp(s->plan->type, p->type) == 0)
			return s;
	}
	return NULL;
}

static struct listener *
find_listener(struct svc *s, const char *text)
{
	for (size_t i = 0; s != NULL && i < s->listeners.len; i++)
		if (strcmp(s->listeners.v[i]->text, text) == 0)
			return s->listeners.v[i];
	return NULL;
}

/* The same socket in the running system, whichever service has it: an entry
 * may have got another name. */
static struct listener *
find_running(const char *text)
{
	struct listener *l = NULL;

	for (size_t i = 0; l == NULL && i < master.services.len; i++)
		if (!master.services.v[i]->removed)
			l = find_listener(master.services.v[i], text);
	return l;
}

/* The services to be, while apply() is at work. */
static struct svc **coming;
static size_t	ncoming;

static bool
wanted(const char *text)
{
	for (size_t i = 0; i < ncoming; i++)
		if (coming[i] != NULL &&
		    find_listener(coming[i], text) != NULL)
			return true;
	return false;
}

/*
 * Whether the address is in use by a socket of ours that is about to go, so
 * that it can be opened then: 0.0.0.0:25 before 127.0.0.1:25.
 */
static bool
soon_free(const struct listener *l)
{
	for (size_t i = 0; i < master.services.len; i++) {
		const struct svc *s = master.services.v[i];

		for (size_t k = 0; k < s->listeners.len; k++) {
			const struct listener *o = s->listeners.v[k];

			if (o->addr.len != 0 && l->addr.len != 0 &&
			    o->addr.sa.sa_family == l->addr.sa.sa_family &&
			    sock_addr_port(&o->addr) ==
			    sock_addr_port(&l->addr) && !wanted(o->text))
				return true;
		}
	}
	return false;
}

/*
 * Give the sockets of a service to be: copies of those that run, and newly
 * opened ones.  -1 with why.
 */
static int
open_sockets(struct svc *s, struct why *why)
{
	for (size_t i = 0; i < s->listeners.len; i++) {
		struct listener *l = s->listeners.v[i];
		struct listener *have = find_running(l->text);

		if (have != NULL && have->fd >= 0) {
			l->fd = fcntl(have->fd, F_DUPFD_CLOEXEC, 3);
			if (l->fd < 0)
				return why_errno(why, "", "%s", l->text);
		} else if (listener_open(l, why) < 0 &&
		    !(errno == EADDRINUSE && soon_free(l)))
			return -1;
	}
	return 0;
}

/* What no service will have any more is closed for good. */
static void
drop_listeners(struct svc *s)
{
	for (size_t i = 0; i < s->listeners.len; i++) {
		struct listener *l = s->listeners.v[i];

		listener_close(l, !wanted(l->text));
		mem_free(l->text);
		mem_free(l);
	}
	ARRAY_FINI(&s->listeners);
}

/* The new service takes over what the old one has; the old one goes. */
static void
hand_over(struct svc *old, struct svc *new)
{
	bool same = plan_same(old->plan, new->plan);

	new->used = old->used;
	new->started = old->started;
	new->crashed = old->crashed;
	LIST_FOREACH(l, &old->children) {
		struct child *c = LIST_ENTRY(l, struct child, link);

		list_remove(l);
		list_append(&new->children, l);
		c->svc = new;
		if (same)
			child_signal(c, SIGHUP);
		else	/* its options or sockets are not right any more */
			child_tell(c, (new->plan->flags & PLAN_SINGLE)
			    ? MASTER_MSG_DRAIN : MASTER_MSG_RETIRE, -1);
	}
	drop_listeners(old);
	old->removed = true;
}

static void
retire(struct svc *s)
{
	log_info("service \"%s\" is no longer in master.cf", s->plan->name);
	s->removed = true;
	drop_listeners(s);
	LIST_FOREACH(l, &s->children)
		child_tell(LIST_ENTRY(l, struct child, link),
		    (s->plan->flags & PLAN_SINGLE) ? MASTER_MSG_DRAIN
		    : MASTER_MSG_RETIRE, -1);
}

/* Drop services that have neither processes nor a future. */
static void
sweep(void)
{
	for (size_t i = master.services.len; i-- > 0; ) {
		struct svc *s = master.services.v[i];

		if (s->removed && list_empty(&s->children)) {
			ARRAY_DROP(&master.services, i);
			svc_free(&s);
		}
	}
}

/* Nothing has come of it: the running system stays as it is. */
static void
abandon(void)
{
	for (size_t i = 0; i < ncoming; i++) {
		for (size_t k = 0; k < coming[i]->listeners.len; k++) {
			struct listener *l = coming[i]->listeners.v[k];

			/* A copy of a socket in use is only closed. */
			listener_close(l, find_running(l->text) == NULL);
			mem_free(l->text);
			mem_free(l);
		}
		ARRAY_FINI(&coming[i]->listeners);
		svc_free(&coming[i]);
	}
}

/* All errors, not only the first. */
static bool
open_all(struct services *plan)
{
	bool ok = true;

	for (size_t i = 0; i < plan->v.len; i++) {
		coming[ncoming++] = svc_new(plan->v.v[i]);
		plan->v.v[i] = NULL;
	}
	for (size_t i = 0; i < ncoming; i++) {
		struct why why = WHY_INIT;

		if (open_sockets(coming[i], &why) < 0) {
			log_error("%s: %s", coming[i]->plan->origin,
			    why.text);
			ok = false;
		}
	}
	return ok;
}

static void
take_over(void)
{
	struct why why = WHY_INIT;
	size_t nold = master.services.len;

	for (size_t i = 0; i < ncoming; i++) {
		struct svc *old = find_old(coming[i]->plan);

		if (old != NULL)
			hand_over(old, coming[i]);
	}
	for (size_t i = 0; i < nold; i++)
		if (!master.services.v[i]->removed)
			retire(master.services.v[i]);
	sweep();
	for (size_t i = 0; i < ncoming; i++) {
		*ARRAY_PUSH(&master.services) = coming[i];
		/* Addresses that were in use are free by now. */
		svc_start_listening(coming[i]);
	}
	if (sandbox_prepare(AT_FDCWD, &why) < 0)
		log_error("%s", why.text);
	for (size_t i = 0; i < ncoming; i++)
		svc_consider(coming[i]);
}

static bool
apply(void)
{
	struct services plan;
	bool ok;

	/* The files may have changed since they were checked. */
	if (params_load(master.config_dir, master.overrides.v,
	    master.overrides.len, NULL, NULL) < 0 ||
	    services_load(master.config_dir, master.overrides.v,
	    master.overrides.len, &plan, report_errors, NULL) < 0) {
		settings_restore();
		return false;
	}
	coming = mem_zalloc_array(plan.v.len, sizeof(struct svc *));
	ncoming = 0;
	ok = open_all(&plan);
	if (ok) {
		log_info("reload -- version %s, configuration %s",
		    MANSIO_VERSION, master.config_dir);
		logfile_reopen();
		settings_keep();
		take_over();
	} else {
		abandon();
		settings_restore();
	}
	mem_free(coming);
	coming = NULL;
	ncoming = 0;
	services_fini(&plan);
	return ok;
}

/* --- the checker's life -------------------------------------------------------------- */

static void
start_check(void)
{
	sigset_t all, old;
	pid_t pid;

	notify_reloading();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		check();
	/* Done on both sides, for either may come first. */
	if (pid > 0)
		(void)setpgid(pid, pid);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		log_error("reload: fork: %m");
		notify_send("READY=1");
		if (state.done != NULL)
			state.done(false);
		state.done = NULL;
		return;
	}
	state.checker = pid;
}

void
reload_begin(reload_done_fn *done)
{
	if (master.stopping) {
		if (done != NULL)
			done(false);
		return;
	}
	if (state.checker != 0) {
		/* It may have read the files before they changed. */
		state.again = true;
		if (done != NULL)
			state.done = done;
		return;
	}
	state.done = done;
	start_check();
}

bool
reload_checking(void)
{
	return state.checker != 0;
}

void
reload_stop(void)
{
	/* With the programs that it asks. */
	if (state.checker != 0)
		(void)kill(-state.checker, SIGKILL);
}

bool
reload_reaped(pid_t pid, int status)
{
	bool ok = false;

	if (state.checker == 0 || pid != state.checker)
		return false;
	state.checker = 0;
	if (state.again && !master.stopping) {
		state.again = false;
		start_check();
		return true;
	}
	if (master.stopping)
		log_info("reload: not any more");
	else if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		log_error("reload: the check of the configuration has died");
	else if (WEXITSTATUS(status) == 0)
		ok = apply();
	if (!ok && !master.stopping)
		log_error("reload: going on with the old configuration");
	if (!master.stopping)
		notify_send("READY=1");
	if (state.done != NULL)
		state.done(ok);
	state.done = NULL;
	return true;
}
