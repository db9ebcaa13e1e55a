/* SPDX-License-Identifier: ISC */
/*
 * local - the state of one recipient's delivery, private to this folder.
 *
 * A recipient is expanded like a tree: alias, .forward, :include:, until
 * there are mailboxes, files, commands, and addresses to forward to.  The
 * first three are delivered as they are met; addresses are gathered and go
 * out as new messages at the end, so that each has a queue record of its own.
 * One outcome is answered for the whole tree: deferred if anything was, else
 * bounced if anything was.  When a deferred recipient is tried again, its
 * mailboxes recognise what they have.
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

#include "base/array.h"
#include "base/hash.h"
#include "conf/table.h"
#include "local/agent.h"

#define ALIAS_SHOW_MAX	200	/* bytes of an alias in an answer to a probe */
#define LEVEL_MAX	100	/* aliases in aliases */
#define FORWARD_FILE_MAX (4u << 20)	/* bytes of a .forward, an :include: */

/* A user of the system, or the identity to use in place of one. */
struct user {
	char		*name, *home, *shell;
	uid_t		 uid;
	gid_t		 gid;
};

enum origin { FROM_RCPT, FROM_ALIAS, FROM_FORWARD, FROM_INCLUDE };

/* Where we are in the tree.  Strings live in the job's arena. */
struct attr {
	const char	*local;		/* whole local part, lower case */
	const char	*user;		/* without extension */
	const char	*extension;	/* "" */
	const char	*delimiter;	/* the one that was found, "" */
	const char	*domain;
	const char	*recipient;	/* local@domain */
	struct span	 sender;	/* owner- may replace it */
	const char	*owner;		/* NULL, or whose list this is */
	const struct user *as;		/* whose rights; NULL: nobody's yet */
	enum origin	 origin;
	unsigned	 level;
	bool		 plain;		/* \user: no alias, no .forward */
	const struct attr *up;		/* what it was expanded from */
	const char	*alias;		/* the alias looked up to get here */
};

struct forward {
	const char	*addr;
	struct span	 sender;
	bool		 list;		/* through an owner- alias */
};

struct delivery {
	struct job		*job;
	const struct rcpt	*rcpt;
	struct arena		*arena;
	struct result		*res;
	struct hash		 seen;		/* duplicates */
	ARRAY(struct forward)	 forwards;
	unsigned		 delivered, expansions;
	bool			 probe;		/* say where it would go */
	bool			 soft, hard;	/* something was deferred, bounced */
	bool			 lazy;		/* needs the checkpoint */
	struct why		 why;		/* of the first failure */
	char			 ok[WHY_TEXT_MAX];	/* of the last success */
};

/* Settings worked out at start. */
extern struct local_conf {
	struct maps	*alias_maps, *mailbox_command_maps,
			*mailbox_transport_maps, *fallback_transport_maps;
	struct match_list *mydestination;
	struct quota_map *quotas;
	struct user	 nobody;		/* default_privs */
	unsigned	 locks;
	bool		 command_from[4], file_from[4];	/* by origin */
	bool		 head_command, head_file, head_forward;
} lc;

int	 local_pre_jail(struct why *why);
int	 local_check(struct why *why);
int	 local_start(struct why *why);
void	 local_deliver(struct job *j, const struct rcpt *r, struct result *res);

/* recipient.c: the tree. */
void	 deliver_local(struct delivery *d, const struct attr *a);
void	 deliver_text(struct delivery *d, const struct attr *a,
	    struct span text);
void	 deliver_unknown(struct delivery *d, const struct attr *a);
/* What happened to a branch. */
void	 note_ok(struct delivery *d, bool lazy, const char *fmt, ...)
	    PRINTF(3, 4);
void	 note_fail(struct delivery *d, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
void	 note_why(struct delivery *d, const struct why *why);
/* True the first time: kind is one letter. */
bool	 first_time(struct delivery *d, char kind, unsigned id,
	    const char *what);

/* user.c */
/* 1 found, 0 no such user, -1 with why (temporary).  Kept for a moment. */
MUST_CHECK int user_find(const char *name, const struct user **out,
	    struct why *why);
MUST_CHECK int user_by_uid(uid_t uid, const struct user **out,
	    struct why *why);
/* $user, $home, ... in text; NULL with why. */
char	*expand_local(struct delivery *d, const struct attr *a,
	    const struct user *u, const char *text, const char *filter,
	    struct why *why);

/* dotforward.c: 1: there was one and it was delivered to; 0: none. */
MUST_CHECK int deliver_dotforward(struct delivery *d, const struct attr *a,
	    const struct user *u);
void	 deliver_include(struct delivery *d, const struct attr *a,
	    const char *path);

/* mailbox.c */
void	 deliver_mailbox(struct delivery *d, const struct attr *a,
	    const struct user *u);
void	 deliver_file(struct delivery *d, const struct attr *a,
	    const char *path);

/* command.c */
void	 deliver_command(struct delivery *d, const struct attr *a,
	    const struct user *u, const char *command, bool mailbox);

/* resubmit.c */
void	 add_forward(struct delivery *d, const struct attr *a,
	    const char *addr);
void	 send_forwards(struct delivery *d);
/* Hand over to another transport ("lmtp:unix:private/x") and wait. */
void	 deliver_pass(struct delivery *d, const struct attr *a,
	    const char *transport);

#endif
