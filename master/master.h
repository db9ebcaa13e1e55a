/* SPDX-License-Identifier: ISC */
/*
 * master.h - the supervisor's state; private to this folder.
 *
 *	main.c		options, going to the background, the loop
 *	service.c	a service: listeners, when to start a process, throttling
 *	child.c		a process: starting it, its messages, its end
 *	listen.c	opening listeners
 *	reload.c	from one configuration to the next
 *	settings.c	what daemons start with
 *	stop.c		stopping in stages
 *	control.c	public/master: status and reload for administrators
 *	logfile.c	opening and rotating the log
 *	syslog.c	the socket to syslogd
 *	notify.c	telling systemd
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <sys/types.h>

#include "base/array.h"
#include "base/list.h"
#include "base/why.h"
#include "daemon/master_proto.h"
#include "daemon/sandbox.h"
#include "daemon/services.h"
#include "io/loop.h"

struct svc;

enum child_state {
	CHILD_STARTING,		/* counts as available */
	CHILD_AVAIL, CHILD_BUSY,
	CHILD_EXITING,		/* takes no clients any more */
	CHILD_STATES
};

struct child {
	struct list	 link;		/* in svc.children */
	struct svc	*svc;
	pid_t		 pid;
	int		 status_fd;
	struct loop_io	*io;
	enum child_state state;
	bool		 ready;		/* has been */
	bool		 told;		/* we asked it to end */
	bool		 orderly;	/* said that it will end */
	bool		 hup;		/* owes us a reload when ready */
	bool		 asked;		/* MASTER_MSG_QUERY is under way */
	uint32_t	 clients;
	int64_t		 started_ms;	/* monotonic */
};

struct listener {
	char		*text;		/* plan_socket.text */
	struct sock_addr addr;
	int		 fd;		/* -1: could not be opened yet */
	struct loop_io	*io;
	struct svc	*svc;
};

struct svc {
	struct plan	*plan;
	ARRAY(struct listener *) listeners;
	struct list	 children;
	bool		 used;		/* had a client */
	bool		 throttled;
	bool		 removed;	/* by a reload; ends with its children */
	bool		 watched;
	unsigned	 quick_deaths;
	int64_t		 full_said_ms;	/* when the limit was last logged */
	uint64_t	 started, crashed;
	struct loop_timer *throttle_timer, *wakeup_timer, *listen_timer;
};

struct master {
	struct loop	*loop;
	const char	*config_dir;
	ARRAY(const char *) overrides;		/* -o */
	char		*queue_directory;	/* of the start */
	bool		 foreground, debug;
	struct sandbox_ids ids;
	ARRAY(struct svc *) services;
	int		 log_fd;		/* for children */
	bool		 log_syslog;		/* and it is syslog's socket */
	int		 pid_fd;
	int		 settings_fd;		/* -1: daemons read main.cf */
	int64_t		 started_ms;
	bool		 started;		/* READY has been said */
	struct loop_defer startup_defer;	/* see whether we are */
	bool		 stopping;
	enum plan_stage	 stage;			/* being stopped */
};

extern struct master master;

/* --- service.c --- */
/* Takes p; no listener is open yet. */
struct svc *svc_new(struct plan *p);
void	 svc_free(struct svc **s);
/* Look at everything that decides whether to start or to listen. */
void	 svc_consider(struct svc *s);
/* Its listeners and its wake-up calls begin; those that could not be opened
 * are tried again. */
void	 svc_start_listening(struct svc *s);
void	 svc_throttle(struct svc *s);
/* Processes that are not on their way out; that would take a client. */
unsigned svc_live(const struct svc *s);
unsigned svc_avail(const struct svc *s);
/* Close and forget the listeners; UNIX sockets lose their names. */
void	 svc_unlisten(struct svc *s);
/* All services that must run now: whether each has a process, or has been
 * throttled. */
bool	 svc_all_prestarted(void);

/* --- child.c --- */
/* Another process.  NULL: that failed, and the service waits (throttled). */
struct child *child_start(struct svc *s);
void	 child_tell(struct child *c, enum master_msg_type t, int fd);
void	 child_signal(struct child *c, int signo);
void	 child_reap_all(void);			/* after SIGCHLD */
const char *child_state_name(enum child_state st);

/* --- listen.c --- */
/* 0, or -1 with why and errno. */
int	 listener_open(struct listener *l, struct why *why);
void	 listener_close(struct listener *l, bool unlink_name);

/* --- reload.c --- */
/* Check the configuration in a process of our own, then use it.  done (there
 * is one for all, or NULL) is called when that is over, one way or the other. */
typedef void reload_done_fn(bool ok);
void	 reload_begin(reload_done_fn *done);
/* The checking process has ended; true when pid was it. */
bool	 reload_reaped(pid_t pid, int status);
/* Whether there is one; have it end at once, for we do. */
bool	 reload_checking(void);
void	 reload_stop(void);
void	 report_to_log(void *arg, enum log_level level, const char *line);

/* --- settings.c --- */
/* conf is accepted: daemons get it from now on. */
void	 settings_keep(void);
/* Have in conf again what daemons get. */
void	 settings_restore(void);

/* --- stop.c --- */
void	 stop_begin(void);
void	 stop_step(void);		/* a child has gone */
bool	 stop_reached(enum plan_stage stage);

/* --- control.c --- */
int	 control_open(struct why *why);
void	 control_close(void);
void	 control_child_answered(void);

/* --- logfile.c --- */
int	 logfile_open(struct why *why);
/* Open it again and give it to all children. */
void	 logfile_reopen(void);
void	 logfile_tell_children(void);

/* --- syslog.c --- */
/* Make master.log_fd and our own log syslog's socket, and keep it connected;
 * it is no error that nobody listens there now. */
int	 syslog_open(struct why *why);
/* Let go of it, for another log; master.log_fd is left to the caller. */
void	 syslog_close(void);

/* --- notify.c --- */
void	 notify_init(void);		/* before the environment is cleaned */
void	 notify_send(const char *text);
void	 notify_reloading(void);

#endif
