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
#include "conf/cf_file.h"

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

struct postmap_job {			/* the command line */
	const struct postmap_format *f;
	const char	*config_dir;
	const char	*query, *delete;
	bool		 incremental, no_fold, file_value, keep_root;
	bool		 new_mode, replace, sequence, quiet_dup;
	bool		 headers, body, parts;	/* -h, -b, -m */
	bool		 verbose;
	bool		 any_bytes;	/* -u: not only UTF-8 */
};

#define POSTMAP_STDIN_MAX	CF_FILE_MAX	/* bytes */

/* "hash:/file", with the default type in front where there is none; to
 * mem_free(). */
char	*postmap_spec(const char *arg);
/* All of standard input; exits when it cannot be read. */
void	 postmap_read_stdin(struct buf *b);
/* -q and -s; the exit status. */
int	 postmap_query(const struct postmap_job *j, int argc, char **argv);
int	 postmap_sequence(const struct postmap_job *j, int argc, char **argv);

int	 postmap_run(const struct postmap_format *f, int argc, char **argv);

#endif
