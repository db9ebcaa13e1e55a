/* SPDX-License-Identifier: ISC */
/*
 * sendmail_submit - the client's end of msg_submit.h.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/params.h"
#include "cmd/sendmail.h"

#define AWAY_MS		3000	/* wait this long for a restarting system */
#define AWAY_STEP_MS	100
#define FLUSH_AT	(256u * 1024)	/* bytes gathered before a write */

struct submission {
	struct ipc_sync	*ipc;
	uint32_t	 tag;
	size_t		 gathered;	/* since the last flush */
	struct buf	 chunk;		/* content not yet a frame */
};

struct submission *
submission_new(struct why *why)
{
	struct submission *s = mem_zalloc(sizeof(*s));
	char *path = mem_printf("%s/public/%s", conf.queue_directory,
	    conf.pickup_service_name);
	int64_t end = clock_mono_ms() + AWAY_MS;
	struct timespec step = { .tv_nsec = AWAY_STEP_MS * 1000000L };

	/* A restart closes the socket for a moment. */
	while ((s->ipc = ipc_sync_connect(path, &SUBMIT_PROTO,
	    conf.ipc_timeout * 1000, why)) == NULL && clock_mono_ms() < end)
		nanosleep(&step, NULL);
	s->chunk = BUF_INIT(SUBMIT_CHUNK_MAX);
	if (s->ipc == NULL) {
		why_prefix(why, "mail system is down, try again later");
		(void)!span_copy(SPAN("4.3.2"), why->code, sizeof(why->code));
		submission_free(&s);
	}
	mem_free(path);
	return s;
}

void
submission_free(struct submission **sp)
{
	struct submission *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	ipc_sync_free(&s->ipc);
	buf_fini(&s->chunk);
	mem_free(s);
}

/* The connection is of no use any more. */
static int
lost(struct submission *s, struct why *why)
{
	if (why->text[0] == '\0')
		(void)why_set(why, "4.3.0", "the mail system closed the "
		    "connection");
	return -1;
}

/* Wait for an answer of this type.  1 got it, 0 nothing yet, -1 why. */
static int
receive(struct submission *s, uint16_t type, int64_t timeout_ms,
    struct ipc_frame *f, struct why *why)
{
	int rc;

	do {
		rc = ipc_sync_recv(s->ipc, f, timeout_ms, why);
		if (rc < 0)
			return lost(s, why);
		if (rc == 0)
			return timeout_ms == 0 ? 0 : why_set(why, "4.4.2",
			    "timeout while waiting for the mail system");
		/* An answer to what is over is passed over. */
	} while (f->tag != s->tag);
	if (f->type != type)
		return why_set(why, "4.3.0", "unexpected answer from pickup");
	return 1;
}

/* 0: queued; -1: refused, with why. */
static int
take_result(const struct ipc_frame *f, struct buf *queue_id, struct why *why)
{
	struct submit_result r;
	char code[WHY_CODE_MAX];

	if (submit_result_decode(&r, f->body) < 0 ||
	    span_copy(r.code, code, sizeof(code)) < 0)
		return why_set(why, "4.3.0", "bad answer from pickup");
	if (code[0] != '2')
		return why_set(why, code, "%.*s", SPAN_ARG(r.text));
	if (queue_id != NULL)
		buf_add_span(queue_id, r.queue_id);
	return 0;
}

/* An early RESULT is a refusal. */
static int
check_early(struct submission *s, struct why *why)
{
	struct ipc_frame f;
	int rc = receive(s, SUBMIT_RESULT, 0, &f, why);

	if (rc <= 0)
		return rc;
	if (take_result(&f, NULL, why) == 0)
		(void)why_set(why, "4.3.0", "unexpected answer from pickup");
	return -1;
}

static int
send_frame(struct submission *s, uint16_t type, struct span body,
    struct why *why)
{
	if (ipc_sync_send(s->ipc, type, s->tag, body, why) < 0)
		return lost(s, why);
	s->gathered += body.len;
	if (s->gathered < FLUSH_AT)
		return 0;
	s->gathered = 0;
	if (ipc_sync_flush(s->ipc, why) < 0)
		return lost(s, why);
	return check_early(s, why);
}

int
submission_begin(struct submission *s, const struct submit_begin *b,
    struct why *why)
{
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	int rc;

	s->tag++;
	buf_reset(&s->chunk);
	submit_begin_encode(&body, b);
	rc = send_frame(s, SUBMIT_BEGIN, buf_span(&body), why);
	buf_fini(&body);
	return rc;
}

int
submission_rcpt(struct submission *s, const struct submit_rcpt *r,
    struct why *why)
{
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	int rc;

	submit_rcpt_encode(&body, r);
	rc = send_frame(s, SUBMIT_RCPT, buf_span(&body), why);
	buf_fini(&body);
	return rc;
}

static int
send_chunk(struct submission *s, struct why *why)
{
	int rc = 0;

	if (s->chunk.len > 0)
		rc = send_frame(s, SUBMIT_CONTENT, buf_span(&s->chunk), why);
	buf_reset(&s->chunk);
	return rc;
}

int
submission_content(struct submission *s, struct span bytes, struct why *why)
{
	while (bytes.len > 0) {
		struct span part = span_sub(bytes, 0,
		    s->chunk.max - s->chunk.len);

		buf_add_span(&s->chunk, part);
		bytes = span_from(bytes, part.len);
		if (s->chunk.len == s->chunk.max && send_chunk(s, why) < 0)
			return -1;
	}
	return 0;
}

int
submission_end(struct submission *s, struct buf *queue_id, struct why *why)
{
	struct ipc_frame f;

	if (send_chunk(s, why) < 0 ||
	    send_frame(s, SUBMIT_END, SPAN_EMPTY, why) < 0)
		return -1;
	if (ipc_sync_flush(s->ipc, why) < 0)
		return lost(s, why);
	s->gathered = 0;
	if (receive(s, SUBMIT_RESULT, -1, &f, why) < 0)
		return -1;
	return take_result(&f, queue_id, why);
}

int
submission_verify(struct submission *s, struct span address,
    struct buf *text, struct why *why)
{
	struct submit_rcpt r = { .address = address };
	struct buf body = BUF_INIT(BUF_UNLIMITED);
	struct submit_verified v;
	struct ipc_frame f;
	int rc;

	s->tag++;
	submit_rcpt_encode(&body, &r);
	rc = ipc_sync_send(s->ipc, SUBMIT_VERIFY, s->tag, buf_span(&body),
	    why);
	buf_fini(&body);
	if (rc < 0 || ipc_sync_flush(s->ipc, why) < 0)
		return lost(s, why);
	if (receive(s, SUBMIT_VERIFIED, -1, &f, why) < 0)
		return -1;
	if (submit_verified_decode(&v, f.body) < 0)
		return why_set(why, "4.3.0", "bad answer from pickup");
	buf_add_span(text, v.text);
	(void)why_set(why, "", "%s", "");
	if (v.code.len > 0 && v.code.p[0] == '2')
		return 0;
	(void)!span_copy(v.code, why->code, sizeof(why->code));
	return -1;
}

int
submission_status(const struct why *why)
{
	struct span code = span_of(why->code);

	if (why_temporary(why))
		return EX_TEMPFAIL;
	if (span_starts(code, SPAN("5.7.")))
		return EX_NOPERM;
	if (span_is(code, "5.1.1"))
		return EX_NOUSER;
	if (span_is(code, "5.1.0") || span_is(code, "5.1.3") ||
	    span_starts(code, SPAN("5.5.")))
		return EX_DATAERR;
	return EX_UNAVAILABLE;
}
