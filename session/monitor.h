/* SPDX-License-Identifier: ISC */
/*
 * monitor.h - users, their processes and their connections, as the monitor
 * sees them; private to this folder.
 *
 * A user is an answer of authd, all of it: when a home or a limit changes,
 * the next login is another user here and gets another process.  A user has
 * at most one process that takes connections (older ones, from before a
 * reload, finish what they have).  A connection is with a process, or
 * hibernates here.  A process without connections rests, so that the user's
 * next connection needs no fork, or leaves.
 */
#ifndef SESSION_MONITOR_H
#define SESSION_MONITOR_H

#include "base/array.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "ipc/ipc.h"
#include "ipc/msg_auth.h"
#include "session/control.h"
#include "session/engine.h"

#define MONITOR_ENGINES_MAX	8

struct process;
struct nursery;
struct frozen;
struct front;

struct user {
	struct session_user	 who;
	char			*text;		/* holds who's strings */
	struct span		 key;		/* auth_user; in monitor.users */
	struct list		 conns;		/* conn.of_user */
	struct process		*process;	/* takes connections; or NULL */
	unsigned		 processes;	/* with older ones */
	int64_t			 login_ms[MONITOR_ENGINES_MAX];	/* the last */
};

struct process {
	struct list	 link;		/* monitor.processes */
	struct user	*user;		/* NULL: spare */
	uint32_t	 id;		/* at its nursery */
	struct nursery	*nursery;	/* NULL: gone */
	bool		 texts;		/* it serves engines with texts, too */
	pid_t		 pid;		/* 0: not forked yet */
	bool		 ended;		/* waited for, or nobody does */
	struct ipc_conn	*control;	/* NULL: it has ended */
	uint64_t	 sent;		/* CONN frames */
	unsigned	 nconns;	/* that it has */
	struct list	 rest;		/* monitor.resting */
	int64_t		 rest_ms;	/* monotonic, since when */
	int64_t		 born_ms;	/* when it became a user's */
	bool		 leaving, hurried;
};

struct conn {
	struct list	 of_user;
	struct user	*user;
	struct process	*process;	/* NULL: it hibernates */
	struct frozen	*frozen;	/* then */
	const struct engine *engine;
	uint32_t	 serial;
	uint64_t	 since;		/* wall clock, seconds */
	char		*facts;		/* control_facts, encoded */
	size_t		 facts_len;
	/* What is to wake it, from just before it is frozen. */
	ARRAY(struct watch_link *) watches;
	bool		 changed;	/* already */
	/* Who brought it, and its tag; NULL when that front is gone. */
	struct front	*front;
	uint32_t	 request;
};

struct monitor {
	struct loop	*loop;
	const struct engine *const *engines;
	struct hash	 users;		/* by key */
	struct hash	 conns;		/* by serial */
	struct list	 processes;	/* the one used last at the end */
	unsigned	 nprocesses;	/* without spare */
	unsigned	 nleaving;	/* of them */
	struct list	 resting;	/* process.rest; the longest first */
	unsigned	 nresting;
	struct process	*spare[2];	/* forked, nobody's yet; or NULL;
					 * [1]: with texts */
	uint32_t	 serial;	/* the last one given */
	bool		 draining;
};

extern struct monitor monitor;
extern const struct engine *const monitor_engines[];	/* main.c */

/* --- monitor.c: struct daemon's functions ---------------------------------------- */

int	 monitor_pre_jail(struct why *why);
int	 monitor_check(struct why *why);
int	 monitor_start(struct why *why);
int	 monitor_reload(struct why *why);
void	 monitor_drain(void);
void	 monitor_log_moved(void);

/* --- users.c ---------------------------------------------------------------------- */

/* The user of an answer, made when there is none. */
struct user *user_get(const struct auth_user *a);
/* Forget a user without connections, processes and a login to remember. */
void	 user_settle(struct user *u);
unsigned user_count(const struct user *u, const struct engine *e);
unsigned engine_index(const struct engine *e);

struct conn *conn_new(struct user *u, const struct engine *e,
	    struct span facts);
struct conn *conn_find(uint32_t serial);
void	 conn_free(struct conn *c);
/* Its facts, pointing into it. */
void	 conn_facts(const struct conn *c, struct control_facts *out);

/* --- process.c -------------------------------------------------------------------- */

/* The user's process for an engine, forked when there is none; NULL with
 * why. */
struct process *process_for(struct user *u, const struct engine *e,
	    struct why *why);
/* Give it a connection; fd stays the caller's. */
void	 process_give(struct process *p, struct conn *c, int fd,
	    struct span input, const struct span *state);
/* It has a connection less. */
void	 process_lost(struct process *p);
void	 process_drain(struct process *p, enum session_stop why,
	    uint32_t serial);
/* The user's next connection gets another process; the one that is there
 * finishes what it has. */
void	 process_retire(struct user *u);
/* Have all that rest leave. */
void	 process_rouse(void);
/* It was waited for, with this status; p may be gone after that. */
void	 process_ended(struct process *p, int status);
/* Spare ones have settings that hold no more, or are not needed. */
void	 process_drop_spares(void);

/* --- fork.c ------------------------------------------------------------------------- */

int	 nursery_init(struct why *why);
void	 nursery_renew(void);		/* settings are new */
void	 nursery_drain(void);
void	 nursery_log_moved(void);
void	 nursery_reap(void);		/* a child of ours has ended */
/* Have p forked; *control is our end of its control socket. */
int	 nursery_fork(struct process *p, bool texts, int *control,
	    struct why *why);
void	 nursery_kill(struct process *p);
void	 nursery_forget(struct process *p);	/* before p is freed */

/* --- start.c: fronts --------------------------------------------------------------- */

int	 start_init(struct why *why);
void	 monitor_accept(int fd, const struct sock_addr *peer, int index);
/* The client of c is nobody's any more: give it back to a front, or send it
 * away.  fd and c stay the caller's. */
void	 start_return(const struct conn *c, struct span input, int fd);

/* --- hibernate.c ---------------------------------------------------------------------- */

/* As root and before the sandbox: what many sessions need of the kernel. */
void	 hibernate_raise_limits(void);
int	 hibernate_init(struct why *why);
/* Something to wake c, before it is frozen; takes fd. */
void	 hibernate_watch(struct conn *c, const struct control_watch *m,
	    int fd);
/* Takes fd. */
void	 hibernate(struct conn *c, const struct control_frozen *m, int fd);
/* End a frozen connection with its engine's goodbye; c is gone then. */
void	 hibernate_end(struct conn *c, const char *how);
/* Frees c->frozen and its watches; conn_free() calls it. */
void	 hibernate_forget(struct conn *c);

/* --- admin.c ------------------------------------------------------------------------ */

struct question;
/*
 * Answer to: who (kick: end) whom's sessions, "" for all (nobody's).  *q is
 * NULL at first and belongs to the connection; -1 when its last question is
 * not answered yet.
 */
MUST_CHECK int admin_ask(struct question **q, struct ipc_conn *to,
	    uint32_t tag, struct span whom, bool kick);
void	 admin_go_on(struct question *q);	/* all was read; may be NULL */
void	 admin_forget(struct question **q);

#endif
