/* SPDX-License-Identifier: ISC */
/*
 * import_carry - what came into a mailbox while it was being made anew; for
 * import.c only.
 */
#ifndef STORE_IMPORT_CARRY_H
#define STORE_IMPORT_CARRY_H

#include "store/mailbox_internal.h"

/* The mailbox as others know it, its journal locked.  NULL with why: it is not
 * the one any more that had this UIDVALIDITY. */
struct mailbox *import_lock_now(struct account *a, uint32_t box,
	    uint32_t uidvalidity, struct why *why);
/*
 * Put the messages of now into t, which is packed, with UIDs from *next on;
 * *recent is the first that nobody has seen, or *next as it is then.
 */
MUST_CHECK int import_carry(struct target *t, struct mailbox *now,
	    uint32_t *next, uint32_t *recent, struct why *why);

#endif
