/* SPDX-License-Identifier: ISC */
/*
 * deliverload - plays qmgr for one delivery agent and says what a message
 * costs it.
 *
 *	deliverload SOCKET MESSAGES SIZE USERS BATCH DOMAIN
 *
 * Messages of SIZE bytes, one recipient each (u0@DOMAIN, u1@DOMAIN, ...), at
 * most BATCH without an answer.  Prints messages per second until the last
 * one is durable, and the agent's CPU time, context switches and bytes
 * written per message, from /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "ipc/msg_deliver.h"
#include "queue/envelope.h"

struct cost {
	double		user, sys;	/* seconds */
	long long	switches, forced;
};

static long long
field(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p != NULL ? strtoll(p + strlen(name), NULL, 10) : 0;
}

/* All threads of the process. */
static struct cost
cost_of(pid_t pid)
{
	struct buf b = BUF_INIT(1 << 16);
	struct cost c = { 0 };
	char path[64];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (fd_read_file(AT_FDCWD, path, &b) < 0)
		log_fatal("%s: %m", path);
	p = strrchr(b.data, ')');
	for (int i = 0; p != NULL && i < 12; i++)
		p = strchr(p + 1, ' ');
	if (p != NULL) {
		char *end;

		c.user = (double)strtoll(p, &end, 10);
		c.sys = (double)strtoll(end, NULL, 10);
	}
	c.user /= (double)sysconf(_SC_CLK_TCK);
	c.sys /= (double)sysconf(_SC_CLK_TCK);
	buf_reset(&b);
	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	if (fd_read_file(AT_FDCWD, path, &b) == 0) {
		c.switches = field(b.data, "\nvoluntary_ctxt_switches:");
		c.forced = field(b.data, "nonvoluntary_ctxt_switches:");
	}
	buf_fini(&b);
	return c;
}

static uint64_t
number(const char *s)
{
	uint64_t n;

	if (num_parse_u64(span_of(s), 1u << 30, &n) < 0 || n == 0)
		log_fatal("not a number: %s", s);
	return n;
}

int
main(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct ipc_sync *s;
	struct ipc_frame f;
	struct buf body = BUF_INIT(BUF_UNLIMITED), env = BUF_INIT(BUF_UNLIMITED);
	uint64_t n, size, users, batch, sent = 0, done = 0, bad = 0, last = 0;
	struct cost a, z;
	char *text;
	int64_t t0, t1, t2;
	int seg;

	if (argc != 7)
		log_fatal("usage: deliverload SOCKET MESSAGES SIZE USERS BATCH "
		    "DOMAIN");
	n = number(argv[2]);
	size = number(argv[3]);
	users = number(argv[4]);
	batch = number(argv[5]);

	seg = memfd_create("segment", MFD_CLOEXEC);
	text = mem_alloc(size);
	memset(text, 'x', size);
	for (uint64_t i = 63; i < size; i += 64)
		text[i] = '\n';
	memcpy(text, "Subject: x\n\n", MIN(12, size));
	for (uint64_t i = 0; i < 64; i++) {
		if (fd_pwrite_all(seg, text, size, (off_t)(i * size)) < 0)
			log_fatal("memfd: %m");
	}
	s = ipc_sync_connect(argv[1], &DELIVER_PROTO, 60000, &why);
	if (s == NULL)
		log_fatal("%s: %s", argv[1], why.text);
	deliver_segment_encode(&body, &(struct deliver_segment){ 7 });
	if (ipc_sync_send_fd(s, DELIVER_SEGMENT, 0, buf_span(&body), seg,
	    &why) < 0)
		log_fatal("%s", why.text);

	a = cost_of(ipc_sync_peer(s)->pid);
	t0 = clock_mono_us();
	while (done < n) {
		struct deliver_status st;

		while (sent < n && sent - done < batch) {
			struct envelope e = ENVELOPE_INIT;
			struct deliver_message m;
			char id[32], to[300];

			snprintf(id, sizeof(id), "B%llxz%llu",
			    (unsigned long long)t0, (unsigned long long)sent);
			snprintf(to, sizeof(to), "u%llu@%s",
			    (unsigned long long)(sent * 7919 % users),
			    argv[6]);
			e.queue_id = span_of(id);
			e.arrival_us = clock_wall_us();
			e.sender = SPAN("sender@example.org");
			ARRAY_PUSH(&e.rcpts)->addr = span_of(to);
			buf_reset(&env);
			envelope_encode(&env, &e);
			m = (struct deliver_message){
				.segment = 7, .offset = sent % 64 * size,
				.len = size, .nexthop = SPAN("x"),
				.attempt = 1, .envelope = buf_span(&env),
			};
			buf_reset(&body);
			deliver_message_encode(&body, &m);
			if (ipc_sync_send(s, DELIVER_MESSAGE, (uint32_t)sent,
			    buf_span(&body), &why) < 0)
				log_fatal("%s", why.text);
			envelope_fini(&e);
			sent++;
		}
		if (ipc_sync_recv(s, &f, -1, &why) != 1)
			log_fatal("recv: %s", why.text);
		if (f.type != DELIVER_STATUS)
			continue;
		if (deliver_status_decode(&st, f.body) < 0)
			log_fatal("bad status");
		done++;
		if (st.outcome != DELIVER_DELIVERED && bad++ < 3)
			log_warning("%.*s %.*s", SPAN_ARG(st.dsn),
			    SPAN_ARG(st.text));
		last = MAX(last, st.serial);
	}
	t1 = clock_mono_us();
	for (;;) {
		struct deliver_checkpoint cp;

		if (last == 0)
			break;
		if (ipc_sync_recv(s, &f, -1, &why) != 1)
			log_fatal("recv: %s", why.text);
		if (f.type == DELIVER_CHECKPOINT &&
		    deliver_checkpoint_decode(&cp, f.body) == 0 &&
		    cp.serial >= last)
			break;
	}
	t2 = clock_mono_us();
	z = cost_of(ipc_sync_peer(s)->pid);
	printf("%llu messages, %llu failed: %.0f/s answered, %.0f/s durable; "
	    "agent: %.1f us user + %.1f us system, %.2f switches a message\n",
	    (unsigned long long)n, (unsigned long long)bad,
	    (double)n * 1e6 / (double)(t1 - t0),
	    (double)n * 1e6 / (double)(t2 - t0),
	    (z.user - a.user) * 1e6 / (double)n,
	    (z.sys - a.sys) * 1e6 / (double)n,
	    (double)(z.switches - a.switches + z.forced - a.forced) /
	    (double)n);
	ipc_sync_free(&s);
	return bad > 0;
}
