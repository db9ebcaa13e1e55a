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
	/* "name=value", not expanded: the daemon's params_load() does that, so
	 * that $service_name, $stress and other overrides can be used. */
	ARRAY(char *)	 overrides;
	char		*origin;	/* "/etc/mansio/master.cf:12" */
};

struct master_cf {
	ARRAY(struct service) services;
};

#define MASTER_CF_SERVICES_MAX	2000

/*
 * After params_load(), whose values "-" columns and $name (in the columns for
 * name, wakeup and maxproc) take.  -o values are checked against params.def.
 * Services that master_service_disable matches are left out.  A service in a
 * drop-in replaces one of the same name and type.  Reports all problems; -1
 * when there was an error, out then has the entries that are right, so that
 * what is wrong with them can be said too.  master_cf_fini() either way.
 */
MUST_CHECK int master_cf_load(const char *config_dir, struct master_cf *out,
	    params_problem_fn *problem, void *arg);
void	 master_cf_fini(struct master_cf *m);
/* The port of an inet service: a number from 1, or a name of services(5) or
 * of those that a mail system has.  0 or -1. */
MUST_CHECK int master_cf_port(struct span text, uint16_t *out);
/* "inet", "unix-dgram", ... */
const char *service_type_name(enum service_type type);
const struct service *master_cf_find(const struct master_cf *m,
	    const char *name, enum service_type type);

/* --- the text, for tools that show and edit it ------------------------------- */

enum {
	MASTER_NAME, MASTER_TYPE, MASTER_PRIVATE, MASTER_UNPRIV,
	MASTER_CHROOT, MASTER_WAKEUP, MASTER_MAXPROC, MASTER_COMMAND,
	MASTER_COLUMNS
};
/* "service", "type", ..., "command": what postconf calls the columns. */
extern const char *const master_column_names[MASTER_COLUMNS];

struct service_text {
	char		*columns[MASTER_COLUMNS];
	/* As written, except that "-ofoo" is "-o", "foo"; {} are kept. */
	ARRAY(char *)	 args;
	char		*path;
	int		 first, last;	/* physical lines in path */
};
struct master_cf_text {
	ARRAY(struct service_text) services;
};
/* Of one file (drop-ins are others).  Reports lines with too few columns;
 * -1 when there were any, and what could be read is in out. */
MUST_CHECK int master_cf_read(const char *path, struct master_cf_text *out,
	    params_problem_fn *problem, void *arg);
/* One logical line; -1 with why. */
MUST_CHECK int master_cf_parse_line(struct span line,
	    struct service_text *out, struct why *why);
/* Check the columns and arguments of one service, as master_cf_load() does;
 * -1 when there was an error. */
MUST_CHECK int master_cf_check(const struct service_text *s,
	    const char *origin, params_problem_fn *problem, void *arg);
void	 service_text_fini(struct service_text *s);
void	 master_cf_text_fini(struct master_cf_text *m);
/* How many of the args, from the first, are options ("-v", "-o", "a=b"). */
size_t	 service_text_options(const struct service_text *s);

#endif
