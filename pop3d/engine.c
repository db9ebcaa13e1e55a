/* SPDX-License-Identifier: ISC */
/*
 * engine - the TRANSACTION and UPDATE states of POP3 (RFC 1939 5, 6), in the
 * user's session process.
 *
 * Answers to what was pipelined are gathered and written together.  When the
 * client does not take them, no more commands are read: a session holds
 * HIGH_WATER bytes of output at most, however many commands wait.
 */
#include <stdarg.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "pop3d/capa.h"
#include "pop3d/pop3.h"

#define HIGH_WATER	(256 * 1024)
#define CHUNK		(64 * 1024)	/* of a message, between two looks */
#define LIST_CHUNK	(32 * 1024)	/* of a list: it stays in the cache, and
					 * no fresh memory is touched for it */
#define TURN_MAX	(1024 * 1024)	/* bytes of a long answer in one go */
#define IN_MAX		(32 * 1024)
#define OUT_MAX		(1024 * 1024)
/* Commands in one go; then the user's other connections get their turn. */
#define COMMANDS_PER_TURN 500

typedef void command_fn(struct pop3 *p, struct span args);

/* --- answers --------------------------------------------------------------------------------- */

static void PRINTF(2, 3)
say(struct pop3 *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (buf_vprintf(&p->out, fmt, ap) < 0)
		log_panic("pop3: an answer");
	va_end(ap);
}

static void PRINTF(2, 3)
err(struct pop3 *p, const char *fmt, ...)
{
	va_list ap;

	say(p, "-ERR %s", pop3_code_for(fmt));
	va_start(ap, fmt);
	if (buf_vprintf(&p->out, fmt, ap) < 0)
		log_panic("pop3: an answer");
	va_end(ap);
	say(p, "\r\n");
	p->errors++;
}

static void
flush(struct pop3 *p)
{
	bool more = p->sending.active || p->listing.active;

	stream_write_span(p->conn->stream, buf_span(&p->out));
	/* A long answer's memory is not kept by an idle session. */
	stream_keep_out(p->conn->stream, more ? OUT_MAX : 0);
	if (p->out.alloc > CHUNK && !more)
		buf_fini(&p->out);
	else
		buf_reset(&p->out);
}

static void
done(struct pop3 *p, const char *how)
{
	struct session_conn *c = p->conn;
	char counts[128];
	uint32_t deleted = p->drop.deleted;

	(void)snprintf(counts, sizeof(counts), "top=%llu, retr=%llu/%llu, "
	    "del=%u/%u, size=%llu", (unsigned long long)p->top,
	    (unsigned long long)p->retr, (unsigned long long)p->retr_bytes,
	    deleted, p->drop.count, (unsigned long long)p->drop.size);
	if (p->sending.active)
		send_end(&p->sending);
	drop_close(&p->drop);
	buf_fini(&p->out);
	mem_free(p);
	c->data = NULL;
	session_done(c, how, counts);
}

/* --- arguments --------------------------------------------------------------------------------- */

/* A message that is there and not deleted; 0, and the client was told. */
static uint32_t
want_message(struct pop3 *p, struct span *args)
{
	uint32_t n;
	int rc = pop3_parse_number(args, &n);

	if (rc == 0)
		err(p, "A message number is missing");
	else if (rc < 0)
		err(p, "Invalid message number");
	else if (n == 0 || n > p->drop.count)
		err(p, "There's no message %u", n);
	else if (p->drop.marks[n] & DROP_DELETED)
		err(p, "Message is deleted");
	else
		return n;
	return 0;
}

/* Nothing more may follow; false, and the client was told. */
static bool
want_end(struct pop3 *p, struct span args)
{
	struct span word;

	if (!span_token(&args, " ", &word))
		return true;
	err(p, "Too many arguments");
	return false;
}

/* --- LIST and UIDL -------------------------------------------------------------------------------- */

static void
list_one(struct pop3 *p, uint32_t n, bool uidl)
{
	char *begin = buf_reserve(&p->out, LIST_LINE_MAX), *to;

	to = list_put(&p->drop, n, uidl, num_put_decimal(begin, n));
	buf_commit(&p->out, (size_t)(to - begin));
}

static void
list(struct pop3 *p, struct span args, bool uidl)
{
	struct span rest = args, word;
	uint32_t n;

	if (span_token(&rest, " ", &word)) {
		n = want_message(p, &args);
		if (n == 0 || !want_end(p, args))
			return;
		say(p, "+OK ");
		list_one(p, n, uidl);
		return;
	}
	list_begin(&p->listing, uidl);
	p->listing.ready = uidl && drop_uidl_ready(&p->drop);
	if (uidl && !p->listing.ready)
		say(p, "+OK\r\n");
	else if (!uidl)
		say(p, "+OK %u messages (%llu octets)\r\n",
		    p->drop.count - p->drop.deleted, (unsigned long long)
		    (p->drop.size - p->drop.deleted_size));
}

static void
cmd_list(struct pop3 *p, struct span args)
{
	list(p, args, false);
}

static void
cmd_uidl(struct pop3 *p, struct span args)
{
	list(p, args, true);
}

/* --- messages --------------------------------------------------------------------------------------- */

/* RFC 6856 2.1: not for a client that has not said UTF8. */
static bool
needs_utf8(struct span message)
{
	struct span line;

	while (span_line(&message, &line) && line.len > 0) {
		for (size_t i = 0; i < line.len; i++) {
			if ((unsigned char)line.p[i] >= 0x80)
				return true;
		}
	}
	return false;
}

static void
retrieve(struct pop3 *p, uint32_t n, bool top, uint32_t lines)
{
	struct why why = WHY_INIT;

	if (mailbox_content(p->drop.box, mailbox_uid(p->drop.box, n),
	    &p->sending.content, &why) < 0) {
		enum account_error e = account_error(p->drop.account);

		/* Damaged bytes are better than none (store/mailbox.h). */
		if (e != ACCOUNT_CORRUPT ||
		    p->sending.content.bytes.p == NULL) {
			if (e == ACCOUNT_EXPUNGED)
				err(p, "Message %u is gone", n);
			else
				err(p, "[SYS/TEMP] Message %u cannot be read "
				    "now", n);
			log_warning("pop3: user=<%s>, message %u: %s, "
			    "session=<%s>", p->conn->user->name, n, why.text,
			    p->conn->facts.id);
			return;
		}
	}
	if (conf.pop3d_utf8_strict && !p->utf8 &&
	    needs_utf8(p->sending.content.bytes)) {
		mailbox_content_done(&p->sending.content);
		err(p, "[UTF8] Message %u is for clients that say UTF8", n);
		return;
	}
	if (top) {
		p->top++;
		say(p, "+OK\r\n");
	} else {
		uint64_t size = drop_size(&p->drop, n);

		p->retr++;
		p->retr_bytes += size;
		drop_mark(&p->drop, n, DROP_READ);
		say(p, "+OK %llu octets\r\n", (unsigned long long)size);
	}
	send_begin(&p->sending, top, lines);
}

static void
cmd_retr(struct pop3 *p, struct span args)
{
	uint32_t n = want_message(p, &args);

	if (n != 0 && want_end(p, args))
		retrieve(p, n, false, 0);
}

static void
cmd_top(struct pop3 *p, struct span args)
{
	uint32_t n = want_message(p, &args), lines;

	if (n == 0)
		return;
	if (pop3_parse_number(&args, &lines) != 1)
		err(p, "TOP wants a message number and a number of lines");
	else if (want_end(p, args))
		retrieve(p, n, true, lines);
}

static void
cmd_dele(struct pop3 *p, struct span args)
{
	uint32_t n = want_message(p, &args);

	if (n == 0 || !want_end(p, args))
		return;
	drop_mark(&p->drop, n, DROP_DELETED);
	say(p, "+OK Marked to be deleted\r\n");
}

/* --- the others --------------------------------------------------------------------------------------- */

static void
cmd_stat(struct pop3 *p, struct span args)
{
	say(p, "+OK %u %llu\r\n", p->drop.count - p->drop.deleted,
	    (unsigned long long)(p->drop.size - p->drop.deleted_size));
}

static void
cmd_noop(struct pop3 *p, struct span args)
{
	say(p, "+OK\r\n");
}

static void
cmd_rset(struct pop3 *p, struct span args)
{
	drop_reset(&p->drop);
	say(p, "+OK\r\n");
}

static void
cmd_capa(struct pop3 *p, struct span args)
{
	say(p, "+OK\r\n");
	pop3_capa(&p->out);
	say(p, "IMPLEMENTATION Mansio\r\n.\r\n");
}

static void
cmd_lang(struct pop3 *p, struct span args)
{
	size_t at = p->out.len;

	pop3_lang(args, &p->out);
	p->errors += p->out.data[at] == '-';
}

static const struct {
	enum pop3_verb	 verb;
	command_fn	*fn;
	bool		 args;		/* it may have some */
} commands[] = {
	{ POP3_CAPA, cmd_capa, false },		/* RFC 2449 5 */
	{ POP3_DELE, cmd_dele, true },		/* RFC 1939 5 */
	{ POP3_LANG, cmd_lang, true },		/* RFC 6856 3 */
	{ POP3_LIST, cmd_list, true },		/* RFC 1939 5 */
	{ POP3_NOOP, cmd_noop, false },		/* RFC 1939 5 */
	{ POP3_RETR, cmd_retr, true },		/* RFC 1939 5 */
	{ POP3_RSET, cmd_rset, false },		/* RFC 1939 5 */
	{ POP3_STAT, cmd_stat, false },		/* RFC 1939 5 */
	{ POP3_TOP, cmd_top, true },		/* RFC 1939 7 */
	{ POP3_UIDL, cmd_uidl, true },		/* RFC 1939 7 */
};

static void
dispatch(struct pop3 *p, const struct pop3_line *line)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].verb != line->verb)
			continue;
		if (commands[i].args || want_end(p, line->rest))
			commands[i].fn(p, line->rest);
		return;
	}
	if (line->verb == POP3_UNKNOWN)
		err(p, "Unknown command");
	else
		err(p, "Already logged in");
}

/*
 * A long session asks for messages that are gone now and then; only errors in
 * a row tell a client that is lost.
 */
static void
run(struct pop3 *p, const struct pop3_line *line)
{
	int64_t before = p->errors;

	dispatch(p, line);
	if (p->errors == before)
		p->errors = 0;
}

/* UPDATE (RFC 1939 6). */
static void
quit(struct pop3 *p)
{
	struct why why = WHY_INIT;
	uint32_t gone;

	if (drop_update(&p->drop, &gone, &why) == 0) {
		say(p, "+OK Logging out%s\r\n", gone > 0
		    ? ", messages deleted" : "");
	} else {
		log_warning("pop3: user=<%s>: cannot delete: %s, "
		    "session=<%s>", p->conn->user->name, why.text,
		    p->conn->facts.id);
		say(p, "-ERR [SYS/TEMP] some deleted messages not removed"
		    "\r\n");
		p->drop.deleted = 0;	/* for the log */
	}
	flush(p);
	done(p, "Logged out");
}

/* --- input ---------------------------------------------------------------------------------------------- */

/* The answer to UIDL from its file; false: the rest is for on_drain. */
static bool
send_ready(struct pop3 *p)
{
	struct listing *l = &p->listing;

	flush(p);
	l->active = !stream_send_file(p->conn->stream, p->drop.ready,
	    &l->sent, p->drop.ready_len);
	return !l->active;
}

/* Write on at an answer that is longer than a command's; true: it is still
 * not at its end. */
static bool
go_on(struct pop3 *p)
{
	struct stream *s = p->conn->stream;
	uint64_t begin = stream_bytes_out(s);

	while (p->sending.active || p->listing.active) {
		if (p->listing.active && p->listing.ready) {
			if (!send_ready(p))
				return true;
			continue;
		}
		if (stream_out_len(s) + p->out.len > HIGH_WATER)
			return true;
		if (p->listing.active)
			list_some(&p->listing, &p->drop, &p->out, LIST_CHUNK -
			    MIN(p->out.len, LIST_CHUNK - LIST_LINE_MAX));
		else if (!send_some(&p->sending, &p->out, CHUNK))
			send_end(&p->sending);
		if (p->out.len < LIST_CHUNK - LIST_LINE_MAX)
			continue;
		flush(p);
		/* The user's other connections get their turn. */
		if (stream_bytes_out(s) - begin > TURN_MAX)
			return true;
		stream_flush(s);
	}
	return false;
}

static void
too_long(struct pop3 *p, size_t used, bool whole)
{
	if (!p->skipping)
		err(p, "[SYS/PERM] Line too long");
	p->skipping = !whole;
	stream_consume(p->conn->stream, used);
}

/* Take one command; false: there is none, or the session is over (*over). */
static bool
next_command(struct pop3 *p, bool *over)
{
	struct stream *s = p->conn->stream;
	struct pop3_line line;
	enum pop3_parsed got;
	size_t used;
	bool whole;

	got = pop3_parse_line(stream_input(s), &line, &used, &whole);
	if (got == POP3_TOO_LONG || (p->skipping && used > 0)) {
		too_long(p, used, whole);
	} else if (got == POP3_LINE) {
		stream_consume(s, used);
		if (line.verb == POP3_QUIT && want_end(p, line.rest)) {
			*over = true;
			quit(p);
			return false;
		}
		if (line.verb != POP3_QUIT)
			run(p, &line);
	} else {
		return false;
	}
	if (p->errors < conf.pop3d_hard_error_limit)
		return true;
	say(p, "-ERR [SYS/PERM] Too many errors\r\n");
	flush(p);
	*over = true;
	done(p, "Too many errors");
	return false;
}

static void
on_read(void *arg, struct stream *s)
{
	struct session_conn *c = arg;
	struct pop3 *p = c->data;
	bool over = false;

	stream_set_deadline(s, conf.pop3d_timeout * 1000);
	for (int n = 0; n < COMMANDS_PER_TURN; n++) {
		if (go_on(p)) {
			stream_pause(s);
			break;
		}
		if (!next_command(p, &over))
			break;
		if (n == COMMANDS_PER_TURN - 1)
			stream_kick(s);
	}
	if (over)
		return;
	if (go_on(p))
		stream_pause(s);
	flush(p);
}

static void
on_drain(void *arg, struct stream *s)
{
	struct session_conn *c = arg;
	struct pop3 *p = c->data;
	bool more;

	stream_set_deadline(s, conf.pop3d_timeout * 1000);
	more = go_on(p);
	flush(p);
	if (more)
		return;
	if (p->eof)
		done(p, "Connection closed");
	else
		stream_resume(s);
}

static void
on_end(void *arg, struct stream *s, enum stream_end why)
{
	static const char *const how[] = {
		[STREAM_EOF] = "Connection closed",
		[STREAM_ERROR] = "Connection lost",
		[STREAM_TIMEOUT] = "Timeout",
		[STREAM_OVERFLOW] = "Too much input",
	};
	struct session_conn *c = arg;
	struct pop3 *p = c->data;

	if (why == STREAM_EOF && (p->sending.active || p->listing.active)) {
		p->eof = true;	/* it may still read what it asked for */
		return;
	}
	if (why == STREAM_TIMEOUT)
		say(p, "-ERR [SYS/TEMP] Disconnected for inactivity\r\n");
	else if (why == STREAM_OVERFLOW)
		say(p, "-ERR [SYS/PERM] Too much input\r\n");
	flush(p);
	done(p, how[why]);
}

static const struct stream_ops ops = {
	.on_read = on_read,
	.on_drain = on_drain,
	.on_end = on_end,
};

/* --- start and end ------------------------------------------------------------------------------------------ */

static void
start(struct session_conn *c)
{
	struct pop3 *p = mem_zalloc(sizeof(*p));
	struct why why = WHY_INIT;

	c->data = p;
	p->conn = c;
	p->out = BUF_INIT(BUF_UNLIMITED);
	p->utf8 = strcmp(c->facts.notes, "utf8") == 0;
	stream_set_deadline(c->stream, conf.pop3d_timeout * 1000);
	if (drop_open(&p->drop, c, &why) == 0) {
		say(p, "+OK Logged in\r\n");
		flush(p);
		return;
	}
	if (p->drop.in_use) {
		say(p, "-ERR [IN-USE] Another session has the mailbox\r\n");
	} else {
		log_warning("pop3: user=<%s>: %s, session=<%s>",
		    c->user->name, why.text, c->facts.id);
		say(p, "-ERR [SYS/TEMP] The mailbox is not available\r\n");
	}
	flush(p);
	done(p, "No mailbox");
}

static void
drain(struct session_conn *c, enum session_stop why)
{
	struct pop3 *p = c->data;

	/* In the middle of a message it would be taken for a part of it. */
	if (!p->sending.active && !p->listing.active)
		say(p, "-ERR [SYS/TEMP] %s\r\n", why == SESSION_STOP_KICKED
		    ? "Disconnected by the administrator"
		    : "Server shutting down");
	flush(p);
	done(p, why == SESSION_STOP_KICKED ? "Kicked"
	    : "Server shutting down");
}

static int
check(struct why *why)
{
	uint32_t days;
	int rc = 0;

	if (!span_caseis(span_of(conf.pop3d_expire), "never") &&
	    num_parse_u32(span_of(conf.pop3d_expire), DROP_EXPIRE_MAX,
	    &days) < 0)
		rc = why_set(why, "", "pop3d_expire: \"%s\" is neither a "
		    "number of days nor never", conf.pop3d_expire);
	if (daemon_judge(rc, why) < 0)
		return -1;
	return uidl_check(conf.pop3d_uidl_format, why);
}

static int64_t
user_limit(void)
{
	return conf.pop3d_user_connection_limit;
}

static int64_t
login_delay(void)
{
	return conf.pop3d_login_delay;
}

const struct engine pop3_engine = {
	.service	= "pop3",
	.ops		= &ops,
	.in_max		= IN_MAX,
	.out_max	= OUT_MAX,
	.no_texts	= true,
	.check		= check,
	.start		= start,
	.drain		= drain,
	.forget		= drop_forget,
	.user_limit	= user_limit,
	.login_delay	= login_delay,
};
