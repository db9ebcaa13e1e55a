/* SPDX-License-Identifier: ISC */
/*
 * report - the text of a notice: multipart/report (RFC 6522) with a delivery
 * status (RFC 3464, and RFC 6533 for mail that needs SMTPUTF8).
 *
 * A notice is head, then a piece of the original message (which is never
 * brought into memory as a whole), then tail.  No I/O here.
 */
#ifndef BOUNCE_REPORT_H
#define BOUNCE_REPORT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "conf/template.h"
#include "ipc/msg_bounce.h"
#include "queue/envelope.h"

struct report {
	enum bounce_kind kind;
	bool		 postmaster;	/* the copy for the postmaster */
	const struct template *t;
	const struct envelope *e;	/* of the message it is about */
	struct span	 to;		/* who gets it */
	struct span	 header;	/* of the original, for threading */
	bool		 full;		/* the whole message is attached */
	bool		 eightbit;	/* what is attached has 8-bit bytes */
	int64_t		 now_s;
	int64_t		 give_up_s;	/* DELAY */
	const char	*message_id;	/* without angle brackets */
	const char	*boundary;
	const char	*text;		/* the template's, expanded */
};

/* Everything before the attached bytes, and everything after them. */
void	 report_head(const struct report *r, struct buf *out);
void	 report_tail(const struct report *r, struct buf *out);
/* "Mail Delivery System <MAILER-DAEMON@myorigin>" from a template's From. */
void	 report_from(const char *from, struct buf *out);

#endif
