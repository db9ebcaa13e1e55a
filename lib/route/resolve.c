/* SPDX-License-Identifier: ISC */
/*
 * resolve - see resolve.h.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/address.h"
#include "route/addr_find.h"
#include "route/lazy.h"
#include "route/normal.h"
#include "route/our.h"
#include "route/probe_sender.h"
#include "route/resolve.h"

#define CHECKED_MAX	1000		/* domains remembered as checked */

/* Where a class goes, and the tables that know better: for mail, and for the
 * probes of verify (address_verify_...). */
struct ways {
	const char	*local, *virtual, *relay, *others, *relayhost;
	struct lazy	*transport, *snd_relayhost, *snd_transport;
};

struct resolver {
	/* lists of domains */
	struct lazy	alias_domains, mailbox_domains, relay_domains;
	/* tables */
	struct lazy	relocated, aliases, canonical, rcpt_canonical,
			local_rcpt, mailboxes, relay_rcpt;
	struct ways	mail, probes;
	struct ways	*ways;		/* of the address being resolved */
	bool		transport_bare;	/* parent_domain_matches_subdomains */
	struct hash	checked;	/* local domains, for warn_both() */
};

/* --- tables ------------------------------------------------------------------ */

static bool
parents_match(const char *param)
{
	struct span rest = span_of(conf.parent_domain_matches_subdomains), w;

	while (span_token(&rest, " \t\r\n,", &w))
		if (span_is(w, param))
			return true;
	return false;
}

/* Tables that are the same are opened once. */
static struct lazy *
ways_maps(const char *title, const char *value, struct lazy *same)
{
	struct lazy *l;

	if (same != NULL && strcmp(same->value, value) == 0)
		return same;
	l = mem_zalloc(sizeof(*l));
	lazy_init(l, title, value, false, TABLE_FOLD);
	return l;
}

/* The ways of mail, or of verify's probes. */
#define TABLE(f, p)	ways_maps(#p, conf.p, same->f)
static void
ways_init(struct ways *w, const struct ways *same, bool probes)
{
	if (probes) {
		*w = (struct ways){
			conf.address_verify_local_transport,
			conf.address_verify_virtual_transport,
			conf.address_verify_relay_transport,
			conf.address_verify_default_transport,
			conf.address_verify_relayhost,
			TABLE(transport, address_verify_transport_maps),
			TABLE(snd_relayhost,
			    address_verify_sender_dependent_relayhost_maps),
			TABLE(snd_transport,
			    address_verify_sender_dependent_default_transport_maps),
		};
		return;
	}
	*w = (struct ways){
		conf.local_transport, conf.virtual_transport,
		conf.relay_transport, conf.default_transport, conf.relayhost,
		TABLE(transport, transport_maps),
		TABLE(snd_relayhost, sender_dependent_relayhost_maps),
		TABLE(snd_transport, sender_dependent_default_transport_maps),
	};
}
#undef TABLE

static void
ways_fini(struct ways *w, const struct ways *same)
{
	struct lazy *all[] = { w->transport, w->snd_relayhost,
	    w->snd_transport };
	const struct lazy *shared[] = { same->transport, same->snd_relayhost,
	    same->snd_transport };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i] == shared[i])
			continue;
		lazy_fini(all[i]);
		mem_free(all[i]);
	}
}

struct resolver *
resolver_new(struct why *why)
{
	struct resolver *r;

	if (our_open(why) < 0)
		return NULL;
	r = mem_zalloc(sizeof(*r));
	r->checked = HASH_INIT;
	r->transport_bare = parents_match("transport_maps");
#define LIST(f, p, fl)	lazy_init(&r->f, #p, conf.p, true, fl)
#define MAPS(f, p)	lazy_init(&r->f, #p, conf.p, false, TABLE_FOLD)
	LIST(alias_domains, virtual_alias_domains, 0);
	LIST(mailbox_domains, virtual_mailbox_domains, 0);
	LIST(relay_domains, relay_domains,
	    parents_match("relay_domains") ? MATCH_PARENT : 0);
	MAPS(relocated, relocated_maps);
	MAPS(aliases, virtual_alias_maps);
	MAPS(canonical, canonical_maps);
	MAPS(rcpt_canonical, recipient_canonical_maps);
	MAPS(local_rcpt, local_recipient_maps);
	MAPS(mailboxes, virtual_mailbox_maps);
	MAPS(relay_rcpt, relay_recipient_maps);
	ways_init(&r->mail, &r->mail, false);
	ways_init(&r->probes, &r->mail, true);
	r->ways = &r->mail;
#undef LIST
#undef MAPS
	return r;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	lazy_fini(&r->alias_domains);
	lazy_fini(&r->mailbox_domains);
	lazy_fini(&r->relay_domains);
	lazy_fini(&r->relocated);
	lazy_fini(&r->aliases);
	lazy_fini(&r->canonical);
	lazy_fini(&r->rcpt_canonical);
	lazy_fini(&r->local_rcpt);
	lazy_fini(&r->mailboxes);
	lazy_fini(&r->relay_rcpt);
	ways_fini(&r->probes, &r->mail);
	ways_fini(&r->mail, &(struct ways){ .transport = NULL });
	hash_fini(&r->checked, NULL);
	mem_free(r);
}

void
route_init(struct route *out)
{
	*out = (struct route){
		.transport = BUF_INIT(BUF_UNLIMITED),
		.nexthop = BUF_INIT(BUF_UNLIMITED),
		.address = BUF_INIT(BUF_UNLIMITED),
		.relocated = BUF_INIT(BUF_UNLIMITED),
		.rule = BUF_INIT(BUF_UNLIMITED),
	};
}

void
route_fini(struct route *out)
{
	buf_fini(&out->transport);
	buf_fini(&out->nexthop);
	buf_fini(&out->address);
	buf_fini(&out->relocated);
	buf_fini(&out->rule);
}

static void
set(struct buf *b, struct span s)
{
	buf_reset(b);
	buf_add_span(b, s);
}

static void
set_rule(struct route *out, const char *param, const struct lazy *l)
{
	buf_reset(&out->rule);
	buf_add_str(&out->rule, param);
	if (l != NULL && l->maps != NULL && maps_last_table(l->maps) != NULL) {
		buf_add_char(&out->rule, ' ');
		buf_add_str(&out->rule, maps_last_table(l->maps));
	}
}

/* --- the class ------------------------------------------------------------------- */

static void
use_transport(struct route *out, const char *value, struct span nexthop)
{
	struct span t, nh;

	route_parse_transport(span_of(value), &t, &nh);
	set(&out->transport, t);
	buf_reset(&out->nexthop);
	if (nh.len > 0)
		buf_add_span(&out->nexthop, nh);
	else
		address_fold(nexthop, true, &out->nexthop);
}

/* Say once that a domain is in two classes; the first one wins. */
static void
warn_both(struct resolver *r, struct span domain)
{
	struct why why = WHY_INIT;
	const struct lazy *both[] = { &r->alias_domains, &r->mailbox_domains,
	    &r->relay_domains };
	bool made;

	if (r->checked.count >= CHECKED_MAX)
		hash_fini(&r->checked, NULL);
	(void)hash_enter(&r->checked, domain, &made);
	if (!made)
		return;
	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		if (lazy_list_has((struct lazy *)both[i], domain, &why) > 0 &&
		    both[i] != &r->relay_domains)
			log_warning("do not list domain %.*s in BOTH "
			    "mydestination and %s", SPAN_ARG(domain),
			    both[i]->title);
}

/*
 * What a sender-dependent table says: 1 *value is set, 0 nothing, -1 why.
 * "DUNNO" ends the search without a result.
 */
static int
by_sender(struct lazy *l, const char *null_key, struct span sender,
    struct buf *value, struct route *out)
{
	int rc;

	rc = lazy_find(l, sender.len > 0 ? sender : span_of(null_key),
	    FIND_DEFAULT, value, &out->why);
	if (rc > 0 && span_caseis(span_trim(buf_span(value)), "DUNNO"))
		rc = 0;
	return rc;
}

/* Relay and default class: RFC 5321 would now look for an MX; before that
 * come the settings that name another next hop. */
static int
off_host(struct resolver *r, struct span sender, struct span domain,
    struct route *out)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct span t, nh;
	const char *transport;
	int rc = 0;

	if (out->class == ROUTE_RELAY) {
		transport = r->ways->relay;
		set_rule(out, "relay_transport", NULL);
	} else {
		transport = r->ways->others;
		set_rule(out, "default_transport", NULL);
		rc = by_sender(r->ways->snd_transport,
		    conf.empty_address_default_transport_maps_lookup_key,
		    sender, &value, out);
		if (rc > 0) {
			transport = value.data;
			set_rule(out, "sender_dependent_default_transport_"
			    "maps", r->ways->snd_transport);
		}
	}
	if (rc >= 0) {
		use_transport(out, transport, domain);
		route_parse_transport(span_of(transport), &t, &nh);
		if (nh.len == 0) {
			rc = by_sender(r->ways->snd_relayhost,
			    conf.empty_address_relayhost_maps_lookup_key,
			    sender, &value, out);
			if (rc > 0) {
				set(&out->nexthop, span_trim(
				    buf_span(&value)));
				set_rule(out, "sender_dependent_relayhost_"
				    "maps", r->ways->snd_relayhost);
			} else if (rc == 0 && r->ways->relayhost[0] != '\0') {
				set(&out->nexthop, span_of(r->ways->relayhost));
				set_rule(out, "relayhost", NULL);
			}
		}
	}
	buf_fini(&value);
	return rc < 0 ? -1 : 0;
}

static void
unknown_user(struct buf *out, const char *table)
{
	buf_add_str(out, "User unknown");
	if (conf.show_user_unknown_table_name)
		buf_addf(out, " in %s table", table);
}

static int
classify(struct resolver *r, bool ours, struct span sender, struct route *out)
{
	struct span local, domain;
	int rc;

	address_split(buf_span(&out->address), &local, &domain);
	if (ours) {
		out->class = ROUTE_LOCAL;
		use_transport(out, r->ways->local,
		    domain.p != NULL ? domain : span_of(conf.myhostname));
		set_rule(out, "mydestination", NULL);
		if (domain.len > 0)
			warn_both(r, domain);
		return 0;
	}
	if ((rc = lazy_list_has(&r->alias_domains, domain, &out->why)) != 0) {
		/* What arrives here has found no alias. */
		out->class = ROUTE_VIRTUAL_ALIAS;
		set(&out->transport, span_of(conf.error_service_name));
		buf_reset(&out->nexthop);
		buf_add_str(&out->nexthop, "5.1.1 ");
		unknown_user(&out->nexthop, "virtual alias");
		set_rule(out, "virtual_alias_domains", NULL);
		return rc < 0 ? -1 : 0;
	}
	if ((rc = lazy_list_has(&r->mailbox_domains, domain, &out->why)) != 0) {
		out->class = ROUTE_VIRTUAL_MAILBOX;
		use_transport(out, r->ways->virtual, domain);
		set_rule(out, "virtual_mailbox_domains", NULL);
		return rc < 0 ? -1 : 0;
	}
	rc = lazy_list_has(&r->relay_domains, domain, &out->why);
	if (rc < 0)
		return -1;
	out->class = rc > 0 ? ROUTE_RELAY : ROUTE_DEFAULT;
	return off_host(r, sender, domain, out);
}

/*
 * RFC 5321 4.5.1: every domain that mail is delivered for has a postmaster.
 * Where a virtual domain names none, it is the system's.
 */
static int
find_postmaster(struct resolver *r, struct route *out)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct span addr = buf_span(&out->address), local, domain;
	int rc;

	address_split(addr, &local, &domain);
	if ((out->class != ROUTE_VIRTUAL_ALIAS &&
	    out->class != ROUTE_VIRTUAL_MAILBOX) ||
	    !span_caseis(local, "postmaster"))
		return 0;
	rc = lazy_find(&r->aliases, addr, FIND_DEFAULT, &value, &out->why);
	if (rc == 0 && out->class == ROUTE_VIRTUAL_MAILBOX) {
		if (lazy_empty(&r->mailboxes))
			rc = 1;		/* anything goes there */
		else
			rc = lazy_find(&r->mailboxes, addr, FIND_FULL |
			    FIND_NOEXT | FIND_AT_DOMAIN, &value, &out->why);
	}
	buf_fini(&value);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = our_domain(span_of(conf.myorigin), &out->why);
	if (rc <= 0)
		return rc;
	set(&out->address, SPAN("postmaster@"));
	buf_add_str(&out->address, conf.myorigin);
	out->class = ROUTE_LOCAL;
	use_transport(out, r->ways->local, span_of(conf.myorigin));
	set_rule(out, "postmaster", NULL);
	return 0;
}

/* --- tables that overrule the class ------------------------------------------------ */

static int
look_relocated(struct resolver *r, struct route *out)
{
	int rc;

	rc = lazy_find(&r->relocated, buf_span(&out->address), FIND_DEFAULT,
	    &out->relocated, &out->why);
	if (rc <= 0) {
		buf_reset(&out->relocated);
		return rc;
	}
	set(&out->transport, span_of(conf.error_service_name));
	buf_reset(&out->nexthop);
	buf_addf(&out->nexthop, "5.1.6 User has moved to %s",
	    out->relocated.data);
	set_rule(out, "relocated_maps", &r->relocated);
	return 1;
}

static int
look_transport(struct resolver *r, struct route *out)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct span addr = buf_span(&out->address), local, domain, t, nh;
	int rc;

	address_split(addr, &local, &domain);
	rc = lazy_find(r->ways->transport, addr, FIND_FULL | FIND_NOEXT |
	    FIND_DOMAIN | (r->transport_bare ? FIND_BARE_PARENT :
	    FIND_PARENT), &value, &out->why);
	if (rc == 0 && r->ways->transport->maps != NULL)
		rc = maps_get(r->ways->transport->maps, SPAN("*"), true, &value,
		    &out->why);
	if (rc > 0) {
		route_parse_transport(buf_span(&value), &t, &nh);
		/*
		 * transport(5): a null transport changes the next hop only,
		 * a transport without next hop means the recipient's domain,
		 * and ":" changes nothing.
		 */
		if (t.len > 0) {
			set(&out->transport, t);
			buf_reset(&out->nexthop);
			if (nh.len == 0 && span_is(t, conf.error_service_name))
				buf_add_str(&out->nexthop,
				    "Address is undeliverable");
			else if (nh.len == 0)
				address_fold(domain, true, &out->nexthop);
		}
		if (nh.len > 0)
			set(&out->nexthop, nh);
		set_rule(out, "transport_maps", r->ways->transport);
	}
	buf_fini(&value);
	return rc < 0 ? -1 : 0;
}

/* --- does it exist? ------------------------------------------------------------------ */

static int
in_table(struct lazy *l, unsigned flags, const char *name, struct route *out)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	int rc = 1;

	if (!lazy_empty(l))
		rc = lazy_find(l, buf_span(&out->address), flags, &value,
		    &out->why);
	if (rc == 0) {
		out->listed = false;
		buf_reset(&value);
		unknown_user(&value, name);
		(void)why_set(&out->why, "5.1.1", "%s", value.data);
	}
	buf_fini(&value);
	return rc < 0 ? -1 : 0;
}

static int
look_aliases(struct resolver *r, struct route *out)
{
	struct lazy *all[] = { &r->aliases, &r->rcpt_canonical,
	    &r->canonical };
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(all) && rc == 0; i++)
		rc = lazy_find(all[i], buf_span(&out->address), FIND_DEFAULT,
		    &value, &out->why);
	out->alias = rc > 0;
	buf_fini(&value);
	return rc;
}

static int
look_listed(struct resolver *r, struct route *out)
{
	struct span local, domain;
	int rc;

	rc = look_aliases(r, out);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (out->relocated.len > 0) {
		out->listed = false;
		(void)why_set(&out->why, "5.1.6", "User has moved to %s",
		    out->relocated.data);
		return 0;
	}
	switch (out->class) {
	case ROUTE_LOCAL:
		address_split(buf_span(&out->address), &local, &domain);
		if (span_caseis(local, "postmaster") ||
		    span_caseis(local, conf.double_bounce_sender) ||
		    probe_sender_is(buf_span(&out->address), clock_wall_s()))
			return 0;
		return in_table(&r->local_rcpt, FIND_FULL | FIND_NOEXT |
		    FIND_LOCAL_ANY | FIND_AT_DOMAIN, "local recipient", out);
	case ROUTE_VIRTUAL_ALIAS:
		out->listed = false;
		(void)why_set(&out->why, "5.1.1", "%s",
		    out->nexthop.data + strlen("5.1.1 "));
		return 0;
	case ROUTE_VIRTUAL_MAILBOX:
		return in_table(&r->mailboxes, FIND_FULL | FIND_NOEXT |
		    FIND_AT_DOMAIN, "virtual mailbox", out);
	case ROUTE_RELAY:
		return in_table(&r->relay_rcpt, FIND_DEFAULT,
		    "relay recipient", out);
	case ROUTE_DEFAULT:
		break;
	}
	return 0;
}

/* --- all together ---------------------------------------------------------------------- */

static int
resolve(struct resolver *r, struct span address, struct span sender,
    bool want_listed, struct route *out)
{
	int ours, moved;

	if (address.len == 0)
		address = span_of(conf.empty_address_recipient);
	if (address.len > ADDRESS_MAX * 2)
		return route_invalid(out, "address too long");
	address_complete(address, &out->address);
	ours = route_normalise(out);
	if (ours < 0)
		return -1;
	/* A command that gets it as an argument could take it for an option. */
	if (!conf.allow_min_user && out->address.len > 0 &&
	    out->address.data[0] == '-')
		return route_invalid(out, "address begins with '-'");
	if (out->address.len == 0 || out->address.data[0] == '@')
		return route_invalid(out, "address without local part");
	if (classify(r, ours > 0, sender, out) < 0 ||
	    find_postmaster(r, out) < 0)
		return -1;
	moved = look_relocated(r, out);
	if (moved < 0)
		return -1;
	if (!moved && out->class != ROUTE_VIRTUAL_ALIAS &&
	    look_transport(r, out) < 0)
		return -1;
	return want_listed ? look_listed(r, out) : 0;
}

void
resolver_resolve(struct resolver *r, struct span address, struct span sender,
    unsigned flags, struct route *out)
{
	r->ways = flags & RESOLVE_PROBE ? &r->probes : &r->mail;
	buf_reset(&out->transport);
	buf_reset(&out->nexthop);
	buf_reset(&out->address);
	buf_reset(&out->relocated);
	buf_reset(&out->rule);
	out->why = WHY_INIT;
	out->status = ROUTE_OK;
	out->class = ROUTE_DEFAULT;
	out->routed = out->alias = false;
	out->listed = true;
	if (resolve(r, address, sender, flags & RESOLVE_LISTED, out) < 0 &&
	    out->status == ROUTE_OK)
		out->status = ROUTE_TEMPFAIL;
}
