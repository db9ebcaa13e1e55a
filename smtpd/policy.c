/* SPDX-License-Identifier: ISC */
/*
 * policy - restriction lists at work: the stack of a run, what a rejection
 * becomes, and the log of every decision.
 */
#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/address.h"
#include "route/probe_sender.h"
#include "smtpd/policy.h"
#include "smtpd/restrict.h"

static struct policy_run *finishing;

/* --- words ------------------------------------------------------------------------- */

const char *
policy_class_text(enum flavour f)
{
	static const char *const text[] = {
		[FOR_CLIENT] = "Client host", [FOR_HELO] = "Helo command",
		[FOR_SENDER] = "Sender address",
		[FOR_RCPT] = "Recipient address", [FOR_ETRN] = "Etrn command",
		[FOR_DATA] = "Data command", [FOR_EOD] = "End-of-data",
		[FOR_CCERT] = "Client certificate",
		[FOR_LOGIN] = "SASL login name",
		[FOR_REVERSE] = "Unverified Client host",
	};

	return text[f];
}

const char *
policy_reply_name(struct policy_run *r, enum flavour f)
{
	const struct session *s = r->s;

	switch (f) {
	case FOR_CLIENT:
	case FOR_CCERT:
		return s->namaddr;
	case FOR_REVERSE:
		return s->reverse_name == NULL ? "unknown" : s->reverse_name;
	case FOR_LOGIN:
		return s->login == NULL ? "" : s->login;
	case FOR_HELO:
		return s->helo == NULL ? "" : s->helo;
	case FOR_SENDER:
		return s->txn == NULL ? "" : s->txn->sender_show.p;
	case FOR_RCPT:
	case FOR_ETRN:
		return r->rcpt_show.len > 0 ? r->rcpt_show.p : "";
	case FOR_DATA:
		return s->cmd == CMD_BDAT ? "BDAT" : "DATA";
	default:
		return "END-OF-MESSAGE";
	}
}

const char *
policy_stage_text(const struct policy_run *r)
{
	switch (r->stage) {
	case STAGE_CONNECT:
		return "CONNECT";
	case STAGE_EOD:
		return "END-OF-MESSAGE";
	default:
		return command_name(r->s->cmd);
	}
}

/* --- the log ------------------------------------------------------------------------ */

static void
log_line(struct policy_run *r, const char *action, const char *text)
{
	const struct session *s = r->s;
	struct buf b = BUF_INIT(LOG_LINE_MAX);
	int rc = 0;

	rc |= buf_printf(&b, "NOQUEUE: %s: %s from %s: %s;", action,
	    policy_stage_text(r), s->namaddr, text);
	if (s->txn != NULL)
		rc |= buf_printf(&b, " from=<%s>", s->txn->sender_show.p);
	if (r->rcpt_show.len > 0 && r->stage != STAGE_ETRN)
		rc |= buf_printf(&b, " to=<%s>", r->rcpt_show.p);
	rc |= buf_printf(&b, " proto=%s", session_proto(s));
	if (s->helo != NULL)
		rc |= buf_printf(&b, " helo=<%s>", s->helo);
	if (s->login != NULL)
		rc |= buf_printf(&b, " sasl_username=<%s>", s->login);
	if (r->rule_text != NULL)
		rc |= buf_printf(&b, " rule=%s", r->rule_text);
	rc |= buf_printf(&b, " trace=%s",
	    s->txn != NULL ? s->txn->trace : s->trace);
	if (rc != 0)
		log_debug("a log line was cut");
	log_info("%s", b.data);
	buf_fini(&b);
}

void
policy_log(struct policy_run *r, const char *action, const char *fmt, ...)
{
	struct buf b = BUF_INIT(LOG_LINE_MAX);
	va_list ap;

	va_start(ap, fmt);
	if (buf_vprintf(&b, fmt, ap) < 0)
		buf_reset(&b);
	va_end(ap);
	log_line(r, action, b.data);
	buf_fini(&b);
}

static char * PRINTF(4, 0)
make_text(struct policy_run *r, int code, const char *dsn, const char *fmt,
    va_list ap)
{
	struct buf b = BUF_INIT(LOG_LINE_MAX);
	char *text;

	if (buf_printf(&b, "%d %s ", code, dsn) < 0 ||
	    buf_vprintf(&b, fmt, ap) < 0)
		buf_addf(&b, "%d %s rejected", code, dsn);
	text = arena_strdup(&r->arena, b.data);
	buf_fini(&b);
	return text;
}

const char *
policy_dsn(struct policy_run *r, int code, const char *dsn)
{
	return arena_printf(&r->arena, "%c%s", code < 500 ? '4' : '5',
	    dsn + 1);
}

enum verdict
policy_reject(struct policy_run *r, int code, const char *dsn,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->text = make_text(r, code, dsn, fmt, ap);
	va_end(ap);
	if (r->warn) {
		log_line(r, "reject_warning", r->text);
		return V_DUNNO;
	}
	/* Some table asked for mercy. */
	if (code >= 500 && r->if_reject.active)
		r->text = r->if_reject.text;
	log_line(r, "reject", r->text);
	return V_REJECT;
}

void
policy_defer_if(struct policy_run *r, struct deferral *d, int code,
    const char *dsn, const char *fmt, ...)
{
	va_list ap;

	if (d->active)
		return;
	va_start(ap, fmt);
	d->text = make_text(r, code, dsn, fmt, ap);
	va_end(ap);
	d->active = true;
}

/* --- running ------------------------------------------------------------------------- */

static void
run_free(struct policy_run *r)
{
	policy_ask_cancel(r);
	arena_fini(&r->arena);
	mem_free(r);
}

static void
finish(struct policy_run *r, bool ok)
{
	struct policy_run *outer = finishing;
	struct session *s = r->s;

	s->run = NULL;
	/* What an earlier stage wants deferred, the last one defers. */
	if (ok && r->if_permit.active) {
		if (r->stage < STAGE_RCPT) {
			mem_free(s->deferral);
			s->deferral = mem_strdup(r->if_permit.text);
		} else {
			r->text = r->if_permit.text;
			log_line(r, "reject", r->text);
			ok = false;
		}
	}
	finishing = r;
	/* It may be the end of the session. */
	r->done(s, ok, r->text);
	finishing = outer;
	run_free(r);
}

const struct policy_rcpt *
policy_recipient(const struct session *s)
{
	return finishing == NULL ? NULL : &finishing->out;
}

static bool
push(struct policy_run *r, const struct rules *list, bool warn)
{
	if (r->depth == POLICY_DEPTH_MAX)
		return false;
	r->frames[r->depth++] = (struct frame){
		.list = list, .warn_all = warn
	};
	return true;
}

/* smtpd_log_access_permit_actions names restrictions. */
static void
log_permit(struct policy_run *r, const struct rule *rule)
{
	if (policy_logs_permit(rule->def->name))
		policy_log(r, "permit", "action=%s for %s=%s",
		    rule->def->name, policy_class_text(r->flavour),
		    policy_reply_name(r, r->flavour));
}

static void
step(struct policy_run *r)
{
	const struct rule *rule;
	enum verdict v;
	struct frame *f;
	bool warn;

	r->stepping = true;
	for (;;) {
		if (r->depth == 0) {
			if (r->discard || r->plan->list == NULL) {
				finish(r, true);
				return;
			}
			r->flavour = r->plan->flavour;
			r->if_reject.active = false;
			(void)push(r, r->plan++->list, false);
		}
		f = &r->frames[r->depth - 1];
		if (f->next >= f->list->n) {
			r->depth--;
			continue;
		}
		rule = &f->list->v[f->next];
		r->rule = rule;
		r->warn = f->warn || f->warn_all;
		r->rule_text = rule->text;
		r->dns_wait = false;
		r->patience_ms = 0;
		v = rule->def->eval(r, rule);
		if (v == V_WAIT) {
			if (r->s->wait == WAIT_NONE)
				session_wait(r->s, WAIT_POLICY);
			if (r->patience_ms > 0)
				session_patience(r->s, r->patience_ms);
			r->stepping = false;
			return;
		}
		r->sub = 0;
		r->have_table = false;
		f->next++;
		warn = f->warn || f->warn_all;
		if (rule->def->eval == eval_warn)
			f->warn = true;
		else
			f->warn = false;
		if (v == V_ENTER && (!push(r, r->enter, warn) ||
		    ++r->rules_done > POLICY_RULES_MAX)) {
			log_warning("%s: restriction lists are nested too "
			    "deeply", rule->text);
			v = policy_reject(r, 451, "4.3.5",
			    "Server configuration error");
		}
		if (v == V_PERMIT) {
			log_permit(r, rule);
			r->depth = 0;
		}
		if (v == V_REJECT) {
			finish(r, false);
			return;
		}
	}
}

static void
set_recipient(struct policy_run *r, struct span addr)
{
	struct buf show = BUF_INIT(LOG_LINE_MAX);
	const char *t = address_show(addr, &show);

	r->rcpt = policy_keep(r, addr);
	r->rcpt_show = policy_keep(r, span_of(t));
	r->out.addr = r->rcpt;
	buf_fini(&show);
}

/*
 * Where our probes come from.  Another host may ask for it before it answers
 * one of them; when each verifies the other's sender, a refusal would be
 * remembered on both sides, and no mail get through.
 */
static bool
is_our_probe(enum stage stage, struct span rcpt)
{
	return stage == STAGE_RCPT && probe_sender_is(rcpt, clock_wall_s());
}

void
policy_start(struct session *s, enum stage stage, struct span arg,
    policy_fn *done)
{
	struct policy_run *r = mem_zalloc(sizeof(*r));

	r->s = s;
	r->stage = stage;
	r->done = done;
	r->arena = ARENA_INIT;
	policy_ask_init(r);
	r->plan = policy_plan(stage);
	s->run = r;
	if (stage == STAGE_RCPT || stage == STAGE_VRFY ||
	    stage == STAGE_ETRN) {
		set_recipient(r, arg);
		if (s->deferral != NULL) {
			r->if_permit.active = true;
			r->if_permit.text = arena_strdup(&r->arena,
			    s->deferral);
		}
		/* RFC 5321 4.5.1: always, and without a domain, too. */
		if (stage != STAGE_ETRN && (span_caseis(arg, "postmaster") ||
		    is_our_probe(stage, arg))) {
			r->if_permit.active = false;
			finish(r, true);
			return;
		}
	}
	/* A rule is about the only recipient, or about none. */
	if ((stage == STAGE_DATA || stage == STAGE_EOD) && s->txn != NULL &&
	    s->txn->env.rcpts.len == 1)
		set_recipient(r, s->txn->env.rcpts.v[0].addr);
	if ((s->txn != NULL && s->txn->discard)) {
		finish(r, true);
		return;
	}
	step(r);
}

void
policy_cancel(struct session *s)
{
	if (s->run == NULL)
		return;
	run_free(s->run);
	s->run = NULL;
}

void
policy_continue(struct policy_run *r)
{
	step(r);
}
