/* SPDX-License-Identifier: ISC */
/*
 * cmd_mail - MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3).
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "mail/address.h"
#include "smtpd/smtpd.h"

#define ADDR_BUF_MAX	1024

static void
reply_error(struct session *s, const struct parse_error *e)
{
	if (e->what.len > 0)
		reply(s, "%s: %.*s", e->reply,
		    SPAN_ARG(span_sub(e->what, 0, 100)));
	else
		reply(s, "%s", e->reply);
}

static struct span
dup_span(struct arena *a, struct span s)
{
	return span_make(arena_span_dup(a, s), s.len);
}

/* What stands in the log and in others' programs' arguments. */
static struct span
dup_printable(struct arena *a, struct span s)
{
	char *p = arena_span_dup(a, span_sub(s, 0, ADDR_BUF_MAX));
	size_t n = strlen(p);

	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~')
			p[i] = '?';
	return span_make(p, n);
}

/* xtext, decoded, in the transaction's memory. */
static struct span
dup_xtext(struct arena *a, struct span s)
{
	struct buf b = BUF_INIT(DSN_ORCPT_MAX);
	struct span out = SPAN_EMPTY;

	if (s.len > 0 && dsn_xtext_decode(s, &b) == 0)
		out = dup_span(a, buf_span(&b));
	buf_fini(&b);
	return out;
}

/* RFC 6531 3.4: such an address needs SMTPUTF8 in MAIL, and must be UTF-8. */
static bool
needs_utf8(struct span addr)
{
	return !utf8_ascii(addr);
}

/* --- MAIL ------------------------------------------------------------------------- */

static void
mail_done(struct session *s, bool ok, const char *text)
{
	session_wake(s);
	if (!ok) {
		session_reset(s);
		reply(s, "%s", text);
		return;
	}
	session_set_state(s, ST_MAIL);
	reply(s, "250 2.1.0 Ok");
}

static void
mail_policy(struct session *s)
{
	policy_start(s, STAGE_MAIL, s->txn->env.sender, mail_done);
}

static bool
size_ok(struct session *s, const struct mail_params *p)
{
	if (p->has_size && conf.message_size_limit > 0 &&
	    p->size > (uint64_t)conf.message_size_limit) {
		reply(s, "552 5.3.4 Message size exceeds fixed limit");
		return false;
	}
	return true;
}

/* What this service leaves out: set with -o where filtered mail comes back. */
static unsigned
override_flags(void)
{
	static const struct {
		const char	*name;
		unsigned	 flags;
	} opts[] = {
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
txn_make(struct session *s, struct span sender, const struct mail_params *p)
{
	struct txn *t = mem_zalloc(sizeof(*t));
	struct buf show = BUF_INIT(2 * ADDR_BUF_MAX);
	struct envelope *e = &t->env;

	t->arena = ARENA_INIT;
	*e = ENVELOPE_INIT;
	s->txn = t;
	s->data_bytes = 0;
	e->arrival_us = clock_wall_us();
	e->sender = dup_span(&t->arena, sender);
	t->sender_show = dup_span(&t->arena,
	    span_of(address_show(sender, &show)));
	buf_fini(&show);
	e->flags = override_flags();
	e->filter = span_of(conf.content_filter);
	if (p->body == BODY_8BITMIME)
		e->flags |= ENV_8BITMIME;
	if (p->body == BODY_BINARYMIME) {
		/* By the time it is queued: see binary.h. */
		e->flags |= ENV_8BITMIME;
		t->binary = true;
	}
	if (p->requiretls)
		e->flags |= ENV_REQUIRETLS;
	if (p->smtputf8) {
		e->flags |= ENV_SMTPUTF8;
		t->utf8 = true;
	}
	e->dsn_ret = p->ret;
	e->dsn_envid = dup_xtext(&t->arena, p->envid);
	if (p->auth.len > 0 && auth_enabled(s))
		*ARRAY_PUSH(&e->attrs) = (struct env_attr){
			SPAN(ENV_ATTR_SASL_SENDER),
			dup_printable(&t->arena, p->auth)
		};
	t->declared = p->size;
	/*
	 * The session's id and a count: everything a client did can be found
	 * by the first part, one message by the whole.
	 */
	if (snprintf(t->trace, sizeof(t->trace), "%s.%x", s->trace,
	    ++s->messages & 0xffffff) < 0)
		t->trace[0] = '\0';
	e->trace_id = span_of(t->trace);
}

void
cmd_mail(struct session *s, struct span arg)
{
	struct buf addr = BUF_INIT(ADDR_BUF_MAX);
	struct mail_params p;
	struct parse_error err;
	const char *text;
	int64_t delay_ms = 0;

	if (s->helo == NULL && (smtpd_lmtp || conf.smtpd_helo_required)) {
		reply(s, smtpd_lmtp ? "503 5.5.1 Error: send LHLO first" :
		    "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->state == ST_BDAT) {
		reply(s, "503 5.5.1 Error: MAIL after BDAT");
		return;
	}
	if (s->txn != NULL) {
		reply(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	if (!limits_event(s, LIMIT_MESSAGE)) {
		reply(s, "450 4.7.1 Error: too much mail from %s",
		    s->addr_text);
		return;
	}
	if (parse_mail(arg, command_parse_flags(s), &addr, &p, &err) < 0) {
		reply_error(s, &err);
		goto out;
	}
	if (needs_utf8(buf_span(&addr)) && !p.smtputf8) {
		reply(s, "553 5.6.7 Must declare SMTPUTF8 to send unicode "
		    "address");
		goto out;
	}
	if (!size_ok(s, &p))
		goto out;
	if (!submit_ready(&text, &delay_ms)) {
		reply(s, "%s", text);
		goto out;
	}
	txn_make(s, buf_span(&addr), &p);
	/* in_flow_delay: qmgr is behind, so nobody gets in as fast as he
	 * would like. */
	if (delay_ms > 0)
		session_delay(s, delay_ms, mail_policy);
	else
		mail_policy(s);
out:
	buf_fini(&addr);
}

/* --- RCPT ------------------------------------------------------------------------- */


static void
rcpt_done(struct session *s, bool ok, const char *text)
{
	struct txn *t = s->txn;
	struct rcpt *r;

	session_wake(s);
	if (!ok) {
		/* The last one is the pending one. */
		t->env.rcpts.len--;
		t->refused++;
		reply(s, "%s", text);
		return;
	}
	r = &t->env.rcpts.v[t->env.rcpts.len - 1];
	if (policy_recipient(s) != NULL) {
		struct span norm = policy_recipient(s)->addr;

		if (norm.len > 0 && !span_eq(norm, r->addr)) {
			r->orig = r->addr;
			r->addr = dup_span(&t->arena, norm);
		}
	}
	session_set_state(s, ST_RCPT);
	reply(s, "250 2.1.5 Ok");
}

void
cmd_rcpt(struct session *s, struct span arg)
{
	struct buf addr = BUF_INIT(ADDR_BUF_MAX);
	struct buf orcpt = BUF_INIT(DSN_ORCPT_MAX);
	struct rcpt_params p;
	struct parse_error err;
	struct txn *t = s->txn;
	struct rcpt *r;
	int64_t max = smtpd_lmtp ? conf.lmtpd_recipient_limit :
	    conf.smtpd_recipient_limit;
	unsigned flags = command_parse_flags(s);

	if (t == NULL) {
		reply(s, "503 5.5.1 Error: need MAIL command");
		return;
	}
	if (s->state == ST_BDAT) {
		reply(s, "503 5.5.1 Error: RCPT after BDAT");
		return;
	}
	if (!limits_event(s, LIMIT_RCPT)) {
		reply(s, "450 4.7.1 Error: too many recipients from %s",
		    s->addr_text);
		return;
	}
	if (parse_rcpt(arg, flags, &addr, &p, &err) < 0) {
		reply_error(s, &err);
		goto out;
	}
	if (needs_utf8(buf_span(&addr)) && !t->utf8) {
		reply(s, "553 5.6.7 Must declare SMTPUTF8 to send unicode "
		    "address");
		goto out;
	}
	if (p.orcpt.len > 0 && parse_orcpt(p.orcpt, t->utf8, &orcpt) < 0) {
		reply(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
		goto out;
	}
	if (t->env.rcpts.len >= (uint64_t)max) {
		/* RFC 5321 4.5.3.1.10: 452, and he sends the rest again.
		 * Only one who goes on and on is at fault. */
		const char *full = "452 4.5.3 Error: too many recipients";

		if (t->over++ < (uint64_t)conf.smtpd_recipient_overshoot_limit)
			reply_more(s, "%s", full);
		else
			reply(s, "%s", full);
		goto out;
	}
	r = ARRAY_PUSH(&t->env.rcpts);
	r->addr = dup_span(&t->arena, buf_span(&addr));
	r->dsn_notify = p.notify;
	if (orcpt.len > 0)
		r->dsn_orcpt = dup_span(&t->arena, buf_span(&orcpt));
	policy_start(s, STAGE_RCPT, r->addr, rcpt_done);
out:
	buf_fini(&addr);
	buf_fini(&orcpt);
}
