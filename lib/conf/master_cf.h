/* SPDX-License-Identifier: ISC */
/*
 * master_cf - the services of master.cf (master.cf(5) of Postfix): eight
 * columns, -o name=value, { name = value }, continuation lines, drop-ins in
 * master.cf.d.
 */
#ifndef CONF_MASTER_CF_H
#define CONF_MASTER_CF_H

#include "base/array.h"
#include "base/cc.h"
#include "conf/params.h"

enum service_type {
	SERVICE_INET, SERVICE_UNIX, SERVICE_UNIX_DGRAM, SERVICE_FIFO,
	SERVICE_PASS
};

struct service {
	char		*name;		/* "smtp", "127.0.0.1:2525", "cleanup" */
	enum service_type type;
	bool		 private;
	bool		 unpriv;	/* column 4: run as mail_owner */
	bool		 chroot;	/* column 5 */
	int64_t		 wakeup;	/* seconds, 0 never */
	bool		 wakeup_if_used;/* "?" */
	int64_t		 maxproc;	/* 0 unlimited */
	char		*command;	/* "smtpd" */
	ARRAY(char *)	 args;		/* without the -o ones */
	ARRAY(char *)	 overrides;	/* "name=value", expanded */
	char		*origin;	/* "/etc/mansio/master.cf:12" */
};

struct master_cf {
	ARRAY(struct service) services;
};

/* After params_load(), whose values "-" columns and $name take.  Reports all
 * problems; -1 when there was an error. */
MUST_CHECK int master_cf_load(const char *config_dir, struct master_cf *out,
	    params_problem_fn *problem, void *arg);
void	 master_cf_fini(struct master_cf *m);
const struct service *master_cf_find(const struct master_cf *m,
	    const char *name, enum service_type type);

#endif
