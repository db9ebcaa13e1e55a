/* SPDX-License-Identifier: ISC */
/*
 * dial - a connection to a policy service: its host is looked up, and its
 * addresses are tried one after the other, all within one time.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "delegate/delegate.h"
#include "dns/dns_client.h"
#include "io/fd.h"

#define ADDRS_MAX	8	/* of a host that are tried */

struct dial {
	const struct endpoint *where;
	dial_fn		*fn;
	void		*arg;
	struct loop_timer *timer;
	struct loop_defer begin;
	struct dns_query *q[2];		/* A, AAAA */
	unsigned	 pending;
	struct sock_addr addrs[ADDRS_MAX];
	size_t		 naddrs, next;
	int		 fd;
	struct loop_io	*io;
	char		 reason[300];	/* of the last failure */
};

static struct loop *loop;
static struct dns_client *dns;

void
dial_setup(struct loop *l)
{
	loop = l;
}

void
dial_cancel(struct dial **dp)
{
	struct dial *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	loop_defer_cancel(&d->begin);
	dns_cancel(&d->q[0]);
	dns_cancel(&d->q[1]);
	loop_io_free(&d->io);
	loop_timer_free(&d->timer);
	fd_close(&d->fd);
	mem_free(d);
}

static void
done(struct dial *d, int fd)
{
	dial_fn *fn = d->fn;
	void *arg = d->arg;
	char reason[sizeof(d->reason)];

	memcpy(reason, d->reason, sizeof(reason));
	dial_cancel(&d);
	fn(arg, fd, reason);
}

static void
failed(struct dial *d, int err)
{
	(void)snprintf(d->reason, sizeof(d->reason), "%s", strerror(err));
}

/* --- one address after the other ---------------------------------------------- */

static void try_next(struct dial *d);

static void
on_connected(void *arg, unsigned events)
{
	struct dial *d = arg;
	socklen_t len = sizeof(int);
	int err = 0, fd = d->fd;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	loop_io_free(&d->io);
	if (err != 0) {
		fd_close(&d->fd);
		failed(d, err);
		try_next(d);
		return;
	}
	d->fd = -1;
	done(d, fd);
}

static void
try_next(struct dial *d)
{
	const struct sock_addr *a;
	int on = 1, rc;

	for (; d->next < d->naddrs; failed(d, errno), fd_close(&d->fd)) {
		a = &d->addrs[d->next++];
		d->fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0);
		if (d->fd < 0)
			continue;
		/* A request is written in one piece. */
		if (a->sa.sa_family != AF_UNIX)
			(void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on,
			    sizeof(on));
		rc = connect(d->fd, &a->sa, a->len);
		/* A UNIX socket whose queue is full is not waited for. */
		if (rc < 0 && errno != EINPROGRESS)
			continue;
		d->io = loop_io_new(loop, d->fd, on_connected, d);
		loop_io_want(d->io, LOOP_WRITE);
		return;
	}
	done(d, -1);
}

static void
on_timeout(void *arg)
{
	struct dial *d = arg;

	failed(d, ETIMEDOUT);
	done(d, -1);
}

/* --- addresses ------------------------------------------------------------------ */

static void
begin(void *arg)
{
	try_next(arg);
}

static void
on_answer(struct dial *d, const struct dns_answer *a)
{
	struct span rest = a->records;
	struct dns_rr rr;
	int rc;

	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		struct sock_addr *to = &d->addrs[d->naddrs];

		if (rc < 0 || d->naddrs == ADDRS_MAX)
			continue;
		dns_address(&rr, to);
		if (to->sa.sa_family == AF_INET)
			to->in.sin_port = htons(d->where->port);
		else
			to->in6.sin6_port = htons(d->where->port);
		d->naddrs++;
	}
	if (a->status != RESOLVER_OK && d->reason[0] == '\0')
		(void)snprintf(d->reason, sizeof(d->reason), "%s: %s",
		    d->where->host, dns_status_text(a->status));
	if (--d->pending == 0)
		try_next(d);
}

static void
on_v4(void *arg, const struct dns_answer *a)
{
	struct dial *d = arg;

	d->q[0] = NULL;
	on_answer(d, a);
}

static void
on_v6(void *arg, const struct dns_answer *a)
{
	struct dial *d = arg;

	d->q[1] = NULL;
	on_answer(d, a);
}

static void
look_up(struct dial *d)
{
	struct span host = span_of(d->where->host);

	if (dns == NULL)
		dns = dns_client_new(loop,
		    daemon_socket_path("private/resolver"));
	d->pending = 2;
	d->q[0] = dns_ask(dns, host, DNS_A, RESOLVER_USE_HOSTS, on_v4, d);
	d->q[1] = dns_ask(dns, host, DNS_AAAA, RESOLVER_USE_HOSTS, on_v6, d);
}

static void
add(struct dial *d, const char *ip)
{
	if (sock_addr_parse(span_of(ip), d->where->port,
	    &d->addrs[d->naddrs]) == 0)
		d->naddrs++;
}

static void
use_path(struct dial *d)
{
	struct sock_addr *a = &d->addrs[d->naddrs++];
	size_t n = strlen(d->where->path);

	a->un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->un.sun_path, d->where->path, n + 1);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

struct dial *
dial_start(const struct endpoint *where, int64_t timeout_ms, dial_fn *fn,
    void *arg)
{
	struct dial *d = mem_zalloc(sizeof(*d));

	d->where = where;
	d->fn = fn;
	d->arg = arg;
	d->fd = -1;
	d->begin = (struct loop_defer){ .fn = begin, .arg = d };
	d->timer = loop_timer_new(loop, on_timeout, d);
	loop_timer_set(d->timer, timeout_ms);
	if (where->local) {
		use_path(d);
	} else if (span_caseis(span_of(where->host), "localhost")) {
		/* RFC 6761 6.3: never asked of the DNS. */
		add(d, "127.0.0.1");
		add(d, "::1");
	} else {
		add(d, where->host);
	}
	if (d->naddrs > 0)
		loop_defer(loop, &d->begin);
	else
		look_up(d);
	return d;
}
