/* SPDX-License-Identifier: ISC */
/*
 * conn - a connection in a session process: its start, its log lines, its
 * hibernation, its end.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "session/private.h"

/* For a client to take our last words; one that has not taken all of a long
 * answer is slow, or far away. */
#define FINISH_MS	2000
#define SLOW_MS		60000
/* Idle for so long is idle when others need the room. */
#define HURRY_MS	100

/* What we put in front of an engine's state. */
#define STATE_ROWS(ROW)							\
	ROW(U64, in, UINT64_MAX)					\
	ROW(U64, out, UINT64_MAX)					\
	ROW(U64, since, UINT64_MAX)					\
	ROW(BLOB, engine, SESSION_STATE_MAX)
IPC_MESSAGE(state, STATE_ROWS)

static struct session_private *
private_of(struct session_conn *c)
{
	return c->priv;
}

/* --- facts ---------------------------------------------------------------------------- */

/* The next string of a text that holds all of them. */
static const char *
keep(char **at, struct span s)
{
	char *p = *at;

	memcpy(p, s.p != NULL ? s.p : "", s.len);
	p[s.len] = '\0';
	*at = p + s.len + 1;
	return p;
}

static int
take_facts(struct session_private *c, struct span in)
{
	struct session_facts *f = &c->conn.facts;
	struct control_facts m;
	char *at;

	if (control_facts_decode(&m, in) < 0)
		return -1;
	at = c->facts = mem_alloc(m.id.len + m.tag.len + m.client_ip.len +
	    m.server_ip.len + m.method.len + m.tls.len + m.notes.len + 7);
	f->id = keep(&at, m.id);
	f->tag = keep(&at, m.tag);
	f->client_ip = keep(&at, m.client_ip);
	f->server_ip = keep(&at, m.server_ip);
	f->method = keep(&at, m.method);
	f->tls = keep(&at, m.tls);
	f->notes = keep(&at, m.notes);
	f->client_port = (uint16_t)m.client_port;
	f->server_port = (uint16_t)m.server_port;
	return 0;
}

/* --- beginning and end ------------------------------------------------------------------ */

static void
log_login(const struct session_private *c)
{
	const struct session_facts *f = &c->conn.facts;
	const struct session_user *u = c->conn.user;
	bool master = strcmp(u->login, u->name) != 0;

	log_info("%s: login: user=<%s>, %s%s%smethod=%s, rip=%s, rport=%u, "
	    "lip=%s, lport=%u%s%s, session=<%s>", c->engine->service, u->name,
	    master ? "master=<" : "", master ? u->login : "",
	    master ? ">, " : "", f->method, f->client_ip, f->client_port,
	    f->server_ip, f->server_port, f->tls[0] != '\0' ? ", " : "",
	    f->tls, f->id);
}

int
session_conn_new(const struct engine *e, const struct control_conn *m, int fd)
{
	struct session_process *p = &session_process;
	struct session_private *c = mem_zalloc(sizeof(*c));
	struct state st = { .since = (uint64_t)clock_wall_s() };

	if (take_facts(c, m->facts) < 0 ||
	    (m->frozen && state_decode(&st, m->state) < 0)) {
		fd_close(&fd);
		mem_free(c->facts);
		mem_free(c);
		return -1;
	}
	c->serial = m->serial;
	c->engine = e;
	c->in = st.in;
	c->out = st.out;
	c->since = st.since;
	c->conn.loop = p->loop;
	c->conn.user = p->user;
	c->conn.priv = c;
	list_append(&p->conns, &c->link);
	c->conn.stream = stream_new(p->loop, fd, e->in_max, e->out_max, e->ops,
	    &c->conn);
	if (m->frozen) {
		log_debug("%s: woken: user=<%s>, %s, session=<%s>", e->service,
		    p->user->name, m->changed ? "change" : "input",
		    c->conn.facts.id);
		e->thaw(&c->conn, st.engine, m->changed);
	} else {
		log_login(c);
		stream_put_back(c->conn.stream, m->input);
		e->start(&c->conn);
	}
	if (p->draining && !list_empty(&p->conns) &&
	    list_linked(&c->link))
		e->drain(&c->conn, SESSION_STOP_SHUTDOWN);
	return 0;
}

static void
conn_free(struct session_private *c)
{
	list_remove(&c->link);
	mem_free(c->facts);
	mem_free(c);
}

static void
count(struct session_private *c)
{
	if (c->conn.stream == NULL)
		return;
	c->in += stream_bytes_in(c->conn.stream);
	c->out += stream_bytes_out(c->conn.stream);
}

static void
log_logout(const struct session_private *c, const char *how,
    const char *counts)
{
	int64_t now = clock_wall_s();

	log_info("%s: logout: user=<%s>, %s, in=%llu, out=%llu%s%s, "
	    "time=%llds, session=<%s>", c->engine->service,
	    c->conn.user->name, how, (unsigned long long)c->in, (unsigned long long)c->out,
	    counts[0] != '\0' ? ", " : "", counts,
	    (long long)MAX(now - (int64_t)c->since, 0), c->conn.facts.id);
}

void
session_done(struct session_conn *conn, const char *how, const char *counts)
{
	struct session_private *c = private_of(conn);
	struct session_process *p = &session_process;
	struct control_done m = { .serial = c->serial };
	int64_t grace = FINISH_MS;

	count(c);
	if (conn->stream != NULL && !p->draining) {
		stream_flush(conn->stream);
		if (stream_out_len(conn->stream) > 0)
			grace = SLOW_MS;
	}
	stream_finish(&conn->stream, grace);
	log_logout(c, how, counts);
	if (p->control != NULL) {
		control_done_encode(ipc_begin(p->control, CONTROL_DONE, 0),
		    &m);
		ipc_end(p->control);
	}
	conn_free(c);
	session_process_empty();
}

void
session_return(struct session_conn *conn, struct span rest, const char *how,
    const char *counts)
{
	struct session_private *c = private_of(conn);
	struct session_process *p = &session_process;
	struct control_return m = { .serial = c->serial, .input = rest };
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (p->control == NULL || rest.len > SESSION_INPUT_MAX) {
		session_done(conn, "Cannot go back to the front", counts);
		return;
	}
	count(c);
	control_return_encode(&b, &m);
	ipc_send_fd(p->control, CONTROL_RETURN, 0, buf_span(&b),
	    stream_fd(conn->stream));
	buf_wipe(&b);
	stream_free(&conn->stream);
	log_logout(c, how, counts);
	conn_free(c);
	session_process_empty();
}

void
session_others(struct session_conn *conn,
    void (*fn)(struct session_conn *other, void *arg), void *arg)
{
	struct session_private *c = private_of(conn);

	LIST_FOREACH(at, &session_process.conns) {
		struct session_private *o = LIST_ENTRY(at,
		    struct session_private, link);

		if (o != c && o->engine == c->engine)
			fn(&o->conn, arg);
	}
}

/* --- hibernation --------------------------------------------------------------------------- */

int
session_watch(struct session_conn *conn, int fd)
{
	struct session_private *c = private_of(conn);
	struct session_process *p = &session_process;
	struct control_watch m = { .serial = c->serial };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct stat st;

	if (c->watches >= SESSION_WATCH_MAX || fstat(fd, &st) < 0 ||
	    p->control == NULL)
		return -1;
	c->watches++;
	m.size = (uint64_t)st.st_size;
	m.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
	    (uint64_t)st.st_mtim.tv_nsec;
	control_watch_encode(&b, &m);
	ipc_send_fd(p->control, CONTROL_WATCH, 0, buf_span(&b), fd);
	buf_fini(&b);
	return 0;
}

void
session_while_frozen(struct session_conn *conn, struct span text,
    uint32_t every_s, uint32_t expire_s)
{
	struct session_private *c = private_of(conn);

	c->keepalive = span_sub(text, 0, CONTROL_KEEPALIVE_MAX);
	c->keepalive_s = MIN(every_s, 86400u);
	c->expire_s = MIN(expire_s, 7 * 86400u);
}

static int64_t
hibernate_ms(const struct session_private *c)
{
	int64_t ms;

	if (c->engine->freeze == NULL || c->engine->hibernate_ms == NULL)
		return -1;
	ms = c->engine->hibernate_ms();
	return session_process.hurry ? MIN(ms, HURRY_MS) : ms;
}

/* Give a connection back to the monitor; false: it stays. */
static bool
freeze(struct session_private *c)
{
	struct session_process *p = &session_process;
	struct buf engine = BUF_INIT(SESSION_STATE_MAX);
	struct buf whole = BUF_INIT(BUF_UNLIMITED), body;
	struct control_frozen m = { .serial = c->serial };
	struct state st;

	if (stream_out_len(c->conn.stream) > 0 ||
	    stream_in_len(c->conn.stream) > 0)
		return false;
	c->watches = 0;
	c->keepalive = SPAN_EMPTY;
	c->keepalive_s = c->expire_s = 0;
	if (c->engine->freeze(&c->conn, &engine) < 0) {
		buf_fini(&engine);
		return false;
	}
	count(c);
	st = (struct state){ .in = c->in, .out = c->out, .since = c->since,
		.engine = buf_span(&engine) };
	state_encode(&whole, &st);
	m.state = buf_span(&whole);
	m.keepalive = c->keepalive;
	m.keepalive_s = c->keepalive_s;
	m.expire_s = c->expire_s;
	body = BUF_INIT(BUF_UNLIMITED);
	control_frozen_encode(&body, &m);
	ipc_send_fd(p->control, CONTROL_FROZEN, 0, buf_span(&body),
	    stream_fd(c->conn.stream));
	buf_fini(&body);
	buf_fini(&whole);
	buf_fini(&engine);
	stream_free(&c->conn.stream);
	conn_free(c);
	return true;
}

/* All have been idle for long enough: give them back, and leave. */
static void
on_hibernate(void *arg)
{
	struct session_process *p = &session_process;
	int64_t now = loop_now_ms(p->loop);

	LIST_FOREACH(at, &p->conns) {
		struct session_private *c = LIST_ENTRY(at,
		    struct session_private, link);

		if (!c->idle || now - c->idle_ms < hibernate_ms(c))
			goto later;
	}
	LIST_FOREACH(at, &p->conns) {
		struct session_private *c = LIST_ENTRY(at,
		    struct session_private, link);

		if (!freeze(c))
			c->idle_ms = now;	/* once more, later */
	}
later:
	session_conn_consider();
}

/* Set the timer for when all of them will have been idle long enough. */
void
session_conn_consider(void)
{
	struct session_process *p = &session_process;
	int64_t due = 0;

	if (p->control == NULL || p->draining)
		return;
	LIST_FOREACH(at, &p->conns) {
		struct session_private *c = LIST_ENTRY(at,
		    struct session_private, link);
		int64_t after = hibernate_ms(c);

		if (!c->idle || after < 0)
			return;
		due = MAX(due, c->idle_ms + after);
	}
	if (list_empty(&p->conns))
		return;
	if (p->hibernate == NULL)
		p->hibernate = loop_timer_new(p->loop, on_hibernate, NULL);
	loop_timer_set(p->hibernate, MAX(due - loop_now_ms(p->loop), 1));
}

void
session_idle(struct session_conn *conn, bool idle)
{
	struct session_private *c = private_of(conn);

	if (c->idle == idle)
		return;
	c->idle = idle;
	if (!idle)
		return;
	c->idle_ms = loop_now_ms(conn->loop);
	session_conn_consider();
}
