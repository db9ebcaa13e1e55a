/* SPDX-License-Identifier: ISC */
/*
 * schema - a message's rows make its struct, its encoder and its decoder.
 *
 *	#define PING_REQUEST(ROW)				\
 *		ROW(STR, name,  64)	 the longest, in bytes	\
 *		ROW(U32, count, 1000)	 the largest accepted
 *	IPC_MESSAGE(ping_request, PING_REQUEST)
 *
 * declares struct ping_request { struct span name; uint32_t count; } and
 *
 *	void ping_request_encode(struct buf *, const struct ping_request *);
 *	int  ping_request_decode(struct ping_request *, struct span body);
 *
 * Every row is required and travels in this order: U32 and U64 as little-
 * endian numbers, BOOL as one byte 0 or 1, STR and BLOB as a u32 length and
 * the bytes.  A STR holds no NUL; a BLOB may.  Decoding refuses (-1) a body
 * that is short, long, or has a value over the row's limit.  Decoded spans
 * point into body.  Encoding a value that decoding would refuse is our bug
 * and panics, naming the row: check or cut what comes from outside before.
 */
#ifndef IPC_SCHEMA_H
#define IPC_SCHEMA_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

void	 ipc_put_u32(struct buf *b, uint32_t v, uint32_t max, const char *row);
void	 ipc_put_u64(struct buf *b, uint64_t v, uint64_t max, const char *row);
void	 ipc_put_bool(struct buf *b, bool v);
void	 ipc_put_str(struct buf *b, struct span s, size_t max, const char *row);
void	 ipc_put_blob(struct buf *b, struct span s, size_t max,
	    const char *row);
MUST_CHECK int ipc_get_u32(struct span *in, uint32_t max, uint32_t *out);
MUST_CHECK int ipc_get_u64(struct span *in, uint64_t max, uint64_t *out);
MUST_CHECK int ipc_get_bool(struct span *in, bool *out);
MUST_CHECK int ipc_get_str(struct span *in, size_t max, struct span *out);
MUST_CHECK int ipc_get_blob(struct span *in, size_t max, struct span *out);

#define IPC_FIELD_STR(name)	struct span name;
#define IPC_FIELD_BLOB(name)	struct span name;
#define IPC_FIELD_U32(name)	uint32_t name;
#define IPC_FIELD_U64(name)	uint64_t name;
#define IPC_FIELD_BOOL(name)	bool name;
#define IPC_FIELD(type, name, max)	IPC_FIELD_##type(name)

#define IPC_ENC_STR(name, max)	ipc_put_str(b, m->name, (max), #name);
#define IPC_ENC_BLOB(name, max)	ipc_put_blob(b, m->name, (max), #name);
#define IPC_ENC_U32(name, max)	ipc_put_u32(b, m->name, (max), #name);
#define IPC_ENC_U64(name, max)	ipc_put_u64(b, m->name, (max), #name);
#define IPC_ENC_BOOL(name, max)	ipc_put_bool(b, m->name);
#define IPC_ENC(type, name, max)	IPC_ENC_##type(name, max)

#define IPC_DEC_STR(name, max)	|| ipc_get_str(&in, (max), &m->name) < 0
#define IPC_DEC_BLOB(name, max)	|| ipc_get_blob(&in, (max), &m->name) < 0
#define IPC_DEC_U32(name, max)	|| ipc_get_u32(&in, (max), &m->name) < 0
#define IPC_DEC_U64(name, max)	|| ipc_get_u64(&in, (max), &m->name) < 0
#define IPC_DEC_BOOL(name, max)	|| ipc_get_bool(&in, &m->name) < 0
#define IPC_DEC(type, name, max)	IPC_DEC_##type(name, max)

#define IPC_MESSAGE(tag, ROWS)						\
struct tag { ROWS(IPC_FIELD) };						\
static inline UNUSED void						\
tag##_encode(struct buf *b, const struct tag *m)			\
{									\
	ROWS(IPC_ENC)							\
}									\
MUST_CHECK static inline UNUSED int					\
tag##_decode(struct tag *m, struct span in)				\
{									\
	return (0 ROWS(IPC_DEC) || in.len != 0) ? -1 : 0;		\
}

#endif
