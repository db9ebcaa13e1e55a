/* SPDX-License-Identifier: ISC */
/*
 * reply - what goes back to the client, and what it counts for.
 *
 * All replies of a loop turn leave in one write (the stream gathers them).
 * A client that has made smtpd_soft_error_limit errors gets every reply
 * smtpd_error_sleep_time late: the session waits, nothing else does.
 */
#include <stdarg.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "smtpd/smtpd.h"

#define REPLY_LINE_MAX	512		/* RFC 5321 4.5.3.1.5, with CR LF */

/* 5xx becomes 4xx, in the code and in the enhanced code. */
static void
soften(char *line, size_t n)
{
	if (n < 3 || line[0] != '5')
		return;
	line[0] = '4';
	if (n > 6 && line[4] == '5' && line[5] == '.')
		line[4] = '4';
}

/* Our own faults do not count against the client. */
static bool
is_clients_fault(struct span line)
{
	if (line.len < 3 || (line.p[0] != '4' && line.p[0] != '5'))
		return false;
	return !(line.len > 8 && memcmp(line.p + 4, "4.3.", 4) == 0);
}

static void
count(struct session *s, struct span line)
{
	if (s->counted || line.len == 0)
		return;
	s->counted = true;
	if (line.p[0] == '2' || line.p[0] == '3')
		s->ok[s->cmd]++;
	else if (is_clients_fault(line))
		s->errors++;
}

static void
late_replies(struct session *s)
{
	reply_flush_held(s);
}

static void
put(struct session *s, struct span lines)
{
	if (s->stream == NULL)
		return;
	if (s->held.len == 0 && s->state != ST_CLOSED &&
	    (s->errors < (uint64_t)conf.smtpd_soft_error_limit ||
	    s->errors >= (uint64_t)conf.smtpd_hard_error_limit ||
	    conf.smtpd_error_sleep_time == 0 || s->wait == WAIT_DELAY)) {
		stream_write_span(s->stream, lines);
		return;
	}
	buf_add_span(&s->held, lines);
	if (s->wait != WAIT_DELAY)
		session_delay(s, conf.smtpd_error_sleep_time * 1000,
		    late_replies);
}

void
reply_flush_held(struct session *s)
{
	if (s->stream != NULL && s->held.len > 0)
		stream_write_span(s->stream, buf_span(&s->held));
	buf_fini(&s->held);
	s->held = BUF_INIT(SMTPD_OUT_MAX);
}

void
reply_more_lines(struct session *s, struct span lines)
{
	put(s, lines);
}

void
reply_lines(struct session *s, struct span lines)
{
	count(s, lines);
	put(s, lines);
}

/*
 * Text may hold what the client sent; whatever is not printable must not
 * reach the wire as a line of its own.
 */
static size_t PRINTF(3, 0)
make_line(char *line, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(line, size - 2, fmt, ap);
	size_t len = n < 0 ? 0 : MIN((size_t)n, size - 3);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	/* Do not cut a UTF-8 sequence in two. */
	if (n >= 0 && (size_t)n > len)
		while (len > 0 && ((unsigned char)line[len - 1] & 0x80))
			len--;
	if (conf.soft_bounce)
		soften(line, len);
	line[len++] = '\r';
	line[len++] = '\n';
	return len;
}

static void
put_reply(struct session *s, struct span line)
{
	struct buf all = BUF_INIT(BUF_UNLIMITED);

	put(s, footer_add(s, line, &all) ? buf_span(&all) : line);
	buf_fini(&all);
}

void
reply(struct session *s, const char *fmt, ...)
{
	char line[REPLY_LINE_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = make_line(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (log_debug_on())
		log_debug("> %s: %.*s", s->namaddr, (int)n - 2, line);
	count(s, span_make(line, n));
	put_reply(s, span_make(line, n));
}

void
reply_more(struct session *s, const char *fmt, ...)
{
	char line[REPLY_LINE_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = make_line(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (log_debug_on())
		log_debug("> %s: %.*s", s->namaddr, (int)n - 2, line);
	put_reply(s, span_make(line, n));
}
