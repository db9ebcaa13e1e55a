/* SPDX-License-Identifier: ISC */
/*
 * virtual_map - from the address of a virtual user to its mailbox: what
 * virtual_mailbox_maps, virtual_uid_maps and virtual_gid_maps say.
 *
 * virtual(8) delivers by it and authd(8) tells sessions by it where to read,
 * so the two cannot differ.  Each table is asked for the whole address, then
 * without extension, then for @domain (pattern tables: the whole address
 * only), in lower case.  A table that cannot be read is a temporary failure;
 * it never makes a user unknown.
 */
#ifndef STORE_VIRTUAL_MAP_H
#define STORE_VIRTUAL_MAP_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "store/store.h"

struct virtual_map;

struct virtual_place {
	enum store_format	format;
	bool			detect;	/* an existing directory decides */
	struct buf		path;	/* below virtual_mailbox_base */
	uid_t			uid;
	gid_t			gid;
};

#define VIRTUAL_PATH_MAX	4096	/* bytes of place.path */

struct maps;

/*
 * maps_get() for an address, in Postfix's order: all of it, without its
 * extension, @domain.
 */
MUST_CHECK int virtual_maps_get(struct maps *m, struct span addr,
	    struct buf *out, struct why *why);
/* Below which mailboxes lie: virtual_mailbox_base, or else store_directory. */
const char *virtual_map_base(void);
/* Open the tables that the settings name, before rights are given up.  NULL
 * with why. */
struct virtual_map *virtual_map_new(struct why *why);
void	 virtual_map_free(struct virtual_map **v);
/* Whether all mailboxes have the same owner. */
bool	 virtual_map_one_owner(const struct virtual_map *m, uid_t *uid,
	    gid_t *gid);
/*
 * Fill *out, whose path is a buf of the caller's.  1 found; 0 no such user;
 * -1 with why: temporary, what is wrong with the tables is in the log.
 */
MUST_CHECK int virtual_map_find(struct virtual_map *m, struct span addr,
	    struct virtual_place *out, struct why *why);

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
/* Whether those tables can have these values; see maps_judge(). */
MUST_CHECK int virtual_judge_mailbox(struct span value, struct why *why);
MUST_CHECK int virtual_judge_uid(struct span value, struct why *why);
MUST_CHECK int virtual_judge_gid(struct span value, struct why *why);

#endif
