/* SPDX-License-Identifier: ISC */
/*
 * table_cidr - cidr:/file, networks by address (cidr_table(5)):
 *
 *	192.0.2.0/24 value	2001:db8::/32 value	!192.0.2.1 value
 *	if 192.0.2.0/24 ... endif
 *
 * The first rule that matches gives the answer.  A key that is no address
 * matches nothing.
 */
#include "conf/table_rules.h"

#include <ctype.h>

#include "base/mem.h"
#include "io/sock.h"

struct cidr_rule {
	struct rule	 rule;
	struct sock_net	 net;
	char		*value;
};

struct cidr {
	ARRAY(struct cidr_rule) rules;
};

static struct rule *
rule_at(struct table *t, size_t i)
{
	return &((struct cidr *)t->impl)->rules.v[i].rule;
}

static size_t
rule_count(struct table *t)
{
	return ((struct cidr *)t->impl)->rules.len;
}

static int
cidr_parse(struct table *t, struct span text, enum rule_kind kind, int lineno,
    struct why *why)
{
	struct cidr *c = t->impl;
	struct cidr_rule r = { .rule = { .kind = kind, .lineno = lineno } };
	struct span pattern, value;
	size_t n = 0;

	while (text.len > 0 && text.p[0] == '!') {
		r.rule.negated = !r.rule.negated;
		text = span_trim(span_from(text, 1));
	}
	while (n < text.len && !isspace((unsigned char)text.p[n]))
		n++;
	pattern = span_sub(text, 0, n);
	value = span_trim(span_from(text, n));
	if (pattern.len == 0)
		return why_set(why, "4.3.5", "no address pattern");
	if (kind == RULE_MATCH && value.len == 0)
		return why_set(why, "4.3.5", "no lookup result");
	if (kind == RULE_IF && value.len > 0)
		return why_set(why, "4.3.5", "extra text after the pattern");
	if (sock_net_parse(pattern, &r.net, why) == -1)
		return -1;
	if (kind == RULE_MATCH)
		r.value = span_dup(value);
	*ARRAY_PUSH(&c->rules) = r;
	return 0;
}

static void
cidr_close(struct table *t)
{
	struct cidr *c = t->impl;

	for (size_t i = 0; i < c->rules.len; i++)
		mem_free(c->rules.v[i].value);
	ARRAY_FINI(&c->rules);
	mem_free(c);
	t->impl = NULL;
}

static int
cidr_open(struct table *t, struct why *why)
{
	static const struct rules_parser parser = {
		.parse = cidr_parse, .rule_at = rule_at, .count = rule_count
	};

	t->impl = mem_zalloc(sizeof(struct cidr));
	if (table_rules_read(t, &parser, why) == -1) {
		cidr_close(t);
		return -1;
	}
	return 0;
}

static int
cidr_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	const struct cidr *c = t->impl;
	struct sock_addr a;

	if (sock_addr_parse(key, 0, &a) == -1)
		return 0;
	for (size_t i = 0; i < c->rules.len;) {
		const struct cidr_rule *r = &c->rules.v[i];
		/* "!192.0.2.0/24" is for other IPv4 addresses, not for IPv6. */
		bool match = sock_net_has(&(struct sock_net){
		    .family = r->net.family, .bits = 0 }, &a) &&
		    sock_net_has(&r->net, &a) != r->rule.negated;

		if (r->rule.kind == RULE_IF)
			i = match ? i + 1 : r->rule.skip;
		else if (match)
			return table_give(t, span_of(r->value), out, why);
		else
			i++;
	}
	return 0;
}

const struct table_type table_type_cidr = {
	.name = "cidr", .pattern = true, .file_suffix = "",
	.open = cidr_open, .get = cidr_get, .close = cidr_close,
};
