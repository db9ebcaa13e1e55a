/* SPDX-License-Identifier: ISC */
/*
 * submit - messages that a daemon makes, on their way into the queue.
 */
#ifndef DAEMON_SUBMIT_H
#define DAEMON_SUBMIT_H

#include "base/buf.h"
#include "io/loop.h"

struct submission;
/* The answer: ok means that cleanup has made it durable. */
typedef void submit_fn(void *arg, bool ok, struct span queue_id,
	    struct span text);
void	 submit_start(struct loop *l);
/*
 * Hand a message over: head, then len bytes at offset of fd, then tail.  Takes
 * head, tail, envelope (encoded) and fd.  done is called once, never from
 * here.  It waits while cleanup is away.
 */
struct submission *submit(struct buf *envelope, struct buf *head, int fd,
	    uint64_t offset, uint64_t len, struct buf *tail, submit_fn *done,
	    void *arg);
/* The one who asked has gone: no answer is wanted, but the notice goes on. */
void	 submit_detach(struct submission *s);

#endif
