/* SPDX-License-Identifier: ISC */
/*
 * SASL messages: the first byte chooses mechanism and connection, 0xff bytes
 * separate the client's responses.
 */
#include <stdint.h>
#include <stdlib.h>

#include "auth/sasl.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum sasl_need
feed(struct sasl *s, enum sasl_need need, bool yes)
{
	struct scram_keys k = { .iterations = 4096, .salt_len = 4 };

	/* A mechanism may want several things before the next response. */
	for (int i = 0; i < 4; i++) {
		switch (need) {
		case SASL_NEED_PASSWORD:
			if (sasl_password(s).len == 0)
				abort();
			need = sasl_judge(s, yes);
			break;
		case SASL_NEED_TOKEN:
			need = sasl_judge(s, yes);
			break;
		case SASL_NEED_KEYS:
			need = sasl_keys(s, &k, yes);
			break;
		default:
			return need;
		}
	}
	return need;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl_channel ch = { .cert_name = SPAN("joe@example.org") };
	struct span rest, in;
	enum sasl_need need;
	enum sasl_mech m;
	struct sasl *s;
	bool yes;

	if (size < 1)
		return 0;
	if (data[0] & 0x10)
		ch.tls_exporter = SPAN("01234567890123456789012345678901");
	if (data[0] & 0x20)
		ch.plus_offered = true;
	yes = data[0] & 0x40;
	m = (enum sasl_mech)(data[0] % 16 % SASL_MECH_COUNT);
	s = sasl_new(m, &ch);
	rest = span_make(data + 1, size - 1);
	need = data[0] & 0x80 ? sasl_step(s, NULL) : SASL_NEED_RESPONSE;
	while (need == SASL_NEED_RESPONSE) {
		ptrdiff_t end = span_find(rest, (char)0xff);

		in = end < 0 ? rest : span_sub(rest, 0, (size_t)end);
		rest = end < 0 ? SPAN("") : span_from(rest, (size_t)end + 1);
		need = feed(s, sasl_step(s, &in), yes);
	}
	/* Nobody is somebody without a name, or with a strange one; a token's
	 * name comes from who checks it. */
	if (need == SASL_PROVEN && sasl_authcid(s).len == 0 &&
	    m != SASL_OAUTHBEARER && m != SASL_XOAUTH2)
		abort();
	if (need == SASL_PROVEN && (!yes && sasl_authcid(s).len > 0 &&
	    !span_is(sasl_authcid(s), "joe@example.org")))
		abort();
	if (!sasl_name_ok(sasl_authcid(s)) || !sasl_name_ok(sasl_authzid(s)))
		abort();
	sasl_free(&s);
	return 0;
}
