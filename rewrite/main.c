/* SPDX-License-Identifier: ISC */
/*
 * rewrite - where mail goes, and table look-ups for those who open no files.
 *
 * smtpd asks whether a recipient exists and may be relayed to, qmgr asks for
 * transport and next hop, and access tables are looked up here, so that the
 * processes that parse strangers' bytes need no file.  Answers come from
 * tables only; nothing is kept between requests but the open tables.
 *
 * A table that cannot be read gives a temporary failure, for the requests
 * that need it and never as "unknown".
 */
#include "base/log.h"
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "rewrite/rewrite.h"

/* Once with the rights to open what only root may read. */
static int
open_tables(struct why *why)
{
	return knowledge_load(why);
}

static const struct daemon rewrite_daemon = {
	.name		= "rewrite",
	.check		= rewrite_check,
	.pre_jail	= open_tables,
	.accept		= session_start,
	.reload		= knowledge_load,
	.drain		= clients_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&rewrite_daemon, argc, argv);
}
