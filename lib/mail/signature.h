/* SPDX-License-Identifier: ISC */
/*
 * signature - which messages cannot contain a string, without reading them.
 *
 * A signature is a set of bits, one for each trigram (three bytes in a row)
 * of what SEARCH looks at: headers and text, decoded to UTF-8 and casemapped
 * (message_text.h).  A string whose trigrams are not all in the signature is
 * not in the message; the other way round says nothing, then one looks.  There
 * are no false negatives for substring search.  A message of a few KiB lets
 * about one random word in ten through.
 */
#ifndef MAIL_SIGNATURE_H
#define MAIL_SIGNATURE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "mail/message.h"

#define SIGNATURE_SIZE	256		/* bytes */
/*
 * A message with more decoded text than this lets everything through: so much
 * text has most trigrams, and going on would cost its delivery milliseconds.
 */
#define SIGNATURE_TEXT_MAX	(128u << 10)	/* bytes */

struct signature {
	uint8_t	bits[SIGNATURE_SIZE];
};

void	 signature_of_message(struct signature *sig, const struct message *m);
/*
 * The same, and append the start of the bodies' text: pieces of what
 * message_text_each() shows, each with a byte behind it that no text has.  A
 * string that is there is certainly in the text, whoever reads it: nothing is
 * appended when a charset was unknown.
 */
#define SIGNATURE_START_MAX	512	/* bytes */
#define SIGNATURE_START_END	((char)0xff)
void	 signature_and_start(struct signature *sig, const struct message *m,
	    struct buf *start);

/*
 * The bits that a search string needs; made once, asked of many messages.
 * A string of less than three bytes may be in any message.
 */
struct signature_query {
	uint16_t	n;		/* bits, 0: all messages pass */
	uint16_t	bit[64];	/* the first of them are enough */
};

/* key is casemapped (casemap.h), as the text was. */
void	 signature_query(struct signature_query *q, struct span key);
/* False: the message does not contain the string.  sig: SIGNATURE_SIZE. */
bool	 signature_may_contain(const uint8_t *sig,
	    const struct signature_query *q);

#endif
