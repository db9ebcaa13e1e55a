/* SPDX-License-Identifier: ISC */
/*
 * mansio.h - the subcommands of mansio(8), and what they share.
 *
 * A subcommand is a function in a file mansio_NAME.c and a row of the table in
 * main_mansio.c.  It gets its own argc and argv, argv[0] being its name, and
 * returns the exit status.  Settings are not loaded yet: a subcommand that
 * needs them calls mansio_load() first.
 */
#ifndef CMD_MANSIO_H
#define CMD_MANSIO_H

#include <sys/types.h>

#include "base/cc.h"
#include "conf/params.h"

enum {
	MANSIO_OK	= 0,
	MANSIO_FAILED	= 1,
	MANSIO_USAGE	= 64,		/* EX_USAGE */
};

struct subcommand {
	const char	*name;
	const char	*usage;		/* arguments, a form a line; "" for none */
	const char	*says;		/* one line for the overview */
	int		(*run)(int argc, char **argv);
};

/* Settings of -c, and the -o of the command line.  Problems go to standard
 * error; errors end the program. */
void	 mansio_load(void);
/* The same for what must work while main.cf has errors, such as stopping. */
void	 mansio_load_anyhow(void);
/* As given with -c or MAIL_CONFIG, or the built-in one; absolute. */
const char *mansio_config_dir(void);
bool	 mansio_verbose(void);
/* As -v in front of the command. */
void	 mansio_say_more(void);
/* "usage: mansio NAME ..." for a row of the table; returns MANSIO_USAGE. */
int	 mansio_usage(const char *name);
/* Execute a program of the suite; does not return. */
NORETURN void mansio_exec(const char *dir, const char *program,
	    const char *const *args);
struct ipc_proto;
struct ipc_sync;
/* A conversation with a daemon on this socket of the queue directory; who it
 * is in words.  Ends the program when there is none.  After mansio_load(). */
struct ipc_sync *mansio_ask(const char *socket, const char *who,
	    const struct ipc_proto *p, int64_t timeout_ms);
/* The running master, or 0.  After mansio_load(). */
pid_t	 mansio_master_pid(void);

int	 mansio_start(int argc, char **argv);	/* and start-fg */
int	 mansio_stop(int argc, char **argv);	/* and abort */
int	 mansio_reload(int argc, char **argv);
int	 mansio_status(int argc, char **argv);
int	 mansio_check(int argc, char **argv);
int	 mansio_flush(int argc, char **argv);
int	 mansio_logrotate(int argc, char **argv);
int	 mansio_sandbox(int argc, char **argv);
int	 mansio_probe(int argc, char **argv);
int	 mansio_who(int argc, char **argv);
int	 mansio_kick(int argc, char **argv);
int	 mansio_user(int argc, char **argv);
int	 mansio_mailbox(int argc, char **argv);
int	 mansio_quota(int argc, char **argv);
int	 mansio_acl(int argc, char **argv);
int	 mansio_index(int argc, char **argv);
int	 mansio_search(int argc, char **argv);
int	 mansio_undelete(int argc, char **argv);
int	 mansio_purge(int argc, char **argv);
int	 mansio_import(int argc, char **argv);
int	 mansio_export(int argc, char **argv);
int	 mansio_ban(int argc, char **argv);	/* and unban */
/* What "user" does with an account that exists; argv[1] says what. */
int	 mansio_account(int argc, char **argv);
struct buf;
/* One line from standard input; at a terminal twice, and not shown. */
void	 mansio_ask_password(const char *address, struct buf *out);
/* authd_password_file is root's, to be read by authd's group. */
void	 mansio_give_users_to_authd(void);
/* "90d" as seconds; -1: no time. */
int64_t	 mansio_parse_time(const char *text);
int	 mansio_cert(int argc, char **argv);

#endif
