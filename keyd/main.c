/* SPDX-License-Identifier: ISC */
/*
 * keyd - the only process that reads private keys.
 *
 * Daemons that talk to strangers get certificates from here and have their
 * handshakes signed here, over private/keyd.  keyd signs nothing but what a
 * TLS handshake signs, opens nothing but what the configuration names, and
 * never decrypts.  It keeps root's right to read files, because certificates
 * are renewed while it runs and their keys are root's, and no other right; and
 * of the files those in the folders where keys lie (folders.c).
 */
#include "base/log.h"
#include "conf/params.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"
#include "keyd/keyd.h"
#include "tls/settings.h"
#include "tls/tls.h"

/* The table's row, with the folders of the keys. */
static struct jail jail;

static int
load(struct why *why)
{
	struct buf paths = BUF_INIT(BUF_UNLIMITED);

	if (allowed_load(why) < 0 || names_open(why) < 0)
		return -1;
	sets_load_all();
	allowed_folders();
	names_folders();
	folders_paths(&paths);
	jail.paths = buf_take(&paths);
	return 0;
}

/* Whether this set, "" is none, can be used. */
static bool
good(const char *who, const char *files)
{
	struct why why = WHY_INIT;
	struct tls_set *set;

	if (files[0] == '\0')
		return true;
	set = tls_set_load(span_of(files), TLS_SET_DATES, &why);
	if (set == NULL)
		log_error("%s: TLS: %s", who, why.text);
	tls_set_free(&set);
	return why.text[0] == '\0';
}

/* Every set that can be known, as strictly as at a change. */
static int
check(struct why *why)
{
	bool bad = false;

	if (daemon_judge(allowed_load(why), why) < 0 ||
	    daemon_judge(names_open(why), why) < 0)
		return -1;
	for (int i = 0; i < TLS_SERVICE_COUNT; i++) {
		struct tls_settings s;

		tls_settings_get((enum tls_service)i, &s);
		bad |= !good(s.name, s.files);
		mem_free(s.files);
	}
	for (int lmtp = 0; lmtp < 2; lmtp++) {
		char *files = tls_client_files(lmtp == 1);

		bad |= !good(lmtp ? "lmtp" : "smtp", files);
		mem_free(files);
	}
	return names_check() < 0 || bad ? -1 : 0;
}

static int
start(struct why *why)
{
	folders_closed();
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
	.jail		= &jail,
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
	jail = *sandbox_find("keyd");
	return daemon_main(&keyd, argc, argv);
}
