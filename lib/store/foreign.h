/* SPDX-License-Identifier: ISC */
/*
 * foreign - what other mail servers keep beside the messages: their UIDs,
 * keywords and POP3 unique ids, as their clients know them.
 *
 *	Dovecot's Maildir	dovecot-uidlist, dovecot-keywords
 *	Courier's Maildir	courierimapuiddb, courierpop3dsizelist,
 *				courierimapkeywords/
 *	mbox			headers: foreign_mbox.h
 *
 * Parsers of bytes, no I/O.  The files are their user's, and hostile: what is
 * wrong in one place is told, with the number of the line, and passed over;
 * only a file whose first line is wrong is refused whole.
 */
#ifndef STORE_FOREIGN_H
#define STORE_FOREIGN_H

#include "base/array.h"
#include "base/cc.h"
#include "base/hash.h"
#include "base/span.h"
#include "base/why.h"

#define FOREIGN_FILE_MAX	(256u << 20)	/* bytes of a file */
#define FOREIGN_LINE_MAX	4096		/* bytes */
#define FOREIGN_WORDS_MAX	4096		/* keywords of a mailbox */
#define FOREIGN_LETTERS		26		/* Dovecot's, 'a' to 'z' */

/* What is known of a message; its key is the file's name up to the ':'. */
struct foreign_message {
	uint32_t	 uid;		/* 0: none */
	char		*uidl;		/* NULL: none was kept */
	char		*guid;		/* Dovecot's, when it is not the name */
	ARRAY(uint32_t)	 words;		/* into foreign.words (Courier) */
};

struct foreign {
	/* Where it is told that something in line n of a file is passed over;
	 * set by the caller, may be NULL. */
	void		(*complain)(void *arg, const char *file, size_t line,
			    const char *what);
	void		*arg;
	uint32_t	 uidvalidity, uidnext;	/* 0: there are no UIDs */
	struct hash	 messages;	/* base name -> foreign_message */
	struct hash	 uids;		/* that some message has */
	ARRAY(char *)	 words;
	int32_t		 letters[FOREIGN_LETTERS];	/* into words, -1 none */
};

void	 foreign_init(struct foreign *f);
void	 foreign_fini(struct foreign *f);
/* What a file is called, for ever: its name up to the ':'. */
struct span foreign_base(struct span name);
/* NULL: nothing is known of it. */
struct foreign_message *foreign_find(const struct foreign *f,
	    struct span name);
/* Whether it can be a keyword in IMAP (RFC 9051 flag-keyword). */
bool	 foreign_word_ok(struct span word);

/* Each takes the bytes of one file.  -1 with why: it is no such file. */
MUST_CHECK int foreign_uidlist(struct foreign *f, struct span text,
	    struct why *why);
void	 foreign_keywords(struct foreign *f, struct span text);
MUST_CHECK int foreign_courier_uids(struct foreign *f, struct span text,
	    struct why *why);
MUST_CHECK int foreign_courier_pop3(struct foreign *f, struct span text,
	    struct why *why);
void	 foreign_courier_list(struct foreign *f, struct span text);
/* courierimapkeywords/NAME: the keywords of a message, one a line. */
void	 foreign_courier_words(struct foreign *f, struct span base,
	    struct span text);

#endif
