/* SPDX-License-Identifier: ISC */
/*
 * crypt - the re-entrant calls of libxcrypt.
 */
#include "auth/crypt.h"

#include <crypt.h>

#include "base/mem.h"
#include "base/rnd.h"

int
crypt_setting(const char *prefix, unsigned long cost, struct buf *out)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	char random[16];

	rnd_bytes(random, sizeof(random));
	if (crypt_gensalt_rn(prefix, cost, random, (int)sizeof(random), salt,
	    (int)sizeof(salt)) == NULL)
		return -1;
	buf_add_str(out, salt);
	return 0;
}

/* A struct crypt_data is 32 KiB, and holds what it was given: wipe it. */
int
crypt_password(struct span password, const char *setting, struct buf *out)
{
	struct crypt_data *d = mem_zalloc(sizeof(*d));
	char *text = span_dup(password);
	const char *h;
	int rc = -1;

	h = crypt_rn(text, setting, d, (int)sizeof(*d));
	if (h != NULL && h[0] != '*') {
		buf_add_str(out, h);
		rc = 0;
	}
	mem_wipe(text, password.len);
	mem_free(text);
	mem_wipe(d, sizeof(*d));
	mem_free(d);
	return rc;
}
