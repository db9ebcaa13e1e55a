/* SPDX-License-Identifier: ISC */
/*
 * body - the message itself in a session, after DATA, and what the server says
 * to it (RFC 5321 4.1.1.4, RFC 2033 4.2).
 */
#include <stdio.h>

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "smtp/smtp.h"

#define OUT_HIGH	(128u * 1024)	/* bytes of message kept for the peer */

static struct buf piece_buf = BUF_INIT(BUF_UNLIMITED);

void
body_pump(struct session *s)
{
	struct why why = WHY_INIT;
	int rc = 1;

	while (rc > 0 && stream_out_len(s->stream) < OUT_HIGH) {
		buf_reset(&piece_buf);
		rc = content_next(s->content, &piece_buf, &why);
		if (rc < 0) {
			/* Half a message must not get an end. */
			log_warning("%.*s: %s", SPAN_ARG(s->d->env.queue_id),
			    why.text);
			session_failed(s, &why);
			return;
		}
		stream_write_span(s->stream, buf_span(&piece_buf));
	}
	if (rc > 0) {
		stream_set_deadline(s->stream, set.data_xfer_ms);
		return;
	}
	content_free(&s->content);
	stream_write_span(s->stream, SPAN(".\r\n"));
	session_set_state(s, S_DOT);
	stream_set_deadline(s->stream, set.data_done_ms);
}

void
body_begin(struct session *s)
{
	struct delivery *d = s->d;
	bool downgrade = !conf.disable_mime_output_conversion &&
	    (d->facts.eight_bit_body || d->facts.eight_bit_header) &&
	    !(s->features & FEATURE_8BITMIME);

	session_set_state(s, S_BODY);
	if (s->abort_data) {
		stream_write_span(s->stream, SPAN(".\r\n"));
		session_set_state(s, S_DOT);
		stream_set_deadline(s->stream, set.data_done_ms);
		return;
	}
	s->content = content_new(d->source->fd, d->offset, d->len,
	    (size_t)set.line_limit, downgrade);
	if (set.alters || d->generic != NULL)
		content_alter(s->content, &set.checks, d->generic,
		    d->env.queue_id);
	body_pump(s);
}

static void
delivered(struct session *s, size_t i)
{
	struct delivery *d = s->d;
	bool passed = d->targets[i].notify_passed;
	const char *dsn = s->reply.dsn[0] == '2' ? s->reply.dsn : "2.0.0";

	/* RFC 3461 5.2.2: whoever cannot promise notices is the end of the
	 * road, and we say that the message went there. */
	delivery_rcpt_done(d, i, DELIVER_DELIVERED, dsn, s->reply.text.data,
	    passed ? "none" : "relayed");
}

/* LMTP: a reply for each accepted recipient (RFC 2033 4.2). */
static void
on_lmtp_dot(struct session *s)
{
	struct delivery *d = s->d;
	struct why why = WHY_INIT;
	size_t i = s->lmtp_reply;

	while (!d->targets[i].accepted)
		i++;
	s->lmtp_reply = i + 1;
	d->targets[i].accepted = false;
	s->accepted--;
	if (s->reply.code / 100 == 2) {
		delivered(s, i);
	} else {
		transaction_why(s, "end of DATA command", &why);
		transaction_rcpt_failed(s, i, &why);
	}
	if (s->accepted == 0)
		transaction_finish(s, false);
	else
		stream_set_deadline(s->stream, set.data_done_ms);
}

static void
on_dot(struct session *s)
{
	struct delivery *d = s->d;
	struct why why = WHY_INIT;

	if (s->abort_data) {
		transaction_finish(s, false);
		return;
	}
	if (set.lmtp && s->reply.code != 421) {
		on_lmtp_dot(s);
		return;
	}
	if (s->reply.code / 100 == 2) {
		for (size_t i = 0; i < d->env.rcpts.len; i++) {
			if (!d->targets[i].accepted)
				continue;
			d->targets[i].accepted = false;
			delivered(s, i);
		}
	} else {
		transaction_why(s, "end of DATA command", &why);
		transaction_failed(s, &why);
	}
	transaction_finish(s, false);
}

/*
 * The server speaks before the message is at its end.  A refusal is one; but
 * nobody can have taken what was not sent yet.
 */
static void
on_early(struct session *s)
{
	struct delivery *d = s->d;
	struct why why = WHY_INIT;

	if (s->reply.code / 100 == 4 || s->reply.code / 100 == 5) {
		transaction_why(s, "end of DATA command", &why);
		transaction_failed(s, &why);
	} else {
		(void)why_set(&why, "4.5.0", "protocol error: host %s "
		    "answered before the end of the message: %s", s->said,
		    s->reply.text.data);
		delivery_host_failed(d, &why, false);
	}
	session_drop(s);	/* in the middle of a message: no QUIT */
	delivery_next(d);
}

void
body_reply(struct session *s)
{
	/* Also an answer to what has not left us yet. */
	if (s->state == S_BODY || stream_out_len(s->stream) > 0)
		on_early(s);
	else
		on_dot(s);
}
