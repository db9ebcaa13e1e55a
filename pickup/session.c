/* SPDX-License-Identifier: ISC */
/*
 * session - the life of one local client's connection (msg_submit.h).
 *
 * The client is any process on this machine.  It can waste its own time and
 * its user's share of our sessions, and nothing else: every field is
 * checked, everything kept has a limit, and a frame out of order ends the
 * connection.
 */
#include <pwd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "pickup/pickup.h"

static struct list sessions = LIST_INIT(sessions);
static size_t nsessions;

/* --- life ------------------------------------------------------------------------ */

static void
drop_message(struct session *s)
{
	if (s->msg == NULL)
		return;
	queue_abort(s->msg);
	message_free(&s->msg);
}

static void
session_end(struct session *s)
{
	/* After END the message is cleanup's to finish: it is logged there
	 * and here, though nobody waits for the answer. */
	if (s->msg != NULL && s->state == SESSION_WAIT) {
		s->msg->session = NULL;
		s->msg = NULL;
	}
	drop_message(s);
	list_remove(&s->link);
	nsessions--;
	loop_timer_free(&s->timer);
	ipc_conn_free(&s->conn);
	mem_free(s->login);
	mem_free(s);
	daemon_busy(-1);
}

static void
touch(struct session *s)
{
	loop_timer_set(s->timer, conf.pickup_timeout * 1000);
}

static void
go_idle(struct session *s)
{
	s->state = SESSION_IDLE;
	if (daemon_draining() && ipc_out_len(s->conn) == 0)
		session_end(s);
}

void
session_result(struct session *s, struct span code, struct span text,
    struct span queue_id)
{
	struct submit_result r = {
		.code = span_sub(code, 0, 12), .text = span_sub(text, 0, 512),
		.queue_id = span_sub(queue_id, 0, 32),
	};

	submit_result_encode(ipc_begin(s->conn, SUBMIT_RESULT, s->tag), &r);
	ipc_end(s->conn);
	/* Early: what the client has sent meanwhile is passed over. */
	if (s->state == SESSION_WAIT)
		s->state = SESSION_IDLE;
	else
		s->state = SESSION_SKIP;
	touch(s);
}

static void
refuse(struct session *s, const struct why *why)
{
	log_info("uid=%u refused: %s %s", (unsigned)s->uid, why->code,
	    why->text);
	drop_message(s);
	session_result(s, span_of(why->code), span_of(why->text), SPAN_EMPTY);
}

void
session_verified(uint32_t tag, const char *code, struct span text)
{
	struct submit_verified v = { .code = span_of(code), .text = text };

	LIST_FOREACH(l, &sessions) {
		struct session *s = LIST_ENTRY(l, struct session, link);

		if (s->verify == 0 || (tag != 0 && s->verify != tag))
			continue;
		s->verify = 0;
		submit_verified_encode(ipc_begin(s->conn, SUBMIT_VERIFIED,
		    s->tag), &v);
		ipc_end(s->conn);
		s->state = SESSION_IDLE;
		touch(s);
	}
}

static void
resume(struct session *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	ipc_resume(s->conn);
	touch(s);
}

void
session_pause_all(bool on)
{
	LIST_FOREACH(l, &sessions) {
		struct session *s = LIST_ENTRY(l, struct session, link);

		if (!on)
			resume(s);
	}
}

/* --- what clients send --------------------------------------------------------------- */

static bool
address_is_safe(struct span a)
{
	for (size_t i = 0; i < a.len; i++)
		if ((unsigned char)a.p[i] < ' ' || a.p[i] == 0x7f)
			return false;
	return utf8_valid(a);
}

static int
check_address(struct span a, struct why *why)
{
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;
	int rc = 0;

	address_split(a, &local, &domain);
	if (local.len > ADDRESS_LOCAL_MAX || domain.len > ADDRESS_DOMAIN_MAX)
		rc = why_set(why, "5.1.3", "address too long");
	else if (!address_is_safe(a) ||
	    (!conf.smtputf8_enable && !utf8_ascii(a)))
		rc = why_set(why, "5.1.3", "bad character in address <%s>",
		    address_show(a, &tmp));
	else if (a.len > 0 && a.p[0] == '-' && !conf.allow_min_user)
		rc = why_set(why, "5.1.3", "address <%s> begins with '-'",
		    address_show(a, &tmp));
	buf_fini(&tmp);
	return rc;
}

/* Settings that switch parts of the processing off. */
static unsigned
override_flags(void)
{
	static const struct { const char *name; unsigned flags; } opts[] = {
		{ "no_unknown_recipient_checks", 0 },
		{ "no_header_body_checks", ENV_NO_CHECKS },
		{ "no_milters", ENV_NO_MILTERS },
		{ "no_address_mappings", ENV_NO_REWRITE | ENV_NO_RCPT_MAP |
		    ENV_NO_BCC },
	};
	struct span rest = span_of(conf.receive_override_options), w;
	unsigned flags = 0;

	while (span_token(&rest, " \t\r\n,", &w))
		for (size_t i = 0; i < ARRAY_LEN(opts); i++)
			if (span_caseis(w, opts[i].name))
				flags |= opts[i].flags;
	return flags;
}

static void
fill_envelope(struct session *s, const struct submit_begin *b)
{
	struct message *m = s->msg;
	struct envelope *e = &m->env;
	struct env_attr *name;

	trace_id_make(m->trace_id);
	e->trace_id = span_of(m->trace_id);
	e->arrival_us = clock_wall_us();
	if (b->own_sender) {
		e->sender = span_of(s->login != NULL
		    ? arena_strdup(&m->arena, s->login)
		    : arena_printf(&m->arena, "uid-%u", (unsigned)s->uid));
	} else
		e->sender = span_of(arena_span_dup(&m->arena, b->sender));
	e->flags = override_flags();
	if (!b->gateway)
		e->flags |= ENV_LOCAL;
	if (b->eightbit)
		e->flags |= ENV_8BITMIME;
	if (b->report != SUBMIT_REPORT_NONE)
		e->flags |= ENV_REPORT;
	if (b->report == SUBMIT_REPORT_VERIFY)
		e->flags |= ENV_PROBE | ENV_NO_CHECKS | ENV_NO_MILTERS |
		    ENV_NO_BCC;
	if (b->smtputf8 || !utf8_ascii(e->sender))
		e->flags |= ENV_SMTPUTF8;
	e->dsn_ret = b->dsn_ret;
	e->dsn_envid = span_of(arena_span_dup(&m->arena, b->envid));
	e->protocol = SPAN("local");
	e->submit_uid = (uint32_t)s->uid;
	if (!(e->flags & ENV_PROBE))
		e->filter = span_of(arena_strdup(&m->arena,
		    conf.content_filter));
	if (b->full_name.len > 0) {
		name = ARRAY_PUSH(&e->attrs);
		name->name = SPAN(ENV_ATTR_FULL_NAME);
		name->value = span_of(arena_span_dup(&m->arena,
		    b->full_name));
	}
}

static int
on_begin(struct session *s, const struct ipc_frame *f)
{
	struct why why = WHY_INIT;
	struct submit_begin b;

	if (s->state != SESSION_IDLE && s->state != SESSION_SKIP)
		return -1;
	if (submit_begin_decode(&b, f->body) < 0)
		return -1;
	s->tag = f->tag;
	s->state = SESSION_RCPTS;
	s->msg = mem_zalloc(sizeof(*s->msg));
	s->msg->session = s;
	s->msg->uid = s->uid;
	s->msg->arena = ARENA_INIT;
	s->msg->env = ENVELOPE_INIT;
	fill_envelope(s, &b);
	if (check_address(s->msg->env.sender, &why) < 0 ||
	    rights_may_submit(s->uid, s->login, &why) < 0 ||
	    rights_may_send_as(s->uid, s->login, s->msg->env.sender,
	    &why) < 0) {
		refuse(s, &why);
		return 0;
	}
	if (queue_delay_ms() > 0) {
		/* The queue is falling behind: in_flow_delay. */
		s->paused = true;
		ipc_pause(s->conn);
		loop_timer_set(s->timer, queue_delay_ms());
	}
	return 0;
}

static int
on_rcpt(struct session *s, const struct ipc_frame *f)
{
	struct why why = WHY_INIT;
	struct submit_rcpt r;
	struct message *m = s->msg;
	struct rcpt *new;

	if (submit_rcpt_decode(&r, f->body) < 0)
		return -1;
	if (s->state == SESSION_SKIP)
		return 0;
	if (s->state != SESSION_RCPTS)
		return -1;
	m->env_size += r.address.len + r.orcpt.len + 64;
	if (m->env.rcpts.len >= ENVELOPE_RCPT_MAX ||
	    m->env_size > PICKUP_ENVELOPE_MAX)
		(void)why_set(&why, "5.5.3", "too many recipients");
	else if (r.address.len == 0)
		(void)why_set(&why, "5.1.3", "empty recipient address");
	else if (check_address(r.address, &why) < 0)
		;				/* why says it */
	else if (!address_is_safe(r.orcpt))
		(void)why_set(&why, "5.5.4", "bad original recipient");
	if (why.code[0] != '\0') {
		refuse(s, &why);
		return 0;
	}
	new = ARRAY_PUSH(&m->env.rcpts);
	new->addr = span_of(arena_span_dup(&m->arena, r.address));
	new->dsn_orcpt = span_of(arena_span_dup(&m->arena, r.orcpt));
	new->dsn_notify = r.notify;
	if (!utf8_ascii(r.address))
		m->env.flags |= ENV_SMTPUTF8;
	return 0;
}

/* RCPTS -> CONTENT: cleanup gets the envelope.  -1: refused. */
static int
begin_content(struct session *s)
{
	struct why why = WHY_INIT;

	if (s->msg->env.rcpts.len == 0)
		(void)why_set(&why, "5.1.0", "no recipients");
	else if (queue_begin(s->msg, &why) == 0) {
		s->state = SESSION_CONTENT;
		return 0;
	}
	refuse(s, &why);
	return -1;
}

static bool
too_big(const struct message *m)
{
	return conf.message_size_limit > 0 &&
	    conf.message_size_limit != PARAM_UNLIMITED &&
	    m->size > (uint64_t)conf.message_size_limit;
}

static int
on_content(struct session *s, const struct ipc_frame *f)
{
	struct why why = WHY_INIT;

	if (s->state == SESSION_SKIP)
		return 0;
	if (s->state == SESSION_RCPTS && begin_content(s) < 0)
		return 0;
	if (s->state != SESSION_CONTENT)
		return -1;
	s->msg->size += f->body.len;
	if (too_big(s->msg)) {
		(void)why_set(&why, "5.3.4", "message file too big");
		refuse(s, &why);
		return 0;
	}
	queue_content(s->msg, f->body);
	if (queue_is_behind()) {
		s->paused = true;
		ipc_pause(s->conn);
		loop_timer_cancel(s->timer);
	}
	return 0;
}

static int
on_finish(struct session *s, const struct ipc_frame *f)
{
	if (s->state == SESSION_SKIP) {
		go_idle(s);
		return 0;
	}
	if (s->state == SESSION_RCPTS && begin_content(s) < 0) {
		s->state = SESSION_IDLE;
		return 0;
	}
	if (s->state != SESSION_CONTENT)
		return -1;
	s->state = SESSION_WAIT;
	loop_timer_cancel(s->timer);
	queue_end(s->msg);
	return 0;
}

static int
on_verify(struct session *s, const struct ipc_frame *f)
{
	struct why why = WHY_INIT;
	struct submit_rcpt r;

	if (s->state != SESSION_IDLE ||
	    submit_rcpt_decode(&r, f->body) < 0)
		return -1;
	s->tag = f->tag;
	s->state = SESSION_WAIT;
	if (rights_may_submit(s->uid, s->login, &why) == 0 &&
	    check_address(r.address, &why) == 0) {
		s->verify = queue_verify(r.address);
		if (s->verify != 0)
			return 0;
		(void)why_set(&why, "4.3.0", "the routing service is away");
	}
	s->verify = UINT32_MAX;
	session_verified(UINT32_MAX, why.code, span_of(why.text));
	return 0;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct session *s = arg;

	touch(s);
	switch (f->type) {
	case SUBMIT_BEGIN:
		return on_begin(s, f);
	case SUBMIT_RCPT:
		return f->tag == s->tag ? on_rcpt(s, f) : -1;
	case SUBMIT_CONTENT:
		return f->tag == s->tag ? on_content(s, f) : -1;
	case SUBMIT_END:
		return f->tag == s->tag ? on_finish(s, f) : -1;
	case SUBMIT_VERIFY:
		return on_verify(s, f);
	default:
		return -1;
	}
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	struct session *s = arg;

	if (daemon_draining() && s->state == SESSION_IDLE)
		session_end(s);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	session_end(arg);
}

static void
on_timer(void *arg)
{
	struct session *s = arg;

	if (s->paused) {
		resume(s);		/* in_flow_delay is over */
		return;
	}
	if (s->state != SESSION_IDLE)
		log_info("uid=%u: timeout after %lld s", (unsigned)s->uid,
		    (long long)conf.pickup_timeout);
	session_end(s);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

/* --- who it is ------------------------------------------------------------------------ */

static size_t
sessions_of(uid_t uid)
{
	size_t n = 0;

	LIST_FOREACH(l, &sessions)
		if (LIST_ENTRY(l, struct session, link)->uid == uid)
			n++;
	return n;
}

static bool
over_limit(uid_t uid)
{
	static int64_t said_ms;
	int64_t now = loop_now_ms(daemon_loop());
	const char *which;

	if (nsessions >= (size_t)conf.pickup_session_limit)
		which = "pickup_session_limit";
	else if (sessions_of(uid) >= (size_t)conf.pickup_user_session_limit)
		which = "pickup_user_session_limit";
	else
		return false;
	if (said_ms == 0 || now - said_ms > 1000)
		log_warning("uid=%u: too many connections (%s)",
		    (unsigned)uid, which);
	said_ms = now;
	return true;
}

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	struct sock_cred cred;
	struct session *s;
	struct passwd *pw;

	if (sock_peer_cred(fd, &cred) < 0) {
		log_warning("a client without credentials: %m");
		close(fd);
		return;
	}
	if (over_limit(cred.uid)) {
		close(fd);
		return;
	}
	s = mem_zalloc(sizeof(*s));
	daemon_busy(1);
	list_append(&sessions, &s->link);
	nsessions++;
	s->uid = cred.uid;
	pw = getpwuid(cred.uid);
	s->login = pw != NULL ? mem_strdup(pw->pw_name) : NULL;
	s->timer = loop_timer_new(daemon_loop(), on_timer, s);
	s->conn = ipc_conn_new(daemon_loop(), fd, &SUBMIT_PROTO, &ops, s);
	touch(s);
}

/* Idle clients are let go; the others have until daemon_timeout. */
void
session_drain_all(void)
{
	LIST_FOREACH(l, &sessions) {
		struct session *s = LIST_ENTRY(l, struct session, link);

		if (s->state == SESSION_IDLE && ipc_out_len(s->conn) == 0)
			session_end(s);
	}
}
