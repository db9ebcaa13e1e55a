/* SPDX-License-Identifier: ISC */
/*
 * dsn - codes and parameters of delivery status notifications.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* RFC 3461 4.1 NOTIFY; 0 means "not given" (FAILURE, and DELAY allowed). */
enum {
	DSN_NOTIFY_NEVER = 1, DSN_NOTIFY_SUCCESS = 2, DSN_NOTIFY_FAILURE = 4,
	DSN_NOTIFY_DELAY = 8
};
/* RFC 3461 4.3 RET. */
enum { DSN_RET_UNSET = 0, DSN_RET_FULL = 1, DSN_RET_HDRS = 2 };

#define DSN_ENVID_MAX	100	/* RFC 3461 4.4, xtext-decoded */
#define DSN_ORCPT_MAX	500	/* RFC 3461 4.2 "addr-type;xtext-decoded" */

/* RFC 3463: "2.0.0" .. "5.999.999". */
bool	 dsn_code_valid(struct span code);
MUST_CHECK int dsn_parse_notify(struct span s, unsigned *out);
/*
 * What the members of an alias inherit (RFC 3461 5.2.7.2): all but SUCCESS,
 * which is answered for the alias.  NOTIFY=SUCCESS alone becomes NEVER: it
 * asked for no notice of failures.
 */
unsigned dsn_notify_members(unsigned notify);
/*
 * xtext (RFC 3461 4), for ENVID and for ORCPT of type rfc822.  Decoding
 * refuses (-1, out unchanged) what is no xtext, and control characters.
 */
MUST_CHECK int dsn_xtext_decode(struct span in, struct buf *out);
void	 dsn_xtext_encode(struct span in, struct buf *out);
/*
 * The addresses of ORCPT type utf-8 (RFC 6533 3): "\x{20AC}" and plain UTF-8
 * both decode.  Encoding with ascii is utf-8-addr-xtext, without it
 * utf-8-addr-unitext, which only SMTPUTF8 peers may see.
 */
MUST_CHECK int dsn_utf8_decode(struct span in, struct buf *out);
void	 dsn_utf8_encode(struct span in, bool ascii, struct buf *out);

#endif
