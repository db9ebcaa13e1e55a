/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of keyd: frames in, frames out (msg_keyd.h).
 *
 * A client may have been taken over.  It gets certificates, which are public,
 * and signatures over handshakes, at most keyd_client_sign_limit a second;
 * one that wants more is read later, and the others do not notice.
 */
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "keyd/keyd.h"

/* How often a client that is over its limit is looked at again. */
#define REFILL_MS	50

struct session {
	struct list		 link;
	struct ipc_conn		*conn;
	struct loop_timer	*timer;
	int64_t			 tokens;	/* signatures left, in 1/1000 */
	int64_t			 filled_ms;
};

static struct list sessions = LIST_INIT(sessions);

/* --- certificates -------------------------------------------------------------------- */

static void
send_set(struct session *s, uint32_t tag, const struct tls_set *set,
    bool client, enum keyd_status status, const char *text)
{
	struct keyd_set m = {
		.status = status, .text = span_sub(span_of(text), 0, 512),
		.chains = set != NULL ? (uint32_t)tls_set_count(set) : 0,
	};

	for (size_t i = 0; set != NULL && i < tls_set_count(set); i++) {
		struct buf der = BUF_INIT(KEYD_CERTS_MAX);
		struct keyd_chain c;

		tls_set_der(set, i, &der);
		c = (struct keyd_chain){ .certs = buf_span(&der),
		    .key_id = tls_set_key_id(set, i, client) };
		keyd_chain_encode(ipc_begin(s->conn, KEYD_CHAIN, tag), &c);
		ipc_end(s->conn);
		buf_fini(&der);
	}
	keyd_set_encode(ipc_begin(s->conn, KEYD_SET, tag), &m);
	ipc_end(s->conn);
}

static int
get(struct session *s, const struct ipc_frame *f)
{
	const struct tls_set *set = NULL;
	struct why why = WHY_INIT;
	struct keyd_get m;
	enum keyd_status status = KEYD_OK;
	int rc;

	if (keyd_get_decode(&m, f->body) < 0)
		return -1;
	if (m.name.len > 0) {
		if (!allowed_table(m.sni_maps)) {
			status = KEYD_REFUSED;
		} else {
			rc = names_find(m.sni_maps, m.name, &set, &why);
			status = rc == 1 ? KEYD_OK :
			    rc == 0 ? KEYD_NONE : KEYD_FAILED;
		}
	} else if (!allowed_files(m.files)) {
		status = KEYD_REFUSED;
	} else {
		set = sets_get(m.files, false, &why);
		if (set == NULL)
			status = KEYD_FAILED;
	}
	if (status == KEYD_REFUSED) {
		log_warning("a client asks for certificates that the "
		    "configuration does not name: %.*s",
		    SPAN_ARG(m.name.len > 0 ? m.sni_maps : m.files));
		why_set(&why, "", "not named by the configuration");
	}
	send_set(s, f->tag, status == KEYD_OK ? set : NULL, m.client, status,
	    why.text);
	return 0;
}

/* --- signatures -------------------------------------------------------------------------- */

static void
refill(struct session *s)
{
	int64_t now = loop_now_ms(daemon_loop());
	int64_t most = conf.keyd_client_sign_limit * 1000;

	s->tokens = MIN(most, s->tokens +
	    (now - s->filled_ms) * conf.keyd_client_sign_limit);
	s->filled_ms = now;
}

static void
timer_fired(void *arg)
{
	struct session *s = arg;

	refill(s);
	if (s->tokens >= 1000)
		ipc_resume(s->conn);
	else
		loop_timer_set(s->timer, REFILL_MS);
}

/* Take one signature off the client's account. */
static void
charge(struct session *s)
{
	s->tokens -= 1000;
	if (s->tokens >= 1000)
		return;
	refill(s);
	if (s->tokens >= 1000)
		return;
	ipc_pause(s->conn);
	loop_timer_set(s->timer, REFILL_MS);
}

static int
sign(struct session *s, const struct ipc_frame *f)
{
	struct buf sig = BUF_INIT(KEYD_SIG_MAX);
	struct keyd_signature out = { .status = KEYD_REFUSED };
	const struct tls_set *set;
	struct keyd_sign m;
	bool client;
	size_t i;

	if (keyd_sign_decode(&m, f->body) < 0)
		return -1;
	if (sets_find_key(m.key_id, &client, &set, &i) < 0) {
		log_warning("a client asks for a key that is not there");
	} else if (!tls_is_handshake(m.tbs, client, m.scheme)) {
		log_warning("a client asks to sign what is no TLS handshake: "
		    "refused");
	} else if (tls_set_sign(set, i, m.scheme, m.tbs, &sig) < 0) {
		log_warning("%s: cannot sign with scheme %04x",
		    tls_set_origin(set, i), m.scheme);
		out.status = KEYD_FAILED;
	} else {
		out.status = KEYD_OK;
		out.signature = buf_span(&sig);
	}
	keyd_signature_encode(ipc_begin(s->conn, KEYD_SIGNATURE, f->tag),
	    &out);
	ipc_end(s->conn);
	buf_fini(&sig);
	charge(s);
	return 0;
}

/* --- the connection ------------------------------------------------------------------------ */

static void
send_tickets(struct session *s)
{
	struct keyd_tickets m = { .keys = tickets_keys() };

	keyd_tickets_encode(ipc_begin(s->conn, KEYD_TICKETS, 0), &m);
	ipc_end(s->conn);
}

static void
session_end(struct session *s)
{
	list_remove(&s->link);
	ipc_conn_free(&s->conn);
	loop_timer_free(&s->timer);
	mem_free(s);
	daemon_busy(-1);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct session *s = arg;

	switch (f->type) {
	case KEYD_GET:
		return get(s, f);
	case KEYD_SIGN:
		return sign(s, f);
	default:
		return -1;
	}
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	if (daemon_draining())
		session_end(arg);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	session_end(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	struct session *s = mem_zalloc(sizeof(*s));

	daemon_busy(1);
	list_append(&sessions, &s->link);
	s->timer = loop_timer_new(daemon_loop(), timer_fired, s);
	s->tokens = conf.keyd_client_sign_limit * 1000;
	s->filled_ms = loop_now_ms(daemon_loop());
	s->conn = ipc_conn_new(daemon_loop(), fd, &KEYD_PROTO, &ops, s);
	send_tickets(s);
}

void
session_tell_changed(void)
{
	LIST_FOREACH(l, &sessions)
		ipc_send(LIST_ENTRY(l, struct session, link)->conn,
		    KEYD_CHANGED, 0, SPAN_EMPTY);
}

void
session_tell_tickets(void)
{
	LIST_FOREACH(l, &sessions)
		send_tickets(LIST_ENTRY(l, struct session, link));
}

/* Clients connect again, to the next process, when they have to ask. */
void
session_drain_all(void)
{
	LIST_FOREACH(l, &sessions) {
		struct session *s = LIST_ENTRY(l, struct session, link);

		if (ipc_out_len(s->conn) == 0)
			session_end(s);
	}
}
