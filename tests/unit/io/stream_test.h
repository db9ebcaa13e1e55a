/* SPDX-License-Identifier: ISC */
/*
 * stream_test - a stream on a socket pair, and what its handlers have seen.
 */
#ifndef STREAM_TEST_H
#define STREAM_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/sock.h"
#include "io/stream.h"

#define IN_MAX	100
#define OUT_MAX	100000

static struct loop *l;
static struct stream *s;
static int peer;		/* the other end, non-blocking */
static struct buf seen;		/* what on_read consumed */
static int reads, drains, ends;
static enum stream_end end;
static size_t leave_last;	/* bytes that on_read does not consume */
static size_t want;		/* on_read asks for this */
static void (*in_read)(void);

static inline void
on_read(void *arg, struct stream *st)
{
	struct span in = stream_input(st);

	ck_assert_ptr_eq(arg, &seen);
	reads++;
	if (want)
		stream_want(st, want);
	if (in.len > leave_last) {
		buf_add(&seen, in.p, in.len - leave_last);
		stream_consume(st, in.len - leave_last);
	}
	if (in_read != NULL)
		in_read();
}

static inline void
on_drain(void *arg, struct stream *st)
{
	drains++;
}

static inline void
on_end(void *arg, struct stream *st, enum stream_end why)
{
	ends++;
	end = why;
}

static const struct stream_ops ops = {
	.on_read = on_read, .on_drain = on_drain, .on_end = on_end
};

static inline void
setup(void)
{
	int sv[2];

	l = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer = sv[1];
	ck_assert_int_eq(fd_set_nonblock(peer, true), 0);
	s = stream_new(l, sv[0], IN_MAX, OUT_MAX, &ops, &seen);
	seen = BUF_INIT(BUF_UNLIMITED);
}

static inline void
teardown(void)
{
	stream_free(&s);
	loop_free(&l);
	fd_close(&peer);
	buf_fini(&seen);
}

static inline void
stop(void *arg)
{
	loop_stop(l);
}

static inline void
run_for(int64_t ms)
{
	struct loop_timer *t = loop_timer_new(l, stop, NULL);

	loop_timer_set(t, ms);
	loop_run(l);
	loop_timer_free(&t);
}

static inline void
say(const char *text)
{
	ck_assert_int_eq(fd_write_all(peer, text, strlen(text)), 0);
	run_for(2);
}

/* What the peer has received, or "EOF". */
static inline const char *
heard(void)
{
	static char b[512 * 1024];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(peer, b + n, sizeof(b) - 1 - n, 0)) > 0)
		n += (size_t)got;
	b[n] = '\0';
	if (n == 0 && got == 0)
		return "EOF";
	return b;
}

#endif
