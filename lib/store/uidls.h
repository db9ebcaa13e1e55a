/* SPDX-License-Identifier: ISC */
/*
 * uidls - POP3's unique ids that came with messages from another server.
 *
 * A mailbox with such messages has a text file beside its journal
 * (<box>.uidl, mansio.uidl): "mansio-uidl 1 UIDVALIDITY", then a line "UID
 * unique-id" for each of them.  It is only added to, by an import; of a UID
 * that comes twice the last line holds.  A line without its end was not
 * finished and is none.  What it says of UIDs that are gone means nothing, and
 * a file of another UIDVALIDITY is not this mailbox's.
 */
#ifndef STORE_UIDLS_H
#define STORE_UIDLS_H

#include <sys/stat.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

/* Bytes of an id.  RFC 1939 7 allows 70, but other servers gave out names of
 * files that were longer, and it is those that clients know. */
#define UIDLS_ID_MAX	255
#define UIDLS_FILE_MAX	(256u << 20)	/* bytes */
#define UIDLS_ALONE_NAME "mansio.uidl"	/* in a maildir */
#define UIDLS_SUFFIX	"uidl"		/* packed: packed_name() */

struct uidls_line {
	uint32_t	uid;
	struct span	id;
};

struct uidls {
	uint32_t	uidvalidity;
	struct buf	text;			/* what the lines point into */
	ARRAY(struct uidls_line) v;		/* ascending UIDs */
	struct stat	file;			/* as it was read; st_nlink 0:
						 * there was none */
};

/* Whether an id can be sent: 1 to UIDLS_ID_MAX of 0x21 to 0x7E. */
bool	 uidls_id_ok(struct span id);
void	 uidls_fini(struct uidls *u);
/* Take what text says, which u owns from now on.  -1: no such file. */
MUST_CHECK int uidls_parse(struct uidls *u, struct buf *text);
/*
 * Read the file name in dir.  1, 0 there is none for this UIDVALIDITY, -1 with
 * why.
 */
MUST_CHECK int uidls_load(struct uidls *u, int dir, const char *name,
	    uint32_t uidvalidity, struct why *why);
/* The id of a message; empty: it has none of its own. */
struct span uidls_find(const struct uidls *u, uint32_t uid);
/*
 * Add lines; a file of another UIDVALIDITY is replaced.  They are on stable
 * storage then.  -1 with why.
 */
MUST_CHECK int uidls_add(int dir, const char *name, uint32_t uidvalidity,
	    const struct uidls_line *v, size_t n, struct why *why);

#endif
