/* SPDX-License-Identifier: ISC */
/*
 * logline - the line of one recipient's fate, in the shape that agents use,
 * for recipients that never reached an agent.
 */
#include "qmgr/qmgr.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"

void
log_rcpt(const struct message *m, uint32_t i, const char *relay,
    const char *dsn, const char *status, struct span text)
{
	const struct rcpt *r = &m->env.rcpts.v[i];
	struct buf to = BUF_INIT(ADDRESS_MAX * 2 + 16),
	    orig = BUF_INIT(ADDRESS_MAX * 2 + 16);
	int64_t now = clock_wall_us();
	char all[CLOCK_DELAY_MAX], queued[CLOCK_DELAY_MAX],
	    active[CLOCK_DELAY_MAX];
	bool show = r->orig.len > 0 && !span_eq(r->orig, r->addr);
	const char *to_text = address_show(r->addr, &to);
	const char *orig_text = show ? address_show(r->orig, &orig) : "";

	log_info("%.*s: to=<%s>, %s%s%srelay=%s, delay=%s, "
	    "delays=%s/%s/0/0, dsn=%s, status=%s (%.*s)",
	    SPAN_ARG(m->env.queue_id), to_text, show ? "orig_to=<" : "",
	    orig_text, show ? ">, " : "", relay,
	    clock_delay(now - m->env.arrival_us, all),
	    clock_delay(m->active_us - m->env.arrival_us, queued),
	    clock_delay(now - m->active_us, active), dsn, status,
	    SPAN_ARG(text));
	buf_fini(&to);
	buf_fini(&orig);
}
