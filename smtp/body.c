/* SPDX-License-Identifier: ISC */
/*
 * body - the message itself in a session, after DATA (RFC 5321 4.1.1.4) or by
 * BDAT (RFC 3030), and what the server says to it (RFC 2033 4.2).
 *
 * A server with CHUNKING gets the message in chunks: no byte of it has to be
 * looked at to find its end, and none can be taken for it.  Nothing of it goes
 * out before all recipients are answered for, so it never costs more round
 * trips than DATA, and a refused message is not sent.  Contents are lines (the
 * binary parts of a BINARYMIME message have become base64 when it came), so
 * BODY=BINARYMIME is never asked for.
 */
#include <stdio.h>

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "smtp/smtp.h"

#define OUT_HIGH	(128u * 1024)	/* bytes of message kept for the peer */

#define CHUNK_MIN	OUT_HIGH	/* bytes of a chunk that is not the last */

static struct buf piece_buf = BUF_INIT(BUF_UNLIMITED);

/*
 * Fill piece_buf with at least min bytes of the message, or what is left.  1:
 * there is more; 0: that was all; -1: it cannot be read, and the session is
 * over.
 */
static int
next_piece(struct session *s, size_t min)
{
	struct why why = WHY_INIT;
	int rc;

	buf_reset(&piece_buf);
	do {
		rc = content_next(s->content, &piece_buf, &why);
	} while (rc > 0 && piece_buf.len < min);
	if (rc >= 0)
		return rc;
	/* Half a message must not get an end. */
	log_warning("%.*s: %s", SPAN_ARG(s->d->env.queue_id), why.text);
	session_failed(s, &why);
	return -1;
}

/* All of the message has been written. */
static void
sent(struct session *s)
{
	content_free(&s->content);
	session_set_state(s, S_DOT);
	stream_set_deadline(s->stream, set.data_done_ms);
}

static void
on_pix(void *arg)
{
	struct session *s = arg;

	stream_write_span(s->stream, SPAN(".\r\n"));
	sent(s);
}

/* The final dot must not come in one packet with the message. */
static bool
wait_for_pix(struct session *s)
{
	if (!(s->pix & PIX_DELAY_DOTCRLF) || set.pix_delay_ms == 0)
		return false;
	if (s->pix_timer == NULL)
		s->pix_timer = loop_timer_new(daemon_loop(), on_pix, s);
	loop_timer_set(s->pix_timer, set.pix_delay_ms);
	stream_set_deadline(s->stream, set.data_xfer_ms + set.pix_delay_ms);
	content_free(&s->content);
	return true;
}

static void
pump_lines(struct session *s)
{
	int rc = 1;

	if (s->content == NULL)
		return;		/* all has gone out: on_pix() comes */
	while (rc > 0 && stream_out_len(s->stream) < OUT_HIGH) {
		rc = next_piece(s, 1);
		if (rc < 0)
			return;
		stream_write_span(s->stream, buf_span(&piece_buf));
	}
	if (rc > 0) {
		stream_set_deadline(s->stream, set.data_xfer_ms);
		return;
	}
	if (wait_for_pix(s))
		return;
	stream_write_span(s->stream, SPAN(".\r\n"));
	sent(s);
}

/* RFC 3030 4.2: without PIPELINING each chunk waits for the last one's reply. */
static void
pump_chunks(struct session *s)
{
	bool ahead = (s->features & FEATURE_PIPELINING) != 0;
	int rc = 1;

	while (rc > 0 && stream_out_len(s->stream) < OUT_HIGH &&
	    (ahead || s->chunks == 0)) {
		rc = next_piece(s, CHUNK_MIN);
		if (rc < 0)
			return;
		stream_printf(s->stream, "BDAT %zu%s\r\n", piece_buf.len,
		    rc == 0 ? " LAST" : "");
		stream_write_span(s->stream, buf_span(&piece_buf));
		s->chunks++;
	}
	if (rc > 0)
		stream_set_deadline(s->stream, set.data_xfer_ms);
	else
		sent(s);
}

void
body_pump(struct session *s)
{
	if (body_chunked(s))
		pump_chunks(s);
	else
		pump_lines(s);
}

bool
body_chunked(const struct session *s)
{
	return (s->features & FEATURE_CHUNKING) != 0;
}

void
body_begin(struct session *s)
{
	struct delivery *d = s->d;
	bool downgrade = !conf.disable_mime_output_conversion &&
	    (d->facts.eight_bit_body || d->facts.eight_bit_header) &&
	    !(s->features & FEATURE_8BITMIME);

	session_set_state(s, S_BODY);
	s->chunks = 0;
	if (s->abort_data) {
		stream_write_span(s->stream, SPAN(".\r\n"));
		session_set_state(s, S_DOT);
		stream_set_deadline(s->stream, set.data_done_ms);
		return;
	}
	s->content = content_new(d->source->fd, d->offset, d->len,
	    (size_t)set.line_limit, (downgrade ? CONTENT_DOWNGRADE : 0) |
	    (body_chunked(s) ? 0 : CONTENT_DOTS));
	if (set.alters || d->generic != NULL)
		content_alter(s->content, &set.checks, d->generic,
		    d->env.queue_id);
	body_pump(s);
}

/* What the last command was, for reasons. */
static const char *
command(const struct session *s)
{
	return body_chunked(s) ? "BDAT command" : "end of DATA command";
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
		transaction_why(s, command(s), &why);
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
		transaction_why(s, command(s), &why);
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
	struct why why = WHY_INIT;

	if (s->reply.code / 100 == 4 || s->reply.code / 100 == 5) {
		transaction_why(s, command(s), &why);
		transaction_failed(s, &why);
	} else {
		(void)why_set(&why, "4.5.0", "protocol error: host %s "
		    "answered before the end of the message: %s", s->said,
		    s->reply.text.data);
		delivery_host_failed(s->d, &why, false);
	}
	session_abandon(s);
}

/*
 * A chunk that is not the last.  What has been written behind one that is
 * refused cannot be taken back, and answers to it mean nothing: then the
 * session ends.
 */
static void
on_chunk(struct session *s)
{
	struct why why = WHY_INIT;

	s->chunks--;
	if (s->reply.code / 100 == 2) {
		if (s->state == S_BODY)
			body_pump(s);
		return;
	}
	transaction_why(s, command(s), &why);
	transaction_failed(s, &why);
	if (s->chunks == 0) {
		transaction_finish(s, true);	/* RFC 3030 2: RSET */
		return;
	}
	session_abandon(s);
}

void
body_reply(struct session *s)
{
	bool last = s->state == S_DOT && s->chunks <= 1;

	if (s->chunks > 0 && !last)
		on_chunk(s);
	/* Also an answer to what has not left us yet. */
	else if (s->state == S_BODY || stream_out_len(s->stream) > 0)
		on_early(s);
	else
		on_dot(s);
}
