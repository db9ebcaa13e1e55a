/* SPDX-License-Identifier: ISC */
/*
 * keyd - private to the daemon that holds the private keys.
 *
 *	main.c		what daemon_main() needs
 *	session.c	clients: frames in, frames out (msg_keyd.h)
 *	sets.c		sets of chains and keys: loaded, watched, replaced
 *	allowed.c	which files and tables the configuration names
 *	folders.c	where keys lie: what the jail lets us read
 *	names.c		server names to sets, by tls_server_sni_maps
 *	tickets.c	the rotating keys of session tickets
 */
#ifndef KEYD_KEYD_H
#define KEYD_KEYD_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_keyd.h"
#include "tls/chain.h"

/* Sets held at a time: more names than that are refused. */
#define SETS_MAX	20000

/* --- allowed.c ----------------------------------------------------------------- */

/* Read the configuration: main.cf, and -o options of master.cf. */
void	 allowed_load(void);
/* Tell folders.c. */
void	 allowed_folders(void);
/* Whether every file of this list is named somewhere. */
bool	 allowed_files(struct span files);
bool	 allowed_table(struct span table);

/* --- folders.c ------------------------------------------------------------------- */

/* The folders of files; of a table's own file. */
void	 folders_add_files(struct span list);
void	 folders_add_table(struct span table);
/* It cannot be known where keys are. */
void	 folders_everywhere(void);
/* All of them, as the jail wants them: "r:/a r:/b". */
void	 folders_paths(struct buf *out);
/* We are in the jail now. */
void	 folders_closed(void);
/* These files could not be loaded.  Where the jail hides one, the process
 * ends, and another begins. */
void	 folders_failed(struct span list);

/* --- sets.c -------------------------------------------------------------------- */

/*
 * The set of a list of files or, with pem, of a PEM text that a table holds.
 * Loaded when it is asked for the first time.  NULL with why.
 */
const struct tls_set *sets_get(struct span spec, bool pem, struct why *why);
/* Load what the settings of all services name; errors are logged. */
void	 sets_load_all(void);
/* Watch the files from now on; changed is called when a set was replaced. */
void	 sets_watch(struct loop *l, void (*changed)(void));
/* Look now whether files have changed. */
void	 sets_check(void);
/* The key with this id: its set and place.  -1: there is none. */
MUST_CHECK int sets_find_key(uint64_t id, bool *client,
	    const struct tls_set **set, size_t *i);

/* --- names.c --------------------------------------------------------------------- */

/* Open the tables, while root. */
MUST_CHECK int names_open(struct why *why);
/* 1 with *set, 0: no entry, -1 with why. */
MUST_CHECK int names_find(struct span table, struct span name,
	    const struct tls_set **set, struct why *why);
/* Open a table that a service has for itself; what is wrong shows later. */
void	 names_add(struct span table);
/* Tell folders.c what the entries name. */
void	 names_folders(void);
/* Judge every entry of a table that can be listed; logs; -1: bad ones.  who
 * is where the table is named. */
MUST_CHECK int names_check(struct span table, const char *who);

/* --- tickets.c --------------------------------------------------------------------- */

/* fresh is called after each rotation. */
void	 tickets_start(struct loop *l, void (*fresh)(void));
struct span tickets_keys(void);		/* the newest first */

/* --- session.c ---------------------------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);
void	 session_drain_all(void);
void	 session_tell_changed(void);
void	 session_tell_tickets(void);

#endif
