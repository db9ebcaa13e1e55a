/* SPDX-License-Identifier: ISC */
/*
 * input - what a client sends, as commands; see imap.h.
 *
 * A command is whole in the stream's buffer before it runs, but for APPEND's
 * literals (append.c).  One that is too large, or in which a literal comes that
 * nobody wants, is answered at once, and the rest of it is gone over.
 */
#include "conf/params.h"
#include "imapd/imap.h"

struct span
imap_input(const struct imap *im)
{
	return stream_input(im->conn->stream);
}

void
imap_consume(struct imap *im, size_t n)
{
	stream_consume(im->conn->stream, n);
	frame_reset(&im->frame);
}

void
imap_skip(struct imap *im, uint64_t literal, const char *answer)
{
	im->skip = (struct skip){ .literal = literal };
	snprintf(im->skip.answer, sizeof(im->skip.answer), "%s", answer);
	im->mode = MODE_SKIP;
}

/* The end of the line so far, in which a literal may be announced. */
static void
skip_keep(struct skip *k, struct span line)
{
	size_t n = MIN(line.len, sizeof(k->tail));
	size_t old = MIN(k->ntail, sizeof(k->tail) - n);

	memmove(k->tail, k->tail + k->ntail - old, old);
	memcpy(k->tail + old, line.p + line.len - n, n);
	k->ntail = old + n;
}

static bool
skip_line(struct imap *im, struct span in)
{
	struct skip *k = &im->skip;
	ptrdiff_t nl = span_find(in, '\n');
	struct span tail;
	uint64_t n;
	bool sync;

	skip_keep(k, nl < 0 ? in : span_sub(in, 0, (size_t)nl));
	imap_consume(im, nl < 0 ? in.len : (size_t)nl + 1);
	if (nl < 0)
		return false;
	tail = span_make(k->tail, k->ntail);
	if (tail.len > 0 && tail.p[tail.len - 1] == '\r')
		tail.len--;
	k->ntail = 0;
	/* What comes without our consent is still part of the command. */
	if (frame_announces(tail, &n, &sync) && !sync) {
		if (n == UINT64_MAX) {
			imap_bye(im, "Literal too large",
			    "[TOOBIG] Literal too large.");
			return false;
		}
		k->literal = n;
		return true;
	}
	im->mode = MODE_COMMAND;
	if (k->answer[0])
		buf_addf(&im->out, "%s\r\n", k->answer);
	return true;
}

static bool
skip_input(struct imap *im)
{
	struct span in = imap_input(im);
	size_t n = (size_t)MIN(im->skip.literal, in.len);

	if (in.len == 0)
		return false;
	if (n > 0) {
		im->skip.literal -= n;
		imap_consume(im, n);
		return true;
	}
	return skip_line(im, in);
}

/* Refuse a command before all of it is here; in is what there is of it. */
static void
refuse_early(struct imap *im, struct span in, size_t have, uint64_t literal,
    const char *answer)
{
	char text[sizeof(im->skip.answer)];

	imap_take_tag(im, in);
	arena_reset(&im->arena);
	snprintf(text, sizeof(text), "%.80s %s", im->tag, answer);
	imap_consume(im, have);
	if (++im->errors >= (uint64_t)conf.imapd_error_limit)
		imap_bye(im, "Too many invalid commands",
		    "Too many invalid IMAP commands.");
	else
		imap_skip(im, literal, text);
}

/* A literal is announced.  False: wait, or the command is refused. */
static bool
literal_input(struct imap *im, struct span in)
{
	struct frame *f = &im->frame;
	const char *too = "NO [TOOBIG] Literal too large.";

	if (append_takes(im, span_sub(in, 0, f->literal_at)))
		return true;
	if (f->literal > (uint64_t)conf.imapd_literal_limit ||
	    f->literal_at + f->literal >
	    (uint64_t)conf.imapd_command_size_limit) {
		if (f->sync) {
			imap_take_tag(im, in);
			buf_addf(&im->out, "%s %s\r\n", im->tag, too);
			imap_consume(im, f->literal_at);
			arena_reset(&im->arena);
		} else if (f->literal == UINT64_MAX) {
			imap_bye(im, "Literal too large",
			    "[TOOBIG] Literal too large.");
			return false;
		} else {
			refuse_early(im, in, f->literal_at, f->literal, too);
		}
		return true;
	}
	if (f->sync)
		buf_add_str(&im->out, "+ OK\r\n");
	frame_accept(f);
	return true;
}

static bool
command_input(struct imap *im)
{
	struct span in = imap_input(im);
	char line[64];
	size_t len, text;

	switch (frame_next(&im->frame, in, (size_t)conf.imapd_line_limit, &len,
	    &text)) {
	case FRAME_MORE:
		stream_want(im->conn->stream, im->frame.at + 1);
		return false;
	case FRAME_LITERAL:
		return literal_input(im, in);
	case FRAME_TOO_LONG:
		snprintf(line, sizeof(line), "BAD [TOOBIG] Too long line.");
		refuse_early(im, in, im->frame.line, 0, line);
		return true;
	case FRAME_COMMAND:
		break;
	}
	imap_command(im, span_sub(in, 0, text));
	imap_consume(im, len);
	return true;
}

bool
imap_take_input(struct imap *im)
{
	switch (im->mode) {
	case MODE_COMMAND:	return command_input(im);
	case MODE_APPEND:	return append_input(im);
	case MODE_IDLE:		return idle_input(im);
	case MODE_SKIP:		return skip_input(im);
	case MODE_RETURN:
	case MODE_END:		break;
	}
	return false;
}
