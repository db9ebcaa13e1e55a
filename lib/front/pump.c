/* SPDX-License-Identifier: ISC */
/*
 * pump - a client whose session runs elsewhere and whose TLS ends here.
 *
 * Bytes go from one stream to the other as they come.  Where the other side
 * does not take them, reading stops at PUMP_HIGH and goes on when all is
 * gone, so that a session costs that much at most each way, and nothing while
 * it is idle.  An end on one side becomes an end of output on the other; the
 * session's end is the client's.
 */
#include <ctype.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "front/front_priv.h"

#define PUMP_HIGH	(128 * 1024)
#define PUMP_IN		(64 * 1024)
#define PUMP_OUT	(1024 * 1024)
#define GRACE_MS	10000

static void
pass(struct stream *from, struct stream *to)
{
	struct span in = stream_input(from);

	stream_write_span(to, in);
	stream_consume(from, in.len);
	if (stream_out_len(to) > PUMP_HIGH)
		stream_pause(from);
}

bool
front_pump_ends(uint64_t *literal, struct span in)
{
	struct span line = in;
	uint64_t n = 0, unit = 1;

	if (*literal > in.len) {
		*literal -= in.len;
		return false;
	}
	*literal = 0;
	if (!span_ends(in, SPAN("\n")))
		return false;
	/* "{123}" and "{123+}": the command goes on after so many bytes. */
	line.len--;
	if (span_ends(line, SPAN("\r")))
		line.len--;
	if (!span_ends(line, SPAN("}")))
		return true;
	line.len--;
	if (span_ends(line, SPAN("+")))
		line.len--;
	for (; line.len > 0 && unit <= UINT32_MAX && isdigit(
	    (unsigned char)line.p[line.len - 1]); line.len--, unit *= 10)
		n += (uint64_t)(line.p[line.len - 1] - '0') * unit;
	if (unit == 1 || !span_ends(line, SPAN("{")))
		return true;
	*literal = n + 1;		/* and no less than a line's end */
	return false;
}

static void
client_read(void *arg, struct stream *s)
{
	struct front *f = arg;

	if (!front_pump_ends(&f->literal, stream_input(s)))
		stream_ack(s);
	pass(s, f->inner);
}

static void
client_drain(void *arg, struct stream *s)
{
	struct front *f = arg;

	stream_resume(f->inner);
}

static void
client_end(void *arg, struct stream *s, enum stream_end why)
{
	struct front *f = arg;

	if (why != STREAM_EOF) {
		front_free(f);
		return;
	}
	f->half_closed = true;
	stream_end_output(f->inner);
}

static const struct stream_ops client_ops = {
	.on_read = client_read,
	.on_drain = client_drain,
	.on_end = client_end,
};

static void
inner_read(void *arg, struct stream *s)
{
	struct front *f = arg;

	pass(s, f->client);
}

static void
inner_drain(void *arg, struct stream *s)
{
	struct front *f = arg;

	stream_resume(f->client);
}

static void
inner_end(void *arg, struct stream *s, enum stream_end why)
{
	struct front *f = arg;

	stream_finish(&f->client, GRACE_MS);
	front_free(f);
}

static const struct stream_ops inner_ops = {
	.on_read = inner_read,
	.on_drain = inner_drain,
	.on_end = inner_end,
};

/* All that can be read of fd at once; -1: above what to may hold. */
static int
take_all(int fd, struct buf *to)
{
	char some[16384];
	ssize_t n;
	int rc = 0;

	while (rc == 0 &&
	    (n = recv(fd, some, sizeof(some), MSG_DONTWAIT)) > 0)
		rc = buf_put(to, some, (size_t)n);
	mem_wipe(some, sizeof(some));
	return rc;
}

int
front_pump_end(struct front *f, int fd, struct buf *rest)
{
	struct buf last = BUF_INIT(PUMP_OUT);
	size_t left, had;
	int rc;

	stream_pause(f->client);
	/* The end of the session's output lies in our end of the pair. */
	rc = take_all(stream_fd(f->inner), &last);
	stream_write_span(f->client, buf_span(&last));
	buf_fini(&last);
	/* A full socket takes something only after something is taken. */
	do {
		left = stream_out_len(f->inner);
		had = rest->len;
		stream_flush(f->inner);
		rc |= take_all(fd, rest);
	} while (rc == 0 && stream_out_len(f->inner) > 0 &&
	    (stream_out_len(f->inner) < left || rest->len > had));
	if (stream_out_len(f->inner) > 0)
		rc = -1;	/* it was not the other end of our pair */
	stream_free(&f->inner);
	return rc;
}

void
front_pump(struct front *f, int fd)
{
	f->state = FRONT_PUMP;
	f->inner = stream_new(daemon_loop(), fd, PUMP_IN, PUMP_OUT, &inner_ops,
	    f);
	front_prelogin_done(f);
	stream_set_ops(f->client, &client_ops, f);
	stream_set_in_max(f->client, PUMP_IN);
	stream_set_out_max(f->client, PUMP_OUT);
	stream_set_deadline(f->client, 0);
	stream_resume(f->client);
}
