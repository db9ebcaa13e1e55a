/* SPDX-License-Identifier: ISC */
/*
 * services - what master.cf asks for, worked out: programs, sockets, traits.
 *
 * master runs this plan; "mansio check" makes it only to see the problems.
 * It reports all of them, each with file and line.  What a daemon needs to be
 * (one process only, running before the first client, which sockets, stopped
 * after whom) is a fact about the daemon and stands in a table here; an entry
 * of master.cf cannot break it, so a stock master.cf of Postfix works.
 */
#ifndef DAEMON_SERVICES_H
#define DAEMON_SERVICES_H

#include "base/array.h"
#include "base/cc.h"
#include "base/log.h"
#include "conf/master_cf.h"
#include "io/sock.h"

enum {
	PLAN_SINGLE	= 1 << 0,	/* one process, kept when idle */
	PLAN_PRESTART	= 1 << 1,	/* started with master */
	PLAN_UNPRIV	= 1 << 2,	/* column 4 says y */
	PLAN_JUDGES	= 1 << 3,	/* has a check() of its own */
};

/* Stages of stopping: the later ones serve the earlier ones to their end. */
enum plan_stage {
	STAGE_FRONT,		/* takes mail in, or only shows */
	STAGE_QUEUE,		/* qmgr: gives nothing out any more */
	STAGE_DELIVERY,
	STAGE_BOUNCE,
	STAGE_CORE,		/* cleanup, rewrite */
	STAGE_END
};

struct plan_socket {
	char			*text;	/* "127.0.0.1:25", "private/bounce" */
	struct sock_addr	 addr;	/* len 0: a UNIX socket */
};

struct plan {
	char		*name;		/* column 1 */
	const char	*type;		/* "inet", "unix", "pass" */
	char		*command;	/* "smtpd" */
	char		*program;	/* "$daemon_directory/smtpd" */
	char		*origin;	/* "/etc/mansio/master.cf:12" */
	unsigned	 flags;
	enum plan_stage	 stage;
	int64_t		 maxproc;	/* 0: unlimited */
	int64_t		 wakeup;	/* seconds, 0: never */
	bool		 wakeup_if_used;
	ARRAY(char *)	 options;	/* "-o", "name=value", ... then args */
	ARRAY(struct plan_socket) sockets;
};

struct services {
	ARRAY(struct plan *) v;
};

/* level is INFO, WARNING or ERROR; line begins with file:line where there is
 * one. */
typedef void report_fn(void *arg, enum log_level level, const char *line);

/*
 * Read main.cf and master.cf and work out the plan.  0, or -1 when anything
 * is wrong, with *out empty; conf then has what could be read, and defaults
 * in the places of bad values.  Resolves names of inet services, and so may
 * wait for DNS where the configuration has host names.
 */
MUST_CHECK int services_load(const char *config_dir,
	    const char *const *overrides, size_t n, struct services *out,
	    report_fn *report, void *arg);
/*
 * The same, and whether this machine is fit for it, and what the programs say
 * of their settings: all that is wrong in one go.
 */
MUST_CHECK int services_judge(const char *config_dir,
	    const char *const *overrides, size_t n, struct services *out,
	    report_fn *report, void *arg);
void	 services_fini(struct services *s);
/* Whether the two would be started and reached in the same way. */
bool	 plan_same(const struct plan *a, const struct plan *b);
void	 plan_free(struct plan **p);

#endif
