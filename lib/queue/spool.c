/* SPDX-License-Identifier: ISC */
/*
 * spool - see spool.h.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/queue_id.h"
#include "queue/spool.h"

static const char *const names[] = {
	[SPOOL_DEFERRED] = "deferred", [SPOOL_HOLD] = "hold",
	[SPOOL_CORRUPT] = "corrupt", [SPOOL_LARGE] = "large",
};

/*
 * What lies in a queue directory.  The top, pid/, jail/ and the folders of
 * sockets stay root's: who owns mail_owner must not choose what root follows
 * there.  jail/ has second names of private sockets, so only root may pass.
 */
static const struct {
	const char	*name;
	mode_t		 mode;
	bool		 hashed;	/* has xx/ below */
	enum { ROOTS, GROUPS, OWNED } whose;	/* root's, of mail_owner's
						 * group, mail_owner's */
} folders[] = {
	{ "log",	0700, false, OWNED }, { "state",   0700, false, OWNED },
	{ "large",	0700, false, OWNED }, { "deferred", 0700, true, OWNED },
	{ "hold",	0700, true, OWNED },  { "corrupt", 0700, false, OWNED },
	{ "private",	0710, false, GROUPS }, { "public", 0755, false, ROOTS },
	{ "jail",	0700, false, ROOTS }, { "pid",	   0755, false, ROOTS },
};

int
spool_open(struct spool *s, const char *path, struct why *why)
{
	s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return why_errno(why, "4.3.0", "open queue directory %s", path);
	return 0;
}

void
spool_close(struct spool *s)
{
	fd_close(&s->dirfd);
}

/*
 * Make one directory, or find it.  The mode of one that is there is the
 * administrator's choice; only a wrong owner is put right, because nothing
 * works then.
 */
static int
make_folder(int dirfd, const char *name, mode_t mode, uid_t uid, gid_t gid,
    bool *any, struct why *why)
{
	struct stat st;
	bool made = true;

	if (fault_mkdirat(dirfd, name, mode) < 0) {
		if (errno != EEXIST)
			return why_errno(why, "4.3.0", "mkdir %s", name);
		made = false;
	}
	*any |= made;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return why_errno(why, "4.3.0", "stat %s", name);
	if (!S_ISDIR(st.st_mode))
		return why_set(why, "4.3.0", "%s is no directory", name);
	if (made && fchmodat(dirfd, name, mode, 0) < 0)	/* whatever the umask */
		return why_errno(why, "4.3.0", "chmod %s", name);
	if (geteuid() == 0 && (st.st_uid != uid || st.st_gid != gid) &&
	    fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return why_errno(why, "4.3.0", "chown %s", name);
	return 0;
}

int
spool_create(const char *path, unsigned uid, unsigned gid, struct why *why)
{
	struct spool s;
	bool made = false;
	int rc = -1;

	if (fd_mkdir_p(path, 0755) < 0)
		return why_errno(why, "4.3.0", "mkdir %s", path);
	if (spool_open(&s, path, why) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		uid_t u = folders[i].whose == OWNED ? uid : 0;
		gid_t g = folders[i].whose == ROOTS ? 0 : gid;

		if (make_folder(s.dirfd, folders[i].name, folders[i].mode,
		    u, g, &made, why) < 0)
			goto out;
		for (unsigned x = 0; folders[i].hashed && x < 256; x++) {
			char sub[SPOOL_PATH_MAX];

			/* Made when a file is to lie there; only the owner
			 * of one that there is matters. */
			snprintf(sub, sizeof(sub), "%s/%02x",
			    folders[i].name, x);
			if (faccessat(s.dirfd, sub, F_OK,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
			    make_folder(s.dirfd, sub, folders[i].mode, u, g,
			    &made, why) < 0)
				goto out;
		}
	}
	/* On a busy disk this takes its time: only when there is a reason. */
	if (made && fault_syncfs(s.dirfd) < 0) {
		why_errno(why, "4.3.0", "sync %s", path);
		goto out;
	}
	rc = 0;
out:
	spool_close(&s);
	return rc;
}

const char *
spool_queue_name(enum spool_queue q)
{
	return names[q];
}

void
spool_path(enum spool_queue q, struct span id, char out[SPOOL_PATH_MAX])
{
	uint64_t seq;

	if (queue_id_parse(id, NULL, &seq) < 0)
		log_panic("spool_path: bad queue id");
	if (q == SPOOL_DEFERRED || q == SPOOL_HOLD)
		snprintf(out, SPOOL_PATH_MAX, "%s/%02x/%.*s", names[q],
		    (unsigned)(seq & 0xff), SPAN_ARG(id));
	else
		snprintf(out, SPOOL_PATH_MAX, "%s/%.*s", names[q],
		    SPAN_ARG(id));
}

int
spool_make_folder(const struct spool *s, const char *path, struct why *why)
{
	char sub[SPOOL_PATH_MAX], *slash;
	struct stat st;
	int fd;

	(void)snprintf(sub, sizeof(sub), "%s", path);
	slash = strrchr(sub, '/');
	if (slash == NULL || strchr(sub, '/') == slash)
		return why_set(why, "4.3.0", "%s: no folder for it", path);
	*slash = '\0';
	if (fault_mkdirat(s->dirfd, sub, 0700) < 0 && errno != EEXIST)
		return why_errno(why, errno == ENOSPC || errno == EDQUOT ?
		    "4.3.1" : "4.3.0", "mkdir %s", sub);
	/* A command of root's makes it for the owner of the queue. */
	*strchr(sub, '/') = '\0';
	fd = openat(s->dirfd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW);
	sub[strlen(sub)] = '/';
	if (fd < 0 || fstat(fd, &st) < 0 || (geteuid() == 0 &&
	    fchownat(s->dirfd, sub, st.st_uid, st.st_gid,
	    AT_SYMLINK_NOFOLLOW) < 0) || fault_fsync(fd) < 0) {
		fd_close(&fd);
		return why_errno(why, "4.3.0", "make %s", sub);
	}
	fd_close(&fd);
	return 0;
}

int
spool_free(const struct spool *s, uint64_t *bytes, uint64_t *inodes,
    struct why *why)
{
	struct statvfs v;

	if (fstatvfs(s->dirfd, &v) < 0)
		return why_errno(why, "4.3.0", "statvfs of queue directory");
	*bytes = (uint64_t)v.f_bavail * v.f_frsize;
	/* Some file systems have no fixed number of inodes and say 0. */
	*inodes = v.f_files == 0 ? UINT64_MAX : (uint64_t)v.f_favail;
	return 0;
}
