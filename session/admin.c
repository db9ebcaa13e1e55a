/* SPDX-License-Identifier: ISC */
/*
 * admin - mansio who and mansio kick.
 */
#include "base/log.h"
#include "base/mem.h"
#include "session/monitor.h"

struct question {
	struct ipc_conn	*to;
	uint32_t	 tag;
	struct span	 whom;		/* a user, a session id, or "" */
	uint32_t	 count;
};

static bool
matches(const struct question *q, const struct conn *c,
    const struct control_facts *f)
{
	return q->whom.len == 0 || span_eq(q->whom, f->id) ||
	    span_caseeq(q->whom, span_of(c->user->who.name));
}

static void
end(const struct question *q)
{
	struct session_end m = { .count = q->count };

	session_end_encode(ipc_begin(q->to, SESSION_END, q->tag), &m);
	ipc_end(q->to);
}

static void
show(struct hash_entry *entry, void *arg)
{
	const struct conn *c = entry->value;
	struct question *q = arg;
	struct control_facts f;
	struct session_row m;

	conn_facts(c, &f);
	if (!matches(q, c, &f))
		return;
	q->count++;
	m = (struct session_row){
		.user = span_of(c->user->who.name),
		.service = span_of(c->engine->service), .id = f.id,
		.client_ip = f.client_ip, .client_port = f.client_port,
		.tls = f.tls,
		.pid = c->process != NULL ? (uint32_t)c->process->pid : 0,
		.since = c->since,
	};
	session_row_encode(ipc_begin(q->to, SESSION_ROW, q->tag), &m);
	ipc_end(q->to);
}

void
admin_who(struct ipc_conn *to, uint32_t tag, struct span whom)
{
	struct question q = { .to = to, .tag = tag, .whom = whom };

	hash_each(&monitor.conns, show, &q);
	end(&q);
}

static void
kick(struct hash_entry *entry, void *arg)
{
	struct conn *c = entry->value;
	struct question *q = arg;
	struct control_facts f;

	conn_facts(c, &f);
	if (!matches(q, c, &f))
		return;
	q->count++;
	log_info("%s: kicked: user=<%s>, session=<%.*s>", c->engine->service,
	    c->user->who.name, SPAN_ARG(f.id));
	if (c->process != NULL)
		process_drain(c->process, SESSION_STOP_KICKED, c->serial);
	else
		hibernate_end(c, "Kicked");
}

void
admin_kick(struct ipc_conn *to, uint32_t tag, struct span whom)
{
	struct question q = { .to = to, .tag = tag, .whom = whom };

	if (whom.len > 0)
		hash_each(&monitor.conns, kick, &q);
	end(&q);
}
