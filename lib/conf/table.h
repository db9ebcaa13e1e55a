/* SPDX-License-Identifier: ISC */
/*
 * table - lookup tables: "hash:/etc/aliases", "cidr:...", "static:x", ...
 *
 * One type, one file (table_db.c, table_cidr.c, ...), behind one struct of
 * functions.  Not found and "could not look" are different answers: the
 * second is temporary and must never be taken for the first.
 *
 * A file-backed table notices that its file has changed: at most once a
 * second it compares device, inode, size and mtime and opens it again.
 */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct table;

#define TABLE_KEY_MAX	 4096		/* bytes */
#define TABLE_VALUE_MAX	 (1 << 20)	/* bytes */

enum {
	TABLE_FOLD = 1,		/* lower-case the key first (the default use) */
	TABLE_CREATE = 2,	/* writable caches: make it when missing */
};

/* Open "type:name".  NULL with why: unknown type, bad syntax (with the line),
 * missing file. */
struct table *table_open(const char *spec, int flags, struct why *why);
void	 table_close(struct table **t);
const char *table_spec(const struct table *t);
/*
 * Look key up; the value is appended to out.  1 found, 0 not found, -1 with
 * why (temporary).  Regexp, pcre and cidr tables match patterns: callers
 * that try parts of an address must not offer those parts to them, see
 * table_is_pattern().
 */
MUST_CHECK int table_get(struct table *t, struct span key, struct buf *out,
	    struct why *why);
bool	 table_is_pattern(const struct table *t);
/* Types this build knows, NULL-terminated: postconf -m. */
const char *const *table_types(void);

/* --- a list of tables, first answer wins ---------------------------------- */

struct maps;

/*
 * From a parameter's value: "hash:/a, cidr:/b {static:x}".  title is the
 * parameter's name, for messages.  NULL with why.  An empty value makes an
 * empty list.
 */
struct maps *maps_new(const char *title, const char *value, int flags,
	    struct why *why);
void	 maps_free(struct maps **m);
bool	 maps_empty(const struct maps *m);
/* As table_get.  partial: this key is a part of an address; pattern tables
 * are skipped. */
MUST_CHECK int maps_get(struct maps *m, struct span key, bool partial,
	    struct buf *out, struct why *why);
/* The spec of the table that gave the last answer ("hash:/a"). */
const char *maps_last_table(const struct maps *m);

/* --- membership lists: domains, networks, strings --------------------------- */

struct match_list;

enum {
	MATCH_PARENT = 1,	/* example.com also matches a.example.com */
	MATCH_RETURN = 2,	/* internal */
};

/* Patterns: names, .names, !not, /file/with/patterns, type:table. */
struct match_list *match_list_new(const char *title, const char *value,
	    int flags, struct why *why);
void	 match_list_free(struct match_list **m);
/* 1 member, 0 not, -1 with why (temporary). */
MUST_CHECK int match_list_string(struct match_list *m, struct span s,
	    struct why *why);
struct sock_addr;
/* The same for addresses: also CIDR patterns; name may be NULL. */
MUST_CHECK int match_list_addr(struct match_list *m,
	    const struct sock_addr *a, struct why *why);

/* --- making the files ------------------------------------------------------- */

struct table_writer;
/* For "hash" or "btree": writes spec's file.db under a temporary name and
 * renames it into place, so that readers always see a whole table. */
struct table_writer *table_writer_new(const char *spec, struct why *why);
/* 1 added, 0 there already, -1 with why. */
MUST_CHECK int table_writer_put(struct table_writer *w, struct span key,
	    struct span value, bool replace, struct why *why);
MUST_CHECK int table_writer_commit(struct table_writer **w, struct why *why);
void	 table_writer_abort(struct table_writer **w);

#endif
