/* SPDX-License-Identifier: ISC */
/*
 * resubmit - what leaves here again: forwarded mail as new messages through
 * cleanup, and recipients that belong to another transport.
 *
 * All addresses that one recipient forwards to go into one new message for
 * each envelope sender.  cleanup's RESULT is the promise that it is durable,
 * so such a delivery needs no checkpoint of ours.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "ipc/msg_cleanup.h"
#include "local/local.h"
#include "mail/address.h"
#include "mail/dsn.h"

static struct ipc_sync	*cleanup;
static uint32_t		 tag;

void
add_forward(struct delivery *d, const struct attr *a, const char *addr)
{
	if (!first_time(d, 'r', 0, addr))
		return;
	if (d->forwards.len >= ENVELOPE_RCPT_MAX) {
		note_fail(d, "5.4.6", "more than %d destinations",
		    ENVELOPE_RCPT_MAX);
		return;
	}
	*ARRAY_PUSH(&d->forwards) = (struct forward){
		.addr = addr, .sender = a->sender,
		.list = !span_eq(a->sender, d->job->env.sender),
	};
}

static struct ipc_sync *
connect_cleanup(struct why *why)
{
	char *path;

	if (cleanup == NULL) {
		path = mem_printf("private/%s", conf.cleanup_service_name);
		cleanup = ipc_sync_connect(daemon_socket_path(path),
		    &CLEANUP_PROTO, conf.ipc_timeout * 1000, why);
		mem_free(path);
	}
	return cleanup;
}

/* Frames that came while nobody waited: an old connection may have ended. */
static bool
still_there(void)
{
	struct why why = WHY_INIT;
	struct ipc_frame f;
	int rc;

	while ((rc = ipc_sync_recv(cleanup, &f, 0, &why)) == 1)
		;
	return rc == 0;
}

static int
send_content(struct delivery *d, struct why *why)
{
	struct buf head = BUF_INIT(BUF_UNLIMITED);
	uint64_t at = 0, len = d->job->content.len;
	struct span piece;
	int rc = 0;

	if (lc.head_forward) {
		buf_add_str(&head, "Delivered-To: ");
		address_quote_822(d->rcpt->addr, &head);
		buf_add_char(&head, '\n');
		rc = ipc_sync_send(cleanup, CLEANUP_CONTENT, tag,
		    buf_span(&head), why);
	}
	buf_fini(&head);
	while (rc == 0 && at < len) {
		if (store_content_read(&d->job->content, at, &piece, why) < 0)
			return -1;
		for (struct span p = piece; rc == 0 && p.len > 0;
		    p = span_from(p, CLEANUP_CHUNK_MAX)) {
			rc = ipc_sync_send(cleanup, CLEANUP_CONTENT, tag,
			    span_sub(p, 0, CLEANUP_CHUNK_MAX), why);
			if (rc == 0)
				rc = ipc_sync_flush(cleanup, why);
		}
		at += piece.len;
	}
	return rc;
}

/* One new message.  0 and its queue id; -1 with why. */
static int
submit(struct delivery *d, const struct envelope *env, char id[33],
    struct why *why)
{
	struct cleanup_result r;
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct ipc_frame f;
	int rc;

	id[0] = '\0';
	if (cleanup != NULL && !still_there())
		ipc_sync_free(&cleanup);
	if (connect_cleanup(why) == NULL)
		return -1;
	tag++;
	envelope_encode(&body, env);
	rc = ipc_sync_send(cleanup, CLEANUP_BEGIN, tag, buf_span(&body), why);
	buf_fini(&body);
	if (rc < 0 || send_content(d, why) < 0 || ipc_sync_send(cleanup,
	    CLEANUP_END, tag, SPAN_EMPTY, why) < 0 ||
	    ipc_sync_flush(cleanup, why) < 0)
		goto broken;
	for (;;) {
		rc = ipc_sync_recv(cleanup, &f, -1, why);
		if (rc <= 0) {
			if (rc == 0 || why->text[0] == '\0')
				(void)why_set(why, "4.3.0", "the queue does "
				    "not answer");
			goto broken;
		}
		if (f.fd >= 0)
			close(f.fd);
		if (f.type == CLEANUP_RESULT && f.tag == tag)
			break;
	}
	if (cleanup_result_decode(&r, f.body) < 0) {
		(void)why_set(why, "4.3.0", "the queue gives no sense");
		goto broken;
	}
	if (r.code.len == 0 || r.code.p[0] != '2') {
		char code[WHY_CODE_MAX];

		snprintf(code, sizeof(code), "%.*s", SPAN_ARG(r.code));
		(void)why_set(why, dsn_code_valid(r.code) ? code : "4.3.0",
		    "cannot forward: %.*s", SPAN_ARG(r.text));
		return -1;
	}
	snprintf(id, 33, "%.*s", SPAN_ARG(r.queue_id));
	return 0;
broken:
	/* The message may be in the queue or not: nobody was told. */
	ipc_sync_free(&cleanup);
	if (why->code[0] == '\0')
		memcpy(why->code, "4.3.0", sizeof("4.3.0"));
	return -1;
}

void
send_forwards(struct delivery *d)
{
	const struct envelope *old = &d->job->env;
	const struct rcpt *r = d->rcpt;
	/* A single new address keeps the sender's wishes (RFC 3461 5.2.7.1);
	 * of several, and of lists, we say ourselves that we expanded it. */
	bool alone = d->forwards.len == 1 && d->delivered == 0 && !d->hard;
	size_t done = 0, n = d->forwards.len;
	bool *sent = arena_zalloc(d->arena, n * sizeof(*sent));

	while (done < n) {
		struct envelope e = ENVELOPE_INIT;
		struct why why = WHY_INIT;
		struct span sender = SPAN_EMPTY;
		bool first = true, list = false;
		char id[33];

		for (size_t i = 0; i < n; i++) {
			const struct forward *fw = &d->forwards.v[i];
			struct rcpt *to;

			if (sent[i] || (!first && !span_eq(fw->sender,
			    sender)))
				continue;
			first = false;
			sender = fw->sender;
			list = fw->list;
			sent[i] = true;
			done++;
			to = ARRAY_PUSH(&e.rcpts);
			to->addr = span_of(fw->addr);
			to->orig = r->orig.len > 0 ? r->orig : r->addr;
			/* A list answers for its members (5.2.7.3). */
			if (!list) {
				to->dsn_notify = alone ? r->dsn_notify :
				    dsn_notify_members(r->dsn_notify);
				to->dsn_orcpt = r->dsn_orcpt;
			}
		}
		e.trace_id = old->trace_id;
		e.arrival_us = clock_wall_us();
		e.sender = sender;
		e.flags = (old->flags & (ENV_8BITMIME | ENV_BINARYMIME |
		    ENV_SMTPUTF8 | ENV_REQUIRETLS | ENV_TLS_OPTIONAL)) |
		    ENV_NO_CHECKS | ENV_NO_MILTERS;
		if (!list) {
			e.dsn_ret = old->dsn_ret;
			e.dsn_envid = old->dsn_envid;
		}
		e.client_name = old->client_name;
		e.client_addr = old->client_addr;
		e.client_port = old->client_port;
		e.helo = old->helo;
		e.protocol = old->protocol;
		e.login = old->login;
		e.priority = old->priority;
		e.size = d->job->content.len;
		if (submit(d, &e, id, &why) < 0) {
			log_warning("%.*s: cannot forward: %s",
			    SPAN_ARG(old->queue_id), why.text);
			note_why(d, &why);
		} else {
			note_ok(d, false, "forwarded as %s", id);
			if (alone && !list)
				d->res->action = "none";
			else
				d->res->action = "expanded";
		}
		envelope_fini(&e);
	}
}

/* --- another transport ------------------------------------------------------------- */

/*
 * Ask the transport's agent as qmgr would and wait for its answer, and for
 * the checkpoint when its answer is not durable yet.
 */
static int
pass_on(struct delivery *d, const struct attr *a, const char *service,
    const char *nexthop, struct deliver_status *st, struct buf *keep,
    struct why *why)
{
	const struct store_content *c = &d->job->content;
	struct deliver_message m = d->job->req;
	struct envelope e = d->job->env;
	struct buf env = BUF_INIT(BUF_UNLIMITED), body = BUF_INIT(BUF_UNLIMITED);
	char *path = mem_printf("private/%s", service);
	struct rcpt one = *d->rcpt;
	struct ipc_sync *s;
	struct ipc_frame f;
	int64_t end = clock_mono_ms() + conf.ipc_timeout * 1000;
	bool answered = false;
	int rc = -1;

	s = ipc_sync_connect(daemon_socket_path(path), &DELIVER_PROTO,
	    conf.ipc_timeout * 1000, why);
	mem_free(path);
	if (s == NULL)
		return -1;
	/* An alias or .forward may have led from the recipient to another. */
	one.addr = span_of(a->recipient);
	if (one.orig.len == 0 && !span_caseeq(one.addr, d->rcpt->addr))
		one.orig = d->rcpt->addr;
	e.sender = a->sender;
	e.rcpts.v = &one;
	e.rcpts.len = e.rcpts.alloc = 1;
	envelope_encode(&env, &e);
	m.segment = DELIVER_FILE;
	m.offset = c->offset;
	m.len = c->len;
	m.nexthop = span_of(nexthop);
	m.envelope = buf_span(&env);
	deliver_message_encode(&body, &m);
	if (ipc_sync_send_fd(s, DELIVER_MESSAGE, 1, buf_span(&body), c->fd,
	    why) < 0 || ipc_sync_flush(s, why) < 0)
		goto out;
	while (rc < 0) {
		struct deliver_checkpoint cp;
		struct span in;

		int got = ipc_sync_recv(s, &f, 0, why);

		if (got == 0) {
			/* Others' checkpoints go on meanwhile. */
			if (agent_wait(ipc_sync_fd(s), POLLIN, end -
			    clock_mono_ms()) == 0) {
				(void)why_set(why, "4.3.0", "transport %s "
				    "does not answer", service);
				goto out;
			}
			continue;
		}
		if (got < 0) {
			/* It died: whether the mail is there nobody knows. */
			(void)why_set(why, "4.3.0", "transport %s ended "
			    "without an answer", service);
			goto out;
		}
		if (f.fd >= 0)
			close(f.fd);
		if (f.type == DELIVER_STATUS && f.tag == 1 && !answered) {
			buf_reset(keep);
			buf_add_span(keep, f.body);
			in = buf_span(keep);
			if (deliver_status_decode(st, in) < 0) {
				(void)why_set(why, "4.3.0", "transport %s "
				    "gives no sense", service);
				goto out;
			}
			answered = true;
			if (st->outcome != DELIVER_DELIVERED ||
			    st->serial == 0)
				rc = 0;
		} else if (f.type == DELIVER_CHECKPOINT && answered &&
		    deliver_checkpoint_decode(&cp, f.body) == 0 &&
		    cp.serial >= st->serial) {
			rc = 0;
		}
	}
out:
	ipc_sync_free(&s);
	buf_fini(&env);
	buf_fini(&body);
	return rc;
}

void
deliver_pass(struct delivery *d, const struct attr *a, const char *transport)
{
	struct span t = span_trim(span_of(transport)), name, hop;
	ptrdiff_t colon = span_find(t, ':');
	struct deliver_status st;
	struct buf keep = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	char *service, *nexthop, code[WHY_CODE_MAX];

	name = colon < 0 ? t : span_sub(t, 0, (size_t)colon);
	hop = colon < 0 ? SPAN_EMPTY : span_from(t, (size_t)colon + 1);
	if (name.len == 0 || span_find(name, '/') >= 0) {
		log_warning("bad transport \"%s\" for %s", transport,
		    a->recipient);
		note_fail(d, "4.3.5", "mail system configuration error");
		return;
	}
	if (span_is(name, daemon_service_name())) {
		note_fail(d, "5.4.6", "mail forwarding loop for %s: transport "
		    "%s is this one", a->recipient, transport);
		return;
	}
	if (d->probe) {
		note_ok(d, false, "passed to transport %.*s", SPAN_ARG(name));
		return;
	}
	service = arena_span_dup(d->arena, name);
	nexthop = hop.len > 0 ? arena_span_dup(d->arena, hop) :
	    arena_strdup(d->arena, a->domain);
	/* It may take as long as it likes. */
	agent_slow();
	if (pass_on(d, a, service, nexthop, &st, &keep, &why) < 0) {
		log_warning("transport %s: %s", transport, why.text);
		note_why(d, &why);
		buf_fini(&keep);
		return;
	}
	snprintf(code, sizeof(code), "%.*s", SPAN_ARG(st.dsn));
	if (st.relay.len > 0)
		snprintf(d->res->relay, sizeof(d->res->relay), "%.*s",
		    SPAN_ARG(st.relay));
	if (st.outcome == DELIVER_DELIVERED) {
		note_ok(d, false, "%.*s", SPAN_ARG(st.text));
		if (span_is(st.action, "relayed"))
			d->res->action = "relayed";
		else if (span_is(st.action, "none"))
			d->res->action = "none";
	} else if (st.outcome == DELIVER_RETURNED) {
		note_fail(d, "4.3.0", "transport %s is busy", service);
	} else {
		/* BEST_MX: from here it has no other way. */
		bool never = st.outcome != DELIVER_DEFERRED;

		/* The code decides what we answer: it must say the same. */
		if ((code[0] == '5') != never ||
		    (code[0] != '4' && code[0] != '5'))
			snprintf(code, sizeof(code), "%s",
			    never ? "5.0.0" : "4.0.0");
		note_fail(d, code, "%.*s", SPAN_ARG(st.text));
	}
	buf_fini(&keep);
}
