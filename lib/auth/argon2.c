/* SPDX-License-Identifier: ISC */
/*
 * argon2 - see argon2.h.
 */
#include "auth/argon2.h"

#include <argon2.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"

#define PASSES		2
#define KIB		19456		/* of memory; keep ARGON2_PREFIX true */
#define LANES		1
#define SALT_LEN	16
#define HASH_LEN	32

int
argon2_make(struct span password, struct buf *out)
{
	unsigned char salt[SALT_LEN];
	char text[256];
	int rc;

	rnd_bytes(salt, sizeof(salt));
	rc = argon2id_hash_encoded(PASSES, KIB, LANES, password.p,
	    password.len, salt, sizeof(salt), HASH_LEN, text, sizeof(text));
	if (rc != ARGON2_OK)
		return -1;
	buf_add_str(out, text);
	return 0;
}

/* A number after key ("m="), or 0. */
static uint32_t
cost(const char *encoded, const char *key)
{
	const char *at = strstr(encoded, key);
	uint32_t n;
	size_t len;

	if (at == NULL)
		return 0;
	at += strlen(key);
	len = strspn(at, "0123456789");
	return num_parse_u32(span_make(at, len), UINT32_MAX, &n) == 0 ? n : 0;
}

int
argon2_check(struct span password, const char *encoded)
{
	int rc;

	/* A line in a file that somebody else wrote must not take the
	 * machine's memory. */
	if (cost(encoded, "$m=") > ARGON2_KIB_MAX ||
	    cost(encoded, ",t=") > 1000 || cost(encoded, ",p=") > 64)
		return -1;
	if (strncmp(encoded, "$argon2id$", 10) == 0)
		rc = argon2id_verify(encoded, password.p, password.len);
	else
		rc = argon2i_verify(encoded, password.p, password.len);
	if (rc == ARGON2_OK)
		return 1;
	return rc == ARGON2_VERIFY_MISMATCH ? 0 : -1;
}
