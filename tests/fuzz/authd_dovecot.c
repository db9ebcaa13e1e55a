/* SPDX-License-Identifier: ISC */
/*
 * AUTH lines of Dovecot's protocol; and lines of a passwd-file.
 */
#include <stdint.h>
#include <stdlib.h>

#include "authd/dovecot.h"
#include "authd/passwd_file.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = span_make(data, size), user;
	struct buf raw = BUF_INIT(AUTH_DATA_MAX), out = BUF_INIT(256 * 1024);
	struct auth_start m;
	struct account a;

	if (span_find(line, '\n') >= 0 || size > DOVECOT_LINE_MAX)
		return 0;
	/* What is taken must fit its rows: encoding panics otherwise. */
	if (dovecot_parse_auth(line, &m, &raw) == 0)
		auth_start_encode(&out, &m);
	account_init(&a);
	(void)passwd_file_parse(line, &user, &a);
	account_fini(&a);
	buf_fini(&raw);
	buf_fini(&out);
	return 0;
}
