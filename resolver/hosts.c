/* SPDX-License-Identifier: ISC */
/*
 * hosts - addresses and names out of a hosts(5) file, for smtp_host_lookup =
 * native and for the names of clients.
 */
#include <strings.h>

#include "dns/dns.h"
#include "ipc/schema.h"
#include "resolver/resolver.h"

size_t
hosts_find(struct span text, const char *name, unsigned type,
    struct buf *records, bool *other)
{
	struct span line, word;
	size_t n = 0;

	*other = false;
	while (span_line(&text, &line)) {
		ptrdiff_t hash = span_find(line, '#');
		struct sock_addr a;
		bool v4;

		if (hash >= 0)
			line = span_sub(line, 0, (size_t)hash);
		if (!span_token(&line, " \t", &word) ||
		    sock_addr_parse(word, 0, &a) < 0)
			continue;
		v4 = a.sa.sa_family == AF_INET;
		while (span_token(&line, " \t", &word)) {
			if (!span_caseis(word, name))
				continue;
			if ((type == DNS_A) != v4) {
				*other = true;
			} else {
				ipc_put_blob(records, v4
				    ? span_make(&a.in.sin_addr, 4)
				    : span_make(&a.in6.sin6_addr, 16),
				    RESOLVER_RDATA_MAX, "rdata");
				n++;
			}
			break;
		}
	}
	return n;
}

/* A name in wire format (RFC 1035 3.1); one that is none is left out. */
static bool
put_name(struct span name, struct buf *records)
{
	struct buf wire = BUF_INIT(DNS_NAME_MAX + 2);
	struct span label;

	if (!dns_name_valid(name))
		return false;
	while (span_token(&name, ".", &label)) {
		buf_add_char(&wire, (char)label.len);
		buf_add_span(&wire, label);
	}
	buf_add_char(&wire, '\0');
	ipc_put_blob(records, buf_span(&wire), RESOLVER_RDATA_MAX, "rdata");
	buf_fini(&wire);
	return true;
}

size_t
hosts_find_name(struct span text, const char *reverse, struct buf *records)
{
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	struct span line, word;
	size_t n = 0;

	while (n == 0 && span_line(&text, &line)) {
		ptrdiff_t hash = span_find(line, '#');
		struct sock_addr a;

		if (hash >= 0)
			line = span_sub(line, 0, (size_t)hash);
		if (!span_token(&line, " \t", &word) ||
		    sock_addr_parse(word, 0, &a) < 0)
			continue;
		buf_reset(&name);
		if (a.sa.sa_family == AF_INET)
			dns_reverse_name((const uint8_t *)&a.in.sin_addr, 4,
			    &name);
		else
			dns_reverse_name((const uint8_t *)&a.in6.sin6_addr,
			    16, &name);
		/* The first name of a line is the host's own. */
		if (strcasecmp(name.data, reverse) == 0 &&
		    span_token(&line, " \t", &word) &&
		    put_name(word, records))
			n = 1;
	}
	buf_fini(&name);
	return n;
}
