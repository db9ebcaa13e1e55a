/* SPDX-License-Identifier: ISC */
/*
 * check - whether the settings that routing goes by make sense ("-C"), and
 * those that others have looked up here: tables of a kind that there is, and
 * transports that master.cf has.
 *
 * A file that is not there is no error here: mail that needs it waits, and
 * mansio check names it.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "conf/table.h"
#include "rewrite/rewrite.h"
#include "route/nexthop.h"
#include "route/our.h"
#include "route/resolve.h"

static const char *const maps[] = {
	"address_verify_sender_dependent_default_transport_maps",
	"address_verify_sender_dependent_relayhost_maps",
	"address_verify_transport_maps",
	"canonical_maps", "local_recipient_maps", "recipient_canonical_maps",
	"relay_recipient_maps", "relocated_maps",
	"sender_dependent_default_transport_maps",
	"sender_dependent_relayhost_maps", "transport_maps",
	"virtual_alias_maps", "virtual_mailbox_maps",
};

static const char *const lists[] = {
	"mydestination", "relay_domains", "virtual_alias_domains",
	"virtual_mailbox_domains",
};

static const char *const transports[] = {
	"address_verify_default_transport", "address_verify_local_transport",
	"address_verify_relay_transport", "address_verify_virtual_transport",
	"default_transport", "fallback_transport", "local_transport",
	"mailbox_transport", "relay_transport", "virtual_transport",
};

static unsigned errors;

static void
error(const char *param, const char *text)
{
	log_error("%s: %s", params_origin(param), text);
	errors++;
}

static void
check_maps(const char *param)
{
	struct why why = WHY_INIT;
	char *value = params_get(param);
	struct maps *m;

	/* Those of address_verify_... are the others', and said there. */
	if (value == NULL ||
	    (span_starts(span_of(param), SPAN("address_verify_")) &&
	    strcmp(params_origin(param), "default") == 0)) {
		mem_free(value);
		return;
	}
	m = maps_new(param, value, TABLE_FOLD, &why);
	if (m == NULL)
		error(param, why.text);
	maps_free(&m);
	mem_free(value);
}

static bool
in_list(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static void
check_list(const char *param)
{
	struct why why = WHY_INIT;
	char *value = params_get(param);
	struct match_list *l;

	if (value == NULL)
		return;
	l = match_list_new(param, value, 0, &why);
	if (l == NULL)
		error(param, why.text);
	match_list_free(&l);
	mem_free(value);
}

/*
 * All other tables: most are asked for by name by processes that open no files
 * themselves.  What has a syntax of its own is judged by its owner.
 */
static void
check_other_maps(void)
{
	static const char *const own[] = {
		"authd_password_maps", "proxy_read_maps", "proxy_write_maps",
	};
	const struct param_row *rows;
	size_t n;

	rows = params_rows(&n);
	for (size_t i = 0; i < n; i++) {
		struct span name = span_of(rows[i].name);

		if (rows[i].type != PARAM_STR ||
		    (!span_ends(name, SPAN("_maps")) &&
		    !span_ends(name, SPAN("_map"))) ||
		    strcmp(params_origin(rows[i].name), "default") == 0 ||
		    in_list(rows[i].name, maps, ARRAY_LEN(maps)) ||
		    in_list(rows[i].name, own, ARRAY_LEN(own)))
			continue;
		check_maps(rows[i].name);
	}
}

/* What smtp or lmtp could make nothing of; other agents take any text. */
static void
check_hops(const struct service *service, const char *param,
    const char *value, struct span list)
{
	bool lmtp = strcmp(service->command, "lmtp") == 0;
	struct span word;
	struct hop hop;

	if (!lmtp && strcmp(service->command, "smtp") != 0)
		return;
	while (span_token(&list, HOP_SEPARATORS, &word)) {
		struct buf text = BUF_INIT(BUF_UNLIMITED);
		struct why why = WHY_INIT;

		if (hop_parse(word, lmtp, 25, &hop, &why) < 0) {
			buf_addf(&text, "%s = %s: %s", param, value, why.text);
			error(param, text.data);
		}
		buf_fini(&text);
	}
}

/* relayhost goes with a transport that names no next hop. */
static void
check_relayhost(const struct master_cf *m)
{
	static const char *const users[] = { "default_transport",
	    "relay_transport" };

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		char *value = params_get(users[i]), *name;
		const struct service *service;
		struct span transport, nexthop;

		route_parse_transport(span_of(value), &transport, &nexthop);
		name = span_dup(transport);
		service = master_cf_find(m, name, SERVICE_UNIX);
		mem_free(name);
		mem_free(value);
		if (service == NULL || nexthop.len > 0)
			continue;
		check_hops(service, "relayhost", conf.relayhost,
		    span_of(conf.relayhost));
		return;			/* it is said once */
	}
}

/*
 * Mail for a transport that nobody serves waits for its whole lifetime.  A
 * default that is not there is another matter: such mail may never come.
 */
static void
check_transport(const struct master_cf *m, bool whole, const char *param)
{
	char *value = params_get(param), *name;
	const struct service *service;
	struct span transport, nexthop;
	struct buf text = BUF_INIT(BUF_UNLIMITED);

	if (value == NULL || strcmp(params_origin(param), "default") == 0)
		goto out;
	route_parse_transport(span_of(value), &transport, &nexthop);
	if (transport.len == 0)
		goto out;
	name = span_dup(transport);
	service = master_cf_find(m, name, SERVICE_UNIX);
	if (service == NULL && whole) {
		buf_addf(&text, "%s = %s: master.cf has no service \"%s\" of "
		    "type unix", param, value, name);
		error(param, text.data);
	} else if (service != NULL) {
		check_hops(service, param, value, nexthop);
	}
	mem_free(name);
out:
	buf_fini(&text);
	mem_free(value);
}

static void
no_report(void *arg, bool is_error, const char *line)
{
}

int
rewrite_check(struct why *why)
{
	struct master_cf m = { .services = ARRAY_EMPTY };
	bool whole;

	errors = 0;
	our_check(error);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		check_maps(maps[i]);
	check_other_maps();
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		check_list(lists[i]);
	/* What is wrong with the file itself has been said; a service that is
	 * missed may be in a line that is wrong. */
	whole = master_cf_load(params_config_dir(), &m, no_report, NULL) == 0;
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		check_transport(&m, whole, transports[i]);
	check_relayhost(&m);
	master_cf_fini(&m);
	return errors > 0 ? -1 : 0;
}
