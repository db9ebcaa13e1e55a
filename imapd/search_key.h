/* SPDX-License-Identifier: ISC */
/*
 * search_key - search keys as a tree: what search_parse.c makes and
 * search_run.c asks.  Private to these two.
 */
#ifndef IMAPD_SEARCH_KEY_H
#define IMAPD_SEARCH_KEY_H

#include "imapd/search.h"
#include "mail/message_text.h"
#include "mail/signature.h"

#define SEARCH_KEYS_MAX		10000	/* in one command */
#define SEARCH_NESTING_MAX	500	/* NOT, OR and parentheses */

enum search_kind {
	/* Answered by the index. */
	SEARCH_ALL, SEARCH_SET,
	SEARCH_UIDS,			/* want < UID < num */
	SEARCH_FLAGS,			/* (flags & mask) == want */
	SEARCH_KEYWORD,
	SEARCH_BEFORE, SEARCH_ON, SEARCH_SINCE,		/* INTERNALDATE */
	SEARCH_SAVED_BEFORE, SEARCH_SAVED_ON, SEARCH_SAVED_SINCE,
	SEARCH_OLDER, SEARCH_YOUNGER,			/* RFC 5032 */
	SEARCH_LARGER, SEARCH_SMALLER, SEARCH_MODSEQ,
	SEARCH_EMAILID, SEARCH_THREADID,		/* RFC 8474 */
	/* By the cache record. */
	SEARCH_SENT_BEFORE, SEARCH_SENT_ON, SEARCH_SENT_SINCE,
	/* By the message. */
	SEARCH_HEADER, SEARCH_BODY, SEARCH_TEXT,
	/* Of others. */
	SEARCH_AND, SEARCH_OR, SEARCH_NOT,
	/*
	 * RFC 6203: a string of num words.  Its children: the string as it is,
	 * then for each word itself and its stem.
	 */
	SEARCH_WORDS
};

struct search_key {
	enum search_kind	 kind;
	struct search_key	*next;		/* in its parent */
	struct search_key	*child;		/* AND, OR, NOT */
	uint64_t		 num;		/* days, seconds, bytes, modseq */
	uint32_t		 mask, want;	/* FLAGS */
	struct ranges		 seqs;		/* SET: sequence numbers */
	/* SET, pinned (search_pin()): UIDs, "*" as it was written; seqs is
	 * live then. */
	struct ranges		 uids, live;
	struct search_key	*next_set;
	const char		*name;		/* HEADER: field; KEYWORD, ids */
	struct message_key	 text;		/* HEADER, BODY, TEXT */
	struct signature_query	 query;		/* of text */
};

struct search {
	struct search_key	*top;		/* an AND */
	struct search_key	*sets;		/* all SETs */
	bool			 has_modseq, has_numbers, has_fuzzy;
};

#endif
