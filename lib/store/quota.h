/* SPDX-License-Identifier: ISC */
/*
 * quota - how much an account may hold: limits and where they come from.
 *
 * The limits of an account are, each for itself, the first of
 *
 *	what an administrator has set for this account (a file in it, QUOTA_FILE,
 *	"mansio quota set", RFC 9208 SETQUOTA)
 *	what quota_maps says for the address, its domain
 *	quota_storage_limit, quota_message_limit, quota_mailbox_limit
 *
 * As text, in tables and in the file: "storage=10G messages=100000
 * mailboxes=200", in any order; a size alone is "storage="; "unlimited" and 0
 * are no limit.
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define QUOTA_UNLIMITED	UINT64_MAX
#define QUOTA_UNSET	(UINT64_MAX - 1)	/* ask the next one */
#define QUOTA_FILE		"quota"		/* packed */
#define QUOTA_FILE_MAILDIR	"mansio-quota"
#define QUOTA_LEVELS_MAX	8

struct store_quota {
	uint64_t	storage;	/* bytes */
	uint64_t	messages, mailboxes;
};

void	 store_quota_unset(struct store_quota *q);
/* What is unset in q becomes what other says. */
void	 store_quota_merge(struct store_quota *q,
	    const struct store_quota *other);
/* The settings' defaults; nothing is unset. */
void	 store_quota_defaults(struct store_quota *q);
bool	 store_quota_limited(const struct store_quota *q);

/* 0, or -1 with why; resources that text does not name are unset. */
MUST_CHECK int store_quota_parse(struct span text, struct store_quota *out,
	    struct why *why);
/* Whether quota_maps can have this value; see maps_judge(). */
MUST_CHECK int store_quota_judge(struct span text, struct why *why);
/* Append it as text; what is unset is left out. */
void	 store_quota_format(const struct store_quota *q, struct buf *out);

/*
 * The account's own file in dirfd: 1 read, 0 there is none (then *out is
 * unset); -1 with why.  A bad one is an error, never "no limit".
 */
MUST_CHECK int store_quota_read(int dirfd, const char *name,
	    struct store_quota *out, struct why *why);
/* Write it, durably; all unset: it is removed. */
MUST_CHECK int store_quota_write(int dirfd, const char *name,
	    const struct store_quota *q, struct why *why);

/* --- quota_maps ------------------------------------------------------------------ */

struct quota_map;

/* Open the tables, before rights are given up.  NULL with why. */
struct quota_map *quota_map_new(struct why *why);
void	 quota_map_free(struct quota_map **m);
/*
 * The limits of a user ("bob@example.org", "bob"), with the defaults: asked
 * for are the whole address, without extension, @domain; in lower case.  -1
 * with why: temporary.
 */
MUST_CHECK int quota_map_find(struct quota_map *m, struct span user,
	    struct store_quota *out, struct why *why);

/* --- grace and warnings ------------------------------------------------------------ */

/* Judge quota_grace and quota_warning_levels; -1 with why. */
MUST_CHECK int store_quota_check(struct why *why);
/* Up to where deliveries may go: the limit and quota_grace. */
uint64_t store_quota_grace(uint64_t limit);
/* Whether a message of so many bytes may be delivered: 0, or -1 with why
 * (4.2.2 full, 5.2.2 it is larger than the whole). */
MUST_CHECK int store_quota_fits(const struct store_quota *used,
	    const struct store_quota *limits, uint64_t bytes,
	    struct why *why);
/*
 * The highest of quota_warning_levels that the way from before to after
 * passes, in percent; 0: none.
 */
unsigned store_quota_passed(uint64_t before, uint64_t after, uint64_t limit);
/* The text of the warning, a whole message. */
void	 store_quota_message(struct buf *out, struct span user,
	    unsigned level, const struct store_quota *used,
	    const struct store_quota *limit);

#endif
