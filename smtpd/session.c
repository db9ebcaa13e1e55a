/* SPDX-License-Identifier: ISC */
/*
 * session - the life of one connection.
 *
 * Input is looked at in one place, session_read(), which hands it to what
 * the state says: a command line, the lines of a message, a chunk.  It stops
 * when the session waits or is over, and nothing frees a session while it
 * runs.  session_set_state() is where every change of state goes through.
 */
#include <sys/socket.h>

#include "auth/auth_client.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "smtpd/binary.h"
#include "smtpd/proxy.h"
#include "smtpd/smtpd.h"

/* How long a client has to take our last reply. */
#define FINISH_GRACE_MS	5000

static struct loop *loop;
static struct list sessions = LIST_INIT(sessions);
static struct list for_room = LIST_INIT(for_room);

static void session_read(void *arg, struct stream *st);
static void session_drained(void *arg, struct stream *st);
static void session_ended(void *arg, struct stream *st, enum stream_end why);

static const struct stream_ops ops = {
	.on_read = session_read,
	.on_drain = session_drained,
	.on_end = session_ended,
};

static const char *const state_names[] = {
	"PROXY", "CONNECT", "START", "READY", "MAIL", "RCPT", "DATA", "BDAT",
	"CHUNK", "SKIP", "COMMIT", "AUTH", "DENIED", "CLOSED"
};

void
session_start(struct loop *l)
{
	loop = l;
}

struct loop *
session_loop(void)
{
	return loop;
}

void
session_set_state(struct session *s, enum state to)
{
	if (log_debug_on())
		log_debug("%s: %s -> %s", s->namaddr, state_names[s->state],
		    state_names[to]);
	s->state = to;
}

static int64_t
timeout_ms(void)
{
	int64_t t = smtpd_lmtp ? conf.lmtpd_timeout : conf.smtpd_timeout;

	return t * 1000;
}

/* A new wait for the client: a command, or the next bytes of a message. */
static void
start_deadline(struct session *s)
{
	s->until_ms = loop_now_ms(loop) + timeout_ms();
	stream_set_deadline(s->stream, timeout_ms());
}

/*
 * smtpd_per_request_deadline: the time is for the whole of a command, and
 * a message earns more of it at smtpd_min_data_rate.
 */
static void
extend_deadline(struct session *s, size_t bytes)
{
	int64_t now = loop_now_ms(loop);

	s->until_ms = MIN(now + timeout_ms(), s->until_ms +
	    (int64_t)bytes * 1000 / conf.smtpd_min_data_rate);
	stream_set_deadline(s->stream, MAX(s->until_ms - now, 1));
}

/* --- the end ------------------------------------------------------------------ */

static void
session_free(struct session *s)
{
	list_remove(&s->link);
	list_remove(&s->room);
	peername_cancel(s);
	policy_cancel(s);
	etrn_cancel(s);
	session_reset(s);
	limits_disconnect(s);
	loop_timer_free(&s->timer);
	stream_free(&s->stream);
	xforward_free(&s->forward);
	buf_fini(&s->held);
	mem_free(s->name);
	mem_free(s->reverse_name);
	mem_free(s->dest_addr);
	mem_free(s->helo);
	auth_attempt_free(&s->auth);
	mem_free(s->login);
	mem_free(s->sasl_method);
	secured_free(&s->secured);
	mem_free(s->deferral);
	mem_free(s->skip_reply);
	mem_free(s);
	daemon_busy(-1);
}

static void
log_disconnect(struct session *s)
{
	struct buf b = BUF_INIT(LOG_LINE_MAX);
	uint32_t all = 0, ok = 0;

	for (int i = 0; i < CMD_COUNT; i++) {
		if (s->count[i] == 0)
			continue;
		all += s->count[i];
		ok += s->ok[i];
		buf_addf(&b, " %s=%u", command_log_name((enum cmd)i),
		    s->ok[i]);
		if (s->ok[i] != s->count[i])
			buf_addf(&b, "/%u", s->count[i]);
	}
	buf_addf(&b, " commands=%u", ok);
	if (ok != all)
		buf_addf(&b, "/%u", all);
	log_info("disconnect from %s%s trace=%s", s->namaddr, b.data,
	    s->trace);
	buf_fini(&b);
}

void
session_close(struct session *s, const char *reason)
{
	if (s->state == ST_CLOSED)
		return;
	reply_flush_held(s);
	if (reason != NULL && (s->state == ST_DATA || s->state == ST_CHUNK))
		log_info("%s after %s (%llu bytes) from %s", reason,
		    s->state == ST_DATA ? "DATA" : "BDAT",
		    (unsigned long long)s->data_bytes, s->namaddr);
	else if (reason != NULL)
		log_info("%s after %s from %s", reason,
		    s->state == ST_COMMIT ? "END-OF-MESSAGE" :
		    s->last_cmd == CMD_COUNT ? "CONNECT" :
		    s->last_cmd == CMD_UNKNOWN ? "UNKNOWN" :
		    command_name(s->last_cmd), s->namaddr);
	session_set_state(s, ST_CLOSED);
	log_disconnect(s);
	peername_cancel(s);
	policy_cancel(s);
	etrn_cancel(s);
	if (s->stream != NULL)
		stream_finish(&s->stream, FINISH_GRACE_MS);
	if (!s->in_read)
		session_free(s);
}

static void
session_ended(void *arg, struct stream *st, enum stream_end why)
{
	struct session *s = arg;

	switch (why) {
	case STREAM_TIMEOUT:
		if (s->state == ST_PROXY)
			log_warning("haproxy read: timeout error from %s",
			    s->namaddr);
		reply_more(s, "421 4.4.2 %s Error: timeout exceeded",
		    conf.myhostname);
		break;
	case STREAM_OVERFLOW:
		session_close(s, "too much unread output");
		return;
	default:
		break;
	}
	session_close(s, why == STREAM_TIMEOUT ? "timeout" :
	    "lost connection");
}

/* We are to stop: a client that is between two messages is told at once,
 * the others after their message. */
static void
say_goodbye(struct session *s)
{
	if (s->stream == NULL)
		return;
	if (s->state != ST_START && s->state != ST_READY)
		return;
	reply_more(s, "421 4.3.2 %s Service shutting down", conf.myhostname);
	session_close(s, NULL);
}

void
session_drain(void)
{
	LIST_FOREACH(l, &sessions) {
		struct session *s = LIST_ENTRY(l, struct session, link);

		if (s->wait == WAIT_NONE && !s->in_read)
			say_goodbye(s);
	}
}

void
session_message_done(struct session *s)
{
	if (daemon_draining() && s->wait == WAIT_NONE &&
	    s->state != ST_CLOSED)
		session_delay(s, 1, say_goodbye);
}

/* --- waiting ---------------------------------------------------------------- */

void
session_wait(struct session *s, enum wait w)
{
	if (s->wait == WAIT_NONE && s->stream != NULL)
		stream_pause(s->stream);
	s->wait = w;
	if (w == WAIT_ROOM)
		list_append(&for_room, &s->room);
	if (s->stream == NULL)
		return;
	/* Not the client's time that is running now. */
	switch (w) {
	case WAIT_RESULT:
		stream_set_deadline(s->stream, conf.ipc_timeout * 1000);
		break;
	case WAIT_DELAY:
		stream_set_deadline(s->stream, 0);
		break;
	default:
		start_deadline(s);
		break;
	}
}

void
session_patience(struct session *s, int64_t ms)
{
	if (s->stream != NULL)
		stream_set_deadline(s->stream, MAX(ms, timeout_ms()));
}

void
session_wake(struct session *s)
{
	if (s->wait == WAIT_NONE)
		return;
	list_remove(&s->room);
	s->wait = WAIT_NONE;
	if (s->stream == NULL || s->state == ST_CLOSED)
		return;
	start_deadline(s);
	stream_resume(s->stream);
	if (!s->in_read)
		stream_kick(s->stream);
}

static void
timer_fired(void *arg)
{
	struct session *s = arg;
	void (*fn)(struct session *) = s->resume;

	s->resume = NULL;
	session_wake(s);
	if (fn != NULL)
		fn(s);
}

void
session_delay(struct session *s, int64_t ms, void (*fn)(struct session *))
{
	if (s->timer == NULL)
		s->timer = loop_timer_new(loop, timer_fired, s);
	s->resume = fn;
	session_wait(s, WAIT_DELAY);
	loop_timer_set(s->timer, ms);
}

void
session_room(void)
{
	LIST_FOREACH(l, &for_room) {
		session_wake(LIST_ENTRY(l, struct session, room));
	}
}

static void
session_drained(void *arg, struct stream *st)
{
	struct session *s = arg;

	if (s->wait == WAIT_OUTPUT)
		session_wake(s);
}

/* --- input -------------------------------------------------------------------- */

bool
session_input_waiting(struct session *s)
{
	return stream_input(s->stream).len > 0;
}

static size_t
proxy_input(struct session *s, struct span in)
{
	struct proxy_header h;
	char text[SOCK_ADDR_TEXT_MAX];
	size_t used;

	switch (proxy_parse(in, &h, &used)) {
	case 0:
		return 0;
	case 1:
		break;
	default:
		log_warning("haproxy read: bad header from %s", s->namaddr);
		session_set_state(s, ST_CONNECT);
		reply_more(s, "421 4.3.2 %s Service unavailable - "
		    "bad proxy header", conf.myhostname);
		session_close(s, NULL);
		return in.len;
	}
	stream_consume(s->stream, used);
	session_set_state(s, ST_CONNECT);
	if (!h.local) {
		limits_disconnect(s);
		session_set_peer(s, &h.client, NULL);
		sock_addr_text(&h.server, text);
		session_set_dest(s, text, sock_addr_port(&h.server));
	}
	start_deadline(s);
	session_arrived(s);
	return 0;
}

static void
too_many_errors(struct session *s)
{
	reply_more(s, "421 4.7.0 %s Error: too many errors", conf.myhostname);
	session_close(s, "too many errors");
}

/* RFC 4954 4: a line of an AUTH exchange may be longer than others. */
static size_t
line_max(const struct session *s, struct span in)
{
	size_t max = (size_t)conf.line_length_limit;

	if (s->state == ST_AUTH ||
	    (span_casestarts(in, SPAN("AUTH ")) && auth_enabled(s)))
		max = MAX(max, (size_t)conf.smtpd_sasl_response_limit);
	return max;
}

/*
 * One command line.  Returns how many bytes to consume, after the command
 * was looked at; 0: the line is not whole yet.
 */
static void
line_input(struct session *s, struct span in)
{
	size_t max = line_max(s, in);
	const char *lf = memchr(in.p, '\n', in.len);
	struct span line;

	if (s->resync) {
		stream_consume(s->stream,
		    lf == NULL ? in.len : (size_t)(lf - in.p) + 1);
		if (lf == NULL)
			return;
		s->resync = false;
		if (s->state == ST_AUTH) {
			auth_line_too_long(s);
			return;
		}
		s->cmd = CMD_UNKNOWN;
		s->count[CMD_UNKNOWN]++;
		s->counted = false;
		reply(s, "500 5.5.2 Error: line too long");
		return;
	}
	if (lf == NULL ? in.len >= max : (size_t)(lf - in.p) >= max) {
		/* RFC 5321 4.5.3.1.9: the rest of the line goes unread. */
		log_warning("%s: request longer than %zu: %.*s...",
		    s->namaddr, max, SPAN_ARG(s->state == ST_AUTH ?
		    SPAN("(AUTH)") : span_sub(in, 0, 15)));
		s->resync = true;
		line_input(s, in);
		return;
	}
	if (lf == NULL)
		return;
	line = span_make(in.p, (size_t)(lf - in.p));
	stream_consume(s->stream, line.len + 1);
	if (line.len > 0 && line.p[line.len - 1] == '\r') {
		line.len--;
	} else if (!s->newline_excluded &&
	    span_is(span_of(conf.smtpd_forbid_bare_newline), "reject")) {
		reply_more(s, "%d 5.5.2 %s Error: bare <LF> received",
		    (int)conf.smtpd_forbid_bare_newline_reject_code,
		    conf.myhostname);
		log_info("reject: bare <LF> in command from %s", s->namaddr);
		if (conf.smtpd_forbid_bare_newline_reject_code / 10 == 52 ||
		    conf.smtpd_forbid_bare_newline_reject_code == 421)
			session_close(s, "bare <LF> received");
		else
			s->errors++;
		return;
	}
	if (s->state == ST_AUTH)
		auth_line(s, line);
	else
		command_line(s, line);
}

void
session_enter(struct session *s)
{
	s->in_read = true;
}

bool
session_leave(struct session *s)
{
	s->in_read = false;
	if (s->state != ST_CLOSED)
		return true;
	session_free(s);
	return false;
}

static void
session_read(void *arg, struct stream *st)
{
	struct session *s = arg;
	size_t data_bytes = 0;
	bool request = false;		/* one was done */

	session_enter(s);
	while (s->state != ST_CLOSED && s->wait == WAIT_NONE) {
		struct span in = stream_input(s->stream);
		enum state was = s->state;
		size_t before = in.len, used;

		if (stream_out_len(s->stream) > SMTPD_OUT_HIGH) {
			session_wait(s, WAIT_OUTPUT);
			break;
		}
		if (in.len == 0)
			break;
		switch (s->state) {
		case ST_DATA:
			used = data_input(s, in);
			break;
		case ST_CHUNK:
			used = chunk_input(s, in);
			break;
		case ST_SKIP:
			used = skip_input(s, in);
			break;
		case ST_PROXY:
			used = proxy_input(s, in);
			break;
		default:
			if (s->errors >= (uint64_t)conf.smtpd_hard_error_limit) {
				too_many_errors(s);
				used = 0;
				break;
			}
			line_input(s, in);
			used = 0;
			break;
		}
		if (s->state == ST_CLOSED)
			break;
		if (used > 0)
			stream_consume(s->stream, used);
		used = before - stream_input(s->stream).len;
		if (used == 0)
			break;
		if (was == ST_DATA || was == ST_CHUNK || was == ST_SKIP)
			data_bytes += used;
		request = request || (!s->resync && (s->state != was ||
		    (was != ST_DATA && was != ST_CHUNK && was != ST_SKIP)));
	}
	/*
	 * The last error was the last straw: say so now, not at the next
	 * command.
	 */
	if (s->state != ST_CLOSED && s->wait == WAIT_NONE &&
	    s->errors >= (uint64_t)conf.smtpd_hard_error_limit &&
	    s->state != ST_DATA && s->state != ST_CHUNK)
		too_many_errors(s);
	if (s->state != ST_CLOSED && s->wait == WAIT_NONE &&
	    daemon_draining())
		say_goodbye(s);
	if (!session_leave(s))
		return;
	if (s->wait != WAIT_NONE || s->state == ST_PROXY)
		return;
	if (request || !conf.smtpd_per_request_deadline)
		start_deadline(s);
	else if (data_bytes > 0)
		extend_deadline(s, data_bytes);
}

/* --- the beginning -------------------------------------------------------------- */

void
session_new(int fd, const struct sock_addr *peer, int index)
{
	struct session *s = mem_zalloc(sizeof(*s));
	bool proxied = conf.smtpd_upstream_proxy_protocol[0] != '\0';
	char trace[TRACE_ID_MAX];

	daemon_busy(1);
	list_append(&sessions, &s->link);
	list_init(&s->room);
	s->held = BUF_INIT(SMTPD_OUT_MAX);
	s->cmd = CMD_UNKNOWN;
	s->last_cmd = CMD_COUNT;
	s->discard = command_discard();
	s->state = proxied ? ST_PROXY : ST_CONNECT;
	trace_id_make(trace);
	memcpy(s->trace, trace, MIN(strlen(trace), sizeof(s->trace) - 1));
	session_set_peer(s, peer, NULL);
	s->stream = stream_new(loop, fd, MAX((size_t)SMTPD_IN_MAX,
	    2 * (size_t)MAX(conf.line_length_limit,
	    conf.smtpd_sasl_response_limit)), SMTPD_OUT_MAX, &ops, s);
	/* Until the login. */
	stream_set_secret(s->stream, conf.smtpd_sasl_auth_enable);
	if (proxied)
		stream_set_deadline(s->stream,
		    conf.smtpd_upstream_proxy_timeout * 1000);
	else
		start_deadline(s);
	if (!proxied) {
		session_enter(s);
		session_arrived(s);
		(void)session_leave(s);
	}
}

const char *
session_proto(const struct session *s)
{
	if (smtpd_lmtp)
		return "LMTP";
	return s->esmtp ? "ESMTP" : "SMTP";
}

const char *
session_with(const struct session *s)
{
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "LMTP", "LMTPA" }, { "LMTPS", "LMTPSA" } },
	};

	if (!smtpd_lmtp && !s->esmtp)
		return "SMTP";
	return names[smtpd_lmtp][s->secured != NULL][s->login != NULL];
}

void
session_reset(struct session *s)
{
	struct txn *t = s->txn;

	if (t == NULL)
		return;
	s->txn = NULL;
	submit_abort(t);
	binary_free(&t->coder);
	envelope_fini(&t->env);
	ARRAY_FINI(&t->prepend);
	ARRAY_FINI(&t->bcc);
	arena_fini(&t->arena);
	mem_free(t);
}
