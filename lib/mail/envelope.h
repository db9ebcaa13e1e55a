/* SPDX-License-Identifier: ISC */
/*
 * envelope - the fields that ENVELOPE, SORT and THREAD look at, and addresses
 * as ENVELOPE shows them.
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include "mail/message.h"

enum envelope_field {			/* ENVELOPE's order */
	ENVELOPE_DATE, ENVELOPE_SUBJECT, ENVELOPE_FROM, ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO, ENVELOPE_TO, ENVELOPE_CC, ENVELOPE_BCC,
	ENVELOPE_IN_REPLY_TO, ENVELOPE_MESSAGE_ID,
	ENVELOPE_REFERENCES,		/* not shown */
	ENVELOPE_FIELDS
};

/* The value of the first field of each, with its folds; p NULL: absent. */
void	 envelope_fields(const struct message_part *p, struct span *fields);

enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP, ADDRESS_GROUP_END };

struct address {			/* p NULL: NIL; good during the call */
	enum address_kind	kind;
	struct span		name, route, mailbox, host;
};

/* What stands for the mailbox where none can be read. */
#define ENVELOPE_NO_MAILBOX	"MISSING_MAILBOX"
/* Call fn for each address of a list, groups opened and closed. */
void	 envelope_addresses(struct span value, void (*fn)(void *arg,
	    const struct address *a), void *arg);
/* message_put_envelope(); without addresses all lists are NIL. */
void	 envelope_put(const struct message_part *p, bool addresses,
	    struct buf *out);
/* An nstring of a field's value: folds as one space, NUL as U+FFFD. */
void	 message_put_field(struct span value, struct buf *out);

#endif
