/* SPDX-License-Identifier: ISC */
/*
 * content - a message on its way out: from a file of lines that end in LF to
 * what follows DATA or BDAT.
 *
 * Lines get CR LF, and what is longer than the limit is cut with CR LF and a
 * space.
 */
#ifndef SMTP_CONTENT_H
#define SMTP_CONTENT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/why.h"
#include "smtp/alter.h"

/* What a message needs, found by looking at all of it once. */
struct content_facts {
	bool		 eight_bit_body, eight_bit_header;
	uint64_t	 size;		/* bytes on the wire, about */
};
MUST_CHECK int content_look(int fd, uint64_t offset, uint64_t len,
	    struct content_facts *out, struct why *why);

struct content;

enum {					/* flags */
	CONTENT_DOWNGRADE = 1 << 0,	/* 8-bit parts become quoted-printable
					 * on the way (RFC 6152 3) */
	CONTENT_DOTS	= 1 << 1,	/* a dot at the start of a line is
					 * doubled (RFC 5321 4.5.2) */
};

/* fd stays the caller's, and open until content_free(). */
struct content *content_new(int fd, uint64_t offset, uint64_t len,
	    size_t line_limit, unsigned flags);
void	 content_free(struct content **c);
/* Before the first piece: what goes out is altered (alter.h) first. */
void	 content_alter(struct content *c, const struct alter_checks *checks,
	    const struct generic *g, struct span queue_id);
/*
 * Append the next piece, some tens of KiB, to out.  1: there may be more; 0:
 * that was all, with a line end but without the final dot; -1 with why: the
 * file cannot be read, and the message must not be ended.
 */
MUST_CHECK int content_next(struct content *c, struct buf *out,
	    struct why *why);

#endif
