/* SPDX-License-Identifier: ISC */
/*
 * hash - a table from byte strings to pointers.
 *
 * Keys are copied.  The hash is SipHash-1-3 with a random key per process, so
 * a peer that chooses the keys cannot choose the collisions.  Values belong
 * to the caller.  The table grows; it is not bounded here.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/cc.h"
#include "base/span.h"

struct hash_entry {
	struct hash_entry	*next;		/* private */
	uint64_t		 h;		/* private */
	void			*value;
	struct span		 key;		/* ends with '\0' too */
};

struct hash {
	struct hash_entry	**buckets;
	size_t			  nbuckets;	/* a power of two, or 0 */
	size_t			  count;
};

#define HASH_INIT	((struct hash){ NULL, 0, 0 })

/* SipHash-1-3 of the bytes under the process's random key. */
uint64_t hash_bytes(struct span s);
/* The same under a key of the caller's: what is to be equal everywhere and
 * always. */
uint64_t hash_bytes_with(const uint64_t k[2], struct span s);
/* The entry, or NULL.  Good until the key is deleted. */
struct hash_entry *hash_find(const struct hash *h, struct span key);
/* The value, or NULL. */
void	*hash_get(const struct hash *h, struct span key);
/* The entry for key, made (value NULL) when there is none; *made says so. */
struct hash_entry *hash_enter(struct hash *h, struct span key, bool *made);
/* Set key's value and return the value it had, or NULL. */
void	*hash_put(struct hash *h, struct span key, void *value);
/* Delete key and return the value it had, or NULL. */
void	*hash_del(struct hash *h, struct span key);
/*
 * Call fn for every entry, in no order.  fn may delete the entry it is given
 * and no other, and may not add any.
 */
void	 hash_each(struct hash *h, void (*fn)(struct hash_entry *, void *arg),
	    void *arg);
/* Free the table; free_value, if not NULL, is called for each value. */
void	 hash_fini(struct hash *h, void (*free_value)(void *));

#endif
