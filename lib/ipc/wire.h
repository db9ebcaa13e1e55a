/* SPDX-License-Identifier: ISC */
/*
 * wire - the frame header and HELLO; for both kinds of end, private to ipc.
 */
#ifndef IPC_WIRE_H
#define IPC_WIRE_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define IPC_HELLO_ROWS(ROW)						\
	ROW(STR, name, IPC_NAME_MAX)					\
	ROW(U32, version, UINT32_MAX)
IPC_MESSAGE(ipc_hello, IPC_HELLO_ROWS)

#define IPC_HELLO_MAX	(4 + IPC_NAME_MAX + 4)	/* bytes of body */
/* A service may first have to be started, and wait for its turn. */
#define IPC_HELLO_MS	100000

struct ipc_header {
	uint32_t	len;
	uint16_t	type;
	uint16_t	nfds;
	uint32_t	tag;
};

void	 ipc_header_put(char out[IPC_HEADER_LEN], const struct ipc_header *h);
/*
 * Read a header that the conversation allows: at most one descriptor, at most
 * frame_max bytes, and HELLO first and only there.  -1 with *broken.
 */
MUST_CHECK int ipc_header_get(struct ipc_header *h,
	    const char in[IPC_HEADER_LEN], const struct ipc_proto *p,
	    bool ready, const char **broken);
void	 ipc_hello_put(struct buf *b, const struct ipc_proto *p); /* a frame */
/* Whether body is the HELLO of p; -1 with *broken. */
MUST_CHECK int ipc_hello_check(struct span body, const struct ipc_proto *p,
	    const char **broken);

#endif
