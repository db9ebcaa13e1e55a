/* SPDX-License-Identifier: ISC */
/*
 * parse - lines of a POP3 client, for front and engine.
 */
#ifndef POP3D_PARSE_H
#define POP3D_PARSE_H

#include "base/cc.h"
#include "base/span.h"

/* RFC 2449 4 asks for 255 with CRLF; passwords and comments of real clients
 * are longer.  AUTH has a limit of its own (RFC 5034 4). */
#define POP3_LINE_MAX	1024		/* bytes, with the line's end */
#define POP3_AUTH_MAX	24576		/* base64 of what authd takes */

enum pop3_verb {
	POP3_UNKNOWN,
	POP3_APOP, POP3_AUTH, POP3_CAPA, POP3_DELE, POP3_LANG, POP3_LIST,
	POP3_NOOP, POP3_PASS, POP3_QUIT, POP3_RETR, POP3_RSET, POP3_STAT,
	POP3_STLS, POP3_TOP, POP3_UIDL, POP3_USER, POP3_UTF8,
};

struct pop3_line {
	enum pop3_verb	verb;
	struct span	word;		/* the verb as it came */
	/* What follows the first space, as it is: a password may begin and
	 * end with spaces.  p is NULL when there is no space. */
	struct span	rest;
};

enum pop3_parsed { POP3_MORE, POP3_LINE, POP3_TOO_LONG };

/*
 * The line at in's start.  POP3_LINE: *out points into in, *used bytes of
 * which are the line.  POP3_TOO_LONG: *used bytes can be thrown away; *whole
 * says whether the line's end was among them.
 */
enum pop3_parsed pop3_parse_line(struct span in, struct pop3_line *out,
	    size_t *used, bool *whole);

/*
 * Arguments that are numbers: the next one of *rest, which is taken off.  1;
 * 0: there is none; -1: something else, or too large for 32 bits.
 */
MUST_CHECK int pop3_parse_number(struct span *rest, uint32_t *out);

/*
 * What is said of a command that is wrong in itself, or out of place: sent
 * again, it fails again (RFC 3206 4).  "" where the text brings a code.
 */
#define POP3_WRONG	"[SYS/PERM] "
static inline const char *
pop3_code_for(const char *text)
{
	return text[0] == '[' ? "" : POP3_WRONG;
}

#endif
