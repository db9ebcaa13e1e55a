/* SPDX-License-Identifier: ISC */
/*
 * ipc_frames: what a hostile process writes into a conversation.
 *
 * The input goes to an end on a loop and to a blocking end.  When the first
 * byte's highest bit is set, a good HELLO goes before the rest (most inputs
 * would not get past it).  Both ends must take the same frames and then agree
 * that the conversation is over.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ipc_proto proto = {
	.name = "fuzz", .version = 1, .frame_max = 1000, .out_max = 1000
};

struct taken {
	unsigned	frames;
	uint64_t	sum;
};

static void
note(struct taken *t, const struct ipc_frame *f)
{
	t->frames++;
	for (size_t i = 0; i < f->body.len; i++)
		t->sum = t->sum * 31 + (unsigned char)f->body.p[i];
	t->sum = t->sum * 31 + f->type;
	t->sum = t->sum * 31 + f->tag;
	if (f->fd >= 0)
		abort();	/* nobody sent one */
}

static struct loop *l;
static struct ipc_conn *conn;
static struct loop_timer *timer;

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	note(arg, f);
	return 0;
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	ipc_conn_free(&conn);
	loop_stop(l);
}

static const struct ipc_ops ops = { .on_frame = on_frame, .on_end = on_end };

static void
stop(void *arg)
{
	abort();	/* the end did not come: we wait for ever */
}

static void
write_input(int fd, const uint8_t *data, size_t size)
{
	struct buf hello = BUF_INIT(BUF_UNLIMITED);

	if (data[0] & 0x80) {
		ipc_hello_put(&hello, &proto);
		(void)!write(fd, hello.data, hello.len);
		buf_fini(&hello);
	}
	(void)!write(fd, data + 1, size - 1);
}

static void
on_the_loop(const uint8_t *data, size_t size, struct taken *t)
{
	int sv[2];

	if (l == NULL) {
		l = loop_new();
		timer = loop_timer_new(l, stop, NULL);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		abort();
	conn = ipc_conn_new(l, sv[0], &proto, &ops, t);
	write_input(sv[1], data, size);
	shutdown(sv[1], SHUT_WR);
	loop_timer_set(timer, 5000);
	loop_run(l);
	close(sv[1]);
}

static void
blocking(const uint8_t *data, size_t size, struct taken *t)
{
	struct ipc_sync *s;
	struct ipc_frame f;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		abort();
	write_input(sv[1], data, size);
	shutdown(sv[1], SHUT_WR);
	s = ipc_sync_accept(sv[0], &proto, 5000, NULL);
	while (s != NULL && ipc_sync_recv(s, &f, -1, NULL) > 0)
		note(t, &f);
	ipc_sync_free(&s);
	close(sv[1]);
}

static void
swallow(enum log_level level, const char *line)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct taken a = { 0 }, b = { 0 };
	static bool quiet;

	if (size == 0 || size > 60000)
		return 0;
	if (!quiet) {
		int null = open("/dev/null", O_WRONLY);

		log_set_hook(swallow);
		log_open_fd(null);
		quiet = true;
	}
	on_the_loop(data, size, &a);
	blocking(data, size, &b);
	if (a.frames != b.frames || a.sum != b.sum)
		abort();
	return 0;
}
