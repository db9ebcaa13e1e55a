/* SPDX-License-Identifier: ISC */
/*
 * rules - restriction lists from their text.
 *
 * Every name of Postfix's is known here, but for check_relay_domains.  What is
 * not known is a configuration error, for a restriction that is silently left
 * out would be an open door.
 */
#include <stdarg.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "conf/table.h"
#include "conf/words.h"
#include "daemon/daemon.h"
#include "smtpd/policy.h"
#include "smtpd/restrict.h"

/* What a question to rewrite has room for. */
#define TABLE_SPEC_MAX	1024

/* Of a name: its addresses, mail exchangers, name servers. */
#define SERVERS(prefix, f)						\
	{ prefix "a_access", ARG_TABLE, eval_servers, (f) | DNS_A << 8 },	\
	{ prefix "mx_access", ARG_TABLE, eval_servers, (f) | DNS_MX << 8 },	\
	{ prefix "ns_access", ARG_TABLE, eval_servers, (f) | DNS_NS << 8 }

static const struct rule_def defs[] = {
	{ "permit",			ARG_NONE, eval_permit, 0 },
	{ "permit_mynetworks",		ARG_NONE, eval_permit_mynetworks, 0 },
	{ "permit_inet_interfaces",	ARG_NONE, eval_permit_interfaces, 0 },
	{ "permit_sasl_authenticated",	ARG_NONE, eval_permit_sasl, 0 },
	{ "permit_tls_clientcerts",	ARG_NONE, eval_permit_cert, 0 },
	{ "permit_tls_all_clientcerts",	ARG_NONE, eval_permit_any_cert, 0 },
	{ "permit_auth_destination",	ARG_NONE, eval_permit_auth_dest, 0 },
	{ "reject",			ARG_NONE, eval_reject, 0 },
	{ "defer",			ARG_NONE, eval_defer, 0 },
	{ "defer_if_permit",		ARG_NONE, eval_defer_if_permit, 0 },
	{ "defer_if_reject",		ARG_NONE, eval_defer_if_reject, 0 },
	{ "reject_unauth_destination",	ARG_NONE, eval_relay, 0 },
	{ "defer_unauth_destination",	ARG_NONE, eval_relay, 1 },
	{ "reject_unlisted_recipient",	ARG_NONE, eval_unlisted, FOR_RCPT },
	/* Beyond Postfix's: what mailbox_quota_check_at_rcpt adds. */
	{ "reject_over_quota",		ARG_NONE, eval_over_quota, FOR_RCPT },
	{ "reject_unlisted_sender",	ARG_NONE, eval_unlisted, FOR_SENDER },
	{ "check_recipient_maps",	ARG_NONE, eval_unlisted, FOR_RCPT },
	{ "reject_non_fqdn_sender",	ARG_NONE, eval_non_fqdn, FOR_SENDER },
	{ "reject_non_fqdn_recipient",	ARG_NONE, eval_non_fqdn, FOR_RCPT },
	{ "reject_non_fqdn_helo_hostname", ARG_NONE, eval_non_fqdn, FOR_HELO },
	{ "reject_non_fqdn_hostname",	ARG_NONE, eval_non_fqdn, FOR_HELO },
	{ "reject_invalid_helo_hostname", ARG_NONE, eval_invalid_helo, 0 },
	{ "reject_invalid_hostname",	ARG_NONE, eval_invalid_helo, 0 },
	{ "reject_unauth_pipelining",	ARG_NONE, eval_pipelining, 0 },
	{ "reject_multi_recipient_bounce", ARG_NONE, eval_multi_bounce, 0 },
	{ "reject_plaintext_session",	ARG_NONE, eval_plaintext, 0 },
	{ "reject_sender_login_mismatch", ARG_NONE, eval_login_mismatch,
	  LOGIN_AUTH | LOGIN_UNAUTH },
	{ "reject_authenticated_sender_login_mismatch", ARG_NONE,
	  eval_login_mismatch, LOGIN_AUTH },
	{ "reject_known_sender_login_mismatch", ARG_NONE,
	  eval_login_mismatch, LOGIN_KNOWN },
	{ "reject_unauthenticated_sender_login_mismatch", ARG_NONE,
	  eval_login_mismatch, LOGIN_UNAUTH },
	{ "reject_unverified_recipient", ARG_NONE, eval_unverified, FOR_RCPT },
	{ "reject_unverified_sender",	ARG_NONE, eval_unverified, FOR_SENDER },
	{ "sleep",			ARG_NUMBER, eval_sleep, 0 },
	{ "warn_if_reject",		ARG_NONE, eval_warn, 0 },
	{ "check_client_access",	ARG_TABLE, access_eval, FOR_CLIENT },
	{ "check_helo_access",		ARG_TABLE, access_eval, FOR_HELO },
	{ "check_sender_access",	ARG_TABLE, access_eval, FOR_SENDER },
	{ "check_recipient_access",	ARG_TABLE, access_eval, FOR_RCPT },
	{ "check_etrn_access",		ARG_TABLE, access_eval, FOR_ETRN },
	{ "check_sasl_access",		ARG_TABLE, access_eval, FOR_LOGIN },
	{ "check_ccert_access",		ARG_PRINTS, access_eval, FOR_CCERT },
	{ "check_reverse_client_hostname_access", ARG_TABLE, access_eval,
	  FOR_REVERSE },
	SERVERS("check_client_", FOR_CLIENT),
	SERVERS("check_reverse_client_hostname_", FOR_REVERSE),
	SERVERS("check_helo_", FOR_HELO),
	SERVERS("check_sender_", FOR_SENDER),
	SERVERS("check_recipient_", FOR_RCPT),
	{ "reject_unknown_client_hostname", ARG_NONE, eval_unknown_client, 0 },
	{ "reject_unknown_client",	ARG_NONE, eval_unknown_client, 0 },
	{ "reject_unknown_reverse_client_hostname", ARG_NONE,
	  eval_unknown_reverse, 0 },
	{ "reject_unknown_helo_hostname", ARG_NONE, eval_unknown_helo, 0 },
	{ "reject_unknown_hostname",	ARG_NONE, eval_unknown_helo, 0 },
	{ "reject_unknown_sender_domain", ARG_NONE, eval_unknown_domain,
	  FOR_SENDER },
	{ "reject_unknown_address",	ARG_NONE, eval_unknown_domain,
	  FOR_SENDER },
	{ "reject_unknown_recipient_domain", ARG_NONE, eval_unknown_domain,
	  FOR_RCPT },
	{ "permit_mx_backup",		ARG_NONE, eval_mx_backup, 0 },
	{ "check_policy_service",	ARG_SERVICE, eval_policy_service, 0 },
	{ "permit_naked_ip_address",	ARG_NONE, eval_naked_addr, 0 },
	{ "reject_rbl_client",		ARG_DOMAIN, eval_rbl_client, 0 },
	{ "reject_maps_rbl",		ARG_NONE, eval_maps_rbl, 0 },
	{ "reject_rhsbl_client",	ARG_DOMAIN, eval_rhsbl, FOR_CLIENT },
	{ "reject_rhsbl_reverse_client", ARG_DOMAIN, eval_rhsbl, FOR_REVERSE },
	{ "reject_rhsbl_helo",		ARG_DOMAIN, eval_rhsbl, FOR_HELO },
	{ "reject_rhsbl_sender",	ARG_DOMAIN, eval_rhsbl, FOR_SENDER },
	{ "reject_rhsbl_recipient",	ARG_DOMAIN, eval_rhsbl, FOR_RCPT },
	{ "permit_dnswl_client",	ARG_DOMAIN, eval_dnswl, 0 },
	{ "permit_rhswl_client",	ARG_DOMAIN, eval_dnswl, 1 },
};
#undef SERVERS

static const struct rule_def class_def = {
	"class", ARG_NONE, eval_class, 0
};

static struct hash classes;		/* name -> struct rules */

const struct rule_def *
rules_find_def(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(defs); i++)
		if (span_caseis(name, defs[i].name))
			return &defs[i];
	return NULL;
}

struct compile {
	const char		*title, *origin;
	struct arena		*arena;
	rules_problem_fn	*problem;
	ARRAY(struct rule)	 rules;
	bool			 bad;
};

static void problem(struct compile *c, const char *fmt, ...) PRINTF(2, 3);

static void
problem(struct compile *c, const char *fmt, ...)
{
	struct buf b = BUF_INIT(1024);
	va_list ap;

	c->bad = true;
	va_start(ap, fmt);
	if (buf_printf(&b, "%s: ", c->title) == 0 &&
	    buf_vprintf(&b, fmt, ap) == 0)
		c->problem(c->origin, b.data);
	va_end(ap);
	buf_fini(&b);
}

static char *
copy(struct compile *c, struct span s)
{
	return c->arena != NULL ? arena_span_dup(c->arena, s) : span_dup(s);
}

/* "type:name" with nothing in front: the stage says what is looked up. */
static const struct rule_def *
table_def(const char *title)
{
	static const struct {
		const char *in, *def;
	} by_title[] = {
		{ "smtpd_client_restrictions", "check_client_access" },
		{ "smtpd_helo_restrictions", "check_helo_access" },
		{ "smtpd_sender_restrictions", "check_sender_access" },
		{ "smtpd_relay_restrictions", "check_recipient_access" },
		{ "smtpd_recipient_restrictions", "check_recipient_access" },
		{ "smtpd_etrn_restrictions", "check_etrn_access" },
	};

	for (size_t i = 0; i < ARRAY_LEN(by_title); i++)
		if (strcmp(title, by_title[i].in) == 0)
			return rules_find_def(span_of(by_title[i].def));
	return NULL;
}

static void
add_rule(struct compile *c, const struct rule_def *def, struct span arg,
    const struct rules *list, struct span name)
{
	struct rule *r = ARRAY_PUSH(&c->rules);
	size_t at = c->rules.len;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	r->def = def;
	r->list = list;
	r->arg = arg.len > 0 ? span_make(copy(c, arg), arg.len) : SPAN_EMPTY;
	/* What the log names: no space in it. */
	buf_addf(&b, "%s[%zu]/%.*s", c->title, at, SPAN_ARG(name));
	if (arg.len > 0) {
		buf_add_char(&b, ':');
		for (size_t i = 0; i < arg.len && i < 200; i++)
			buf_add_char(&b, arg.p[i] == ' ' ||
			    arg.p[i] == '\t' || arg.p[i] == '\n' ? '_' :
			    arg.p[i]);
	}
	if (c->arena == NULL)
		buf_addf(&b, "@%s", c->origin);
	r->text = copy(c, buf_span(&b));
	buf_fini(&b);
}

/*
 * check_ccert_access { type:table, { search_order = cert_fingerprint,
 * pubkey_fingerprint } }, as Postfix 3.5 and later: what is behind the table.
 * -1: it cannot be understood.
 */
static int
print_order(struct span rest)
{
	static const char cert[] = "cert_fingerprint",
	    pkey[] = "pubkey_fingerprint";
	struct span word, name, first, second, more;
	ptrdiff_t eq;
	int n;

	if ((n = words_next(&rest, &word)) == 0)
		return PRINT_CERT_PKEY;
	if (n < 0 || words_next(&rest, &more) != 0 || word.len < 2 ||
	    word.p[0] != '{')
		return -1;
	word = span_sub(word, 1, word.len - 2);
	eq = span_find(word, '=');
	if (eq < 0)
		return -1;
	name = span_trim(span_sub(word, 0, (size_t)eq));
	word = span_from(word, (size_t)eq + 1);
	if (!span_is(name, "search_order") ||
	    words_next(&word, &first) != 1)
		return -1;
	n = words_next(&word, &second);
	if (n < 0 || (n == 1 && words_next(&word, &more) != 0))
		return -1;
	if (span_is(first, cert))
		return n == 0 ? PRINT_CERT :
		    span_is(second, pkey) ? PRINT_CERT_PKEY : -1;
	if (span_is(first, pkey))
		return n == 0 ? PRINT_PKEY :
		    span_is(second, cert) ? PRINT_PKEY_CERT : -1;
	return -1;
}

/* Whether arg names a table of a type that there is; else it is said. */
static bool
table_fits(struct compile *c, const struct rule_def *def, struct span arg)
{
	struct span rest = arg;
	ptrdiff_t colon;

	while (span_starts(rest, SPAN("proxy:")))
		rest = span_from(rest, strlen("proxy:"));
	colon = span_find(rest, ':');
	if (colon <= 0 || arg.len > TABLE_SPEC_MAX) {
		problem(c, "%s: \"%.*s\" is no table (type:name)",
		    def->name, SPAN_ARG(arg));
		return false;
	}
	rest = span_sub(rest, 0, (size_t)colon);
	for (const char *const *t = table_types(); *t != NULL; t++)
		if (span_is(rest, *t))
			return true;
	problem(c, "%s: bad table \"%.*s\": unsupported type \"%.*s\"",
	    def->name, SPAN_ARG(arg), SPAN_ARG(rest));
	return false;
}

/* What stands behind a restriction's name. */
struct argument {
	struct span		 text;
	int64_t			 number;
	struct policy_service	*service;
};

/* Whether it is of the kind that def wants; else it is said. */
static bool
take_argument(struct compile *c, const struct rule_def *def,
    struct argument *a)
{
	struct why why = WHY_INIT;
	struct span whole, table;
	uint64_t n = 0;
	int order;

	/* "{ type:name }" is how Postfix lets one write it, too. */
	(void)words_unbrace(a->text, &a->text);
	switch (def->arg) {
	case ARG_PRINTS:
		whole = a->text;
		if (words_next(&whole, &table) != 1 ||
		    (order = print_order(whole)) < 0) {
			problem(c, "%s: \"%.*s\" is not \"type:name, "
			    "{ search_order = cert_fingerprint, "
			    "pubkey_fingerprint }\"", def->name,
			    SPAN_ARG(a->text));
			return false;
		}
		a->text = table;
		a->number = order;
		return table_fits(c, def, a->text);
	case ARG_TABLE:
		return table_fits(c, def, a->text);
	case ARG_DOMAIN:
		if (dnsbl_domain_valid(a->text))
			return true;
		problem(c, "%s: \"%.*s\" is no domain name, or "
		    "\"domain=address\"", def->name, SPAN_ARG(a->text));
		return false;
	case ARG_SERVICE:
		a->service = service_parse(a->text, c->arena, &why);
		if (a->service == NULL) {
			problem(c, "%s: %s", def->name, why.text);
			return false;
		}
		a->text = span_of(a->service->server);
		return true;
	default:
		if (num_parse_u64(a->text, 3600, &n) < 0) {
			problem(c, "%s: bad number \"%.*s\"", def->name,
			    SPAN_ARG(a->text));
			return false;
		}
		a->number = (int64_t)n;
		return true;
	}
}

bool
rules_known(struct span word)
{
	return rules_find_def(word) != NULL ||
	    hash_get(&classes, word) != NULL ||
	    (span_find(word, ':') > 0 && !span_ends(word, SPAN(":")));
}

/* A word that is no restriction's name. */
static void
other_word(struct compile *c, struct span word)
{
	const struct rule_def *def;
	struct rules *list = hash_get(&classes, word);

	if (list != NULL)
		add_rule(c, &class_def, SPAN_EMPTY, list, word);
	else if (span_find(word, ':') > 0 && (def = table_def(c->title)))
		add_rule(c, def, word, NULL, span_of(def->name));
	else if (span_caseis(word, "check_relay_domains"))
		problem(c, "check_relay_domains: not supported, use "
		    "reject_unauth_destination");
	else
		problem(c, "unknown restriction \"%.*s\"", SPAN_ARG(word));
}

static void
one_word(struct compile *c, struct span *rest, struct span word)
{
	const struct rule_def *def = rules_find_def(word);
	struct argument a = { .text = SPAN_EMPTY };
	struct rule *r;

	if (def == NULL) {
		other_word(c, word);
		return;
	}
	if (def->arg != ARG_NONE) {
		if (words_next(rest, &a.text) != 1) {
			problem(c, "%s needs an argument", def->name);
			return;
		}
		if (!take_argument(c, def, &a))
			return;
	}
	add_rule(c, def, a.text, NULL, word);
	r = &c->rules.v[c->rules.len - 1];
	r->number = a.number;
	r->service = a.service;
}

/* What stands behind "reject" or "permit" is never reached. */
static void
warn_dead(struct compile *c)
{
	for (size_t i = 0; i + 1 < c->rules.len; i++) {
		const char *n = c->rules.v[i].def->name;

		if (i > 0 && strcmp(c->rules.v[i - 1].def->name,
		    "warn_if_reject") == 0)
			continue;
		if (strcmp(n, "permit") == 0 || strcmp(n, "reject") == 0 ||
		    strcmp(n, "defer") == 0) {
			daemon_remark("%s: %s: restriction \"%s\" after \"%s\" "
			    "is ignored", c->origin, c->title,
			    c->rules.v[i + 1].def == &class_def ? "class" :
			    c->rules.v[i + 1].def->name, n);
			return;
		}
	}
}

struct rules *
rules_compile(const char *title, const char *origin, struct span text,
    struct arena *a, rules_problem_fn *fn)
{
	struct compile c = {
		.title = title, .origin = origin, .arena = a, .problem = fn
	};
	struct rules *out = NULL;
	struct span rest = text, word;
	int rc;

	while ((rc = words_next(&rest, &word)) == 1)
		one_word(&c, &rest, word);
	if (rc < 0)
		problem(&c, "'{' without '}'");
	if (c.rules.len > 0 &&
	    c.rules.v[c.rules.len - 1].def->eval == eval_warn)
		problem(&c, "warn_if_reject must stand before a restriction");
	if (!c.bad) {
		size_t size = c.rules.len * sizeof(struct rule);

		if (a == NULL)
			warn_dead(&c);
		out = a != NULL ? arena_alloc(a, sizeof(*out)) :
		    mem_alloc(sizeof(*out));
		*out = (struct rules){
			.title = title, .origin = origin, .n = c.rules.len
		};
		if (size > 0) {
			out->v = a != NULL ? arena_alloc(a, size) :
			    mem_alloc(size);
			memcpy(out->v, c.rules.v, size);
		}
	}
	if (out == NULL && a == NULL)
		for (size_t i = 0; i < c.rules.len; i++) {
			mem_free((char *)c.rules.v[i].arg.p);
			mem_free((char *)c.rules.v[i].text);
			service_free(&c.rules.v[i].service);
		}
	ARRAY_FINI(&c.rules);
	return out;
}

/*
 * A class may name classes, also ones that are defined later: first all get
 * an empty list, then each is filled.
 */
int
rules_load_classes(rules_problem_fn *fn)
{
	struct span rest = span_of(conf.smtpd_restriction_classes), name;
	int rc = 0;

	while (span_token(&rest, ", \t\r\n", &name)) {
		if (rules_find_def(name) != NULL) {
			fn(params_origin("smtpd_restriction_classes"),
			    "smtpd_restriction_classes: a class has the name "
			    "of a restriction");
			rc = -1;
		}
		if (hash_get(&classes, name) == NULL)
			hash_put(&classes, name,
			    mem_zalloc(sizeof(struct rules)));
	}
	rest = span_of(conf.smtpd_restriction_classes);
	while (span_token(&rest, ", \t\r\n", &name)) {
		struct rules *list = hash_get(&classes, name), *got;
		char *cname = span_dup(name), *text = params_get(cname);

		if (list->title != NULL) {
			mem_free(cname);
			mem_free(text);
			continue;
		}
		list->title = cname;
		list->origin = mem_strdup(params_origin(text != NULL ? cname :
		    "smtpd_restriction_classes"));
		if (text == NULL || *text == '\0') {
			daemon_remark("%s: restriction class %s is not "
			    "defined or empty", list->origin, cname);
			mem_free(text);
			continue;
		}
		got = rules_compile(cname, list->origin, span_of(text), NULL,
		    fn);
		mem_free(text);
		if (got == NULL) {
			rc = -1;
			continue;
		}
		list->n = got->n;
		list->v = got->v;
		mem_free(got);
	}
	return rc;
}

static void
never(const char *origin, const char *text)
{
	log_panic("%s", text);
}

struct rules *
rules_builtin(const char *title, const char *name)
{
	return rules_compile(title, params_origin(title), span_of(name), NULL,
	    never);
}
