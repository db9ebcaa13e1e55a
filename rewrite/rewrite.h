/* SPDX-License-Identifier: ISC */
/*
 * rewrite.h - private to the rewrite daemon.
 */
#ifndef REWRITE_REWRITE_H
#define REWRITE_REWRITE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/why.h"
#include "io/sock.h"
#include "ipc/msg_rewrite.h"
#include "route/resolve.h"

/* --- session.c: the clients --------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);

/* --- answer.c: one request, one answer; no I/O but the tables' ------------------ */

/* What answers come from; replaced as a whole by a reload. */
struct knowledge {
	struct resolver		*resolver;
	struct srs		*srs;		/* NULL: none */
	struct tables		*tables;
	struct route		 route, other;	/* scratch */
	struct buf		 sender;	/* scratch */
	struct buf		 value;		/* scratch */
};
extern struct knowledge knowledge;

MUST_CHECK int knowledge_load(struct why *why);
void	 knowledge_free(void);
/* Encode the answer to a request into out. */
void	 answer_resolve(const struct rewrite_resolve *q, struct buf *out);
void	 answer_lookup(const struct rewrite_lookup *q, struct buf *out);
void	 answer_map(const struct rewrite_map *q, struct buf *out);

/* --- check.c: "-C" -------------------------------------------------------------- */

int	 rewrite_check(struct why *why);

/* --- tables.c: the tables that clients may name ---------------------------------- */

struct tables;
struct table;
struct maps;

/*
 * Every "type:name" that a setting of main.cf, a member of
 * smtpd_restriction_classes or a -o of master.cf contains.  Those that the
 * access restrictions name are opened now.
 */
struct tables *tables_new(void);
void	 tables_free(struct tables **t);
/* After a reload: take over what old has open and t could not open. */
void	 tables_adopt(struct tables *t, struct tables *old);
/* NULL: *known says whether the configuration names it at all; with why. */
struct table *tables_find(struct tables *t, struct span spec, bool *known,
	    struct why *why);
/*
 * The list of tables that text is, kept for the next time.  NULL with why;
 * *known says whether the configuration names all of them.
 */
struct maps *tables_maps(struct tables *t, struct span text, bool *known,
	    struct why *why);
/* Add what text names; for tables_new() and its test. */
void	 tables_scan(struct tables *t, struct span text, bool open_now);
bool	 tables_names(const struct tables *t, const char *spec);

#endif
