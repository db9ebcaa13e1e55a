/* SPDX-License-Identifier: ISC */
/*
 * dns_filter - see dns_filter.h.
 */
#include "dns/dns_filter.h"

#include "base/log.h"
#include "io/sock.h"
#include "ipc/schema.h"

#define ACTION_MAX	100	/* bytes */

static void
put_address(const struct dns_rr *rr, struct buf *out)
{
	char text[SOCK_ADDR_TEXT_MAX];
	struct sock_addr a;

	dns_address(rr, &a);
	sock_addr_text(&a, text);
	buf_add_str(out, text);
}

void
dns_filter_text(struct span name, uint32_t ttl, const struct dns_rr *rr,
    struct buf *out)
{
	buf_addf(out, "%.*s. %u IN %s ", SPAN_ARG(name), ttl,
	    dns_type_name(rr->type));
	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		put_address(rr, out);
		break;
	case DNS_MX:
		buf_addf(out, "%u %s.", rr->pref, rr->name);
		break;
	case DNS_SRV:
		buf_addf(out, "%u %u %u %s.", rr->pref, rr->weight, rr->port,
		    rr->name);
		break;
	case DNS_TLSA:
		buf_addf(out, "%u %u %u ", rr->usage, rr->selector,
		    rr->matching);
		for (size_t i = 0; i < rr->data.len; i++)
			buf_addf(out, "%02X", (uint8_t)rr->data.p[i]);
		break;
	default:
		break;
	}
}

static bool
is_filtered(unsigned type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_MX ||
	    type == DNS_SRV || type == DNS_TLSA;
}

/* 1: it is not to be seen; -1: nobody can tell. */
static int
is_unwanted(struct maps *m, const char *text)
{
	struct buf action = BUF_INIT(ACTION_MAX);
	struct why why = WHY_INIT;
	int rc = maps_get(m, span_of(text), false, &action, &why);

	if (rc < 0)
		log_warning("DNS reply filter: %s", why.text);
	else if (rc > 0 && !span_caseis(buf_span(&action), "IGNORE")) {
		log_warning("DNS reply filter: unknown action \"%s\" for %s",
		    action.data, text);
		rc = -1;
	}
	buf_fini(&action);
	return rc;
}

int
dns_filter(struct maps *m, const struct dns_answer *a, struct span name,
    struct buf *out)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span before, rest = a->records;
	struct dns_rr rr;
	int n = 0, usable = 0, rc;
	bool ignored = false;

	while (before = rest, (rc = dns_next(a, &rest, &rr)) != 0) {
		if (rc > 0 && is_filtered(rr.type)) {
			buf_reset(&text);
			dns_filter_text(name, a->ttl, &rr, &text);
			rc = is_unwanted(m, text.data);
			usable += rc == 0;
			if (rc < 0) {
				buf_fini(&text);
				return -1;
			}
			if (rc > 0) {
				log_info("ignoring DNS RR: %s", text.data);
				ignored = true;
				continue;
			}
		}
		buf_add_span(out, span_sub(before, 0, before.len - rest.len));
		n++;
	}
	buf_fini(&text);
	return ignored && usable == 0 ? 0 : n;
}
