/* SPDX-License-Identifier: ISC */
/*
 * settings - smtp_... for smtp, lmtp_... for lmtp: one program text under two
 * names.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/num.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "route/addr_map.h"
#include "smtp/smtp.h"
#include "tls/ca_file.h"
#include "tls/settings.h"

#define SESSIONS_MAX	5000	/* TLS sessions kept for resumption */

struct settings set;

#define PICK(name)	(lmtp ? conf.lmtp_##name : conf.smtp_##name)
#define PICK2(l, s)	(lmtp ? conf.lmtp_##l : conf.smtp_##s)

static int
parse_bind(const char *name, const char *value, int family,
    struct sock_addr *out, struct why *why)
{
	out->len = 0;
	if (value[0] == '\0')
		return 0;
	if (sock_addr_parse(span_of(value), 0, out) < 0 ||
	    out->sa.sa_family != family)
		return why_set(why, "", "%s_%s: \"%s\" is no IPv%c address",
		    set.proto, name, value, family == AF_INET ? '4' : '6');
	return 0;
}

static int
parse_host_lookup(const char *value, unsigned *out, struct why *why)
{
	struct span rest = span_of(value), word;

	*out = 0;
	while (span_token(&rest, " \t\r\n,", &word)) {
		if (span_caseis(word, "native"))
			*out |= RESOLVER_USE_HOSTS;
		else if (!span_caseis(word, "dns"))
			return why_set(why, "", "%s_host_lookup: \"%.*s\" is "
			    "none of dns, native", set.proto, SPAN_ARG(word));
	}
	return 0;
}

static int
check_fallback_relay(struct why *why)
{
	struct span rest = span_of(set.fallback_relay), word;
	struct why text = WHY_INIT;
	struct hop hop;

	while (span_token(&rest, HOP_SEPARATORS, &word))
		if (hop_parse(word, set.lmtp, set.port, &hop, &text) < 0)
			return why_set(why, "", "%s_fallback_relay: %s",
			    set.proto, text.text);
	return 0;
}

static void
parse_protocols(void)
{
	struct span rest = span_of(conf.inet_protocols), word;

	set.v4 = set.v6 = false;
	while (span_token(&rest, " \t,", &word)) {
		set.v4 |= span_caseis(word, "all") || span_caseis(word, "ipv4");
		set.v6 |= span_caseis(word, "all") || span_caseis(word, "ipv6");
	}
}

int
settings_load(bool lmtp, struct why *why)
{
	const char *family = PICK(address_preference);
	uint32_t n;
	int rc = 0;

	set = (struct settings){
		.lmtp = lmtp,
		.proto = lmtp ? "lmtp" : "smtp",
		.connect_ms = PICK(connect_timeout) * 1000,
		.helo_ms = PICK2(lhlo_timeout, helo_timeout) * 1000,
		.mail_ms = PICK(mail_timeout) * 1000,
		.rcpt_ms = PICK(rcpt_timeout) * 1000,
		.data_init_ms = PICK(data_init_timeout) * 1000,
		.data_xfer_ms = PICK(data_xfer_timeout) * 1000,
		.data_done_ms = PICK(data_done_timeout) * 1000,
		.rset_ms = PICK(rset_timeout) * 1000,
		.quit_ms = PICK(quit_timeout) * 1000,
		.starttls_ms = PICK(starttls_timeout) * 1000,
		.tls_handshakes = PICK(tls_handshake_limit),
		.mx_address_limit = PICK(mx_address_limit),
		.mx_session_limit = PICK(mx_session_limit),
		.cache_ms = PICK(connection_cache_time_limit) * 1000,
		.reuse_ms = PICK(connection_reuse_time_limit) * 1000,
		.reuse_count = PICK(connection_reuse_count_limit),
		.line_limit = PICK(line_length_limit),
		.randomize = PICK(randomize_addresses),
		.balance = PICK(balance_inet_protocols),
		.skip_5xx_greeting = PICK(skip_5xx_greeting),
		.skip_quit = PICK(skip_quit_response),
		.defer_no_mx_address = PICK(defer_if_no_mx_address_found),
		.cache_on_demand = PICK(connection_cache_on_demand),
		.family = strcmp(family, "ipv4") == 0 ? AF_INET :
		    strcmp(family, "ipv6") == 0 ? AF_INET6 : AF_UNSPEC,
		.helo_name = PICK2(lhlo_name, helo_name),
		.fallback_relay = PICK(fallback_relay),
		.cache_destinations = PICK(connection_cache_destinations),
		.tls_level = tls_level_parse(span_of(PICK(tls_security_level))),
		.tls_loglevel = PICK(tls_loglevel),
		.tls_wrapper = PICK(tls_wrappermode),
		.note_offer = PICK(tls_note_starttls_offer),
		.tls_policy_maps = PICK(tls_policy_maps),
		.tls_fingerprints = PICK(tls_fingerprint_cert_match),
		.tls_verify_match = PICK(tls_verify_cert_match),
		.tls_secure_match = PICK(tls_secure_cert_match),
		.tls_servername = PICK(tls_servername),
		.bind_enforce = PICK(bind_address_enforce),
		.sasl = PICK(sasl_auth_enable),
		.sasl_soft_bounce = PICK(sasl_auth_soft_bounce),
		.sasl_by_sender = PICK(sender_dependent_authentication),
		.sasl_dummy = PICK(send_dummy_mail_auth),
		.sasl_maps = PICK(sasl_password_maps),
		.sasl_filter = PICK(sasl_mechanism_filter),
		.sasl_options = PICK(sasl_security_options),
		.sasl_tls_options = PICK(sasl_tls_security_options),
		.discard = quirks_features(span_of(PICK2(
		    discard_lhlo_keywords, discard_ehlo_keywords))),
		.pix_threshold_ms = PICK(pix_workaround_threshold_time) * 1000,
		.pix_delay_ms = PICK(pix_workaround_delay_time) * 1000,
		.pix_workarounds = PICK(pix_workarounds),
		.xforward = PICK(send_xforward_command),
		.xforward_ms = PICK(xforward_timeout) * 1000,
	};
	parse_protocols();
	if (hop_port(span_of(PICK(tcp_port)), &set.port) < 0)
		rc = why_set(why, "", "%s_tcp_port: \"%s\" is no port",
		    set.proto, PICK(tcp_port));
	if (daemon_judge(rc, why) < 0 ||
	    daemon_judge(quirks_check(why), why) < 0 ||
	    daemon_judge(check_fallback_relay(why), why) < 0)
		return -1;
	set.port_name = num_parse_u32(span_of(PICK(tcp_port)), 65535, &n) == 0 ?
	    "" : PICK(tcp_port);
	if (daemon_judge(parse_bind("bind_address", PICK(bind_address),
	    AF_INET, &set.bind4, why), why) < 0 ||
	    daemon_judge(parse_bind("bind_address6", PICK(bind_address6),
	    AF_INET6, &set.bind6, why), why) < 0)
		return -1;
	if (set.tls_wrapper && set.tls_level <= TLS_LEVEL_MAY &&
	    set.tls_policy_maps[0] == '\0')
		rc = why_set(why, "", "%s_tls_wrappermode: needs "
		    "%s_tls_security_level = encrypt or higher", set.proto,
		    set.proto);
	if (daemon_judge(rc, why) < 0)
		return -1;
	return parse_host_lookup(PICK(host_lookup), &set.lookup_flags, why);
}

static int
open_table(bool lmtp, const char *name, const char *value, struct maps **out,
    struct why *why)
{
	char title[64];

	(void)snprintf(title, sizeof(title), "%s_%s", lmtp ? "lmtp" : "smtp",
	    name);
	*out = maps_new(title, value, TABLE_FIXED, why);
	return daemon_judge(*out == NULL ? -1 : 0, why);
}

int
settings_tables(bool lmtp, struct why *why)
{
	struct alter_checks *c = &set.checks;

#define OPEN(name, out)	open_table(lmtp, #name, PICK(name), out, why)
	if (OPEN(header_checks, &c->header) < 0 ||
	    OPEN(mime_header_checks, &c->mime) < 0 ||
	    OPEN(nested_header_checks, &c->nested) < 0 ||
	    OPEN(body_checks, &c->body) < 0 ||
	    OPEN(reply_filter, &set.reply_filter) < 0 ||
	    OPEN(dns_reply_filter, &set.dns_filter) < 0 ||
	    OPEN(pix_workaround_maps, &set.pix_maps) < 0 ||
	    open_table(lmtp, lmtp ? "discard_lhlo_keyword_address_maps" :
	    "discard_ehlo_keyword_address_maps",
	    PICK2(discard_lhlo_keyword_address_maps,
	    discard_ehlo_keyword_address_maps), &set.discard_maps, why) < 0 ||
	    OPEN(delivery_status_filter, &set.status_filter) < 0)
		return -1;
#undef OPEN
	if (daemon_judged_bad())
		return 0;
	set.alters = !maps_empty(c->header) || !maps_empty(c->mime) ||
	    !maps_empty(c->nested) || !maps_empty(c->body);
	set.generic_maps = PICK(generic_maps);
	set.generic_propagate = addr_map_propagates("generic");
	return 0;
}

int
settings_tls(bool lmtp, struct why *why)
{
	struct tls_client_conf c = {
		.prefix = set.proto, .ca_file = PICK(tls_CAfile),
		.ca_path = PICK(tls_CApath),
		.protocols = PICK(tls_protocols),
		.ciphers = PICK(tls_ciphers),
		.mandatory_protocols = PICK(tls_mandatory_protocols),
		.mandatory_ciphers = PICK(tls_mandatory_ciphers),
		.exclude_ciphers = PICK(tls_exclude_ciphers),
		.mandatory_exclude_ciphers =
		    PICK(tls_mandatory_exclude_ciphers),
		.fingerprint_digest = PICK(tls_fingerprint_digest),
		.anchor_files = PICK(tls_trust_anchor_file),
		.session_time = PICK(tls_session_cache_timeout),
		.session_max = SESSIONS_MAX,
		.judge = daemon_judge,
	};
	char *files = tls_client_files(lmtp);

	/* An MTA-STS policy stands on the authorities that all know. */
	if (!lmtp && c.ca_file[0] == '\0' && c.ca_path[0] == '\0')
		c.ca_file = tls_system_ca_file();
	c.files = files;
	set.tls = tls_client_new(&c, why);
	mem_free(files);
	return set.tls == NULL ? -1 : 0;
}
