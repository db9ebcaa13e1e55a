/* SPDX-License-Identifier: ISC */
/*
 * scan - the tokens of one IMAP command (RFC 9051 9, RFC 3501 9).
 *
 * A scan walks over one complete command in memory: the line without its
 * final CRLF, each literal lying where it was announced ("{3}\r\nabc").  No
 * I/O happens here.  Every function takes one thing off the front and returns
 * true, or returns false, leaves the place where it was and notes what was
 * wrong; the first note stays, so a handler can chain calls with && and
 * answer once.
 *
 * Spans point into the command, or into the arena where escapes had to be
 * taken out; they live as long as both.
 */
#ifndef IMAPD_SCAN_H
#define IMAPD_SCAN_H

#include "base/arena.h"
#include "base/cc.h"
#include "base/ranges.h"
#include "base/span.h"

#define SCAN_DEPTH_MAX	64		/* parentheses in parentheses */
/* "*" in a set; what it stands for is found out when the set is resolved. */
#define SCAN_STAR	UINT32_MAX
#define SCAN_RANGES_MAX	65536		/* ranges in one set */

struct scan {
	struct span	 in;
	size_t		 at;
	struct arena	*arena;
	bool		 utf8;		/* mailbox names are UTF-8, not mUTF-7 */
	const char	*err;		/* what was wrong, or NULL */
	const char	*code;		/* response code with it, or NULL */
	bool		 no;		/* answer NO: the grammar was right */
	unsigned	 depth;
};

void	 scan_init(struct scan *s, struct span in, struct arena *arena);
/* Note what is wrong (BAD; with code: [code]); false. */
bool	 scan_bad(struct scan *s, const char *err);
bool	 scan_no(struct scan *s, const char *code, const char *err);

/* The next byte, -1 at the end; c is next; the atom word is next, whole. */
int	 scan_peek(const struct scan *s);
bool	 scan_is(const struct scan *s, char c);
bool	 scan_is_word(const struct scan *s, const char *word);
/* Take it if it is next; nothing is noted otherwise. */
bool	 scan_take(struct scan *s, char c);
bool	 scan_take_word(struct scan *s, const char *word);
/* Exactly one space; an opening parenthesis, counting depth; closing; end. */
bool	 scan_sp(struct scan *s);
bool	 scan_open(struct scan *s);
bool	 scan_close(struct scan *s);
bool	 scan_end(struct scan *s);
bool	 scan_char(struct scan *s, char c);

bool	 scan_tag(struct scan *s, struct span *out);
bool	 scan_atom(struct scan *s, struct span *out);
/* An atom that ends at "[" and "<", too: the name of a fetch-att. */
bool	 scan_word(struct scan *s, struct span *out);
bool	 scan_string(struct scan *s, struct span *out);
bool	 scan_nstring(struct scan *s, struct span *out);	/* NIL: p NULL */
bool	 scan_astring(struct scan *s, struct span *out);
/* A literal or literal8; *binary (may be NULL): it was "~{". */
bool	 scan_literal(struct scan *s, struct span *out, bool *binary);

bool	 scan_number(struct scan *s, uint32_t *out);
bool	 scan_nz_number(struct scan *s, uint32_t *out);
bool	 scan_number64(struct scan *s, uint64_t *out);	/* 63 bits */
/* A sequence-set without "$"; *out is reset first. */
bool	 scan_set(struct scan *s, struct ranges *out);
/*
 * A mailbox name, as UTF-8; "inbox" in any case comes out as "INBOX".  A name
 * that is no modified UTF-7 (with utf8 set: no UTF-8) is answered NO.
 */
bool	 scan_mailbox(struct scan *s, struct span *out);
/* The same for a pattern of LIST (list-mailbox), with its * and %.  One that
 * no name can match is no error: *out has p NULL then. */
bool	 scan_pattern(struct scan *s, struct span *out);
/* "1-Feb-2026", quoted or not: days since 1970-01-01. */
bool	 scan_date(struct scan *s, int64_t *days);
/* A quoted date-time: seconds since 1970 and minutes east of UTC. */
bool	 scan_date_time(struct scan *s, int64_t *wall_s, int *zone_min);

bool	 scan_is_atom_char(int c);

#endif
