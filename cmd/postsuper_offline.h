/* SPDX-License-Identifier: ISC */
/*
 * postsuper_offline - act on the queue's files while no qmgr runs.
 *
 * Takes qmgr's lock, so that none can start meanwhile.  Each action keeps the
 * order that qmgr keeps: the new place of a message is durable before state/
 * says that the old one is finished.
 */
#ifndef CMD_POSTSUPER_OFFLINE_H
#define CMD_POSTSUPER_OFFLINE_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "queue/spool.h"

struct offline;

/* NULL with why when qmgr has the lock, or the queue cannot be read. */
struct offline *offline_begin(const struct spool *s, struct why *why);
/* Whether messages of that queue are meant. */
typedef bool offline_wanted_fn(const char *queue);
/* type: QCTL_DELETE, _HOLD, _RELEASE, _REQUEUE, _EXPIRE, _EXPIRE_RELEASE.  1
 * done, 0 there is no such message (or it is so already), -1 with why. */
MUST_CHECK int offline_act(struct offline *o, unsigned type, struct span id,
	    offline_wanted_fn *wanted, struct why *why);
MUST_CHECK int offline_end(struct offline **o, struct why *why);

#endif
