/* SPDX-License-Identifier: ISC */
/*
 * report - a report as JSON (RFC 8460 4.4), compressed, and as mail (5.3).
 */
#include <stdio.h>
#include <time.h>
#include <zlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "mail/address.h"
#include "queue/envelope.h"
#include "tlsrpt/tlsrpt.h"

#define BASE64_LINE	57		/* bytes that make a line of 76 */

void
report_id(const struct rdomain *d, struct buf *out)
{
	buf_addf(out, "%lld.%s", (long long)d->p->begin_s, d->name);
}

/* --- JSON ------------------------------------------------------------------------ */

static void
put_string(struct buf *out, struct span s)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			buf_add_str(out, "?");
		else
			buf_add_char(out, (char)c);
	}
	buf_add_char(out, '"');
}

/* ,"name":"value"; nothing when there is no value. */
static void
put_member(struct buf *out, const char *name, struct span value)
{
	if (value.len == 0)
		return;
	if (out->data[out->len - 1] != '{')
		buf_add_char(out, ',');
	buf_addf(out, "\"%s\":", name);
	put_string(out, value);
}

static void
put_list(struct buf *out, const char *name, const char *values,
    const char *separator)
{
	struct span rest = span_of(values), word;
	bool first = true;

	if (values[0] == '\0')
		return;
	buf_addf(out, ",\"%s\":[", name);
	while (span_token(&rest, separator, &word)) {
		buf_add_str(out, first ? "" : ",");
		put_string(out, word);
		first = false;
	}
	buf_add_char(out, ']');
}

static void
put_time(struct buf *out, const char *name, int64_t s)
{
	char text[40];
	time_t t = (time_t)s;
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	put_member(out, name, span_of(text));
}

static void
put_failure(struct buf *out, const struct failure *f)
{
	buf_add_char(out, '{');
	put_member(out, "result-type", span_of(result_name(f->result)));
	put_member(out, "sending-mta-ip", span_of(f->my_ip));
	put_member(out, "receiving-mx-hostname", span_of(f->mx));
	put_member(out, "receiving-ip", span_of(f->mx_ip));
	buf_addf(out, ",\"failed-session-count\":%llu",
	    (unsigned long long)f->count);
	put_member(out, "failure-reason-code", span_of(f->reason));
	buf_add_char(out, '}');
}

static void
put_policy(struct buf *out, const struct rpolicy *p)
{
	buf_add_str(out, "{\"policy\":{");
	put_member(out, "policy-type", span_of(policy_name(p->type)));
	put_list(out, "policy-string", p->strings, "|");
	put_member(out, "policy-domain", span_of(p->domain));
	put_list(out, "mx-host", p->patterns, " ");
	buf_addf(out, "},\"summary\":{\"total-successful-session-count\":%llu,"
	    "\"total-failure-session-count\":%llu}",
	    (unsigned long long)p->good, (unsigned long long)p->bad);
	if (p->failures.len > 0) {
		buf_add_str(out, ",\"failure-details\":[");
		for (size_t i = 0; i < p->failures.len; i++) {
			buf_add_str(out, i > 0 ? "," : "");
			put_failure(out, &p->failures.v[i]);
		}
		buf_add_char(out, ']');
	}
	buf_add_char(out, '}');
}

void
report_json(const struct rdomain *d, struct buf *out)
{
	struct buf id = BUF_INIT(BUF_UNLIMITED);

	report_id(d, &id);
	buf_add_char(out, '{');
	put_member(out, "organization-name",
	    span_of(conf.tlsrpt_organization));
	buf_add_str(out, ",\"date-range\":{");
	put_time(out, "start-datetime", d->p->begin_s);
	put_time(out, "end-datetime", d->p->end_s - 1);
	buf_add_char(out, '}');
	put_member(out, "contact-info", span_of(conf.tlsrpt_contact));
	put_member(out, "report-id", buf_span(&id));
	buf_add_str(out, ",\"policies\":[");
	for (size_t i = 0; i < d->counts.policies.len; i++) {
		buf_add_str(out, i > 0 ? "," : "");
		put_policy(out, &d->counts.policies.v[i]);
	}
	buf_add_str(out, "]}\n");
	buf_fini(&id);
}

int
report_gzip(struct span in, struct buf *out)
{
	/* 15 + 16: the largest window, gzip around it. */
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p,
	    .avail_in = (uInt)in.len };
	size_t room;
	char *to;
	int rc;

	if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		return -1;
	room = deflateBound(&z, (uLong)in.len);
	to = buf_reserve(out, room);
	if (to == NULL) {
		(void)deflateEnd(&z);
		return -1;
	}
	z.next_out = (Bytef *)to;
	z.avail_out = (uInt)room;
	rc = deflate(&z, Z_FINISH);
	buf_commit(out, room - z.avail_out);
	(void)deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : -1;
}

/* --- mail ------------------------------------------------------------------------------ */

static void
put_base64(struct span in, struct buf *out)
{
	for (size_t at = 0; at < in.len; at += BASE64_LINE) {
		base64_encode(span_sub(in, at, BASE64_LINE), out);
		buf_add_char(out, '\n');
	}
}

static void
put_head(const struct rdomain *d, const char *id, const char *from,
    struct span to, const char *boundary, struct buf *out)
{
	char date[CLOCK_RFC5322_MAX];

	clock_rfc5322(clock_wall_s(), date);
	buf_addf(out, "From: <%s>\nTo: <%.*s>\n", from, SPAN_ARG(to));
	buf_addf(out, "Subject: Report Domain: %s Submitter: %s\n"
	    " Report-ID: <%s>\n", d->name, conf.mydomain, id);
	buf_addf(out, "Date: %s\nMessage-ID: <%s.%016llx@%s>\n", date, id,
	    (unsigned long long)rnd_u64(), conf.myhostname);
	buf_addf(out, "TLS-Report-Domain: %s\nTLS-Report-Submitter: %s\n",
	    d->name, conf.mydomain);
	/* RFC 8460 3: it is to arrive though TLS is what is broken. */
	buf_add_str(out, "TLS-Required: No\nAuto-Submitted: auto-generated\n"
	    "MIME-Version: 1.0\n");
	buf_addf(out, "Content-Type: multipart/report; report-type=\"tlsrpt\";"
	    "\n\tboundary=\"%s\"\n\n", boundary);
}

void
report_mail(const struct rdomain *d, struct span to, struct span gz,
    struct buf *envelope, struct buf *text)
{
	struct envelope e = ENVELOPE_INIT;
	struct rcpt rcpt = { .addr = to, .fate = RCPT_PENDING,
	    .dsn_notify = 0 };
	struct buf id = BUF_INIT(BUF_UNLIMITED);
	char trace[TRACE_ID_MAX], boundary[64];
	const char *from = conf.tlsrpt_report_from;

	report_id(d, &id);
	trace_id_make(trace);
	e.trace_id = span_of(trace);
	e.arrival_us = clock_wall_us();
	e.sender = span_of(from);
	e.flags = ENV_NO_CHECKS | ENV_NO_BCC;
	e.client_name = SPAN("localhost");
	e.client_addr = SPAN("127.0.0.1");
	e.protocol = SPAN("internal");
	e.rcpts.v = &rcpt;
	e.rcpts.len = e.rcpts.alloc = 1;
	envelope_encode(envelope, &e);
	(void)snprintf(boundary, sizeof(boundary), "tlsrpt-%016llx",
	    (unsigned long long)rnd_u64());
	put_head(d, id.data, from, to, boundary, text);
	buf_addf(text, "--%s\nContent-Type: text/plain; charset=us-ascii\n\n"
	    "This is a report about the TLS sessions in which %s\n"
	    "sent mail to %s, see RFC 8460.\n\n", boundary, conf.mydomain,
	    d->name);
	buf_addf(text, "--%s\nContent-Type: application/tlsrpt+gzip\n"
	    "Content-Transfer-Encoding: base64\n"
	    "Content-Disposition: attachment;\n"
	    "\tfilename=\"%s!%s!%lld!%lld.json.gz\"\n\n", boundary,
	    conf.mydomain, d->name, (long long)d->p->begin_s,
	    (long long)d->p->end_s - 1);
	put_base64(gz, text);
	buf_addf(text, "\n--%s--\n", boundary);
	buf_fini(&id);
}
