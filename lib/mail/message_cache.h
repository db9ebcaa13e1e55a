/* SPDX-License-Identifier: ISC */
/*
 * message_cache - all that listing, sorting, threading and searching want to
 * know of a message, in one record that is made once, at delivery.
 *
 * The record is a byte string: version, length and checksums (CRC32C) first,
 * numbers little-endian.  It has parts, one behind the other, each with a
 * checksum of its own, so that who needs little compares little.  It says
 * nothing that the message does not: when it is lost, damaged or of another
 * version, it is made again.  It holds what FETCH ENVELOPE, BODYSTRUCTURE, BODY
 * and PREVIEW answer as it goes over the wire, so that answering is copying.  mansio-store(5) shows the layout.
 */
#ifndef MAIL_MESSAGE_CACHE_H
#define MAIL_MESSAGE_CACHE_H

#include "mail/message.h"
#include "mail/message_text.h"

#define MESSAGE_CACHE_VERSION	5
#define MESSAGE_CACHE_MAX	(1u << 20)	/* bytes of a record, at most */
#define MESSAGE_CACHE_REFS_MAX	200	/* ids of References that are kept:
					 * the first and the last ones */
#define MESSAGE_CACHE_KEY_MAX	1000	/* bytes of a sort key; cut there */
#define MESSAGE_CACHE_PLAIN_MAX	8	/* places of plain text that are kept */
#define MESSAGE_PREVIEW_CHARS	200	/* RFC 8970 3.1 */

enum {					/* message_cache.flags */
	MESSAGE_HAS_DATE	= 1 << 0,	/* sent_s and zone_min are right */
	MESSAGE_HAS_ATTACHMENT	= 1 << 1,
	MESSAGE_IS_REPLY	= 1 << 2,	/* subject was "Re:" or "Fwd:" of
						 * base_subject: RFC 5256 2.1 */
	MESSAGE_HAS_MSGID	= 1 << 3,
	MESSAGE_NO_STRUCTURE	= 1 << 4,	/* too large to be kept: parse */
	MESSAGE_NO_ENVELOPE	= 1 << 5,	/* the same */
	MESSAGE_CUT		= 1 << 6,	/* message.cut */
	MESSAGE_PREVIEW_WORDS	= 1 << 7,	/* the preview's words stand so in
						 * the message's text */
	MESSAGE_WORDS_STAND	= 1 << 8,	/* message_words_stand() */
};

/* Parts of a record; each has those before it. */
enum message_cache_part {
	MESSAGE_CACHE_KEYS,	/* numbers, references, what is sorted by */
	MESSAGE_CACHE_SEARCH,	/* signature, places and start of text */
	MESSAGE_CACHE_ALL,	/* what goes over the wire */
};
#define MESSAGE_CACHE_PARTS	3

/* Where they are: one behind the other, or each with those of other records. */
struct message_cache_bytes {
	struct span	part[MESSAGE_CACHE_PARTS];
};

/* A record taken apart; the spans are of the record. */
struct message_cache {
	uint32_t	flags;
	uint64_t	crlf_size;	/* RFC822.SIZE */
	uint64_t	header_crlf;	/* bytes of the header in CRLF form */
	int64_t		sent_s;		/* Date, seconds since 1970 in UTC */
	int32_t		zone_min;	/* its zone, minutes east */
	/* 64-bit hashes of message ids as RFC 5256 REFERENCES compares them;
	 * 0 is none.  refs: of References, or else the first of In-Reply-To,
	 * the oldest first, little-endian; see message_cache_ref(). */
	uint64_t	msgid;
	uint32_t	nrefs;
	struct span	refs;
	/* Where in the message plain text is (message_text_is_plain()); see
	 * message_cache_plain(). */
	struct span	plain;
	/* Ready for the wire. */
	struct span	envelope, structure, body;
	struct span	preview;	/* UTF-8, not quoted, may be empty */
	struct span	start;		/* of the text: signature_and_start() */
	/* Compare these with span_cmp(): casemapped (RFC 5051). */
	struct span	base_subject;	/* RFC 5256 2.1 */
	struct span	from, to, cc;	/* addr-mailbox of the first address */
	struct span	display_from, display_to;	/* RFC 5957 */
	struct span	signature;	/* SIGNATURE_SIZE bytes (signature.h), or
					 * of another part */
};

/* Append the record of a message that was parsed with message_parse(). */
void	 message_cache_encode(const struct message *m, struct buf *out);
/*
 * The parts of a record that lies in one piece; in may be longer than it.  0,
 * or -1: it is damaged at the start or of another version.
 */
MUST_CHECK int message_cache_split(struct span in,
	    struct message_cache_bytes *out);
/*
 * Take a record apart.  Only the part is compared with its checksum (those
 * behind it may be missing), and the strings of the others are empty.  0, or
 * -1: it is damaged or of another version; make it again.
 */
MUST_CHECK int message_cache_decode(const struct message_cache_bytes *in,
	    enum message_cache_part part, struct message_cache *c);
/* All of a record that lies in one piece. */
MUST_CHECK int message_cache_whole(struct span in, struct message_cache *c);
/* The same of a part that was decoded before and cannot have changed since:
 * its checksum is not looked at again. */
MUST_CHECK int message_cache_again(const struct message_cache_bytes *in,
	    enum message_cache_part part, struct message_cache *c);
/* The bytes that the record at in has, of whatever version; 0: it is damaged
 * at the start. */
size_t	 message_cache_len(struct span in);
/* Reference i, 0 being the oldest. */
uint64_t message_cache_ref(const struct message_cache *c, uint32_t i);
/* Place i of plain text, offset and bytes in the message; false: no more. */
bool	 message_cache_plain(const struct message_cache *c, size_t i,
	    uint64_t *at, uint64_t *len);
/* The start of the text, or the preview, has this string, so BODY and TEXT
 * have it. */
bool	 message_cache_has(const struct message_cache *c,
	    const struct message_key *k);
/* The hash of a message id, as in msgid and refs: never 0. */
uint64_t message_id_hash(struct span id);
/*
 * Append the message's preview (RFC 8970): the start of the first text part,
 * decoded, white space runs as one space, no control characters.  Whether its
 * words stand so in the text that is searched: there was no markup to take
 * out, and nobody reads its charset otherwise.
 */
bool	 message_preview(const struct message *m, struct buf *out);

#endif
