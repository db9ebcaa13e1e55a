/* SPDX-License-Identifier: ISC */
/*
 * message_text - the text of a message as SEARCH looks at it.
 *
 * Header fields are shown one by one, unfolded, with RFC 2047 words and RFC
 * 2231 parameters decoded; bodies of text parts, and of message/ parts that
 * are no message, with transfer encoding and charset undone; all in UTF-8 and
 * casemapped (i;unicode-casemap, RFC 5051).  Bytes of a charset that nobody
 * knows, or that are wrong in theirs, stay as they are where they are ASCII
 * and become U+FFFD where not.  The text of a part comes in pieces that overlap
 * by MESSAGE_TEXT_OVERLAP bytes, so that a string of up to that length is whole
 * in one of them.  A field of addresses that writes them in a roundabout way,
 * with comments or routes, has them once more as ENVELOPE does.
 */
#ifndef MAIL_MESSAGE_TEXT_H
#define MAIL_MESSAGE_TEXT_H

#include "mail/message.h"

#define MESSAGE_TEXT_OVERLAP	4096	/* bytes, casemapped */
#define MESSAGE_KEY_MAX		MESSAGE_TEXT_OVERLAP	/* of a search string */

enum message_text_what {
	TEXT_HEADER	= 1 << 0,	/* "NAME: value" of the message */
	TEXT_MIME	= 1 << 1,	/* the same of its parts and of attached
					 * messages */
	TEXT_BODY	= 1 << 2	/* of text parts */
};

/*
 * Call fn for each piece; false from fn ends it.  Returns false when fn did.
 */
bool	 message_text_each(const struct message *m, unsigned what,
	    bool (*fn)(void *arg, struct span text), void *arg);

/*
 * A search string, made once: casemapped.  init: text is UTF-8, copied; -1
 * when it is longer than MESSAGE_KEY_MAX casemapped.  of: bytes, casemapped
 * already, stay the caller's as long as the key.
 */
struct message_key {
	char		*bytes;
	size_t		 len;
	bool		 plain;		/* ASCII that casemap() makes of ASCII, without
					 * control characters */
	bool		 word;		/* the same without spaces */
};
void	 message_key_of(struct message_key *k, char *bytes, size_t len);
MUST_CHECK int message_key_init(struct message_key *k, struct span text);
void	 message_key_fini(struct message_key *k);

/*
 * A text part whose bytes are its text where they are ASCII: neither encoding
 * nor charset has to be undone to say that a plain key is in it.
 */
bool	 message_text_is_plain(const struct message_part *p);
/* Text in a charset that every process decodes alike. */
bool	 message_text_is_known(const struct message_part *p);
/* Whether a plain key is in the bytes of such a part as they are; it may be in
 * its text all the same. */
bool	 message_plain_has(struct span bytes, const struct message_key *k);
/*
 * Whether each word (message_key.word) of the text stands so, but for case, in
 * the bytes of the message, as in mail that is ASCII and not encoded: what is
 * not in these is not in the text then.
 */
bool	 message_words_stand(const struct message *m);
/* The message, of whose words that is known, does not have this one. */
bool	 message_lacks_word(struct span bytes, const struct message_key *k);

/* Whether it is in text that is casemapped. */
bool	 message_key_is_in(struct span text, const struct message_key *k);
/* SEARCH TEXT and BODY: an empty string is in every message. */
bool	 message_has_text(const struct message *m, const struct message_key *k);
bool	 message_has_body(const struct message *m, const struct message_key *k);
/*
 * SEARCH HEADER, SUBJECT, FROM, …: a field of the message's own header with
 * this name has the string in it; the empty string asks for the field.
 */
bool	 message_has_field(const struct message *m, const char *name,
	    const struct message_key *k);

#endif
