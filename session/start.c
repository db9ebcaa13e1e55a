/* SPDX-License-Identifier: ISC */
/*
 * start - what fronts and the administrator ask for, and authd's answers.
 *
 * A front may be in a stranger's hands.  It can show the tickets it has, and
 * they are good for the users they were made for, once; where the client is
 * authd has seen; everything else that it says is shown in the log, at most.  What waits for authd is bounded in
 * number, and a front that goes away takes its requests along.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "session/monitor.h"
#include "session/process.h"

#define PENDING_MAX	4096	/* tickets under way at authd */
#define PENDING_BYTES	(64u << 20)	/* of input that came with them */
#define REDEEM_MS	20000

struct front {
	struct list	 link;		/* fronts */
	struct ipc_conn	*ipc;
	const struct engine *engine;	/* of the last session it began */
	struct list	 pending;	/* of pending.of_front */
	struct question	*question;	/* the administrator's */
};

struct pending {
	struct list		 of_front;
	struct front		*front;
	uint32_t		 tag;		/* the front's */
	uint32_t		 id;		/* ours, at authd */
	int			 fd;
	const struct engine	*engine;
	struct loop_timer	*timer;
	struct buf		 facts;		/* control_facts */
	struct buf		 input;
	char			 session[SESSION_ID_MAX + 1];
};

static struct list		 fronts = LIST_INIT(fronts);
static struct ipc_client	*authd;
static struct hash		 pendings;	/* by id */
static uint32_t			 last_id;
static size_t			 pending_bytes;

/* --- the answer ---------------------------------------------------------------------------- */

static void
pending_free(struct pending *p)
{
	hash_del(&pendings, span_make(&p->id, sizeof(p->id)));
	list_remove(&p->of_front);
	loop_timer_free(&p->timer);
	fd_close(&p->fd);
	pending_bytes -= p->input.len;
	buf_fini(&p->facts);
	buf_fini(&p->input);
	mem_free(p);
}

static void
refuse(struct front *f, uint32_t tag, uint32_t reason, const char *text)
{
	struct session_refused m = {
		.reason = reason, .text = span_sub(span_of(text), 0,
		    SESSION_TEXT_MAX),
	};

	session_refused_encode(ipc_begin(f->ipc, SESSION_REFUSED, tag), &m);
	ipc_end(f->ipc);
}

static void
pending_refuse(struct pending *p, uint32_t reason, const char *text)
{
	refuse(p->front, p->tag, reason, text);
	pending_free(p);
}

static void
on_timeout(void *arg)
{
	log_warning("authd has not answered in %d s", REDEEM_MS / 1000);
	pending_refuse(arg, SESSION_NOT_NOW, "no answer from authd");
}

/* Whether a process may be made for what authd says. */
static const char *
wrong_user(const struct auth_user *a)
{
	struct span rest = a->path, part;

	if (a->uid == 0 || a->gid == 0)
		return "root has no sessions";
	if (a->base.len == 0 || a->base.p[0] != '/')
		return "the mailbox's base is not an absolute path";
	while (span_token(&rest, "/", &part))
		if (span_is(part, ".."))
			return "the mailbox's path leads upwards";
	if (a->format != STORE_MAILDIR && a->format != STORE_PACKED)
		return "the mailbox is neither a Maildir nor packed";
	return NULL;
}

static void
begin(struct pending *p, const struct auth_user *a)
{
	unsigned ix = engine_index(p->engine);
	int64_t limit = p->engine->user_limit(), now = clock_mono_ms(), delay;
	const char *wrong = wrong_user(a);
	struct why why = WHY_INIT;
	struct process *process;
	struct user *u;
	struct conn *c;

	if (wrong != NULL) {
		log_warning("user %.*s, session=<%s>: %s", SPAN_ARG(a->user),
		    p->session, wrong);
		pending_refuse(p, SESSION_NOT_NOW, "no mailbox");
		return;
	}
	u = user_get(a);
	delay = p->engine->login_delay != NULL ? p->engine->login_delay() : 0;
	if (limit > 0 && user_count(u, p->engine) >= limit) {
		log_info("%s: user %s has %lld sessions, the limit; "
		    "session=<%s>", p->engine->service, u->who.name,
		    (long long)limit, p->session);
		pending_refuse(p, SESSION_TOO_MANY,
		    "Too many connections of this user");
		goto out;
	}
	if (delay > 0 && u->login_ms[ix] != 0 &&
	    now - u->login_ms[ix] < delay * 1000) {
		log_info("%s: user %s logs in too early; session=<%s>",
		    p->engine->service, u->who.name, p->session);
		pending_refuse(p, SESSION_TOO_SOON,
		    "minimum time between logins");
		goto out;
	}
	process = process_for(u, p->engine, &why);
	if (process == NULL) {
		log_warning("no session process for user %s: %s", u->who.name,
		    why.text);
		pending_refuse(p, SESSION_NOT_NOW, "too busy");
		goto out;
	}
	u->login_ms[ix] = MAX(now, 1);
	c = conn_new(u, p->engine, buf_span(&p->facts));
	c->front = p->front;
	c->request = p->tag;
	p->front->engine = p->engine;
	process_give(process, c, p->fd, buf_span(&p->input), NULL);
	ipc_send(p->front->ipc, SESSION_STARTED, p->tag, SPAN_EMPTY);
	pending_free(p);
out:
	user_settle(u);
}

/* Where the client is: authd's word in the place of the front's. */
static void
came(struct pending *p, const struct auth_came *m)
{
	struct control_facts facts;
	struct buf own = BUF_INIT(BUF_UNLIMITED);

	if (control_facts_decode(&facts, buf_span(&p->facts)) < 0)
		log_panic("facts of a connection");
	if (!span_eq(facts.client_ip, m->client) && m->client.len > 0)
		log_warning("session=<%s>: a front says that its client is "
		    "%.*s, but it came from %.*s", p->session,
		    SPAN_ARG(facts.client_ip), SPAN_ARG(m->client));
	facts.client_ip = m->client;
	facts.client_port = m->client_port;
	control_facts_encode(&own, &facts);
	buf_fini(&p->facts);
	p->facts = own;
}

/* --- authd ------------------------------------------------------------------------------------ */

static int
on_auth_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct auth_refused r;
	struct auth_came from;
	struct auth_user a;
	struct pending *p;
	int fd = f->fd;

	fd_close(&fd);
	p = hash_get(&pendings, span_make(&f->tag, sizeof(f->tag)));
	if (f->type == AUTH_CAME && auth_came_decode(&from, f->body) == 0) {
		if (p != NULL)
			came(p, &from);
		return 0;
	}
	if (f->type == AUTH_USER && auth_user_decode(&a, f->body) == 0) {
		if (p != NULL)
			begin(p, &a);
		return 0;
	}
	if (f->type != AUTH_REFUSED || auth_refused_decode(&r, f->body) < 0)
		return -1;
	if (p == NULL)
		return 0;	/* its front has gone, or its time was up */
	log_warning("%s: ticket refused: %.*s, session=<%s>",
	    p->engine->service, SPAN_ARG(r.text), p->session);
	pending_refuse(p, r.temporary ? SESSION_NOT_NOW : SESSION_FORGED,
	    r.temporary ? "try again later" : "authd does not know of this login any more");
	return 0;
}

static void
collect(struct hash_entry *e, void *arg)
{
	ARRAY(struct pending *) *all = arg;

	*ARRAY_PUSH(all) = e->value;
}

static void
on_auth_down(void *arg)
{
	ARRAY(struct pending *) all = ARRAY_EMPTY;

	hash_each(&pendings, collect, &all);
	for (size_t i = 0; i < all.len; i++)
		pending_refuse(all.v[i], SESSION_NOT_NOW, "authd is away");
	ARRAY_FINI(&all);
}

static const struct ipc_client_ops auth_ops = {
	.on_frame = on_auth_frame,
	.on_down = on_auth_down,
};

int
start_init(struct why *why)
{
	authd = ipc_client_new(monitor.loop, daemon_socket_path("private/auth"),
	    &AUTH_PROTO, &auth_ops, NULL);
	return 0;
}

/* --- clients that go back ----------------------------------------------------------------------- */

/*
 * A client's own front; in the clear any that has begun a session of the
 * service, which only one with tickets for it can.
 */
static struct front *
front_for(const struct conn *c, const struct control_facts *facts)
{
	if (c->front != NULL || facts->tls.len > 0)
		return c->front;
	LIST_FOREACH(at, &fronts) {
		struct front *f = LIST_ENTRY(at, struct front, link);

		if (f->engine == c->engine)
			return f;
	}
	return NULL;
}

void
start_return(const struct conn *c, struct span input, int fd)
{
	const char *bye = c->engine->goodbye;
	struct buf b = BUF_SECRET(BUF_UNLIMITED);
	struct session_returned m = { .input = input };
	struct control_facts facts;
	struct front *f;

	conn_facts(c, &facts);
	f = front_for(c, &facts);
	if (f == NULL || monitor.draining) {
		log_info("%s: no front to go back to, session=<%.*s>",
		    c->engine->service, SPAN_ARG(facts.id));
		if (send(fd, bye, strlen(bye), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			log_debug("goodbye: %m");
		return;
	}
	m.id = facts.id;
	session_returned_encode(&b, &m);
	ipc_send_fd(f->ipc, SESSION_RETURNED, f == c->front ? c->request : 0,
	    buf_span(&b), fd);
	buf_wipe(&b);
}

/* --- fronts -------------------------------------------------------------------------------------- */

static void
put_facts(struct pending *p, const struct session_start *m)
{
	struct control_facts facts = {
		.id = m->id, .tag = m->tag, .client_ip = m->client_ip,
		.client_port = m->client_port, .server_ip = m->server_ip,
		.server_port = m->server_port, .method = m->method,
		.tls = m->tls, .notes = m->notes,
	};

	p->facts = BUF_INIT(BUF_UNLIMITED);
	control_facts_encode(&p->facts, &facts);
	p->input = BUF_INIT(BUF_UNLIMITED);
	buf_add_span(&p->input, m->input);
	pending_bytes += m->input.len;
	if (span_copy(m->id, p->session, sizeof(p->session)) < 0)
		p->session[0] = '\0';
}

static void
redeem(struct front *f, uint32_t tag, const struct engine *e,
    const struct session_start *m, int fd)
{
	struct ipc_conn *c = ipc_client_conn(authd);
	struct auth_redeem r = { .service = m->service, .ticket = m->ticket };
	struct pending *p;

	if (c == NULL || pendings.count >= PENDING_MAX ||
	    pending_bytes + m->input.len > PENDING_BYTES || monitor.draining) {
		refuse(f, tag, SESSION_NOT_NOW, "try again later");
		fd_close(&fd);
		return;
	}
	p = mem_zalloc(sizeof(*p));
	do {
		p->id = ++last_id;
	} while (hash_get(&pendings, span_make(&p->id, sizeof(p->id))));
	p->front = f;
	p->tag = tag;
	p->fd = fd;
	p->engine = e;
	put_facts(p, m);
	p->timer = loop_timer_new(monitor.loop, on_timeout, p);
	loop_timer_set(p->timer, REDEEM_MS);
	list_append(&f->pending, &p->of_front);
	hash_put(&pendings, span_make(&p->id, sizeof(p->id)), p);
	auth_redeem_encode(ipc_begin(c, AUTH_REDEEM, p->id), &r);
	ipc_end(c);
}

static int
on_start(struct front *f, const struct ipc_frame *frame)
{
	const struct engine *e;
	struct session_start m;
	int fd = frame->fd;

	if (fd < 0 || session_start_decode(&m, frame->body) < 0) {
		fd_close(&fd);
		return -1;
	}
	e = session_engine(monitor.engines, m.service);
	if (e == NULL) {
		refuse(f, frame->tag, SESSION_NOT_NOW, "no such service");
		fd_close(&fd);
		return 0;
	}
	redeem(f, frame->tag, e, &m, fd);
	return 0;
}

static bool
is_administrator(const struct front *f)
{
	uid_t uid = ipc_conn_peer(f->ipc)->uid;

	return uid == 0 || uid == geteuid();
}

static int
on_front_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *frame)
{
	struct front *f = arg;
	struct session_whom w;
	int fd = frame->fd;

	if (frame->type == SESSION_START)
		return on_start(f, frame);
	fd_close(&fd);
	if ((frame->type != SESSION_WHO && frame->type != SESSION_KICK) ||
	    !is_administrator(f) || session_whom_decode(&w, frame->body) < 0)
		return -1;
	return admin_ask(&f->question, c, frame->tag, w.whom,
	    frame->type == SESSION_KICK);
}

static void
forget_front(struct hash_entry *e, void *arg)
{
	struct conn *c = e->value;

	if (c->front == arg)
		c->front = NULL;
}

static void
on_front_end(void *arg, struct ipc_conn *c)
{
	struct front *f = arg;

	hash_each(&monitor.conns, forget_front, f);
	list_remove(&f->link);
	LIST_FOREACH(at, &f->pending)
		pending_free(LIST_ENTRY(at, struct pending, of_front));
	admin_forget(&f->question);
	ipc_conn_free(&f->ipc);
	mem_free(f);
}

static void
on_front_drain(void *arg, struct ipc_conn *c)
{
	struct front *f = arg;

	admin_go_on(f->question);
}

static const struct ipc_ops front_ops = {
	.on_frame = on_front_frame,
	.on_drain = on_front_drain,
	.on_end = on_front_end,
};

void
monitor_accept(int fd, const struct sock_addr *peer, int index)
{
	struct front *f = mem_zalloc(sizeof(*f));

	list_init(&f->pending);
	list_append(&fronts, &f->link);
	f->ipc = ipc_conn_new(monitor.loop, fd, &SESSION_PROTO, &front_ops,
	    f);
}
