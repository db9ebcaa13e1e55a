/* SPDX-License-Identifier: ISC */
/*
 * policy - restriction lists at work: which lists a stage goes through, the
 * stack of a run, what a rejection becomes, and the log of every decision.
 */
#include <stdarg.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "mail/address.h"
#include "smtpd/policy.h"
#include "smtpd/restrict.h"

#define PLAN_MAX	10

/* All lists of main.cf, also those that no stage uses; kept for good. */
static ARRAY(struct rules *) compiled;
static struct plan plans[STAGE_COUNT][PLAN_MAX];
static struct match_list *lists[LIST_COUNT];
static struct match_list *log_permits;
static struct policy_run *finishing;

/* --- set-up ---------------------------------------------------------------------- */

static void
config_problem(const char *origin, const char *text)
{
	log_error("%s: %s", origin, text);
}

static struct rules *
load(const char *title, const char *value, int *errors)
{
	struct rules *r = rules_compile(title, params_origin(title),
	    span_of(value), NULL, config_problem);

	if (r == NULL)
		++*errors;
	else
		*ARRAY_PUSH(&compiled) = r;
	return r;
}

static void
plan_add(enum stage s, const struct rules *r, enum flavour f)
{
	size_t i = 0;

	if (r == NULL || r->n == 0)
		return;
	while (plans[s][i].list != NULL)
		i++;
	if (i + 1 >= PLAN_MAX)
		log_panic("a stage has too many lists");
	plans[s][i] = (struct plan){ r, f };
}

static bool
check_unknown(void)
{
	struct span rest = span_of(conf.receive_override_options), w;

	while (span_token(&rest, ", \t\r\n", &w))
		if (span_caseis(w, "no_unknown_recipient_checks"))
			return false;
	return true;
}

/* Whether anybody could be over a quota: else nobody is asked. */
static bool
have_quotas(void)
{
	return conf.quota_maps[0] != '\0' ||
	    conf.quota_storage_limit != PARAM_UNLIMITED ||
	    conf.quota_message_limit != PARAM_UNLIMITED;
}

/*
 * Whether a list ends what it has not permitted.  Without one such list
 * every stranger could send mail to everywhere through us.
 */
static bool
stops_strangers(const struct rules *r)
{
	static const char *const enough[] = {
		"reject", "defer", "defer_if_permit",
		"reject_unauth_destination", "defer_unauth_destination",
	};
	bool warn = false;

	for (size_t i = 0; r != NULL && i < r->n; i++) {
		const struct rule *rule = &r->v[i];

		if (rule->def->eval == eval_warn) {
			warn = true;
			continue;
		}
		if (warn) {
			warn = false;
			continue;
		}
		if (rule->list != NULL && stops_strangers(rule->list))
			return true;
		for (size_t k = 0; k < ARRAY_LEN(enough); k++)
			if (strcmp(rule->def->name, enough[k]) == 0)
				return true;
	}
	return false;
}

static void
check_relay(const struct rules *relay, const struct rules *rcpt, int *errors)
{
	if (stops_strangers(relay) || stops_strangers(rcpt))
		return;
	log_error("%s: smtpd_relay_restrictions or "
	    "smtpd_recipient_restrictions must contain one of "
	    "reject_unauth_destination, defer_unauth_destination, reject, "
	    "defer, defer_if_permit: everybody could relay",
	    params_origin("smtpd_relay_restrictions"));
	++*errors;
}

int
policy_compile(struct why *why)
{
	struct rules *client, *helo, *sender, *relay, *rcpt, *data, *eod,
	    *etrn, *unlisted_rcpt = NULL, *unlisted_sender = NULL,
	    *full = NULL;
	bool delay = conf.smtpd_delay_reject;
	int errors = 0;

	if (rules_load_classes(config_problem) < 0)
		errors++;
	client = load("smtpd_client_restrictions",
	    conf.smtpd_client_restrictions, &errors);
	helo = load("smtpd_helo_restrictions", conf.smtpd_helo_restrictions,
	    &errors);
	sender = load("smtpd_sender_restrictions",
	    conf.smtpd_sender_restrictions, &errors);
	relay = load("smtpd_relay_restrictions",
	    conf.smtpd_relay_restrictions, &errors);
	rcpt = load("smtpd_recipient_restrictions",
	    conf.smtpd_recipient_restrictions, &errors);
	data = load("smtpd_data_restrictions", conf.smtpd_data_restrictions,
	    &errors);
	eod = load("smtpd_end_of_data_restrictions",
	    conf.smtpd_end_of_data_restrictions, &errors);
	etrn = load("smtpd_etrn_restrictions", conf.smtpd_etrn_restrictions,
	    &errors);
	if (errors == 0)
		check_relay(relay, rcpt, &errors);
	if (errors > 0)
		return why_set(why, "4.3.5", "%d restriction lists have "
		    "errors", errors);
	if (conf.smtpd_reject_unlisted_recipient && check_unknown())
		unlisted_rcpt = rules_builtin(
		    "smtpd_reject_unlisted_recipient",
		    "reject_unlisted_recipient");
	if (conf.mailbox_quota_check_at_rcpt && have_quotas())
		full = rules_builtin("mailbox_quota_check_at_rcpt",
		    "reject_over_quota");
	if (conf.smtpd_reject_unlisted_sender)
		unlisted_sender = rules_builtin(
		    "smtpd_reject_unlisted_sender",
		    "reject_unlisted_sender");
	if (!delay) {
		plan_add(STAGE_CONNECT, client, FOR_CLIENT);
		plan_add(STAGE_HELO, helo, FOR_HELO);
		plan_add(STAGE_MAIL, sender, FOR_SENDER);
		plan_add(STAGE_MAIL, unlisted_sender, FOR_SENDER);
	}
	for (int i = 0; i < 2; i++) {
		enum stage s = i == 0 ? STAGE_RCPT : STAGE_VRFY;
		bool relay_first =
		    conf.smtpd_relay_before_recipient_restrictions;

		if (delay) {
			plan_add(s, client, FOR_CLIENT);
			plan_add(s, helo, FOR_HELO);
			plan_add(s, sender, FOR_SENDER);
			plan_add(s, unlisted_sender, FOR_SENDER);
		}
		plan_add(s, relay_first ? relay : rcpt, FOR_RCPT);
		plan_add(s, relay_first ? rcpt : relay, FOR_RCPT);
		plan_add(s, unlisted_rcpt, FOR_RCPT);
		if (s == STAGE_RCPT)
			plan_add(s, full, FOR_RCPT);
	}
	if (delay) {
		plan_add(STAGE_ETRN, client, FOR_CLIENT);
		plan_add(STAGE_ETRN, helo, FOR_HELO);
	}
	plan_add(STAGE_ETRN, etrn, FOR_ETRN);
	plan_add(STAGE_DATA, data, FOR_DATA);
	plan_add(STAGE_EOD, eod, FOR_EOD);
	return 0;
}

int
policy_open(struct why *why)
{
	const struct {
		const char *title, *value;
	} all[LIST_COUNT] = {
		[LIST_MYNETWORKS] = { "mynetworks", conf.mynetworks },
		[LIST_XCLIENT] = { "smtpd_authorized_xclient_hosts",
		    conf.smtpd_authorized_xclient_hosts },
		[LIST_XFORWARD] = { "smtpd_authorized_xforward_hosts",
		    conf.smtpd_authorized_xforward_hosts },
		[LIST_NEWLINE] = { "smtpd_forbid_bare_newline_exclusions",
		    conf.smtpd_forbid_bare_newline_exclusions },
		[LIST_LIMITS] = { "smtpd_client_event_limit_exceptions",
		    conf.smtpd_client_event_limit_exceptions },
		[LIST_SASL_EXCEPTIONS] = { "smtpd_sasl_exceptions_networks",
		    conf.smtpd_sasl_exceptions_networks },
		[LIST_MX_BACKUP] = { "permit_mx_backup_networks",
		    conf.permit_mx_backup_networks },
	};

	for (int i = 0; i < LIST_COUNT; i++) {
		lists[i] = match_list_new(all[i].title, all[i].value, 0, why);
		if (daemon_judge(lists[i] == NULL ? -1 : 0, why) < 0)
			return -1;
	}
	log_permits = match_list_new("smtpd_log_access_permit_actions",
	    conf.smtpd_log_access_permit_actions, 0, why);
	if (daemon_judge(log_permits == NULL ? -1 : 0, why) < 0)
		return -1;
	return restrict_open(why);
}

bool
policy_list_has(enum policy_list l, const struct session *s)
{
	struct why why = WHY_INIT;
	int rc = match_list_addr(lists[l], &s->addr, &why);

	if (rc == 0 && l != LIST_MYNETWORKS && strcmp(s->name, "unknown") != 0)
		rc = match_list_string(lists[l], span_of(s->name), &why);
	if (rc < 0)
		log_warning("%s: a list of clients cannot be read: %s; the "
		    "client is taken for a stranger", s->namaddr, why.text);
	return rc == 1;
}

bool
policy_list_has_addr(enum policy_list l, const struct sock_addr *a,
    const char *name)
{
	struct why why = WHY_INIT;
	int rc = match_list_addr(lists[l], a, &why);

	if (rc == 0)
		rc = match_list_string(lists[l], span_of(name), &why);
	if (rc < 0)
		log_warning("a list of hosts cannot be read: %s; %s is taken "
		    "for a stranger", why.text, name);
	return rc == 1;
}

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

static const char *
stage_text(const struct policy_run *r)
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
	    stage_text(r), s->namaddr, text);
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

/* --- asking -------------------------------------------------------------------------- */

static void step(struct policy_run *r);

static struct span
keep(struct policy_run *r, struct span s)
{
	return s.len == 0 ? SPAN_EMPTY :
	    span_make(arena_span_dup(&r->arena, s), s.len);
}

static void
answered(struct ask *ask, const struct answer *got)
{
	struct policy_run *r = CONTAINER_OF(ask, struct policy_run, ask);
	struct answer a = *got;

	a.text = keep(r, a.text);
	a.address = keep(r, a.address);
	a.relocated = keep(r, a.relocated);
	a.rule = keep(r, a.rule);
	a.nexthop = keep(r, a.nexthop);
	a.value = keep(r, a.value);
	switch (r->asked) {
	case ASKED_RCPT:
		r->have_rcpt = true;
		r->rcpt_answer = a;
		if (a.status == ANSWER_OK && a.address.len > 0)
			r->out.addr = a.address;
		break;
	case ASKED_SENDER:
		r->have_sender = true;
		r->sender_answer = a;
		break;
	default:
		r->have_table = true;
		r->table = a;
		break;
	}
	r->asked = ASKED_NONE;
	if (!r->stepping)
		step(r);
}

const struct answer *
policy_need_rcpt(struct policy_run *r)
{
	if (!r->have_rcpt) {
		r->asked = ASKED_RCPT;
		lookup_resolve(&r->ask, r->rcpt, true);
	}
	return r->have_rcpt ? &r->rcpt_answer : NULL;
}

const struct answer *
policy_need_sender(struct policy_run *r)
{
	if (!r->have_sender) {
		r->asked = ASKED_SENDER;
		lookup_resolve(&r->ask, r->s->txn->env.sender, true);
	}
	return r->have_sender ? &r->sender_answer : NULL;
}

const struct answer *
policy_ask_table(struct policy_run *r, struct span table)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		lookup_table(&r->ask, table, &r->keys);
		if (!r->have_table)
			return NULL;
	}
	r->have_table = false;
	return &r->table;
}

const struct answer *
policy_ask_room(struct policy_run *r, struct span addr, uint64_t bytes)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		lookup_room(&r->ask, addr, bytes);
		if (!r->have_table)
			return NULL;
	}
	r->have_table = false;
	return &r->table;
}

const struct answer *
policy_ask_verify(struct policy_run *r, struct span addr)
{
	if (!r->have_table) {
		r->asked = ASKED_TABLE;
		verify_ask(&r->ask, addr);
		if (!r->have_table)
			return NULL;
	}
	r->have_table = false;
	return &r->table;
}

static void
got_dns(void *arg, const struct dns_answer *a)
{
	struct policy_dns *d = arg;
	struct policy_run *r = d->r;

	d->q = NULL;
	d->answer = *a;
	d->answer.name = keep(r, a->name);
	d->answer.records = keep(r, a->records);
	d->answer.text = keep(r, a->text);
	/* An answer that nobody waits for any more is none to go on with. */
	if (r->dns_wait)
		step(r);
}

const struct dns_answer *
policy_ask_dns(struct policy_run *r, struct span name, enum dns_type type)
{
	static const struct dns_answer too_many = {
		.status = RESOLVER_REFUSED
	};
	struct policy_dns *d;

	LIST_FOREACH(l, &r->dns) {
		d = LIST_ENTRY(l, struct policy_dns, link);
		if (d->type != type || !span_caseeq(d->name, name))
			continue;
		if (d->q == NULL)
			return &d->answer;
		r->dns_wait = true;
		return NULL;
	}
	if (r->ndns == POLICY_DNS_MAX)
		return &too_many;
	r->ndns++;
	d = arena_zalloc(&r->arena, sizeof(*d));
	d->r = r;
	d->type = type;
	d->name = keep(r, name);
	list_append(&r->dns, &d->link);
	d->q = dns_ask(smtpd_dns(), d->name, type, type == DNS_A ||
	    type == DNS_AAAA ? RESOLVER_USE_HOSTS : 0, got_dns, d);
	r->dns_wait = true;
	return NULL;
}

/* --- running ------------------------------------------------------------------------- */

static void
run_free(struct policy_run *r)
{
	lookup_cancel(&r->ask);
	LIST_FOREACH(l, &r->dns) {
		dns_cancel(&LIST_ENTRY(l, struct policy_dns, link)->q);
	}
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
	struct why why = WHY_INIT;

	if (conf.smtpd_log_access_permit_actions[0] != '\0' &&
	    match_list_string(log_permits, span_of(rule->def->name),
	    &why) == 1)
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
		v = rule->def->eval(r, rule);
		if (v == V_WAIT) {
			if (r->s->wait == WAIT_NONE)
				session_wait(r->s, WAIT_POLICY);
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

void
policy_start(struct session *s, enum stage stage, struct span arg,
    policy_fn *done)
{
	struct policy_run *r = mem_zalloc(sizeof(*r));

	r->s = s;
	r->stage = stage;
	r->done = done;
	r->arena = ARENA_INIT;
	r->ask.fn = answered;
	list_init(&r->dns);
	r->plan = plans[stage];
	s->run = r;
	if (stage == STAGE_RCPT || stage == STAGE_VRFY ||
	    stage == STAGE_ETRN) {
		struct buf show = BUF_INIT(LOG_LINE_MAX);
		const char *t = address_show(arg, &show);

		r->rcpt = keep(r, arg);
		r->rcpt_show = keep(r, span_of(t));
		r->out.addr = r->rcpt;
		buf_fini(&show);
		if (s->deferral != NULL) {
			r->if_permit.active = true;
			r->if_permit.text = arena_strdup(&r->arena,
			    s->deferral);
		}
		/* RFC 5321 4.5.1: always, and without a domain, too. */
		if (stage != STAGE_ETRN && span_caseis(arg, "postmaster")) {
			r->if_permit.active = false;
			finish(r, true);
			return;
		}
	}
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
