/* SPDX-License-Identifier: ISC */
/*
 * ipc - how the daemons talk: frames over UNIX stream sockets.
 *
 * A frame is a 12-byte header and a body:
 *
 *	u32 len		bytes of body, at most the conversation's limit
 *	u16 type	what the body is: enum of the conversation's header
 *	u16 nfds	descriptors that travel with this frame (0 or 1)
 *	u32 tag		whose frame this is: many requests share a connection
 *
 * all little-endian.  Bodies are made from a schema (schema.h), so both ends
 * agree by construction.  The first frame each way is HELLO with the name
 * and version of the conversation; anything else ends the connection.
 *
 * The other end may be compromised: an unknown type, a body that breaks its
 * schema or a frame over the limit ends that connection, never the process.
 * The process with more privilege checks every field again.
 *
 * Two ends: ipc_conn lives on a loop and never blocks (event-loop daemons);
 * ipc_sync blocks with a deadline on every call (workers and commands).
 */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "io/stream.h"

#define IPC_HEADER_LEN	12
#define IPC_TYPE_HELLO	0	/* conversations number theirs from 1 */
#define IPC_NAME_MAX	32

/* A conversation: who talks to whom about what.  One const per msg_*.h. */
struct ipc_proto {
	const char	*name;		/* "cleanup" */
	uint32_t	 version;
	size_t		 frame_max;	/* bytes of body */
	size_t		 out_max;	/* bytes we queue for a slow peer */
	bool		 secret;	/* leave no copies of it in memory */
};

struct ipc_frame {
	uint16_t	type;
	uint32_t	tag;
	struct span	body;		/* good until the handler returns */
	int		fd;		/* -1, or the handler's to close */
};

/* --- on the loop ------------------------------------------------------- */

struct ipc_conn;

struct ipc_ops {
	/* 0, or -1: the frame breaks the conversation; on_end follows. */
	int	(*on_frame)(void *arg, struct ipc_conn *c,
		    const struct ipc_frame *f);
	/* All output has been taken by the kernel.  May be NULL. */
	void	(*on_drain)(void *arg, struct ipc_conn *c);
	/* The peer's HELLO has come.  May be NULL. */
	void	(*on_ready)(void *arg, struct ipc_conn *c);
	/* The connection is over; the owner calls ipc_conn_free(). */
	void	(*on_end)(void *arg, struct ipc_conn *c);
};

/*
 * An end of an accepted or connected socket; takes fd; sends HELLO.  Frames
 * may be sent at once.  A peer that breaks the conversation is logged.
 */
struct ipc_conn *ipc_conn_new(struct loop *l, int fd,
	    const struct ipc_proto *p, const struct ipc_ops *ops, void *arg);
void	 ipc_conn_free(struct ipc_conn **c);
/*
 * Send a frame: gathered, one write per turn.  ipc_begin() returns the buffer
 * to append the body to (other frames may lie before it), ipc_end() completes
 * the frame; nothing else may happen on c between the two.
 */
struct buf *ipc_begin(struct ipc_conn *c, uint16_t type, uint32_t tag);
void	 ipc_end(struct ipc_conn *c);
void	 ipc_send(struct ipc_conn *c, uint16_t type, uint32_t tag,
	    struct span body);
void	 ipc_send_fd(struct ipc_conn *c, uint16_t type, uint32_t tag,
	    struct span body, int fd);
size_t	 ipc_out_len(const struct ipc_conn *c);
void	 ipc_pause(struct ipc_conn *c);	/* stop reading: flow control */
void	 ipc_resume(struct ipc_conn *c);
bool	 ipc_conn_ready(const struct ipc_conn *c); /* peer's HELLO has come */
/* Credentials of the process at the other end (SO_PEERCRED). */
const struct sock_cred *ipc_conn_peer(const struct ipc_conn *c);
struct stream *ipc_conn_stream(struct ipc_conn *c);

/*
 * A client that keeps one connection to a service and makes it again, with
 * back-off, when it ends.  While there is none, ipc_client_conn() is NULL.
 */
struct ipc_client;
struct ipc_client_ops {
	int	(*on_frame)(void *arg, struct ipc_conn *c,
		    const struct ipc_frame *f);
	void	(*on_drain)(void *arg, struct ipc_conn *c);	/* or NULL */
	/* The service has answered our HELLO.  Or NULL. */
	void	(*on_up)(void *arg, struct ipc_conn *c);
	/* Every request under way is lost; the owner answers for it.  Also
	 * when on_up was not called yet. */
	void	(*on_down)(void *arg);
};
/*
 * path is copied; relative to the queue directory, which is our cwd.  The
 * first connection is tried at once; no handler is called from here.
 */
struct ipc_client *ipc_client_new(struct loop *l, const char *path,
	    const struct ipc_proto *p, const struct ipc_client_ops *ops,
	    void *arg);
/* The connection, made now if there is none (UNIX connects do not wait);
 * NULL when the service is away, or was a moment ago. */
struct ipc_conn *ipc_client_conn(struct ipc_client *c);
void	 ipc_client_free(struct ipc_client **c);

/* --- blocking, with deadlines -------------------------------------------- */

struct ipc_sync;
/* NULL with why.  timeout_ms bounds this, with the peer's HELLO, and is the
 * default of the calls. */
struct ipc_sync *ipc_sync_connect(const char *path, const struct ipc_proto *p,
	    int64_t timeout_ms, struct why *why);
/* The server's end in a worker; takes fd. */
struct ipc_sync *ipc_sync_accept(int fd, const struct ipc_proto *p,
	    int64_t timeout_ms, struct why *why);
void	 ipc_sync_free(struct ipc_sync **s);
int	 ipc_sync_fd(const struct ipc_sync *s);
/* Gathered until ipc_sync_flush() or the next ipc_sync_recv(). */
MUST_CHECK int ipc_sync_send(struct ipc_sync *s, uint16_t type, uint32_t tag,
	    struct span body, struct why *why);
MUST_CHECK int ipc_sync_send_fd(struct ipc_sync *s, uint16_t type,
	    uint32_t tag, struct span body, int fd, struct why *why);
MUST_CHECK int ipc_sync_flush(struct ipc_sync *s, struct why *why);
/*
 * The next frame.  timeout_ms: < 0 the default, 0 only what has arrived.
 * 1: *f, good until the next call; 0: nothing in time; -1: the connection is
 * over, with why ("" code and text when the peer just closed).
 */
MUST_CHECK int ipc_sync_recv(struct ipc_sync *s, struct ipc_frame *f,
	    int64_t timeout_ms, struct why *why);
const struct sock_cred *ipc_sync_peer(const struct ipc_sync *s);

#endif
