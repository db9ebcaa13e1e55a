/* SPDX-License-Identifier: ISC */
/*
 * uidl_format - how POP3's unique ids (RFC 1939 7) are made of what is known
 * of a message.
 *
 *	%i	the message's own id	%f	its file's name
 *	%u	its UID			%g	another server's name for it
 *	%v	the UIDVALIDITY		%%	'%'
 *	%08Xu, %08Xv			both in hexadecimal
 */
#ifndef STORE_UIDL_FORMAT_H
#define STORE_UIDL_FORMAT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

struct uidl_values {
	uint32_t	 uid, uidvalidity;	/* 0: not known */
	const uint8_t	*id;			/* 16 bytes; NULL: none */
	struct span	 file, guid;		/* empty: none */
};

/* The format that another server has by default, "dovecot", "courier",
 * "cyrus"; NULL: no such name. */
const char *uidl_format_of(const char *server);
/* Append the id.  -1: the format asks for what is not known, or makes no
 * sense. */
MUST_CHECK int uidl_format(const char *format, const struct uidl_values *v,
	    struct buf *out);
/* Whether a "%..." of that letter is in it. */
bool	 uidl_format_has(const char *format, char letter);

#endif
