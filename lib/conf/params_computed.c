/* SPDX-License-Identifier: ISC */
/*
 * params_computed - defaults that come from the machine: names, networks.
 */
#include "conf/params.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params_priv.h"
#include "io/sock.h"

#define NETWORKS_MAX	65536		/* bytes of text */

static char *
compute_myhostname(void)
{
	char name[256] = "", *domain, *full;

	if (gethostname(name, sizeof(name) - 1) == -1 || name[0] == '\0' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != strlen(name))
		return mem_strdup("localhost.localdomain");
	if (strchr(name, '.') != NULL)
		return mem_strdup(name);
	domain = params_loading_is_set("mydomain")
	    ? params_loading_get("mydomain") : mem_strdup("localdomain");
	full = mem_printf("%s.%s", name, domain);
	mem_free(domain);
	return full;
}

static char *
compute_mydomain(void)
{
	char *host = params_loading_get("myhostname"), *domain;
	const char *dot = strchr(host, '.');

	domain = mem_strdup(dot != NULL && dot[1] != '\0' ? dot + 1
	    : "localdomain");
	mem_free(host);
	return domain;
}

/* The number of leading one bits. */
static unsigned
mask_bits(const uint8_t *mask, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		for (int b = 7; b >= 0 && (mask[i] >> b & 1); b--)
			bits++;
	return bits;
}

/* The prefix length that mynetworks_style gives an address. */
static unsigned
style_bits(const char *style, const struct sock_addr *a, unsigned subnet)
{
	bool v4 = a->sa.sa_family == AF_INET;
	uint8_t first;

	if (strcmp(style, "subnet") == 0)
		return subnet;
	if (strcmp(style, "class") == 0 && v4) {
		first = *(const uint8_t *)&a->in.sin_addr;
		return first < 128 ? 8 : first < 192 ? 16 : 24;
	}
	/* All of 127.0.0.0/8 is this host. */
	if (v4 && sock_addr_is_loopback(a))
		return 8;
	return v4 ? 32 : 128;
}

static void
add_network(struct buf *out, const struct sock_addr *a, unsigned bits)
{
	struct sock_addr net = *a;
	uint8_t *p = a->sa.sa_family == AF_INET ? (uint8_t *)&net.in.sin_addr
	    : (uint8_t *)&net.in6.sin6_addr;
	size_t n = a->sa.sa_family == AF_INET ? 4 : 16;
	char text[SOCK_ADDR_TEXT_MAX], item[SOCK_ADDR_TEXT_MAX + 16];

	for (size_t i = 0; i < n; i++)
		for (unsigned b = 0; b < 8; b++)
			if (i * 8 + b >= bits)
				p[i] &= (uint8_t)~(0x80u >> b);
	sock_addr_text(&net, text);
	(void)snprintf(item, sizeof(item), n == 4 ? "%s/%u" : "[%s]/%u", text,
	    bits);
	/* Interfaces may share a network. */
	for (const char *at = out->data; (at = strstr(at, item)) != NULL;
	    at++) {
		char end = at[strlen(item)];

		if ((end == ' ' || end == '\0') &&
		    (at == out->data || at[-1] == ' '))
			return;
	}
	(void)!buf_printf(out, "%s%s", out->len > 0 ? " " : "", item);
}

/* inet_interfaces and inet_protocols limit what is ours. */
static bool
is_ours(const struct sock_addr *a, struct span interfaces)
{
	struct span rest = interfaces, word;
	struct sock_addr b;

	while (span_token(&rest, ", \t\r\n", &word)) {
		if (span_caseis(word, "all"))
			return true;
		if (span_caseis(word, "loopback-only") &&
		    sock_addr_is_loopback(a))
			return true;
		if (span_caseis(word, "localhost") && sock_addr_is_loopback(a))
			return true;
		if (sock_addr_parse(word, 0, &b) == 0 &&
		    b.sa.sa_family == a->sa.sa_family &&
		    (a->sa.sa_family == AF_INET
		    ? memcmp(&a->in.sin_addr, &b.in.sin_addr, 4)
		    : memcmp(&a->in6.sin6_addr, &b.in6.sin6_addr, 16)) == 0)
			return true;
	}
	return false;
}

static bool
protocol_on(const char *protocols, int family)
{
	const char *name = family == AF_INET ? "ipv4" : "ipv6";

	return strstr(protocols, "all") != NULL ||
	    strstr(protocols, name) != NULL;
}

static char *
compute_mynetworks(void)
{
	struct buf out = BUF_INIT(NETWORKS_MAX);
	char *style = params_loading_get("mynetworks_style");
	char *interfaces = params_loading_get("inet_interfaces");
	char *protocols = params_loading_get("inet_protocols");
	struct ifaddrs *all;
	bool loopback = false;

	if (getifaddrs(&all) == -1) {
		log_warning("cannot list the network interfaces: %s",
		    strerror(errno));
		all = NULL;
	}
	for (int family = AF_INET;; family = AF_INET6) {
		for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
			struct sock_addr a = { .len = 0 };
			bool v4 = family == AF_INET;
			size_t n = v4 ? sizeof(a.in) : sizeof(a.in6);
			unsigned subnet = v4 ? 32 : 128;

			if (i->ifa_addr == NULL || !(i->ifa_flags & IFF_UP) ||
			    i->ifa_addr->sa_family != family ||
			    !protocol_on(protocols, family))
				continue;
			memcpy(&a.ss, i->ifa_addr, n);
			a.len = (socklen_t)n;
			if (!v4)
				a.in6.sin6_scope_id = 0;
			if (!is_ours(&a, span_of(interfaces)) &&
			    !sock_addr_is_loopback(&a))
				continue;
			if (i->ifa_netmask != NULL)
				subnet = mask_bits(v4
				    ? (const uint8_t *)&((struct sockaddr_in *)
				    (void *)i->ifa_netmask)->sin_addr
				    : (const uint8_t *)&((struct sockaddr_in6 *)
				    (void *)i->ifa_netmask)->sin6_addr,
				    v4 ? 4 : 16);
			loopback |= sock_addr_is_loopback(&a);
			add_network(&out, &a, style_bits(style, &a, subnet));
		}
		if (family == AF_INET6)
			break;
	}
	if (!loopback)
		(void)!buf_printf(&out, "%s127.0.0.0/8 [::1]/128",
		    out.len > 0 ? " " : "");
	if (all != NULL)
		freeifaddrs(all);
	mem_free(style);
	mem_free(interfaces);
	mem_free(protocols);
	return buf_take(&out);
}

char *
params_compute(const char *name)
{
	if (strcmp(name, "myhostname") == 0)
		return compute_myhostname();
	if (strcmp(name, "mydomain") == 0)
		return compute_mydomain();
	if (strcmp(name, "mynetworks") == 0)
		return compute_mynetworks();
	if (strcmp(name, "process_id") == 0)
		return mem_printf("%ld", (long)getpid());
	if (strcmp(name, "process_name") == 0)
		return mem_strdup(program_invocation_short_name);
	log_panic("params.def: nothing computes %s", name);
}
