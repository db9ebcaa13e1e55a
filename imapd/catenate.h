/* SPDX-License-Identifier: ISC */
/*
 * catenate - a message put together from text and from parts of messages that
 * are there (CATENATE, RFC 4469; URLs of RFC 5092).
 */
#ifndef IMAPD_CATENATE_H
#define IMAPD_CATENATE_H

#include "imapd/imap.h"

enum catenate_next {
	CATENATE_TEXT,		/* the literal at the end of s comes next */
	CATENATE_DONE,		/* the list has ended */
	CATENATE_FAILED,	/* answered */
};

/*
 * Go over the parts from where s stands: behind "(" at first, later behind a
 * TEXT's literal, or, when *utf8 says that it was one of "UTF8 (~{...", before
 * the ")" that closes this; *utf8 is for the literal that comes next then.
 * URLs are added to ap, and their bytes to *total, which is not to exceed
 * append_limit().
 */
enum catenate_next catenate_parts(struct imap *im, struct scan *s,
	    struct append *ap, bool first, bool *utf8, uint64_t *total);

#endif
