/* SPDX-License-Identifier: ISC */
/*
 * charset - text in any charset to UTF-8.
 *
 * UTF-8, US-ASCII, ISO-8859-1 and windows-1252 are done here; the rest by
 * iconv(3), which is used in charset.c only.  It loads its tables from files
 * when a charset is first met: a process that gives up reading the file
 * system calls charset_preload() before.  Charsets of one byte a character
 * are asked for all of them once and need iconv no more: a process that is
 * forked often has few mappings then.
 *
 * Nothing fails: what is wrong in its charset becomes U+FFFD, a byte each; of
 * a charset that nobody knows, ASCII stays and the rest becomes U+FFFD, or
 * UTF-8 where it happens to be that.  Names come from strangers: they are
 * letters, digits and "-_.:+()" (so no iconv suffix), up to CHARSET_NAME_MAX.
 */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define CHARSET_NAME_MAX	40	/* bytes */

struct charset {
	enum { CHARSET_UTF8, CHARSET_LATIN1, CHARSET_CP1252, CHARSET_TABLE,
	    CHARSET_ICONV } kind;
	const uint16_t	*high;		/* private: CHARSET_TABLE's */
	void		*iconv;		/* private; shared, not closed here */
	char		 held[16];	/* the start of a character */
	size_t		 nheld;
};

/* Text in charset name begins.  False: it is unknown (and usable). */
bool	 charset_init(struct charset *c, struct span name);
/* Append in as UTF-8; whole characters only, the rest waits. */
void	 charset_write(struct charset *c, struct span in, struct buf *out);
/* The text has ended. */
void	 charset_finish(struct charset *c, struct buf *out);
/*
 * All of it at once.  False: the charset is unknown.  Only one text at a time
 * may be between init and finish with the same charset.
 */
bool	 charset_convert(struct span name, struct span in, struct buf *out);
/* The same for what ought to be UTF-8. */
void	 charset_utf8(struct span in, struct buf *out);
/* Whether text in it could be read (SEARCH CHARSET, [BADCHARSET]). */
bool	 charset_known(struct span name);
/*
 * How often a name that may be a charset's was unknown, so far: text that was
 * made in between could read otherwise in a process that knows it.
 */
uint64_t charset_misses(void);
/* Load what mail commonly is written in. */
void	 charset_preload(void);
/* Free what was loaded, for tests that look for leaks. */
void	 charset_unload(void);

#endif
