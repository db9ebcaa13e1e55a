/* SPDX-License-Identifier: ISC */
/*
 * notify - NOTIFY (RFC 5465): being told of what happens, in all mailboxes
 * that a client names, whether a command runs or not.
 *
 *	notify_parse.c	the command's arguments to struct notify
 *	notify.c	what happened, as untagged responses
 */
#ifndef IMAPD_NOTIFY_H
#define IMAPD_NOTIFY_H

#include "base/hash.h"
#include "imapd/fetch.h"
#include "imapd/imap.h"

#define NOTIFY_GROUPS_MAX	32
#define NOTIFY_NAMES_MAX	256	/* in one command */
#define NOTIFY_BOXES_MAX	1000	/* watched; then NOTIFICATIONOVERFLOW */

enum {					/* notify_group.events */
	EVENT_NEW = 1 << 0, EVENT_EXPUNGE = 1 << 1, EVENT_FLAGS = 1 << 2,
	EVENT_NAME = 1 << 3, EVENT_SUBSCRIPTION = 1 << 4,
	EVENT_METADATA = 1 << 5, EVENT_SERVER_METADATA = 1 << 6,
	EVENT_MESSAGES = EVENT_NEW | EVENT_EXPUNGE | EVENT_FLAGS,
};

enum notify_filter {
	FILTER_SELECTED, FILTER_SELECTED_DELAYED, FILTER_INBOXES,
	FILTER_PERSONAL, FILTER_SUBSCRIBED,
	/* with names */
	FILTER_SUBTREE, FILTER_MAILBOXES,
	FILTER_SUBTREE_ONE,	/* RFC 7377: not for NOTIFY */
};

struct notify_group {
	enum notify_filter filter;
	unsigned	 events;
	struct span	*names;		/* SUBTREE, MAILBOXES */
	size_t		 nnames;
};

/* What the client was told of a mailbox. */
struct notify_box {
	char		*name;
	uint32_t	 box;
	unsigned	 flags;		/* BOX_SUBSCRIBED, BOX_CHILDREN */
	bool		 there;		/* seen in this look */
	bool		 no_access;	/* it may be listed and not read */
	bool		 watched;
	struct mailbox_status st;
};

struct notify {
	struct arena	 arena;		/* of the groups */
	bool		 status;	/* the STATUS indicator */
	struct notify_group groups[NOTIFY_GROUPS_MAX];
	size_t		 ngroups;
	struct fetch	*fetch;		/* of new messages in the selected
					 * mailbox, or NULL */
	ARRAY(struct notify_box) boxes;
	uint64_t	 metadata;	/* changes that were told */
};

/*
 * "subtree (a b)": a filter, with its names in a; and whether a mailbox that
 * is not selected passes it.
 */
bool	 notify_scan_filter(struct scan *s, struct arena *a,
	    struct notify_group *g);
bool	 notify_filter_has(struct account *a, const struct notify_group *g,
	    const struct account_box *b);
/* The arguments after SET.  NULL: s says. */
struct notify *notify_scan(struct imap *im, struct scan *s);
void	 notify_free(struct notify **n);
/* What is asked for of the selected mailbox; *delayed: not of expunges while
 * no command runs. */
unsigned notify_selected(const struct notify *n, bool *delayed);
/* What is asked for of another. */
unsigned notify_events(struct account *a, const struct notify *n,
	    const struct account_box *b);

#endif
