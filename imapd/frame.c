/* SPDX-License-Identifier: ISC */
/*
 * frame - see frame.h.
 */
#include "base/num.h"
#include "imapd/frame.h"
#include "mail/chars.h"

void
frame_reset(struct frame *f)
{
	*f = (struct frame){ 0 };
}

bool
frame_announces(struct span line, uint64_t *size, bool *sync)
{
	size_t end, n;

	if (line.len < 3 || line.p[line.len - 1] != '}')
		return false;
	end = line.len - 1;
	*sync = line.p[end - 1] != '+';
	if (!*sync)
		end--;
	for (n = 0; n < end && char_is_digit(line.p[end - n - 1]); n++)
		;
	if (n == 0 || n == end || line.p[end - n - 1] != '{')
		return false;
	if (num_parse_u64(span_sub(line, end - n, n), INT64_MAX, size) != 0)
		*size = UINT64_MAX;
	return true;
}

enum frame_result
frame_next(struct frame *f, struct span in, size_t line_limit, size_t *len,
    size_t *text)
{
	struct span line;
	const char *nl;

	if (f->at >= in.len)
		return FRAME_MORE;
	nl = memchr(in.p + f->at, '\n', in.len - f->at);
	if (nl == NULL) {
		f->at = in.len;
		/* One more may be the CR. */
		return in.len - f->line > line_limit + 1 ? FRAME_TOO_LONG :
		    FRAME_MORE;
	}
	line = span_sub(in, f->line, (size_t)(nl - in.p) - f->line);
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	if (line.len > line_limit)
		return FRAME_TOO_LONG;
	*len = (size_t)(nl - in.p) + 1;
	*text = f->line + line.len;
	if (!frame_announces(line, &f->literal, &f->sync))
		return FRAME_COMMAND;
	f->literal_at = *len;
	return FRAME_LITERAL;
}

void
frame_accept(struct frame *f)
{
	f->line = f->at = f->literal_at + (size_t)f->literal;
}
