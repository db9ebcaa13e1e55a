/* SPDX-License-Identifier: ISC */
/*
 * passwd_file - users in a file as Dovecot's passwd-file driver has it:
 *
 *	user:{scheme}hash:uid:gid:gecos:home:shell:extra_fields
 *
 * Fields from the third on may be missing.  A hash without scheme is one of
 * crypt(3).  The file is read again when it has changed.
 */
#ifndef AUTHD_PASSWD_FILE_H
#define AUTHD_PASSWD_FILE_H

#include "authd/authd.h"

struct passwd_file;

struct passwd_file *passwd_file_new(const char *path);
void	 passwd_file_free(struct passwd_file **f);
/* 1 found, with text, uid, gid and home; 0 not; -1 with why. */
MUST_CHECK int passwd_file_get(struct passwd_file *f, struct span user,
	    struct account *out, struct why *why);
/* Split a line; false: it is none.  For the test. */
bool	 passwd_file_parse(struct span line, struct span *user,
	    struct account *out);

#endif
