/* SPDX-License-Identifier: ISC */
/*
 * endpoint - see endpoint.h.
 */
#include "conf/endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "base/mem.h"
#include "base/num.h"

static int
parse_port(struct span text, uint16_t *out, struct why *why)
{
	char *name = span_dup(text);
	struct servent *s;
	uint32_t n;
	int rc = 0;

	if (num_parse_u32(text, 65535, &n) == 0 && n > 0)
		*out = (uint16_t)n;
	else if (text.len > 0 && (text.p[0] < '0' || text.p[0] > '9') &&
	    (s = getservbyname(name, "tcp")) != NULL)
		*out = ntohs((uint16_t)s->s_port);
	else
		rc = why_set(why, "", "\"%s\" is no port", name);
	mem_free(name);
	return rc;
}

static int
parse_inet(struct span text, struct endpoint *out, struct why *why)
{
	struct span host = SPAN_EMPTY, port = text;
	ptrdiff_t at;

	if (span_starts(text, SPAN("["))) {
		at = span_find(text, ']');
		if (at < 0 || !span_starts(span_from(text, (size_t)at + 1),
		    SPAN(":")))
			return why_set(why, "", "\"%.*s\" is not "
			    "[address]:port", SPAN_ARG(text));
		host = span_sub(text, 1, (size_t)at - 1);
		port = span_from(text, (size_t)at + 2);
	} else if ((at = span_rfind(text, ':')) >= 0) {
		host = span_sub(text, 0, (size_t)at);
		port = span_from(text, (size_t)at + 1);
	}
	if (host.len == 0)
		host = SPAN("localhost");
	if (span_has_nul(host) || span_copy(host, out->host,
	    sizeof(out->host)) < 0)
		return why_set(why, "", "\"%.*s\" is no host",
		    SPAN_ARG(span_sub(host, 0, 100)));
	return parse_port(port, &out->port, why);
}

int
endpoint_parse(struct span text, struct endpoint *out, struct why *why)
{
	ptrdiff_t colon = span_find(text, ':');
	struct span type, rest;

	*out = (struct endpoint){ .local = false };
	type = colon > 0 ? span_sub(text, 0, (size_t)colon) : SPAN_EMPTY;
	rest = span_from(text, (size_t)MAX(colon, 0) + 1);
	if (type.len == 0 || rest.len == 0)
		return why_set(why, "", "need transport:endpoint instead of "
		    "\"%.*s\"", SPAN_ARG(span_sub(text, 0, 100)));
	if (span_is(type, "inet"))
		return parse_inet(rest, out, why);
	if (!span_is(type, "unix") && !span_is(type, "local"))
		return why_set(why, "", "\"%.*s\" is neither inet nor unix",
		    SPAN_ARG(span_sub(type, 0, 100)));
	out->local = true;
	if (span_has_nul(rest) || span_copy(rest, out->path,
	    sizeof(out->path)) < 0)
		return why_set(why, "", "the path of a socket has at most %d "
		    "bytes", ENDPOINT_PATH_MAX);
	return 0;
}
