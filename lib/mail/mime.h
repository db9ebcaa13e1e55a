/* SPDX-License-Identifier: ISC */
/*
 * mime - the structure of a message, found while its bytes go by.
 *
 * Bytes go in through mime_write(), in pieces of any size; every byte comes
 * out again through exactly one call: as a header field, as the blank line
 * that ends a header section, or as body.  So a caller that writes down what
 * it is shown has the message again; content checks look at it on the way.
 *
 * Memory is bounded whatever the message is: one header field of at most
 * header_max bytes (what goes beyond is dropped, as header_size_limit says,
 * and reported), one line of line_max, and nesting_max boundaries.  Beyond
 * nesting_max the inner parts are body.
 *
 * Lines end in LF or CRLF.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "mail/header.h"

enum mime_section {
	MIME_PRIMARY,			/* the message's own header */
	MIME_PART,			/* of a part of a multipart */
	MIME_NESTED			/* of an attached message */
};

struct mime_ops {
	/*
	 * One field with its folds; whole ends with the line end (also when
	 * cut).  The spans are good during the call.
	 */
	void	(*header)(void *arg, enum mime_section s,
		    const struct header_field *f);
	/*
	 * A header section is over.  blank: by a blank line, which is told
	 * by this call only.  Called for MIME_PRIMARY exactly once.
	 */
	void	(*header_end)(void *arg, enum mime_section s, bool blank);
	/*
	 * Bytes of the body, boundary lines included.  line_start: bytes
	 * begin at the start of a line.  With options.lines each call is at
	 * most one line, with its LF, or a piece of line_max bytes of one.
	 */
	void	(*body)(void *arg, struct span bytes, bool line_start);
};

enum {					/* what was seen: mime_flags() */
	MIME_NESTING		= 1 << 0,	/* deeper than nesting_max */
	MIME_HEADER_CUT		= 1 << 1,	/* longer than header_max */
	MIME_8BIT_HEADER	= 1 << 2,
	MIME_8BIT_BODY		= 1 << 3,	/* 8-bit bytes in a 7bit part
						 * (options.look_8bit) */
	MIME_ENCODING		= 1 << 4,	/* message or multipart with
						 * base64 or the like */
	MIME_NOT_7BIT		= 1 << 5,	/* 8-bit bytes in the body at
						 * all (options.look_8bit) */
};

struct mime_options {
	bool	structure;	/* look into parts; else only the primary
				 * header is told from the body */
	bool	lines;		/* show the body line by line */
	bool	look_8bit;	/* look for 8-bit bytes in the body */
	size_t	header_max;	/* bytes: header_size_limit */
	size_t	line_max;	/* bytes: line_length_limit */
	size_t	boundary_max;	/* bytes: mime_boundary_length_limit */
	size_t	nesting_max;	/* levels: mime_nesting_limit */
};

struct mime;

struct mime *mime_new(const struct mime_options *o, const struct mime_ops *ops,
	    void *arg);
void	 mime_free(struct mime **m);
void	 mime_write(struct mime *m, struct span in);
/* The message is complete: what is gathered is shown. */
void	 mime_finish(struct mime *m);
unsigned mime_flags(const struct mime *m);
/* True, and which (s may be NULL), while the parser is in a header section. */
bool	 mime_in_header(const struct mime *m, enum mime_section *s);

/* Within body(): these bytes begin a boundary line. */
bool	 mime_at_boundary(const struct mime *m);
/*
 * Within header_end() and body(): whether the entity is neither a multipart
 * nor an attached message, and whether it has said that its content is
 * binary (RFC 2045 6.2).
 */
bool	 mime_in_leaf(const struct mime *m, bool *binary);

/* --- values ------------------------------------------------------------------ */

/*
 * Take a value such as "text/plain; charset=utf-8" apart (RFC 2045 5.1):
 * type and subtype as spans; mime_param() finds a parameter and appends its
 * value, unquoted.  Comments are skipped.  mime_type_parse is -1 for what is
 * no type/subtype; mime_param is true when the parameter is there.
 */
MUST_CHECK int mime_type_parse(struct span value, struct span *type,
	    struct span *subtype, struct span *params);
bool	 mime_param(struct span params, const char *name, struct buf *out);

#endif
