/* SPDX-License-Identifier: ISC */
/*
 * process - see process.h: one user, all of the user's connections.
 *
 * Everything that comes over the control socket is the monitor's, and the
 * monitor is trusted: what breaks the conversation is a bug and ends us.
 * Where the monitor goes away, we say goodbye to our clients and exit.
 */
#include "session/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"
#include "io/fd.h"
#include "session/control.h"
#include "session/private.h"
#include "store/account.h"

/* How long commands under way may take when we are to stop. */
#define DRAIN_MS	30000
/* On the way out: what a connection wrote last is on its way. */
#define LAST_WORDS_MS	50
/* Bytes of free memory that a process at rest may keep. */
#define REST_HEAP	(512u << 10)
/* A client on a network of the quickest kind has its next command here within
 * this time (loop_set_eager()). */
#define EAGER_US	100

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

struct session_process session_process;

const struct engine *
session_engine(const struct engine *const *engines, struct span service)
{
	for (; *engines != NULL; engines++)
		if (span_is(service, (*engines)->service))
			return *engines;
	return NULL;
}

/* --- leaving ---------------------------------------------------------------------- */

/* What engines have kept for connections that do not come any more. */
static void
forget(const struct session_process *p)
{
	for (const struct engine *const *e = p->engines; *e != NULL; e++)
		if ((*e)->forget != NULL)
			(*e)->forget();
}

NORETURN static void
leave(int status)
{
	struct session_process *p = &session_process;

	/* With connections that would not end it is as if we were killed. */
	if (p->account != NULL && list_empty(&p->conns)) {
		forget(p);
		p->close_account();
	}
	log_finish();
	_exit(status);
}

static void
say_idle(struct session_process *p)
{
	struct control_idle m = { .seen = p->seen };

	control_idle_encode(ipc_begin(p->control, CONTROL_IDLE, 0), &m);
	ipc_end(p->control);
}

static void
on_last_words(void *arg)
{
	struct session_process *p = arg;

	if (!list_empty(&p->conns))
		return;
	if (stream_finishing() > 0) {
		/* Each has a deadline. */
		loop_timer_set(p->last_words, LAST_WORDS_MS);
	} else if (p->leaving) {
		forget(p);
		session_purge();
		leave(0);
	} else if (p->control == NULL) {
		leave(0);
	} else {
		say_idle(p);
	}
}

void
session_process_empty(void)
{
	struct session_process *p = &session_process;

	if (!list_empty(&p->conns))
		return;
	if (p->leaving || p->draining || p->control == NULL)
		loop_timer_set(p->last_words, 0);
	else
		mem_tidy(REST_HEAP);
}

static void
drain_overdue(void *arg)
{
	log_warning("sessions of %s have not ended in time",
	    session_process.user->name);
	leave(0);
}

static void
drain(enum session_stop why, uint32_t serial)
{
	struct session_process *p = &session_process;

	if (p->user == NULL)
		leave(0);
	if (serial == 0 && !p->draining) {
		p->draining = true;
		p->overdue = loop_timer_new(p->loop, drain_overdue, NULL);
		loop_timer_set(p->overdue, DRAIN_MS);
	}
	LIST_FOREACH(at, &p->conns) {
		struct session_private *c = LIST_ENTRY(at,
		    struct session_private, link);

		if (serial == 0 || c->serial == serial)
			c->engine->drain(&c->conn, why);
	}
	session_process_empty();
}

/* --- limits --------------------------------------------------------------------------- */

static void
limit_memory(void)
{
	struct rlimit lim;

	/* A sanitizer's shadow memory counts. */
	if (conf.session_memory_limit == PARAM_UNLIMITED || SANITIZED)
		return;
	lim.rlim_cur = lim.rlim_max = (rlim_t)conf.session_memory_limit;
	if (setrlimit(RLIMIT_DATA, &lim) < 0)
		log_warning("cannot limit memory: %m");
}

static char *
mail_of(const char *rule, const struct session_user *u)
{
	return u->path[0] != '\0' ? mem_printf("%s%s/%s", rule, u->base,
	    u->path) : mem_printf("%s%s", rule, u->base);
}

/* --- where the mail lies -------------------------------------------------------------- */

static void
place_stat(const struct session_user *u, struct session_place *out)
{
	char *path = mail_of("", u);
	struct stat st;

	*out = (struct session_place){ .dev = 0 };
	if (stat(path, &st) == 0) {
		out->dev = st.st_dev;
		out->ino = st.st_ino;
	}
	mem_free(path);
}

static const struct session_user *
place_owner(const struct session_process *p, size_t i)
{
	return i == 0 ? p->user : p->shares[i - 1];
}

static void
places_note(struct session_process *p)
{
	for (size_t i = 0; i <= p->nshares; i++)
		place_stat(place_owner(p, i), &p->places[i]);
}

/* Whether all of them are still the directories that the sandbox lets us into:
 * it knows them by their inodes. */
static bool
places_hold(const struct session_process *p)
{
	struct session_place now;

	for (size_t i = 0; i <= p->nshares; i++) {
		place_stat(place_owner(p, i), &now);
		if (now.dev != p->places[i].dev || now.ino != p->places[i].ino)
			return false;
	}
	return true;
}

/* --- becoming the user ---------------------------------------------------------------- */

/*
 * The user's mail and that of those who share theirs, and nothing else.  What
 * of the latter the user may see is for ACLs to say: all of one account's
 * messages lie in the same files.
 */
static int
enter(const struct session_process *p, struct why *why)
{
	const struct session_user *u = p->user;
	ARRAY(const char *) paths = ARRAY_EMPTY;
	char *mail = mail_of("", u);
	struct sandbox_as as = { .uid = u->uid, .gid = u->gid, .make = mail };
	int rc;

	*ARRAY_PUSH(&paths) = mail_of("w:", u);
	for (size_t i = 0; i < p->nshares; i++)
		*ARRAY_PUSH(&paths) = mail_of("w:", p->shares[i]);
	*ARRAY_PUSH(&paths) = mem_strdup("r:/dev/null");
	*ARRAY_PUSH(&paths) = mem_strdup("r:/dev/urandom");
	as.paths = paths.v;
	as.npaths = paths.len;
	rc = sandbox_enter_as(sandbox_find("session-user"), &as, why);
	for (size_t i = 0; i < paths.len; i++)
		mem_free((void *)(uintptr_t)paths.v[i]);
	ARRAY_FINI(&paths);
	mem_free(mail);
	return rc;
}

/* What the monitor says first. */
static int
on_shares(struct session_process *p, struct span body)
{
	struct session_user *owner;
	struct auth_user a;

	if (p->user != NULL || p->nshares == SHARES_USER_MAX ||
	    auth_user_decode(&a, body) < 0)
		return -1;
	owner = mem_zalloc(sizeof(*owner));
	(void)session_user_init(owner, &a);
	p->shares[p->nshares++] = owner;
	return 0;
}

static int
on_user(struct session_process *p, struct span body)
{
	static struct session_user user;
	struct why why = WHY_INIT;
	struct auth_user a;

	if (p->user != NULL || auth_user_decode(&a, body) < 0)
		return -1;
	(void)session_user_init(&user, &a);
	p->user = &user;
	(void)prctl(PR_SET_NAME, "session-user");
	limit_memory();
	if (enter(p, &why) < 0) {
		log_error("session process of %s: %s", p->user->name,
		    why.text);
		leave(1);
	}
	places_note(p);
	return 0;
}

/* --- the monitor ------------------------------------------------------------------- */

static int
on_conn(const struct ipc_frame *f)
{
	struct session_process *p = &session_process;
	const struct engine *e;
	struct control_conn m;
	int fd = f->fd;

	p->hurry = false;
	if (control_conn_decode(&m, f->body) < 0 || fd < 0 ||
	    (e = session_engine(p->engines, m.service)) == NULL) {
		fd_close(&fd);
		return -1;
	}
	if (p->seen++ > 0 && list_empty(&p->conns) && !places_hold(p)) {
		ipc_send_fd(p->control, CONTROL_STALE, 0, f->body, fd);
		close(fd);
		return 0;
	}
	return session_conn_new(e, &m, fd);
}

static int
on_control(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct control_drain d;
	int fd = f->fd;

	if (f->type == CONTROL_CONN && session_process.user != NULL)
		return on_conn(f);
	if ((f->type == CONTROL_LOG || f->type == CONTROL_SYSLOG) &&
	    fd >= 0) {
		if (f->type == CONTROL_LOG)
			log_replace_fd(fd);
		else
			log_replace_socket(conf.syslog_facility, fd);
		return 0;
	}
	fd_close(&fd);
	switch (f->type) {
	case CONTROL_SHARES:
		return on_shares(&session_process, f->body);
	case CONTROL_USER:
		return on_user(&session_process, f->body);
	case CONTROL_DRAIN:
		if (control_drain_decode(&d, f->body) < 0)
			return -1;
		drain((enum session_stop)d.why, d.serial);
		return 0;
	case CONTROL_LEAVE:
		session_process.leaving = true;
		session_process_empty();
		return 0;
	case CONTROL_HURRY:
		session_process.hurry = true;
		session_conn_consider();
		return 0;
	default:
		return -1;
	}
}

static void
on_control_end(void *arg, struct ipc_conn *c)
{
	struct session_process *p = arg;

	ipc_conn_free(&p->control);
	if (p->user == NULL || p->leaving)
		leave(0);	/* a spare one that is not needed */
	log_info("the session monitor is gone; finishing");
	drain(SESSION_STOP_SHUTDOWN, 0);
}

static const struct ipc_ops control_ops = {
	.on_frame = on_control,
	.on_end = on_control_end,
};

void
session_shared(struct session_conn *c, struct span ident, bool on)
{
	struct session_process *p = &session_process;
	struct control_share m = { .ident = ident, .on = on };

	if (p->control == NULL || ident.len > ACCOUNT_IDENT_MAX)
		return;
	control_share_encode(ipc_begin(p->control, CONTROL_SHARE, 0), &m);
	ipc_end(p->control);
}

/* --- signals ------------------------------------------------------------------------ */

static void
on_term(void *arg)
{
	drain(SESSION_STOP_SHUTDOWN, 0);
}

static void
catch_signals(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	/* Whoever stops the system often signals all of its processes. */
	daemon_child_signal(SIGTERM, on_term, NULL);
	daemon_child_signal(SIGINT, on_term, NULL);
	/* A reload is the monitor's affair. */
	sigaction(SIGHUP, &ign, NULL);
	sigaction(SIGUSR1, &ign, NULL);
}

void
session_process_run(const struct session_process_args *a)
{
	struct session_process *p = &session_process;

	p->loop = daemon_loop();
	loop_set_eager(p->loop, EAGER_US);
	p->engines = a->engines;
	list_init(&p->conns);
	catch_signals();
	p->last_words = loop_timer_new(p->loop, on_last_words, p);
	p->control = ipc_conn_new(p->loop, a->control, &CONTROL_PROTO,
	    &control_ops, p);
	loop_run(p->loop);
	leave(0);
}
