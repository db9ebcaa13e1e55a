/* SPDX-License-Identifier: ISC */
/*
 * plan - what a decision goes through: the restriction lists of main.cf in
 * the order of each stage, and the lists of clients that were read at the
 * start.
 */
#include "base/array.h"
#include "base/log.h"
#include "conf/params.h"
#include "conf/table.h"
#include "conf/words.h"
#include "daemon/daemon.h"
#include "smtpd/policy.h"
#include "smtpd/restrict.h"

#define PLAN_MAX	10

/* All lists of main.cf, also those that no stage uses; kept for good. */
static ARRAY(struct rules *) compiled;
static struct plan plans[STAGE_COUNT][PLAN_MAX];
static struct match_list *lists[LIST_COUNT];
static bool has_names[LIST_COUNT];
static struct match_list *log_permits;

const struct plan *
policy_plan(enum stage s)
{
	return plans[s];
}

bool
policy_logs_permit(const char *restriction)
{
	struct why why = WHY_INIT;

	return conf.smtpd_log_access_permit_actions[0] != '\0' &&
	    match_list_string(log_permits, span_of(restriction), &why) == 1;
}

/* --- restriction lists ------------------------------------------------------------ */

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

/* --- lists of clients ------------------------------------------------------------- */

static bool
is_address(struct span word)
{
	struct why why = WHY_INIT;
	struct sock_net net;

	while (word.len > 0 && word.p[0] == '!')
		word = span_from(word, 1);
	return sock_net_parse(word, &net, &why) == 0;
}

static bool
names_in(const char *value)
{
	struct span rest = span_of(value), word;

	while (words_next(&rest, &word) != 0)
		if (!is_address(word))
			return true;
	return false;
}

bool
policy_list_has_names(enum policy_list l)
{
	return has_names[l];
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
		has_names[i] = names_in(all[i].value);
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
