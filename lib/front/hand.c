/* SPDX-License-Identifier: ISC */
/*
 * hand - giving a client that has logged in to the session monitor.
 *
 * In the clear the session gets the client's own socket, and we forget the
 * client.  Under TLS it gets one end of a socket pair and we pump (pump.c).
 * Input that came behind the login command goes along; until the answer is
 * there nothing more is read, so that a refusal finds us where we were.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "front/front_priv.h"
#include "io/fd.h"

/* What a session that is over had not read: SESSION_INPUT_MAX from it, a socket's
 * buffer and what we had not written to it. */
#define RETURNED_MAX	(1024 * 1024)

static struct hash	requests;	/* by number: struct front */
static uint32_t		last_request;

static struct span
key(const uint32_t *n)
{
	return span_make(n, sizeof(*n));
}

void
front_hand_forget(struct front *f)
{
	if (f->request != 0)
		hash_del(&requests, key(&f->request));
	f->request = 0;
}

/* The client is ours again, and has been told. */
static void
give_up(struct front *f, int reason, const char *text)
{
	struct buf again = f->pre->taken;

	f->pre->taken = BUF_INIT(SESSION_INPUT_MAX);
	front_hand_forget(f);
	fd_close(&f->pre->pair);
	front_sasl_forget(f->pre);
	stream_put_back(f->client, buf_span(&again));
	buf_fini(&again);
	front_process.ops->failed(f, span_of(f->pre->tag), reason, text);
}

static void
refused(struct front *f, int reason, const char *text)
{
	give_up(f, reason, text);
	if (front_process.draining)
		front_goodbye(f, FRONT_BYE_SHUTDOWN);
	else
		front_talk(f);
}

/* --- the monitor's answers ------------------------------------------------------------- */

static int
reason_of(uint32_t reason)
{
	switch (reason) {
	case SESSION_TOO_MANY:
		return FRONT_LIMIT;
	case SESSION_TOO_SOON:
		return FRONT_TOO_SOON;
	case SESSION_FORGED:
		/* The client has proven who it is, and authd has forgotten:
		 * it was started again, or we were slow. */
	default:
		return AUTH_UNAVAILABLE;
	}
}

static void
started(struct front *f)
{
	int pair = f->pre->pair;

	f->pre->pair = -1;
	if (pair < 0) {
		front_free(f);	/* our copy of the socket */
		return;
	}
	front_pump(f, pair);
}

/* The monitor says whose connection it was; the rest is the kernel's word. */
static int
returned(struct front *f, const struct ipc_frame *frame)
{
	struct session_returned r;
	struct buf rest = BUF_SECRET(RETURNED_MAX);
	int rc = -1, fd = frame->fd;

	if (fd >= 0 && front_process.ops->again != NULL &&
	    session_returned_decode(&r, frame->body) == 0 &&
	    (f == NULL || f->state == FRONT_PUMP)) {
		rc = 0;
		buf_add_span(&rest, r.input);
		if (f == NULL) {
			front_readmit(fd, r.id, r.input);
			return 0;
		}
		if (front_pump_end(f, fd, &rest) < 0) {
			log_warning("session=<%.*s> gave back more than its "
			    "client", SPAN_ARG(r.id));
			front_free(f);
		} else
			front_readmit_tls(f, r.id, buf_span(&rest));
	}
	buf_wipe(&rest);
	fd_close(&fd);
	return rc;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *frame)
{
	char text[SESSION_TEXT_MAX + 1];
	struct session_refused r;
	struct front *f;
	int fd = frame->fd;

	f = hash_get(&requests, key(&frame->tag));
	if (frame->type == SESSION_RETURNED)
		return returned(f, frame);
	fd_close(&fd);
	if (f != NULL && f->state != FRONT_HAND_WAIT)
		return -1;
	if (frame->type == SESSION_REFUSED) {
		if (session_refused_decode(&r, frame->body) < 0 ||
		    span_copy(r.text, text, sizeof(text)) < 0)
			return -1;
		if (f != NULL)
			refused(f, reason_of(r.reason), text);
		return 0;
	}
	if (frame->type != SESSION_STARTED)
		return -1;
	if (f != NULL)
		started(f);
	return 0;
}

static void
collect(struct hash_entry *e, void *arg)
{
	ARRAY(struct front *) *all = arg;
	struct front *f = e->value;

	if (f->state == FRONT_HAND_WAIT)
		*ARRAY_PUSH(all) = f;
}

/*
 * Nobody knows whether these were given to a process before the monitor went;
 * a client must not have two at the other end.
 */
static void
on_down(void *arg)
{
	ARRAY(struct front *) all = ARRAY_EMPTY;

	hash_each(&requests, collect, &all);
	for (size_t i = 0; i < all.len; i++) {
		give_up(all.v[i], AUTH_UNAVAILABLE, "try again later");
		front_goodbye(all.v[i], FRONT_BYE_SHUTDOWN);
	}
	ARRAY_FINI(&all);
}

static const struct ipc_client_ops monitor_ops = {
	.on_frame = on_frame,
	.on_down = on_down,
};

void
front_hand_init(void)
{
	front_process.monitor = ipc_client_new(daemon_loop(),
	    daemon_socket_path("private/session"), &SESSION_PROTO,
	    &monitor_ops, NULL);
}

/* --- the hand-over ----------------------------------------------------------------------- */

static void
describe_tls(const struct front *f, struct buf *out)
{
	struct tls *t = tls_of(f->client);

	if (t == NULL)
		return;
	buf_addf(out, "%s with cipher %s", tls_facts(t)->protocol,
	    tls_facts(t)->cipher);
	if (out->len > SESSION_TLS_MAX)
		buf_trunc(out, SESSION_TLS_MAX);
}

static void
send_start(struct front *f, struct ipc_conn *c, int fd)
{
	struct prelogin *p = f->pre;
	char rip[SOCK_ADDR_TEXT_MAX], lip[SOCK_ADDR_TEXT_MAX];
	struct buf tls = BUF_INIT(BUF_UNLIMITED);
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct session_start m;

	sock_addr_text(&p->peer, rip);
	sock_addr_text(&p->local, lip);
	describe_tls(f, &tls);
	m = (struct session_start){
		.ticket = span_make(p->ticket, p->ticket_len),
		.service = span_of(front_process.ops->service),
		.id = span_of(p->id), .tag = span_of(p->tag),
		.client_ip = span_of(rip),
		.client_port = sock_addr_port(&p->peer),
		.server_ip = span_of(lip),
		.server_port = sock_addr_port(&p->local),
		.method = span_of(p->method), .tls = buf_span(&tls),
		.notes = buf_span(&p->notes), .input = buf_span(&p->taken),
	};
	do {
		f->request = ++last_request;
	} while (f->request == 0 || hash_get(&requests, key(&f->request)));
	hash_put(&requests, key(&f->request), f);
	f->state = FRONT_HAND_WAIT;
	session_start_encode(&body, &m);
	ipc_send_fd(c, SESSION_START, f->request, buf_span(&body), fd);
	buf_wipe(&body);
	buf_fini(&tls);
}

static void
hand(struct front *f)
{
	struct ipc_conn *c = ipc_client_conn(front_process.monitor);
	int pair[2];

	if (c == NULL) {
		refused(f, AUTH_UNAVAILABLE, "try again later");
		return;
	}
	if (!front_tls_active(f)) {
		send_start(f, c, stream_fd(f->client));
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair) < 0) {
		log_warning("socket pair: %m");
		refused(f, AUTH_UNAVAILABLE, "try again later");
		return;
	}
	f->pre->pair = pair[0];
	send_start(f, c, pair[1]);
	close(pair[1]);		/* the frame has its own */
}

static void
hand_later(void *arg)
{
	hand(arg);
}

/* The rest of the input is shown to on_read only. */
void
front_hand(struct front *f)
{
	if (stream_in_len(f->client) == 0) {
		hand(f);
		return;
	}
	f->state = FRONT_HAND_INPUT;
	stream_resume(f->client);
	stream_kick(f->client);
}

void
front_hand_input(struct front *f)
{
	struct span in = span_sub(stream_input(f->client), 0,
	    SESSION_INPUT_MAX);

	/* Where there is more (readmitted) it is pumped afterwards. */
	buf_add_span(&f->pre->taken, in);
	stream_consume(f->client, in.len);
	stream_pause(f->client);
	/* Not from within on_read, which could not take it back. */
	f->state = FRONT_HAND_WAIT;
	f->later.fn = hand_later;
	f->later.arg = f;
	loop_defer(daemon_loop(), &f->later);
}
