/* SPDX-License-Identifier: ISC */
/*
 * fetch - one look at a domain: its TXT record, and then, when there is
 * something new, its policy (RFC 8461 3.1, 3.3).
 */
#include "mtasts/mtasts.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "http/web.h"

#define FAILED_TTL	60	/* seconds after which the DNS is asked again */

struct fetch {
	char		 domain[DNS_NAME_MAX + 1];
	char		 host[DNS_NAME_MAX + 1];
	char		 id[STS_ID_MAX + 1], known_id[STS_ID_MAX + 1];
	uint32_t	 ttl;
	fetch_fn	*fn;
	void		*arg;
};

struct dns_client *dns;
static struct http *web;

static void
finish(struct fetch *f, enum mtasts_result result,
    const struct sts_policy *policy, const char *text)
{
	struct fetch_result r = { .result = result, .id = f->id,
	    .ttl = f->ttl, .policy = policy, .text = text };

	f->fn(f->arg, &r);
	mem_free(f);
}

/* --- the policy ------------------------------------------------------------------------ */

/* RFC 8461 3.3: text/plain, whatever parameters it has. */
static bool
is_plain_text(struct span type)
{
	struct span word;

	return span_token(&type, " \t;", &word) &&
	    span_caseis(word, "text/plain");
}

static void
on_policy(void *arg, const struct http_answer *a)
{
	struct fetch *f = arg;
	struct why why = WHY_INIT;
	struct sts_policy p;
	char text[800];

	(void)snprintf(text, sizeof(text), "https://%s: %s", f->host,
	    a->text);
	switch (a->result) {
	case HTTP_ANSWERED:
		break;
	case HTTP_UNTRUSTED:
		finish(f, MTASTS_WEBPKI, NULL, text);
		return;
	case HTTP_TOO_LARGE:
		finish(f, MTASTS_INVALID, NULL, text);
		return;
	default:
		finish(f, MTASTS_FETCH, NULL, text);
		return;
	}
	if (a->status != 200) {
		/* A redirect is no answer either. */
		(void)snprintf(text, sizeof(text), "https://%s: HTTP status "
		    "%u", f->host, a->status);
		finish(f, MTASTS_FETCH, NULL, text);
	} else if (!is_plain_text(a->type)) {
		(void)snprintf(text, sizeof(text), "https://%s: the policy is "
		    "no text/plain", f->host);
		finish(f, MTASTS_INVALID, NULL, text);
	} else if (sts_policy_parse(a->body, &p, &why) < 0) {
		(void)snprintf(text, sizeof(text), "https://%s: %s", f->host,
		    why.text);
		finish(f, MTASTS_INVALID, NULL, text);
	} else {
		finish(f, MTASTS_OK, &p, "");
	}
}

static void
get(struct fetch *f)
{
	char url[DNS_NAME_MAX + 64];
	struct web_ask ask = { .url = url,
	    .timeout_ms = conf.mtasts_fetch_timeout * 1000,
	    .body_max = STS_POLICY_MAX };

	if (strlen(f->domain) + sizeof("mta-sts.") > sizeof(f->host)) {
		finish(f, MTASTS_FETCH, NULL, "the domain's name is too long");
		return;
	}
	(void)snprintf(f->host, sizeof(f->host), "mta-sts.%.*s",
	    DNS_NAME_MAX - 8, f->domain);
	(void)snprintf(url, sizeof(url),
	    "https://%s/.well-known/mta-sts.txt", f->host);
	(void)web_ask(web, dns, &ask, on_policy, f);
}

/* --- the record --------------------------------------------------------------------------- */

/*
 * RFC 8461 3.1: other TXT records do not count; of those that begin as one of
 * ours there must be exactly one.  How many there are; the last one's id.
 */
static unsigned
find_record(const struct dns_answer *a, char id[STS_ID_MAX + 1], bool *bad)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span rest = a->records, found;
	struct dns_rr rr;
	unsigned n = 0;
	int rc;

	*bad = false;
	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		if (rc < 0)
			continue;
		buf_reset(&text);
		dns_txt(&rr, &text);
		if (!sts_record_is(buf_span(&text)))
			continue;
		n++;
		if (sts_record_parse(buf_span(&text), &found) < 0 ||
		    span_copy(found, id, STS_ID_MAX + 1) < 0)
			*bad = true;
	}
	buf_fini(&text);
	return n;
}

static void
on_txt(void *arg, const struct dns_answer *a)
{
	struct fetch *f = arg;
	char text[800];
	bool bad;
	unsigned n;

	f->ttl = a->ttl;
	if (dns_temporary(a->status)) {
		f->ttl = FAILED_TTL;
		(void)snprintf(text, sizeof(text), "_mta-sts.%s: %s",
		    f->domain, dns_status_text(a->status));
		finish(f, MTASTS_DNS, NULL, text);
		return;
	}
	n = find_record(a, f->id, &bad);
	if (n == 0) {
		finish(f, MTASTS_ABSENT, NULL, "");
	} else if (n > 1 || bad) {
		f->id[0] = '\0';
		(void)snprintf(text, sizeof(text), "_mta-sts.%s: %s",
		    f->domain, n > 1 ? "more than one record" :
		    "the record is malformed");
		finish(f, MTASTS_RECORD, NULL, text);
	} else if (strcmp(f->id, f->known_id) == 0) {
		finish(f, MTASTS_OK, NULL, "");
	} else {
		get(f);
	}
}

/* --- public ---------------------------------------------------------------------------------- */

struct fetch *
fetch_begin(const char *domain, const char *known_id, fetch_fn *fn, void *arg)
{
	struct fetch *f = mem_zalloc(sizeof(*f));
	char *name = mem_printf("_mta-sts.%s", domain);

	(void)snprintf(f->domain, sizeof(f->domain), "%s", domain);
	(void)snprintf(f->known_id, sizeof(f->known_id), "%s", known_id);
	f->fn = fn;
	f->arg = arg;
	(void)dns_ask(dns, span_of(name), DNS_TXT, 0, on_txt, f);
	mem_free(name);
	return f;
}

int
fetch_open(struct why *why)
{
	web = http_new(conf.mtasts_tls_CAfile, "Mansio MTA-STS", why);
	return web == NULL ? -1 : 0;
}

void
fetch_start(void)
{
	http_start(web, daemon_loop());
	dns = dns_client_new(daemon_loop(),
	    daemon_socket_path("private/resolver"));
}
