/* SPDX-License-Identifier: ISC */
/*
 * sock - see sock.h.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "io/fd.h"
#include "io/sock.h"

static const uint8_t mapped_prefix[12] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};

/*
 * The bytes of the address and their family, AF_INET for an IPv4-mapped one;
 * NULL when it is neither.
 */
static const uint8_t *
address_bytes(const struct sock_addr *a, int *family)
{
	const uint8_t *b;

	*family = AF_INET;
	if (a->len >= sizeof(a->in) && a->sa.sa_family == AF_INET)
		return (const uint8_t *)&a->in.sin_addr;
	if (a->len < sizeof(a->in6) || a->sa.sa_family != AF_INET6)
		return NULL;
	b = (const uint8_t *)&a->in6.sin6_addr;
	if (memcmp(b, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return b + sizeof(mapped_prefix);
	*family = AF_INET6;
	return b;
}

void
sock_addr_text(const struct sock_addr *a, char out[SOCK_ADDR_TEXT_MAX])
{
	int family;
	const uint8_t *b = address_bytes(a, &family);

	if (b == NULL || inet_ntop(family, b, out, SOCK_ADDR_TEXT_MAX) == NULL)
		snprintf(out, SOCK_ADDR_TEXT_MAX, "unknown");
}

uint16_t
sock_addr_port(const struct sock_addr *a)
{
	if (a->len >= sizeof(a->in) && a->sa.sa_family == AF_INET)
		return ntohs(a->in.sin_port);
	if (a->len >= sizeof(a->in6) && a->sa.sa_family == AF_INET6)
		return ntohs(a->in6.sin6_port);
	return 0;
}

/* A numeric address to bytes; the family, or -1. */
static int
parse_bytes(struct span text, uint8_t out[16])
{
	char s[INET6_ADDRSTRLEN];
	bool bracket = text.len >= 2 && text.p[0] == '[' &&
	    text.p[text.len - 1] == ']';

	if (bracket)
		text = span_sub(text, 1, text.len - 2);
	if (span_copy(text, s, sizeof(s)) < 0)
		return -1;
	/* "[192.0.2.1]" is what people write for an IPv4 address too. */
	if (inet_pton(AF_INET, s, out) == 1)
		return AF_INET;
	if (inet_pton(AF_INET6, s, out) == 1)
		return AF_INET6;
	return -1;
}

int
sock_addr_parse(struct span text, uint16_t port, struct sock_addr *out)
{
	uint8_t b[16];
	int family = parse_bytes(text, b);

	if (family < 0)
		return -1;
	*out = (struct sock_addr){ .len = 0 };
	if (family == AF_INET) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		memcpy(&out->in.sin_addr, b, 4);
		out->len = sizeof(out->in);
	} else {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(port);
		memcpy(&out->in6.sin6_addr, b, 16);
		out->len = sizeof(out->in6);
	}
	return 0;
}

bool
sock_addr_is_loopback(const struct sock_addr *a)
{
	int family;
	const uint8_t *b = address_bytes(a, &family);

	if (b == NULL)
		return false;
	if (family == AF_INET)
		return b[0] == 127;
	return memcmp(b, &in6addr_loopback, 16) == 0;
}

/* Whether all bits of b after the first bits are 0. */
static bool
host_bits_clear(const uint8_t *b, unsigned bits, unsigned all)
{
	for (unsigned i = bits; i < all; i++)
		if (b[i / 8] & 0x80 >> i % 8)
			return false;
	return true;
}

int
sock_net_parse(struct span text, struct sock_net *out, struct why *why)
{
	ptrdiff_t slash = span_rfind(text, '/');
	struct sock_net net = { .bits = 0 };
	struct span addr = slash < 0 ? text : span_sub(text, 0, (size_t)slash);
	unsigned all;

	net.family = parse_bytes(addr, net.bytes);
	if (net.family < 0)
		return why_set(why, "4.3.5", "%.*s: bad network address",
		    SPAN_ARG(text));
	all = net.family == AF_INET ? 32 : 128;
	net.bits = all;
	if (slash >= 0 && num_parse_u32(span_from(text, (size_t)slash + 1),
		all, &net.bits) < 0)
		return why_set(why, "4.3.5", "%.*s: bad network mask length",
		    SPAN_ARG(text));
	if (!host_bits_clear(net.bytes, net.bits, all))
		return why_set(why, "4.3.5",
		    "%.*s: non-null host address bits after the first %u bits",
		    SPAN_ARG(text), net.bits);
	*out = net;
	return 0;
}

bool
sock_net_has(const struct sock_net *n, const struct sock_addr *a)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;
	int family;
	const uint8_t *b = address_bytes(a, &family);

	if (b == NULL || family != n->family)
		return false;
	if (memcmp(b, n->bytes, whole) != 0)
		return false;
	return rest == 0 || (b[whole] ^ n->bytes[whole]) >> (8 - rest) == 0;
}

int
sock_listen_inet(const struct sock_addr *a, int backlog, struct why *why)
{
	char text[SOCK_ADDR_TEXT_MAX];
	const int on = 1;
	int fd = socket(a->sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	sock_addr_text(a, text);
	if (fd < 0)
		return why_errno(why, "4.3.0", "socket for %s", text);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    /* IPv4 has a listener of its own. */
	    (a->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
		IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    /*
	     * Accepted sockets inherit it.  Streams gather what a turn writes,
	     * so there is nothing for Nagle to join; it would only hold back
	     * a second reply until the client's delayed ACK, 40 ms later.
	     */
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(fd, &a->sa, a->len) < 0 || listen(fd, backlog) < 0) {
		why_errno(why, "4.3.0", "cannot listen on %s port %u", text,
		    (unsigned)sock_addr_port(a));
		fd_close(&fd);
	}
	return fd;
}

/* 0, or -1 with errno when path is too long. */
static int
unix_addr(const char *path, struct sock_addr *a)
{
	*a = (struct sock_addr){ .len = sizeof(a->un) };
	a->un.sun_family = AF_UNIX;
	if (span_copy(span_of(path), a->un.sun_path,
		sizeof(a->un.sun_path)) < 0 || *path == '\0') {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int
sock_listen_unix(const char *path, mode_t mode, int backlog, struct why *why)
{
	char tmp[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct sock_addr a;
	int fd = -1, n;

	n = snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	if (n < 0 || (size_t)n >= sizeof(tmp) || unix_addr(tmp, &a) < 0) {
		errno = ENAMETOOLONG;
		return why_errno(why, "4.3.0", "cannot listen on %s", path);
	}
	if (unlink(tmp) < 0 && errno != ENOENT)
		goto fail;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	if (bind(fd, &a.sa, a.len) < 0)
		goto fail;
	if (chmod(tmp, mode) < 0 || listen(fd, backlog) < 0 ||
	    rename(tmp, path) < 0) {
		int err = errno;

		(void)unlink(tmp);
		errno = err;
		goto fail;
	}
	return fd;
fail:
	why_errno(why, "4.3.0", "cannot listen on %s", path);
	fd_close(&fd);
	return -1;
}

int
sock_accept(int listener, struct sock_addr *peer)
{
	struct sock_addr a = { .len = 0 };
	int fd;

	do {
		a.len = sizeof(a.ss);
		fd = accept4(listener, &a.sa, &a.len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd >= 0 && peer != NULL) {
		/* An unbound UNIX client has no name at all. */
		if (a.len < sizeof(a.sa.sa_family))
			a.sa.sa_family = AF_UNIX;
		*peer = a;
	}
	return fd;
}

bool
sock_listener_shut(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP));
}

#define CONNECT_RETRY_MS	10

int
sock_connect_unix(const char *path, int64_t timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms, left;
	struct sock_addr a;
	int fd;

	if (unix_addr(path, &a) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	while (connect(fd, &a.sa, a.len) < 0) {
		left = until - clock_mono_ms();
		if (errno == EINTR)
			continue;
		/* A full backlog cannot be waited for: only tried again. */
		if (errno != EAGAIN || left <= 0) {
			if (errno == EAGAIN)
				errno = ETIMEDOUT;
			fd_close(&fd);
			return -1;
		}
		poll(NULL, 0, (int)MIN(left, CONNECT_RETRY_MS));
	}
	return fd;
}

int
sock_peer_cred(int fd, struct sock_cred *out)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0)
		return -1;
	/* The kernel answers for any socket, with nobody. */
	if (c.pid == 0 && c.uid == (uid_t)-1) {
		errno = ENOTCONN;
		return -1;
	}
	*out = (struct sock_cred){ c.uid, c.gid, c.pid };
	return 0;
}
