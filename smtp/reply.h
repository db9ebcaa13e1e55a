/* SPDX-License-Identifier: ISC */
/*
 * reply - what a server answers (RFC 5321 4.2): one or more lines of a code
 * and text.  A hostile server chooses every byte of it.
 *
 * The lines are put together with spaces, as one text for log and notices;
 * of a long reply only the beginning is kept.  The code is that of the last
 * line.  What is no reply line is an error: going on would mean to take the
 * answer to one command for that to another.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define REPLY_LINE_MAX	4096		/* bytes kept waiting for a line end */
#define REPLY_TEXT_MAX	900		/* bytes kept of the text */
#define REPLY_BYTES_MAX	(64 * 1024)	/* bytes of one reply */

struct reply {
	unsigned	 code;		/* 200 to 599 */
	char		 dsn[12];	/* RFC 2034; "" when there is none */
	struct buf	 text;		/* with code, one line */
	size_t		 bytes;		/* so far */
	unsigned	 lines;
	/* Each line, without its code; NULL: nobody looks. */
	void		(*on_line)(void *arg, unsigned n, struct span line);
	/* Each line as it came: 1 replaced by out, 0 not, -1 the reply is not
	 * to be used; NULL: no filter. */
	int		(*filter)(void *arg, struct span line, struct buf *out);
	struct buf	 filtered;
	void		*arg;
};

enum reply_result { REPLY_MORE, REPLY_DONE, REPLY_BAD };

void	 reply_init(struct reply *r);
void	 reply_fini(struct reply *r);
void	 reply_reset(struct reply *r);
/*
 * Take lines off in until the reply is complete; *used says how many bytes.
 * REPLY_BAD: a line that is none, too long a line, or too many bytes.
 */
enum reply_result reply_feed(struct reply *r, struct span in, size_t *used);

#endif
