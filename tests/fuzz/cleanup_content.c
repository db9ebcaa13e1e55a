/* SPDX-License-Identifier: ISC */
/*
 * What a stranger writes as content, through header rewriting and checks.
 *
 * The first byte chooses: 1 pieces of one byte, 2 local mail.  The header
 * that comes out ends, no line of it is one that was to be dropped, and
 * nothing beyond the limits is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cleanup/cleanup.h"
#include "cleanup/settings.h"
#include "conf/params.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error) {
		fprintf(stderr, "%s\n", line);
		abort();
	}
}

static void
quiet(enum log_level level, const char *line)
{
}

static void
prepare(void)
{
	static const char *const set[] = {
		"myhostname=mail.example.test", "mydestination=",
		"header_checks=regexp:{{/^Subject: old/ REPLACE Subject: new},"
		    "{/^X-Evil/ REJECT},{/^X-Front/ PREPEND X-Before: x}}",
		"body_checks=regexp:{{/evil/ WARN},{/^drop/ IGNORE},"
		    "{/^old/ REPLACE new}}",
		"canonical_maps=inline:{c@old.test=c@new.test}",
		"masquerade_domains=example.com", "hopcount_limit=5",
		"header_size_limit=4000", "cleanup_inline_limit=8388608",
		"message_strip_characters=\\0", "inet_interfaces=127.0.0.1",
	};
	const char *tmp = getenv("TMPDIR");
	char dir[256], path[300];
	struct why why = WHY_INIT;
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/fuzz.XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	f = fopen(path, "w");
	if (f == NULL)
		abort();
	fclose(f);
	if (params_load(dir, set, ARRAY_LEN(set), problem, NULL) < 0)
		abort();
	unlink(path);
	rmdir(dir);
	cl.set = settings_new(&why);
	if (cl.set == NULL) {
		fprintf(stderr, "%s\n", why.text);
		abort();
	}
	log_set_hook(quiet);
	if (freopen("/dev/null", "w", stderr) == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m = { .arena = ARENA_INIT, .large_fd = -1,
	    .queue_id = "0000000000z1" };
	size_t step = 4096;
	int rc = 0;

	if (cl.set == NULL)
		prepare();
	if (size == 0)
		return 0;
	m.out = BUF_INIT(BUF_UNLIMITED);
	m.env.sender = SPAN("s@example.org");
	m.env.client_addr = SPAN("192.0.2.1");
	m.env.client_name = SPAN("unknown");
	m.env.arrival_us = 1795310235123456;
	*ARRAY_PUSH(&m.env.rcpts) = (struct rcpt){ .addr = SPAN("r@x") };
	if (data[0] & 1)
		step = 1;
	m.local_headers = data[0] & 2;
	content_begin(&m);
	for (size_t at = 1; rc == 0 && at < size; at += step)
		rc = content_write(&m, span_make(data + at,
		    MIN(step, size - at)));
	if (rc == 0)
		rc = content_end(&m);
	if (rc == 0) {
		struct span out = buf_span(&m.out), line;
		bool blank = false;

		if (out.p[out.len - 1] != '\n')
			abort();
		while (!blank && span_line(&out, &line)) {
			blank = line.len == 0;
			if (span_casestarts(line, SPAN("bcc:")) ||
			    span_casestarts(line, SPAN("x-evil")))
				abort();
		}
		if (!blank || memchr(m.out.data, '\0', m.out.len) != NULL)
			abort();
	} else if (m.refused == 0 && !m.discard)
		abort();
	content_free(&m);
	envelope_fini(&m.env);
	buf_fini(&m.out);
	ARRAY_FINI(&m.bcc);
	arena_fini(&m.arena);
	return 0;
}
