/* SPDX-License-Identifier: ISC */
/*
 * normal - see normal.h.
 */
#include "route/normal.h"

#include "conf/params.h"
#include "mail/address.h"
#include "route/our.h"

#define OPERATORS_MAX	100		/* a%b%c%...: levels undone */

static void
set(struct buf *b, struct span s)
{
	buf_reset(b);
	buf_add_span(b, s);
}

static bool
has_operators(struct span local)
{
	return (conf.resolve_dequoted_address && span_find(local, '@') >= 0) ||
	    (conf.allow_percent_hack && span_find(local, '%') >= 0) ||
	    (conf.swap_bangpath && span_find(local, '!') >= 0);
}

/*
 * user%there@here, there!user@here, "user@there"@here, where "here" is ours:
 * the address without "@here".  False when there is no such thing in it.
 */
static bool
undo_operator(struct span local, struct buf *out)
{
	struct buf next = BUF_INIT(BUF_UNLIMITED);
	struct buf swapped = BUF_INIT(BUF_UNLIMITED);
	bool done;

	if (conf.resolve_dequoted_address && span_find(local, '@') >= 0) {
		address_complete(local, &next);
		done = true;
	} else {
		done = span_find(local, '@') < 0 &&
		    address_swap_operators(local, &swapped);
		address_complete(buf_span(&swapped), &next);
	}
	if (done)
		set(out, buf_span(&next));
	buf_fini(&next);
	buf_fini(&swapped);
	return done;
}

/* "1.2.3.4" in the place of a domain. */
static bool
is_bare_ipv4(struct span domain)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool yes;

	buf_addf(&b, "[%.*s]", SPAN_ARG(domain));
	yes = address_literal_valid(buf_span(&b));
	buf_fini(&b);
	return yes;
}

int
route_invalid(struct route *out, const char *text)
{
	out->status = ROUTE_INVALID;
	return why_set(&out->why, "5.1.3", "%s", text);
}

int
route_normalise(struct route *out)
{
	struct span local, domain;
	int rc;

	for (int n = 0; n < OPERATORS_MAX; n++) {
		address_split(buf_span(&out->address), &local, &domain);
		if (domain.p == NULL)
			return 1;
		if (domain.len == 0) {
			if (!conf.resolve_null_domain)
				return route_invalid(out, "address without domain");
			buf_trunc(&out->address, local.len);
			if (undo_operator(buf_span(&out->address),
			    &out->address)) {
				out->routed = true;
				continue;
			}
			return 1;
		}
		rc = our_domain(domain, &out->why);
		if (rc < 0)
			return -1;
		if (rc > 0 && undo_operator(local, &out->address)) {
			out->routed = true;
			continue;
		}
		if (rc > 0)
			return 1;
		if (is_bare_ipv4(domain)) {
			struct buf b = BUF_INIT(BUF_UNLIMITED);

			if (!conf.resolve_numeric_domain)
				return route_invalid(out, "address with a number "
				    "for a domain");
			buf_addf(&b, "%.*s@[%.*s]", SPAN_ARG(local),
			    SPAN_ARG(domain));
			set(&out->address, buf_span(&b));
			buf_fini(&b);
			continue;
		}
		/* Operators for others to undo: not for strangers. */
		if (has_operators(local))
			out->routed = true;
		if (!address_literal_valid(domain) && !address_domain_valid(
		    domain, conf.smtputf8_enable ? ADDRESS_UTF8 : 0))
			return route_invalid(out, "bad domain in address");
		return 0;
	}
	return route_invalid(out, "too many routing operators in address");
}
