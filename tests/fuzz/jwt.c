/* SPDX-License-Identifier: ISC */
/*
 * Key sets, tokens, and what an endpoint says of one.  No input has a signature, so none may be taken.
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
	int64_t end;

	k = jwt_keys_parse(span_make(data, size), &why);
	jwt_keys_free(&k);
	k = jwt_keys_parse(span_of(key), &why);
	if (k == NULL || jwt_keys_count(k) != 1)
		abort();
	if (jwt_check(k, span_make(data, size), &want, &user, &why) == 0)
		abort();
	jwt_keys_free(&k);
	(void)jwt_is_one(span_make(data, size));
	/* What an endpoint has answered: a name only where it says so. */
	buf_reset(&user);
	if (jwt_introspected(span_make(data, size), &want, &user, &end,
	    &why) > 0 && (user.len == 0 ||
	    memmem(data, size, "true", 4) == NULL))
		abort();
	buf_fini(&user);
	return 0;
}
