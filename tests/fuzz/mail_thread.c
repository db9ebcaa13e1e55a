/* SPDX-License-Identifier: ISC */
/*
 * Threads of messages whose ids, references, subjects and dates come from the
 * input, four bytes a message: each message is in the answer once, and the
 * parentheses are balanced.
 */
#include <stdlib.h>

#include "base/array.h"
#include "mail/thread.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MSGS_MAX	2000

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
check(struct span s, size_t n)
{
	uint8_t *seen = mem_zalloc(n + 1);
	size_t depth = 0, count = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint32_t num = 0;

		if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')')
			must(depth-- > 0);
		else if (s.p[i] >= '0' && s.p[i] <= '9') {
			must(depth > 0);
			for (; s.p[i] >= '0' && s.p[i] <= '9'; i++)
				num = num * 10 + (uint32_t)(s.p[i] - '0');
			i--;
			must(num >= 1 && num <= n && !seen[num]);
			seen[num] = 1;
			count++;
		} else
			must(s.p[i] == ' ');
	}
	must(depth == 0 && count == n);
	mem_free(seen);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char subjects[] = "ABCDEFGH";
	size_t n = MIN(size / 4, MSGS_MAX);
	struct thread_msg *msgs = mem_zalloc_array(n + 1, sizeof(*msgs));
	uint64_t *refs = mem_zalloc_array(n * 3 + 1, sizeof(*refs));
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	for (size_t i = 0; i < n; i++) {
		const uint8_t *d = data + i * 4;

		msgs[i].num = (uint32_t)i + 1;
		msgs[i].msgid = d[0];
		msgs[i].refs = refs + i * 3;
		msgs[i].nrefs = d[3] & 3;
		refs[i * 3] = 1 + d[1];
		refs[i * 3 + 1] = 1 + d[2];
		refs[i * 3 + 2] = 1 + (d[1] ^ d[2]);
		msgs[i].sent_s = d[3] >> 3;
		msgs[i].is_reply = d[3] & 4;
		msgs[i].base_subject = span_make(subjects + d[2] % 8,
		    d[1] % 2);
	}
	for (int alg = 0; alg < 2; alg++) {
		buf_reset(&out);
		must(thread_messages((enum thread_algorithm)alg, msgs, n, &out,
		    NULL, NULL) == 0);
		check(buf_span(&out), n);
	}
	mem_free(msgs);
	mem_free(refs);
	buf_fini(&out);
	return 0;
}
