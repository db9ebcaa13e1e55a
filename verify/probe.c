/* SPDX-License-Identifier: ISC */
/*
 * probe - a message without content, marked so that nobody delivers it: who
 * would says what would become of it, and qmgr tells us (msg_verify.h).
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "ipc/msg_cleanup.h"
#include "mail/address.h"
#include "queue/envelope.h"
#include "route/probe_sender.h"
#include "verify/verify.h"

static struct ipc_client *cleanup;
static uint32_t next_tag;

bool
probe_is_sender(struct span address)
{
	return probe_sender_is(address, clock_wall_s());
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct cleanup_result r;

	if (f->type == CLEANUP_BUSY)
		return 0;
	if (f->type != CLEANUP_RESULT ||
	    cleanup_result_decode(&r, f->body) < 0)
		return -1;
	/* The question stays open, and is asked again after a while. */
	if (r.code.len == 0 || r.code.p[0] != '2')
		log_warning("a probe was not accepted: %.*s %.*s",
		    SPAN_ARG(r.code), SPAN_ARG(r.text));
	return 0;
}

static const struct ipc_client_ops ops = { .on_frame = on_frame };

void
probe_start(void)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "private/%s",
	    conf.cleanup_service_name);
	cleanup = ipc_client_new(daemon_loop(), daemon_socket_path(path),
	    &CLEANUP_PROTO, &ops, NULL);
}

static void
send_text(struct ipc_conn *c, uint32_t tag, struct span sender,
    struct span address)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&b, "From: ");
	if (sender.len > 0)
		address_quote_822(sender, &b);
	else
		buf_addf(&b, "MAILER-DAEMON@%s", conf.myorigin);
	buf_add_str(&b, "\nTo: ");
	address_quote_822(address, &b);
	buf_addf(&b, "\nSubject: %s Delivery Status Report\n"
	    "Auto-Submitted: auto-replied\n\n", conf.mail_name);
	ipc_send(c, CLEANUP_CONTENT, tag, buf_span(&b));
	buf_fini(&b);
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.p[i] >= 0x80)
			return false;
	return true;
}

void
probe_send(struct span address)
{
	struct envelope e = ENVELOPE_INIT;
	struct buf sender = BUF_INIT(BUF_UNLIMITED),
	    b = BUF_INIT(BUF_UNLIMITED);
	struct ipc_conn *c = ipc_client_conn(cleanup);
	char trace[TRACE_ID_MAX];
	struct rcpt *r;
	uint32_t tag;

	if (c == NULL) {
		log_warning("no probe can be sent: cleanup is away");
		return;
	}
	probe_sender(clock_wall_s(), &sender);
	trace_id_make(trace);
	e.trace_id = span_of(trace);
	e.arrival_us = clock_wall_us();
	e.sender = buf_span(&sender);
	e.protocol = SPAN("local");
	e.flags = ENV_PROBE | ENV_NO_BOUNCE | ENV_NO_CHECKS | ENV_NO_MILTERS |
	    ENV_NO_BCC | ENV_LOCAL | (is_ascii(address) ? 0 : ENV_SMTPUTF8);
	r = ARRAY_PUSH(&e.rcpts);
	*r = (struct rcpt){ .addr = address };
	envelope_encode(&b, &e);
	envelope_fini(&e);
	tag = ++next_tag;
	ipc_send(c, CLEANUP_BEGIN, tag, buf_span(&b));
	send_text(c, tag, buf_span(&sender), address);
	ipc_send(c, CLEANUP_END, tag, SPAN_EMPTY);
	buf_fini(&sender);
	buf_fini(&b);
}
