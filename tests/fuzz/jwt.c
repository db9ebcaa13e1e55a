/* SPDX-License-Identifier: ISC */
/*
 * Key sets and tokens.  No input has a signature, so none may be taken.
 */
#include <stdint.h>
#include <stdlib.h>

#include "auth/jwt.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct jwt_demands want = { "", "", "", "email", 1 };
	struct buf user = BUF_INIT(255);
	struct why why = WHY_INIT;
	struct jwt_keys *k;

	k = jwt_keys_parse(span_make(data, size), &why);
	jwt_keys_free(&k);
	k = jwt_keys_parse(span_of(key), &why);
	if (k == NULL || jwt_keys_count(k) != 1)
		abort();
	if (jwt_check(k, span_make(data, size), &want, &user, &why) == 0)
		abort();
	jwt_keys_free(&k);
	buf_fini(&user);
	return 0;
}
