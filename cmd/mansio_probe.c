/* SPDX-License-Identifier: ISC */
/*
 * mansio probe - what would be done with mail for a domain or an address, and
 * why: the route, the hosts in their order, and how they are secured.
 *
 * It asks the running system's rewrite, resolver and mtasts the questions that
 * smtp would ask, and connects to nobody.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "dns/srv.h"
#include "ipc/msg_mtasts.h"
#include "ipc/msg_rewrite.h"
#include "mail/sts.h"
#include "route/nexthop.h"
#include "route/our.h"

#define TIMEOUT_MS	(90 * 1000)
#define MX_MAX		64

static struct ipc_sync *rewrite, *resolver, *mtasts;
static char *patterns;		/* of the MTA-STS policy; NULL without */
static bool enforced;

/* What mail comes to where no host is left to be tried. */
static struct {
	bool		 waits;		/* the DNS failed: it comes again */
	bool		 mx_waits;	/* smtp_defer_if_no_mx_address_found */
	bool		 loops;		/* only we are left */
} fate;
static bool is_self;		/* an address of the last host is ours */

struct mx {
	char		 name[DNS_NAME_MAX + 1];
	uint32_t	 pref;
};

static struct ipc_sync *
connect_to(const char *path, const struct ipc_proto *p)
{
	struct why why = WHY_INIT;
	struct ipc_sync *s = ipc_sync_connect(path, p, TIMEOUT_MS, &why);

	if (s == NULL)
		log_fatal("%s: %s (is it running?)", path, why.text);
	return s;
}

/* The answer to one question; f is good until the next one. */
static void
ask(struct ipc_sync *s, uint16_t type, const struct buf *body,
    uint16_t want, struct ipc_frame *f)
{
	struct why why = WHY_INIT;

	if (ipc_sync_send(s, type, 1, buf_span(body), &why) < 0 ||
	    ipc_sync_recv(s, f, -1, &why) != 1 || f->type != want)
		log_fatal("no answer: %s", why.text);
}

/* --- route -------------------------------------------------------------------------- */

static int
show_route(const char *address, char **transport, char **nexthop)
{
	struct rewrite_resolve q = { .address = span_of(address),
	    .sender = SPAN(""), .want_listed = true };
	struct rewrite_resolved r;
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct ipc_frame f;

	rewrite_resolve_encode(&body, &q);
	ask(rewrite, REWRITE_RESOLVE, &body, REWRITE_RESOLVED, &f);
	buf_fini(&body);
	if (rewrite_resolved_decode(&r, f.body) < 0)
		log_fatal("rewrite: bad answer");
	if (r.status != REWRITE_OK) {
		printf("route      none: %.*s\n", SPAN_ARG(r.text));
		return -1;
	}
	*transport = span_dup(r.transport);
	*nexthop = span_dup(r.nexthop);
	printf("route      transport %s, next hop %s (%.*s)\n", *transport,
	    *nexthop, SPAN_ARG(r.rule));
	return 0;
}

/* The level of smtp_tls_policy_maps, or NULL. */
static char *
find_policy(const char *nexthop)
{
	struct span maps = span_of(conf.smtp_tls_policy_maps), map;
	struct buf keys = BUF_INIT(BUF_UNLIMITED);
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct span key = span_of(nexthop);
	char *found = NULL;
	uint32_t n = 0;

	for (bool more = true; more && n < REWRITE_KEYS_MAX; n++) {
		ptrdiff_t dot = key.len > 0 ? span_find(span_from(key, 1),
		    '.') : -1;

		ipc_put_blob(&keys, span_sub(key, 0, 1024), 1024, "key");
		more = dot >= 0 && dns_name_valid(span_of(nexthop));
		key = span_from(key, (size_t)dot + 1);
	}
	while (found == NULL && span_token(&maps, " \t\r\n,", &map)) {
		struct rewrite_lookup q = { .table = map, .nwhole = n,
		    .keys = buf_span(&keys) };
		struct rewrite_found r;
		struct ipc_frame f;

		buf_reset(&body);
		rewrite_lookup_encode(&body, &q);
		ask(rewrite, REWRITE_LOOKUP, &body, REWRITE_FOUND, &f);
		if (rewrite_found_decode(&r, f.body) < 0)
			log_fatal("rewrite: bad answer");
		if (r.status != REWRITE_OK)
			printf("TLS        %.*s: %.*s: mail waits\n",
			    SPAN_ARG(map), SPAN_ARG(r.text));
		else if (r.found)
			found = span_dup(r.value);
	}
	buf_fini(&keys);
	buf_fini(&body);
	return found;
}

/* --- names --------------------------------------------------------------------------- */

/* records stay good until the next question. */
static void
ask_dns(const char *name, enum dns_type type, struct dns_answer *a)
{
	struct resolver_ask q = { .name = span_of(name), .type = type };
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct resolver_answer m;
	struct ipc_frame f;

	resolver_ask_encode(&body, &q);
	ask(resolver, RESOLVER_ASK, &body, RESOLVER_ANSWER, &f);
	buf_fini(&body);
	if (resolver_answer_decode(&m, f.body) < 0)
		log_fatal("resolver: bad answer");
	*a = (struct dns_answer){ .status = (enum resolver_status)m.status,
	    .type = type, .secure = m.secure, .ttl = m.ttl, .name = m.name,
	    .records = m.records, .text = m.text };
}

static const char *
proven(const struct dns_answer *a)
{
	return a->secure ? "proven by DNSSEC" : "not proven";
}

/* How many addresses; *secure: all of them, and their absence, are proven. */
static unsigned
show_addresses(const char *host, unsigned port, enum dns_type type,
    bool *secure)
{
	struct dns_answer a;
	struct dns_rr rr;
	struct span rest;
	unsigned n = 0;
	int rc;

	ask_dns(host, type, &a);
	*secure &= a.secure;
	rest = a.records;
	while ((rc = dns_next(&a, &rest, &rr)) != 0) {
		char text[SOCK_ADDR_TEXT_MAX];
		struct sock_addr ip;
		bool ours;

		if (rc < 0)
			continue;
		dns_address(&rr, &ip);
		sock_addr_text(&ip, text);
		ours = port == 25 && our_address(&ip);
		is_self |= ours;
		if (n++ == 0 && a.name.len > 0 && !span_caseis(a.name, host))
			printf("             an alias of %.*s\n",
			    SPAN_ARG(a.name));
		printf("             %s%s\n", text, ours ?
		    ", this machine" : "");
	}
	if (dns_temporary(a.status)) {
		fate.waits = true;
		printf("             %s: %s: tried again later\n",
		    dns_type_name(type), dns_status_text(a.status));
	}
	return n;
}

static void
show_tlsa(const char *host, unsigned port)
{
	char name[DNS_NAME_MAX + 32];
	struct dns_answer a;
	struct dns_rr rr;
	struct span rest;
	unsigned n = 0;
	int rc;

	(void)snprintf(name, sizeof(name), "_%u._tcp.%s", port, host);
	ask_dns(name, DNS_TLSA, &a);
	rest = a.records;
	while (a.status == RESOLVER_OK && (rc = dns_next(&a, &rest,
	    &rr)) != 0)
		n += rc > 0;
	if (dns_temporary(a.status))
		printf("             TLSA %s: %s: the host is passed over\n",
		    name, dns_status_text(a.status));
	else if (n > 0)
		printf("             TLSA %s: %u, %s\n", name, n, a.secure ?
		    "proven: the certificate must match one" :
		    "not proven: of no use");
	else
		printf("             TLSA %s: none\n", name);
}

/* --- what the domain publishes --------------------------------------------------------- */

static void
show_policy(const struct mtasts_policy *p)
{
	printf("MTA-STS    %s, id %.*s, max_age %u s, in force for %u s\n",
	    sts_mode_name((enum sts_mode)p->mode), SPAN_ARG(p->id), p->max_age,
	    p->left);
	if (p->mx.len > 0)
		printf("             mx %.*s\n", SPAN_ARG(p->mx));
	if (p->mode != STS_NONE && p->max_age < 86400)
		printf("             max_age is less than a day: who keeps "
		    "senders away from it so long has done away with it\n");
}

/*
 * The policy as it is in force here, and what was wrong with the last look.
 * dane: hosts that are secured so need no policy.
 */
static void
show_sts(const char *domain, bool fresh, bool dane)
{
	struct mtasts_ask q = { .domain = span_of(domain), .fresh = fresh };
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct mtasts_policy p;
	struct ipc_frame f;

	mtasts_ask_encode(&body, &q);
	ask(mtasts, MTASTS_ASK, &body, MTASTS_POLICY, &f);
	buf_fini(&body);
	if (mtasts_policy_decode(&p, f.body) < 0)
		log_fatal("mtasts: bad answer");
	if (p.found)
		show_policy(&p);
	else
		printf("MTA-STS    no policy\n");
	if (p.result > MTASTS_ABSENT)
		printf("             %.*s%s\n", SPAN_ARG(p.text), p.found ?
		    "; the one seen before is kept" : "");
	else if (p.found && p.result == MTASTS_ABSENT)
		printf("             the domain has no record now; the policy "
		    "seen before is kept\n");
	if (p.found && p.mode != STS_NONE) {
		patterns = span_dup(p.mx);
		enforced = p.mode == STS_ENFORCE;
		if (dane)
			printf("             hosts with proven TLSA records: "
			    "DANE instead\n");
	}
}

static void
show_tlsrpt(const char *domain)
{
	char name[DNS_NAME_MAX + 32];
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct tlsrpt_record r;
	struct dns_answer a;
	struct dns_rr rr;
	struct span rest;
	unsigned n = 0;
	int rc;

	(void)snprintf(name, sizeof(name), "_smtp._tls.%s", domain);
	ask_dns(name, DNS_TXT, &a);
	rest = a.records;
	while (a.status == RESOLVER_OK && (rc = dns_next(&a, &rest,
	    &rr)) != 0) {
		buf_reset(&text);
		if (rc > 0)
			dns_txt(&rr, &text);
		if (!tlsrpt_record_is(buf_span(&text)))
			continue;
		n++;
		if (tlsrpt_record_parse(buf_span(&text), &r) < 0) {
			printf("TLSRPT     malformed: \"%s\"\n", text.data);
			continue;
		}
		for (size_t i = 0; i < r.nrua; i++)
			printf("TLSRPT     reports to %.*s\n",
			    SPAN_ARG(r.rua[i]));
	}
	if (dns_temporary(a.status))
		printf("TLSRPT     %s\n", dns_status_text(a.status));
	else if (n == 0)
		printf("TLSRPT     no reports are asked for\n");
	else if (n > 1)
		printf("           more than one record: none counts\n");
	buf_fini(&text);
}

/* What the policy says of a mail exchanger. */
static void
show_listed(const char *host)
{
	struct span rest, word;

	if (patterns == NULL)
		return;
	rest = span_of(patterns);
	while (span_token(&rest, " ", &word))
		if (sts_pattern_matches(word, span_of(host)))
			return;
	printf("             not in the policy: %s\n", enforced ?
	    "the host is passed over" : "reported, and used all the same");
}

static unsigned
show_host(const char *host, unsigned port, bool dane)
{
	bool secure = true;
	unsigned n;

	show_listed(host);
	is_self = false;
	n = show_addresses(host, port, DNS_AAAA, &secure);
	n += show_addresses(host, port, DNS_A, &secure);
	if (n == 0)
		printf("             no address\n");
	if (dane && secure && n > 0)
		show_tlsa(host, port);
	else if (dane)
		printf("             no DANE: addresses are not proven\n");
	return n;
}

static int
by_pref(const void *a, const void *b)
{
	uint32_t x = ((const struct mx *)a)->pref, y =
	    ((const struct mx *)b)->pref;

	return x < y ? -1 : x > y;
}

/*
 * The hosts in their order.  We are no host to send to, and neither are those
 * that are not better than us (RFC 5321 5.1).
 */
static int
show_exchangers(struct mx *mx, size_t n, unsigned port, bool dane)
{
	uint32_t self = UINT32_MAX;
	bool found[MX_MAX];
	int good = 0;

	qsort(mx, n, sizeof(mx[0]), by_pref);
	for (size_t i = 0; i < n; i++) {
		printf("%10u %s\n", mx[i].pref, mx[i].name);
		found[i] = show_host(mx[i].name, port, dane) > 0;
		if (is_self)
			self = MIN(self, mx[i].pref);
	}
	for (size_t i = 0; i < n; i++)
		good += found[i] && mx[i].pref < self;
	if (self == UINT32_MAX)
		return good;
	printf("             this machine has preference %u: those of %u and "
	    "more are not tried\n", self, self);
	fate.loops = mx[0].pref >= self;
	fate.waits |= !fate.loops;
	return good;
}

/* How many hosts have an address; -1: the domain says that it has no mail. */
static int
show_domain(const char *domain, unsigned port, bool dane)
{
	struct mx mx[MX_MAX];
	struct dns_answer a;
	struct dns_rr rr;
	struct span rest;
	bool null = false;
	size_t n = 0;
	int rc;

	ask_dns(domain, DNS_MX, &a);
	rest = a.records;
	dane &= a.secure;
	while (a.status == RESOLVER_OK && (rc = dns_next(&a, &rest,
	    &rr)) != 0) {
		if (rc > 0 && rr.name[0] == '\0') {
			null = true;
		} else if (rc > 0 && n < MX_MAX) {
			memcpy(mx[n].name, rr.name, sizeof(rr.name));
			mx[n++].pref = rr.pref;
		}
	}
	if (dns_temporary(a.status)) {
		fate.waits = true;
		printf("MX         %s: mail waits\n",
		    dns_status_text(a.status));
		return 0;
	}
	if (n == 0 && null) {
		printf("MX         \".\": the domain does not accept mail\n");
		return -1;
	}
	if (a.status == RESOLVER_NXDOMAIN || a.status == RESOLVER_INVALID) {
		printf("MX         %s\n", a.status == RESOLVER_NXDOMAIN ?
		    "there is no such domain" : "that is no domain's name");
		return 0;
	}
	if (n == 0) {
		printf("MX         none, %s: the domain's own address\n",
		    proven(&a));
		n = show_host(domain, port, dane);
		fate.loops = is_self;
		return n > 0 && !is_self;
	}
	printf("MX         %zu, %s", n, proven(&a));
	if (a.name.len > 0 && !span_caseis(a.name, domain))
		printf(", of %.*s: the domain is an alias", SPAN_ARG(a.name));
	printf("\n");
	fate.mx_waits = conf.smtp_defer_if_no_mx_address_found;
	return show_exchangers(mx, n, port, dane);
}

/* --- all of it --------------------------------------------------------------------------- */

/* How many hosts of a service have an address; -1: go by MX records. */
static int
show_srv(const char *service, const char *domain, bool dane)
{
	char name[DNS_NAME_MAX + 1];
	struct srv v[SRV_MAX];
	struct dns_answer a;
	bool none = false;
	size_t n = 0;
	int good = 0;

	if (srv_name(service, domain, name, sizeof(name)) < 0)
		return -1;
	ask_dns(name, DNS_SRV, &a);
	if (a.status == RESOLVER_OK)
		n = srv_collect(&a, v, &none);
	if (n > 0) {
		printf("SRV        %zu for %s, %s\n", n, name, proven(&a));
		srv_order(v, n);
	} else if (none) {
		printf("SRV        \".\": %s is not offered\n", name);
	} else {
		bool temporary = dns_temporary(a.status);
		bool on = conf.allow_srv_lookup_fallback ||
		    (conf.ignore_srv_lookup_error && a.status !=
		    RESOLVER_NODATA && a.status != RESOLVER_NXDOMAIN);

		printf("SRV        %s: %s: %s\n", name,
		    dns_status_text(a.status), on ? "by mail exchangers" :
		    temporary ? "mail waits" : "mail returns");
		fate.waits |= temporary && !on;
		return on ? -1 : 0;
	}
	dane &= a.secure;
	for (size_t i = 0; i < n; i++) {
		printf("%10u %s:%u, weight %u\n", v[i].priority, v[i].name,
		    v[i].port, v[i].weight);
		good += show_host(v[i].name, v[i].port, dane) > 0;
	}
	return good;
}

static int
show_hop(const struct hop *hop, bool dane, bool sts, bool fresh)
{
	const char *service;
	int good = -1;

	if (hop->kind == HOP_ADDRESS) {
		printf("host       %s\n", hop->name);
		return 1;
	}
	if (hop->kind == HOP_HOST) {
		printf("host       %s\n", hop->name);
		return show_host(hop->name, hop->port, dane) > 0;
	}
	if (sts && dns_name_valid(span_of(hop->name)))
		show_sts(hop->name, fresh, dane);
	if (dns_name_valid(span_of(hop->name)))
		show_tlsrpt(hop->name);
	service = hop_service(hop, conf.smtp_tcp_port, conf.use_srv_lookup);
	if (service != NULL)
		good = show_srv(service, hop->name, dane);
	return good >= 0 ? good : show_domain(hop->name, hop->port, dane);
}

/* "[a]:587, b": tried one after the other. */
static int
show_hops(const char *nexthop, bool dane, bool sts, bool fresh)
{
	struct span rest = span_of(nexthop), word;
	struct why why = WHY_INIT;
	uint16_t port = 25;
	struct hop hop;
	int good = 0;

	if (hop_port(span_of(conf.smtp_tcp_port), &port) < 0)
		log_fatal("smtp_tcp_port: \"%s\" is no port",
		    conf.smtp_tcp_port);
	while (span_token(&rest, " \t\r\n,", &word)) {
		int n = 0;

		if (word.len < strlen(nexthop))
			printf("next hop   %.*s\n", SPAN_ARG(word));
		if (hop_parse(word, false, port, &hop, &why) < 0) {
			fate.waits = true;
			printf("           %s: mail waits\n", why.text);
		} else {
			n = show_hop(&hop, dane, sts, fresh);
		}
		good += n > 0 ? n : 0;
		mem_free(patterns);
		patterns = NULL;
		enforced = false;
	}
	return good;
}

/* Levels that a policy of the domain's can raise. */
static bool
is_open(struct span level)
{
	return span_caseis(level, "may") || span_caseis(level, "encrypt") ||
	    span_caseis(level, "dane");
}

static void
show_result(const char *nexthop, int good)
{
	const char *fallback = conf.smtp_fallback_relay;

	if (good > 0 && fallback[0] == '\0')
		printf("result     mail goes to the first of %d host%s that "
		    "takes it\n", good, good == 1 ? "" : "s");
	else if (good > 0)
		printf("result     mail goes to the first of %d host%s that "
		    "takes it, or to %s\n", good, good == 1 ? "" : "s",
		    fallback);
	else if (fallback[0] != '\0' && !fate.loops)
		printf("result     mail goes to the fallback relay, %s\n",
		    fallback);
	else if (fate.waits || fate.mx_waits)
		printf("result     mail waits, and is tried again\n");
	else if (strcmp(nexthop, conf.relayhost) == 0)
		printf("result     mail waits: relayhost leads nowhere\n");
	else
		printf("result     mail is returned to its sender%s\n",
		    fate.loops ? ": it would come back to this machine" : "");
}

int
mansio_probe(int argc, char **argv)
{
	char *transport = NULL, *nexthop = NULL, *policy, *address;
	bool fresh = argc == 3 && strcmp(argv[1], "-f") == 0, sts;
	const char *what = argv[argc - 1], *level;
	struct why why = WHY_INIT;
	struct span rest, first;
	int good;

	if (argc != 2 && !fresh)
		return mansio_usage(argv[0]);
	mansio_load();
	if (our_open(&why) < 0)
		log_fatal("%s", why.text);
	if (chdir(conf.queue_directory) < 0)
		log_fatal("%s: %m", conf.queue_directory);
	rewrite = connect_to("private/rewrite", &REWRITE_PROTO);
	resolver = connect_to("private/resolver", &RESOLVER_PROTO);
	address = strchr(what, '@') != NULL ? mem_strdup(what) :
	    mem_printf("postmaster@%s", what);
	if (show_route(address, &transport, &nexthop) < 0)
		return MANSIO_FAILED;
	mem_free(address);
	if (strcmp(transport, "smtp") != 0 &&
	    strcmp(transport, "relay") != 0) {
		printf("           no mail exchanger is looked for\n");
		return MANSIO_OK;
	}
	policy = find_policy(nexthop);
	level = policy != NULL ? policy : conf.smtp_tls_security_level;
	printf("TLS        %s (%s)\n", level, policy != NULL ?
	    "smtp_tls_policy_maps" : "smtp_tls_security_level");
	rest = span_of(level);
	if (!span_token(&rest, " \t,", &first))
		first = SPAN("none");
	sts = policy == NULL && conf.mtasts_enable && is_open(first);
	if (sts)
		mtasts = connect_to("private/mtasts", &MTASTS_PROTO);
	good = show_hops(nexthop, span_casestarts(first, SPAN("dane")), sts,
	    fresh);
	show_result(nexthop, good);
	mem_free(policy);
	mem_free(transport);
	mem_free(nexthop);
	ipc_sync_free(&rewrite);
	ipc_sync_free(&resolver);
	ipc_sync_free(&mtasts);
	return good > 0 ? MANSIO_OK : MANSIO_FAILED;
}
