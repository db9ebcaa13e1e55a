/* SPDX-License-Identifier: ISC */
/*
 * dovecot - Dovecot's authentication protocol (version 1.2, the client's
 * half) on authd_dovecot_socket, so that another mail server can ask us:
 * Postfix with smtpd_sasl_type = dovecot, Exim, OpenSMTPD's filters.
 *
 * Lines of fields between tabs.  After VERSION, MECH ..., DONE from us the
 * client says AUTH and CONT, we say CONT, OK and FAIL.
 */
#ifndef AUTHD_DOVECOT_H
#define AUTHD_DOVECOT_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "ipc/msg_auth.h"

#define DOVECOT_LINE_MAX	(32 * 1024)	/* bytes */

/* Whether it could be opened, for check(). */
MUST_CHECK int dovecot_check(struct why *why);
/* Before the jail; nothing where the setting is empty. */
MUST_CHECK int dovecot_open(struct why *why);
void	 dovecot_start(struct loop *l);

/*
 * The fields of an AUTH line behind its id, as what authd starts with.  data
 * holds the initial response and is the caller's; spans point into line and
 * data.  -1: not such a line.  For the test and the fuzzer.
 */
MUST_CHECK int dovecot_parse_auth(struct span line, struct auth_start *out,
	    struct buf *data);

#endif
