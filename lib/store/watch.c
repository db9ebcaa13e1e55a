/* SPDX-License-Identifier: ISC */
/*
 * watch - being told of changes: inotify on journals.
 *
 * Every change of a packed mailbox is a write to its journal.  In a maildir
 * others rename files, so new/ and cur/ are watched as well.  A journal that
 * is replaced (compaction, rename over it) says so by IN_ATTRIB, and is then
 * looked up again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "io/fd.h"
#include "store/account_internal.h"
#include "store/mailbox.h"

_Static_assert(STORE_WATCH_MASK == (IN_MODIFY | IN_ATTRIB | IN_MOVE |
    IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF), "mailbox.h");

#define REPLACED_MAX	8	/* times in a row, between two of our calls */

struct watched {
	struct account	*a;
	uint32_t	 box;
	int		 wd[STORE_WATCH_FDS];	/* -1: none */
	bool		 due;
};

struct store_watch {
	int		 fd;
	ARRAY(struct watched) v;
};

struct store_watch *
store_watch_new(void)
{
	struct store_watch *w = mem_zalloc(sizeof(*w));

	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return w;
}

void
store_watch_free(struct store_watch **wp)
{
	struct store_watch *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	fd_close(&w->fd);
	ARRAY_FINI(&w->v);
	mem_free(w);
}

int
store_watch_fd(const struct store_watch *w)
{
	return w->fd;
}

int
store_watch_fds(struct account *a, uint32_t box, int *fds, int max,
    struct why *why)
{
	static const char *const parts[] = { "new", "cur" };	/* and the
								 * journal */
	char name[PACKED_NAME_MAX];
	int dir, n = 0;

	a = account_at(a, &box);
	if (max < 1)
		return 0;
	if (a->format == STORE_MAILDIR && box != 0) {
		if ((dir = account_box_dir(a, box, why)) < 0)
			return -1;
		for (size_t i = 0; i < ARRAY_LEN(parts) && n < max; i++) {
			int fd = openat(dir, parts[i], O_RDONLY |
			    O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (fd >= 0)
				fds[n++] = fd;
		}
		if (n < max && (fds[n] = packed_open_checked(dir,
		    PACKED_ALONE_NAME, O_RDONLY)) >= 0)
			n++;
		close(dir);
		if (n > 0)
			return n;
	} else {
		if (box == 0)
			snprintf(name, sizeof(name), "%s", a->list->jname);
		else
			packed_name(box, "jrn", name);
		fds[0] = packed_open_checked(a->dirfd, name, O_RDONLY);
		if (fds[0] >= 0)
			return 1;
	}
	(void)store_fail(why, "cannot watch", a->path);
	return account_fail(a, errno == ENOENT ? ACCOUNT_NONEXISTENT :
	    ACCOUNT_UNAVAILABLE);
}

/*
 * Watch what the mailbox's files are now.  1: one was replaced before it was
 * watched, so that nothing would ever be heard of it.
 */
static int
watch_files(struct store_watch *w, struct watched *e, struct why *why)
{
	int fds[STORE_WATCH_FDS], n, rc = 0;
	struct stat st;
	char path[64];

	n = store_watch_fds(e->a, e->box, fds, STORE_WATCH_FDS, why);
	for (int i = 0; i < STORE_WATCH_FDS; i++)
		e->wd[i] = -1;
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		e->wd[i] = inotify_add_watch(w->fd, path, STORE_WATCH_MASK);
		if (e->wd[i] < 0) {
			(void)store_fail(why, "cannot watch", e->a->path);
			rc = account_fail(e->a, ACCOUNT_LIMIT);
		} else if (rc == 0 && fstat(fds[i], &st) == 0 &&
		    st.st_nlink == 0) {
			rc = 1;
		}
		close(fds[i]);
	}
	return n < 0 ? -1 : rc;
}

static int
set_watch(struct store_watch *w, struct watched *e, struct why *why)
{
	int rc = 1;

	for (int i = 0; rc == 1 && i < REPLACED_MAX; i++)
		rc = watch_files(w, e, why);
	return MIN(rc, 0);
}

int
store_watch_add(struct store_watch *w, struct account *a, uint32_t box,
    struct why *why)
{
	struct watched e = { .a = a, .box = box };

	if (w->fd < 0)
		return account_say(a, ACCOUNT_LIMIT, why, "no inotify "
		    "descriptor could be had");
	for (size_t i = 0; i < w->v.len; i++) {
		if (w->v.v[i].a == a && w->v.v[i].box == box)
			return 0;
	}
	if (set_watch(w, &e, why) < 0)
		return -1;
	*ARRAY_PUSH(&w->v) = e;
	return 0;
}

/* Whether another entry uses the descriptor, too (the same file). */
static bool
in_use(const struct store_watch *w, int wd)
{
	for (size_t i = 0; i < w->v.len; i++) {
		for (int k = 0; k < STORE_WATCH_FDS; k++) {
			if (w->v.v[i].wd[k] == wd)
				return true;
		}
	}
	return false;
}

void
store_watch_remove(struct store_watch *w, struct account *a, uint32_t box)
{
	for (size_t i = 0; i < w->v.len; i++) {
		struct watched e = w->v.v[i];

		if (e.a != a || e.box != box)
			continue;
		ARRAY_DROP(&w->v, i);
		for (int k = 0; k < STORE_WATCH_FDS; k++) {
			if (e.wd[k] >= 0 && !in_use(w, e.wd[k]))
				(void)inotify_rm_watch(w->fd, e.wd[k]);
		}
		return;
	}
}

void
store_watch_read(struct store_watch *w,
    void (*fn)(void *arg, struct account *a, uint32_t box), void *arg)
{
	char buf[4096] __attribute__((aligned(8)));
	ARRAY(struct watched) due = ARRAY_EMPTY;
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (void *)p;

			for (size_t i = 0; i < w->v.len; i++) {
				struct watched *x = &w->v.v[i];

				if (e->mask & IN_Q_OVERFLOW)
					x->due = true;
				for (int k = 0; k < STORE_WATCH_FDS; k++)
					x->due |= x->wd[k] == e->wd;
				if (x->due && e->mask & (IN_ATTRIB |
				    IN_DELETE_SELF | IN_MOVE_SELF |
				    IN_IGNORED))
					x->wd[0] = -1;
			}
			p += sizeof(*e) + e->len;
		}
	}
	for (size_t i = 0; i < w->v.len; i++) {
		struct watched *x = &w->v.v[i];

		if (!x->due)
			continue;
		x->due = false;
		/* A deleted mailbox cannot be watched; it is told once. */
		if (x->wd[0] < 0)
			(void)set_watch(w, x, NULL);
		*ARRAY_PUSH(&due) = *x;
	}
	/* fn may add and remove. */
	for (size_t i = 0; i < due.len; i++)
		fn(arg, due.v[i].a, due.v[i].box);
	ARRAY_FINI(&due);
}
