/* SPDX-License-Identifier: ISC */
/*
 * lines - what is to be known of a message's lines before it is sent: how
 * many bytes its CRLF form has more, and whether the last line has its end.
 *
 * POP3 ends a last line that has none (RFC 1939 3), and says so in the size
 * beforehand; IMAP does not.
 */
#ifndef STORE_LINES_H
#define STORE_LINES_H

#include "base/span.h"

struct line_count {
	uint64_t	bare;	/* line ends without a CR */
	char		last;	/* byte; '\n' when there was none */
};
#define LINE_COUNT_INIT { 0, '\n' }

/* The next piece of the message. */
void	 line_count_add(struct line_count *c, struct span s);
/* For packed_arrival.how: PACKED_ENDED or PACKED_OPEN. */
uint32_t line_count_how(const struct line_count *c);

#endif
