/* SPDX-License-Identifier: ISC */
/*
 * our - see our.h.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

#include "base/array.h"
#include "conf/params.h"
#include "conf/table.h"
#include "io/sock.h"
#include "route/our.h"

static struct match_list *destinations;
static struct { struct sock_addr *v; size_t len, alloc; } addresses;
static bool opened;

static bool
same_host(const struct sock_addr *a, const struct sock_addr *b)
{
	char ta[SOCK_ADDR_TEXT_MAX], tb[SOCK_ADDR_TEXT_MAX];

	/* The text folds IPv4-mapped addresses. */
	sock_addr_text(a, ta);
	sock_addr_text(b, tb);
	return strcmp(ta, tb) == 0;
}

static void
add_address(const struct sockaddr *sa, socklen_t len)
{
	struct sock_addr *a;

	if (len > sizeof(a->ss))
		return;
	a = ARRAY_PUSH(&addresses);
	memcpy(&a->ss, sa, len);
	a->len = len;
}

static void
add_interfaces(bool loopback_only)
{
	struct ifaddrs *list, *i;

	if (getifaddrs(&list) < 0)
		return;
	for (i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL ||
		    (loopback_only && !(i->ifa_flags & IFF_LOOPBACK)))
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			add_address(i->ifa_addr, sizeof(struct sockaddr_in));
		else if (i->ifa_addr->sa_family == AF_INET6)
			add_address(i->ifa_addr, sizeof(struct sockaddr_in6));
	}
	freeifaddrs(list);
}

static int
add_host(struct span word, struct why *why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
	struct sock_addr a;
	char name[256];
	int rc;

	if (sock_addr_parse(word, 0, &a) == 0) {
		add_address(&a.sa, a.len);
		return 0;
	}
	if (span_copy(word, name, sizeof(name)) < 0)
		return why_set(why, "4.3.5", "host name too long: %.*s",
		    SPAN_ARG(word));
	rc = getaddrinfo(name, NULL, &hints, &list);
	if (rc != 0)
		return why_set(why, "4.3.5", "host name %s: %s", name,
		    gai_strerror(rc));
	for (ai = list; ai != NULL; ai = ai->ai_next)
		add_address(ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

static int
add_list(const char *title, const char *value, struct why *why)
{
	struct span rest = span_of(value), word;

	while (span_token(&rest, " \t\r\n,", &word)) {
		if (span_caseis(word, "all"))
			add_interfaces(false);
		else if (span_caseis(word, "loopback-only"))
			add_interfaces(true);
		else if (add_host(word, why) < 0) {
			why_prefix(why, "%s", title);
			return -1;
		}
	}
	return 0;
}

void
our_check(void (*problem)(const char *param, const char *text))
{
	const struct {
		const char *param, *value;
	} lists[] = {
		{ "inet_interfaces", conf.inet_interfaces },
		{ "proxy_interfaces", conf.proxy_interfaces },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct why why = WHY_INIT;

		if (add_list(lists[i].param, lists[i].value, &why) < 0)
			problem(lists[i].param, why.text);
	}
	our_close();
}

int
our_open(struct why *why)
{
	struct match_list *d;
	struct sock_addr *old = addresses.v;
	size_t old_len = addresses.len, old_alloc = addresses.alloc;

	d = match_list_new("mydestination", conf.mydestination, 0, why);
	if (d == NULL)
		return -1;
	addresses.v = NULL;
	addresses.len = addresses.alloc = 0;
	if (add_list("inet_interfaces", conf.inet_interfaces, why) < 0 ||
	    add_list("proxy_interfaces", conf.proxy_interfaces, why) < 0) {
		ARRAY_FINI(&addresses);
		addresses.v = old;
		addresses.len = old_len;
		addresses.alloc = old_alloc;
		match_list_free(&d);
		return -1;
	}
	mem_free(old);
	match_list_free(&destinations);
	destinations = d;
	opened = true;
	return 0;
}

void
our_close(void)
{
	match_list_free(&destinations);
	ARRAY_FINI(&addresses);
	opened = false;
}

bool
our_address(const struct sock_addr *a)
{
	struct why why = WHY_INIT;

	if (!opened && our_open(&why) < 0)
		return false;
	for (size_t i = 0; i < addresses.len; i++)
		if (same_host(&addresses.v[i], a))
			return true;
	return false;
}

int
our_domain(struct span domain, struct why *why)
{
	struct sock_addr a;
	struct span in;
	int rc;

	if (!opened && our_open(why) < 0)
		return -1;
	if (domain.len > 1 && domain.p[domain.len - 1] == '.')
		domain.len--;
	rc = match_list_string(destinations, domain, why);
	if (rc != 0 || domain.len < 3 || domain.p[0] != '[' ||
	    domain.p[domain.len - 1] != ']')
		return rc;
	in = span_sub(domain, 1, domain.len - 2);
	if (span_casestarts(in, SPAN("IPv6:")))
		in = span_from(in, 5);
	return sock_addr_parse(in, 0, &a) == 0 && our_address(&a);
}
