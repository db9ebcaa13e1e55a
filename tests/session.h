/* SPDX-License-Identifier: ISC */
/*
 * session - what the engines of user sessions are promised (session/engine.h)
 * in a program that is monitor, front and session process in one: all its
 * connections belong to one user.  Once, by a program's one file, which says
 * what becomes of a connection that is done (conn_done()).
 */
#ifndef TESTS_SESSION_H
#define TESTS_SESSION_H

#include "base/list.h"
#include "base/log.h"
#include "session/engine.h"
#include "store/account.h"

struct session_private {
	struct session_conn	 c;
	struct list		 link;	/* of conns */
	char			 id[32];
	bool			 idle;
};

static struct loop *loop;
static struct account *account;
static struct session_user user;
static struct list conns = LIST_INIT(conns);

/* An engine is done with p, which is not in conns any more: it is to be freed,
 * and its stream. */
static void conn_done(struct session_private *p, const char *how,
	    const char *counts);

/* The user's account, of user.format if there is none yet. */
static struct account *
open_account(struct why *why)
{
	struct account_options o;

	account_options_init(&o);
	o.format = user.format;
	o.flags |= STORE_MAKE_BASE | STORE_DETECT;
	o.base = user.base;
	o.path = user.path;
	o.owner = user.name;
	return account_open(&o, why);
}

/* A connection that nobody has greeted yet. */
static struct session_private *
conn_new(const struct engine *e, int fd, const char *id, const char *tag)
{
	struct session_private *p = mem_zalloc(sizeof(*p));

	snprintf(p->id, sizeof(p->id), "%s", id);
	p->c = (struct session_conn){
		.loop = loop, .user = &user, .priv = p,
		.facts = { .id = p->id, .tag = tag, .client_ip = "127.0.0.1",
		    .server_ip = "127.0.0.1", .method = "PLAIN", .tls = "",
		    .notes = "" },
	};
	list_append(&conns, &p->link);
	p->c.stream = stream_new(loop, fd, e->in_max, e->out_max, e->ops,
	    &p->c);
	return p;
}

struct account *
session_account(struct session_conn *c, struct why *why)
{
	if (account == NULL)
		account = open_account(why);
	return account;
}

void
session_idle(struct session_conn *c, bool idle)
{
	c->priv->idle = idle;
}

int
session_watch(struct session_conn *c, int fd)
{
	return 0;
}

void
session_while_frozen(struct session_conn *c, struct span text,
    uint32_t every_s, uint32_t expire_s)
{
}

void
session_done(struct session_conn *c, const char *how, const char *counts)
{
	struct session_private *p = c->priv;

	list_remove(&p->link);
	conn_done(p, how, counts);
}

/* There is no front to go to. */
void
session_return(struct session_conn *c, struct span rest, const char *how,
    const char *counts)
{
	session_done(c, how, counts);
}

void
session_shared(struct session_conn *c, struct span ident, bool on)
{
}

void
session_others(struct session_conn *c,
    void (*fn)(struct session_conn *other, void *arg), void *arg)
{
	LIST_FOREACH(at, &conns) {
		struct session_private *p =
		    CONTAINER_OF(at, struct session_private, link);

		if (&p->c != c)
			fn(&p->c, arg);
	}
}

#endif
