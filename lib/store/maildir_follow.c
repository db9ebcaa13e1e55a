/* SPDX-License-Identifier: ISC */
/*
 * maildir_follow - being told by the kernel what others do to a maildir.
 *
 * A rename holds the directory's lock in the kernel until its event is queued,
 * and so does reading it: who has read from a directory has the events of all
 * that the reading showed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fd.h"
#include "store/maildir_view.h"

#define XFS_MAGIC	0x58465342

#define EVENTS		(IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE)

/* Only what happens on this machine is told. */
static bool
tells_all(int fd)
{
	static const uint64_t local[] = {
		EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
		TMPFS_MAGIC, XFS_MAGIC, OVERLAYFS_SUPER_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		if ((uint64_t)fs.f_type == local[i])
			return true;
	}
	return false;
}

static int
add_watch(int events, int dir)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	return inotify_add_watch(events, path, EVENTS);
}

void
maildir_follow(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	if (v->events >= 0 || !(m->flags & MAILBOX_RECENT) ||
	    record_count(m) < MAILDIR_FOLLOW_MIN || !tells_all(v->cur) ||
	    !tells_all(v->new))
		return;
	v->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (v->events < 0)
		return;
	v->wd_cur = add_watch(v->events, v->cur);
	v->wd_new = add_watch(v->events, v->new);
	if (v->wd_cur < 0 || v->wd_new < 0)
		maildir_events_close(v);
}

void
maildir_events_close(struct maildir_view *v)
{
	fd_close(&v->events);
	v->followed = false;
}

void
maildir_barrier(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;

	if (fd >= 0 && (d = fdopendir(fd)) != NULL) {
		(void)readdir(d);
		closedir(d);
		return;
	}
	fd_close(&fd);
}

bool
maildir_is_there(struct maildir_view *v, const struct mdfile *f)
{
	struct stat st;

	return f->name != NULL && fstatat(f->in_cur ? v->cur : v->new,
	    f->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One event: the file has this name now, or has it no more. */
static void
take_event(struct mailbox *m, const struct inotify_event *e)
{
	struct maildir_view *v = m->md;
	bool cur = e->wd == v->wd_cur, made;
	struct hash_entry *he;
	struct mdfile *f;

	if (e->len == 0 || !maildir_is_message(e->name))
		return;
	he = hash_enter(&v->files, maildir_base(e->name), &made);
	if (made)
		he->value = mem_zalloc(sizeof(*f));
	f = he->value;
	if (!f->touched)
		*ARRAY_PUSH(&v->touched) = he;
	f->touched = true;
	if (e->mask & (IN_MOVED_TO | IN_CREATE)) {
		mem_free(f->name);
		f->name = mem_strdup(e->name);
		f->in_cur = cur;
	}
}

bool
maildir_drain(struct mailbox *m)
{
	char buf[16384] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(m->md->events, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (void *)p;

			if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED))
				return false;
			take_event(m, e);
			p += sizeof(*e) + e->len;
		}
	}
	return n < 0 && errno == EAGAIN;
}

void
maildir_forget_touched(struct maildir_view *v)
{
	for (size_t i = 0; i < v->touched.len; i++)
		((struct mdfile *)v->touched.v[i]->value)->touched = false;
	v->touched.len = 0;
}

int
maildir_take_events(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	maildir_enter_records(m);
	maildir_barrier(v->cur);
	maildir_barrier(v->new);
	if (!maildir_drain(m))
		return 0;
	for (size_t i = 0; i < v->touched.len; i++) {
		struct mdfile *f = v->touched.v[i]->value;

		f->seen = maildir_is_there(v, f);
		maildir_count_new(v, f, f->seen && !f->in_cur);
		if (!f->seen && f->known &&
		    !(record_at(m, f->rec)->flags & MESSAGE_EXPUNGED))
			return 0;
	}
	return 1;
}

bool
maildir_has_events(const struct maildir_view *v)
{
	int n = 0;

	return ioctl(v->events, FIONREAD, &n) < 0 || n > 0;
}
