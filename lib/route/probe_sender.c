/* SPDX-License-Identifier: ISC */
/*
 * probe_sender - see probe_sender.h.
 */
#include "route/probe_sender.h"

#include "conf/params.h"
#include "mail/address.h"
#include "route/resolve.h"

#define BASE	31	/* digits of the number, as in Postfix */

static void
put_number(uint64_t n, struct buf *out)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstu";
	char text[16];
	size_t len = 0;

	do
		text[len++] = digits[n % BASE];
	while ((n /= BASE) > 0);
	while (len > 0)
		buf_add_char(out, text[--len]);
}

/* The address of a period; the one without a number where none changes. */
static void
put_sender(int64_t period, struct buf *out)
{
	struct buf full = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;

	address_complete(span_of(conf.address_verify_sender), &full);
	address_split(buf_span(&full), &local, &domain);
	buf_add_span(out, local);
	if (conf.address_verify_sender_ttl > 0)
		put_number((uint64_t)period, out);
	if (domain.p != NULL) {
		buf_add_char(out, '@');
		buf_add_span(out, domain);
	}
	buf_fini(&full);
}

static bool
is_null(void)
{
	return conf.address_verify_sender[0] == '\0' ||
	    strcmp(conf.address_verify_sender, "<>") == 0;
}

static int64_t
period_of(int64_t now_s)
{
	return conf.address_verify_sender_ttl > 0 ?
	    now_s / conf.address_verify_sender_ttl : 0;
}

void
probe_sender(int64_t now_s, struct buf *out)
{
	if (!is_null())
		put_sender(period_of(now_s), out);
}

bool
probe_sender_is(struct span address, int64_t now_s)
{
	int64_t period = period_of(now_s);
	int64_t around = conf.address_verify_sender_ttl > 0 && period > 0;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool is = false;

	for (int64_t p = period - around; p <= period + around && !is &&
	    !is_null(); p++) {
		buf_reset(&b);
		put_sender(p, &b);
		is = b.len > 0 && span_caseeq(buf_span(&b), address);
	}
	buf_fini(&b);
	return is;
}
