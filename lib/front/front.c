/* SPDX-License-Identifier: ISC */
/*
 * front - see front.h: a client's life until its session begins.
 *
 * What a stranger can make us keep: front_settings.input_max bytes of input,
 * a struct prelogin, and a place among the clients of its address, for
 * login_timeout at most.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "front/front_priv.h"
#include "io/fd.h"

#define OUT_MAX		(256 * 1024)	/* before the login: ours to bound */
#define GRACE_MS	3000		/* for a client to take last words */
#define KEEPALIVE_S	300		/* a dead client is found after a few */

struct front_counter {		/* clients of one address */
	uint32_t	n;
	char		ip[SOCK_ADDR_TEXT_MAX];
};

struct front_process front_process;
static struct hash counters;

/* --- counting addresses ------------------------------------------------------------------- */

static struct front_counter *
counter_enter(const struct sock_addr *peer)
{
	char ip[SOCK_ADDR_TEXT_MAX];
	struct hash_entry *e;
	bool made;

	sock_addr_text(peer, ip);
	e = hash_enter(&counters, span_of(ip), &made);
	if (made) {
		struct front_counter *c = mem_zalloc(sizeof(*c));

		memcpy(c->ip, ip, sizeof(ip));
		e->value = c;
	}
	((struct front_counter *)e->value)->n++;
	return e->value;
}

static void
counter_leave(struct front_counter *c)
{
	if (--c->n > 0)
		return;
	hash_del(&counters, span_of(c->ip));
	mem_free(c);
}

static bool
in_networks(struct match_list *m, const struct sock_addr *a)
{
	struct why why = WHY_INIT;
	int rc = match_list_addr(m, a, &why);

	if (rc < 0)
		log_warning("%s", why.text);
	return rc == 1;
}

/* --- the end ---------------------------------------------------------------------------------- */

void
front_describe(const struct front *f, struct buf *out)
{
	char rip[SOCK_ADDR_TEXT_MAX], lip[SOCK_ADDR_TEXT_MAX];

	sock_addr_text(&f->pre->peer, rip);
	sock_addr_text(&f->pre->local, lip);
	buf_addf(out, "rip=%s, rport=%u, lip=%s, lport=%u%s, session=<%s>",
	    rip, sock_addr_port(&f->pre->peer), lip,
	    sock_addr_port(&f->pre->local),
	    front_tls_active(f) ? ", TLS" : "", f->pre->id);
}

static void
log_end(const struct front *f, const char *how)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int64_t s = (loop_now_ms(daemon_loop()) - f->pre->since_ms) / 1000;

	front_describe(f, &b);
	if (f->pre->attempts == 0)
		log_info("disconnect: %s (no login attempts in %lld s): %s",
		    how, (long long)s, b.data);
	else
		log_info("disconnect: %s (login failed, %lld attempt%s in "
		    "%lld s): %s", how, (long long)f->pre->attempts,
		    f->pre->attempts == 1 ? "" : "s", (long long)s, b.data);
	buf_fini(&b);
}

static void
prelogin_free(struct prelogin **pp)
{
	struct prelogin *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	if (front_process.ops->free != NULL && p->data != NULL)
		front_process.ops->free(p->data);
	front_sasl_forget(p);
	fd_close(&p->pair);
	buf_fini(&p->taken);
	buf_fini(&p->notes);
	mem_free(p);
}

void
front_prelogin_done(struct front *f)
{
	stream_set_secret(f->client, false);
	prelogin_free(&f->pre);
}

void
front_free(struct front *f)
{
	stream_free(&f->client);
	stream_free(&f->inner);
	front_hand_forget(f);
	prelogin_free(&f->pre);
	loop_defer_cancel(&f->later);
	counter_leave(f->counter);
	list_remove(&f->link);
	mem_free(f);
	daemon_busy(-1);
}

/* What was written goes out, and then the client is gone. */
static void
front_end(struct front *f, const char *how)
{
	log_end(f, how);
	stream_finish(&f->client, GRACE_MS);
	front_free(f);
}

static void
end_later(void *arg)
{
	struct front *f = arg;

	front_end(f, f->pre->quit ? "quit" : "sent away");
}

void
front_goodbye(struct front *f, enum front_bye why)
{
	if (f->state == FRONT_ENDING)
		return;
	if (f->state != FRONT_HANDSHAKE)
		front_process.ops->goodbye(f, why);
	f->state = FRONT_ENDING;
	stream_pause(f->client);
	/* Not at once: the protocol's functions are on the way out. */
	f->later.fn = end_later;
	f->later.arg = f;
	loop_defer(daemon_loop(), &f->later);
}

void
front_quit(struct front *f)
{
	if (f->state == FRONT_ENDING)
		return;
	f->pre->quit = true;
	f->state = FRONT_ENDING;
	f->later.fn = end_later;
	f->later.arg = f;
	loop_defer(daemon_loop(), &f->later);
}

void
front_error(struct front *f)
{
	if (++f->pre->errors >= front_process.set->error_limit)
		front_goodbye(f, FRONT_BYE_ERRORS);
}

bool
front_http(struct front *f, struct span line)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT",
	    "DELETE", "OPTIONS", "TRACE", "PATCH" };
	struct span method, target;
	bool found = false;

	/* Neither protocol has a command that begins with a slash.  The
	 * rest of the line may be too long to be seen. */
	if (!span_token(&line, " ", &method) ||
	    !span_token(&line, " ", &target) || target.p[0] != '/')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		found = found || span_is(method, methods[i]);
	if (found) {
		log_info("a browser's request: %.*s", SPAN_ARG(method));
		front_quit(f);
	}
	return found;
}

/* --- the client's stream before the login -------------------------------------------------------- */

static void
on_read(void *arg, struct stream *s)
{
	struct front *f = arg;

	switch (f->state) {
	case FRONT_TALK:
		front_process.ops->input(f);
		break;
	case FRONT_SASL_LINE:
		front_sasl_line(f);
		break;
	case FRONT_HAND_INPUT:
		front_hand_input(f);
		break;
	default:
		stream_pause(s);
		break;
	}
}

static void
on_end(void *arg, struct stream *s, enum stream_end why)
{
	struct front *f = arg;
	static const char *const how[] = {
		[STREAM_EOF] = "connection closed",
		[STREAM_ERROR] = "connection lost",
		[STREAM_TIMEOUT] = "timeout",
		[STREAM_OVERFLOW] = "too much input",
	};

	if (f->state == FRONT_ENDING)
		return;		/* the deferred end is on its way */
	if (why == STREAM_TIMEOUT || why == STREAM_OVERFLOW) {
		front_process.ops->goodbye(f, why == STREAM_TIMEOUT
		    ? FRONT_BYE_TIMEOUT : FRONT_BYE_TOO_LONG);
	}
	front_end(f, how[why]);
}

static const struct stream_ops prelogin_ops = {
	.on_read = on_read,
	.on_end = on_end,
};

void
front_talk(struct front *f)
{
	if (f->state == FRONT_ENDING)
		return;
	f->state = FRONT_TALK;
	stream_resume(f->client);
	stream_kick(f->client);
}

/* --- TLS ------------------------------------------------------------------------------------------- */

/* What the line of the login does not have: of a client that never gets so
 * far, too, and what a certificate of its own says. */
static void
log_tls(struct front *f, const struct tls *t)
{
	const struct tls_facts *facts = tls_facts(t);
	struct buf who = BUF_INIT(BUF_UNLIMITED), how = BUF_INIT(BUF_UNLIMITED);

	front_describe(f, &who);
	tls_describe(t, &how);
	log_info("%s TLS connection %s: %s%s%s: %s",
	    tls_trust_name(facts->trust),
	    facts->resumed ? "reused" : "established", how.data,
	    facts->sni[0] != '\0' ? ", to " : "", facts->sni, who.data);
	if (facts->trust != TLS_ANONYMOUS)
		log_info("certificate: subject_CN=%s, issuer_CN=%s, "
		    "fingerprint=%s: %s", facts->peer_cn, facts->issuer_cn,
		    facts->cert_fingerprint, who.data);
	buf_fini(&how);
	buf_fini(&who);
}

static void
on_tls(void *arg, struct stream *s, struct tls *t, const struct why *fail)
{
	static const char said[] = "handshake failed: ";
	struct front *f = arg;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (fail != NULL) {
		const char *text = fail->text;

		if (strncmp(text, said, sizeof(said) - 1) == 0)
			text += sizeof(said) - 1;
		front_describe(f, &b);
		log_info("TLS handshake failed: %s: %s", text, b.data);
		buf_fini(&b);
		front_end(f, "no TLS");
		return;
	}
	if (front_process.set->tls_loglevel >= 2)
		log_tls(f, t);
	if (front_process.set->tls_wrappermode && f->pre->data == NULL)
		front_process.ops->greet(f);
	front_talk(f);
}

static size_t
begin_tls(struct front *f)
{
	f->state = FRONT_HANDSHAKE;
	return tls_start(f->client, front_process.tls, 0,
	    front_process.ops->alpn, front_process.set->login_timeout_ms,
	    on_tls, f);
}

static void
starttls_later(void *arg)
{
	struct front *f = arg;
	size_t dropped;

	/* RFC 3207 6: commands before the handshake are an attack. */
	dropped = stream_in_len(f->client);
	if (dropped == 0)
		dropped = begin_tls(f);
	if (dropped > 0) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);

		front_describe(f, &b);
		log_warning("%zu bytes of plain text after the command that "
		    "begins TLS: %s", dropped, b.data);
		buf_fini(&b);
		front_end(f, "command injection");
	}
}

void
front_starttls(struct front *f)
{
	f->state = FRONT_HANDSHAKE;
	stream_pause(f->client);
	f->later.fn = starttls_later;
	f->later.arg = f;
	loop_defer(daemon_loop(), &f->later);
}

bool
front_tls_active(const struct front *f)
{
	return f->client != NULL && tls_of(f->client) != NULL;
}

bool
front_tls_possible(const struct front *f)
{
	return !front_tls_active(f) && tls_server_ready(front_process.tls);
}

bool
front_login_possible(const struct front *f)
{
	return front_tls_active(f) ||
	    in_networks(front_process.cleartext, &f->pre->peer);
}

/* --- the beginning ----------------------------------------------------------------------------------- */

static void
make_id(char out[FRONT_ID_LEN + 1])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz-_";

	unsigned char any[FRONT_ID_LEN];

	rnd_bytes(any, sizeof(any));
	for (int i = 0; i < FRONT_ID_LEN; i++)
		out[i] = digits[any[i] & 63];
	out[FRONT_ID_LEN] = '\0';
}

static void
set_socket(int fd)
{
	int on = 1, idle = KEEPALIVE_S;

	/* We gather what we write ourselves. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

static bool
too_many(const struct front *f)
{
	int64_t limit = conf.mua_client_connection_count_limit;

	if (limit == 0 || f->counter->n <= limit ||
	    in_networks(front_process.exceptions, &f->pre->peer))
		return false;
	log_warning("Connection concurrency limit exceeded: %u from %s for "
	    "service %s", f->counter->n, f->counter->ip,
	    front_process.ops->daemon);
	return true;
}

static struct prelogin *
prelogin_new(int fd, const struct sock_addr *peer)
{
	struct prelogin *p = mem_zalloc(sizeof(*p));

	p->peer = *peer;
	p->local.len = sizeof(p->local.ss);
	if (getsockname(fd, &p->local.sa, &p->local.len) < 0)
		p->local.len = 0;
	p->since_ms = loop_now_ms(daemon_loop());
	p->pair = -1;
	p->notes = BUF_INIT(SESSION_NOTES_MAX);
	p->taken = BUF_INIT(SESSION_INPUT_MAX);
	return p;
}

static size_t
input_max(void)
{
	return MIN(front_process.set->input_max, (size_t)SESSION_INPUT_MAX);
}

static struct front *
front_new(int fd, const struct sock_addr *peer)
{
	struct front *f = mem_zalloc(sizeof(*f));

	f->pre = prelogin_new(fd, peer);
	f->counter = counter_enter(peer);
	f->client = stream_new(daemon_loop(), fd, input_max(), OUT_MAX,
	    &prelogin_ops, f);
	stream_set_secret(f->client, true);
	stream_set_deadline(f->client, front_process.set->login_timeout_ms);
	list_append(&front_process.all, &f->link);
	daemon_busy(1);
	f->state = FRONT_TALK;
	return f;
}

void
front_accept(int fd, const struct sock_addr *peer, int index)
{
	const struct front_settings *set = front_process.set;
	struct front *f;

	set_socket(fd);
	f = front_new(fd, peer);
	make_id(f->pre->id);
	if (too_many(f)) {
		if (set->tls_wrappermode)
			f->state = FRONT_HANDSHAKE;	/* no plain words */
		front_goodbye(f, FRONT_BYE_TOO_MANY);
	} else if (!set->tls_wrappermode) {
		front_process.ops->greet(f);
	} else if (tls_server_ready(front_process.tls)) {
		(void)begin_tls(f);
	} else {
		log_warning("no certificate, so no TLS for %s",
		    f->counter->ip);
		f->state = FRONT_HANDSHAKE;
		front_goodbye(f, FRONT_BYE_SHUTDOWN);
	}
}

/* --- clients that come back from their sessions ---------------------------------------------------------- */

/*
 * Whose word is it that this is a client?  The session's, which may have been
 * taken over: it must be a connected socket of the network, and who is at the
 * other end the kernel knows.
 */
static int
peer_of(int fd, struct sock_addr *peer)
{
	int type;
	socklen_t len = sizeof(type);

	peer->len = sizeof(peer->ss);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_STREAM ||
	    getpeername(fd, &peer->sa, &peer->len) < 0 ||
	    (peer->sa.sa_family != AF_INET && peer->sa.sa_family != AF_INET6))
		return -1;
	return 0;
}

static void
readmit(struct front *f, struct span id, struct span rest)
{
	if (span_copy(id, f->pre->id, sizeof(f->pre->id)) < 0)
		make_id(f->pre->id);
	front_process.ops->again(f);
	if (front_process.draining) {
		front_goodbye(f, FRONT_BYE_SHUTDOWN);
	} else if (too_many(f)) {
		front_goodbye(f, FRONT_BYE_TOO_MANY);
	} else {
		stream_put_back(f->client, rest);
		front_talk(f);
	}
}

void
front_readmit(int fd, struct span id, struct span rest)
{
	struct sock_addr peer;

	if (peer_of(fd, &peer) < 0) {
		log_info("session=<%.*s> gave back a client that has gone",
		    SPAN_ARG(id));
		fd_close(&fd);
		return;
	}
	readmit(front_new(fd, &peer), id, rest);
}

void
front_readmit_tls(struct front *f, struct span id, struct span rest)
{
	struct sock_addr peer;

	front_hand_forget(f);
	if (f->half_closed || peer_of(stream_fd(f->client), &peer) < 0) {
		stream_finish(&f->client, GRACE_MS);
		front_free(f);
		return;
	}
	f->pre = prelogin_new(stream_fd(f->client), &peer);
	f->state = FRONT_TALK;
	stream_set_ops(f->client, &prelogin_ops, f);
	stream_set_in_max(f->client, input_max());
	stream_set_out_max(f->client, OUT_MAX);
	stream_set_secret(f->client, true);
	stream_set_deadline(f->client, front_process.set->login_timeout_ms);
	readmit(f, id, rest);
}

/* --- what the protocols use ---------------------------------------------------------------------------- */

void *
front_data(const struct front *f)
{
	return f->pre->data;
}

void
front_set_data(struct front *f, void *data)
{
	f->pre->data = data;
}

struct span
front_input(const struct front *f)
{
	return stream_input(f->client);
}

void
front_consume(struct front *f, size_t n)
{
	stream_consume(f->client, n);
}

void
front_write(struct front *f, struct span d)
{
	stream_write_span(f->client, d);
}

void
front_printf(struct front *f, const char *fmt, ...)
{
	struct buf b = BUF_INIT(OUT_MAX);
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (rc == 0)
		stream_write(f->client, b.data, b.len);
	buf_fini(&b);
}

bool
front_busy(const struct front *f)
{
	return f->state != FRONT_TALK;
}

const char *
front_id(const struct front *f)
{
	return f->pre->id;
}

void
front_set_notes(struct front *f, struct span notes)
{
	buf_reset(&f->pre->notes);
	if (buf_put_span(&f->pre->notes, notes) < 0)
		log_panic("front_set_notes: %zu bytes", notes.len);
}

/* --- the process ------------------------------------------------------------------------------------------ */

int
front_pre_jail(const struct front_ops *ops, const struct front_settings *s,
    struct why *why)
{
	struct front_process *p = &front_process;
	char *title;

	p->ops = ops;
	p->set = s;
	list_init(&p->all);
	title = mem_printf("%s_cleartext_networks", ops->daemon);
	p->cleartext = match_list_new(title, s->cleartext_networks, 0, why);
	mem_free(title);
	if (daemon_judge(p->cleartext == NULL ? -1 : 0, why) < 0)
		return -1;
	p->exceptions = match_list_new("mua_client_event_limit_exceptions",
	    conf.mua_client_event_limit_exceptions, 0, why);
	if (daemon_judge(p->exceptions == NULL ? -1 : 0, why) < 0)
		return -1;
	return tls_server_new(s->tls, s->tls_wrappermode, daemon_judge, &p->tls,
	    why);
}

int
front_start(struct why *why)
{
	tls_server_start(front_process.tls, daemon_loop());
	front_process.auth = auth_client_new(daemon_loop(),
	    daemon_socket_path("private/auth"));
	front_hand_init();
	return 0;
}

void
front_drain(void)
{
	front_process.draining = true;
	LIST_FOREACH(at, &front_process.all) {
		struct front *f = LIST_ENTRY(at, struct front, link);

		/* Sessions are told by their own processes. */
		if (f->state != FRONT_PUMP && f->state != FRONT_HAND_WAIT)
			front_goodbye(f, FRONT_BYE_SHUTDOWN);
	}
}
