/* SPDX-License-Identifier: ISC */
/*
 * cf_file - the logical lines of Postfix's text files: main.cf, master.cf and
 * the sources of tables.
 *
 * Lines that are empty or whose first character other than space is '#' are
 * skipped, also in the middle of a logical line.  A line that begins with
 * space continues the one before.  The newlines are taken out, the space
 * stays.  The last line needs no newline; a CR before it is removed.
 */
#ifndef CONF_CF_FILE_H
#define CONF_CF_FILE_H

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define CF_FILE_MAX	(256 << 20)	/* bytes in a table's source */
#define CF_CONFIG_MAX	(16 << 20)	/* bytes in main.cf or master.cf */
#define CF_LINE_MAX	(1 << 20)	/* bytes in a logical line */

struct cf_file {
	char		*path;
	struct buf	 text;
	struct span	 rest;		/* not read yet */
	int		 lineno;	/* of the last physical line read */
	struct buf	 joined;	/* a line made of several */
};

struct cf_line {
	struct span	 text;		/* good until the next call */
	int		 first, last;	/* physical line numbers */
	bool		 indented;	/* begins with space: continues nothing */
};

/* Read the whole file; -1 with why.  A file with NUL bytes is refused. */
MUST_CHECK int cf_file_open(struct cf_file *f, const char *path, size_t max,
	    struct why *why);
/* The same from memory ("inline"). */
void	 cf_file_from(struct cf_file *f, const char *name, struct span text);
void	 cf_file_close(struct cf_file *f);
/* 1 and the next logical line, 0 at the end, -1 with why (too long). */
MUST_CHECK int cf_file_next(struct cf_file *f, struct cf_line *line,
	    struct why *why);

/*
 * The files of a drop-in directory that end in suffix (".cf") and do not
 * begin with a dot, as full paths in lexical order.  A missing directory has
 * none.  -1 with why.
 */
struct cf_paths {
	ARRAY(char *) list;
};
MUST_CHECK int cf_drop_ins(const char *dir, const char *suffix,
	    struct cf_paths *out, struct why *why);
void	 cf_paths_fini(struct cf_paths *p);

#endif
