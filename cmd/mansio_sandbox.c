/* SPDX-License-Identifier: ISC */
/*
 * mansio sandbox show - the sandbox table, for people.
 */
#include "base/buf.h"
#include "base/log.h"
#include "cmd/mansio.h"
#include "daemon/sandbox.h"

int
mansio_sandbox(int argc, char **argv)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const struct jail *j;

	if (argc < 2 || argc > 3 || strcmp(argv[1], "show") != 0)
		return mansio_usage(argv[0]);
	if (argc == 3) {
		j = sandbox_find(argv[2]);
		if (j == NULL)
			log_fatal("the sandbox table has no row \"%s\"",
			    argv[2]);
		sandbox_describe(j, &b);
	} else
		for (j = sandbox_table; j->name != NULL; j++)
			sandbox_describe(j, &b);
	fputs(b.data, stdout);
	buf_fini(&b);
	return MANSIO_OK;
}
