/* SPDX-License-Identifier: ISC */
/*
 * tls_cert: certificates and keys that somebody else wrote.
 *
 * The input is a PEM text, and, when its first byte is not '-', also a name.
 * What is shown of it must be fit for a terminal and a log line.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tls/chain.h"
#include "tls/name.h"
#include "tls/show_cert.h"
#include "tls/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_clean(struct span s, bool lines)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && !(lines && c == '\n')) || c == 127)
			abort();
	}
	if (!utf8_valid(s))
		abort();
}

static void
quiet(enum log_level level, const char *line)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct tls_set *set;
	char *name;

	log_set_hook(quiet);
	if (size > 0 && data[0] != '-') {
		name = tls_name_clean(in);
		if (strlen(name) > TLS_SUBJECT_MAX)
			abort();
		must_be_clean(span_of(name), false);
		mem_free(name);
	}
	if (tls_cert_show(in, &out, &why) == 0)
		must_be_clean(buf_span(&out), true);
	buf_fini(&out);
	set = tls_set_parse(in, "input", 0, &why);
	for (size_t i = 0; set != NULL && i < tls_set_count(set); i++) {
		tls_set_der(set, i, &out);
		if (out.len == 0 || tls_set_key_id(set, i, false) ==
		    tls_set_key_id(set, i, true))
			abort();
		buf_fini(&out);
	}
	tls_set_free(&set);
	return 0;
}
