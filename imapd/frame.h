/* SPDX-License-Identifier: ISC */
/*
 * frame - where an IMAP command ends (RFC 9051 2.2.1, 4.3, RFC 7888).
 *
 * A command is a line, or lines that each end in the announcement of a
 * literal, "{12}", "{12+}" or "~{12}", with that many bytes behind it.
 * frame_next() looks at what has come so far and says which of these is next;
 * it keeps its place, so no byte is looked at twice.  No I/O, no memory.
 */
#ifndef IMAPD_FRAME_H
#define IMAPD_FRAME_H

#include "base/cc.h"
#include "base/span.h"

struct frame {
	size_t		 line;		/* where the line under way begins */
	size_t		 at;		/* looked at so far */
	/* FRAME_LITERAL: */
	uint64_t	 literal;	/* bytes; UINT64_MAX: more than that */
	size_t		 literal_at;	/* where they begin */
	bool		 sync;		/* the client waits for "+" */
};

enum frame_result {
	FRAME_MORE,		/* wait until frame.at + 1 bytes are there */
	FRAME_LITERAL,		/* a literal is announced: frame_accept() it,
				 * or refuse */
	FRAME_COMMAND,		/* *len bytes are a command, its line end
				 * included; *text of them without it */
	FRAME_TOO_LONG,		/* a line above the limit */
};

void	 frame_reset(struct frame *f);
enum frame_result frame_next(struct frame *f, struct span in,
	    size_t line_limit, size_t *len, size_t *text);
/* The announced literal belongs to the command. */
void	 frame_accept(struct frame *f);
/*
 * The announcement of a literal at the end of a line (without CRLF): its
 * size, UINT64_MAX for one that is no sensible number.  False: there is none.
 */
bool	 frame_announces(struct span line, uint64_t *size, bool *sync);

#endif
