/* SPDX-License-Identifier: ISC */
/*
 * restrict - see restrict.h.  Wording and codes are Postfix's: people's
 * tools look for them.
 */
#include <ifaddrs.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/words.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "route/our.h"
#include "smtpd/restrict.h"

static ARRAY(struct sock_addr) own;

int
restrict_open(struct why *why)
{
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) < 0)
		return why_errno(why, "4.3.0", "network interfaces");
	for (i = all; i != NULL; i = i->ifa_next) {
		struct sock_addr *a;

		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			a = ARRAY_PUSH(&own);
			memcpy(&a->in, i->ifa_addr, sizeof(a->in));
			a->len = sizeof(a->in);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			a = ARRAY_PUSH(&own);
			memcpy(&a->in6, i->ifa_addr, sizeof(a->in6));
			a->len = sizeof(a->in6);
		}
	}
	freeifaddrs(all);
	/* For permit_mx_backup, which an access table may name, too. */
	return our_open(why);
}

bool
restrict_nth_table(const char *list, unsigned n, struct span *out)
{
	struct span rest = span_of(list);

	while (words_next(&rest, out) != 0)
		if (n-- == 0)
			return true;
	return false;
}

/* --- permit, reject and their kin ----------------------------------------------------- */

enum verdict
eval_permit(struct policy_run *r, const struct rule *rule)
{
	return V_PERMIT;
}

enum verdict
eval_permit_mynetworks(struct policy_run *r, const struct rule *rule)
{
	return r->s->trusted ? V_PERMIT : V_DUNNO;
}

enum verdict
eval_permit_interfaces(struct policy_run *r, const struct rule *rule)
{
	const struct sock_addr *a = &r->s->addr;

	for (size_t i = 0; i < own.len; i++) {
		const struct sock_addr *o = &own.v[i];

		if (o->sa.sa_family != a->sa.sa_family)
			continue;
		if (a->sa.sa_family == AF_INET ?
		    a->in.sin_addr.s_addr == o->in.sin_addr.s_addr :
		    memcmp(&a->in6.sin6_addr, &o->in6.sin6_addr, 16) == 0)
			return V_PERMIT;
	}
	return V_DUNNO;
}

enum verdict
eval_permit_sasl(struct policy_run *r, const struct rule *rule)
{
	return r->s->login != NULL ? V_PERMIT : V_DUNNO;
}

/*
 * A certificate that relay_clientcerts lists, by its fingerprint or its key's.
 * Who made it does not matter then.
 */
enum verdict
eval_permit_cert(struct policy_run *r, const struct rule *rule)
{
	const struct answer *a;
	struct span table;

	for (; restrict_nth_table(conf.relay_clientcerts, r->sub, &table);
	    r->sub++) {
		if (!access_print_keys(r, PRINT_CERT_PKEY))
			return V_DUNNO;
		a = policy_ask_table(r, table);
		if (a == NULL)
			return V_WAIT;
		if (a->status != ANSWER_OK) {
			log_warning("%s: relay_clientcerts cannot be read: "
			    "%.*s", r->s->namaddr, SPAN_ARG(a->text));
			return policy_reject(r, 451, "4.3.0",
			    "<%s>: Temporary lookup failure",
			    policy_reply_name(r, FOR_CLIENT));
		}
		if (a->found)
			return V_PERMIT;
	}
	return V_DUNNO;
}

/* Those, and any that a CA of smtpd_tls_CAfile stands for. */
enum verdict
eval_permit_any_cert(struct policy_run *r, const struct rule *rule)
{
	const struct secured *sec = r->s->secured;

	return sec != NULL && sec->cert_trusted ? V_PERMIT :
	    eval_permit_cert(r, rule);
}

enum verdict
eval_reject(struct policy_run *r, const struct rule *rule)
{
	return policy_reject(r, (int)conf.reject_code,
	    conf.reject_code < 500 ? "4.7.1" : "5.7.1",
	    "<%s>: %s rejected: Access denied",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
}

enum verdict
eval_defer(struct policy_run *r, const struct rule *rule)
{
	return policy_reject(r, (int)conf.defer_code,
	    conf.defer_code < 500 ? "4.3.2" : "5.3.2",
	    "<%s>: %s rejected: Try again later",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
}

enum verdict
eval_defer_if_permit(struct policy_run *r, const struct rule *rule)
{
	policy_defer_if(r, &r->if_permit, 450, "4.7.0",
	    "<%s>: %s rejected: defer_if_permit requested",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
	return V_DUNNO;
}

enum verdict
eval_defer_if_reject(struct policy_run *r, const struct rule *rule)
{
	policy_defer_if(r, &r->if_reject, 450, "4.7.0",
	    "<%s>: %s rejected: defer_if_reject requested",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
	return V_DUNNO;
}

enum verdict
eval_warn(struct policy_run *r, const struct rule *rule)
{
	return V_DUNNO;			/* policy.c does it */
}

enum verdict
eval_class(struct policy_run *r, const struct rule *rule)
{
	r->enter = rule->list;
	return V_ENTER;
}

static void
slept(struct session *s)
{
	struct policy_run *r = s->run;

	if (r == NULL)
		return;
	r->sub = 1;
	policy_continue(r);
}

enum verdict
eval_sleep(struct policy_run *r, const struct rule *rule)
{
	if (r->sub == 1 || rule->number == 0)
		return V_DUNNO;
	session_delay(r->s, rule->number * 1000, slept);
	return V_WAIT;
}

/* --- where mail may go ------------------------------------------------------------------ */

/* Rejections that any rule about a resolved address can end in. */
enum verdict
policy_not_resolved(struct policy_run *r, const struct answer *a,
    enum flavour f)
{
	if (a->status == ANSWER_INVALID)
		return policy_reject(r, 501, f == FOR_RCPT ? "5.1.3" :
		    "5.1.7", "<%s>: %s rejected: %.*s",
		    policy_reply_name(r, f), policy_class_text(f),
		    SPAN_ARG(a->text.len > 0 ? a->text :
		    SPAN("bad address syntax")));
	log_warning("%s: address lookup for <%s> failed: %.*s",
	    r->s->namaddr, policy_reply_name(r, f), SPAN_ARG(a->text));
	return policy_reject(r, 451, "4.3.0",
	    "<%s>: Temporary lookup failure", policy_reply_name(r, f));
}

/*
 * Not for user%elsewhere@here and the like: here would pass it on, so that
 * relaying through us looks like mail for us.
 */
static bool
is_ours(const struct answer *a)
{
	return a->class != CLASS_DEFAULT &&
	    (!a->routed || conf.allow_untrusted_routing);
}

enum verdict
eval_permit_auth_dest(struct policy_run *r, const struct rule *rule)
{
	const struct answer *a;

	if (r->rcpt.len == 0)
		return V_DUNNO;
	a = policy_need_rcpt(r);
	if (a == NULL)
		return V_WAIT;
	if (a->status != ANSWER_OK)
		return policy_not_resolved(r, a, FOR_RCPT);
	return is_ours(a) ? V_PERMIT : V_DUNNO;
}

enum verdict
eval_relay(struct policy_run *r, const struct rule *rule)
{
	bool defer = rule->def->flavour == 1;
	int code = defer ? 454 : (int)conf.relay_domains_reject_code;
	const struct answer *a;

	if (r->rcpt.len == 0)
		return V_DUNNO;
	a = policy_need_rcpt(r);
	if (a == NULL)
		return V_WAIT;
	if (a->status != ANSWER_OK)
		return policy_not_resolved(r, a, FOR_RCPT);
	if (is_ours(a))
		return V_DUNNO;
	return policy_reject(r, code, code < 500 ? "4.7.1" : "5.7.1",
	    "<%s>: Relay access denied", policy_reply_name(r, FOR_RCPT));
}

/* --- who exists --------------------------------------------------------------------------- */

static int
unknown_code(unsigned class)
{
	switch (class) {
	case CLASS_LOCAL:
		return (int)conf.unknown_local_recipient_reject_code;
	case CLASS_VIRTUAL_ALIAS:
		return (int)conf.unknown_virtual_alias_reject_code;
	case CLASS_VIRTUAL_MAILBOX:
		return (int)conf.unknown_virtual_mailbox_reject_code;
	default:
		return (int)conf.unknown_relay_recipient_reject_code;
	}
}

static bool
is_postmaster(struct span addr)
{
	struct span local, domain, user, ext;

	address_split(addr, &local, &domain);
	if (conf.recipient_delimiter[0] != '\0' &&
	    address_split_ext(local, conf.recipient_delimiter, &user, &ext))
		local = user;
	return span_caseis(local, "postmaster");
}

/* transport_maps say "error:5.7.9 text": what the error(8) transport would
 * answer, at once. */
static enum verdict
refused_by_transport(struct policy_run *r, const struct answer *a)
{
	struct span rest = span_trim(a->nexthop), text = rest, code;
	char dsn[sizeof("5.999.999")];

	(void)snprintf(dsn, sizeof(dsn), "%s", a->refused < 500 ? "4.1.1" :
	    "5.1.1");
	if (span_token(&rest, " \t", &code) && dsn_code_valid(code) &&
	    code.len < sizeof(dsn)) {
		(void)snprintf(dsn, sizeof(dsn), "%c%.*s", dsn[0],
		    SPAN_ARG(span_from(code, 1)));
		text = span_trim(rest);
	}
	return policy_reject(r, a->refused, dsn, "<%s>: %s rejected: %.*s",
	    policy_reply_name(r, FOR_RCPT), policy_class_text(FOR_RCPT),
	    SPAN_ARG(text.len > 0 ? text : SPAN("Address is undeliverable")));
}

enum verdict
eval_unlisted(struct policy_run *r, const struct rule *rule)
{
	enum flavour f = (enum flavour)rule->def->flavour;
	bool *checked = f == FOR_RCPT ? &r->rcpt_checked : &r->sender_checked;
	const struct session *s = r->s;
	const struct answer *a;
	int code;

	if (*checked)
		return V_DUNNO;
	if (f == FOR_RCPT ? r->rcpt.len == 0 :
	    s->txn == NULL || s->txn->env.sender.len == 0)
		return V_DUNNO;
	a = f == FOR_RCPT ? policy_need_rcpt(r) : policy_need_sender(r);
	if (a == NULL)
		return V_WAIT;
	*checked = true;
	if (a->status != ANSWER_OK)
		return policy_not_resolved(r, a, f);
	if (a->relocated.len > 0)
		return policy_reject(r, 550, f == FOR_RCPT ? "5.1.6" :
		    "5.1.0", "<%s>: %s rejected: User has moved to %.*s",
		    policy_reply_name(r, f), policy_class_text(f),
		    SPAN_ARG(a->relocated));
	if (a->refused != 0 && f == FOR_RCPT)
		return refused_by_transport(r, a);
	if (a->listed)
		return V_DUNNO;
	/*
	 * RFC 5321 4.5.1: each domain we serve has a postmaster.  Where
	 * nobody has set one up, ours is meant.
	 */
	if (is_postmaster(a->address) && a->class != CLASS_DEFAULT) {
		if (f == FOR_RCPT)
			r->out.addr = SPAN("postmaster");
		return V_DUNNO;
	}
	code = unknown_code(a->class);
	r->rule_text = arena_printf(&r->arena, "%s%s%.*s", rule->text,
	    a->rule.len > 0 ? ":" : "", SPAN_ARG(a->rule));
	for (char *p = r->rule_text; *p != '\0'; p++)
		if (*p == ' ')
			*p = '_';
	/* rewrite's text names the table, or not, as the settings say. */
	return policy_reject(r, code, f == FOR_RCPT ?
	    (code < 500 ? "4.1.1" : "5.1.1") :
	    (code < 500 ? "4.1.0" : "5.1.0"),
	    "<%s>: %s rejected: %.*s", policy_reply_name(r, f),
	    policy_class_text(f), SPAN_ARG(a->text.len > 0 ? a->text :
	    SPAN("User unknown")));
}

/*
 * mailbox_quota_check_at_rcpt.  Where there is no answer the mail is taken:
 * the delivery agent looks again.
 */
enum verdict
eval_over_quota(struct policy_run *r, const struct rule *rule)
{
	const struct answer *a, *room;
	int code = (int)conf.quota_reject_code;

	if (r->rcpt.len == 0)
		return V_DUNNO;
	if ((a = policy_need_rcpt(r)) == NULL)
		return V_WAIT;
	if (a->status != ANSWER_OK || !a->listed || a->alias ||
	    a->class != CLASS_VIRTUAL_MAILBOX)
		return V_DUNNO;
	room = policy_ask_room(r, a->address, r->s->txn != NULL ?
	    r->s->txn->declared : 0);
	if (room == NULL)
		return V_WAIT;
	if (room->status != ANSWER_OK || room->room)
		return V_DUNNO;
	if (room->never && code < 500)
		code = 552;
	return policy_reject(r, code, code < 500 ? "4.2.2" : "5.2.2",
	    "<%s>: %s rejected: %.*s", policy_reply_name(r, FOR_RCPT),
	    policy_class_text(FOR_RCPT), SPAN_ARG(room->text));
}

/* --- how names look ---------------------------------------------------------------------- */

static bool
is_fqdn(struct span name)
{
	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	return parse_hostname_valid(name) && span_find(name, '.') > 0;
}

enum verdict
eval_non_fqdn(struct policy_run *r, const struct rule *rule)
{
	enum flavour f = (enum flavour)rule->def->flavour;
	const struct session *s = r->s;
	int code = (int)conf.non_fqdn_reject_code;
	const char *dsn = code < 500 ? "4.5.2" : "5.5.2";
	struct span addr, local, domain;

	if (f == FOR_HELO) {
		if (s->helo == NULL)
			return V_DUNNO;
		addr = span_of(s->helo);
		if (s->helo[0] == '[' ? address_literal_valid(addr) :
		    is_fqdn(addr))
			return V_DUNNO;
		return policy_reject(r, code, dsn,
		    "<%s>: Helo command rejected: need fully-qualified "
		    "hostname", s->helo);
	}
	if (f == FOR_SENDER)
		addr = s->txn == NULL ? SPAN_EMPTY : s->txn->env.sender;
	else
		addr = r->rcpt;
	if (addr.len == 0)
		return V_DUNNO;
	address_split(addr, &local, &domain);
	if (domain.p != NULL && domain.len > 0 && local.len > 0 &&
	    (domain.p[0] == '[' ? address_literal_valid(domain) :
	    is_fqdn(domain)))
		return V_DUNNO;
	return policy_reject(r, code, dsn,
	    "<%s>: %s rejected: need fully-qualified address",
	    policy_reply_name(r, f), policy_class_text(f));
}

enum verdict
eval_invalid_helo(struct policy_run *r, const struct rule *rule)
{
	const char *helo = r->s->helo;
	int code = (int)conf.invalid_hostname_reject_code;

	if (helo == NULL)
		return V_DUNNO;
	if (helo[0] == '[' ? address_literal_valid(span_of(helo)) :
	    parse_hostname_valid(span_of(helo)))
		return V_DUNNO;
	return policy_reject(r, code, code < 500 ? "4.5.2" : "5.5.2",
	    "<%s>: Helo command rejected: Invalid name", helo);
}

/* Deprecated: a bare address as the name in HELO. */
enum verdict
eval_naked_addr(struct policy_run *r, const struct rule *rule)
{
	const char *helo = r->s->helo;
	struct sock_addr a;

	return helo != NULL && sock_addr_parse(span_of(helo), 0, &a) == 0 ?
	    V_PERMIT : V_DUNNO;
}

/* --- how the client behaves ---------------------------------------------------------------- */

enum verdict
eval_pipelining(struct policy_run *r, const struct rule *rule)
{
	if (!r->s->ill_pipelined)
		return V_DUNNO;
	return policy_reject(r, 503, "5.5.0", "<%s>: %s rejected: Improper "
	    "use of SMTP command pipelining",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
}

enum verdict
eval_multi_bounce(struct policy_run *r, const struct rule *rule)
{
	const struct txn *t = r->s->txn;
	int code = (int)conf.multi_recipient_bounce_reject_code;

	if ((r->stage != STAGE_DATA && r->stage != STAGE_EOD) || t == NULL ||
	    t->env.sender.len > 0 || t->env.rcpts.len < 2)
		return V_DUNNO;
	return policy_reject(r, code, code < 500 ? "4.5.3" : "5.5.3",
	    "<%s>: %s rejected: Multi-recipient bounce",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
}

enum verdict
eval_plaintext(struct policy_run *r, const struct rule *rule)
{
	int code = (int)conf.plaintext_reject_code;

	if (r->s->secured != NULL)
		return V_DUNNO;
	return policy_reject(r, code, code < 500 ? "4.7.1" : "5.7.1",
	    "<%s>: %s rejected: Session encryption is required",
	    policy_reply_name(r, r->flavour), policy_class_text(r->flavour));
}
