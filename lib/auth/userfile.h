/* SPDX-License-Identifier: ISC */
/*
 * userfile - the password file of virtual accounts (authd_password_file).
 *
 *	# comment
 *	joe@example.com:{ARGON2ID}$argon2id$v=19$...:scram256=...:
 *
 * A line is an address in lower case, the hash with its scheme, and fields,
 * each after a colon (userline.h).  The order
 * of lines and the comments are preserved too.  The file is read whole,
 * changed in memory, and replaced in one step.
 */
#ifndef AUTH_USERFILE_H
#define AUTH_USERFILE_H

#include "base/array.h"
#include "base/cc.h"
#include "base/hash.h"
#include "base/span.h"
#include "base/why.h"

struct userfile_line {
	char	*text;		/* whole, without the newline */
	size_t	 address_len;	/* 0: a comment */
	bool	 gone;
};

struct userfile {
	char	*path;
	ARRAY(struct userfile_line) lines;
	struct hash	 index;		/* address -> line number + 1 */
	size_t		 count;		/* accounts */
};

/* Read it; a file that is not there is empty.  -1 with why. */
MUST_CHECK int userfile_read(struct userfile *f, const char *path,
	    struct why *why);
void	 userfile_fini(struct userfile *f);
bool	 userfile_has(const struct userfile *f, struct span address);
/* The hash; false when there is no such account. */
bool	 userfile_hash(const struct userfile *f, struct span address,
	    struct span *hash);
/* All that follows "address:", see userline.h; false when there is none. */
bool	 userfile_line(const struct userfile *f, struct span address,
	    struct span *text);
/* Set all of it; true when the account is new. */
bool	 userfile_put(struct userfile *f, struct span address,
	    struct span text);
/* Set an account's hash; further fields stay.  True when it is new. */
bool	 userfile_set(struct userfile *f, struct span address,
	    struct span hash);
/* False when there was none. */
bool	 userfile_delete(struct userfile *f, struct span address);
/* Replace the file; mode 0640, owner and group as before.  -1 with why, and
 * the old file is there still. */
MUST_CHECK int userfile_write(const struct userfile *f, struct why *why);

#endif
