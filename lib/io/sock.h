/* SPDX-License-Identifier: ISC */
/*
 * sock - socket addresses, listeners, connects and peer credentials.
 */
#ifndef IO_SOCK_H
#define IO_SOCK_H

#include <sys/socket.h>
#include <sys/types.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct sock_addr {
	union {
		struct sockaddr		sa;
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
		struct sockaddr_un	un;
		struct sockaddr_storage	ss;
	};
	socklen_t	len;
};

#define SOCK_ADDR_TEXT_MAX 64
/* "192.0.2.1" or "2001:db8::1", an IPv4-mapped address as IPv4; "unknown"
 * for a UNIX socket. */
void	 sock_addr_text(const struct sock_addr *a, char out[SOCK_ADDR_TEXT_MAX]);
uint16_t sock_addr_port(const struct sock_addr *a);	/* 0 for UNIX */
/* A numeric address, IPv4 or IPv6 (with or without []); 0 or -1. */
MUST_CHECK int sock_addr_parse(struct span text, uint16_t port,
	    struct sock_addr *out);
bool	 sock_addr_is_loopback(const struct sock_addr *a);

/* "192.0.2.0/24", "[2001:db8::]/32", a lone address is /32 or /128. */
struct sock_net {
	uint8_t	bytes[16];	/* IPv4 in the first four */
	int	family;		/* AF_INET or AF_INET6 */
	unsigned bits;
};
/* Host bits below the mask must be 0, as Postfix demands. */
MUST_CHECK int sock_net_parse(struct span text, struct sock_net *out,
	    struct why *why);
bool	 sock_net_has(const struct sock_net *n, const struct sock_addr *a);

/*
 * Listeners.  Non-blocking, close-on-exec.  The descriptor, or -1 with why.
 * sock_listen_unix makes the socket under a temporary name, sets its mode
 * and renames it into place, so that it is never seen half made.
 */
int	 sock_listen_inet(const struct sock_addr *a, int backlog,
	    struct why *why);
int	 sock_listen_unix(const char *path, mode_t mode, int backlog,
	    struct why *why);
/* Accept, non-blocking and close-on-exec; -1 with errno. */
int	 sock_accept(int listener, struct sock_addr *peer);
/* Whether somebody who has it too has shut it down: nobody comes any more, and
 * poll(2) calls it ready for ever. */
bool	 sock_listener_shut(int listener);
/* Connect to a UNIX socket, waiting at most timeout_ms for its backlog.
 * Non-blocking, close-on-exec; -1 with errno. */
int	 sock_connect_unix(const char *path, int64_t timeout_ms);

struct sock_cred {
	uid_t	uid;
	gid_t	gid;
	pid_t	pid;
};
MUST_CHECK int sock_peer_cred(int fd, struct sock_cred *out);

#endif
