/* SPDX-License-Identifier: ISC */
/*
 * cmd_data - DATA and BDAT: the content of a message, from the client to
 * cleanup (RFC 5321 4.1.1.4, RFC 3030).
 *
 * Content is scanned from the stream's buffer straight into cleanup's output
 * buffer: it is copied once, and a message of any size takes no more memory
 * than one read.  When cleanup falls behind, the client is not read.
 *
 * Once something has gone wrong (too large, refused early, cleanup gone) the
 * rest is read and dropped, and the reply comes where the client expects it:
 * after the final dot, or after the chunk.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "smtpd/binary.h"
#include "smtpd/smtpd.h"

/* For content that nobody wants; its bytes are never looked at. */
static char dropped[CLEANUP_CHUNK_MAX];
/* What a coder has made; emptied before anything else happens. */
static struct buf coded;

static bool
dropping(const struct txn *t)
{
	return t->failed || t->too_big || t->discard;
}

static void
fail(struct txn *t, int smtp, const char *code, const char *text)
{
	struct why *why;

	if (t->failed)
		return;
	t->failed = true;
	t->why_smtp = smtp;
	why = arena_zalloc(&t->arena, sizeof(*why));
	why_set(why, code, "%s", text);
	t->why = why;
	submit_abort(t);
}

static bool
forbid_bare_lf(const struct session *s)
{
	return !s->newline_excluded &&
	    span_is(span_of(conf.smtpd_forbid_bare_newline), "reject");
}

/* The headers of PREPEND actions come before the message. */
static void
send_prepended(struct session *s)
{
	struct txn *t = s->txn;

	for (size_t i = 0; i < t->prepend.len; i++) {
		struct span h = t->prepend.v[i];
		char *to = submit_reserve(s, h.len + 1);

		memcpy(to, h.p, h.len);
		to[h.len] = '\n';
		submit_commit(s, h.len + 1);
	}
}

/*
 * The envelope goes to cleanup with the first bytes of content, so that a
 * small message is one write.
 */
static void
begin(struct session *s)
{
	struct txn *t = s->txn;

	if (t->tag != 0 || dropping(t))
		return;
	if (submit_begin(s) < 0)
		fail(t, 451, "4.3.0", "Error: queue file write error");
	else
		send_prepended(s);
}

static void
account(struct session *s, size_t bytes, uint64_t lines)
{
	struct txn *t = s->txn;

	/* RFC 1870 4: each line end is two bytes. */
	t->wire += bytes + lines;
	s->data_bytes = t->wire;
	if (conf.message_size_limit > 0 && !t->too_big &&
	    t->wire > (uint64_t)conf.message_size_limit) {
		t->too_big = true;
		submit_abort(t);
	}
}

/* --- the end of a message ------------------------------------------------------- */

/* LMTP: a reply for each recipient that was accepted (RFC 2033 4.2, 4.3). */
static size_t
replies(const struct session *s)
{
	bool last = s->cmd != CMD_BDAT || s->txn->chunk_last;

	return smtpd_lmtp && last ? s->txn->env.rcpts.len : 1;
}

static void
final_reply(struct session *s, const char *line)
{
	size_t n = replies(s);

	reply(s, "%s", line);
	for (size_t i = 1; i < n; i++)
		reply_more(s, "%s", line);
	session_reset(s);
	session_set_state(s, s->helo != NULL ? ST_READY : ST_START);
	session_message_done(s);
}

static void
accepted(struct session *s, const char *queue_id)
{
	char line[400];
	int n;

	if (s->cmd == CMD_BDAT)
		n = snprintf(line, sizeof(line),
		    "250 2.0.0 Ok: %llu bytes queued as %s",
		    (unsigned long long)s->txn->wire, queue_id);
	else
		n = snprintf(line, sizeof(line), "250 2.0.0 Ok: queued as %s",
		    queue_id);
	if (n < 0)
		log_panic("snprintf failed");
	/* He has shown that he can do it right. */
	s->errors = s->junk = 0;
	final_reply(s, line);
}

static void
refused(struct session *s)
{
	struct txn *t = s->txn;
	char line[WHY_TEXT_MAX + 32];

	if (t->too_big) {
		log_info("NOQUEUE: reject: END-OF-MESSAGE from %s: 552 5.3.4 "
		    "Message too big; from=<%.*s> proto=%s helo=<%s> "
		    "size=%llu rule=message_size_limit trace=%s", s->namaddr,
		    SPAN_ARG(t->sender_show), session_proto(s),
		    s->helo == NULL ? "" : s->helo,
		    (unsigned long long)t->wire, t->trace);
		final_reply(s, "552 5.3.4 Error: message file too big");
		return;
	}
	if (snprintf(line, sizeof(line), "%d %s %s", t->why_smtp,
	    t->why->code, t->why->text) < 0)
		log_panic("snprintf failed");
	final_reply(s, line);
}

/* What XFORWARD said, in Postfix's words. */
static void
add_origin(const struct xforward *x, struct buf *out)
{
	if (x == NULL)
		return;
	if (x->ident != NULL && x->ident[0] != '\0')
		buf_addf(out, ", orig_queue_id=%s", x->ident);
	if (x->name != NULL || x->addr != NULL)
		buf_addf(out, ", orig_client=%s[%s]", x->name != NULL ?
		    x->name : "unknown", x->addr != NULL ? x->addr :
		    "unknown");
}

void
data_log_client(struct session *s, struct span queue_id)
{
	struct buf origin = BUF_INIT(BUF_UNLIMITED);
	struct txn *t = s->txn;
	struct span from = envelope_attr(&t->env, ENV_ATTR_SASL_SENDER);

	if (t->logged)
		return;
	t->logged = true;
	add_origin(s->forward, &origin);
	log_info("%.*s: client=%s%s%s%s%s%s%.*s%s trace=%s",
	    SPAN_ARG(queue_id), s->namaddr,
	    s->sasl_method != NULL ? ", sasl_method=" : "",
	    s->sasl_method != NULL ? s->sasl_method : "",
	    s->login != NULL ? ", sasl_username=" : "",
	    s->login != NULL ? s->login : "",
	    from.len > 0 ? ", sasl_sender=" : "", SPAN_ARG(from),
	    origin.data, t->trace);
	buf_fini(&origin);
}

void
data_result(struct session *s, const struct cleanup_result *res)
{
	struct txn *t = s->txn;
	bool waiting = s->wait == WAIT_RESULT;
	char id[64];

	if (res == NULL) {
		fail(t, 451, "4.3.0", "Error: queue file write error");
	} else if (res->code.len > 0 && res->code.p[0] == '2' && waiting) {
		if (span_copy(res->queue_id, id, sizeof(id)) < 0)
			id[0] = '\0';
		data_log_client(s, res->queue_id);
		session_wake(s);
		accepted(s, id);
		return;
	} else {
		char code[WHY_CODE_MAX], text[WHY_TEXT_MAX];

		/* Success before the end would be a promise about nothing. */
		if (res->code.len == 0 || res->code.p[0] == '2' ||
		    span_copy(res->code, code, sizeof(code)) < 0 ||
		    span_copy(span_sub(res->text, 0, sizeof(text) - 1), text,
		    sizeof(text)) < 0 || res->smtp < 400) {
			fail(t, 451, "4.3.0", "Error: queue file write error");
		} else {
			fail(t, (int)res->smtp, code, text);
		}
		if (res->queue_id.len > 0)
			data_log_client(s, res->queue_id);
	}
	if (waiting) {
		session_wake(s);
		refused(s);
	}
}

static void
eod_done(struct session *s, bool ok, const char *text)
{
	struct txn *t = s->txn;

	session_wake(s);
	if (!ok) {
		submit_abort(t);
		final_reply(s, text);
		return;
	}
	if (t->discard) {
		accepted(s, "NOQUEUE");
		return;
	}
	begin(s);			/* a message without a byte */
	if (t->failed) {
		refused(s);
		return;
	}
	submit_end(s);
	session_wait(s, WAIT_RESULT);
}

static void
message_end(struct session *s)
{
	struct txn *t = s->txn;

	session_set_state(s, ST_COMMIT);
	if (t->scan.bare_lf && !s->newline_excluded &&
	    span_is(span_of(conf.smtpd_forbid_bare_newline), "note"))
		log_info("info: bare <LF> received after %s from %s "
		    "trace=%s", s->cmd == CMD_BDAT ? "BDAT" : "DATA",
		    s->namaddr, t->trace);
	if (t->scan.bare_lf && forbid_bare_lf(s)) {
		int code = (int)conf.smtpd_forbid_bare_newline_reject_code;
		char line[400];

		log_info("NOQUEUE: reject: %s from %s: %d 5.5.2 Error: bare "
		    "<LF> received; from=<%.*s> proto=%s helo=<%s> "
		    "rule=smtpd_forbid_bare_newline trace=%s",
		    s->cmd == CMD_BDAT ? "BDAT" : "DATA", s->namaddr, code,
		    SPAN_ARG(t->sender_show), session_proto(s),
		    s->helo == NULL ? "" : s->helo, t->trace);
		submit_abort(t);
		if (snprintf(line, sizeof(line), "%d %s %s Error: bare <LF> "
		    "received", code, code < 500 ? "4.5.2" : "5.5.2",
		    conf.myhostname) < 0)
			log_panic("snprintf failed");
		final_reply(s, line);
		if (code == 521 || code == 421)
			session_close(s, NULL);
		return;
	}
	if (t->too_big || t->failed) {
		refused(s);
		return;
	}
	policy_start(s, STAGE_EOD, SPAN_EMPTY, eod_done);
}

/* --- DATA ------------------------------------------------------------------------ */

/* No room with cleanup: the client waits, and so does its input. */
static bool
must_wait(struct session *s)
{
	if (dropping(s->txn) || !submit_full())
		return false;
	session_wait(s, WAIT_ROOM);
	return true;
}

size_t
data_input(struct session *s, struct span in)
{
	struct txn *t = s->txn;
	uint64_t lines = t->scan.lines;
	enum scan_result r;
	size_t used, n;
	char *out;

	if (must_wait(s))
		return 0;
	in = span_sub(in, 0, CLEANUP_CHUNK_MAX);
	/* What may turn out to be the end and no content needs no frame. */
	if (in.len <= SCAN_PENDING_MAX ||
	    memcmp(in.p, ".\r\n", SCAN_PENDING_MAX) == 0) {
		in = span_sub(in, 0, SCAN_PENDING_MAX);
		r = scan_data(&t->scan, in, dropped, &used, &n);
		if (n > 0 && !dropping(t)) {
			begin(s);
			if (!dropping(t)) {
				memcpy(submit_reserve(s, n), dropped, n);
				submit_commit(s, n);
			}
		}
	} else {
		begin(s);
		if (dropping(t)) {
			r = scan_data(&t->scan, in, dropped, &used, &n);
		} else {
			out = submit_reserve(s, in.len);
			r = scan_data(&t->scan, in, out, &used, &n);
			submit_commit(s, n);
		}
	}
	account(s, n, t->scan.lines - lines);
	if (r == SCAN_MORE)
		return used;
	stream_consume(s->stream, used);
	message_end(s);
	return 0;
}

static void
data_done(struct session *s, bool ok, const char *text)
{
	session_wake(s);
	if (!ok) {
		reply(s, "%s", text);
		return;
	}
	session_set_state(s, ST_DATA);
	reply_more(s, "354 End data with <CR><LF>.<CR><LF>");
}

/* Whether a message may begin; if not, text is the reply. */
static bool
has_recipients(const struct session *s, const char **text)
{
	if (s->txn == NULL) {
		*text = "503 5.5.1 Error: need RCPT command";
		return false;
	}
	if (s->txn->env.rcpts.len == 0) {
		/* RFC 2033 4.2, 4.3 */
		*text = smtpd_lmtp ? "503 5.5.1 Error: no valid recipients" :
		    "554 5.5.1 Error: no valid recipients";
		return false;
	}
	return true;
}

void
cmd_data(struct session *s, struct span arg)
{
	const char *text;

	if (s->state == ST_BDAT)
		reply(s, "503 5.5.1 Error: DATA after BDAT");
	else if (!has_recipients(s, &text))
		reply(s, "%s", text);
	else if (arg.len > 0)
		reply(s, "501 5.5.4 Syntax: DATA");
	else if (s->txn->binary)	/* RFC 3030 3 */
		reply(s, "503 5.5.1 Error: BODY=BINARYMIME needs BDAT");
	else
		policy_start(s, STAGE_DATA, SPAN_EMPTY, data_done);
}

/* --- BDAT ------------------------------------------------------------------------- */

static void
send_coded(struct session *s)
{
	struct span rest = buf_span(&coded);

	while (rest.len > 0 && !dropping(s->txn)) {
		size_t n = MIN(rest.len, (size_t)CLEANUP_CHUNK_MAX);

		memcpy(submit_reserve(s, n), rest.p, n);
		submit_commit(s, n);
		rest = span_from(rest, n);
	}
	buf_fini(&coded);
}

/* BODY=BINARYMIME: in.len == 0 is the end. */
static void
code(struct session *s, struct span in)
{
	struct txn *t = s->txn;

	begin(s);
	if (dropping(t))
		return;
	coded = BUF_INIT(BUF_UNLIMITED);
	if (t->coder == NULL)
		t->coder = binary_new(&coded);
	if (in.len > 0)
		binary_write(t->coder, in);
	else
		binary_finish(t->coder);
	send_coded(s);
}

static void
chunk_end(struct session *s)
{
	struct txn *t = s->txn;

	if (t->chunk_last && t->binary)
		code(s, SPAN_EMPTY);
	if (t->chunk_last) {
		message_end(s);
		return;
	}
	session_set_state(s, ST_BDAT);
	if (t->failed || t->too_big) {
		/* RFC 3030 2: the client learns of it with this chunk. */
		refused(s);
		return;
	}
	reply(s, "250 2.0.0 Ok: %llu bytes",
	    (unsigned long long)t->chunk_size);
}

size_t
skip_input(struct session *s, struct span in)
{
	struct txn *t = s->txn;
	uint64_t left = s->skip_left;
	size_t n = (size_t)MIN((uint64_t)in.len, left);

	s->skip_left -= n;
	if (s->skip_left > 0)
		return n;
	stream_consume(s->stream, n);
	session_set_state(s, t == NULL ?
	    (s->helo != NULL ? ST_READY : ST_START) :
	    t->env.rcpts.len > 0 ? ST_RCPT : ST_MAIL);
	reply(s, "%s", s->skip_reply);
	while (--s->skip_replies > 0)
		reply_more(s, "%s", s->skip_reply);
	return 0;
}

/* RFC 3030 2: the bytes of a refused chunk come all the same. */
static void
skip_chunk(struct session *s, uint64_t size, const char *text, size_t nreplies)
{
	s->skip_left = size;
	s->skip_replies = nreplies;
	mem_free(s->skip_reply);
	s->skip_reply = mem_strdup(text);
	session_set_state(s, ST_SKIP);
	if (size == 0)
		skip_input(s, SPAN_EMPTY);
}

size_t
chunk_input(struct session *s, struct span in)
{
	struct txn *t = s->txn;
	uint64_t lines = t->scan.lines;
	size_t used, n, extra = 0;
	bool final;
	char *out;

	if (must_wait(s))
		return 0;
	in = span_sub(in, 0, (size_t)MIN((uint64_t)CLEANUP_CHUNK_MAX - 1,
	    t->chunk_left));
	if (t->binary) {
		code(s, in);
		account(s, in.len, 0);
		t->chunk_left -= in.len;
		stream_consume(s->stream, in.len);
		if (t->chunk_left == 0)
			chunk_end(s);
		return 0;
	}
	final = in.len == t->chunk_left && t->chunk_last;
	begin(s);
	out = dropping(t) ? dropped : submit_reserve(s, in.len + 1);
	if (t->carried_cr && in.len > 0) {
		/* The chunk before ended between CR and LF, or so it seemed. */
		t->carried_cr = false;
		if (in.p[0] != '\n') {
			out[extra++] = '\r';
			t->scan.at = SCAN_IN_LINE;
		} else {
			out[extra++] = '\n';
			t->scan.at = SCAN_AFTER_CRLF;
			t->scan.lines++;
			t->chunk_left--;
			stream_consume(s->stream, 1);
			in = span_from(in, 1);
		}
	}
	scan_chunk(&t->scan, in, final, out + extra, &used, &n);
	if (used < in.len && in.len == t->chunk_left) {
		/* A CR at the very end of a chunk, and more chunks follow. */
		t->carried_cr = true;
		used = in.len;
	}
	if (!dropping(t))
		submit_commit(s, n + extra);
	account(s, n + extra, t->scan.lines - lines);
	t->chunk_left -= used;
	stream_consume(s->stream, used);
	if (t->chunk_left == 0)
		chunk_end(s);
	return 0;
}

static void
chunk_start(struct session *s)
{
	struct txn *t = s->txn;

	session_set_state(s, ST_CHUNK);
	if (t->chunk_left > 0)
		return;
	if (t->carried_cr && t->chunk_last) {
		t->carried_cr = false;
		begin(s);
		if (!dropping(t)) {
			*submit_reserve(s, 1) = '\r';
			submit_commit(s, 1);
		}
		account(s, 1, 0);
	}
	chunk_end(s);
}

static void
bdat_done(struct session *s, bool ok, const char *text)
{
	session_wake(s);
	if (!ok) {
		skip_chunk(s, s->txn->chunk_size, text, replies(s));
		return;
	}
	chunk_start(s);
}

void
cmd_bdat(struct session *s, struct span arg)
{
	struct txn *t = s->txn;
	const char *text;
	uint64_t size;
	size_t nreplies;
	bool last;

	if (s->discard & EHLO_CHUNKING) {
		/* We cannot know how much to skip: 521 and the end. */
		reply(s, "521 5.5.1 Error: command not implemented");
		session_close(s, NULL);
		return;
	}
	if (parse_bdat(arg, &size, &last) < 0) {
		reply(s, "521 5.5.4 Syntax: BDAT count [LAST]");
		session_close(s, NULL);
		return;
	}
	if (!has_recipients(s, &text)) {
		skip_chunk(s, size, text, 1);
		return;
	}
	if (size == 0 && !last) {
		reply(s, "551 5.7.1 Null BDAT request");
		return;
	}
	t->chunk_size = t->chunk_left = size;
	t->chunk_last = last;
	if (conf.message_size_limit > 0 && !t->too_big &&
	    (size > (uint64_t)conf.message_size_limit ||
	    t->wire + size > (uint64_t)conf.message_size_limit)) {
		nreplies = replies(s);
		submit_abort(t);
		session_reset(s);
		skip_chunk(s, size, "552 5.3.4 Chunk exceeds message size "
		    "limit", nreplies);
		return;
	}
	if (s->state == ST_BDAT)
		chunk_start(s);
	else
		policy_start(s, STAGE_DATA, SPAN_EMPTY, bdat_done);
}
