/* SPDX-License-Identifier: ISC */
/*
 * virtual - from a recipient's address to a mailbox.
 */
#ifndef LOCAL_VIRTUAL_H
#define LOCAL_VIRTUAL_H

#include "base/buf.h"
#include "base/span.h"
#include "base/why.h"
#include "store/store.h"

/* The daemon's hooks: open the tables; become the one owner, if there is
 * one, and start the agent. */
int	 virtual_pre_jail(struct why *why);
int	 virtual_start(struct why *why);

/*
 * What a value of virtual_mailbox_maps says: "path" is an mbox, "path/" a
 * maildir or what store_format says, "maildir:path", "packed:path" and
 * "mbox:path" just that.  The path goes into out, without slashes at its
 * ends; detect says that an existing directory decides itself.  -1 with why
 * when there is no path or it leaves the base.
 */
MUST_CHECK int virtual_parse_mailbox(struct span value,
	    enum store_format dirs, enum store_format *format, bool *detect,
	    struct buf *out, struct why *why);

#endif
