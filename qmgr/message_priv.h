/* SPDX-License-Identifier: ISC */
/*
 * message_priv - what message.c and round.c, the end of a round, have of each
 * other.
 */
#ifndef QMGR_MESSAGE_PRIV_H
#define QMGR_MESSAGE_PRIV_H

#include "qmgr/qmgr.h"

/* message.c */
/* Whether some recipient is under way or may become so. */
bool	 message_has_work(const struct message *m);
/* Keep qm.n_active right, after a change of that. */
void	 message_count_active(struct message *m);
/* An alias that cleanup expanded: the notice is due at the end of the first
 * round, however often the message was filed before (hold, FUTURERELEASE). */
bool	 message_expansion_untold(const struct rcpt *r);

/* round.c */
/* At the end of the turn in which something came to its end: is it over? */
void	 message_settle(void *message);
/* Notices are durable, nothing is under way: finish it or file it. */
void	 message_conclude(struct message *m);

#endif
