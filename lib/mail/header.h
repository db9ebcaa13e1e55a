/* SPDX-License-Identifier: ISC */
/*
 * header - the header section of a message (RFC 5322 2.2, 3.6).
 *
 * Works on bytes in memory.  Lines end in LF or CRLF.  Never copies: a field
 * is a span of the input with its folds in it.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

struct header_field {
	struct span	name;		/* "Subject" */
	struct span	value;		/* after the colon, folds included */
	struct span	whole;		/* name to the final line end */
};

/*
 * Take the next field off *in.  1: *f is filled.  0: the header section has
 * ended; *in starts with the blank line, or with a line that is no header
 * (the body began without a blank line), or is empty.  A field continues
 * over lines that begin with a space or tab.
 */
MUST_CHECK int header_next(struct span *in, struct header_field *f);
/*
 * The length of the field name that line begins with, and in *colon (may be
 * NULL) where its colon is; 0 when the line begins no header field.
 */
size_t	 header_name_len(struct span line, size_t *colon);
/* The bytes of the header section, without the blank line. */
size_t	 header_section_len(struct span message);
/* The first field with this name (no case); false when there is none. */
bool	 header_find(struct span section, const char *name,
	    struct header_field *f);
/* One line: folds become one space, outer space is dropped. */
void	 header_unfold(struct span value, struct buf *out);
/* Append "Name: value\n" (or line_end), folded at 78 where there is space. */
void	 header_fold(struct buf *out, const char *name, struct span value,
	    const char *line_end);

#endif
