/* SPDX-License-Identifier: ISC */
/*
 * ipc_client - see ipc.h: one connection to a service, made again when lost.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/ipc.h"

#define BACKOFF_FIRST_MS	50
#define BACKOFF_MAX_MS		5000

struct ipc_client {
	struct loop			*loop;
	char				*path;
	const struct ipc_proto		*proto;
	const struct ipc_client_ops	*ops;
	void				*arg;
	struct ipc_conn			*conn;
	struct loop_timer		*timer;
	int64_t				 retry_ms;	/* not before; 0: now */
	int64_t				 backoff_ms;
	bool				 away;		/* and logged */
	bool				 freed;
	unsigned			 depth;
};

static void
enter(struct ipc_client *c)
{
	c->depth++;
}

static void
leave(struct ipc_client *c)
{
	if (--c->depth == 0 && c->freed)
		mem_free(c);
}

static void
retry_later(struct ipc_client *c)
{
	c->retry_ms = loop_now_ms(c->loop) + c->backoff_ms;
	loop_timer_set(c->timer, c->backoff_ms);
	c->backoff_ms = MIN(c->backoff_ms * 2, BACKOFF_MAX_MS);
}

static int
client_frame(void *arg, struct ipc_conn *conn, const struct ipc_frame *f)
{
	struct ipc_client *c = arg;
	int rc;

	enter(c);
	rc = c->ops->on_frame(c->arg, conn, f);
	leave(c);
	return rc;
}

static void
client_ready(void *arg, struct ipc_conn *conn)
{
	struct ipc_client *c = arg;

	enter(c);
	c->backoff_ms = BACKOFF_FIRST_MS;
	if (c->away)
		log_info("%s: service is back", c->path);
	c->away = false;
	if (c->ops->on_up != NULL)
		c->ops->on_up(c->arg, conn);
	leave(c);
}

static void
client_drain(void *arg, struct ipc_conn *conn)
{
	struct ipc_client *c = arg;

	enter(c);
	if (c->ops->on_drain != NULL)
		c->ops->on_drain(c->arg, conn);
	leave(c);
}

static void
client_end(void *arg, struct ipc_conn *conn)
{
	struct ipc_client *c = arg;

	enter(c);
	ipc_conn_free(&c->conn);
	retry_later(c);
	c->ops->on_down(c->arg);
	leave(c);
}

static const struct ipc_ops conn_ops = {
	.on_frame = client_frame, .on_drain = client_drain,
	.on_ready = client_ready, .on_end = client_end,
};

static void
try_connect(struct ipc_client *c)
{
	int fd = sock_connect_unix(c->path, 0);

	if (fd < 0) {
		if (!c->away)
			log_warning("connect to %s: %m", c->path);
		c->away = true;
		retry_later(c);
		return;
	}
	loop_timer_cancel(c->timer);
	c->retry_ms = 0;
	c->conn = ipc_conn_new(c->loop, fd, c->proto, &conn_ops, c);
}

static void
timer_fired(void *arg)
{
	struct ipc_client *c = arg;

	if (c->conn == NULL)
		try_connect(c);
}

struct ipc_client *
ipc_client_new(struct loop *l, const char *path, const struct ipc_proto *p,
    const struct ipc_client_ops *ops, void *arg)
{
	struct ipc_client *c = mem_zalloc(sizeof(*c));

	c->loop = l;
	c->path = mem_strdup(path);
	c->proto = p;
	c->ops = ops;
	c->arg = arg;
	c->backoff_ms = BACKOFF_FIRST_MS;
	c->timer = loop_timer_new(l, timer_fired, c);
	try_connect(c);
	return c;
}

struct ipc_conn *
ipc_client_conn(struct ipc_client *c)
{
	if (c->conn == NULL && !c->freed &&
	    loop_now_ms(c->loop) >= c->retry_ms)
		try_connect(c);
	return c->conn;
}

void
ipc_client_free(struct ipc_client **cp)
{
	struct ipc_client *c = *cp;

	*cp = NULL;
	if (c == NULL || c->freed)
		return;
	enter(c);
	c->freed = true;
	ipc_conn_free(&c->conn);
	loop_timer_free(&c->timer);
	mem_free(c->path);
	leave(c);
}
