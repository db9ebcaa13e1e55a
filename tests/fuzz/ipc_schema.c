/* SPDX-License-Identifier: ISC */
/*
 * ipc_schema: bodies of every message of every conversation.
 *
 * The first byte says which message the rest claims to be.  What decodes must
 * encode to the same bytes: there is one way to say a thing.
 */
#include <stdlib.h>
#include <string.h>

#include "ipc/msg_bounce.h"
#include "ipc/msg_cleanup.h"
#include "ipc/msg_deliver.h"
#include "ipc/msg_feed.h"
#include "ipc/msg_master.h"
#include "ipc/msg_qctl.h"
#include "ipc/msg_rewrite.h"
#include "ipc/msg_submit.h"
#include "ipc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGES(M)							\
	M(bounce_request) M(bounce_result)				\
	M(cleanup_result) M(cleanup_busy)				\
	M(deliver_segment) M(deliver_message) M(deliver_status)		\
	M(deliver_checkpoint)						\
	M(feed_at) M(feed_message) M(feed_release) M(feed_load)		\
	M(master_ctl_service) M(master_ctl_process) M(master_ctl_result) \
	M(qctl_arg) M(qctl_entry) M(qctl_result)			\
	M(rewrite_resolve) M(rewrite_resolved) M(rewrite_lookup)	\
	M(rewrite_found)						\
	M(submit_begin) M(submit_rcpt) M(submit_result) M(submit_verified) \
	M(ipc_hello)

#define TRY(name)							\
static int								\
try_##name(struct span body, struct buf *b)				\
{									\
	struct name m;							\
									\
	if (name##_decode(&m, body) < 0)				\
		return -1;						\
	name##_encode(b, &m);						\
	return 0;							\
}
MESSAGES(TRY)

#define ENTRY(name)	try_##name,
static int (*const tries[])(struct span, struct buf *) = { MESSAGES(ENTRY) };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span body;

	if (size == 0)
		return 0;
	body = span_make(data + 1, size - 1);
	if (tries[data[0] % ARRAY_LEN(tries)](body, &b) == 0 &&
	    !span_eq(buf_span(&b), body))
		abort();
	buf_fini(&b);
	return 0;
}
