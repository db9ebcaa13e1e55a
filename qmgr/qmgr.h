/* SPDX-License-Identifier: ISC */
/*
 * qmgr - the queue manager's own structures.
 *
 * A message comes from the log (intake.c, through the feed) or from deferred/
 * (when it is due), becomes active while there is room, has its recipients
 * resolved (resolve.c), waits as jobs in the queues of its destinations
 * (sched.c), and is handed to agents in deliveries (agent.c).  When no
 * recipient is under way any more its round is over (round.c): notices are
 * asked for (notice.c), and it is finished (state.c) or becomes or stays a
 * queue file (file.c, later.c).
 *
 * Recipients move through the states below by message.c's functions only,
 * which keep the counters; a message whose counters say that nothing is under
 * way is settled at the end of the loop's turn.
 */
#ifndef QMGR_QMGR_H
#define QMGR_QMGR_H

#include "base/arena.h"
#include "base/array.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/why.h"
#include "io/loop.h"
#include "ipc/ipc.h"
#include "ipc/msg_bounce.h"
#include "ipc/msg_deliver.h"
#include "ipc/msg_feed.h"
#include "ipc/msg_qctl.h"
#include "ipc/msg_rewrite.h"
#include "qmgr/book.h"
#include "qmgr/later.h"
#include "qmgr/retry.h"
#include "qmgr/state.h"
#include "queue/envelope.h"
#include "queue/qmsg.h"
#include "queue/spool.h"

#define NO_RCPT		UINT32_MAX

/* --- messages ----------------------------------------------------------------- */

enum rcpt_state {
	R_FRESH = 0,	/* waits for its turn to be resolved */
	R_RESOLVING,	/* rewrite is asked */
	R_QUEUED,	/* in a job */
	R_SENT,		/* in a delivery */
	R_SETTLING,	/* delivered, durable at the agent's checkpoint */
	R_DELIVERED,	/* delivered and durable in this round */
	R_DEFERRED,	/* this round is over for it: later */
	R_BOUNCED,	/* this round is over for it: never; notice due */
	R_DONE,		/* nothing is left to do */
};

struct mrcpt {
	uint32_t	next;		/* in its job's or waiter's chain */
	uint8_t		state;		/* enum rcpt_state */
	uint8_t		crashes;	/* agents that died with it */
	uint8_t		returns;
	bool		recovered;	/* may have been delivered before */
	bool		notify_success;	/* success notice due */
	bool		noted;		/* state/ knows it is finished */
	bool		expanded, relayed;
	bool		best_mx;	/* goes by best_mx_transport */
};

enum message_source { FROM_LOG, FROM_LARGE, FROM_FILE };
enum message_fate { FATE_NONE, FATE_HOLD, FATE_DELETE, FATE_REQUEUE };

struct job;

struct message {
	struct list	link;		/* qm.messages */
	struct list	jobs;		/* struct job, by message_link */
	struct list	wait;		/* qm.fresh, qm.unfiled, sync.. */
	enum message_source source;
	enum spool_queue file_queue;	/* FROM_FILE: where it lies */
	enum spool_queue want_queue;	/* where it goes, when that failed */
	struct qlog_pos	pos;		/* of the record; not FROM_FILE */
	uint64_t	off, len;	/* of the content in its file */
	char		*blob;		/* the encoded envelope */
	struct envelope	env;		/* points into blob and texts */
	struct arena	texts;
	struct mrcpt	*mr;		/* beside env.rcpts */
	uint32_t	next_fresh;	/* first that may be R_FRESH */
	/* Recipients by state. */
	uint32_t	n_fresh, n_assigned; /* RESOLVING, QUEUED, SENT */
	uint32_t	n_resolving;
	uint32_t	n_settling, n_delivered, n_deferred, n_bounced;
	uint32_t	n_notices;	/* requests under way */
	uint32_t	refs;		/* deliveries that point here */
	int64_t		active_us;	/* wall clock */
	int64_t		id_us;		/* from the queue id */
	uint64_t	id_seq;
	int64_t		next_us;	/* chosen when filed */
	enum message_fate fate;
	bool		active;		/* counted in qm.n_active */
	bool		over;		/* its round is over: being settled */
	bool		expired;
	bool		late_expire;	/* asked for while it was filed */
	bool		copying;	/* becomes FROM_FILE while it goes on */
	bool		soon;		/* its end must be recorded soon */
	bool		partial_queued;
	struct loop_defer settle;
};

/* --- scheduling ---------------------------------------------------------------- */

struct transport;
struct queue;
struct agent;

/* What one message still has for one destination. */
struct job {
	struct list	queue_link;	/* not before all of m is resolved */
	struct list	message_link;
	struct message	*m;
	struct queue	*q;
	struct span	sender;		/* "": the message's own; in m->texts */
	uint32_t	first, last, count;	/* chain through mrcpt.next */
};

struct slot_use {
	struct agent	*agent;
	uint32_t	n;
};

/* A destination of a transport: a next hop, or one recipient. */
struct queue {
	struct list	ready;		/* transport->ready */
	struct list	jobs;
	uint32_t	n_jobs;		/* also those not in the list yet */
	struct transport *t;
	struct hash_entry *entry;	/* in transport->queues */
	char		*nexthop;
	struct heap_node wake;		/* qm.wakes: dead_until, not_before */
	struct window	window;
	int64_t		busy;		/* slots in use */
	ARRAY(struct slot_use) slots;	/* when batches count as one */
	bool		blocked;	/* waits for one of its deliveries */
	int64_t		not_before_ms;	/* rate delay */
	char		dead_dsn[16];
	char		*dead_text;
};

struct tparams {
	struct window_limits window;
	int64_t		recipient_limit;
	int64_t		batch_limit;	/* messages of one slot */
	int64_t		rate_delay;	/* seconds */
	int64_t		transport_rate_delay;
	int64_t		process_limit;
};

struct transport {
	struct list	link;		/* qm.transports */
	char		*name;
	char		*path;		/* private/<name> */
	struct tparams	p;
	struct hash	queues;
	struct list	ready;		/* queues that can send */
	struct list	agents;
	uint32_t	n_agents;
	uint32_t	failures;	/* in a row */
	int64_t		dead_until_ms;
	char		dead_text[256];
	int64_t		not_before_ms;	/* transport rate delay */
	int64_t		careful_until_ms; /* an agent died: one at a time */
	struct loop_timer *timer;	/* more agents, rate delay, dead */
	int64_t		full_since_ms;	/* no agent has room; 0 */
	struct list	round;		/* qm.round */
};

struct delivery {
	struct list	link;		/* agent->deliveries */
	struct agent	*agent;
	struct message	*m;
	struct queue	*q;
	uint32_t	tag;
	uint32_t	n, open;	/* recipients, without answer */
	bool		good, down;	/* feedback */
	struct span	sender;		/* as job's */
	bool		lent;		/* reads a log slot */
	uint32_t	lent_slot, lent_generation;
	uint32_t	idx[];		/* in the message; NO_RCPT answered */
};

struct settling {
	uint64_t	serial;
	struct message	*m;
	uint32_t	rcpt;
};

struct agent {
	struct list	link;		/* transport->agents */
	struct transport *t;
	struct ipc_conn	*conn;
	struct list	deliveries;
	uint32_t	n;		/* deliveries under way */
	uint32_t	window;		/* how many it gets at a time */
	uint32_t	capacity;	/* what it asks for instead; 0 */
	bool		retiring;	/* wants no more */
	double		us_each;	/* moving average of one delivery */
	int64_t		last_us, acc_us;
	uint32_t	acc_n;
	int64_t		opened_ms, progress_ms, rest_until_ms;
	ARRAY(struct delivery *) tags;
	uint32_t	free_tag;	/* hint */
	/* Waiting for a checkpoint, oldest first. */
	ARRAY(struct settling) settling;
	size_t		settling_head;
	ARRAY(uint64_t)	known;		/* generation + 1 by slot; 0 none */
	struct loop_timer *timer;	/* no progress, or idle */
};

/* --- everything ----------------------------------------------------------------- */

struct qmgr {
	struct loop	*loop;
	struct spool	 spool;
	struct book	 book;
	struct state	*state;
	struct later	 later;
	struct list	 messages;	/* all in memory */
	struct hash	 by_id;		/* queue id -> message */
	uint32_t	 n_messages, n_active, n_rcpts;
	struct list	 transports;
	struct hash	 by_name;	/* transport name -> transport */
	struct list	 round;		/* transports with something ready */
	struct heap	 wakes;		/* queues, by monotonic ms */
	uint64_t	 deliveries;	/* under way */
	bool		 draining;
	unsigned	 paused;	/* jobs on all: what is due stays */
	struct {			/* since the start, for STATUS */
		uint64_t active, delivered, deferred, bounced, removed,
		    recovered;
	} count;
};

extern struct qmgr qm;

/* message.c, round.c */
struct message *message_new(enum message_source src, const struct qlog_pos *pos,
	    uint64_t off, uint64_t len, struct span envelope, struct why *why);
struct message *message_find(struct span queue_id);
void	 message_activate(struct message *m, bool recovered);
/* Assign more recipients as far as the limits allow. */
void	 message_feed(struct message *m);
void	 rcpt_set(struct message *m, uint32_t i, enum rcpt_state to);
void	 rcpt_defer(struct message *m, uint32_t i, const char *dsn,
	    struct span text);
void	 rcpt_bounce(struct message *m, uint32_t i, const char *dsn,
	    struct span text);
/* The same, with the log line an agent would have written. */
void	 rcpt_defer_logged(struct message *m, uint32_t i, const char *dsn,
	    struct span text);
void	 rcpt_bounce_logged(struct message *m, uint32_t i, const char *dsn,
	    struct span text);
void	 rcpt_drop_logged(struct message *m, uint32_t i, struct span text);
/* Take back what no agent has, and let the round end with this fate. */
void	 message_end_with(struct message *m, enum message_fate fate);
void	 message_expire(struct message *m);
void	 message_notice_done(struct message *m, enum bounce_kind kind, bool ok,
	    struct span text);
void	 message_gone(struct message *m);	/* it is finished: log, free */
void	 message_filed(struct message *m, enum spool_queue q);
void	 message_free(struct message *m);
/* Whether a notice of this kind is about this recipient. */
bool	 message_notice_has(const struct message *m, uint32_t i,
	    enum bounce_kind kind);
/* A descriptor with its content at m->off; *close_it says whether it is the
 * caller's to close.  -1 with why. */
int	 message_content(struct message *m, bool *close_it, struct why *why);
/* Its envelope, with the fates as they are now, for files and listings. */
void	 message_fates(struct message *m);

/* intake.c */
int	 intake_start(struct why *why);
void	 intake_stop(void);
void	 intake_pump(void);		/* there may be room again */
size_t	 intake_backlog(void);		/* messages that wait in the log */
uint64_t intake_heard(void);		/* newer ones have a higher seq */
/* Make one of them active, whatever the limits: the next, unless its seq is
 * above upto, or the one with this id.  NULL when there is none. */
struct message *intake_next(uint64_t upto);
struct message *intake_find(struct span id);
/* Show at most max of them from *from_seq on, which goes up; false when
 * there are no more. */
bool	 intake_each(uint64_t *from_seq, size_t max,
	    void (*fn)(void *arg, const struct envelope *e), void *arg);
/* A deferred message becomes active now.  NULL when that cannot be. */
struct message *intake_file(int64_t id_us, uint64_t seq, bool recovered);
bool	 intake_synced(void);
/* A finished message is durable in state/. */
void	 intake_finished(void *arg, const struct finished *f);

/* resolve.c */
void	 resolve_start(void);
void	 resolve_stop(void);
void	 resolve_rcpt(struct message *m, uint32_t i);
/* smtp found that this host is the best for it; text is the reason if that is
 * the end. */
void	 resolve_best_mx(struct message *m, uint32_t i, struct span text);
void	 resolve_forget(void);		/* empty the cache */
void	 resolve_message_gone(struct message *m);

/* sched.c */
void	 sched_start(void);
void	 sched_config(void);		/* settings have changed */
/* Queue a recipient for its destination, with another sender than the message's
 * unless that is "", or defer it when that is dead. */
void	 sched_assign(struct message *m, uint32_t i, struct span transport,
	    struct span nexthop, struct span address, struct span sender);
/* All of its recipients are resolved: its jobs may go. */
void	 sched_release(struct message *m);
void	 sched_kick(struct transport *t);	/* dispatch at the turn's end */
void	 sched_withdraw(struct message *m);	/* its jobs become fresh */
void	 sched_delivery_done(struct delivery *d);
/* Dead transports and destinations live again: those with this next hop, ""
 * for all. */
void	 sched_flush(struct span site);
void	 transport_failed(struct transport *t, const char *text);

/* agent.c */
struct agent *agent_open(struct transport *t);	/* NULL: unreachable */
bool	 agent_room(const struct agent *a);
/* Whether what it does takes its time waiting, not working. */
bool	 agent_slow(const struct agent *a);
/*
 * Hand out up to n recipients of a job, which is freed with its last one.
 * The delivery, or NULL: the content is out of reach, and the recipients
 * have been deferred.
 */
struct delivery *agent_deliver(struct agent *a, struct job *j, uint32_t n);
void	 agents_drop_segment(uint32_t slot, uint32_t generation);

/* file.c */
void	 file_start(void);
void	 file_stop(void);
/* Write it, or its new state, to a queue file; message_filed() follows when
 * that is durable. */
void	 file_message(struct message *m, enum spool_queue q);
void	 file_remove(struct message *m);
/* Make it a queue file without ending its round, so that the slot of the
 * log is free sooner. */
void	 file_copy(struct message *m);
void	 file_dirty(void);		/* sync within a second */
size_t	 file_pending(void);		/* messages that wait for a sync */

/* notice.c */
void	 notice_start(void);
void	 notice_stop(void);
void	 notice_request(struct message *m, enum bounce_kind kind);
void	 notice_forget(struct message *m);

/* verify.c */
/* Tell verify what has become of a probe whose round is over. */
void	 verify_report(const struct message *m);

/* control.c */
int	 control_start(struct why *why);
void	 control_stop(void);
int	 control_config(struct why *why);
void	 control_accept(int fd, const struct sock_addr *peer, int index);
/* A message of the log has become active: it gets the orders for all. */
void	 ctl_jobs_meet(struct message *m);

/* config.c */
int	 config_master(struct why *why);	/* before the jail */
void	 config_transport(const char *name, struct tparams *p);
bool	 config_deferred_transport(struct span name);

/* logline.c */
void	 log_rcpt(const struct message *m, uint32_t i, const char *relay,
	    const char *dsn, const char *status, struct span text);

#endif
