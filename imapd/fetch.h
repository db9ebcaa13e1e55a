/* SPDX-License-Identifier: ISC */
/*
 * fetch - the data items of FETCH (RFC 9051 6.4.5, 7.5.2).
 *
 *	fetch_parse.c	the command's arguments to struct fetch
 *	cmd_fetch.c	the loop over the messages; items that need no bytes
 *	fetch_msg.c	a message's bytes and cache record, when they are needed
 *	fetch_data.c	fetch_write(): items made from them
 *
 * An answer is pieces: text in imap.out, and references to large data, which
 * go out a part at a time (fetch_put_data()).
 */
#ifndef IMAPD_FETCH_H
#define IMAPD_FETCH_H

#include "imapd/imap.h"
#include "mail/message.h"
#include "mail/message_cache.h"

#define FETCH_ITEMS_MAX	250

enum fetch_kind {
	/* cmd_fetch.c writes these. */
	FETCH_UID, FETCH_FLAGS, FETCH_MODSEQ, FETCH_INTERNALDATE, FETCH_SIZE,
	FETCH_EMAILID, FETCH_THREADID, FETCH_SAVEDATE,
	/* fetch_write() does these. */
	FETCH_ENVELOPE, FETCH_BODY, FETCH_BODYSTRUCTURE, FETCH_PREVIEW,
	FETCH_SECTION,			/* BODY[...] */
	FETCH_BINARY,			/* BINARY[...] */
	FETCH_BINARY_SIZE,		/* BINARY.SIZE[...] */
	FETCH_RFC822, FETCH_RFC822_HEADER, FETCH_RFC822_TEXT,
};

struct fetch_item {
	enum fetch_kind	 kind;
	struct section	*section;	/* SECTION, BINARY (path only), ... */
	bool		 partial;	/* <off.len> */
	uint64_t	 off, len;
	bool		 lazy;		/* PREVIEW (LAZY) */
};

struct fetch {
	struct fetch_item *items;
	size_t		 nitems;
	bool		 sets_seen;	/* some item does, without PEEK */
	struct ranges	 seqs;		/* or, with VANISHED, what is left */
	uint64_t	 changed_since;	/* RFC 7162; 0: all */
	bool		 vanished;
	bool		 has_partial;	/* RFC 9394 PARTIAL 1:100 */
	int64_t		 partial_from, partial_to;
	struct ranges	 uids;		/* as asked for, for VANISHED */
	/* Where we are: */
	struct ranges_walk at;
	struct fetch_msg *msg;		/* being sent in pieces */
	bool		 down;		/* from the last one on */
	bool		 began;		/* \Seen is set, VANISHED said */
	const char	*failed_code;	/* of the tagged NO at the end */
	const char	*failed;
	uint32_t	 nmessages;
};

/* Large data that is not copied into imap.out at once. */
struct fetch_piece {
	size_t		 at;		/* behind that many bytes of text */
	struct section_text text;	/* read on with section_read() */
	uint64_t	 left;		/* bytes of it */
};

/* One message being answered. */
struct fetch_msg {
	struct imap	*im;
	struct mailbox	*box;
	uint32_t	 seq;
	struct mailbox_message m;
	struct arena	*arena;		/* for as long as this message */
	/* fetch_msg.c's, loaded at first use: */
	bool		 has_record, has_content, has_parsed;
	enum message_cache_part part;	/* of the record */
	bool		 has_header;	/* parsed, but only the header */
	bool		 damaged;	/* something is not what was stored */
	struct mailbox_content record, content;
	struct message_cache cache;
	struct message	 parsed;
	/* cmd_fetch.c's: */
	struct buf	 text;		/* the answer but for the pieces */
	ARRAY(struct fetch_piece) pieces;
	size_t		 piece, sent;
};

/* The arguments; the items live in the command's arena.  False: s says. */
bool	 fetch_scan(struct imap *im, struct scan *s, struct fetch *f);

/* The items alone, into the scan's arena. */
bool	 fetch_scan_items(struct imap *im, struct scan *s, struct fetch *f);
/* A list of them that outlives the command, into a.  NULL: s says. */
struct fetch *fetch_scan_kept(struct imap *im, struct scan *s,
	    struct arena *a);
/* Answer for one message now, whether the client takes it or not (NOTIFY). */
void	 fetch_one(struct imap *im, struct fetch *f, uint32_t seq);
/* Also answer what another list has; its sections are shared. */
void	 fetch_merge(struct arena *a, struct fetch *f,
	    const struct fetch *more);
/* Also answer kind, if it is not asked for, in front; FLAGS (and MODSEQ). */
void	 fetch_add_first(struct imap *im, struct fetch *f,
	    enum fetch_kind kind);
void	 fetch_add_flags(struct imap *im, struct fetch *f);

/*
 * fetch_msg.c: what of a message is needed.  NULL with why: gone, or its
 * bytes cannot be had.  What they return is good until fetch_msg_fini().
 */
void	 fetch_msg_init(struct fetch_msg *m, struct imap *im, uint32_t seq,
	    struct arena *arena);
void	 fetch_msg_fini(struct fetch_msg *m);
/*
 * Behind an answer for which it was read: say so when the message is damaged.
 * What is left of one is shown, so that a person may save it, but nobody shall
 * take it for what was stored.  (RFC 9051 7.1.2, RFC 5530 3)
 */
void	 fetch_msg_tell(const struct fetch_msg *m);
/* This part of its cache record at least. */
const struct message_cache *fetch_msg_cache(struct fetch_msg *m,
	    enum message_cache_part part, struct why *why);
const struct message *fetch_msg_parsed(struct fetch_msg *m, struct why *why);
/*
 * Certainly not there, as far as that can be said without taking the message
 * apart: the word, in the whole message or in its header.
 */
bool	 fetch_msg_lacks_word(struct fetch_msg *m, bool header,
	    const struct message_key *k);
/* The root alone, with its sizes, which is cheaper. */
const struct message *fetch_msg_header(struct fetch_msg *m, struct why *why);

/*
 * fetch_data.c: append one item, "ENVELOPE (...)", "BODY[1]<0> {3}\r\nabc",
 * to m->text.  0; -1 with why; 1: BINARY cannot decode it, and nothing was
 * appended.
 */
MUST_CHECK int fetch_write(struct fetch_msg *m, const struct fetch_item *it,
	    struct why *why);
/*
 * cmd_fetch.c: n bytes of a section from where it stands come here; small
 * ones are copied, large ones when the client takes them.  The section's bytes
 * stay good until fetch_msg_fini().
 */
void	 fetch_put_data(struct fetch_msg *m, const struct section_text *t,
	    uint64_t n);

#endif
