/* SPDX-License-Identifier: ISC */
/*
 * guard_priv - what guard.c knows of clients and users, for guard_file.c,
 * which keeps it over a restart.
 */
#ifndef AUTHD_GUARD_PRIV_H
#define AUTHD_GUARD_PRIV_H

#include "authd/authd.h"

#define GOOD_MAX	8		/* networks remembered for a user */

struct guard_entry {
	struct list	 link;		/* least recently touched first */
	struct span	 key;		/* the table's: "a..." or "u..." */
	unsigned	 failures;
	int64_t		 since_ms;	/* the first of them */
	int64_t		 ban_end_ms;
	bool		 by_hand;
	unsigned char	 last[32];	/* digest of the last password */
	uint64_t	 good[GOOD_MAX];	/* of users: networks */
	unsigned	 ngood;
};

extern struct list guard_by_use;	/* struct guard_entry.link */
extern uint64_t guard_net_key[2];	/* of the hashes in good */

/* The entry, made where make says so; or NULL.  kind: 'a' or 'u'. */
struct guard_entry *guard_find(char kind, struct span name, bool make);

/* --- guard_file.c -------------------------------------------------------------- */

/* Something has changed: the file is written soon, once for many changes. */
void	 guard_file_changed(void);
void	 guard_file_start(struct loop *l);
/* All that is known, as the file's text. */
void	 guard_file_put(struct buf *out);
/* Such a text: how many of its lines make no sense; -1: its first does not, and
 * nothing of it was taken. */
MUST_CHECK int guard_file_take(struct span text);

#endif
