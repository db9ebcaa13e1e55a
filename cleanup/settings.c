/* SPDX-License-Identifier: ISC */
/*
 * settings - see settings.h.
 */
#include "auth/srs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"
#include "io/sock.h"
#include "route/addr_map.h"
#include "route/our.h"

static const struct {
	const char	*name;
	unsigned	 class;
} classes[] = {
	{ "envelope_sender",	CLASS_ENVELOPE_SENDER },
	{ "envelope_recipient",	CLASS_ENVELOPE_RECIPIENT },
	{ "header_sender",	CLASS_HEADER_SENDER },
	{ "header_recipient",	CLASS_HEADER_RECIPIENT },
};

static int
parse_classes(const char *title, const char *value, unsigned *out,
    struct why *why)
{
	struct span rest = span_of(value), word;

	*out = 0;
	while (span_token(&rest, ", \t\r\n", &word)) {
		size_t i;

		for (i = 0; i < ARRAY_LEN(classes); i++)
			if (span_caseis(word, classes[i].name))
				break;
		if (i == ARRAY_LEN(classes)) {
			int rc = why_set(why, "4.3.5", "%s: unknown class "
			    "\"%.*s\"", title, SPAN_ARG(word));

			return daemon_judge(rc, why);
		}
		*out |= classes[i].class;
	}
	return 0;
}

static int
open_maps(struct maps **out, const char *title, const char *value, int flags,
    struct why *why)
{
	*out = maps_new(title, value, flags, why);
	return daemon_judge(*out != NULL ? 0 : -1, why);
}

static int
open_tables(struct settings *s, struct why *why)
{
#define CHECKS(n)	open_maps(&s->n, #n, conf.n, 0, why)
#define MAPS(f, n)	open_maps(&s->f, #n, conf.n, TABLE_FOLD, why)
	if (CHECKS(header_checks) < 0 || CHECKS(mime_header_checks) < 0 ||
	    CHECKS(nested_header_checks) < 0 || CHECKS(body_checks) < 0 ||
	    MAPS(canonical, canonical_maps) < 0 ||
	    MAPS(sender_canonical, sender_canonical_maps) < 0 ||
	    MAPS(recipient_canonical, recipient_canonical_maps) < 0 ||
	    MAPS(virtual_alias, virtual_alias_maps) < 0 ||
	    MAPS(sender_bcc, sender_bcc_maps) < 0 ||
	    MAPS(sender_quota, sender_quota_maps) < 0 ||
	    MAPS(sender_domain_quota, sender_domain_quota_maps) < 0 ||
	    MAPS(recipient_bcc, recipient_bcc_maps) < 0)
		return -1;
#undef CHECKS
#undef MAPS
	return 0;
}

static void
parse_masquerade(struct settings *s)
{
	struct span rest = span_of(conf.masquerade_domains), word;

	while (span_token(&rest, ", \t\r\n", &word)) {
		struct masquerade *m = ARRAY_PUSH(&s->masquerade);

		while (word.len > 0 && word.p[0] == '!') {
			m->not = !m->not;
			word = span_from(word, 1);
		}
		m->domain = span_dup(word);
	}
}

static int
parse_local_clients(struct settings *s, struct why *why)
{
	static const char title[] = "local_header_rewrite_clients";
	struct span rest = span_of(conf.local_header_rewrite_clients), word;
	struct buf tables = BUF_INIT(BUF_UNLIMITED);
	int rc = -1;

	while (span_token(&rest, ", \t\r\n", &word)) {
		if (span_caseis(word, "permit_inet_interfaces"))
			s->local_interfaces = true;
		else if (span_caseis(word, "permit_mynetworks"))
			s->local_networks = true;
		else if (span_caseis(word, "permit_sasl_authenticated"))
			s->local_sasl = true;
		else if (span_caseis(word, "permit_tls_clientcerts") ||
		    span_caseis(word, "permit_tls_all_clientcerts"))
			continue;	/* smtpd knows, and says ENV_LOCAL */
		else if (span_caseis(word, "check_address_map"))
			continue;	/* the table follows */
		else if (span_find(word, ':') > 0) {
			buf_add_span(&tables, word);
			buf_add_char(&tables, ' ');
		} else {
			why_set(why, "4.3.5", "%s: unknown \"%.*s\"", title,
			    SPAN_ARG(word));
			goto out;
		}
	}
	rc = open_maps(&s->local_clients, title, tables.data, TABLE_FOLD, why);
out:
	buf_fini(&tables);
	return rc;
}

/* "\0" and the like: C's escapes, as in message_strip_characters. */
static bool
parse_bytes(const char *value, bool set[256])
{
	struct span s = span_of(value);
	bool any = false;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\\' && i + 1 < s.len) {
			static const char names[] = "abfnrtv\\";
			static const char codes[] = "\a\b\f\n\r\t\v\\";
			const char *p = strchr(names, s.p[++i]);

			if (p != NULL)
				c = (unsigned char)codes[p - names];
			else if (s.p[i] >= '0' && s.p[i] <= '7') {
				unsigned v = 0, n = 0;

				while (n < 3 && i < s.len && s.p[i] >= '0' &&
				    s.p[i] <= '7') {
					v = v * 8 + (unsigned)(s.p[i++] - '0');
					n++;
				}
				i--;
				c = (unsigned char)v;
			} else
				c = (unsigned char)s.p[i];
		}
		set[c] = true;
		any = true;
	}
	return any;
}

static void
choose_mime(struct settings *s)
{
	bool strict8 = conf.strict_8bitmime;

	s->content_checks = !maps_empty(s->header_checks) ||
	    !maps_empty(s->mime_header_checks) ||
	    !maps_empty(s->nested_header_checks) ||
	    !maps_empty(s->body_checks);
	s->strict_mime = strict8 || conf.strict_7bit_headers ||
	    conf.strict_8bitmime_body || conf.strict_mime_encoding_domain;
	s->mime = (struct mime_options){
		.structure = !conf.disable_mime_input_processing &&
		    (s->strict_mime || !maps_empty(s->mime_header_checks) ||
		    !maps_empty(s->nested_header_checks) ||
		    !maps_empty(s->body_checks)),
		.lines = !maps_empty(s->body_checks),
		.look_8bit = strict8 || conf.strict_8bitmime_body,
		.header_max = (size_t)conf.header_size_limit,
		.line_max = (size_t)conf.line_length_limit,
		.boundary_max = (size_t)conf.mime_boundary_length_limit,
		.nesting_max = (size_t)conf.mime_nesting_limit,
	};
}

struct settings *
settings_new(struct why *why)
{
	struct settings *s = mem_zalloc(sizeof(*s));
	struct sandbox_ids ids;
	struct span rest, word;

	if (open_tables(s, why) < 0 ||
	    parse_classes("canonical_classes", conf.canonical_classes,
	    &s->canonical_classes, why) < 0 ||
	    parse_classes("sender_canonical_classes",
	    conf.sender_canonical_classes, &s->sender_canonical_classes,
	    why) < 0 ||
	    parse_classes("recipient_canonical_classes",
	    conf.recipient_canonical_classes, &s->recipient_canonical_classes,
	    why) < 0 ||
	    parse_classes("masquerade_classes", conf.masquerade_classes,
	    &s->masquerade_classes, why) < 0 ||
	    daemon_judge(parse_local_clients(s, why), why) < 0)
		goto bad;
	s->masquerade_exceptions = match_list_new("masquerade_exceptions",
	    conf.masquerade_exceptions, 0, why);
	if (daemon_judge(s->masquerade_exceptions == NULL ? -1 : 0, why) < 0)
		goto bad;
	s->mynetworks = match_list_new("mynetworks", conf.mynetworks, 0, why);
	if (daemon_judge(s->mynetworks == NULL ? -1 : 0, why) < 0 ||
	    daemon_judge(our_open(why), why) < 0)
		goto bad;
	if (sandbox_ids(&ids, why) < 0 || daemon_judge(srs_setup(&s->srs,
	    ids.uid, ids.gid, why), why) < 0 || daemon_judged_bad())
		goto bad;
	s->propagate_canonical = addr_map_propagates("canonical");
	s->propagate_virtual = addr_map_propagates("virtual");
	parse_masquerade(s);
	rest = span_of(conf.message_drop_headers);
	while (span_token(&rest, ", \t\r\n", &word))
		*ARRAY_PUSH(&s->drop_headers) = span_dup(word);
	s->reject_bytes = parse_bytes(conf.message_reject_characters,
	    s->reject);
	s->strip_bytes = parse_bytes(conf.message_strip_characters, s->strip);
	choose_mime(s);
	s->rewrites = !maps_empty(s->canonical) ||
	    !maps_empty(s->sender_canonical) ||
	    !maps_empty(s->recipient_canonical) || s->masquerade.len > 0;
	return s;
bad:
	settings_free(&s);
	return NULL;
}

void
settings_free(struct settings **sp)
{
	struct settings *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	srs_free(&s->srs);
	maps_free(&s->header_checks);
	maps_free(&s->mime_header_checks);
	maps_free(&s->nested_header_checks);
	maps_free(&s->body_checks);
	maps_free(&s->canonical);
	maps_free(&s->sender_canonical);
	maps_free(&s->recipient_canonical);
	maps_free(&s->virtual_alias);
	maps_free(&s->sender_bcc);
	maps_free(&s->recipient_bcc);
	maps_free(&s->sender_quota);
	maps_free(&s->sender_domain_quota);
	maps_free(&s->local_clients);
	match_list_free(&s->masquerade_exceptions);
	match_list_free(&s->mynetworks);
	for (size_t i = 0; i < s->masquerade.len; i++)
		mem_free(s->masquerade.v[i].domain);
	ARRAY_FINI(&s->masquerade);
	for (size_t i = 0; i < s->drop_headers.len; i++)
		mem_free(s->drop_headers.v[i]);
	ARRAY_FINI(&s->drop_headers);
	mem_free(s);
}

int
settings_local_client(const struct settings *s, const struct envelope *e,
    struct why *why)
{
	struct sock_addr a;
	struct buf out = BUF_INIT(TABLE_VALUE_MAX);
	int rc;

	if (e->flags & ENV_LOCAL)
		return 1;
	if (s->local_sasl && e->login.len > 0)
		return 1;
	if (e->client_addr.len == 0 ||
	    sock_addr_parse(e->client_addr, 0, &a) < 0)
		return 0;
	if (s->local_interfaces && our_address(&a))
		return 1;
	if (s->local_networks) {
		rc = match_list_addr(s->mynetworks, &a, why);
		if (rc != 0)
			return rc;
	}
	if (maps_empty(s->local_clients))
		return 0;
	rc = maps_get(s->local_clients, e->client_addr, false, &out, why);
	buf_fini(&out);
	return rc;
}
