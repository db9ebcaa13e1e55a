/* SPDX-License-Identifier: ISC */
/*
 * The main() of all unit tests: runs suite(), prints what failed and a count.
 *
 * CK_RUN_CASE, CK_FORK=no and CK_VERBOSITY are libcheck's (for a debugger).
 */
#include <stdlib.h>

#include "tests/unit/unit.h"

int
main(int argc, char **argv)
{
	SRunner *r = srunner_create(suite());
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
