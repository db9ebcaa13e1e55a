/* SPDX-License-Identifier: ISC */
/*
 * dns - see dns.h; only bytes, no I/O.
 */
#include "dns/dns.h"

#include "io/sock.h"

const char *
dns_type_name(unsigned type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_NS:
		return "NS";
	case DNS_CNAME:
		return "CNAME";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	case DNS_SRV:
		return "SRV";
	case DNS_TLSA:
		return "TLSA";
	default:
		return "?";
	}
}

const char *
dns_status_text(enum resolver_status s)
{
	switch (s) {
	case RESOLVER_OK:
		return "found";
	case RESOLVER_NODATA:
		return "Host found but no data record of requested type";
	case RESOLVER_NXDOMAIN:
		return "Host not found";
	case RESOLVER_INVALID:
		return "Malformed domain name";
	case RESOLVER_REFUSED:
		return "The server refused to answer";
	case RESOLVER_BOGUS:
		return "DNSSEC validation failed";
	case RESOLVER_TIMEOUT:
		return "Host not found, no answer in time";
	case RESOLVER_AWAY:
		return "the resolver is not available";
	case RESOLVER_FILTERED:
		return "DNS reply filter drops all results";
	case RESOLVER_SERVFAIL:
		break;
	}
	return "Host not found, try again";
}

bool
dns_name_valid(struct span name)
{
	size_t label = 0;

	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0;
}

/*
 * A name in wire format, which is all of in: labels with their lengths and an
 * empty one (RFC 1035 3.1).  The resolver has undone the compression.
 */
static int
parse_name(struct span in, char out[DNS_NAME_MAX + 1])
{
	size_t at = 0, n = 0;

	for (;;) {
		size_t len;

		if (at >= in.len)
			return -1;
		len = (uint8_t)in.p[at++];
		if (len == 0)
			break;
		if (len > 63 || len > in.len - at ||
		    n + len + (n > 0) > DNS_NAME_MAX)
			return -1;
		if (n > 0)
			out[n++] = '.';
		memcpy(out + n, in.p + at, len);
		if (memchr(in.p + at, '.', len) != NULL)
			return -1;	/* a dot that separates nothing */
		n += len;
		at += len;
	}
	out[n] = '\0';
	if (at != in.len || strlen(out) != n)
		return -1;
	return n == 0 || dns_name_valid(span_make(out, n)) ? 0 : -1;
}

static uint16_t
get16(struct span s, size_t at)
{
	return (uint16_t)((uint8_t)s.p[at] << 8 | (uint8_t)s.p[at + 1]);
}

/* RFC 1035 3.3: one or more strings with their lengths. */
static bool
txt_valid(struct span in)
{
	size_t at = 0;

	while (at < in.len)
		at += 1 + (size_t)(uint8_t)in.p[at];
	return at == in.len && in.len > 0;
}

int
dns_rr_parse(unsigned type, struct span in, struct dns_rr *out)
{
	*out = (struct dns_rr){ .type = type };
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (in.len != (type == DNS_A ? 4u : 16u))
			return -1;
		memcpy(out->addr, in.p, in.len);
		return 0;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		return parse_name(in, out->name);
	case DNS_MX:
		if (in.len < 3)
			return -1;
		out->pref = get16(in, 0);
		return parse_name(span_from(in, 2), out->name);
	case DNS_SRV:
		if (in.len < 7)
			return -1;
		out->pref = get16(in, 0);
		out->weight = get16(in, 2);
		out->port = get16(in, 4);
		return parse_name(span_from(in, 6), out->name);
	case DNS_TLSA:
		if (in.len < 4)
			return -1;
		out->usage = (uint8_t)in.p[0];
		out->selector = (uint8_t)in.p[1];
		out->matching = (uint8_t)in.p[2];
		out->data = span_from(in, 3);
		return 0;
	case DNS_TXT:
		out->data = in;
		return txt_valid(in) ? 0 : -1;
	default:
		return -1;
	}
}

int
dns_next(const struct dns_answer *a, struct span *rest, struct dns_rr *out)
{
	struct span rdata;

	if (rest->len == 0)
		return 0;
	if (ipc_get_blob(rest, RESOLVER_RDATA_MAX, &rdata) < 0) {
		*rest = SPAN_EMPTY;	/* nothing can be told apart any more */
		return -1;
	}
	return dns_rr_parse(a->type, rdata, out) < 0 ? -1 : 1;
}

void
dns_txt(const struct dns_rr *rr, struct buf *out)
{
	struct span in = rr->data;

	while (in.len > 0) {
		size_t n = (uint8_t)in.p[0];

		buf_add_span(out, span_sub(in, 1, n));
		in = span_from(in, 1 + n);
	}
}

void
dns_reverse_name(const uint8_t *addr, size_t len, struct buf *out)
{
	for (size_t i = len; i-- > 0;) {
		if (len == 4)
			buf_addf(out, "%u.", addr[i]);
		else
			buf_addf(out, "%x.%x.", addr[i] & 15u, addr[i] >> 4);
	}
	buf_add_str(out, len == 4 ? "in-addr.arpa" : "ip6.arpa");
}

void
dns_address(const struct dns_rr *rr, struct sock_addr *out)
{
	*out = (struct sock_addr){ .len = 0 };
	if (rr->type == DNS_A) {
		out->in.sin_family = AF_INET;
		memcpy(&out->in.sin_addr, rr->addr, 4);
		out->len = sizeof(out->in);
	} else {
		out->in6.sin6_family = AF_INET6;
		memcpy(&out->in6.sin6_addr, rr->addr, 16);
		out->len = sizeof(out->in6);
	}
}
