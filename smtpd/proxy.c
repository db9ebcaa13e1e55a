/* SPDX-License-Identifier: ISC */
/*
 * proxy - see proxy.h.
 */
#include "smtpd/proxy.h"

#include "base/num.h"

#define V1_MAX	107		/* bytes, with CR LF */
#define V2_FIXED 16

static const char v2_magic[12] = {
	'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'
};

/* One field, followed by exactly one space or the end. */
static bool
field(struct span *rest, struct span *out)
{
	ptrdiff_t sp;

	if (rest->p == NULL)
		return false;
	sp = span_find(*rest, ' ');
	if (sp < 0) {
		*out = *rest;
		*rest = SPAN_EMPTY;
	} else {
		*out = span_sub(*rest, 0, (size_t)sp);
		*rest = span_from(*rest, (size_t)sp + 1);
	}
	return out->len > 0;
}

static int
parse_v1(struct span in, struct proxy_header *out, size_t *used)
{
	const char *lf = memchr(in.p, '\n', MIN(in.len, (size_t)V1_MAX));
	struct span rest, word, src, dst, sport, dport;
	uint32_t sp, dp;
	int family;

	if (lf == NULL)
		return in.len >= V1_MAX ? -1 : 0;
	if (lf == in.p || lf[-1] != '\r')
		return -1;
	*used = (size_t)(lf - in.p) + 1;
	rest = span_make(in.p, *used - 2);
	if (!field(&rest, &word) || !span_is(word, "PROXY") ||
	    !field(&rest, &word))
		return -1;
	if (span_is(word, "UNKNOWN")) {
		out->local = true;
		return 1;
	}
	if (span_is(word, "TCP4"))
		family = AF_INET;
	else if (span_is(word, "TCP6"))
		family = AF_INET6;
	else
		return -1;
	if (!field(&rest, &src) || !field(&rest, &dst) ||
	    !field(&rest, &sport) || !field(&rest, &dport) || rest.p != NULL)
		return -1;
	if (num_parse_u32(sport, 65535, &sp) < 0 ||
	    num_parse_u32(dport, 65535, &dp) < 0 ||
	    src.p[0] == '[' || dst.p[0] == '[' ||
	    sock_addr_parse(src, (uint16_t)sp, &out->client) < 0 ||
	    sock_addr_parse(dst, (uint16_t)dp, &out->server) < 0 ||
	    out->client.sa.sa_family != family ||
	    out->server.sa.sa_family != family)
		return -1;
	return 1;
}

static void
take_addr(const unsigned char *addr, const unsigned char *port, int family,
    struct sock_addr *out)
{
	*out = (struct sock_addr){ .len = 0 };
	if (family == AF_INET) {
		out->in.sin_family = AF_INET;
		memcpy(&out->in.sin_addr, addr, 4);
		memcpy(&out->in.sin_port, port, 2);
		out->len = sizeof(out->in);
	} else {
		out->in6.sin6_family = AF_INET6;
		memcpy(&out->in6.sin6_addr, addr, 16);
		memcpy(&out->in6.sin6_port, port, 2);
		out->len = sizeof(out->in6);
	}
}

static int
parse_v2(struct span in, struct proxy_header *out, size_t *used)
{
	const unsigned char *b = (const unsigned char *)in.p;
	size_t len;

	if (in.len < V2_FIXED)
		return 0;
	if (b[12] >> 4 != 2 || (b[12] & 15) > 1)
		return -1;
	len = (size_t)b[14] << 8 | b[15];
	if (V2_FIXED + len > PROXY_HEADER_MAX)
		return -1;
	if (in.len < V2_FIXED + len)
		return 0;
	*used = V2_FIXED + len;
	if ((b[12] & 15) == 0) {	/* LOCAL */
		out->local = true;
		return 1;
	}
	switch (b[13]) {
	case 0x11:			/* TCP over IPv4 */
		if (len < 12)
			return -1;
		take_addr(b + 16, b + 24, AF_INET, &out->client);
		take_addr(b + 20, b + 26, AF_INET, &out->server);
		return 1;
	case 0x21:			/* TCP over IPv6 */
		if (len < 36)
			return -1;
		take_addr(b + 16, b + 48, AF_INET6, &out->client);
		take_addr(b + 32, b + 50, AF_INET6, &out->server);
		return 1;
	case 0x00:			/* UNSPEC: use the real addresses */
		out->local = true;
		return 1;
	default:
		return -1;
	}
}

int
proxy_parse(struct span in, struct proxy_header *out, size_t *used)
{
	size_t n = MIN(in.len, sizeof(v2_magic));

	*out = (struct proxy_header){ .local = false };
	*used = 0;
	if (in.len == 0)
		return 0;
	if (memcmp(in.p, v2_magic, n) == 0)
		return n < sizeof(v2_magic) ? 0 : parse_v2(in, out, used);
	if (memcmp(in.p, "PROXY ", MIN(in.len, (size_t)6)) == 0)
		return parse_v1(in, out, used);
	return -1;
}
