/* SPDX-License-Identifier: ISC */
/*
 * postalias - make, change and query alias tables; see postalias(1).
 *
 * Called as newaliases, without arguments, it makes the tables that
 * alias_database names.
 */
#include <errno.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/postalias_line.h"
#include "cmd/postmap_run.h"
#include "conf/cf_file.h"
#include "conf/params.h"

static enum postmap_line
parse(const struct cf_line *line, struct buf *key, struct buf *value,
    const char **complaint)
{
	return postalias_parse(line->text, key, value, complaint) == 0 ?
	    POSTMAP_OK : POSTMAP_SKIP;
}

static const struct postmap_format format = {
	.name = "postalias", .options = "c:d:finNopq:rsuvw",
	.usage = "finNoprsuvw", .parse = parse, .separator = ":\t",
	.nis_entries = true,
};

/* newaliases: "postalias $alias_database". */
static int
newaliases(char *name)
{
	ARRAY(char *) args = ARRAY_EMPTY;
	struct span rest, word;
	int rc = 0;

	log_set_tag("newaliases");
	/* Errors are told when the tables are made. */
	if (params_load_flags(NULL, NULL, 0, PARAMS_KEEP_GOING, NULL, NULL)
	    == -1)
		log_debug("the configuration has errors");
	*ARRAY_PUSH(&args) = name;
	rest = span_of(conf.alias_database);
	while (span_token(&rest, ", \t\r\n", &word))
		*ARRAY_PUSH(&args) = span_dup(word);
	if (args.len > 1) {
		int n = (int)args.len;

		*ARRAY_PUSH(&args) = NULL;
		rc = postmap_run(&format, n, args.v);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	if (strcmp(program_invocation_short_name, "newaliases") == 0 &&
	    argc == 1)
		return newaliases(argv[0]);
	return postmap_run(&format, argc, argv);
}
