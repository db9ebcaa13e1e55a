/* SPDX-License-Identifier: ISC */
/*
 * daemon_priv - what the two shapes share with daemon_main(); private to this
 * folder.
 */
#ifndef DAEMON_DAEMON_PRIV_H
#define DAEMON_DAEMON_PRIV_H

#include <signal.h>

#include "base/array.h"
#include "daemon/daemon.h"
#include "daemon/master_proto.h"
#include "daemon/sandbox.h"

struct daemon_state {
	const struct daemon	*d;
	const char		*service;	/* -n */
	const char		*type;		/* -t */
	const char		*config_dir;	/* -c */
	ARRAY(const char *)	 overrides;	/* -o */
	ARRAY(const char *)	 listen;	/* -L */
	ARRAY(int)		 listeners;
	int			 status_fd;	/* -1: no master */
	int			 check;		/* -C; 2: what main.cf itself has
						 * wrong is said already */
	bool			 to_stderr;	/* -f */
	bool			 debug;		/* -v */
	bool			 unpriv;	/* -u */
	bool			 keep;		/* -k */
	bool			 master;	/* -s was given */
	bool			 master_log;	/* -l */
	bool			 master_syslog;	/* -y */
	bool			 settings_given;	/* -m */
	int			 settings_fd;	/* -1: read the files */
	char			*const *argv;	/* what follows the options */
	int			 argc;
	struct sandbox_ids	 ids;
	struct sandbox_ids	 own;		/* whom we become */
	struct loop		*loop;
	int64_t			 busy;
	bool			 draining;
};

extern struct daemon_state daemon_state;

/* The two shapes; they return when the process is to exit. */
void	 daemon_run_events(void);
void	 daemon_run_worker(void);

/* Tell master; nothing happens without one. */
void	 daemon_tell(enum master_msg_type type, uint32_t value);
/*
 * Take the next message from master.  1; 0 when there is none; -1 when master
 * is gone.  A MASTER_MSG_LOG message has been carried out already.
 */
int	 daemon_hear(struct master_msg *m);
/* settings.c: read the settings, or do not return. */
void	 daemon_load_settings(void);
/* What log lines begin with, as far as it is known by now. */
void	 daemon_set_tag(void);
/* The log that the settings name, or master has given. */
void	 daemon_open_log(void);
/* -C: the answer is our exit, and lines on standard error. */
NORETURN void daemon_check_settings(void);
/* Read the settings again, for a daemon with reload(). */
void	 daemon_reload(void);
/* Open the log again where it is ours to open (no master). */
void	 daemon_reopen_log(void);
/* The watchdog: the process dies when this is not called for
 * daemon_timeout. */
void	 daemon_alive(void);
/* In a forked child: it starts anew, and every alive_ms is to be said. */
void	 daemon_watchdog_start(void);
int64_t	 daemon_alive_ms(void);
void	 daemon_reset_signals(void);

#endif
