/* SPDX-License-Identifier: ISC */
/*
 * queue_client - what postqueue, postsuper and postcat share: settings, the
 * queue's list, requests to qmgr.
 */
#ifndef CMD_QUEUE_CLIENT_H
#define CMD_QUEUE_CLIENT_H

#include "base/cc.h"
#include "base/why.h"
#include "ipc/msg_qctl.h"
#include "queue/envelope.h"
#include "queue/spool.h"

/*
 * Read main.cf of config_dir (NULL: as every program) and go to the queue
 * directory; ends the process when either fails.
 */
void	 queue_client_start(const char *config_dir, struct spool *spool);

typedef bool queue_entry_fn(void *arg, const char *queue,
	    const struct envelope *e);
/*
 * Every queued message, from showq; when the mail system is down and we may,
 * from the files.  0, or -1 with why.  *down says that it is.
 */
MUST_CHECK int queue_client_list(const struct spool *spool,
	    queue_entry_fn *fn, void *arg, bool *down, struct why *why);

/* A connection to qmgr; NULL with why when the mail system is down. */
struct ipc_sync *queue_client_qmgr(struct why *why);
/* One request, its count in *n.  -1 with why: refused, or no answer. */
MUST_CHECK int queue_client_ask(struct ipc_sync *q, uint16_t type,
	    struct span arg, uint32_t *n, struct why *why);

#endif
