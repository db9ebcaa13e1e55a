/* SPDX-License-Identifier: ISC */
/*
 * logsock - see logsock.h.
 *
 * A line is kept as its length (two bytes) and its bytes with a NUL behind:
 * a stream socket needs the NUL, where a datagram ends by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logsock.h"

#define SEND_MAX	32	/* lines a call */
#define SLOW_MS		100	/* until a full socket is tried again */
#define AWAY_MS		500	/* and one that leads nowhere */
#define ROOM_WAIT_MS	50	/* for room, when ours becomes short */
#define FINISH_MS	1000	/* of an exit, for syslogd's restart */
#define RESTART_MS	5000	/* after this it is no restart any more */

enum end { TAKES, SLOW, STUCK, AWAY };

static struct {
	int	 fd;
	bool	 own;		/* we connect it */
	bool	 stream;
	enum end end;		/* what the last flush found */
	int64_t	 away_ms;	/* monotonic: since when nobody is there */
	int64_t	 tried_ms;	/* our last attempt to connect */
	uint64_t lost;
	size_t	 from, to;
	char	 kept[LOGSOCK_KEEP];
} s = { .fd = -1 };

/* --- the socket --------------------------------------------------------------- */

static void
look_at_type(void)
{
	socklen_t len = sizeof(int);
	int type = SOCK_DGRAM;

	(void)getsockopt(s.fd, SOL_SOCKET, SO_TYPE, &type, &len);
	s.stream = type == SOCK_STREAM;
}

/* syslogd decides of which type it is. */
static void
open_own(void)
{
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	struct sockaddr_un a = { .sun_family = AF_UNIX,
	    .sun_path = LOGSOCK_PATH };

	s.tried_ms = clock_mono_ms();
	if (s.fd >= 0)
		close(s.fd);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		s.fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
		if (s.fd < 0)
			return;
		if (connect(s.fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
			look_at_type();
			return;
		}
		close(s.fd);
		s.fd = -1;
		if (errno != EPROTOTYPE)
			return;
	}
}

void
logsock_open(int fd)
{
	s.own = fd < 0;
	s.fd = fd;
	if (s.own)
		open_own();
	else
		look_at_type();
}

int
logsock_replace(int fd)
{
	if (s.fd < 0 || s.fd == fd) {
		s.fd = fd;
	} else {
		if (dup3(fd, s.fd, O_CLOEXEC) < 0)
			return -1;
		close(fd);
	}
	s.own = false;
	look_at_type();
	return 0;
}

void
logsock_close(void)
{
	if (s.fd >= 0)
		close(s.fd);
	s.fd = -1;
	logsock_forget();
}

int
logsock_fd(void)
{
	return s.fd;
}

/* --- lines -------------------------------------------------------------------- */

static void
move_down(void)
{
	memmove(s.kept, s.kept + s.from, s.to - s.from);
	s.to -= s.from;
	s.from = 0;
}

void
logsock_put(struct span head, struct span text)
{
	size_t len = head.len + text.len + 1;
	uint16_t n = (uint16_t)len;

	if (len > UINT16_MAX) {
		s.lost++;
		return;
	}
	if (s.to + sizeof(n) + len > sizeof(s.kept)) {
		logsock_flush();
		move_down();
	}
	/* The older lines tell how it began: it is the new ones that go. */
	if (s.to + sizeof(n) + len > sizeof(s.kept)) {
		s.lost++;
		return;
	}
	memcpy(s.kept + s.to, &n, sizeof(n));
	memcpy(s.kept + s.to + sizeof(n), head.p, head.len);
	memcpy(s.kept + s.to + sizeof(n) + head.len, text.p, text.len);
	s.to += sizeof(n) + len;
	s.kept[s.to - 1] = '\0';
}

static size_t
length_at(size_t at)
{
	uint16_t n;

	memcpy(&n, s.kept + at, sizeof(n));
	return n;
}

/* Hand the first lines to the kernel: how many it took, or -1. */
static int
send_some(void)
{
	struct mmsghdr msg[SEND_MAX];
	struct iovec iov[SEND_MAX];
	unsigned n = 0;

	if (s.fd < 0) {
		errno = ENOTCONN;
		return -1;
	}
	memset(msg, 0, sizeof(msg));
	for (size_t at = s.from; at < s.to && n < SEND_MAX; n++) {
		size_t len = length_at(at);

		iov[n].iov_base = s.kept + at + sizeof(uint16_t);
		iov[n].iov_len = s.stream ? len : len - 1;
		msg[n].msg_hdr.msg_iov = &iov[n];
		msg[n].msg_hdr.msg_iovlen = 1;
		at += sizeof(uint16_t) + len;
	}
	return sendmmsg(s.fd, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
drop_first(int n)
{
	for (int i = 0; i < n; i++)
		s.from += sizeof(uint16_t) + length_at(s.from);
	if (s.from == s.to)
		s.from = s.to = 0;
}

/*
 * The socket is full.  Usually that is over in a moment, and our own memory
 * bridges it; only when that is half full do we wait, and once, not for every
 * line that a syslogd does not read which has been stopped.
 */
static bool
wait_for_room(void)
{
	struct pollfd p = { .fd = s.fd, .events = POLLOUT };

	if (s.end == STUCK)
		return false;
	if (s.to - s.from < sizeof(s.kept) / 2) {
		s.end = SLOW;
		return false;
	}
	if (poll(&p, 1, ROOM_WAIT_MS) > 0 && (p.revents & POLLOUT) != 0)
		return true;
	s.end = STUCK;
	return false;
}

/* Nobody is at the other end.  True: now there is. */
static bool
find_it_again(void)
{
	int64_t now = clock_mono_ms();

	if (s.end != AWAY) {
		s.end = AWAY;
		s.away_ms = now;
		s.tried_ms = now - AWAY_MS;
	}
	if (!s.own || now - s.tried_ms < AWAY_MS)
		return false;
	open_own();
	return s.fd >= 0;
}

void
logsock_flush(void)
{
	while (s.from < s.to) {
		int n = send_some();

		if (n > 0) {
			drop_first(n);
			s.end = TAKES;
		} else if (n < 0 && errno == EMSGSIZE) {
			drop_first(1);		/* it will never be taken */
			s.lost++;
		} else if (n < 0 && (errno == EAGAIN || errno == ENOBUFS ||
		    errno == ENOMEM)) {
			if (!wait_for_room())
				return;
		} else if (n == 0 || errno != EINTR) {
			if (!find_it_again())
				return;
		}
	}
}

void
logsock_finish(void)
{
	int64_t end = clock_mono_ms() + FINISH_MS;

	logsock_flush();
	while (s.from < s.to && clock_mono_ms() < end &&
	    (s.end != AWAY || clock_mono_ms() - s.away_ms < RESTART_MS)) {
		poll(NULL, 0, ROOM_WAIT_MS);
		logsock_flush();
	}
}

void
logsock_forget(void)
{
	s.from = s.to = 0;
	s.lost = 0;
}

int
logsock_retry_ms(void)
{
	if (s.from == s.to)
		return -1;
	return s.end == AWAY ? AWAY_MS : SLOW_MS;
}

uint64_t
logsock_take_lost(void)
{
	uint64_t n = s.lost;

	s.lost = 0;
	return n;
}
