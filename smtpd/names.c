/* SPDX-License-Identifier: ISC */
/*
 * names - restrictions on names that must be in the DNS: of the client, of
 * HELO, of the sender's and the recipient's domain; and permit_mx_backup.
 *
 * Nothing is "unknown" because a name server failed: the mail is asked to
 * come again then (450), as $reject_tempfail_action says.
 */
#include "base/log.h"
#include "conf/params.h"
#include "mail/address.h"
#include "route/our.h"
#include "smtpd/restrict.h"

#define MX_LOOK_MAX	64	/* mail exchangers of a domain */

/* --- the client ------------------------------------------------------------------ */

static enum verdict
unknown_client(struct policy_run *r, enum name_status status,
    const char *dsn, const char *what)
{
	int code = status == NAME_TEMP ? 450 :
	    (int)conf.unknown_client_reject_code;

	if (status == NAME_OK)
		return V_DUNNO;
	return policy_reject(r, code, policy_dsn(r, code, dsn),
	    "Client host rejected: cannot find your %s, [%s]", what,
	    r->s->addr_text);
}

enum verdict
eval_unknown_client(struct policy_run *r, const struct rule *rule)
{
	return unknown_client(r, r->s->name_status, "4.7.25", "hostname");
}

enum verdict
eval_unknown_reverse(struct policy_run *r, const struct rule *rule)
{
	return unknown_client(r, r->s->reverse_status, "4.7.1",
	    "reverse hostname");
}

/* --- HELO, and domains ------------------------------------------------------------ */

enum known { KNOWN_WAIT, KNOWN_YES, KNOWN_NULL_MX, KNOWN_NO, KNOWN_FAILED };

/* The only mail exchanger is ".": RFC 7505. */
static bool
is_null_mx(const struct dns_answer *a)
{
	struct span rest = a->records;
	struct dns_rr rr;
	bool null = false;
	int rc;

	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		if (rc < 0)
			continue;
		if (rr.name[0] != '\0')
			return false;
		null = true;
	}
	return null;
}

/* Whether mail could go there: it has an MX, A or AAAA record. */
static enum known
is_known(struct policy_run *r, struct span name)
{
	static const enum dns_type types[] = { DNS_MX, DNS_A, DNS_AAAA };
	bool failed = false;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct dns_answer *a = policy_ask_dns(r, name, types[i]);

		if (a == NULL)
			return KNOWN_WAIT;
		if (a->status == RESOLVER_OK)
			return types[i] == DNS_MX && is_null_mx(a) ?
			    KNOWN_NULL_MX : KNOWN_YES;
		failed |= dns_temporary(a->status);
	}
	return failed ? KNOWN_FAILED : KNOWN_NO;
}

/* "Not found", for good (code) or for now. */
static enum verdict
not_found(struct policy_run *r, enum known k, enum flavour f, int code,
    const char *dsn, const char *tempfail, const char *what)
{
	const char *name = policy_reply_name(r, f);
	const char *class = policy_class_text(f);

	if (k == KNOWN_NO)
		return policy_reject(r, code, policy_dsn(r, code, dsn),
		    "<%s>: %s rejected: %s not found", name, class, what);
	if (strcmp(tempfail, "defer") == 0)
		return policy_reject(r, 450, dsn,
		    "<%s>: %s rejected: %s not found", name, class, what);
	policy_defer_if(r, &r->if_permit, 450, dsn,
	    "<%s>: %s rejected: %s not found", name, class, what);
	return V_DUNNO;
}

enum verdict
eval_unknown_helo(struct policy_run *r, const struct rule *rule)
{
	const char *helo = r->s->helo;
	enum known k;

	if (helo == NULL)
		return V_DUNNO;
	if (helo[0] == '[')
		return eval_invalid_helo(r, rule);
	switch (k = is_known(r, span_of(helo))) {
	case KNOWN_WAIT:
		return V_WAIT;
	case KNOWN_YES:
	case KNOWN_NULL_MX:		/* it sends, and receives nothing */
		return V_DUNNO;
	default:
		return not_found(r, k, FOR_HELO,
		    (int)conf.unknown_hostname_reject_code, "4.7.1",
		    conf.unknown_helo_hostname_tempfail_action, "Host");
	}
}

enum verdict
eval_unknown_domain(struct policy_run *r, const struct rule *rule)
{
	enum flavour f = (enum flavour)rule->def->flavour;
	bool sender = f == FOR_SENDER;
	const struct session *s = r->s;
	const struct answer *a;
	struct span local, domain;
	enum known k;
	int code;

	if (sender ? s->txn == NULL || s->txn->env.sender.len == 0 :
	    r->rcpt.len == 0)
		return V_DUNNO;
	a = sender ? policy_need_sender(r) : policy_need_rcpt(r);
	if (a == NULL)
		return V_WAIT;
	if (a->status != ANSWER_OK)
		return policy_not_resolved(r, a, f);
	/* Where we deliver ourselves the DNS need not know. */
	address_split(a->address, &local, &domain);
	if (domain.len == 0 || domain.p[0] == '[' ||
	    (a->class != CLASS_DEFAULT && a->class != CLASS_RELAY))
		return V_DUNNO;
	switch (k = is_known(r, domain)) {
	case KNOWN_WAIT:
		return V_WAIT;
	case KNOWN_YES:
		return V_DUNNO;
	case KNOWN_NULL_MX:
		code = sender ? 550 : 556;	/* RFC 7505 4.2, 5 */
		return policy_reject(r, code, sender ? "5.7.27" : "5.1.10",
		    "<%s>: %s rejected: Domain %.*s does not accept mail "
		    "(nullMX)", policy_reply_name(r, f),
		    policy_class_text(f), SPAN_ARG(domain));
	default:
		return not_found(r, k, f,
		    (int)conf.unknown_address_reject_code,
		    sender ? "4.1.8" : "4.1.2",
		    conf.unknown_address_tempfail_action, "Domain");
	}
}

/* --- permit_mx_backup ----------------------------------------------------------------- */

enum tri { NO, YES, WAIT };

/* No word from the DNS is no reason to turn mail away for good. */
static void
unsure(struct policy_run *r, const char *what, enum resolver_status status)
{
	policy_defer_if(r, &r->if_reject, 450, "4.4.4",
	    "<%s>: %s rejected: Unable to look up %s: %s",
	    policy_reply_name(r, FOR_RCPT), policy_class_text(FOR_RCPT), what,
	    dns_status_text(status));
}

/*
 * Go through the addresses of host.  any: whether one of them is ours;
 * otherwise whether all are in permit_mx_backup_networks.
 */
static enum tri
look_at_host(struct policy_run *r, const char *host, bool any)
{
	const struct dns_answer *a[2] = {
		policy_ask_dns(r, span_of(host), DNS_A),
		policy_ask_dns(r, span_of(host), DNS_AAAA)
	};
	struct sock_addr addr;
	struct dns_rr rr;
	size_t n = 0;
	int rc;

	if (a[0] == NULL || a[1] == NULL)
		return WAIT;
	for (int i = 0; i < 2; i++) {
		struct span rest = a[i]->records;

		while ((rc = dns_next(a[i], &rest, &rr)) != 0) {
			if (rc < 0)
				continue;
			n++;
			dns_address(&rr, &addr);
			if (any && our_address(&addr))
				return YES;
			if (!any && !policy_list_has_addr(LIST_MX_BACKUP,
			    &addr, host))
				return NO;
		}
	}
	for (int i = 0; i < 2; i++)
		if (dns_temporary(a[i]->status)) {
			unsure(r, any ? arena_printf(&r->arena,
			    "mail exchanger host %s", host) :
			    arena_printf(&r->arena,
			    "host %s as mail exchanger", host),
			    a[i]->status);
			return NO;
		}
	return !any && n > 0 ? YES : NO;
}

/* The hosts of an answer; how many. */
static size_t
exchangers(const struct dns_answer *a, struct dns_rr out[MX_LOOK_MAX])
{
	struct span rest = a->records;
	size_t n = 0;
	int rc;

	while (n < MX_LOOK_MAX && (rc = dns_next(a, &rest, &out[n])) != 0)
		n += rc > 0 && out[n].name[0] != '\0';
	return n;
}

static enum tri
am_exchanger(struct policy_run *r, const struct dns_rr *mx, size_t n)
{
	struct why why = WHY_INIT;
	bool wait = false;

	/* By name first: that costs nothing. */
	for (size_t i = 0; i < n; i++)
		if (our_domain(span_of(mx[i].name), &why) == 1)
			return YES;
	for (size_t i = 0; i < n; i++) {
		switch (look_at_host(r, mx[i].name, true)) {
		case YES:
			return YES;
		case WAIT:
			wait = true;	/* ask for the others meanwhile */
			break;
		case NO:
			break;
		}
	}
	return wait ? WAIT : NO;
}

static enum tri
all_allowed(struct policy_run *r, const struct dns_rr *mx, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum tri t = look_at_host(r, mx[i].name, false);

		if (t != YES)
			return t;
	}
	return YES;
}

/* Put the best ones first; how many these are. */
static size_t
best_first(struct dns_rr *mx, size_t n)
{
	uint16_t best = UINT16_MAX;
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		best = MIN(best, mx[i].pref);
	for (size_t i = 0; i < n; i++)
		if (mx[i].pref == best) {
			struct dns_rr t = mx[at];

			mx[at++] = mx[i];
			mx[i] = t;
		}
	return at;
}

/*
 * Whether we are a mail exchanger, but none of the best: those would have to
 * know the domain as theirs.
 */
static enum tri
is_backup(struct policy_run *r, struct dns_rr *mx, size_t n)
{
	size_t best = best_first(mx, n);
	enum tri t = am_exchanger(r, mx, best);

	if (t != NO)
		return t == YES ? NO : t;
	t = am_exchanger(r, mx + best, n - best);
	if (t == YES && conf.permit_mx_backup_networks[0] != '\0')
		t = all_allowed(r, mx, best);
	return t;
}

enum verdict
eval_mx_backup(struct policy_run *r, const struct rule *rule)
{
	const struct dns_answer *d;
	const struct answer *a;
	struct span local, domain;
	struct dns_rr *mx;
	enum tri t;

	if (r->rcpt.len == 0)
		return V_DUNNO;
	if ((a = policy_need_rcpt(r)) == NULL)
		return V_WAIT;
	if (a->status != ANSWER_OK)
		return policy_not_resolved(r, a, FOR_RCPT);
	if (a->routed && !conf.allow_untrusted_routing)
		return V_DUNNO;
	if (a->class != CLASS_DEFAULT)
		return V_PERMIT;
	address_split(a->address, &local, &domain);
	if (domain.len == 0 || domain.p[0] == '[')
		return V_DUNNO;
	if ((d = policy_ask_dns(r, domain, DNS_MX)) == NULL)
		return V_WAIT;
	if (dns_temporary(d->status)) {
		unsure(r, "mail exchanger information", d->status);
		return V_DUNNO;
	}
	mx = arena_alloc(&r->arena, MX_LOOK_MAX * sizeof(*mx));
	t = is_backup(r, mx, exchangers(d, mx));
	return t == WAIT ? V_WAIT : t == YES ? V_PERMIT : V_DUNNO;
}
