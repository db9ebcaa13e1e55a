/* SPDX-License-Identifier: ISC */
/*
 * web - see web.h.
 */
#include "http/web.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"

struct web_request {
	struct http	*http;
	struct loop_defer begin;	/* no look-up is needed */
	struct dns_query *q[2];		/* AAAA, A */
	struct http_request *request;
	struct web_url	 where;
	struct sock_addr addrs[HTTP_ADDRS_MAX];
	size_t		 naddrs;
	unsigned	 pending;
	struct web_ask	 ask;
	char		*url, *type, *authorization;
	struct buf	 body;
	http_fn		*fn;
	void		*arg;
};

/* --- the URL --------------------------------------------------------------------- */

static int
parse_port(struct span text, uint16_t *out)
{
	uint64_t n = 443;

	if (text.len > 0 && (text.p[0] != ':' ||
	    num_parse_u64(span_from(text, 1), 65535, &n) < 0 || n == 0))
		return -1;
	*out = (uint16_t)n;
	return 0;
}

int
web_url_parse(struct span url, struct web_url *out)
{
	struct span s, host;
	struct sock_addr addr;
	size_t end = 0;
	ptrdiff_t at;

	*out = (struct web_url){ .port = 443 };
	if (!span_casestarts(url, SPAN("https://")))
		return -1;
	for (size_t i = 0; i < url.len; i++)
		if (url.p[i] <= ' ' || (unsigned char)url.p[i] >= 127)
			return -1;
	s = span_from(url, 8);
	while (end < s.len && strchr("/?#", s.p[end]) == NULL)
		end++;
	s = span_sub(s, 0, end);
	if (s.len > 0 && s.p[0] == '[') {
		at = span_find(s, ']');
		if (at < 0)
			return -1;
		host = span_sub(s, 1, (size_t)at - 1);
		s = span_from(s, (size_t)at + 1);
		if (span_find(host, ':') < 0)
			return -1;
	} else {
		at = span_find(s, ':');
		host = at < 0 ? s : span_sub(s, 0, (size_t)at);
		s = span_from(s, host.len);
	}
	if (parse_port(s, &out->port) < 0 ||
	    span_copy(host, out->host, sizeof(out->host)) < 0)
		return -1;
	out->literal = sock_addr_parse(host, out->port, &addr) == 0;
	return out->literal || dns_name_valid(host) ? 0 : -1;
}

/* --- the request ---------------------------------------------------------------------- */

static void
request_free(struct web_request *r)
{
	loop_defer_cancel(&r->begin);
	dns_cancel(&r->q[0]);
	dns_cancel(&r->q[1]);
	http_cancel(&r->request);
	buf_wipe(&r->body);
	mem_free(r->url);
	mem_free(r->type);
	if (r->authorization != NULL)
		mem_wipe(r->authorization, strlen(r->authorization));
	mem_free(r->authorization);
	mem_free(r);
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct web_request *r = arg;

	r->request = NULL;
	r->fn(r->arg, a);
	request_free(r);
}

static void
begin(void *arg)
{
	struct web_request *r = arg;
	struct http_ask ask = {
		.url = r->url, .host = r->where.host, .port = r->where.port,
		.addrs = r->addrs, .naddrs = r->naddrs,
		.timeout_ms = r->ask.timeout_ms,
		.body_max = r->ask.body_max, .type = r->type,
		.body = buf_span(&r->body),
		.authorization = r->authorization,
	};
	char text[DNS_NAME_MAX + 40];
	struct http_answer none = { .result = HTTP_UNREACHABLE,
	    .text = text };

	if (r->naddrs > 0 || r->where.literal) {
		r->request = http_ask(r->http, &ask, on_answer, r);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s%shas no address",
	    r->where.host, r->where.host[0] != '\0' ? " " : "the URL ");
	on_answer(r, &none);
}

static void
on_address(struct web_request *r, const struct dns_answer *a)
{
	struct span rest = a->records;
	struct dns_rr rr;
	int rc;

	while ((rc = dns_next(a, &rest, &rr)) != 0)
		if (rc > 0 && r->naddrs < HTTP_ADDRS_MAX)
			dns_address(&rr, &r->addrs[r->naddrs++]);
	if (--r->pending == 0)
		begin(r);
}

static void
on_v6(void *arg, const struct dns_answer *a)
{
	struct web_request *r = arg;

	r->q[0] = NULL;
	on_address(r, a);
}

static void
on_v4(void *arg, const struct dns_answer *a)
{
	struct web_request *r = arg;

	r->q[1] = NULL;
	on_address(r, a);
}

/* RFC 6761 6.3: never asked of the DNS. */
static void
use_loopback(struct web_request *r)
{
	static const char *const local[] = { "::1", "127.0.0.1" };

	for (size_t i = 0; i < ARRAY_LEN(local); i++)
		if (sock_addr_parse(span_of(local[i]), r->where.port,
		    &r->addrs[r->naddrs]) == 0)
			r->naddrs++;
}

struct web_request *
web_ask(struct http *h, struct dns_client *d, const struct web_ask *a,
    http_fn *fn, void *arg)
{
	struct web_request *r = mem_zalloc(sizeof(*r));

	r->http = h;
	r->fn = fn;
	r->arg = arg;
	r->ask = *a;
	r->url = mem_strdup(a->url);
	r->type = a->type != NULL ? mem_strdup(a->type) : NULL;
	r->authorization = a->authorization != NULL ?
	    mem_strdup(a->authorization) : NULL;
	r->body = BUF_SECRET(BUF_UNLIMITED);
	buf_add_span(&r->body, a->body);
	r->begin = (struct loop_defer){ .fn = begin, .arg = r };
	if (web_url_parse(span_of(a->url), &r->where) < 0 ||
	    r->where.literal) {
		loop_defer(http_loop(h), &r->begin);
	} else if (span_caseis(span_of(r->where.host), "localhost")) {
		use_loopback(r);
		loop_defer(http_loop(h), &r->begin);
	} else {
		r->pending = 2;
		r->q[0] = dns_ask(d, span_of(r->where.host), DNS_AAAA, 0,
		    on_v6, r);
		r->q[1] = dns_ask(d, span_of(r->where.host), DNS_A, 0, on_v4,
		    r);
	}
	return r;
}

void
web_cancel(struct web_request **rp)
{
	struct web_request *r = *rp;

	*rp = NULL;
	if (r != NULL)
		request_free(r);
}
