/* SPDX-License-Identifier: ISC */
/*
 * scan - the bytes of a message on their way in: finds the end of DATA,
 * takes stuffed dots away, and turns line ends into LF.
 *
 * Only CR LF "." CR LF ends DATA (RFC 5321 4.1.1.4); the first line of the
 * data counts as if a CR LF stood before it.  A bare LF is a line end for
 * the message's text and never a part of the end.  A bare CR is an ordinary
 * byte.  So no receiver further on that has another idea of a line end can
 * be shown a message within a message: what we send on has CR LF for each LF
 * and dots stuffed anew.
 *
 * Nothing is kept between calls but two bits: bytes whose meaning depends on
 * what follows (a final CR, a dot at the start of a line) are not consumed
 * and are shown again with more behind them.  At most SCAN_PENDING_MAX bytes
 * are left that way.
 */
#ifndef SMTPD_SCAN_H
#define SMTPD_SCAN_H

#include "base/cc.h"
#include "base/span.h"

#define SCAN_PENDING_MAX 3

enum scan_at { SCAN_AFTER_CRLF = 0, SCAN_AFTER_LF, SCAN_IN_LINE };

struct scan {
	enum scan_at	at;
	bool		bare_lf;	/* one was seen in this message */
	uint64_t	lines;		/* line ends given out */
};

enum scan_result { SCAN_MORE, SCAN_END };

/*
 * Go through in; *used bytes are done with, and *out_len bytes were written
 * to out, which has room for in.len.  SCAN_END: the end of DATA was the last
 * thing used.
 */
enum scan_result scan_data(struct scan *s, struct span in, char *out,
	    size_t *used, size_t *out_len);
/*
 * A BDAT chunk's bytes (RFC 3030): no dots, no end, CR LF becomes LF.  A CR
 * at the end of in is left unless final is set: the next chunk may begin
 * with the LF.
 */
void	 scan_chunk(struct scan *s, struct span in, bool final, char *out,
	    size_t *used, size_t *out_len);

#endif
