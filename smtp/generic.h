/* SPDX-License-Identifier: ISC */
/*
 * generic - smtp_generic_maps: addresses as the world should see them
 * (generic(5)), found before anything is said to a host.
 */
#ifndef SMTP_GENERIC_H
#define SMTP_GENERIC_H

#include <stdint.h>

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "queue/envelope.h"

struct generic;

/* All answers are there.  why's code is "" when all is well, and otherwise
 * 4.x.x: the message must wait. */
typedef void generic_fn(void *arg, const struct why *why);

/*
 * Ask for every address in the envelope and in the header of the message at
 * offset in fd.  fn is never called from within.  NULL with why: the message
 * cannot be read.
 */
struct generic *generic_start(const char *maps, bool propagate,
	    const struct envelope *e, int fd, uint64_t offset, uint64_t len,
	    generic_fn *fn, void *arg, struct why *why);
void	 generic_free(struct generic **g);
/* What takes addr's place; addr itself when nothing does.  g may be NULL. */
struct span generic_find(const struct generic *g, struct span addr);

/* Whether the header field holds addresses that are mapped. */
bool	 generic_is_address_field(struct span name);

#endif
