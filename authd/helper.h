/* SPDX-License-Identifier: ISC */
/*
 * helper - processes that authd forks before it gives up root, each for one
 * thing that authd itself cannot be allowed to do:
 *
 *	keeper	changes lines of authd_password_file, keeps the file of bans
 *	pam	asks PAM, which reads shadow passwords and loads libraries
 *	introspect
 *		asks a web server whether an access token is good
 *
 * They take frames from authd and from nobody else, and end when authd ends.
 */
#ifndef AUTHD_HELPER_H
#define AUTHD_HELPER_H

#include "daemon/sandbox.h"
#include "ipc/ipc.h"
#include "ipc/msg_auth.h"
#include "ipc/schema.h"

#define HELPER_LINE_MAX	(64 * 1024)	/* bytes of an account's text */

enum {
	KEEPER_CHANGE = 1,	/* -> keeper_change */
	KEEPER_DONE,		/* <- empty: durable, or refused */
	KEEPER_STATE,		/* -> the text of data_directory/authd.bans */
	PAM_ASK,		/* -> pam_ask_msg */
	PAM_ANSWER,		/* <- pam_answer */
	TOKEN_ASK,		/* -> token_ask */
	TOKEN_CANCEL,		/* -> empty; no answer */
	TOKEN_ANSWER,		/* <- token_answer */
};

/* Make the account's text "now", if it still is "was": whoever changed it
 * meanwhile knew better. */
#define KEEPER_CHANGE_ROWS(ROW)						\
	ROW(STR, name, AUTH_NAME_MAX)					\
	ROW(STR, was, HELPER_LINE_MAX)					\
	ROW(STR, now, HELPER_LINE_MAX)
IPC_MESSAGE(keeper_change, KEEPER_CHANGE_ROWS)

#define PAM_ASK_ROWS(ROW)						\
	ROW(STR, service, 64)						\
	ROW(STR, user, AUTH_NAME_MAX)					\
	ROW(STR, password, 1024)					\
	ROW(STR, client, SOCK_ADDR_TEXT_MAX)
IPC_MESSAGE(pam_ask_msg, PAM_ASK_ROWS)

#define PAM_ANSWER_ROWS(ROW)						\
	ROW(U32, right, 2)	/* 2: could not be asked */		\
	ROW(STR, text, AUTH_TEXT_MAX)	/* for the log */
IPC_MESSAGE(pam_answer, PAM_ANSWER_ROWS)

#define TOKEN_ASK_ROWS(ROW)						\
	ROW(BLOB, token, AUTH_DATA_MAX)
IPC_MESSAGE(token_ask, TOKEN_ASK_ROWS)

enum { TOKEN_BAD, TOKEN_GOOD, TOKEN_UNKNOWN };

#define TOKEN_ANSWER_ROWS(ROW)						\
	ROW(U32, result, TOKEN_UNKNOWN)					\
	ROW(STR, user, AUTH_NAME_MAX)	/* the user claim */		\
	ROW(U64, end_s, INT64_MAX)	/* good until, wall clock */	\
	ROW(STR, text, AUTH_TEXT_MAX)	/* for the log */
IPC_MESSAGE(token_answer, TOKEN_ANSWER_ROWS)

static const struct ipc_proto HELPER_PROTO UNUSED = {
	.name = "authd-helper", .version = 1,
	.frame_max = 256 * 1024, .out_max = 16u << 20, .secret = true,
};

struct helper_ops {
	/* In the helper: handle one frame.  -1 ends it. */
	int	(*handle)(struct ipc_conn *c, const struct ipc_frame *f);
	/* Before its jail, and in it, before the first frame; may be NULL. */
	void	(*prepare)(void);
	void	(*start)(void);
};
/*
 * Fork one; in pre_jail.  jail is the row it enters, with the row's user.  The
 * descriptor for ipc_conn_new(), or -1 with why.
 */
MUST_CHECK int helper_start(const struct jail *jail,
	    const struct helper_ops *ops, struct why *why);

/* keeper.c, pam_helper.c, introspect_helper.c */
MUST_CHECK int keeper_start(struct why *why);
MUST_CHECK int introspect_helper_start(struct why *why);
/* NULL where there is no PAM library. */
MUST_CHECK int pam_helper_start(struct why *why);

#endif
