/* SPDX-License-Identifier: ISC */
/*
 * foreign_mbox - the messages of an mbox, with what other servers have put
 * into their headers.
 *
 *	From_ line		the date
 *	Status, X-Status	flags
 *	X-Keywords		keywords
 *	X-UID			the UID
 *	X-IMAPbase, X-IMAP	of the first message: UIDVALIDITY, the greatest
 *				UID so far; one with X-IMAP is no message
 *	X-UIDL			POP3's unique id (UW, Qpopper)
 *	Content-Length		where the body ends, if it does there
 *
 * These headers (but X-UIDL) are not the message's: other servers do not show
 * them to clients, and neither do we.  No I/O; hostile as in foreign.h.
 */
#ifndef STORE_FOREIGN_MBOX_H
#define STORE_FOREIGN_MBOX_H

#include "base/array.h"
#include "base/buf.h"
#include "store/foreign.h"

struct foreign_mail {
	struct buf	 text;		/* the message */
	size_t		 line;		/* of its From_ line */
	int64_t		 date_us;	/* 0: not known */
	uint32_t	 flags;		/* STORE_SEEN ... */
	uint32_t	 uid;		/* 0: none */
	struct span	 uidl;		/* empty: none; of the file's bytes */
	ARRAY(struct span) words;	/* of the file's bytes */
};

struct foreign_mbox {
	struct foreign	*f;		/* complaints; gets uidvalidity and
					 * uidnext with the first message */
	struct span	 rest;
	size_t		 line;		/* lines taken */
	bool		 begun;
	uint32_t	 last_uid;
};

/* all lives as long as *b.  -1: it is no mbox. */
MUST_CHECK int foreign_mbox_init(struct foreign_mbox *b, struct foreign *f,
	    struct span all);
/* The next message; m was zeroed and its text initialised once.  False: there
 * is none. */
bool	 foreign_mbox_next(struct foreign_mbox *b, struct foreign_mail *m);
void	 foreign_mail_fini(struct foreign_mail *m);

#endif
