/* SPDX-License-Identifier: ISC */
/*
 * dnsbl - lists of addresses and domains in the DNS (RFC 5782): the client or
 * a name is listed when "4.3.2.1.list.example" or "name.list.example" has an
 * address, or one that the restriction's "=127.0.0.[2;4..9]" matches.
 *
 * A list that does not answer refuses nobody, and permits nobody either.
 */
#include "base/log.h"
#include "base/num.h"
#include "conf/expand.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "smtpd/restrict.h"

#define DNSBL_TEXT_MAX	500	/* bytes of the lists' words that are shown */

/* --- domain=d.d.d.d ------------------------------------------------------------- */

/* One of four: a number, or [number;first..last;...].  -1: it is none. */
static int
octet_match(struct span pattern, unsigned value)
{
	struct span rest = pattern, item;
	int found = 0;
	uint32_t a, b;

	if (pattern.len == 0)
		return -1;
	if (pattern.p[0] != '[')
		return num_parse_u32(pattern, 255, &a) < 0 ? -1 : a == value;
	if (pattern.len < 3 || pattern.p[pattern.len - 1] != ']')
		return -1;
	rest = span_sub(pattern, 1, pattern.len - 2);
	while (span_token(&rest, ";", &item)) {
		ptrdiff_t dots = span_search(item, SPAN(".."));

		if (dots < 0) {
			if (num_parse_u32(item, 255, &a) < 0)
				return -1;
			b = a;
		} else if (num_parse_u32(span_sub(item, 0, (size_t)dots), 255,
		    &a) < 0 || num_parse_u32(span_from(item,
		    (size_t)dots + 2), 255, &b) < 0 || a > b) {
			return -1;
		}
		if (value >= a && value <= b)
			found = 1;
	}
	return found;
}

/* 1 matches, 0 not, -1 the pattern is none. */
static int
addr_match(struct span pattern, const uint8_t addr[4])
{
	int all = 1;

	for (int i = 0; i < 4; i++) {
		size_t n = 0;
		int rc;

		while (n < pattern.len && pattern.p[n] != '.') {
			if (pattern.p[n] == '[')
				while (n < pattern.len && pattern.p[n] != ']')
					n++;
			n += n < pattern.len;
		}
		if ((i == 3) != (n == pattern.len))
			return -1;
		rc = octet_match(span_sub(pattern, 0, n), addr[i]);
		if (rc < 0)
			return -1;
		all &= rc;
		pattern = span_from(pattern, n + 1);
	}
	return all;
}

/* "list.example=127.0.0.2" in two. */
static void
split(struct span arg, struct span *domain, struct span *pattern)
{
	ptrdiff_t eq = span_find(arg, '=');

	*domain = eq < 0 ? arg : span_sub(arg, 0, (size_t)eq);
	*pattern = eq < 0 ? SPAN_EMPTY : span_from(arg, (size_t)eq + 1);
}

bool
dnsbl_domain_valid(struct span arg)
{
	static const uint8_t any[4];
	struct span domain, pattern;

	split(arg, &domain, &pattern);
	return dns_name_valid(domain) && (pattern.p == NULL ||
	    addr_match(pattern, any) >= 0);
}

/* --- asking ------------------------------------------------------------------------- */

enum listed { LISTED_NOT, LISTED, LISTED_WAIT, LISTED_UNSURE };

struct listing {
	struct span	 list;		/* as written, with "=..." */
	struct span	 query;
	struct span	 what;		/* the address or name asked about */
	const char	*class;
};

static enum listed
is_listed(struct policy_run *r, const struct listing *l)
{
	const struct dns_answer *a = policy_ask_dns(r, l->query, DNS_A);
	struct span domain, pattern, rest;
	struct dns_rr rr;
	int rc;

	if (a == NULL)
		return LISTED_WAIT;
	if (dns_temporary(a->status)) {
		log_warning("%.*s: RBL lookup error: %s", SPAN_ARG(l->query),
		    dns_status_text(a->status));
		return LISTED_UNSURE;
	}
	split(l->list, &domain, &pattern);
	rest = a->records;
	while ((rc = dns_next(a, &rest, &rr)) != 0)
		if (rc > 0 && (pattern.p == NULL ||
		    addr_match(pattern, rr.addr) == 1))
			return LISTED;
	return LISTED_NOT;
}

static struct span
addr_query(struct policy_run *r, struct span list)
{
	const struct sock_addr *a = &r->s->addr;
	struct buf b = BUF_INIT(DNS_NAME_MAX);
	struct span domain, pattern, rev;
	char *q;

	if (a->sa.sa_family == AF_INET)
		dns_reverse_name((const uint8_t *)&a->in.sin_addr, 4, &b);
	else
		dns_reverse_name((const uint8_t *)&a->in6.sin6_addr, 16, &b);
	split(list, &domain, &pattern);
	rev = span_sub(buf_span(&b), 0, b.len - (a->sa.sa_family == AF_INET ?
	    sizeof("in-addr.arpa") : sizeof("ip6.arpa")) + 1);
	q = arena_printf(&r->arena, "%.*s%.*s", SPAN_ARG(rev),
	    SPAN_ARG(domain));
	buf_fini(&b);
	return span_of(q);
}

/* False: there is no name to ask about. */
static bool
name_query(struct policy_run *r, struct span list, struct span what,
    struct span *out)
{
	ptrdiff_t at = span_rfind(what, '@');
	struct span name = at < 0 ? what : span_from(what, (size_t)at + 1);
	struct span domain, pattern;

	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.p[0] == '[')
		return false;
	split(list, &domain, &pattern);
	*out = span_of(arena_printf(&r->arena, "%.*s.%.*s", SPAN_ARG(name),
	    SPAN_ARG(domain)));
	return dns_name_valid(*out);
}

/* --- the reply ------------------------------------------------------------------------ */

struct expansion {
	struct policy_run *r;
	const struct listing *l;
	const char	*reason;
};

/* "sender", "sender_name", "sender_domain", and of the recipient. */
static const char *
part_of(struct policy_run *r, struct span addr, struct span suffix)
{
	struct span local, domain;

	if (addr.p == NULL)
		return "";
	if (addr.len == 0)
		return span_is(suffix, "_domain") ? "" : "<>";
	address_split(addr, &local, &domain);
	if (suffix.len == 0)
		return arena_span_dup(&r->arena, addr);
	if (span_is(suffix, "_name"))
		return arena_span_dup(&r->arena, local);
	return span_is(suffix, "_domain") ?
	    arena_span_dup(&r->arena, domain) : NULL;
}

/*
 * Settings of main.cf are left out: they are nobody's business who gets the
 * reply.
 */
static const char *
value_of(void *arg, struct span name, bool test)
{
	const struct expansion *e = arg;
	struct policy_run *r = e->r;
	const struct session *s = r->s;
	const struct {
		const char *name, *value;
	} values[] = {
		{ "rbl_domain", NULL }, { "rbl_what", NULL },
		{ "rbl_code", NULL },
		{ "rbl_class", e->l->class },
		{ "rbl_reason", e->reason }, { "rbl_txt", e->reason },
		{ "client", s->namaddr }, { "client_name", s->name },
		{ "client_address", s->addr_text },
		{ "reverse_client_name", s->reverse_name != NULL ?
		    s->reverse_name : "unknown" },
		{ "helo_name", s->helo != NULL ? s->helo : "" },
	};

	for (size_t i = 3; i < ARRAY_LEN(values); i++)
		if (span_is(name, values[i].name))
			return values[i].value;
	if (span_is(name, values[0].name)) {
		struct span domain, pattern;

		split(e->l->list, &domain, &pattern);
		return arena_span_dup(&r->arena, domain);
	}
	if (span_is(name, values[1].name))
		return arena_span_dup(&r->arena, e->l->what);
	if (span_is(name, values[2].name))
		return arena_printf(&r->arena, "%d",
		    (int)conf.maps_rbl_reject_code);
	if (span_starts(name, SPAN("sender")))
		return part_of(r, s->txn == NULL ? SPAN_EMPTY :
		    s->txn->env.sender.p == NULL ? SPAN("") :
		    s->txn->env.sender, span_from(name, 6));
	if (span_starts(name, SPAN("recipient")))
		return part_of(r, r->rcpt, span_from(name, 9));
	return NULL;
}

/* What a list says of itself goes to a stranger: printable characters only. */
static const char printable[] =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
    "abcdefghijklmnopqrstuvwxyz{|}~";

static const char *
reason(struct policy_run *r, const struct dns_answer *a)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span rest = a->records;
	struct dns_rr rr;
	char *out;
	int rc;

	while ((rc = dns_next(a, &rest, &rr)) != 0 &&
	    b.len < DNSBL_TEXT_MAX) {
		if (rc < 0)
			continue;
		if (b.len > 0)
			buf_add_str(&b, " / ");
		dns_txt(&rr, &b);
	}
	for (size_t i = 0; i < b.len; i++)
		if ((unsigned char)b.data[i] < ' ' || b.data[i] == 127)
			b.data[i] = ' ';
	out = arena_span_dup(&r->arena, span_sub(buf_span(&b), 0,
	    DNSBL_TEXT_MAX));
	buf_fini(&b);
	return out;
}

static int
expand(struct policy_run *r, const struct listing *l, const char *template,
    const char *why_listed, struct buf *out)
{
	struct expansion e = { .r = r, .l = l, .reason = why_listed };
	struct why why = WHY_INIT;

	buf_reset(out);
	if (expand_text(template, 0, printable, value_of, &e, out, &why) == 0)
		return 0;
	log_warning("bad rbl reply template for domain %.*s: %s: %s",
	    SPAN_ARG(l->list), template, why.text);
	return -1;
}

/*
 * The template of rbl_reply_maps; *out is NULL where there is none.  False:
 * wait.  A table that cannot be read costs nothing but its words.
 */
static bool
template_for(struct policy_run *r, const struct listing *l, const char **out)
{
	const struct answer *a;
	struct span table, domain, pattern;

	*out = NULL;
	for (; restrict_nth_table(conf.rbl_reply_maps, r->sub, &table);
	    r->sub++) {
		split(l->list, &domain, &pattern);
		r->keys.v[0] = domain;
		r->keys.n = r->keys.nwhole = 1;
		if ((a = policy_ask_table(r, table)) == NULL)
			return false;
		if (a->status != ANSWER_OK) {
			log_warning("rbl_reply_maps cannot be read: %.*s",
			    SPAN_ARG(a->text));
			continue;
		}
		if (a->found) {
			*out = arena_span_dup(&r->arena, a->value);
			return true;
		}
	}
	return true;
}

static enum verdict
refuse(struct policy_run *r, const struct listing *l)
{
	const struct dns_answer *txt = policy_ask_dns(r, l->query, DNS_TXT);
	struct buf b = BUF_INIT(LOG_LINE_MAX);
	const char *template;
	enum verdict v;
	struct span text, code, word, rest;
	uint32_t n;

	if (txt == NULL || !template_for(r, l, &template))
		return V_WAIT;
	if ((template == NULL ||
	    expand(r, l, template, reason(r, txt), &b) < 0) &&
	    expand(r, l, conf.default_rbl_reply, reason(r, txt), &b) < 0)
		buf_reset(&b);
	text = buf_span(&b);
	if (!span_token(&text, " ", &code) || code.len != 3 ||
	    num_parse_u32(code, 599, &n) < 0 || n < 400) {
		log_warning("rbl response code configuration error: %s",
		    b.data);
		n = 450;
		text = SPAN_EMPTY;
	}
	text = rest = span_trim(text);
	if (span_token(&rest, " ", &word) && dsn_code_valid(word))
		text = span_trim(rest);
	else
		word = SPAN("4.7.1");
	v = policy_reject(r, (int)n, policy_dsn(r, (int)n,
	    arena_span_dup(&r->arena, word)), "%.*s",
	    SPAN_ARG(text.len > 0 ? text : SPAN("Service unavailable")));
	buf_fini(&b);
	return v;
}

static enum verdict
judge(struct policy_run *r, const struct listing *l)
{
	switch (is_listed(r, l)) {
	case LISTED_WAIT:
		return V_WAIT;
	case LISTED:
		return refuse(r, l);
	default:
		return V_DUNNO;
	}
}

/* --- the restrictions ------------------------------------------------------------------ */

enum verdict
eval_rbl_client(struct policy_run *r, const struct rule *rule)
{
	struct listing l = {
		.list = rule->arg, .query = addr_query(r, rule->arg),
		.what = span_of(r->s->addr_text),
		.class = policy_class_text(FOR_CLIENT),
	};

	return judge(r, &l);
}

/* The old way to write it: maps_rbl_domains has the lists. */
enum verdict
eval_maps_rbl(struct policy_run *r, const struct rule *rule)
{
	struct span rest = span_of(conf.maps_rbl_domains);
	struct listing l = {
		.what = span_of(r->s->addr_text),
		.class = policy_class_text(FOR_CLIENT),
	};

	while (span_token(&rest, ", \t\r\n", &l.list)) {
		l.query = addr_query(r, l.list);
		switch (is_listed(r, &l)) {
		case LISTED_WAIT:
			return V_WAIT;
		case LISTED:
			return refuse(r, &l);
		default:
			break;
		}
	}
	return V_DUNNO;
}

enum verdict
eval_rhsbl(struct policy_run *r, const struct rule *rule)
{
	enum flavour f = (enum flavour)rule->def->flavour;
	const struct session *s = r->s;
	struct listing l = {
		.list = rule->arg, .class = policy_class_text(f)
	};

	switch (f) {
	case FOR_CLIENT:
		if (s->name_status == NAME_OK)
			l.what = span_of(s->name);
		break;
	case FOR_REVERSE:
		l.what = span_of(s->reverse_name);
		break;
	case FOR_HELO:
		l.what = span_of(s->helo);
		break;
	case FOR_SENDER:
		if (s->txn != NULL)
			l.what = s->txn->env.sender;
		break;
	default:
		l.what = r->rcpt;
		break;
	}
	if (!name_query(r, l.list, l.what, &l.query))
		return V_DUNNO;
	return judge(r, &l);
}

/*
 * permit_dnswl_client, permit_rhswl_client.  A list says whom not to block,
 * and never who may relay; when it does not answer, whom other rules would
 * refuse comes again.
 */
enum verdict
eval_dnswl(struct policy_run *r, const struct rule *rule)
{
	bool by_name = rule->def->flavour == 1;
	const struct session *s = r->s;
	struct listing l = {
		.list = rule->arg, .class = policy_class_text(FOR_CLIENT),
		.what = span_of(by_name ? s->name : s->addr_text),
	};

	if (r->rcpt.len > 0) {
		enum verdict v = eval_permit_auth_dest(r, rule);

		if (v != V_PERMIT)
			return v;
	}
	if (!by_name)
		l.query = addr_query(r, l.list);
	else if (s->name_status != NAME_OK ||
	    !name_query(r, l.list, l.what, &l.query))
		return V_DUNNO;
	switch (is_listed(r, &l)) {
	case LISTED_WAIT:
		return V_WAIT;
	case LISTED:
		return V_PERMIT;
	case LISTED_UNSURE:
		policy_defer_if(r, &r->if_reject, 450, "4.7.1",
		    "<%.*s>: %s rejected: whitelist lookup error",
		    SPAN_ARG(l.what), l.class);
		return V_DUNNO;
	default:
		return V_DUNNO;
	}
}
