/* SPDX-License-Identifier: ISC */
/*
 * addr_map - see addr_map.h.
 */
#include "route/addr_map.h"

#include "base/buf.h"
#include "conf/params.h"
#include "mail/address.h"
#include "route/addr_find.h"
#include "route/resolve.h"

struct results {
	struct span	 key;		/* the address that was looked up */
	struct span	 ext;		/* to be propagated, or empty */
	addr_map_fn	*fn;
	void		*arg;
	size_t		 n;
	bool		 too_long;
};

static void
add_extended(const struct results *r, struct span addr, struct buf *b)
{
	struct span local, domain;
	ptrdiff_t at = span_search(r->key, r->ext);

	address_split(addr, &local, &domain);
	buf_add_span(b, local);
	if (conf.recipient_delimiter[0] != '\0')
		/* The delimiter that was there. */
		buf_add_char(b, at > 0 ? r->key.p[at - 1] :
		    conf.recipient_delimiter[0]);
	buf_add_span(b, r->ext);
	if (domain.p != NULL) {
		buf_add_char(b, '@');
		buf_add_span(b, domain);
	}
}

static void
on_result(void *arg, const struct address_item *item)
{
	struct results *r = arg;
	struct buf b = BUF_INIT(BUF_UNLIMITED), whole = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain, addr = item->addr;

	if (addr.len == 0)
		return;
	if (addr.len > ADDRESS_MAX ||
	    addr.len > (size_t)conf.virtual_alias_address_length_limit) {
		r->too_long = true;
		return;
	}
	if (addr.p[0] == '@') {		/* "@domain": the same user there */
		address_split(r->key, &local, &domain);
		buf_add_span(&b, local);
		buf_add_span(&b, addr);
	} else if (r->ext.len > 0) {
		add_extended(r, addr, &b);
	} else {
		buf_add_span(&b, addr);
	}
	address_complete(buf_span(&b), &whole);
	r->n++;
	r->fn(r->arg, buf_span(&whole));
	buf_fini(&b);
	buf_fini(&whole);
}

int
addr_map(struct maps *maps, bool propagate, struct span addr,
    addr_map_fn *fn, void *arg, struct why *why)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	struct results r = { .key = addr, .fn = fn, .arg = arg };
	struct span ext = SPAN_EMPTY;
	int rc;

	rc = addr_find(maps, addr, FIND_DEFAULT, &value, &ext, why);
	if (rc < 0)
		why_prefix(why, "look-up of %.*s", SPAN_ARG(addr));
	if (rc <= 0)
		goto out;
	if (propagate)
		r.ext = ext;
	if (address_list_each(buf_span(&value),
	    (size_t)conf.header_address_token_limit, on_result, &r) < 0 ||
	    r.too_long)
		rc = why_set(why, "4.6.0", "Alias expansion error");
	else if (r.n == 0)
		rc = why_set(why, "4.3.5", "table %s has no address for %.*s",
		    maps_last_table(maps), SPAN_ARG(addr));
out:
	buf_fini(&value);
	return rc;
}

bool
addr_map_propagates(const char *what)
{
	struct span rest = span_of(conf.propagate_unmatched_extensions), word;

	while (span_token(&rest, " \t\r\n,", &word))
		if (span_caseis(word, what))
			return true;
	return false;
}
