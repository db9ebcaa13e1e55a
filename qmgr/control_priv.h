/* SPDX-License-Identifier: ISC */
/*
 * control_priv - what control.c (who asks for what), order.c (what is done to
 * one message) and ctl_job.c (what is done to all, a piece at a time) share.
 */
#ifndef QMGR_CONTROL_PRIV_H
#define QMGR_CONTROL_PRIV_H

#include "qmgr/qmgr.h"

/* The queues that an order is for. */
enum {
	Q_ACTIVE = 1, Q_INCOMING = 2, Q_DEFERRED = 4, Q_HOLD = 8,
	Q_ALL = Q_ACTIVE | Q_INCOMING | Q_DEFERRED | Q_HOLD
};

struct ctl {				/* a connection */
	struct ipc_conn	*conn;
	struct list	link;
	struct list	jobs;
	unsigned	n_jobs;
	bool		admin, flush, list;
	bool		etrn;		/* came by private/flush */
};

struct order_id {			/* what a queue id is made from */
	int64_t		us;
	uint64_t	seq;
};

/* --- control.c: answers; c may be NULL, who has gone --- */
void	 control_result(struct ctl *c, uint32_t tag, bool ok, uint32_t count,
	    const char *text);
void	 control_envelope(struct ctl *c, uint32_t tag, const char *queue,
	    const struct envelope *e);

/* --- order.c: op is QCTL_FLUSH_ID, _HOLD, _RELEASE, _DELETE, _REQUEUE,
 * _EXPIRE or _EXPIRE_RELEASE; true when it was done --- */
bool	 order_active(struct message *m, unsigned op);
/* There is one in qm.later. */
bool	 order_deferred(struct order_id k, unsigned op);
/* On hold, or on its way there. */
bool	 order_held(struct order_id k, unsigned op);
/* Wherever it is, of the queues that are meant. */
bool	 order_one(struct span id, unsigned op, unsigned queues);

/* --- ctl_job.c --- */
void	 ctl_jobs_open(void);
void	 ctl_jobs_close(void);
/* Do op, or QCTL_LIST or _FLUSH_SITE, to all messages of the queues; c, which
 * may be NULL, is told the end. */
void	 ctl_job_start(struct ctl *c, uint32_t tag, unsigned op,
	    unsigned queues, struct span site);
bool	 ctl_job_site_waits(struct span site);
/* There is room for more of a listing. */
void	 ctl_jobs_go(void);
/* The client has gone.  What was begun for all is done for all. */
void	 ctl_jobs_leave(struct ctl *c);

#endif
