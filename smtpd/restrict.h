/* SPDX-License-Identifier: ISC */
/*
 * restrict - the restrictions themselves, one function each.
 */
#ifndef SMTPD_RESTRICT_H
#define SMTPD_RESTRICT_H

#include "smtpd/policy.h"

rule_fn eval_permit, eval_permit_mynetworks, eval_permit_interfaces;
rule_fn eval_permit_sasl, eval_permit_cert, eval_permit_any_cert;
rule_fn eval_permit_auth_dest;
rule_fn eval_reject, eval_defer;
rule_fn eval_defer_if_permit, eval_defer_if_reject, eval_relay;
rule_fn eval_unlisted, eval_over_quota, eval_non_fqdn, eval_invalid_helo, eval_pipelining;
rule_fn eval_multi_bounce, eval_plaintext, eval_sleep, eval_warn, eval_class;
rule_fn eval_login_mismatch, eval_unverified, eval_naked_addr;
/* names.c */
rule_fn eval_unknown_client, eval_unknown_reverse, eval_unknown_helo;
rule_fn eval_unknown_domain, eval_mx_backup;
/* dnsbl.c */
rule_fn eval_rbl_client, eval_maps_rbl, eval_rhsbl, eval_dnswl;
rule_fn eval_servers;		/* servers.c: flavour | DNS type << 8 */

enum { LOGIN_AUTH = 1, LOGIN_UNAUTH = 2, LOGIN_KNOWN = 4 };

/* The table number n of a list of tables; false: there are fewer. */
bool	 restrict_nth_table(const char *list, unsigned n, struct span *out);
/* "list.example" or "list.example=127.0.0.[1;3..5]". */
bool	 dnsbl_domain_valid(struct span arg);
/* The addresses of this machine, for permit_inet_interfaces. */
MUST_CHECK int restrict_open(struct why *why);

#endif
