/* SPDX-License-Identifier: ISC */
/*
 * lookup - the hosts of a next hop and their addresses (RFC 5321 5.1), asked
 * for all at once.
 *
 * Where use_srv_lookup says so, SRV records come before mail exchangers.
 *
 * A failure of the DNS is temporary, and only its word that there is nothing
 * is not.  What could be found is used though another question failed.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "dns/srv.h"
#include "route/our.h"
#include "smtp/smtp.h"

struct lookup;

/* One question for addresses of a host. */
struct part {
	struct lookup	*l;
	struct dns_query *q;
	char		 host[DNS_NAME_MAX + 1];
	uint32_t	 pref, rank;
	uint16_t	 port;
};

struct lookup {
	struct hop	 hop;
	lookup_fn	*fn;
	void		*arg;
	struct dns_query *mx;		/* or SRV */
	char		 srv_name[DNS_NAME_MAX + 1];
	struct part	*parts;
	size_t		 nparts, pending;
	struct peers	 peers;
	uint32_t	 best_pref;	/* of all mail exchangers */
	unsigned	 nmx;
	struct why	 why;		/* the worst so far; "" none */
	struct loop_defer done;
};

struct dns_client *dns;

static void
lookup_free(struct lookup *l)
{
	dns_cancel(&l->mx);
	for (size_t i = 0; i < l->nparts; i++)
		dns_cancel(&l->parts[i].q);
	loop_defer_cancel(&l->done);
	peers_fini(&l->peers);
	mem_free(l->parts);
	mem_free(l);
}

/* --- the end --------------------------------------------------------------------- */

/* Port 25 of one of our addresses is ourselves: RFC 5321 5.1, 6.3. */
static bool
is_self(const struct sock_addr *a)
{
	return sock_addr_port(a) == 25 && our_address(a);
}

static bool
drop_self(struct lookup *l)
{
	uint32_t self;

	if (!peers_drop_self(&l->peers, is_self, &self))
		return false;
	if (l->nmx > 0 && l->best_pref < self) {
		(void)why_set(&l->why, "4.4.4", "unable to find primary relay "
		    "for %s", l->hop.name);
		return false;
	}
	(void)why_set(&l->why, "5.4.6", "mail for %s loops back to myself",
	    l->hop.name);
	return true;
}

static void
finish(void *arg)
{
	struct lookup *l = arg;
	bool loop = false;

	if (l->peers.len > 0) {
		l->why = WHY_INIT;
		loop = l->hop.kind != HOP_UNIX && !set.lmtp && drop_self(l);
	}
	if (l->peers.len > 0)
		peers_order(&l->peers, set.randomize, set.family, set.balance,
		    (size_t)set.mx_address_limit);
	else if (l->why.code[0] == '\0')
		(void)why_set(&l->why, "4.4.4", "no address of %s can be "
		    "used", l->hop.name);
	if (l->peers.len > 0) {
		/* A delivery that waits for a peer keeps no more than it
		 * needs. */
		l->peers.v = mem_realloc_array(l->peers.v, l->peers.len,
		    sizeof(l->peers.v[0]));
		l->peers.alloc = l->peers.len;
	}
	if (l->nmx > 0 && l->peers.len == 0 && set.defer_no_mx_address &&
	    l->why.code[0] == '5')
		l->why.code[0] = '4';
	l->fn(l->arg, &l->peers, &l->why, loop);
	lookup_free(l);
}

/* --- addresses --------------------------------------------------------------------- */

/* A temporary failure is worse than "there is none": it must not bounce. */
static void
note(struct lookup *l, const char *name, unsigned type,
    enum resolver_status status)
{
	if (l->why.code[0] == '4')
		return;
	(void)why_set(&l->why, dns_temporary(status) ? "4.4.3" : "5.4.4",
	    "Host or domain name not found. Name service error for name=%s "
	    "type=%s: %s", name, dns_type_name(type),
	    dns_status_text(status));
}

static void
add_address(struct lookup *l, const struct part *p, const struct dns_rr *rr,
    const struct dns_answer *a)
{
	struct peer *peer;

	if (l->peers.len == PEERS_MAX)
		return;
	peer = ARRAY_PUSH(&l->peers);
	memcpy(peer->host, p->host, sizeof(peer->host));
	(void)snprintf(peer->target, sizeof(peer->target), "%.*s",
	    SPAN_ARG(a->name.len > 0 ? a->name : span_of(p->host)));
	peer->pref = p->pref;
	peer->rank = p->rank;
	peer->host_secure = a->secure;
	if (rr->type == DNS_A) {
		peer->addr.in.sin_family = AF_INET;
		peer->addr.in.sin_port = htons(p->port);
		memcpy(&peer->addr.in.sin_addr, rr->addr, 4);
		peer->addr.len = sizeof(peer->addr.in);
	} else {
		peer->addr.in6.sin6_family = AF_INET6;
		peer->addr.in6.sin6_port = htons(p->port);
		memcpy(&peer->addr.in6.sin6_addr, rr->addr, 16);
		peer->addr.len = sizeof(peer->addr.in6);
	}
}

static void
got_address(void *arg, const struct dns_answer *a)
{
	struct part *p = arg;
	struct lookup *l = p->l;
	struct span rest = a->records;
	struct dns_rr rr;
	size_t before = l->peers.len;
	int rc;

	p->q = NULL;
	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		if (rc > 0)
			add_address(l, p, &rr, a);
	}
	if (l->peers.len == before)
		note(l, p->host, a->type, a->status == RESOLVER_OK ?
		    RESOLVER_NODATA : a->status);
	if (--l->pending == 0)
		finish(l);
}

static void
ask_host(struct lookup *l, const char *host, uint32_t pref, uint32_t rank,
    uint16_t port)
{
	static const enum dns_type types[] = { DNS_AAAA, DNS_A };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct part *p;

		if (!(types[i] == DNS_A ? set.v4 : set.v6))
			continue;
		p = &l->parts[l->nparts++];
		p->l = l;
		p->pref = pref;
		p->rank = rank;
		p->port = port;
		(void)snprintf(p->host, sizeof(p->host), "%s", host);
		l->pending++;
		p->q = dns_ask(dns, span_of(host), types[i],
		    set.lookup_flags, got_address, p);
	}
}

static void
ask_only(struct lookup *l)
{
	l->parts = mem_zalloc_array(2, sizeof(*l->parts));
	ask_host(l, l->hop.name, 0, 0, l->hop.port);
}

/* --- mail exchangers ------------------------------------------------------------------ */

struct mx {
	char		 name[DNS_NAME_MAX + 1];
	uint32_t	 pref;
};

/*
 * Keep the best of them: a domain with hundreds of mail exchangers is none of
 * an honest person.
 */
static size_t
collect(const struct dns_answer *a, struct mx out[PEERS_MX_MAX], bool *null)
{
	struct span rest = a->records;
	struct dns_rr rr;
	size_t n = 0;
	int rc;

	*null = false;
	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		size_t worst = 0;

		if (rc < 0)
			continue;
		if (rr.name[0] == '\0') {	/* RFC 7505 */
			*null = rr.pref == 0;
			continue;
		}
		if (n < PEERS_MX_MAX) {
			worst = n++;
		} else {
			for (size_t i = 1; i < n; i++)
				if (out[i].pref > out[worst].pref)
					worst = i;
			if (out[worst].pref <= rr.pref)
				continue;
		}
		memcpy(out[worst].name, rr.name, sizeof(rr.name));
		out[worst].pref = rr.pref;
	}
	*null = *null && n == 0;
	return n;
}

static void
got_mx(void *arg, const struct dns_answer *a)
{
	struct lookup *l = arg;
	struct mx mx[PEERS_MX_MAX];
	bool null;
	size_t n;

	l->mx = NULL;
	l->peers.mx_secure = a->secure;
	switch (a->status) {
	case RESOLVER_OK:
		break;
	case RESOLVER_NODATA:
	case RESOLVER_NXDOMAIN:
	case RESOLVER_INVALID:
		ask_only(l);
		return;
	default:
		if (conf.ignore_mx_lookup_error && !set.lmtp) {
			ask_only(l);
			return;
		}
		note(l, l->hop.name, DNS_MX, a->status);
		finish(l);
		return;
	}
	n = collect(a, mx, &null);
	if (null) {
		/* RFC 7505 4.1, 4.2 */
		(void)why_set(&l->why, "5.1.10", "Domain %s does not accept "
		    "mail (nullMX)", l->hop.name);
		finish(l);
		return;
	}
	if (n == 0) {
		(void)why_set(&l->why, "5.4.4", "the mail exchangers of %s "
		    "have no proper names", l->hop.name);
		finish(l);
		return;
	}
	l->peers.mx = true;
	l->nmx = (unsigned)n;
	l->best_pref = UINT32_MAX;
	l->parts = mem_zalloc_array(2 * n, sizeof(*l->parts));
	for (size_t i = 0; i < n; i++) {
		l->best_pref = MIN(l->best_pref, mx[i].pref);
		ask_host(l, mx[i].name, mx[i].pref, 0, l->hop.port);
	}
}

static void
ask_mx(struct lookup *l)
{
	l->mx = dns_ask(dns, span_of(l->hop.name), DNS_MX, 0, got_mx, l);
}

/* --- services (RFC 2782) ------------------------------------------------------------------- */

static const char *
service(const struct hop *hop)
{
	return hop_service(hop, set.port_name, conf.use_srv_lookup);
}

bool
lookup_by_srv(const struct hop *hop)
{
	return service(hop) != NULL;
}

/* There is nothing to go by: the mail exchangers, if they may be used. */
static void
without_srv(struct lookup *l, bool fall_back)
{
	if (fall_back) {
		log_info("skipping SRV lookup for %s: %s", l->srv_name,
		    l->why.text);
		l->why = WHY_INIT;
		ask_mx(l);
		return;
	}
	finish(l);
}

static void
ask_srv_hosts(struct lookup *l, struct srv *v, size_t n)
{
	srv_order(v, n);
	l->peers.mx = true;
	l->nmx = (unsigned)n;
	l->best_pref = v[0].priority;
	l->parts = mem_zalloc_array(2 * n, sizeof(*l->parts));
	for (size_t i = 0; i < n; i++)
		ask_host(l, v[i].name, v[i].priority, (uint32_t)i, v[i].port);
}

static void
got_srv(void *arg, const struct dns_answer *a)
{
	struct lookup *l = arg;
	struct srv v[SRV_MAX];
	bool none = false;
	size_t n = 0;

	l->mx = NULL;
	if (a->status == RESOLVER_OK)
		n = srv_collect(a, v, &none);
	if (n > 0) {
		l->peers.mx_secure = a->secure;
		ask_srv_hosts(l, v, n);
		return;
	}
	if (none) {
		(void)why_set(&l->why, "5.1.0", "Service %s is not available "
		    "(null SRV)", l->srv_name);
		finish(l);
		return;
	}
	note(l, l->srv_name, DNS_SRV, a->status == RESOLVER_OK ?
	    RESOLVER_NODATA : a->status);
	without_srv(l, conf.allow_srv_lookup_fallback ||
	    (conf.ignore_srv_lookup_error && (dns_temporary(a->status) ||
	    a->status == RESOLVER_INVALID)));
}

static void
ask_domain(struct lookup *l)
{
	const char *name = service(&l->hop);

	if (name == NULL || srv_name(name, l->hop.name, l->srv_name,
	    sizeof(l->srv_name)) < 0)
		ask_mx(l);
	else
		l->mx = dns_ask(dns, span_of(l->srv_name), DNS_SRV, 0,
		    got_srv, l);
}

/* --- public ------------------------------------------------------------------------------ */

static void
only_peer(struct lookup *l)
{
	struct peer *p = ARRAY_PUSH(&l->peers);

	p->addr = l->hop.addr;
	if (l->hop.kind == HOP_UNIX)
		(void)snprintf(p->host, sizeof(p->host), "%.*s", DNS_NAME_MAX,
		    l->hop.name);
	else
		sock_addr_text(&l->hop.addr, p->host);
	memcpy(p->target, p->host, sizeof(p->target));
	loop_defer(daemon_loop(), &l->done);
}

struct lookup *
lookup_start(const struct hop *hop, lookup_fn *fn, void *arg)
{
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->hop = *hop;
	l->fn = fn;
	l->arg = arg;
	l->done = (struct loop_defer){ .fn = finish, .arg = l };
	switch (hop->kind) {
	case HOP_ADDRESS:
	case HOP_UNIX:
		only_peer(l);
		break;
	case HOP_HOST:
		ask_only(l);
		break;
	case HOP_DOMAIN:
		ask_domain(l);
		break;
	}
	return l;
}

void
lookup_cancel(struct lookup **lp)
{
	struct lookup *l = *lp;

	*lp = NULL;
	if (l != NULL)
		lookup_free(l);
}
