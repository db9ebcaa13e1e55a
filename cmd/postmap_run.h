/* SPDX-License-Identifier: ISC */
/*
 * postmap_run - what postmap and postalias do: make, change and query tables.
 * They differ in the format of the source file and of what is shown.
 */
#ifndef CMD_POSTMAP_RUN_H
#define CMD_POSTMAP_RUN_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct cf_line;

enum postmap_line {
	POSTMAP_OK,
	POSTMAP_WARN,		/* used, after a warning: *complaint */
	POSTMAP_SKIP		/* left out, after a warning */
};

struct postmap_format {
	const char	*name;		/* "postmap" */
	const char	*options;	/* for getopt */
	const char	*usage;
	/* Key and value of a logical line. */
	enum postmap_line (*parse)(const struct cf_line *line, struct buf *key,
		    struct buf *value, const char **complaint);
	const char	*separator;	/* between key and value, in -s -q - */
	/* Postfix's postalias adds entries for NIS and sendmail. */
	bool		 nis_entries;
};

int	 postmap_run(const struct postmap_format *f, int argc, char **argv);

#endif
