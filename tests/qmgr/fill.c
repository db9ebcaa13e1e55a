/* SPDX-License-Identifier: ISC */
/*
 * fill - fill deferred/ of a spool with messages, for tests of long queues.
 *
 *	tests/qmgr/fill SPOOL UID GID N NEXT [QUEUE]
 *
 * N messages of alice@example.test to u<i>@later.test, whose next attempt is
 * in NEXT seconds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "queue/qmsg.h"
#include "queue/queue_id.h"

static const char content[] = "Subject: x\nFrom: alice@example.test\n\nbody\n";

static uint32_t
number(const char *text)
{
	uint32_t n;

	if (num_parse_u32(span_of(text), UINT32_MAX, &n) < 0)
		log_fatal("%s: not a number", text);
	return n;
}

int
main(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct spool spool;
	struct qmsg_content c = { .len = sizeof(content) - 1 };
	int64_t now = clock_wall_us();
	FILE *f = tmpfile();
	uint32_t n;

	if (argc < 6)
		log_fatal("usage: fill spool uid gid n next [queue]");
	if (f == NULL || fputs(content, f) == EOF || fflush(f) == EOF)
		log_fatal("temporary file: %m");
	c.fd = fileno(f);
	n = number(argv[4]);
	if (setegid(number(argv[3])) < 0 || seteuid(number(argv[2])) < 0)
		log_fatal("change user: %m");
	if (spool_open(&spool, argv[1], &why) < 0)
		log_fatal("%s", why.text);
	for (uint32_t i = 0; i < n; i++) {
		char id[QUEUE_ID_MAX], to[64];
		struct rcpt r = { .dsn = SPAN("4.3.2"),
		    .text = SPAN("not today"), .relay = SPAN("none") };
		struct envelope e = ENVELOPE_INIT;

		queue_id_make(now + i, 1000000000 + (uint64_t)i, id);
		(void)snprintf(to, sizeof(to), "u%u@later.test", i);
		r.addr = span_of(to);
		e.queue_id = span_of(id);
		e.arrival_us = now;
		e.sender = SPAN("alice@example.test");
		e.size = c.len;
		e.attempts = 1;
		e.next_us = now + (int64_t)number(argv[5]) * 1000000;
		e.rcpts.v = &r;
		e.rcpts.len = 1;
		if (qfile_create(&spool, argc > 6 && strcmp(argv[6],
		    "hold") == 0 ? SPOOL_HOLD : SPOOL_DEFERRED, &e, &c,
		    &why) < 0)
			log_fatal("%s", why.text);
	}
	if (spool_sync(&spool, &why) < 0)
		log_fatal("%s", why.text);
	spool_close(&spool);
	return 0;
}
