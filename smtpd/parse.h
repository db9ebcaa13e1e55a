/* SPDX-License-Identifier: ISC */
/*
 * parse - SMTP command lines as structs: grammar only, no I/O, no state.
 *
 * Every function takes bytes that a stranger sent and either fills its struct
 * or says which reply the client gets.  Spans point into the input.
 */
#ifndef SMTPD_PARSE_H
#define SMTPD_PARSE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "io/sock.h"
#include "mail/dsn.h"

/* Parameters after a path, or attributes of XCLIENT: more are refused. */
#define PARSE_PARAM_MAX	64
/* Bytes of HELO's name that are kept; RFC 5321 4.5.3.1.2 says 255. */
#define PARSE_HELO_MAX	255

/* What is wrong: the reply, and the part of the input it is about. */
struct parse_error {
	const char	*reply;		/* "501 5.5.4 Bad RET ..." */
	struct span	 what;		/* follows as ": what" when not empty */
};

/*
 * Split a line, without its line end, into the verb and the rest.  Space
 * around both is dropped; rest is empty when there is none.  False: the line
 * is blank.
 */
bool	 parse_verb(struct span line, struct span *verb, struct span *rest);

enum body_type { BODY_UNSET = 0, BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

struct mail_params {
	bool		has_size;
	uint64_t	size;		/* RFC 1870 */
	enum body_type	body;		/* RFC 6152, RFC 3030 */
	bool		smtputf8;	/* RFC 6531 */
	bool		requiretls;	/* RFC 8689 */
	unsigned	ret;		/* DSN_RET_*, RFC 3461 */
	struct span	envid;		/* xtext as it came */
	struct span	auth;		/* RFC 4954 5, as it came; not "<>" */
};

struct rcpt_params {
	unsigned	notify;		/* DSN_NOTIFY_* */
	struct span	orcpt;		/* "type;xtext" as it came */
};

enum {				/* what the peer may use */
	PARSE_LAX	= 1 << 0,	/* not strict_rfc821_envelopes */
	PARSE_UTF8	= 1 << 1,
	PARSE_SIZE	= 1 << 2,
	PARSE_8BITMIME	= 1 << 3,
	PARSE_BINARY	= 1 << 4,
	PARSE_DSN	= 1 << 5,
	PARSE_AUTH	= 1 << 6,
	PARSE_REQUIRETLS = 1 << 7,
	PARSE_ALL	= 0xff
};

/*
 * The argument of MAIL and of RCPT: "FROM:<path> [parameters]".  The address
 * in its unquoted form goes to addr.  -1 with *err; addr is then empty.
 */
MUST_CHECK int parse_mail(struct span arg, unsigned flags, struct buf *addr,
	    struct mail_params *out, struct parse_error *err);
MUST_CHECK int parse_rcpt(struct span arg, unsigned flags, struct buf *addr,
	    struct rcpt_params *out, struct parse_error *err);
/* ORCPT's value, decoded: "rfc822;joe@example.org".  utf8: MAIL has said
 * SMTPUTF8. */
MUST_CHECK int parse_orcpt(struct span in, bool utf8, struct buf *out);

/* RFC 3030 2: "BDAT 86 LAST". */
MUST_CHECK int parse_bdat(struct span arg, uint64_t *size, bool *last);

/*
 * The next "NAME=xtext" of XCLIENT or XFORWARD off *rest; the value is
 * decoded into value.  1: one was taken; 0: no more; -1 with *err.
 */
MUST_CHECK int parse_xattr(struct span *rest, struct span *name,
	    struct buf *value, struct parse_error *err);
/* XCLIENT's spelling of an address: "192.0.2.1", "IPV6:2001:db8::1". */
MUST_CHECK int parse_xaddr(struct span text, struct sock_addr *out);

/* Letters, digits, '-' and dots in the right places (Postfix: valid_hostname),
 * '_' too, as Postfix takes it. */
bool	 parse_hostname_valid(struct span s);

#endif
