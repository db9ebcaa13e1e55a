/* SPDX-License-Identifier: ISC */
/*
 * cred - see cred.h for why these are raw system calls.
 */
#include "local/cred.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#ifdef SYS_setresuid32			/* 16-bit ids under the plain names */
#define NR_SETRESUID	SYS_setresuid32
#define NR_SETRESGID	SYS_setresgid32
#define NR_SETGROUPS	SYS_setgroups32
#else
#define NR_SETRESUID	SYS_setresuid
#define NR_SETRESGID	SYS_setresgid
#define NR_SETGROUPS	SYS_setgroups
#endif

static bool	known, changed;
static uid_t	own_uid, now_uid;
static gid_t	own_gid, now_gid;

static void
know(void)
{
	if (known)
		return;
	own_uid = now_uid = geteuid();
	own_gid = now_gid = getegid();
	known = true;
}

void
cred_restore(void)
{
	know();
	if (!changed)
		return;
	/* The user first: groups can be set only with root's rights. */
	if (syscall(NR_SETRESUID, (uid_t)-1, own_uid, (uid_t)-1) < 0 ||
	    syscall(NR_SETRESGID, (gid_t)-1, own_gid, (gid_t)-1) < 0 ||
	    syscall(NR_SETGROUPS, 1, &own_gid) < 0)
		log_fatal("cannot become uid %u again: %m",
		    (unsigned)own_uid);
	now_uid = own_uid;
	now_gid = own_gid;
	changed = false;
}

int
cred_become(uid_t uid, gid_t gid)
{
	int e;

	know();
	if (uid == 0) {
		errno = EPERM;
		return -1;
	}
	if (uid == now_uid && gid == now_gid)
		return 0;
	if (own_uid != 0) {
		if (uid == own_uid)
			return 0;
		errno = EPERM;
		return -1;
	}
	cred_restore();
	changed = true;
	if (syscall(NR_SETGROUPS, 1, &gid) < 0 ||
	    syscall(NR_SETRESGID, (gid_t)-1, gid, (gid_t)-1) < 0 ||
	    syscall(NR_SETRESUID, (uid_t)-1, uid, (uid_t)-1) < 0) {
		e = errno;
		cred_restore();
		errno = e;
		return -1;
	}
	now_uid = uid;
	now_gid = gid;
	return 0;
}

int
cred_drop(uid_t uid, gid_t gid)
{
	if (uid == 0) {
		errno = EPERM;
		return -1;
	}
	if (geteuid() != 0)
		return geteuid() == uid ? 0 : (errno = EPERM, -1);
	if (syscall(NR_SETGROUPS, 1, &gid) < 0 ||
	    syscall(NR_SETRESGID, gid, gid, gid) < 0 ||
	    syscall(NR_SETRESUID, uid, uid, uid) < 0)
		return -1;
	/* There must be no way back. */
	if (syscall(NR_SETRESUID, (uid_t)-1, 0, (uid_t)-1) == 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}
