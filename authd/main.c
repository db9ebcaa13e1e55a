/* SPDX-License-Identifier: ISC */
/*
 * authd - who may log in.
 *
 * The only process that reads password hashes.  It runs as a user of its own
 * (authd_owner), opens nothing that a client names, and answers three kinds
 * of questions over private/auth: a front's "is this client who it says", the
 * session monitor's "whose ticket is this", and the administrator's about
 * bans.  Mechanisms are bytes to decisions (lib/auth/sasl.h); what costs CPU
 * is done by a few threads that serve every client's address in turn.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "auth/digest.h"
#include "auth/sasl.h"
#include "authd/authd.h"
#include "authd/dovecot.h"
#include "authd/helper.h"
#include "authd/introspect.h"
#include "authd/pam.h"
#include "authd/upgrade.h"
#include "conf/params.h"
#include "daemon/daemon.h"

bool authd_unprivileged;

/* What is not wrong, but hardly meant. */
static void
remark(void)
{
	struct span rest = span_of(conf.authd_mechanism_filter), w;
	const char *keys = conf.authd_oauth_jwks_file;
	enum sasl_mech m;

	while (span_token(&rest, " \t\r\n,", &w))
		if (w.p[0] != '!' && !span_caseis(w, "static:rest") &&
		    sasl_mech_find(w, &m) < 0)
			daemon_remark("%s: authd_mechanism_filter: no "
			    "mechanism \"%.*s\"",
			    params_origin("authd_mechanism_filter"),
			    SPAN_ARG(w));
	/* Where the default's user is not there, that is a decision. */
	if (strcmp(params_origin("authd_owner"), "default") != 0 &&
	    getpwnam(conf.authd_owner) == NULL)
		daemon_remark("%s: authd_owner: no user \"%s\": authd runs as "
		    "mail_owner", params_origin("authd_owner"),
		    conf.authd_owner);
	if (keys[0] != '\0' && access(keys, F_OK) < 0)
		daemon_remark("%s: authd_oauth_jwks_file: %s: %s",
		    params_origin("authd_oauth_jwks_file"), keys,
		    strerror(errno));
}

/* Nothing is made or kept here: only whether all of it could be opened. */
static int
check(struct why *why)
{
	if (daemon_judge(accounts_check(why), why) < 0 ||
	    daemon_judge(places_open(why), why) < 0 ||
	    daemon_judge(introspect_check(why), why) < 0 ||
	    daemon_judge(dovecot_check(why), why) < 0 ||
	    daemon_judge(pam_check(why), why) < 0)
		return -1;
	accounts_close();
	places_close();
	origins_load();
	remark();
	return guard_load(why);
}

static int
open_all(struct why *why)
{
	authd_unprivileged = geteuid() != 0;
	digest_start();
	guard_read();
	if (introspect_open(why) < 0 || upgrade_open(why) < 0)
		return -1;
	if (pam_check(why) < 0)
		return -1;
	pam_open();
	/* Before a hash is read. */
	if (helpers_fork(why) < 0 || accounts_open(why) < 0 ||
	    places_open(why) < 0 || dovecot_open(why) < 0)
		return -1;
	origins_load();
	return guard_load(why);
}

static int
start_all(struct why *why)
{
	struct loop *l = daemon_loop();

	verify_start(l);
	upgrade_start(l);
	helpers_start(l);
	guard_start(l);
	tickets_start(l);
	attempts_start(l);
	dovecot_start(l);
	return 0;
}

static int
reload_all(struct why *why)
{
	cache_drop();
	introspect_forget();
	if (accounts_reload(why) < 0 || places_open(why) < 0)
		return -1;
	origins_load();
	return guard_load(why);
}

static const struct daemon authd = {
	.name		= "authd",
	.pre_jail	= open_all,
	.check		= check,
	.start		= start_all,
	.accept		= session_start,
	.reload		= reload_all,
	.drain		= session_drain_all,
	.log_moved	= helpers_log_moved,
};

int
main(int argc, char **argv)
{
	return daemon_main(&authd, argc, argv);
}
