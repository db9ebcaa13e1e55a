/* SPDX-License-Identifier: ISC */
/*
 * addr_find - see addr_find.h.
 */
#include "conf/params.h"
#include "mail/address.h"
#include "route/addr_find.h"
#include "route/our.h"

struct search {
	struct maps	*maps;
	struct span	 addr, local, domain;
	struct span	 user, ext;	/* ext.p NULL when there is none */
	struct buf	*out;
	struct buf	 key;
	struct why	*why;
};

/* The first delimiter that is not at the start. */
static bool
split_plain(struct span local, struct span *user, struct span *ext)
{
	for (size_t i = 1; i < local.len; i++)
		if (local.p[i] != '\0' &&
		    strchr(conf.recipient_delimiter, local.p[i]) != NULL) {
			*ext = span_from(local, i + 1);
			*user = span_sub(local, 0, i);
			return true;
		}
	return false;
}

bool
addr_split_ext(struct span local, struct span *user, struct span *ext)
{
	if (span_caseis(local, conf.double_bounce_sender) ||
	    span_caseis(local, "mailer-daemon"))
		return false;
	if (conf.owner_request_special)
		return address_split_ext(local, conf.recipient_delimiter,
		    user, ext);
	return split_plain(local, user, ext);
}

static int
get(struct search *s, bool partial)
{
	return maps_get(s->maps, buf_span(&s->key), partial, s->out, s->why);
}

/* local@domain: as it is quoted, and when that differs, as it is. */
static int
get_address(struct search *s, struct span local, bool partial)
{
	struct buf plain = BUF_INIT(BUF_UNLIMITED);
	int rc;

	buf_add_span(&plain, local);
	if (s->domain.p != NULL) {
		buf_add_char(&plain, '@');
		buf_add_span(&plain, s->domain);
	}
	buf_reset(&s->key);
	address_quote_822(buf_span(&plain), &s->key);
	rc = get(s, partial);
	if (rc == 0 && !span_eq(buf_span(&s->key), buf_span(&plain))) {
		buf_reset(&s->key);
		buf_add_span(&s->key, buf_span(&plain));
		rc = get(s, partial);
	}
	buf_fini(&plain);
	return rc;
}

static int
get_span(struct search *s, const char *prefix, struct span what)
{
	buf_reset(&s->key);
	buf_add_str(&s->key, prefix);
	buf_add_span(&s->key, what);
	return get(s, true);
}

static int
find_local_part(struct search *s, unsigned flags, struct span *left)
{
	int rc;

	if (!(flags & FIND_LOCAL_ANY)) {
		rc = span_caseis(s->domain, conf.myorigin) ? 1 :
		    our_domain(s->domain, s->why);
		if (rc <= 0)
			return rc;
	}
	rc = get_span(s, "", s->local);
	if (rc != 0 || s->ext.p == NULL)
		return rc;
	rc = get_span(s, "", s->user);
	if (rc > 0)
		*left = s->ext;
	return rc;
}

static int
find_parents(struct search *s, unsigned flags)
{
	struct span d = s->domain;
	ptrdiff_t dot;
	int rc;

	if (d.len > 0 && d.p[0] == '[')
		return 0;
	while ((dot = span_find(d, '.')) >= 0) {
		d = span_from(d, (size_t)dot + 1);
		if (d.len == 0)
			break;
		rc = get_span(s, flags & FIND_BARE_PARENT ? "" : ".", d);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
search(struct search *s, unsigned flags, struct span *left)
{
	int rc = 0;

	if (flags & FIND_FULL)
		rc = get_address(s, s->local, false);
	if (rc == 0 && (flags & FIND_NOEXT) && s->ext.p != NULL) {
		rc = get_address(s, s->user, true);
		if (rc > 0)
			*left = s->ext;
	}
	if (rc != 0 || s->domain.p == NULL)
		return rc;
	if (flags & (FIND_LOCAL | FIND_LOCAL_ANY))
		rc = find_local_part(s, flags, left);
	if (rc == 0 && (flags & FIND_AT_DOMAIN)) {
		rc = get_span(s, "@", s->domain);
		if (rc > 0)
			*left = s->ext;
	}
	if (rc == 0 && (flags & FIND_DOMAIN))
		rc = get_span(s, "", s->domain);
	if (rc == 0 && (flags & (FIND_PARENT | FIND_BARE_PARENT)))
		rc = find_parents(s, flags);
	return rc;
}

int
addr_find(struct maps *m, struct span addr, unsigned flags, struct buf *out,
    struct span *ext, struct why *why)
{
	struct search s = {
		.maps = m, .addr = addr, .out = out, .why = why,
		.key = BUF_INIT(BUF_UNLIMITED),
	};
	struct span left = SPAN_EMPTY;
	int rc;

	if (ext != NULL)
		*ext = SPAN_EMPTY;
	if (maps_empty(m) || addr.len == 0)
		return 0;
	address_split(addr, &s.local, &s.domain);
	if (!addr_split_ext(s.local, &s.user, &s.ext))
		s.ext = SPAN_EMPTY;
	rc = search(&s, flags, &left);
	buf_fini(&s.key);
	if (rc > 0 && ext != NULL)
		*ext = left;
	return rc;
}
