/* SPDX-License-Identifier: ISC */
/*
 * answer - see error.h; the session, and what the next hop says.
 */
#include "error/error.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "queue/envelope.h"

static enum error_way the_way;

/*
 * "5.1.1 text" or "text".  A code of the wrong class is put right by its
 * first digit, so that retry never bounces and error never defers.
 */
struct error_answer
error_parse(enum error_way way, struct span nexthop)
{
	char class = way == ERROR_BOUNCE ? '5' : way == ERROR_DEFER ? '4'
	    : '2';
	struct error_answer a = {
		.outcome = way == ERROR_BOUNCE ? DELIVER_BOUNCED :
		    way == ERROR_DEFER ? DELIVER_DEFERRED : DELIVER_DELIVERED,
	};
	struct span rest = span_trim(nexthop), code;

	(void)snprintf(a.dsn, sizeof(a.dsn), "%c.0.0", class);
	a.text = rest;
	if (span_token(&rest, " \t", &code) && dsn_code_valid(code) &&
	    code.len < sizeof(a.dsn)) {
		(void)snprintf(a.dsn, sizeof(a.dsn), "%.*s", SPAN_ARG(code));
		a.dsn[0] = class;
		a.text = span_trim(rest);
	}
	if (a.text.len == 0)
		a.text = way == ERROR_DISCARD ? SPAN("discarded") :
		    SPAN("mail to this destination is not accepted");
	return a;
}

static void
log_one(const struct envelope *e, const struct rcpt *r,
    const struct deliver_message *dm, const struct error_answer *a)
{
	static const char *const status[] = {
		[DELIVER_DELIVERED] = "sent", [DELIVER_BOUNCED] = "bounced",
		[DELIVER_DEFERRED] = "deferred",
	};
	struct buf to = BUF_INIT(BUF_UNLIMITED), orig = BUF_INIT(BUF_UNLIMITED);
	bool show = r->orig.len > 0 && !span_eq(r->orig, r->addr);
	int64_t now = clock_wall_us();
	const char *to_text = address_show(r->addr, &to);
	const char *orig_text = show ? address_show(r->orig, &orig) : "";
	char all[CLOCK_DELAY_MAX], queued[CLOCK_DELAY_MAX],
	    active[CLOCK_DELAY_MAX];

	log_info("%.*s: to=<%s>, %s%s%srelay=none, delay=%s, "
	    "delays=%s/%s/0/0, dsn=%s, status=%s (%.*s)",
	    SPAN_ARG(e->queue_id), to_text, show ? "orig_to=<" : "",
	    orig_text, show ? ">, " : "",
	    clock_delay(now - e->arrival_us, all),
	    clock_delay((int64_t)dm->active_us - e->arrival_us, queued),
	    clock_delay(now - (int64_t)dm->active_us, active),
	    a->dsn, (e->flags & ENV_PROBE) ? (a->outcome ==
	    DELIVER_DELIVERED ? "deliverable" : "undeliverable") :
	    a->outcome == DELIVER_BOUNCED && conf.soft_bounce ?
	    "SOFTBOUNCE" : status[a->outcome], SPAN_ARG(a->text));
	buf_fini(&to);
	buf_fini(&orig);
}

static int
on_deliver(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct deliver_message dm;
	struct deliver_status st;
	struct envelope e = ENVELOPE_INIT;
	struct error_answer a;
	struct why why = WHY_INIT;

	if (deliver_message_decode(&dm, f->body) < 0 ||
	    envelope_decode(&e, dm.envelope, &why) < 0)
		return -1;
	a = error_parse(the_way, dm.nexthop);
	for (size_t i = 0; i < e.rcpts.len; i++) {
		st = (struct deliver_status){
			.rcpt = (uint32_t)i, .outcome = a.outcome,
			.dsn = span_of(a.dsn), .text = a.text,
			.relay = SPAN("none"),
		};
		log_one(&e, &e.rcpts.v[i], &dm, &a);
		deliver_status_encode(ipc_begin(c, DELIVER_STATUS, f->tag),
		    &st);
		ipc_end(c);
	}
	envelope_fini(&e);
	return 0;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int fd = f->fd;

	fd_close(&fd);		/* we look into no message */
	switch (f->type) {
	case DELIVER_SEGMENT:
	case DELIVER_DROP:
		return 0;
	case DELIVER_MESSAGE:
		return on_deliver(c, f);
	default:
		return -1;
	}
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	ipc_conn_free(&c);
	daemon_busy(-1);
}

static const struct ipc_ops ops = { .on_frame = on_frame, .on_end = on_end };

void
error_accept(int fd, const struct sock_addr *peer, int index)
{
	daemon_busy(1);
	(void)ipc_conn_new(daemon_loop(), fd, &DELIVER_PROTO, &ops, NULL);
}

void
error_init(enum error_way way)
{
	const char *service = daemon_service_name();

	the_way = way;
	/* Postfix's master.cf has "retry ... error". */
	if (way == ERROR_BOUNCE && strcmp(service, "retry") == 0)
		the_way = ERROR_DEFER;
}
