/* SPDX-License-Identifier: ISC */
/*
 * origin - where a front's client is.
 *
 * Failures are counted by address, so a front that was taken over would like
 * to choose it: to guess without being banned, or to have others banned.  It
 * cannot: it shows the client's socket, and the kernel says whose it is.  A
 * front can make no socket of the network, so it has those of clients that
 * are connected to it, and no others.
 *
 * Where a proxy or XCLIENT tells who the client is, the kernel knows the
 * proxy only.  There the front is believed: on the ports of services with
 * smtpd_upstream_proxy_protocol, and for clients in
 * smtpd_authorized_xclient_hosts.
 */
#include <errno.h>

#include "authd/authd.h"
#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "conf/table.h"

/* A service of smtpd, by what its sockets show: the port, 0 of a UNIX one. */
struct rule {
	uint16_t		 port;
	bool			 proxied;
	struct match_list	*xclient;	/* NULL: nobody */
};

static ARRAY(struct rule) rules;

/* --- who may speak for others ------------------------------------------------------- */

/* The value of a service's own setting, to mem_free(); or NULL. */
static char *
override(const struct service *s, const char *name)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	size_t len = strlen(name);
	const char *raw = NULL;

	for (size_t i = 0; i < s->overrides.len; i++)
		if (strncmp(s->overrides.v[i], name, len) == 0 &&
		    s->overrides.v[i][len] == '=')
			raw = s->overrides.v[i] + len + 1;	/* the last */
	if (raw == NULL)
		return NULL;
	if (params_expand(raw, &value, &why) < 0) {
		log_warning("master.cf: %s: %s", name, why.text);
		buf_fini(&value);
		return NULL;
	}
	return buf_take(&value);
}

/* What holds for a service, to mem_free(). */
static char *
setting(const struct service *s, const char *name, const char *general)
{
	char *own = override(s, name);

	return own != NULL ? own : mem_strdup(general);
}

static void
add_service(const struct service *s)
{
	struct span name = span_of(s->name);
	struct why why = WHY_INIT;
	struct rule r = { .port = 0 };
	char *proxy, *hosts;

	if (s->type == SERVICE_INET && master_cf_port(span_from(name,
	    (size_t)(span_rfind(name, ':') + 1)), &r.port) < 0)
		return;
	proxy = setting(s, "smtpd_upstream_proxy_protocol",
	    conf.smtpd_upstream_proxy_protocol);
	hosts = setting(s, "smtpd_authorized_xclient_hosts",
	    conf.smtpd_authorized_xclient_hosts);
	r.proxied = proxy[0] != '\0';
	if (hosts[0] != '\0') {
		r.xclient = match_list_new("smtpd_authorized_xclient_hosts",
		    hosts, 0, &why);
		if (r.xclient == NULL)
			log_warning("%s", why.text);
	}
	mem_free(proxy);
	mem_free(hosts);
	*ARRAY_PUSH(&rules) = r;
}

static void
problem(void *arg, bool is_error, const char *line)
{
	/* master has said it already. */
	log_debug("%s", line);
}

void
origins_load(void)
{
	struct master_cf m;

	for (size_t i = 0; i < rules.len; i++)
		match_list_free(&rules.v[i].xclient);
	rules.len = 0;
	(void)!master_cf_load(params_config_dir(), &m, problem, NULL);
	for (size_t i = 0; i < m.services.len; i++)
		if (strcmp(m.services.v[i].command, "smtpd") == 0)
			add_service(&m.services.v[i]);
	master_cf_fini(&m);
}

/* --- where it is -------------------------------------------------------------------------- */

static bool
in_list(struct match_list *m, const struct sock_addr *peer)
{
	struct why why = WHY_INIT;
	int rc = m == NULL ? 0 : match_list_addr(m, peer, &why);

	if (rc < 0)
		log_warning("%s", why.text);
	return rc == 1;
}

/* Whether the front's word counts of who is behind this socket. */
static bool
speaks_for_others(uint16_t port, const struct sock_addr *peer)
{
	for (size_t i = 0; i < rules.len; i++) {
		const struct rule *r = &rules.v[i];

		if (r->port == port && (r->proxied ||
		    in_list(r->xclient, peer)))
			return true;
	}
	return false;
}

static bool
have_port(uint16_t port)
{
	for (size_t i = 0; i < rules.len; i++)
		if (rules.v[i].port == port)
			return true;
	return false;
}

int
origin_find(int fd, struct auth_start *m, char text[SOCK_ADDR_TEXT_MAX])
{
	struct sock_addr peer = { .len = sizeof(peer.ss) }, own = peer, said;

	if (fd < 0)
		return 1;
	if (getsockname(fd, &own.sa, &own.len) < 0)
		return -1;
	if (getpeername(fd, &peer.sa, &peer.len) < 0)
		return errno == ENOTCONN ? 0 : -1;
	if (peer.sa.sa_family == AF_UNIX) {
		/* Such a pair anybody can make. */
		if (!have_port(0))
			return -1;
		/* Who may open the socket is local, as smtpd has it. */
		if (sock_addr_parse(SPAN("127.0.0.1"), 0, &peer) < 0)
			log_panic("127.0.0.1 is no address");
	}
	if (peer.sa.sa_family != AF_INET && peer.sa.sa_family != AF_INET6)
		return -1;
	sock_addr_text(&peer, text);
	if (span_is(m->client, text)) {
		if (sock_addr_port(&peer) != 0)
			m->client_port = sock_addr_port(&peer);
		return 1;
	}
	if (sock_addr_parse(m->client, 0, &said) == 0 &&
	    speaks_for_others(sock_addr_port(&own), &peer))
		return 1;
	log_warning("a front says that its client is %.*s, but it came from "
	    "%s", SPAN_ARG(m->client), text);
	m->client = span_of(text);
	m->client_port = sock_addr_port(&peer);
	return 1;
}
