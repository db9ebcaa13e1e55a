/* SPDX-License-Identifier: ISC */
/*
 * ticket - a login, handed by the front to the session monitor as random
 * bytes that only we can tell the meaning of.  Good once, for one service,
 * for AUTH_TICKET_MS.
 */
#include "authd/authd.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rnd.h"

/* More are made only by a front that nobody's monitor serves; the oldest go
 * first. */
#define TICKETS_MAX	20000

struct ticket {
	struct list	 link;		/* oldest first */
	int64_t		 end_ms;
	char		 bytes[AUTH_TICKET_LEN];
	char		*service, *user, *login, *client;
	uint32_t	 client_port;
};

static struct loop *loop;
static struct hash tickets;
static struct list by_age = LIST_INIT(by_age);

void
tickets_start(struct loop *l)
{
	loop = l;
}

static void
ticket_free(struct ticket *t)
{
	(void)hash_del(&tickets, span_make(t->bytes, sizeof(t->bytes)));
	list_remove(&t->link);
	mem_free(t->service);
	mem_free(t->user);
	mem_free(t->login);
	mem_free(t->client);
	mem_wipe(t, sizeof(*t));
	mem_free(t);
}

static void
expire(void)
{
	int64_t now = loop_now_ms(loop);

	LIST_FOREACH(l, &by_age) {
		struct ticket *t = LIST_ENTRY(l, struct ticket, link);

		if (t->end_ms > now && tickets.count <= TICKETS_MAX)
			break;
		ticket_free(t);
	}
}

void
ticket_make(struct span service, const struct ticket_facts *f,
    char out[AUTH_TICKET_LEN])
{
	struct ticket *t = mem_zalloc(sizeof(*t));

	expire();
	rnd_bytes(t->bytes, sizeof(t->bytes));
	t->service = span_dup(service);
	t->user = span_dup(f->user);
	t->login = span_dup(f->login);
	t->client = span_dup(f->came.client);
	t->client_port = f->came.client_port;
	t->end_ms = loop_now_ms(loop) + AUTH_TICKET_MS;
	(void)hash_put(&tickets, span_make(t->bytes, sizeof(t->bytes)), t);
	list_append(&by_age, &t->link);
	memcpy(out, t->bytes, sizeof(t->bytes));
}

static void
tell(const struct ticket *t, struct ticket_facts *f, struct buf *text)
{
	size_t user = strlen(t->user), login = strlen(t->login);
	struct span all;

	buf_addf(text, "%s%s%s", t->user, t->login, t->client);
	all = buf_span(text);
	*f = (struct ticket_facts){
		.user = span_sub(all, 0, user),
		.login = span_sub(all, user, login),
		.came = { .client = span_from(all, user + login),
		    .client_port = t->client_port },
	};
}

bool
ticket_take(struct span service, struct span bytes, struct ticket_facts *f,
    struct buf *text)
{
	struct ticket *t;
	bool ok;

	expire();
	if (bytes.len != AUTH_TICKET_LEN)
		return false;
	t = hash_get(&tickets, bytes);
	if (t == NULL)
		return false;
	/* Shown for another service it is spent all the same. */
	ok = span_is(service, t->service);
	if (ok)
		tell(t, f, text);
	ticket_free(t);
	return ok;
}
