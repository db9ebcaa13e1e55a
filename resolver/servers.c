/* SPDX-License-Identifier: ISC */
/*
 * servers - the name servers that are asked: those of resolver_servers, or
 * those of resolv.conf.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fd.h"
#include "resolver/resolver.h"

#define RESOLV_CONF_MAX	(64u * 1024)	/* bytes of it that are read */

/* "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53". */
static int
parse(struct span word, struct server *out)
{
	struct span host = word, port = SPAN("53");
	ptrdiff_t colon = span_rfind(word, ':');
	char ip[SOCK_ADDR_TEXT_MAX];
	uint64_t n;

	/* An IPv6 address has brackets, or no port. */
	if (colon > 0 && (word.p[0] == '[' ? word.p[colon - 1] == ']' :
	    span_find(word, ':') == colon)) {
		host = span_sub(word, 0, (size_t)colon);
		port = span_from(word, (size_t)colon + 1);
	}
	if (num_parse_u64(port, 65535, &n) < 0 || n == 0 ||
	    sock_addr_parse(host, (uint16_t)n, &out->addr) < 0)
		return -1;
	sock_addr_text(&out->addr, ip);
	(void)snprintf(out->text, sizeof(out->text), "%s@%u", ip,
	    (unsigned)n);
	return 0;
}

static int
from_setting(struct servers *s, struct why *why)
{
	struct span rest = span_of(conf.resolver_servers), word;

	while (span_token(&rest, " \t\r\n,", &word)) {
		if (s->n == SERVERS_MAX)
			return why_set(why, "", "resolver_servers: more than "
			    "%d", SERVERS_MAX);
		if (parse(word, &s->v[s->n]) < 0)
			return why_set(why, "", "resolver_servers: \"%.*s\" "
			    "is no address", SPAN_ARG(word));
		s->n++;
	}
	return 0;
}

/* resolv.conf(5): "nameserver ADDRESS"; a link's own has a "%link" behind it,
 * which libunbound understands and we pass on. */
static void
from_line(struct servers *s, struct span line)
{
	struct server *v = &s->v[s->n];
	struct span word;

	if (s->n == SERVERS_MAX || !span_token(&line, " \t\r", &word) ||
	    !span_is(word, "nameserver") ||
	    !span_token(&line, " \t\r", &word))
		return;
	*v = (struct server){ .addr = { .len = 0 } };
	if (sock_addr_parse(word, 53, &v->addr) < 0 &&
	    span_find(word, '%') < 0)
		return;
	if (span_copy(word, v->text, sizeof(v->text)) == 0)
		s->n++;
}

int
servers_read(struct servers *s, struct why *why)
{
	struct buf text = BUF_INIT(RESOLV_CONF_MAX);
	struct span rest, line;

	s->n = 0;
	if (from_setting(s, why) < 0)
		return -1;
	if (s->n > 0)
		return 0;
	if (fd_read_file(AT_FDCWD, RESOLV_CONF, &text) < 0) {
		log_warning("%s: %m; asking the root servers", RESOLV_CONF);
		buf_fini(&text);
		return 0;
	}
	rest = buf_span(&text);
	while (span_line(&rest, &line))
		from_line(s, line);
	if (s->n == 0)		/* as everybody takes it */
		from_line(s, SPAN("nameserver 127.0.0.1"));
	buf_fini(&text);
	return 0;
}
