/* SPDX-License-Identifier: ISC */
/*
 * keyd - the only process that reads private keys.
 *
 * Daemons that talk to strangers get certificates from here and have their
 * handshakes signed here, over private/keyd.  keyd signs nothing but what a
 * TLS handshake signs, opens nothing but what the configuration names, and
 * never decrypts.  It keeps root's right to read files, because certificates
 * are renewed while it runs and their keys are root's, and no other right.
 */
#include "base/log.h"
#include "conf/params.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "keyd/keyd.h"
#include "tls/settings.h"
#include "tls/tls.h"

static int
load(struct why *why)
{
	if (allowed_load(why) < 0 || names_open(why) < 0)
		return -1;
	sets_load_all();
	return 0;
}

/* Every set that can be known, as strictly as at a change. */
static int
check(struct why *why)
{
	bool bad = false;

	if (allowed_load(why) < 0 || names_open(why) < 0)
		return -1;
	for (int i = 0; i < TLS_SERVICE_COUNT; i++) {
		struct tls_settings s;
		struct tls_set *set = NULL;
		struct why w = WHY_INIT;

		tls_settings_get((enum tls_service)i, &s);
		if (s.files[0] != '\0') {
			set = tls_set_load(span_of(s.files), TLS_SET_DATES,
			    &w);
			if (set == NULL) {
				log_error("%s: TLS: %s", s.name, w.text);
				bad = true;
			}
		}
		tls_set_free(&set);
		mem_free(s.files);
	}
	return names_check() < 0 || bad ? -1 : 0;
}

static int
start(struct why *why)
{
	sets_watch(daemon_loop(), session_tell_changed);
	tickets_start(daemon_loop(), session_tell_tickets);
	return 0;
}

static int
reload(struct why *why)
{
	if (allowed_load(why) < 0 || names_open(why) < 0)
		return -1;
	sets_check();
	/* Other files may be named now. */
	session_tell_changed();
	return 0;
}

static const struct daemon keyd = {
	.name		= "keyd",
	.pre_jail	= load,
	.check		= check,
	.start		= start,
	.accept		= session_start,
	.reload		= reload,
	.drain		= session_drain_all,
};

int
main(int argc, char **argv)
{
	return daemon_main(&keyd, argc, argv);
}
