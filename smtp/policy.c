/* SPDX-License-Identifier: ISC */
/*
 * policy - see policy.h; no I/O.
 */
#include "smtp/policy.h"

#include "base/mem.h"
#include "dns/dns.h"

#define SEPARATORS	" \t\r\n,"

void
policy_fini(struct policy *p)
{
	mem_free(p->match);
	mem_free(p->protocols);
	mem_free(p->ciphers);
	mem_free(p->servername);
	mem_free(p->exclude);
	mem_free(p->tafile);
	*p = (struct policy){ .level = TLS_LEVEL_NONE };
}

static int
take_attribute(struct policy *p, struct span word, struct why *why)
{
	ptrdiff_t eq = span_find(word, '=');
	struct span name, value;
	char **to;

	if (eq <= 0)
		return why_set(why, "4.7.5", "TLS policy: \"%.*s\" is no "
		    "name=value", SPAN_ARG(word));
	name = span_sub(word, 0, (size_t)eq);
	value = span_from(word, (size_t)eq + 1);
	if (value.len == 0)
		return why_set(why, "4.7.5", "TLS policy: %.*s is empty",
		    SPAN_ARG(name));
	if (span_caseis(name, "connection_reuse")) {
		p->no_reuse = span_caseis(value, "no");
		return p->no_reuse || span_caseis(value, "yes") ? 0 :
		    why_set(why, "4.7.5", "TLS policy: connection_reuse is "
		    "yes or no");
	}
	to = span_caseis(name, "match") ? &p->match :
	    span_caseis(name, "protocols") ? &p->protocols :
	    span_caseis(name, "ciphers") ? &p->ciphers :
	    span_caseis(name, "servername") ? &p->servername :
	    span_caseis(name, "exclude") ? &p->exclude :
	    span_caseis(name, "tafile") ? &p->tafile : NULL;
	if (to == NULL)
		return why_set(why, "4.7.5", "TLS policy: unknown attribute "
		    "\"%.*s\"", SPAN_ARG(name));
	if (to == &p->match && *to != NULL) {	/* several add up */
		char *both = mem_printf("%s:%.*s", *to, SPAN_ARG(value));

		mem_free(*to);
		*to = both;
	} else {
		mem_free(*to);
		*to = span_dup(value);
	}
	/* "TLSv1.2:TLSv1.3": a comma would end the attribute. */
	for (char *c = *to; (to == &p->protocols || to == &p->exclude) &&
	    *c != '\0'; c++)
		if (*c == ':')
			*c = ' ';
	return 0;
}

int
policy_parse(struct span text, struct policy *out, struct why *why)
{
	struct span word;

	*out = (struct policy){ .level = TLS_LEVEL_NONE };
	if (!span_token(&text, SEPARATORS, &word))
		return why_set(why, "4.7.5", "TLS policy without a level");
	out->level = tls_level_parse(word);
	if (out->level == TLS_LEVEL_INVALID)
		return why_set(why, "4.7.5", "TLS policy: unknown level "
		    "\"%.*s\"", SPAN_ARG(word));
	while (span_token(&text, SEPARATORS, &word)) {
		if (take_attribute(out, word, why) < 0) {
			policy_fini(out);
			return -1;
		}
	}
	return 0;
}

size_t
policy_keys(struct span nexthop, struct span keys[POLICY_KEYS_MAX])
{
	size_t n = 0;

	keys[n++] = nexthop;
	if (!dns_name_valid(nexthop))
		return n;
	for (size_t i = 1; i < nexthop.len && n < POLICY_KEYS_MAX; i++)
		if (nexthop.p[i] == '.')
			keys[n++] = span_from(nexthop, i);
	return n;
}

void
policy_match_names(const char *match, const char *host, const char *nexthop,
    struct policy_names *out)
{
	struct span rest = span_of(match), word;

	while (span_token(&rest, SEPARATORS ":", &word)) {
		char *name = span_caseis(word, "hostname") ?
		    mem_strdup(host) : span_caseis(word, "nexthop") ?
		    mem_strdup(nexthop) : span_caseis(word, "dot-nexthop") ?
		    mem_printf(".%s", nexthop) : span_dup(word);

		*ARRAY_PUSH(out) = name;
	}
}

void
policy_names_fini(struct policy_names *n)
{
	for (size_t i = 0; i < n->len; i++)
		mem_free(n->v[i]);
	ARRAY_FINI(n);
}
