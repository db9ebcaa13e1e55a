/* SPDX-License-Identifier: ISC */
/*
 * qnames - queue files by name: which there are, and their moves and ends.
 *
 * The names of a folder are read first and then looked at in the order of
 * their inodes: with a long queue that nobody has looked at for a while the
 * disk is read from one end to the other, not here and there.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qmsg.h"
#include "queue/qmsg_priv.h"
#include "queue/queue_id.h"

/* --- one file ----------------------------------------------------------------- */

int
qfile_move(const struct spool *s, struct span id, enum spool_queue from,
    enum spool_queue to, struct why *why)
{
	char a[SPOOL_PATH_MAX], b[SPOOL_PATH_MAX];

	if (!queue_id_valid(id))
		return why_set(why, "4.3.0", "bad queue id");
	spool_path(from, id, a);
	spool_path(to, id, b);
	if (fault_renameat(s->dirfd, a, s->dirfd, b) == 0)
		return 0;
	/* The file itself may have gone, too: then it fails once more. */
	if (errno == ENOENT && (to == SPOOL_DEFERRED || to == SPOOL_HOLD)) {
		if (spool_make_folder(s, b, why) < 0)
			return -1;
		if (fault_renameat(s->dirfd, a, s->dirfd, b) == 0)
			return 0;
	}
	return why_errno(why, io_code(), "rename %s to %s", a, b);
}

int
qfile_remove(const struct spool *s, enum spool_queue q, struct span id,
    struct why *why)
{
	char path[SPOOL_PATH_MAX];

	if (!queue_id_valid(id))
		return why_set(why, "4.3.0", "bad queue id");
	spool_path(q, id, path);
	if (fault_unlinkat(s->dirfd, path, 0) < 0)
		return why_errno(why, "4.3.0", "remove %s", path);
	return 0;
}

/* --- the files of a queue ---------------------------------------------------- */

struct name {
	ino_t	 ino;
	char	*id;
};

struct names {
	ARRAY(struct name) v;
};

static void
names_fini(struct names *n)
{
	for (size_t i = 0; i < n->v.len; i++)
		mem_free(n->v.v[i].id);
	ARRAY_FINI(&n->v);
}

static int
by_inode(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* A folder that is not there is empty: 0, and no *dir. */
static int
folder_open(const struct spool *s, const char *path, DIR **dir,
    struct why *why)
{
	int fd = openat(s->dirfd, path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	*dir = NULL;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || (*dir = fdopendir(fd)) == NULL) {
		why_errno(why, "4.3.0", "read %s", path);
		fd_close(&fd);
		return -1;
	}
	return 0;
}

static int
names_read(struct names *n, const struct spool *s, const char *path,
    struct why *why)
{
	struct dirent *de;
	DIR *dir;
	int rc = folder_open(s, path, &dir, why);

	if (dir == NULL)
		return rc;
	for (errno = 0; (de = readdir(dir)) != NULL; errno = 0) {
		if ((de->d_type == DT_REG || de->d_type == DT_UNKNOWN) &&
		    queue_id_valid(span_of(de->d_name)))
			*ARRAY_PUSH(&n->v) = (struct name){ de->d_ino,
			    mem_strdup(de->d_name) };
	}
	if (errno != 0)
		rc = why_errno(why, "4.3.0", "read %s", path);
	closedir(dir);
	if (n->v.len > 1)
		qsort(n->v.v, n->v.len, sizeof(n->v.v[0]), by_inode);
	return rc;
}

static void
folder_path(enum spool_queue q, unsigned folder, char out[SPOOL_PATH_MAX])
{
	const char *name = spool_queue_name(q);

	if (spool_folders(q) == 1)
		snprintf(out, SPOOL_PATH_MAX, "%s", name);
	else
		snprintf(out, SPOOL_PATH_MAX, "%s/%02x", name, folder);
}

unsigned
spool_folders(enum spool_queue q)
{
	return q == SPOOL_DEFERRED || q == SPOOL_HOLD ? 256 : 1;
}

int
qfile_names(const struct spool *s, enum spool_queue q, unsigned folder,
    bool (*fn)(void *arg, const char *id), void *arg, struct why *why)
{
	struct names n = { ARRAY_EMPTY };
	char path[SPOOL_PATH_MAX];
	int rc;

	folder_path(q, folder, path);
	rc = names_read(&n, s, path, why);
	for (size_t i = 0; i < n.v.len && rc == 0; i++)
		rc = !fn(arg, n.v.v[i].id);
	names_fini(&n);
	return rc;
}

static int64_t
to_us(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000;
}

struct timed {
	const struct spool *s;
	enum spool_queue q;
	bool		(*fn)(void *arg, const char *id, int64_t next_us,
			    int64_t changed_us);
	void		*arg;
	struct why	*why;
	bool		 failed;
};

static bool
look_at_times(void *arg, const char *id)
{
	struct timed *t = arg;
	char path[SPOOL_PATH_MAX];
	struct stat st;

	spool_path(t->q, span_of(id), path);
	if (fstatat(t->s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return true;	/* delivered since */
		t->failed = true;
		why_errno(t->why, "4.3.0", "stat %s", path);
		return false;
	}
	return !S_ISREG(st.st_mode) || t->fn(t->arg, id,
	    to_us(&st.st_mtim), to_us(&st.st_ctim));
}

int
qfile_each(const struct spool *s, enum spool_queue q,
    bool (*fn)(void *arg, const char *id, int64_t next_us,
    int64_t changed_us), void *arg, struct why *why)
{
	struct timed t = { .s = s, .q = q, .fn = fn, .arg = arg, .why = why };
	int rc = 0;

	for (unsigned x = 0; x < spool_folders(q) && rc == 0; x++)
		rc = qfile_names(s, q, x, look_at_times, &t, why);
	return rc < 0 || t.failed ? -1 : 0;
}

static int
sweep_in(const struct spool *s, const char *path, struct why *why)
{
	struct dirent *de;
	DIR *dir;
	int rc = folder_open(s, path, &dir, why);

	if (dir == NULL)
		return rc;
	while ((de = readdir(dir)) != NULL) {
		struct span name = span_of(de->d_name);

		if (span_starts(name, SPAN("tmp.")) ||
		    span_ends(name, SPAN(".tmp")))
			(void)fault_unlinkat(dirfd(dir), de->d_name, 0);
	}
	closedir(dir);
	return 0;
}

int
spool_sweep_tmp(const struct spool *s, enum spool_queue q, struct why *why)
{
	char path[SPOOL_PATH_MAX];

	for (unsigned x = 0; x < spool_folders(q); x++) {
		folder_path(q, x, path);
		if (sweep_in(s, path, why) < 0)
			return -1;
	}
	return 0;
}
