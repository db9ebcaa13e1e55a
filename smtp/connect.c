/* SPDX-License-Identifier: ISC */
/*
 * connect - one peer after the other, until one takes the connection.
 *
 * An address of the other family that is as good as the first one is tried
 * beside it after a moment (RFC 8305): a broken IPv6 path costs seconds and not
 * the connect timeout.  The first that answers wins.  A host of lower
 * preference waits until the better ones have failed (RFC 5321 5.1).
 *
 * The delivery goes on (delivery_next()) when no attempt is under way, and then
 * the timer is not armed: the one or the other leads to the next address.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "smtp/smtp.h"

#define RACE_MS		1000	/* the other family's turn */
#define SYSTEM_MS	(1800 * 1000)	/* "as long as the system tries" */

struct attempt {
	struct list	 link;		/* d->attempts */
	struct delivery	*d;
	struct peer	 peer;
	size_t		 index;
	int		 fd;
	struct loop_io	*io;
	struct loop_timer *timer;
};

static void	 try_next(struct delivery *d);
static bool	 may_race(struct delivery *d);

static void
attempt_free(struct attempt *a)
{
	list_remove(&a->link);
	loop_io_free(&a->io);
	loop_timer_free(&a->timer);
	fd_close(&a->fd);
	mem_free(a);
}

static const char *
peer_text(const struct peer *p, char *out, size_t size)
{
	char ip[SOCK_ADDR_TEXT_MAX];

	if (p->addr.sa.sa_family == AF_UNIX) {
		(void)snprintf(out, size, "%s[%s]", set.helo_name,
		    p->addr.un.sun_path);
		return out;
	}
	sock_addr_text(&p->addr, ip);
	(void)snprintf(out, size, "%s[%s]:%u", p->host, ip,
	    sock_addr_port(&p->addr));
	return out;
}

/* This address does not answer. */
static void
failed(struct delivery *d, const struct peer *p, const char *reason)
{
	char where[512];

	(void)peer_text(p, where, sizeof(where));
	log_info("connect to %s: %s", where, reason);
	(void)why_set(&d->why, "4.4.1", "connect to %s: %s", where, reason);
	d->relay = "";
	if (list_empty(&d->attempts)) {
		connect_cancel(d);
		delivery_next(d);
	} else if (may_race(d)) {
		try_next(d);
	}
}

static void
attempt_failed(struct attempt *a, const char *reason)
{
	struct delivery *d = a->d;
	struct peer p = a->peer;

	attempt_free(a);
	failed(d, &p, reason);
}

static void
on_timeout(void *arg)
{
	attempt_failed(arg, strerror(ETIMEDOUT));
}

static void
on_connected(void *arg, unsigned events)
{
	struct attempt *a = arg;
	struct delivery *d = a->d;
	struct peer p;
	size_t index = a->index;
	int err = 0, fd;
	socklen_t len = sizeof(err);

	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0) {
		attempt_failed(a, strerror(err));
		return;
	}
	fd = a->fd;
	a->fd = -1;
	p = a->peer;
	connect_cancel(d);	/* frees a and the slower ones */
	d->sessions++;
	session_start(d, fd, &p, index);
}

static int
open_socket(const struct peer *p)
{
	const struct sock_addr *from = p->addr.sa.sa_family == AF_INET ?
	    &set.bind4 : &set.bind6;
	int fd, on = 1;

	fd = socket(p->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (p->addr.sa.sa_family == AF_UNIX)
		return fd;
	/* What a turn produces is written at once: there is nothing to wait
	 * for. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (from->len > 0 && bind(fd, &from->sa, from->len) < 0) {
		log_warning("bind to %s_bind_address%s: %m", set.proto,
		    p->addr.sa.sa_family == AF_INET ? "" : "6");
		if (set.bind_enforce)
			fd_close(&fd);
	}
	return fd;
}

static void
on_race(void *arg)
{
	struct delivery *d = arg;

	try_next(d);
}

static bool
may_race_with(const struct delivery *d, const struct peer *next)
{
	LIST_FOREACH(l, &d->attempts) {
		const struct peer *p = &LIST_ENTRY(l, struct attempt,
		    link)->peer;

		if (p->addr.sa.sa_family == next->addr.sa.sa_family ||
		    p->pref != next->pref)
			return false;
	}
	return true;
}

/*
 * Whether an address may be tried beside what is under way: the first of them
 * is made the next one (RFC 8305 4: the families take turns).
 */
static bool
may_race(struct delivery *d)
{
	for (size_t i = d->next_peer; i < d->peers.len; i++) {
		struct peer found = d->peers.v[i];

		if (!may_race_with(d, &found))
			continue;
		for (size_t k = i; k > d->next_peer; k--)
			d->peers.v[k] = d->peers.v[k - 1];
		d->peers.v[d->next_peer] = found;
		return true;
	}
	return false;
}

static void
try_next(struct delivery *d)
{
	size_t index = d->next_peer++;
	const struct peer *p = &d->peers.v[index];
	struct attempt *a;
	int fd = open_socket(p);

	if (fd < 0) {
		failed(d, p, strerror(errno));
		return;
	}
	if (connect(fd, &p->addr.sa, p->addr.len) < 0 &&
	    errno != EINPROGRESS) {
		int saved = errno;

		fd_close(&fd);
		failed(d, p, strerror(saved));
		return;
	}
	a = mem_zalloc(sizeof(*a));
	a->d = d;
	a->peer = *p;
	a->index = index;
	a->fd = fd;
	a->io = loop_io_new(daemon_loop(), fd, on_connected, a);
	loop_io_want(a->io, LOOP_WRITE);
	a->timer = loop_timer_new(daemon_loop(), on_timeout, a);
	loop_timer_set(a->timer, set.connect_ms > 0 ? set.connect_ms :
	    SYSTEM_MS);
	list_append(&d->attempts, &a->link);
	if (may_race(d)) {
		if (d->race == NULL)
			d->race = loop_timer_new(daemon_loop(), on_race, d);
		loop_timer_set(d->race, RACE_MS);
	}
}

void
connect_start(struct delivery *d)
{
	/* One is under way that the race began with. */
	if (list_empty(&d->attempts))
		try_next(d);
}

void
connect_cancel(struct delivery *d)
{
	while (!list_empty(&d->attempts))
		attempt_free(LIST_ENTRY(d->attempts.next, struct attempt,
		    link));
	if (d->race != NULL)
		loop_timer_cancel(d->race);
}
