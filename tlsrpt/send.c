/* SPDX-License-Identifier: ISC */
/*
 * send - a report on its way: where the domain wants it (the TXT record
 * _smtp._tls.DOMAIN, RFC 8460 3), and there as mail or over HTTPS.
 *
 * It is delivered when one of the places has taken it.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "daemon/submit.h"
#include "dns/dns_client.h"
#include "http/web.h"
#include "mail/address.h"
#include "mail/sts.h"
#include "tlsrpt/tlsrpt.h"

#define RUA_TEXT_MAX	1000		/* bytes of one address */
#define ANSWER_MAX	(64 * 1024)	/* bytes of a web server's answer */

struct post;

struct job {
	struct rdomain	*d;
	struct dns_query *q;
	struct buf	 gz;
	unsigned	 pending;	/* places that have not answered */
	bool		 delivered, permanent;
};

/* One place on the web. */
struct post {
	struct job	*job;
	char		 url[RUA_TEXT_MAX + 1];
};

static struct dns_client *dns;
static struct http *web;

static void
job_end(struct job *j, bool done)
{
	struct rdomain *d = j->d;

	buf_fini(&j->gz);
	mem_free(j);
	if (done)
		period_done(d);
	else
		period_again(d);
}

/* A place has answered, or there was nobody to ask. */
static void
answered(struct job *j, bool delivered)
{
	j->delivered |= delivered;
	if (--j->pending == 0)
		job_end(j, j->delivered || j->permanent);
}

/* --- mail ------------------------------------------------------------------------- */

static void
on_submitted(void *arg, bool ok, struct span queue_id, struct span text)
{
	struct job *j = arg;

	if (ok)
		log_info("%.*s: TLS report for %s", SPAN_ARG(queue_id),
		    j->d->name);
	else
		log_warning("%s: TLS report: %.*s", j->d->name,
		    SPAN_ARG(text));
	answered(j, ok);
}

/* "mailto:address?what=ever", with %xx undone. */
static int
mail_address(struct span uri, struct buf *out)
{
	struct span s = span_from(uri, 7);
	ptrdiff_t query = span_find(s, '?');
	uint64_t c;

	if (query >= 0)
		s = span_sub(s, 0, (size_t)query);
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != '%') {
			buf_add_char(out, s.p[i]);
			continue;
		}
		if (i + 2 >= s.len ||
		    num_parse_hex(span_sub(s, i + 1, 2), &c) < 0)
			return -1;
		buf_add_char(out, (char)c);
		i += 2;
	}
	/* It goes into a header, too. */
	for (size_t i = 0; i < out->len; i++)
		if ((uint8_t)out->data[i] <= ' ' || out->data[i] == '<' ||
		    out->data[i] == '>' || (uint8_t)out->data[i] >= 0x7f)
			return -1;
	return span_find(buf_span(out), '@') > 0 ? 0 : -1;
}

static void
send_mail(struct job *j, struct span uri)
{
	struct buf to = BUF_INIT(BUF_UNLIMITED), env = BUF_INIT(BUF_UNLIMITED),
	    text = BUF_INIT(BUF_UNLIMITED), none = BUF_INIT(BUF_UNLIMITED);

	if (mail_address(uri, &to) < 0) {
		log_info("%s: TLS report: \"%.*s\" is no address", j->d->name,
		    SPAN_ARG(uri));
		answered(j, false);
	} else {
		report_mail(j->d, buf_span(&to), buf_span(&j->gz), &env,
		    &text);
		(void)submit(&env, &text, -1, 0, 0, &none, on_submitted, j);
	}
	buf_fini(&to);
}

/* --- HTTPS --------------------------------------------------------------------------- */

static void
post_end(struct post *p, bool ok)
{
	struct job *j = p->job;

	mem_free(p);
	answered(j, ok);
}

static void
on_posted(void *arg, const struct http_answer *a)
{
	struct post *p = arg;
	bool ok = a->result == HTTP_ANSWERED && a->status / 100 == 2;

	if (ok)
		log_info("%s: TLS report posted to %s", p->job->d->name,
		    p->url);
	else
		log_info("%s: TLS report: %s: %s, status %u",
		    p->job->d->name, p->url, a->text, a->status);
	post_end(p, ok);
}

/* A stranger chose the place: it is a name in the DNS, not this machine and
 * no address. */
static bool
is_place(struct span uri, struct post *p)
{
	struct web_url u;

	return web_url_parse(uri, &u) == 0 && !u.literal &&
	    !span_caseis(span_of(u.host), "localhost") &&
	    span_copy(uri, p->url, sizeof(p->url)) == 0;
}

static void
send_post(struct job *j, struct span uri)
{
	struct post *p = mem_zalloc(sizeof(*p));
	struct web_ask ask = { .url = p->url,
	    .timeout_ms = conf.tlsrpt_connect_timeout * 1000,
	    .body_max = ANSWER_MAX, .type = "application/tlsrpt+gzip",
	    .body = buf_span(&j->gz) };

	p->job = j;
	if (is_place(uri, p)) {
		(void)web_ask(web, dns, &ask, on_posted, p);
		return;
	}
	log_info("%s: TLS report: \"%.*s\" is no place", j->d->name,
	    SPAN_ARG(uri));
	post_end(p, false);
}

/* --- the record ------------------------------------------------------------------------- */

static void
deliver(struct job *j, const struct tlsrpt_record *r)
{
	struct buf json = BUF_INIT(BUF_UNLIMITED);

	report_json(j->d, &json);
	if (report_gzip(buf_span(&json), &j->gz) < 0) {
		log_warning("%s: the report cannot be compressed",
		    j->d->name);
		buf_fini(&json);
		job_end(j, false);
		return;
	}
	buf_fini(&json);
	/* One more than there are places: none ends it before all began. */
	j->pending = (unsigned)r->nrua + 1;
	for (size_t i = 0; i < r->nrua; i++) {
		if (r->rua[i].len > RUA_TEXT_MAX)
			answered(j, false);
		else if (span_casestarts(r->rua[i], SPAN("mailto:")))
			send_mail(j, r->rua[i]);
		else
			send_post(j, r->rua[i]);
	}
	answered(j, false);
}

static void
on_record(void *arg, const struct dns_answer *a)
{
	struct job *j = arg;
	struct buf text = BUF_INIT(BUF_UNLIMITED), found =
	    BUF_INIT(BUF_UNLIMITED);
	struct span rest = a->records;
	struct tlsrpt_record r;
	struct dns_rr rr;
	unsigned n = 0;
	int rc;

	j->q = NULL;
	if (dns_temporary(a->status)) {
		job_end(j, false);
		return;
	}
	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		buf_reset(&text);
		if (rc > 0)
			dns_txt(&rr, &text);
		if (rc > 0 && tlsrpt_record_is(buf_span(&text))) {
			buf_reset(&found);
			buf_add_span(&found, buf_span(&text));
			n++;
		}
	}
	/* RFC 8460 3: none, or more than one: no reports. */
	if (n == 1 && tlsrpt_record_parse(buf_span(&found), &r) == 0) {
		deliver(j, &r);
	} else {
		log_debug("%s: wants no TLS reports", j->d->name);
		job_end(j, true);
	}
	buf_fini(&text);
	buf_fini(&found);
}

/* --- public ------------------------------------------------------------------------------- */

void
send_report(struct rdomain *d)
{
	struct job *j = mem_zalloc(sizeof(*j));
	char *name = mem_printf("_smtp._tls.%s", d->name);

	j->d = d;
	j->gz = BUF_INIT(BUF_UNLIMITED);
	j->q = dns_ask(dns, span_of(name), DNS_TXT, 0, on_record, j);
	mem_free(name);
}

int
send_open(struct why *why)
{
	web = http_new(conf.tlsrpt_tls_CAfile, "Mansio TLSRPT", why);
	return web == NULL ? -1 : 0;
}

void
send_start(void)
{
	http_start(web, daemon_loop());
	dns = dns_client_new(daemon_loop(),
	    daemon_socket_path("private/resolver"));
	submit_start(daemon_loop());
}
