/* SPDX-License-Identifier: ISC */
/*
 * envelope - what Mansio knows of a message besides its bytes.
 *
 * One encoding serves the conversations between daemons, the log records and
 * the queue files: a list of (u16 key, u32 length, bytes), so that a reader
 * skips what it does not know and a later version adds keys freely.
 * Recipient keys come after ENV_RCPT, which begins each recipient.
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include "base/arena.h"
#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define ENVELOPE_RCPT_MAX	50000	/* recipients, after all expansion */
#define ENVELOPE_ATTR_MAX	100	/* free attributes */
#define ENVELOPE_VALUE_MAX	4096	/* bytes of any one value */
#define TRACE_ID_MAX		24

/* Names of free attributes. */
#define ENV_ATTR_FULL_NAME	"fullname"	/* for a From: that is made */
#define ENV_ATTR_SASL_SENDER	"sasl_sender"	/* AUTH= of MAIL, as it came */

enum {					/* envelope.flags */
	ENV_8BITMIME	= 1 << 0,	/* BODY=8BITMIME */
	ENV_BINARYMIME	= 1 << 1,
	ENV_SMTPUTF8	= 1 << 2,
	ENV_REQUIRETLS	= 1 << 3,
	ENV_LOCAL	= 1 << 4,	/* submitted here: complete headers */
	ENV_HOLD	= 1 << 5,	/* goes to hold/ */
	ENV_NO_BOUNCE	= 1 << 6,	/* probes */
	ENV_NO_CHECKS	= 1 << 7,	/* internal origin: no content checks */
	ENV_NO_REWRITE	= 1 << 8,	/* no canonical/virtual/masquerade */
	ENV_TLS_OPTIONAL= 1 << 9,	/* TLS-Required: no (RFC 8689) */
	ENV_NO_MILTERS	= 1 << 10,
	ENV_NO_RCPT_MAP	= 1 << 11,	/* no virtual alias expansion */
	ENV_NO_BCC	= 1 << 12,
	ENV_EXPIRE	= 1 << 13,	/* postsuper -e: return, do not try */
	ENV_PROBE	= 1 << 14,	/* not delivered: who would deliver it
					 * says what would become of it */
	ENV_REPORT	= 1 << 15,	/* the sender is told how the first round
					 * ended, or what a probe has found */
};

enum {					/* rcpt.flags, fate of one recipient */
	RCPT_PENDING = 0, RCPT_DELIVERED, RCPT_BOUNCED, RCPT_REMOVED
};

/*
 * text of a recipient that cleanup expanded to others, with RCPT_DELIVERED
 * and NOTIFY=SUCCESS: qmgr owes the "expanded" notice.  The flag goes when the
 * notice is there.
 */
#define RCPT_TEXT_EXPANDED	"alias expanded"

struct rcpt {
	struct span	addr;		/* where it goes now */
	struct span	orig;		/* as given to us; "" when the same */
	struct span	dsn_orcpt;	/* ORCPT, "" when none (RFC 3461) */
	unsigned	dsn_notify;	/* DSN_NOTIFY_* */
	/* State, in queue files; zero in a fresh message. */
	unsigned	fate;		/* RCPT_* */
	struct span	dsn;		/* last RFC 3463 code */
	struct span	text;		/* last reason */
	struct span	relay;		/* last "host[addr]:port", "local", ... */
	int64_t		tried_us;	/* last attempt, wall clock */
};

struct env_attr {
	struct span	name, value;
};

struct envelope {
	struct span	queue_id;	/* "" until cleanup has chosen it */
	struct span	trace_id;	/* from accept to folder */
	int64_t		arrival_us;	/* wall clock, when MAIL was accepted */
	struct span	sender;		/* "" is the null sender */
	unsigned	flags;		/* ENV_* */
	unsigned	dsn_ret;	/* DSN_RET_* */
	struct span	dsn_envid;
	/* The client, for logs, filters, Received and pipe(8). */
	struct span	client_name;	/* "unknown" when there is none */
	struct span	client_addr;	/* "192.0.2.1", "" when local */
	uint32_t	client_port;
	struct span	helo;
	struct span	protocol;	/* "ESMTP", "LMTP", "local", ... */
	struct span	login;		/* SASL login, "" when none */
	struct span	sasl_method;
	struct span	tls;		/* facts for Received, "" without TLS */
	uint32_t	submit_uid;	/* pickup: the user's uid */
	/* Scheduling. */
	int64_t		hold_until_us;	/* FUTURERELEASE; 0 none */
	int64_t		deliver_by_us;	/* DELIVERBY; 0 none */
	int		priority;	/* MT-PRIORITY -9..9 */
	struct span	filter;		/* "transport:nexthop" (content_filter,
					 * FILTER action); "" none */
	struct span	redirect;	/* REDIRECT action; "" none */
	uint64_t	size;		/* bytes of content */
	/* Retry state, in queue files. */
	int64_t		next_us;	/* next attempt, wall clock */
	uint32_t	attempts;
	bool		warned;		/* delay notice sent */
	ARRAY(struct rcpt) rcpts;
	ARRAY(struct env_attr) attrs;
};

#define ENVELOPE_INIT	((struct envelope){ .arrival_us = 0 })

/* Appends.  A text that is too long is cut, and NUL, CR and LF in one become
 * '?': what is encoded can be decoded. */
void	 envelope_encode(struct buf *b, const struct envelope *e);
/* Spans point into in.  -1 with why on damage or over a limit; e is then
 * empty. */
MUST_CHECK int envelope_decode(struct envelope *e, struct span in,
	    struct why *why);
/* The value of a free attribute; "" when there is none. */
struct span envelope_attr(const struct envelope *e, const char *name);
void	 envelope_fini(struct envelope *e);	/* the arrays, not the spans */
/* A new trace id: 16 random characters. */
void	 trace_id_make(char out[TRACE_ID_MAX]);

#endif
