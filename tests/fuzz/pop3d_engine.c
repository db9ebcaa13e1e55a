/* SPDX-License-Identifier: ISC */
/*
 * What a POP3 client sends after its login: the whole engine on a scratch
 * account.  Each answer to RETR has as many octets as it says, and no line ends
 * in another way than with CRLF.
 */
#include "base/num.h"
#include "engine.h"
#include "pop3d/pop3.h"

static const char *const mail[] = {
	"Subject: a\r\n\r\nbody\r\n", "Subject: b\n\nno end", ".", "\n",
	"x\ry\r\r\n.\r", ".\n..\n.\r\n\r\n.\n", "\r",
	"Subject: c\n\n.one\n..two\n\n.", NULL
};

/* The next line without its CRLF; false: it is not there as a whole. */
static bool
next_line(struct span *rest, struct span *line)
{
	ptrdiff_t lf = span_find(*rest, '\n');

	if (lf < 0)
		return false;
	if (lf == 0 || rest->p[lf - 1] != '\r')
		abort();
	*line = span_sub(*rest, 0, (size_t)lf - 1);
	*rest = span_from(*rest, (size_t)lf + 1);
	return true;
}

/* The number in "+OK 123 octets", or -1. */
static int64_t
octets(struct span line)
{
	uint64_t n;

	if (!span_starts(line, SPAN("+OK ")) ||
	    !span_ends(line, SPAN(" octets")) || num_parse_u64(span_sub(line,
	    4, line.len - 4 - 7), INT64_MAX, &n) < 0)
		return -1;
	return (int64_t)n;
}

static void
check(struct span rest)
{
	struct span line;
	int64_t want, got;

	while (next_line(&rest, &line)) {
		if ((want = octets(line)) < 0)
			continue;
		for (got = 0; next_line(&rest, &line); got += 2) {
			if (span_is(line, ".")) {
				if (got != want)
					abort();
				break;
			}
			if (span_starts(line, SPAN(".")))
				line = span_from(line, 1);
			got += (int64_t)line.len;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	flushes = true;
	engine_run(&pop3_engine, "", mail, data, size);
	check(buf_span(&said));
	buf_fini(&said);
	return 0;
}
