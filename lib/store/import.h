/* SPDX-License-Identifier: ISC */
/*
 * import - messages that come from another server, as its clients know them.
 *
 * Where the source has UIDs, the mailbox takes its UIDVALIDITY and each message
 * keeps its UID.  That a UID never means two messages (RFC 9051 2.3.1.1)
 * decides what can be done:
 *
 * - An empty mailbox becomes the source's, all at once: nothing is seen before
 *   import_commit(), and whoever is killed before has changed nothing (but, in
 *   a maildir, files may have come; they are taken over the next time).  The
 *   mailbox goes on as it was meanwhile: what comes in stays, and has UIDs behind
 *   the source's then.
 * - So does a maildir in which there is nothing but files of the source: it may
 *   be the source itself.
 * - A mailbox with the source's UIDVALIDITY was imported from it before: what
 *   has a UID below its UIDNEXT is compared, not stored again; the rest is
 *   added in batches.
 * - Any other is refused, unless its messages are to get new UIDs.
 *
 * A message that is there already is not stored twice, so what was interrupted
 * can be done again.  It is known by its id (RFC 8474 EMAILID), which an
 * import makes from the content, or, in a maildir, from the file's name.
 */
#ifndef STORE_IMPORT_H
#define STORE_IMPORT_H

#include "store/account.h"

#define IMPORT_BATCH	200	/* messages with one sync */

struct import_message {
	struct span	 bytes;
	uint32_t	 uid;		/* 0: a new one.  They ascend, those
					 * without one come last. */
	uint32_t	 flags;		/* STORE_SEEN ... */
	const struct span *keywords;
	size_t		 nkeywords;
	int64_t		 date_us;	/* INTERNALDATE; 0: now */
	struct span	 uidl;		/* POP3's unique id; empty: none */
	/* The name of its file without flags, which a maildir keeps; empty. */
	struct span	 name;
};

struct import_result {
	uint32_t	stored;		/* messages that came in */
	uint32_t	were;		/* that were there already */
	uint32_t	gone;		/* that were there, and are expunged */
	uint32_t	uidls;		/* unique ids kept */
	uint32_t	uidl_twice;	/* not kept: another message has it */
};

struct import;

/*
 * Into box.  uidvalidity and uidnext are the source's; uidvalidity 0: all get
 * new UIDs.  NULL with why: ACCOUNT_EXISTS, it has messages under another
 * UIDVALIDITY.
 */
struct import *import_begin(struct account *a, uint32_t box,
	    uint32_t uidvalidity, uint32_t uidnext, struct why *why);
/* -1 with why; then only import_free() may follow. */
MUST_CHECK int import_add(struct import *im, const struct import_message *m,
	    struct why *why);
/* All is on stable storage then. */
MUST_CHECK int import_commit(struct import *im, struct why *why);
/* What was done so far; after a failure, what remains of it. */
const struct import_result *import_result(const struct import *im);
/* Without a commit: what is not committed is forgotten. */
void	 import_free(struct import **im);

#endif
