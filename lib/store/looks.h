/* SPDX-License-Identifier: ISC */
/*
 * looks - how a file that is mapped is best looked at, place by place.
 *
 * To map a page costs about half of what reading a few hundred bytes costs,
 * whether it is done by a fault, with the pages around it, or for a window of
 * the file in advance; what is mapped costs nothing when it is looked at
 * again.  So looks are counted by window: few of them are better read, many
 * better mapped, and who has looked at much of one window is taken to go on
 * with the next.
 */
#ifndef STORE_LOOKS_H
#define STORE_LOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOKS_WINDOW	(256u << 10)	/* bytes, of whole pages */
#define LOOKS_MANY	20u		/* in a window: map it */

/* All zero to begin with. */
struct looks {
	uint8_t	*v;			/* of each window: how often, MAPPED */
	size_t	 n;
};

/*
 * The byte at offset is about to be looked at, in a file of size bytes of which
 * map is the start.  True: it is in memory that is mapped, if the kernel could
 * do that.
 */
bool	 looks_at(struct looks *l, const char *map, size_t size,
	    uint64_t offset);
/* Another mapping takes the place of the one before; also to free it. */
void	 looks_fini(struct looks *l);

#endif
