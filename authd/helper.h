/* SPDX-License-Identifier: ISC */
/*
 * helper - processes that authd has for what it cannot be allowed to do
 * itself, each for one thing:
 *
 *	keeper	changes lines of authd_password_file, keeps the file of bans
 *	pam	asks PAM, which reads shadow passwords and loads libraries
 *	introspect
 *		asks a web server whether an access token is good
 *
 * They take frames from authd and from nobody else, and end when authd ends.
 * One that ends before is started again, at growing intervals, by the process
 * that forks them all, the nurse (nurse.c): it is forked before authd reads a
 * hash and gives up root, and nobody can tell it anything.
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
	HELPER_LOG,		/* -> a descriptor: the log is there now */
	HELPER_BORN,		/* <- nurse; a descriptor; tag: which one's */
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

/* In the process. */
struct helper_ops {
	/* Handle one frame; -1 ends it. */
	int	(*handle)(struct ipc_conn *c, const struct ipc_frame *f);
	/* Before its jail, and in it, before the first frame; may be NULL. */
	void	(*prepare)(void);
	void	(*start)(void);
	/* In authd and in the other helpers, once they are forked: wipe what
	 * prepare() needs and they do not.  May be NULL. */
	void	(*forget)(void);
};

/* In authd. */
struct helper_client {
	/* A frame, without a descriptor; -1: it makes no sense, and the
	 * process is given up. */
	int	(*on_frame)(void *arg, const struct ipc_frame *f);
	/* It has ended: what was asked has no answer.  Another one follows. */
	void	(*on_lost)(void *arg);
};

struct helper;
/* There is to be one, in this row of the sandbox's table.  In pre_jail; both
 * ops are kept. */
struct helper *helper_add(const char *row, const struct helper_ops *ops,
	    const struct helper_client *client, void *arg);
/* After all of them were added: fork the nurse, which forks them. */
MUST_CHECK int helpers_fork(struct why *why);
void	 helpers_start(struct loop *l);
void	 helpers_log_moved(void);
/* NULL: it is away. */
struct ipc_conn *helper_conn(const struct helper *h);

/* --- between helper.c and nurse.c ------------------------------------------- */

#define HELPERS_MAX	8

struct helper {
	const struct jail		*jail;
	const struct helper_ops		*ops;
	const struct helper_client	*client;
	void				*arg;
	int				 ours, theirs;	/* its first ends */
	struct ipc_conn			*conn;
};
extern struct helper helpers[HELPERS_MAX];
extern size_t helpers_count;

NORETURN void nurse_run(int fd);

/* keeper.c, pam_helper.c, introspect_helper.c */
extern const struct helper_ops keeper_ops, pam_helper_ops,
	    introspect_helper_ops;
/* The settings of theirs, as far as they can be wrong. */
MUST_CHECK int keeper_check(struct why *why);
MUST_CHECK int introspect_helper_load(struct why *why);

#endif
