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
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"
#include "keyd/keyd.h"
#include "tls/named.h"

/* The table's row, with the folders of the keys. */
static struct jail jail;

static int
load(struct why *why)
{
	struct buf paths = BUF_INIT(BUF_UNLIMITED);

	allowed_load();
	if (names_open(why) < 0)
		return -1;
	sets_load_all();
	allowed_folders();
	names_folders();
	folders_paths(&paths);
	jail.paths = buf_take(&paths);
	return 0;
}

struct verdict {
	struct hash	 seen;		/* values: most are inherited by others */
	bool		 bad;
};

/* As strictly as at a change. */
static void
judge(void *arg, const struct tls_named *n)
{
	struct verdict *v = arg;
	struct why why = WHY_INIT;
	struct tls_set *set;
	char *who;
	bool first;

	hash_enter(&v->seen, span_of(n->value), &first);
	if (!first)
		return;
	who = mem_printf("%s: %s", n->origin, n->param);
	if (n->table) {
		v->bad |= names_check(span_of(n->value), who) < 0;
	} else {
		set = tls_set_load(span_of(n->value), TLS_SET_DATES, &why);
		if (set == NULL)
			log_error("%s: %s", who, why.text);
		v->bad |= set == NULL;
		tls_set_free(&set);
	}
	mem_free(who);
}

/* Every set that can be known. */
static int
check(struct why *why)
{
	struct verdict v = { .seen = HASH_INIT };

	tls_named_each(judge, &v);
	hash_fini(&v.seen, NULL);
	return v.bad ? -1 : 0;
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
	allowed_load();
	if (names_open(why) < 0)
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
