/* SPDX-License-Identifier: ISC */
/*
 * report - see report.h.
 *
 * An event is sent and forgotten: reports are statistics, and mail must not
 * wait for them.
 */
#include "smtp/report.h"

#include <stdio.h>

#include "base/buf.h"
#include "conf/params.h"
#include "smtp/smtp.h"

#define OUT_HIGH	(1u << 20)	/* bytes that tlsrpt has not taken */

static struct ipc_client *client;

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	return -1;		/* it has nothing to say */
}

static void
on_down(void *arg)
{
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_down = on_down,
};

void
report_start(struct loop *l, const char *path)
{
	if (conf.smtp_tlsrpt_enable && !set.lmtp)
		client = ipc_client_new(l, path, &TLSRPT_PROTO, &ops, NULL);
}

enum tlsrpt_result
report_problem(const struct tls_facts *f)
{
	switch (f->problem) {
	case TLS_PROBLEM_NAME:
		return TLSRPT_NAME;
	case TLS_PROBLEM_EXPIRED:
		return TLSRPT_EXPIRED;
	case TLS_PROBLEM_UNTRUSTED:
		return TLSRPT_UNTRUSTED;
	default:
		return TLSRPT_FAILURE;
	}
}

/* --- the policy as it is reported ---------------------------------------------------- */

static void
put_tlsa(const struct session *s, struct buf *out)
{
	for (size_t i = 0; i < s->ntlsa; i++) {
		const struct tls_tlsa *t = &s->tlsa[i];

		if (out->len + 2 * t->data.len + 16 > TLSRPT_STRINGS_MAX)
			return;
		buf_addf(out, "%s%u %u %u ", i > 0 ? "|" : "", t->usage,
		    t->selector, t->mtype);
		for (size_t k = 0; k < t->data.len; k++)
			buf_addf(out, "%02x", (uint8_t)t->data.p[k]);
	}
}

static void
put_sts(const struct sts *sts, struct buf *out)
{
	struct span rest = span_of(sts->mx), word;

	buf_addf(out, "version: STSv1|mode: %s", sts_mode_name(sts->mode));
	while (span_token(&rest, " ", &word) &&
	    out->len + word.len + 40 < TLSRPT_STRINGS_MAX)
		buf_addf(out, "|mx: %.*s", SPAN_ARG(word));
	buf_addf(out, "|max_age: %u", sts->max_age);
}

/* Of a failure of MTA-STS itself the policy is that, though there is none. */
static enum tlsrpt_policy
type_of(const struct session *s, enum tlsrpt_result r)
{
	if (r >= TLSRPT_STS_FETCH)
		return TLSRPT_STS;
	if (s->tlsa_base[0] != '\0' && (s->tlsa != NULL ||
	    r == TLSRPT_DNSSEC || r == TLSRPT_DANE))
		return TLSRPT_TLSA;
	return sts_active(s->sts) ? TLSRPT_STS : TLSRPT_NO_POLICY;
}

static void
address_text(const struct sock_addr *a, char out[SOCK_ADDR_TEXT_MAX])
{
	out[0] = '\0';
	if (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6)
		sock_addr_text(a, out);
}

static void
send_event(const struct session *s, struct ipc_conn *c,
    enum tlsrpt_result r, const char *reason)
{
	struct buf strings = BUF_INIT(BUF_UNLIMITED);
	char mx_ip[SOCK_ADDR_TEXT_MAX], my_ip[SOCK_ADDR_TEXT_MAX];
	struct sock_addr own = { .len = sizeof(own.in6) };
	struct tlsrpt_event e = { .result = r, .type = type_of(s, r),
	    .domain = span_of(s->d->hop.name),
	    .policy_domain = span_of(s->d->hop.name),
	    .mx = span_of(s->host),
	    .reason = span_sub(span_of(reason), 0, TLSRPT_REASON_MAX) };

	if (e.type == TLSRPT_TLSA) {
		put_tlsa(s, &strings);
		e.policy_domain = span_of(s->tlsa_base);
	} else if (e.type == TLSRPT_STS && sts_active(s->sts)) {
		put_sts(s->sts, &strings);
		e.patterns = span_sub(span_of(s->sts->mx), 0,
		    TLSRPT_STRINGS_MAX);
	}
	e.strings = buf_span(&strings);
	if (getsockname(stream_fd(s->stream), &own.sa, &own.len) < 0)
		own.sa.sa_family = AF_UNSPEC;
	address_text(&s->addr, mx_ip);
	address_text(&own, my_ip);
	e.mx_ip = span_of(mx_ip);
	e.my_ip = span_of(my_ip);
	tlsrpt_event_encode(ipc_begin(c, TLSRPT_EVENT, 0), &e);
	ipc_end(c);
	buf_fini(&strings);
}

void
report_session(const struct session *s, enum tlsrpt_result r,
    const char *reason)
{
	struct ipc_conn *c;

	/* What is to arrive in spite of TLS says nothing about it: so there
	 * are no reports about reports. */
	if (client == NULL || s->d == NULL ||
	    s->d->hop.kind != HOP_DOMAIN || s->d->by_table ||
	    (s->d->env.flags & ENV_TLS_OPTIONAL) ||
	    !dns_name_valid(span_of(s->d->hop.name)))
		return;
	c = ipc_client_conn(client);
	if (c != NULL && ipc_out_len(c) < OUT_HIGH)
		send_event(s, c, r, reason);
}
