/* SPDX-License-Identifier: ISC */
/*
 * control - public/master: what administrators ask (msg_master.h).
 *
 * How many clients a process has is asked of the processes themselves; one
 * that does not answer in time is shown with what it said last.
 */
#include "master/master.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"
#include "ipc/msg_master.h"

#define ASKERS_MAX	16		/* connections at a time */
#define ANSWER_MS	200		/* what children get to answer */
#define IDLE_MS		10000

struct asker {
	struct list	 link;
	struct ipc_conn	*c;
	struct loop_timer *idle;
	bool		 wants_status;
	bool		 wants_reload;
	uint32_t	 tag;
};

static struct list askers = LIST_INIT(askers);
static unsigned	nasker;
static int	listener = -1;
static struct loop_io *listener_io;
static struct loop_timer *answer_timer;

static void
asker_free(struct asker *a)
{
	list_remove(&a->link);
	loop_timer_free(&a->idle);
	ipc_conn_free(&a->c);
	mem_free(a);
	nasker--;
}

static void
send_result(struct asker *a, bool ok, const char *text)
{
	struct master_ctl_result r = {
		.ok = ok, .text = span_of(text), .pid = (uint32_t)getpid(),
		.age_ms = (uint64_t)(clock_mono_ms() - master.started_ms),
		.version = span_of(MANSIO_VERSION),
		.config_dir = span_of(master.config_dir),
	};

	master_ctl_result_encode(ipc_begin(a->c, MASTER_CTL_RESULT, a->tag),
	    &r);
	ipc_end(a->c);
}

static const char *
svc_state(const struct svc *s)
{
	if (s->removed)
		return "leaving";
	if (s->throttled)
		return "throttled";
	if (s->plan->maxproc > 0 && svc_avail(s) == 0 &&
	    svc_live(s) >= (uint64_t)s->plan->maxproc)
		return "full";
	return "ready";
}

static void
send_service(struct asker *a, const struct svc *s)
{
	struct buf sockets = BUF_INIT(65536);
	struct master_ctl_service m = {
		.name = span_of(s->plan->name),
		.type = span_of(s->plan->type),
		.command = span_of(s->plan->command),
		.origin = span_of(s->plan->origin),
		.state = span_of(svc_state(s)),
		.maxproc = (uint32_t)MIN(s->plan->maxproc, UINT32_MAX),
		.started = s->started, .crashed = s->crashed,
	};

	for (size_t i = 0; i < s->listeners.len; i++)
		if (buf_printf(&sockets, "%s%s", i > 0 ? " " : "",
		    s->listeners.v[i]->text) < 0)
			break;
	m.sockets = buf_span(&sockets);
	master_ctl_service_encode(ipc_begin(a->c, MASTER_CTL_SERVICE, a->tag),
	    &m);
	ipc_end(a->c);
	buf_fini(&sockets);
	LIST_FOREACH(l, &s->children) {
		const struct child *c = LIST_ENTRY(l, struct child, link);
		struct master_ctl_process p = {
			.pid = (uint32_t)c->pid,
			.state = span_of(child_state_name(c->state)),
			.answered = !c->asked, .clients = c->clients,
			.age_ms = (uint64_t)(clock_mono_ms() -
			    c->started_ms),
		};

		master_ctl_process_encode(ipc_begin(a->c, MASTER_CTL_PROCESS,
		    a->tag), &p);
		ipc_end(a->c);
	}
}

static void
answer_status(void *arg)
{
	loop_timer_cancel(answer_timer);
	LIST_FOREACH(l, &askers) {
		struct asker *a = LIST_ENTRY(l, struct asker, link);

		if (!a->wants_status)
			continue;
		a->wants_status = false;
		for (size_t i = 0; i < master.services.len; i++)
			send_service(a, master.services.v[i]);
		send_result(a, true, "");
	}
	for (size_t i = 0; i < master.services.len; i++)
		LIST_FOREACH(l, &master.services.v[i]->children)
			LIST_ENTRY(l, struct child, link)->asked = false;
}

void
control_child_answered(void)
{
	for (size_t i = 0; i < master.services.len; i++)
		LIST_FOREACH(l, &master.services.v[i]->children)
			if (LIST_ENTRY(l, struct child, link)->asked)
				return;
	if (answer_timer != NULL)
		loop_timer_set(answer_timer, 0);
}

static void
ask_children(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < master.services.len; i++) {
		LIST_FOREACH(l, &master.services.v[i]->children) {
			struct child *c = LIST_ENTRY(l, struct child, link);

			if (!c->ready || c->status_fd < 0)
				continue;
			if (!c->asked)
				child_tell(c, MASTER_MSG_QUERY, -1);
			c->asked = true;
			n++;
		}
	}
	loop_timer_set(answer_timer, n > 0 ? ANSWER_MS : 0);
}

static void
on_reloaded(bool ok)
{
	/* Whoever asked may have gone; those who wait are on the list. */
	LIST_FOREACH(l, &askers) {
		struct asker *a = LIST_ENTRY(l, struct asker, link);

		if (!a->wants_reload)
			continue;
		a->wants_reload = false;
		send_result(a, ok, ok ? "" : "the mail system goes on with "
		    "the old configuration; the log says why");
	}
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	const struct sock_cred *peer = ipc_conn_peer(c);
	struct asker *a = arg;

	loop_timer_set(a->idle, IDLE_MS);
	if (f->fd >= 0)
		close(f->fd);
	if (f->body.len != 0 || a->wants_status || a->wants_reload)
		return -1;
	a->tag = f->tag;
	switch (f->type) {
	case MASTER_CTL_STATUS:
		a->wants_status = true;
		ask_children();
		return 0;
	case MASTER_CTL_RELOAD:
		if (peer == NULL || (peer->uid != 0 &&
		    peer->uid != geteuid())) {
			send_result(a, false, "reload needs root");
			return 0;
		}
		a->wants_reload = true;
		reload_begin(on_reloaded);
		return 0;
	default:
		return -1;
	}
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	asker_free(arg);
}

static const struct ipc_ops ops = { .on_frame = on_frame, .on_end = on_end };

static void
on_idle(void *arg)
{
	struct asker *a = arg;

	if (a->wants_reload)	/* a check that waits for DNS */
		loop_timer_set(a->idle, IDLE_MS);
	else
		asker_free(a);
}

static void
on_asker(void *arg, unsigned events)
{
	struct asker *a;
	int fd;

	fd = sock_accept(listener, NULL);
	if (fd < 0)
		return;
	if (nasker >= ASKERS_MAX) {
		close(fd);
		return;
	}
	a = mem_zalloc(sizeof(*a));
	nasker++;
	a->idle = loop_timer_new(master.loop, on_idle, a);
	loop_timer_set(a->idle, IDLE_MS);
	a->c = ipc_conn_new(master.loop, fd, &MASTER_CTL_PROTO, &ops, a);
	list_append(&askers, &a->link);
}

int
control_open(struct why *why)
{
	listener = sock_listen_unix(MASTER_CTL_PATH, 0666, ASKERS_MAX, why);
	if (listener < 0)
		return -1;
	answer_timer = loop_timer_new(master.loop, answer_status, NULL);
	listener_io = loop_io_new(master.loop, listener, on_asker, NULL);
	loop_io_want(listener_io, LOOP_READ);
	return 0;
}

void
control_close(void)
{
	if (listener < 0)
		return;
	loop_io_free(&listener_io);
	fd_close(&listener);
	(void)unlink(MASTER_CTL_PATH);
}
