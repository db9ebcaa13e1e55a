/* SPDX-License-Identifier: ISC */
/*
 * auth - logins, asked of authd (private/auth).
 *
 * Three kinds of client, told apart by the credentials of their process:
 *
 *	everybody (smtpd, the fronts of imapd and pop3d)
 *		START an attempt under a tag of their own; CHALLENGE and
 *		CONTINUE in turn; the end is one OK or one FAIL.  CANCEL drops
 *		an attempt and has no answer.  With START goes the client's
 *		socket (only root may leave it out): where the client is, the
 *		kernel says.  authd looks at its addresses and closes it.
 *	root (the session monitor)
 *		REDEEM a ticket for the facts of its user: CAME and USER, or
 *		REFUSED.
 *	root, mail_owner and authd_owner
 *		LOOKUP a user without a ticket: USER or REFUSED.
 *	root
 *		BAN, UNBAN, BANS: any number of ENTRY, then a RESULT.
 *
 * All data is as SASL says (RFC 4422), without base64.  What a mechanism
 * sends with its success (SCRAM's server signature) goes out as one more
 * CHALLENGE that wants an empty CONTINUE, because none of SMTP, IMAP and POP3
 * can send it otherwise: a front has nothing to know about mechanisms.
 *
 * authd keeps failures waiting (authd_failure_delay); the client's attempt
 * simply takes that long.  authd believes a client nothing but what concerns
 * the client's own connection: an OK, its ticket and what a ticket is worth
 * depend on the user's secret alone.
 *
 * A ticket is AUTH_TICKET_LEN random bytes, good once, for one service, for
 * AUTH_TICKET_MS, and only in this process of authd.
 */
#ifndef IPC_MSG_AUTH_H
#define IPC_MSG_AUTH_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define AUTH_SERVICE_MAX	16	/* "smtp", "imap", "pop3" */
#define AUTH_MECH_MAX		32
#define AUTH_DATA_MAX		16384	/* bytes of a client's response */
#define AUTH_NAME_MAX		512	/* a login name */
#define AUTH_CB_MAX		64	/* channel binding data */
#define AUTH_CERT_MAX		512
#define AUTH_TICKET_LEN		32
#define AUTH_TICKET_MS		30000
#define AUTH_PATH_MAX		4096
#define AUTH_TEXT_MAX		512

enum {
	AUTH_START = 1,		/* -> auth_start, with a descriptor */
	AUTH_CONTINUE,		/* -> auth_data */
	AUTH_CANCEL,		/* -> empty; no answer */
	AUTH_CHALLENGE,		/* <- auth_data */
	AUTH_OK,		/* <- auth_ok */
	AUTH_FAIL,		/* <- auth_fail */
	AUTH_REDEEM,		/* -> auth_redeem */
	AUTH_LOOKUP,		/* -> auth_lookup */
	AUTH_USER,		/* <- auth_user */
	AUTH_REFUSED,		/* <- auth_refused */
	AUTH_BAN,		/* -> auth_ban */
	AUTH_UNBAN,		/* -> auth_ban; seconds is ignored */
	AUTH_BANS,		/* -> empty */
	AUTH_ENTRY,		/* <- auth_entry */
	AUTH_RESULT,		/* <- auth_result */
	AUTH_CAME,		/* <- auth_came; USER follows */
};

/*
 * Why not.  What a client may be told differs from what the log says: an
 * unknown user, a wrong password and an app password of another service are
 * all AUTH_WRONG.  AUTH_DISABLED and AUTH_EXPIRED are said only to who knew
 * the secret.
 */
enum auth_reason {
	AUTH_WRONG = 1,		/* 535 5.7.8, [AUTHENTICATIONFAILED] */
	AUTH_NOT_FOR_YOU,	/* authzid: 535 5.7.8, [AUTHORIZATIONFAILED] */
	AUTH_DISABLED,		/* 535 5.7.13, [CONTACTADMIN] */
	AUTH_EXPIRED,		/* 535 5.7.8, [EXPIRED] */
	AUTH_MALFORMED,		/* 501 5.5.2, BAD: breaks the mechanism */
	AUTH_NO_MECHANISM,	/* 504 5.5.4, NO: not offered */
	AUTH_TOO_WEAK,		/* 534 5.7.9: not for this user */
	AUTH_NEED_TLS,		/* 538 5.7.11, [PRIVACYREQUIRED] */
	AUTH_BANNED,		/* 454 4.7.0, [UNAVAILABLE]: too many failures */
	AUTH_UNAVAILABLE,	/* 454 4.7.0, [UNAVAILABLE]: ours, try later */
};

/*
 * Where the client is, and what its connection is: the front's claims, used
 * for channel binding and the log.  client and client_port are believed where
 * the descriptor says the same, and of those who speak for others (a proxy in
 * front of smtpd, XCLIENT), as the settings have it.
 */
#define AUTH_START_ROWS(ROW)						\
	ROW(STR, service, AUTH_SERVICE_MAX)				\
	ROW(STR, mechanism, AUTH_MECH_MAX)	/* any case */		\
	ROW(BOOL, has_initial, )	/* "" is one, too */		\
	ROW(BLOB, initial, AUTH_DATA_MAX)				\
	ROW(STR, client, SOCK_ADDR_TEXT_MAX)	/* address, "" none */	\
	ROW(U32, client_port, 65535)					\
	ROW(STR, server, SOCK_ADDR_TEXT_MAX)				\
	ROW(U32, server_port, 65535)					\
	ROW(BOOL, tls, )						\
	ROW(BLOB, tls_exporter, AUTH_CB_MAX)	/* RFC 9266, or "" */	\
	ROW(BLOB, tls_endpoint, AUTH_CB_MAX)	/* RFC 5929, or "" */	\
	ROW(STR, cert_name, AUTH_CERT_MAX)	/* of a verified client	\
						 * certificate, or "" */ \
	ROW(STR, realm, 255)		/* of a name without a domain,	\
					 * or "" */			\
	ROW(STR, trace, 32)						\
	ROW(BOOL, want_ticket, )
IPC_MESSAGE(auth_start, AUTH_START_ROWS)

#define AUTH_DATA_ROWS(ROW)						\
	ROW(BLOB, data, AUTH_DATA_MAX)
IPC_MESSAGE(auth_data, AUTH_DATA_ROWS)

#define AUTH_OK_ROWS(ROW)						\
	ROW(STR, user, AUTH_NAME_MAX)	/* whose mail: the authzid */	\
	ROW(STR, login, AUTH_NAME_MAX)	/* who: differs for masters */	\
	ROW(BLOB, ticket, AUTH_TICKET_LEN)	/* or "" */
IPC_MESSAGE(auth_ok, AUTH_OK_ROWS)

#define AUTH_FAIL_ROWS(ROW)						\
	ROW(U32, reason, AUTH_UNAVAILABLE)				\
	ROW(STR, text, AUTH_TEXT_MAX)	/* for the client, no code */	\
	ROW(STR, user, AUTH_NAME_MAX)	/* as tried, for logs; or "" */
IPC_MESSAGE(auth_fail, AUTH_FAIL_ROWS)

#define AUTH_REDEEM_ROWS(ROW)						\
	ROW(STR, service, AUTH_SERVICE_MAX)				\
	ROW(BLOB, ticket, AUTH_TICKET_LEN)
IPC_MESSAGE(auth_redeem, AUTH_REDEEM_ROWS)

/* Where the client was that got the ticket. */
#define AUTH_CAME_ROWS(ROW)						\
	ROW(STR, client, SOCK_ADDR_TEXT_MAX)	/* address, "" none */	\
	ROW(U32, client_port, 65535)
IPC_MESSAGE(auth_came, AUTH_CAME_ROWS)

#define AUTH_LOOKUP_ROWS(ROW)						\
	ROW(STR, user, AUTH_NAME_MAX)
IPC_MESSAGE(auth_lookup, AUTH_LOOKUP_ROWS)

/*
 * A user: whom to become and where the mail lies.  For a virtual user what
 * virtual(8) computes for the address, for a system user what local(8) does.
 * base and path are struct store_place's: path is relative to base and may
 * not exist yet.
 */
#define AUTH_USER_ROWS(ROW)						\
	ROW(STR, user, AUTH_NAME_MAX)					\
	ROW(STR, login, AUTH_NAME_MAX)					\
	ROW(U32, uid, UINT32_MAX - 1)	/* never 0 */			\
	ROW(U32, gid, UINT32_MAX - 1)	/* never 0 */			\
	ROW(STR, home, AUTH_PATH_MAX)	/* system users; or "" */	\
	ROW(STR, base, AUTH_PATH_MAX)	/* absolute */			\
	ROW(STR, path, AUTH_PATH_MAX)	/* relative to base */		\
	ROW(U32, format, 16)		/* enum store_format */		\
	ROW(BOOL, detect, )		/* an existing directory decides */ \
	ROW(BOOL, virtual, )						\
	ROW(U64, quota_bytes, UINT64_MAX)	/* 0: none */		\
	ROW(U64, quota_messages, UINT64_MAX)				\
	ROW(U64, quota_mailboxes, UINT64_MAX)				\
	ROW(STR, groups, AUTH_PATH_MAX)	/* of ACLs, with blanks between */
IPC_MESSAGE(auth_user, AUTH_USER_ROWS)

#define AUTH_REFUSED_ROWS(ROW)						\
	ROW(BOOL, temporary, )						\
	ROW(STR, text, AUTH_TEXT_MAX)
IPC_MESSAGE(auth_refused, AUTH_REFUSED_ROWS)

#define AUTH_BAN_ROWS(ROW)						\
	ROW(STR, what, AUTH_NAME_MAX)	/* an address, net or user */	\
	ROW(U64, seconds, 366ull * 86400)	/* 0: authd_failure_ban_time */
IPC_MESSAGE(auth_ban, AUTH_BAN_ROWS)

#define AUTH_ENTRY_ROWS(ROW)						\
	ROW(STR, what, AUTH_NAME_MAX)					\
	ROW(BOOL, banned, )		/* else only penalties so far */ \
	ROW(U64, seconds, UINT64_MAX)	/* that it lasts */		\
	ROW(U32, failures, UINT32_MAX)
IPC_MESSAGE(auth_entry, AUTH_ENTRY_ROWS)

#define AUTH_RESULT_ROWS(ROW)						\
	ROW(BOOL, ok, )							\
	ROW(U32, count, UINT32_MAX)					\
	ROW(STR, text, AUTH_TEXT_MAX)
IPC_MESSAGE(auth_result, AUTH_RESULT_ROWS)

static const struct ipc_proto AUTH_PROTO UNUSED = {
	.name = "auth", .version = 1,
	.frame_max = 64 * 1024, .out_max = 16u << 20, .secret = true,
};

#endif
