/* SPDX-License-Identifier: ISC */
/*
 * servers - check_*_mx_access, _ns_access and _a_access: access(5) tables
 * with the servers of a domain, by name and by address.
 *
 * Who may send cannot depend on where strangers let their records point to:
 * such a table can refuse, and an OK in it is an error.
 */
#include "base/log.h"
#include "conf/params.h"
#include "mail/address.h"
#include "smtpd/restrict.h"

#define SERVERS_MAX	64	/* of a domain that are looked at */

/* One table, many keys: each is a question, and r->sub counts those that
 * are answered. */
struct walk {
	struct policy_run *r;
	const struct rule *rule;
	enum flavour	 flavour;
	unsigned	 at;
};

static enum verdict
forbid_ok(struct walk *w, enum verdict v)
{
	if (v != V_PERMIT)
		return v;
	log_warning("restriction %s returns OK for %s: this is not allowed "
	    "for security reasons, use DUNNO instead of OK",
	    w->rule->def->name, policy_reply_name(w->r, w->flavour));
	return policy_reject(w->r, 451, "4.3.5",
	    "Server configuration error");
}

/* True: *v says how it ends (or waits). */
static bool
look_up(struct walk *w, struct span key, bool is_addr, enum verdict *v)
{
	struct policy_run *r = w->r;
	const struct answer *a;

	if (w->at++ < r->sub)
		return false;
	r->keys.n = 0;
	r->keys.nwhole = 1;
	if (is_addr)
		access_addr_keys(&r->keys, &r->arena, key);
	else
		access_domain_keys(&r->keys, &r->arena, key);
	if ((a = policy_ask_table(r, w->rule->arg)) == NULL) {
		*v = V_WAIT;
		return true;
	}
	if (a->status != ANSWER_OK) {
		log_warning("%s: table %.*s cannot be read: %.*s",
		    r->s->namaddr, SPAN_ARG(w->rule->arg), SPAN_ARG(a->text));
		*v = policy_reject(r, 451, "4.3.5",
		    "<%s>: %s rejected: Server configuration error",
		    policy_reply_name(r, w->flavour),
		    policy_class_text(w->flavour));
		return true;
	}
	if (a->found) {
		*v = forbid_ok(w, access_result(r, w->rule, a->value, key,
		    w->flavour));
		return true;
	}
	r->sub++;
	return false;
}

/* The addresses of a host. */
static bool
look_up_host(struct walk *w, struct span host, enum verdict *v)
{
	const struct dns_answer *a[2] = {
		policy_ask_dns(w->r, host, DNS_A),
		policy_ask_dns(w->r, host, DNS_AAAA)
	};
	char text[SOCK_ADDR_TEXT_MAX];
	struct sock_addr addr;
	struct dns_rr rr;
	int rc;

	if (a[0] == NULL || a[1] == NULL) {
		*v = V_WAIT;
		return true;
	}
	for (int i = 0; i < 2; i++) {
		struct span rest = a[i]->records;

		while ((rc = dns_next(a[i], &rest, &rr)) != 0) {
			if (rc < 0)
				continue;
			dns_address(&rr, &addr);
			sock_addr_text(&addr, text);
			if (look_up(w, span_of(text), true, v))
				return true;
		}
	}
	if (a[0]->records.len == 0 && a[1]->records.len == 0)
		log_info("%s: unable to look up host %.*s: %s",
		    w->r->s->namaddr, SPAN_ARG(host),
		    dns_status_text(dns_temporary(a[0]->status) ?
		    a[0]->status : a[1]->status));
	return false;
}

/*
 * The servers' records: of the domain, and for NS of the parent that has
 * some.  NULL with *v V_WAIT, or with V_DUNNO where there are none.
 */
static const struct dns_answer *
records(struct walk *w, struct span domain, enum dns_type type,
    enum verdict *v)
{
	const struct dns_answer *a;
	ptrdiff_t dot;

	for (;;) {
		a = policy_ask_dns(w->r, domain, type);
		if (a == NULL) {
			*v = V_WAIT;
			return NULL;
		}
		if (a->status == RESOLVER_OK)
			return a;
		dot = span_find(domain, '.');
		if (type != DNS_NS || a->status != RESOLVER_NODATA || dot < 0)
			break;
		domain = span_from(domain, (size_t)dot + 1);
	}
	if (dns_temporary(a->status))
		log_warning("Unable to look up %s host for %.*s: %s",
		    dns_type_name(type), SPAN_ARG(domain),
		    dns_status_text(a->status));
	*v = V_DUNNO;
	return type == DNS_MX && a->status == RESOLVER_NODATA ? a : NULL;
}

/* "[192.0.2.1]" is its own server. */
static enum verdict
literal(struct walk *w, struct span domain)
{
	struct span in = span_sub(domain, 1, domain.len - 2);
	char text[SOCK_ADDR_TEXT_MAX];
	enum verdict v = V_DUNNO;
	struct sock_addr a;

	if (span_casestarts(in, SPAN("IPv6:")))
		in = span_from(in, 5);
	if (domain.p[domain.len - 1] != ']' || sock_addr_parse(in, 0, &a) < 0)
		return V_DUNNO;
	sock_addr_text(&a, text);
	(void)look_up(w, span_of(text), true, &v);
	return v;
}

/* Whom the rule is about; "" when there is nobody. */
static struct span
subject(struct policy_run *r, enum flavour f)
{
	const struct session *s = r->s;
	struct span addr, local, domain;

	switch (f) {
	case FOR_CLIENT:
		return s->name_status == NAME_OK ? span_of(s->name) :
		    SPAN_EMPTY;
	case FOR_REVERSE:
		return span_of(s->reverse_name);
	case FOR_HELO:
		return span_of(s->helo);
	case FOR_SENDER:
		addr = s->txn == NULL ? SPAN_EMPTY : s->txn->env.sender;
		break;
	default:
		addr = r->rcpt;
		break;
	}
	address_split(addr, &local, &domain);
	return domain;
}

enum verdict
eval_servers(struct policy_run *r, const struct rule *rule)
{
	struct walk w = {
		.r = r, .rule = rule,
		.flavour = (enum flavour)(rule->def->flavour & 0xff),
	};
	enum dns_type type = (enum dns_type)(rule->def->flavour >> 8);
	struct span domain = subject(r, w.flavour), rest;
	const struct dns_answer *a;
	enum verdict v = V_DUNNO;
	struct dns_rr rr;
	int rc;

	if (domain.len > 1 && domain.p[domain.len - 1] == '.')
		domain.len--;
	if (domain.len == 0)
		return V_DUNNO;
	if (domain.p[0] == '[')
		return type == DNS_NS ? V_DUNNO : literal(&w, domain);
	if (type == DNS_A)
		return look_up_host(&w, domain, &v) ? v : V_DUNNO;
	if ((a = records(&w, domain, type, &v)) == NULL)
		return v;
	if (a->status != RESOLVER_OK) {
		/* Without exchangers the host itself is it (RFC 5321 5.1). */
		return look_up(&w, domain, false, &v) ||
		    look_up_host(&w, domain, &v) ? v : V_DUNNO;
	}
	rest = a->records;
	for (unsigned n = 0; n < SERVERS_MAX &&
	    (rc = dns_next(a, &rest, &rr)) != 0; n++) {
		struct span host = span_of(rr.name);

		if (rc < 0 || host.len == 0)
			continue;
		if (look_up(&w, host, false, &v) ||
		    look_up_host(&w, host, &v))
			return v;
	}
	return V_DUNNO;
}
