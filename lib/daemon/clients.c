/* SPDX-License-Identifier: ISC */
/*
 * clients - see clients.h.
 */
#include "daemon/clients.h"

#include "base/mem.h"
#include "daemon/daemon.h"

/* A client that does not read its answers is not read from. */
#define OUT_HIGH	(1u << 20)	/* bytes */

static struct list clients = LIST_INIT(clients);
static bool leaving;

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
drop_question(struct hash_entry *e, void *arg)
{
	struct client_question *q = e->value;

	q->client->kind->drop(q);
}

static void
client_end(struct client *c)
{
	list_remove(&c->link);
	hash_each(&c->questions, drop_question, NULL);
	hash_fini(&c->questions, NULL);
	ipc_conn_free(&c->conn);
	mem_free(c);
	daemon_busy(-1);
}

static int
on_frame(void *arg, struct ipc_conn *conn, const struct ipc_frame *f)
{
	struct client *c = arg;

	return c->kind->on_frame(c, f);
}

static void
on_drain(void *arg, struct ipc_conn *conn)
{
	struct client *c = arg;

	if (leaving) {
		client_end(c);
		return;
	}
	if (c->paused) {
		c->paused = false;
		ipc_resume(c->conn);
	}
}

static void
on_end(void *arg, struct ipc_conn *conn)
{
	client_end(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

void
clients_add(const struct client_kind *kind, int fd)
{
	struct client *c = mem_zalloc(sizeof(*c));

	daemon_busy(1);
	c->kind = kind;
	list_append(&clients, &c->link);
	c->questions = HASH_INIT;
	c->conn = ipc_conn_new(daemon_loop(), fd, kind->proto, &ops, c);
}

struct buf *
client_answer(struct client *c, unsigned type, uint32_t tag)
{
	return ipc_begin(c->conn, (uint16_t)type, tag);
}

void
client_sent(struct client *c)
{
	ipc_end(c->conn);
	if (ipc_out_len(c->conn) > OUT_HIGH && !c->paused) {
		c->paused = true;
		ipc_pause(c->conn);
	}
}

void
client_question_begin(struct client *c, uint32_t tag,
    struct client_question *q)
{
	q->client = c;
	q->tag = tag;
	(void)hash_put(&c->questions, tag_key(&q->tag), q);
}

struct client_question *
client_question_find(const struct client *c, uint32_t tag)
{
	return hash_get(&c->questions, tag_key(&tag));
}

void
client_question_end(struct client_question *q)
{
	(void)hash_del(&q->client->questions, tag_key(&q->tag));
}

void
clients_drain(void)
{
	leaving = true;
	LIST_FOREACH(l, &clients) {
		struct client *c = LIST_ENTRY(l, struct client, link);

		if (ipc_out_len(c->conn) == 0)
			client_end(c);
	}
}
