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

#include <sys/types.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct table;

#define TABLE_KEY_MAX	 4096		/* bytes */
#define TABLE_VALUE_MAX	 (1 << 20)	/* bytes */

enum {
	/* Lower-case the key first (the default use).  Not done for pattern
	 * tables, which have flags of their own. */
	TABLE_FOLD = 1,
	/* Rules of regexp: and pcre: with $1 in the value are left out with a
	 * warning.  For tables whose values run commands: the key comes from
	 * a stranger and must not become part of one. */
	TABLE_NO_SUBST = 2,
	/* As it was when it was opened, for processes that enter a jail
	 * afterwards: the file is not looked at again. */
	TABLE_FIXED = 4,
};

/*
 * Open "type:name".  NULL with why: unknown type, bad syntax, missing file.
 * A wrong line in a text file is logged with its number and left out, as in
 * Postfix: one typing error must not stop the mail.  "proxy:" in front is
 * skipped.
 */
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
/*
 * Call fn for every entry until it returns false.  0, or -1 with why: this
 * type cannot be listed, or reading failed.
 */
typedef bool table_each_fn(void *arg, struct span key, struct span value);
MUST_CHECK int table_each(struct table *t, table_each_fn *fn, void *arg,
	    struct why *why);
/* Types this build knows, NULL-terminated: postconf -m. */
const char *const *table_types(void);

/* --- a list of tables, first answer wins ---------------------------------- */

struct maps;

/*
 * From a parameter's value: "hash:/a, cidr:/b {static:x}".  title is the
 * parameter's name, for messages.  NULL with why: bad syntax, unknown type.
 * An empty value makes an empty list.  A table that cannot be opened now is
 * warned of and tried again later; until then look-ups that come to it fail
 * as temporary.
 */
struct maps *maps_new(const char *title, const char *value, int flags,
	    struct why *why);
void	 maps_free(struct maps **m);
bool	 maps_empty(const struct maps *m);
/* As table_get.  partial: this key is a part of an address; pattern tables
 * are skipped. */
MUST_CHECK int maps_get(struct maps *m, struct span key, bool partial,
	    struct buf *out, struct why *why);
/*
 * Call fn for each entry of all tables that can list theirs, until it returns
 * false.  -1 with why: a table cannot be opened.
 */
MUST_CHECK int maps_each(struct maps *m, table_each_fn *fn, void *arg,
	    struct why *why);
/* Whether a value is one that the parameter can use: 0, or -1 with why. */
typedef int maps_judge_fn(struct span value, struct why *why);
/*
 * Judge what static: tables give, and the first MAPS_JUDGE_MAX entries of
 * those that can be listed.  0, or -1 with why, which tells of the first that
 * is bad and of how many are; *all, when it goes for every key, so that
 * nothing can work.
 */
#define MAPS_JUDGE_MAX	20000
MUST_CHECK int maps_judge(struct maps *m, maps_judge_fn *fn, bool *all,
	    struct why *why);
/* The spec of the table that gave the last answer ("hash:/a"). */
const char *maps_last_table(const struct maps *m);

/* --- membership lists: domains, networks, strings --------------------------- */

struct match_list;

enum {
	/* Domains: example.com also matches a.example.com.  Without it that
	 * takes .example.com. */
	MATCH_PARENT = 1,
	MATCH_EXACT = 2,	/* not domains: no parents at all */
};

/*
 * Patterns, first match wins: names, .names, !not, /file/with/patterns,
 * type:table (looked up as it is and, for domains, by parents), for addresses
 * also 192.0.2.0/24, [2001:db8::]/32.  Letters compare without case.  NULL
 * with why: a missing file, a bad network.
 */
struct match_list *match_list_new(const char *title, const char *value,
	    int flags, struct why *why);
void	 match_list_free(struct match_list **m);
/* 1 member, 0 not, -1 with why (temporary). */
MUST_CHECK int match_list_string(struct match_list *m, struct span s,
	    struct why *why);
struct sock_addr;
/* The same for addresses: also CIDR patterns. */
MUST_CHECK int match_list_addr(struct match_list *m,
	    const struct sock_addr *a, struct why *why);
/* A client: either its name or its address may match. */
MUST_CHECK int match_list_client(struct match_list *m, struct span name,
	    const struct sock_addr *a, struct why *why);
/* Whether title is named in parent_domain_matches_subdomains: MATCH_PARENT or
 * 0, for flags. */
int	 match_parent_flag(const char *title);

/* --- making the files ------------------------------------------------------- */

struct table_writer;

enum {
	TABLE_UPDATE = 1,	/* begin with what the file holds now */
	/* The owner and group of the source file, if there is one (when
	 * root), as Postfix does. */
	TABLE_KEEP_OWNER = 2,
};

/*
 * For "hash" or "btree": makes spec's file.db under a temporary name and
 * renames it into place, so that readers always see a whole table and a crash
 * leaves the old one.  With TABLE_UPDATE two writers wait for each other.
 * NULL with why.
 */
struct table_writer *table_writer_new(const char *spec, int flags,
	    mode_t mode, struct why *why);
/* 1 added, 0 there already (then changed only with replace), -1 with why. */
MUST_CHECK int table_writer_put(struct table_writer *w, struct span key,
	    struct span value, bool replace, struct why *why);
/* 1 deleted, 0 was not there, -1 with why. */
MUST_CHECK int table_writer_del(struct table_writer *w, struct span key,
	    struct why *why);
MUST_CHECK int table_writer_commit(struct table_writer **w, struct why *why);
void	 table_writer_abort(struct table_writer **w);
/* Whether table_writer_new() can make this type. */
bool	 table_type_is_writable(struct span type);

#endif
