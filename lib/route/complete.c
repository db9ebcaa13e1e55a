/* SPDX-License-Identifier: ISC */
/*
 * complete - address_complete(): what Postfix's rewriting of local addresses
 * does.  Text in, text out; no table is asked.
 */
#include "conf/params.h"
#include "mail/address.h"
#include "route/resolve.h"

bool
address_swap_operators(struct span local, struct buf *out)
{
	ptrdiff_t at;

	if (conf.swap_bangpath && (at = span_find(local, '!')) > 0 &&
	    (size_t)at + 1 < local.len) {
		buf_add_span(out, span_from(local, (size_t)at + 1));
		buf_add_char(out, '@');
		buf_add_span(out, span_sub(local, 0, (size_t)at));
		return true;
	}
	if (conf.allow_percent_hack && (at = span_rfind(local, '%')) > 0 &&
	    (size_t)at + 1 < local.len) {
		buf_add_span(out, span_sub(local, 0, (size_t)at));
		buf_add_char(out, '@');
		buf_add_span(out, span_from(local, (size_t)at + 1));
		return true;
	}
	return false;
}

void
address_complete(struct span addr, struct buf *out)
{
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;

	if (addr.len == 0)
		return;
	buf_add_span(&tmp, addr);
	address_split(buf_span(&tmp), &local, &domain);
	if (domain.p == NULL) {
		struct buf swapped = BUF_INIT(BUF_UNLIMITED);

		if (address_swap_operators(local, &swapped)) {
			buf_fini(&tmp);
			tmp = swapped;
		} else if (conf.append_at_myorigin &&
		    conf.myorigin[0] != '\0') {
			buf_add_char(&tmp, '@');
			buf_add_str(&tmp, conf.myorigin);
		}
		address_split(buf_span(&tmp), &local, &domain);
	}
	if (domain.len > 1 && domain.p[domain.len - 1] == '.')
		buf_trunc(&tmp, tmp.len - 1);
	else if (domain.len > 0 && domain.p[0] != '[' &&
	    conf.append_dot_mydomain && conf.mydomain[0] != '\0' &&
	    span_find(domain, '.') < 0) {
		buf_add_char(&tmp, '.');
		buf_add_str(&tmp, conf.mydomain);
	}
	buf_add_span(out, buf_span(&tmp));
	buf_fini(&tmp);
}

void
route_parse_transport(struct span value, struct span *transport,
    struct span *nexthop)
{
	ptrdiff_t colon;

	value = span_trim(value);
	colon = span_find(value, ':');
	*transport = colon < 0 ? value : span_sub(value, 0, (size_t)colon);
	*nexthop = colon < 0 ? SPAN_EMPTY :
	    span_trim(span_from(value, (size_t)colon + 1));
}
