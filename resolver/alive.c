/* SPDX-License-Identifier: ISC */
/*
 * alive - whether any name server answers at all.
 *
 * libunbound tries again and again for as long as a question lasts.  That is
 * right for a domain whose own servers are slow, and costs each client all of
 * its time where the network is gone.  So when a question has waited for a
 * while, we ask each of our servers for the root's name servers, by UDP: any
 * answer, whatever it says, shows that somebody is there.  When none has come,
 * they are silent, until one answers us or libunbound.
 */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "io/fd.h"
#include "resolver/resolver.h"

#define TRIES		3
#define TRY_MS		500	/* for each of them */
#define HEARD_MS	5000	/* an answer says enough for so long */
#define AGAIN_MS	1000	/* between two looks at silent servers */
#define HEADER		12	/* bytes, RFC 1035 4.1.1 */

struct asked {
	struct alive	*a;
	struct server	*server;
	int		 fd;		/* -1: it cannot be reached */
	struct loop_io	*io;
};

struct alive {
	struct loop	*loop;
	struct servers	 servers;
	struct asked	 asked[SERVERS_MAX];
	struct loop_timer *timer;
	unsigned	 tries;		/* of this look; 0: none */
	uint16_t	 id;
	bool		 blind;		/* a server that we cannot ask */
	bool		 silent;
	int64_t		 heard_ms, over_ms;
};

static void
hang_up(struct asked *k)
{
	loop_io_free(&k->io);
	fd_close(&k->fd);
}

static void
end_look(struct alive *a)
{
	for (size_t i = 0; i < a->servers.n; i++)
		hang_up(&a->asked[i]);
	loop_timer_cancel(a->timer);
	a->tries = 0;
}

static void
nobody(struct alive *a)
{
	end_look(a);
	a->over_ms = loop_now_ms(a->loop);
	if (!a->silent)
		log_warning("no name server answers");
	a->silent = true;
}

void
alive_heard(struct alive *a)
{
	end_look(a);
	a->heard_ms = loop_now_ms(a->loop);
	if (a->silent)
		log_info("the name servers answer again");
	a->silent = false;
}

static void
give_up_one(struct asked *k)
{
	struct alive *a = k->a;

	hang_up(k);
	for (size_t i = 0; i < a->servers.n; i++)
		if (a->asked[i].fd >= 0)
			return;
	nobody(a);
}

static void
on_readable(void *arg, unsigned events)
{
	struct asked *k = arg;
	struct alive *a = k->a;
	uint8_t b[512];
	ssize_t n = recv(k->fd, b, sizeof(b), 0);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		give_up_one(k);		/* ECONNREFUSED: nobody listens */
	else if (n >= HEADER && b[0] == a->id >> 8 &&
	    b[1] == (a->id & 0xff) && (b[2] & 0x80))
		alive_heard(a);
}

/* ". IN NS", recursion desired. */
static void
put_question(struct asked *k)
{
	const uint8_t b[] = { (uint8_t)(k->a->id >> 8), (uint8_t)k->a->id,
	    1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1 };

	if (k->fd >= 0 && send(k->fd, b, sizeof(b), 0) < 0 &&
	    errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		hang_up(k);
}

static void
ask_one(struct asked *k)
{
	const struct sock_addr *to = &k->server->addr;

	k->fd = socket(to->sa.sa_family,
	    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd >= 0 && connect(k->fd, &to->sa, to->len) < 0)
		fd_close(&k->fd);
	if (k->fd < 0)
		return;
	k->io = loop_io_new(k->a->loop, k->fd, on_readable, k);
	loop_io_want(k->io, LOOP_READ);
}

static void
try(void *arg)
{
	struct alive *a = arg;
	bool any = false;

	if (a->tries == TRIES) {
		nobody(a);
		return;
	}
	a->tries++;
	for (size_t i = 0; i < a->servers.n; i++) {
		put_question(&a->asked[i]);
		any |= a->asked[i].fd >= 0;
	}
	if (any)
		loop_timer_set(a->timer, TRY_MS);
	else
		nobody(a);
}

void
alive_doubt(struct alive *a)
{
	int64_t now = loop_now_ms(a->loop);

	if (a->blind || a->tries > 0 ||
	    (!a->silent && a->heard_ms != 0 && now - a->heard_ms < HEARD_MS) ||
	    (a->silent && now - a->over_ms < AGAIN_MS))
		return;
	a->id = (uint16_t)rnd_u64();
	for (size_t i = 0; i < a->servers.n; i++)
		ask_one(&a->asked[i]);
	try(a);
}

bool
alive_silent(const struct alive *a)
{
	return a->silent;
}

/* Where libunbound begins when it has no servers: some of the root's. */
static void
add_roots(struct servers *s)
{
	static const char *const roots[] = { "198.41.0.4", "193.0.14.129",
	    "2001:7fd::1" };

	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (sock_addr_parse(span_of(roots[i]), 53,
		    &s->v[s->n].addr) == 0)
			s->n++;
}

struct alive *
alive_new(struct loop *l, const struct servers *s)
{
	struct alive *a = mem_zalloc(sizeof(*a));

	a->loop = l;
	a->servers = *s;
	if (s->n == 0)
		add_roots(&a->servers);
	for (size_t i = 0; i < a->servers.n; i++) {
		a->asked[i] = (struct asked){ .a = a, .fd = -1,
		    .server = &a->servers.v[i] };
		a->blind |= a->servers.v[i].addr.len == 0;
	}
	a->timer = loop_timer_new(l, try, a);
	return a;
}

void
alive_free(struct alive **ap)
{
	struct alive *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	end_look(a);
	loop_timer_free(&a->timer);
	mem_free(a);
}
