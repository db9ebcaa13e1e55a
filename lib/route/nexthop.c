/* SPDX-License-Identifier: ISC */
/*
 * nexthop - see nexthop.h.
 */
#include "route/nexthop.h"

#include "base/num.h"

int
hop_port(struct span text, uint16_t *out)
{
	/* A jailed process cannot read /etc/services. */
	static const struct {
		const char	*name;
		uint16_t	 port;
	} names[] = {
		{ "smtp", 25 }, { "mail", 25 }, { "lmtp", 24 },
		{ "submission", 587 }, { "submissions", 465 },
		{ "smtps", 465 }, { "ssmtp", 465 },
	};
	uint32_t n;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!span_caseis(text, names[i].name))
			continue;
		*out = names[i].port;
		return 0;
	}
	if (num_parse_u32(text, 65535, &n) < 0 || n == 0)
		return -1;
	*out = (uint16_t)n;
	return 0;
}

static int
parse_unix(struct span path, struct hop *out, struct why *why)
{
	if (path.len == 0 || span_copy(path, out->addr.un.sun_path,
	    sizeof(out->addr.un.sun_path)) < 0 ||
	    span_copy(path, out->name, sizeof(out->name)) < 0)
		return why_set(why, "4.3.5", "bad socket name in next hop: "
		    "unix:%.*s", SPAN_ARG(path));
	out->kind = HOP_UNIX;
	out->addr.un.sun_family = AF_UNIX;
	out->addr.len = sizeof(out->addr.un);
	return 0;
}

/* Take "host" or "[host]" off text; what is left is "" or ":port". */
static bool
take_host(struct span *text, struct span *host, bool *brackets)
{
	ptrdiff_t end;

	*brackets = text->len > 0 && text->p[0] == '[';
	if (*brackets) {
		end = span_find(*text, ']');
		if (end < 2)
			return false;
		*host = span_sub(*text, 1, (size_t)end - 1);
		*text = span_from(*text, (size_t)end + 1);
		return true;
	}
	end = span_find(*text, ':');
	*host = end < 0 ? *text : span_sub(*text, 0, (size_t)end);
	*text = end < 0 ? SPAN_EMPTY : span_from(*text, (size_t)end);
	return host->len > 0;
}

int
hop_parse(struct span text, bool lmtp, uint16_t default_port,
    struct hop *out, struct why *why)
{
	struct span rest = span_trim(text), host, ip;
	bool brackets;
	uint32_t n;

	*out = (struct hop){ .kind = HOP_DOMAIN, .port = default_port,
	    .default_port = true };
	if (lmtp && span_casestarts(rest, SPAN("unix:")))
		return parse_unix(span_from(rest, 5), out, why);
	if (lmtp && span_casestarts(rest, SPAN("inet:")))
		rest = span_from(rest, 5);
	if (!take_host(&rest, &host, &brackets))
		goto bad;
	if (rest.len > 0) {
		if (rest.p[0] != ':' ||
		    hop_port(span_from(rest, 1), &out->port) < 0)
			goto bad;
		out->default_port = false;
		if (num_parse_u32(span_from(rest, 1), 65535, &n) < 0 &&
		    span_copy(span_from(rest, 1), out->service,
		    sizeof(out->service)) < 0)
			goto bad;
	}
	ip = host;
	if (span_casestarts(ip, SPAN("ipv6:")))
		ip = span_from(ip, 5);
	if (span_copy(ip, out->name, sizeof(out->name)) < 0)
		goto bad;
	if (sock_addr_parse(ip, out->port, &out->addr) == 0) {
		/* smtp: a number without brackets is no domain, but what else
		 * could be meant? */
		out->kind = HOP_ADDRESS;
		return 0;
	}
	if (brackets || lmtp)
		out->kind = HOP_HOST;
	return 0;
bad:
	return why_set(why, "4.3.5", "bad next hop: %.*s",
	    SPAN_ARG(span_sub(text, 0, 200)));
}

const char *
hop_service(const struct hop *h, const char *port, const char *services)
{
	const char *name = h->default_port ? port : h->service;
	struct span rest = span_of(services), word;

	while (h->kind == HOP_DOMAIN && name[0] != '\0' &&
	    span_token(&rest, " \t\r\n,", &word))
		if (span_caseis(word, name))
			return name;
	return NULL;
}
