/* SPDX-License-Identifier: ISC */
/*
 * cred - acting as a user for the time of a delivery.
 *
 * The kernel keeps user and group ids per thread; the C library's seteuid()
 * hides that by signalling every thread to change too.  That would take the
 * checkpoint thread's rights away in the middle of its work, and costs a
 * signal round trip per delivery.  So these make the system calls themselves:
 * the calling thread changes, no other.
 */
#ifndef LOCAL_CRED_H
#define LOCAL_CRED_H

#include <sys/types.h>

#include "base/cc.h"

/*
 * Act as uid and gid, with no other groups.  Never as root: uid 0 is refused
 * with EPERM.  Nothing happens when that is who we are.  Without root's
 * rights (tests, one fixed mailbox owner) only our own uid succeeds.  0, or
 * -1 with errno and the identity unchanged.
 */
MUST_CHECK int cred_become(uid_t uid, gid_t gid);
/* Back to what the process is; does not return when that fails. */
void	 cred_restore(void);
/* In a child, for good: real, effective and saved ids.  -1 with errno. */
MUST_CHECK int cred_drop(uid_t uid, gid_t gid);

#endif
