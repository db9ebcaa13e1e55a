/* SPDX-License-Identifier: ISC */
/*
 * template - the texts of notices (bounce(5)): built in, or from
 * bounce_template_file.
 *
 * A file has any of failure_template, delay_template, success_template and
 * verify_template, each "name = <<EOF", headers, an empty line, text, "EOF".
 */
#ifndef CONF_TEMPLATE_H
#define CONF_TEMPLATE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define TEMPLATE_FILE_MAX	(256 * 1024)	/* bytes */

enum template_kind {
	TEMPLATE_FAILURE, TEMPLATE_DELAY, TEMPLATE_SUCCESS, TEMPLATE_VERIFY,
	TEMPLATE_KINDS
};

struct template {
	char	*charset, *from, *subject;
	char	*postmaster_subject;	/* NULL: there are no such copies */
	char	*text;			/* with $names */
};

struct templates {
	struct template	t[TEMPLATE_KINDS];
};

/* The built-in ones. */
void	 templates_init(struct templates *ts);
/* Replace those that a file's text has.  -1 with why ("line 3: ..."); ts is
 * then unchanged. */
MUST_CHECK int templates_parse(struct templates *ts, struct span text,
	    struct why *why);
/* The built-in ones, and in their place those of the file path ("": no file).
 * -1 with why: ts has the built-in ones. */
MUST_CHECK int templates_load(struct templates *ts, const char *path,
	    struct why *why);
void	 templates_fini(struct templates *ts);
/* The names of the kinds as in the file, "failure_template". */
const char *template_name(enum template_kind k);
/*
 * Append the text with its $names replaced by what value() says of them (NULL:
 * unknown, and nothing is put there); "$$" is a dollar sign.  -1 with why when
 * a name is unknown or badly written; the text is complete nevertheless.
 */
int	 template_expand(const char *text, const char *(*value)(void *arg,
	    struct span name), void *arg, struct buf *out, struct why *why);
/* The same, where a name is a setting of main.cf, or a time with a unit
 * (delay_warning_time_hours). */
int	 template_expand_settings(const char *text, struct buf *out,
	    struct why *why);

#endif
