/* SPDX-License-Identifier: ISC */
/*
 * mbox - all messages in one file, shared with any program that reads mbox.
 *
 * A message is its From_ line, our header lines, the content with '>' before
 * each line that begins with "From ", and an empty line.
 *
 * How a message is added whole or not at all: first everything is written
 * with a NUL in the place of the first byte, so that no reader sees a From_
 * line; then the 'F' is written over the NUL, one byte, which is the commit.
 * A writer that is killed before leaves "\0rom " as the last thing that looks
 * like a message start, and the next writer of ours cuts it off.  (A line of
 * content that would look so is quoted like "From ".)  A foreign program that
 * appends in between makes the half part of the message before it; nothing of
 * anybody else is ever cut off.
 *
 * Other programs lock with fcntl, flock or "name.lock"; the owner of this
 * system knows which: place.flags.  Locks are tried lock_attempts times.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/store_internal.h"

#define TAIL_STEP	(256u * 1024)	/* bytes read at once from the end */

/* Where the half at the end of the file begins; size when there is none,
 * -1 with errno. */
static int64_t
find_end(int fd, int64_t size, struct buf *tmp)
{
	int64_t to = size;

	while (to > 0) {
		size_t n = (size_t)MIN(to, (int64_t)TAIL_STEP);
		int64_t from = to - (int64_t)n;
		size_t more = (size_t)MIN(size - to, 8);
		char *p;
		int64_t half;
		bool found = false;

		/* 8 bytes more than needed: a start may lie across. */
		buf_reset(tmp);
		p = buf_reserve(tmp, n + more);
		if (fd_pread_all(fd, p, n + more, (off_t)from) < 0)
			return -1;
		for (size_t i = n; i-- > 0 && !found; ) {
			if (i > 0 ? p[i - 1] == '\n' : from == 0)
				found = mbox_start_at(p + i, n + more - i) != 0;
		}
		if (found || to == size) {
			half = mbox_find_half(span_make(p, n + more), from);
			if (half >= 0)
				return half;
			if (found)
				return size;
		}
		if (from == 0)
			break;
		/* Keep the byte before, which says that a line begins. */
		to = from + 1 < to ? from + 1 : from;
	}
	return size;
}

/* --- opening and locking ---------------------------------------------------------- */

struct locking {
	struct store	*s;
	int		 tries;
	bool		 slow;
};

/* Wait for the next attempt; false when there is none left. */
static bool
lock_again(struct locking *l)
{
	if (++l->tries >= l->s->opt.lock_attempts)
		return false;
	if (!l->slow)
		store_slow(l->s);
	l->slow = true;
	store_wait(l->s, l->s->opt.lock_delay_ms);
	return true;
}

struct mbox {
	struct store			*s;
	const struct store_place	*p;
	char				*path;	/* for messages */
	int				 dir;
	int				 fd;
	char				*name, *lock;
	bool				 locked;	/* dotlock is ours */
	struct locking			 locking;
	struct stat			 st;
};

static int
become(struct mbox *b, uid_t uid, gid_t gid, struct why *why)
{
	struct store *s = b->s;

	if (s->opt.become == NULL)
		return 0;
	if (s->opt.become(s->opt.arg, uid, gid) < 0)
		return why_errno(why, "4.3.0", "cannot become user %u",
		    (unsigned)uid);
	return 0;
}

static int
open_dir(struct mbox *b, struct why *why)
{
	const char *slash = strrchr(b->p->path, '/');
	char *dir;
	int base;

	b->name = mem_strdup(slash ? slash + 1 : b->p->path);
	b->lock = mem_printf("%s.lock", b->name);
	dir = slash ? mem_strndup(b->p->path, (size_t)(slash - b->p->path)) :
	    mem_strdup(".");
	if ((base = path_open_base(b->p, why)) < 0) {
		mem_free(dir);
		return -1;
	}
	b->dir = path_make_beneath(base, dir, 0700);
	close(base);
	mem_free(dir);
	return b->dir < 0 ? store_fail(why, "cannot open mailbox", b->path) : 0;
}

static int
open_file(struct mbox *b, struct why *why)
{
	const struct store_place *p = b->p;
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	struct stat now;

	for (int turn = 0; turn < 10; turn++) {
		b->fd = openat(b->dir, b->name, flags);
		if (b->fd < 0 && errno == EACCES && p->flags & STORE_DEVICE)
			b->fd = openat(b->dir, b->name,
			    (flags & ~O_ACCMODE) | O_WRONLY);
		if (b->fd < 0 && errno == ENOENT) {
			b->fd = fault_openat(b->dir, b->name,
			    flags | O_CREAT | O_EXCL, 0600);
			if (b->fd < 0 && errno == EEXIST)
				continue;
			if (b->fd >= 0 && p->make_uid != p->uid &&
			    fchown(b->fd, p->uid, (gid_t)-1) < 0) {
				(void)store_fail(why, "cannot give away",
				    b->path);
				(void)unlinkat(b->dir, b->name, 0);
				return -1;
			}
		}
		if (b->fd < 0)
			return store_fail(why, "cannot open mailbox", b->path);
		if (fstat(b->fd, &b->st) < 0)
			return store_fail(why, "cannot open mailbox", b->path);
		if (p->flags & STORE_DEVICE && S_ISCHR(b->st.st_mode))
			return 0;
		if (!S_ISREG(b->st.st_mode))
			return why_set(why, "4.2.0",
			    "%s is not a regular file", b->path);
		if (b->st.st_nlink > 1)
			return why_set(why, "4.2.0",
			    "%s has more than one link", b->path);
		if (p->flags & STORE_STRICT_OWNER && b->st.st_uid != p->uid)
			return why_set(why, "4.2.0",
			    "%s is not owned by its recipient (uid %u)",
			    b->path, (unsigned)p->uid);
		while (mbox_lock_file(b->fd, p->flags) < 0) {
			if (errno != EAGAIN && errno != EACCES &&
			    errno != EWOULDBLOCK)
				return store_fail(why, "cannot lock", b->path);
			if (!lock_again(&b->locking))
				return why_set(why, "4.2.0",
				    "cannot lock %s: in use", b->path);
		}
		/* While we waited, a mail program may have put a new file in
		 * its place. */
		if (fstat(b->fd, &b->st) == 0 && fstatat(b->dir, b->name, &now,
		    AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == b->st.st_ino &&
		    now.st_dev == b->st.st_dev)
			return 0;
		fd_close(&b->fd);
	}
	return why_set(why, "4.2.0", "%s does not hold still", b->path);
}

/* The next piece of what we write after the From_ line. */
static int
next_piece(const struct store_message *m, uint64_t *at,
    struct mbox_quoter *q, struct buf *out, struct why *why)
{
	uint64_t total = m->head.len + m->content->len;
	struct span piece;

	buf_reset(out);
	if (*at == 0) {
		mbox_quote(q, m->head, out);
		*at = m->head.len;
	}
	if (*at < total) {
		if (store_content_read(m->content, *at - m->head.len, &piece,
		    why) < 0)
			return -1;
		mbox_quote(q, piece, out);
		*at += piece.len;
	}
	if (*at >= total)
		mbox_quote_end(q, out);
	return 0;
}

/*
 * Is this message in the mailbox?  Our header lines, exactly, at the start of
 * a message whose header names the queue id; then either all bytes are the
 * same, or a mail program has changed the header since (Status: and the
 * like) and the message is at least as long as it was.  1, 0, -1.
 */
static int
look_for(struct mbox *b, const struct store_message *m, int64_t size,
    struct why *why)
{
	struct buf win = BUF_INIT(BUF_UNLIMITED), want = BUF_INIT(BUF_UNLIMITED),
	    got = BUF_INIT(BUF_UNLIMITED);
	int64_t at = 0;
	int rc = 0;
	char *p;

	if (m->head.len == 0 || m->head.len > TAIL_STEP / 4)
		goto out;
	while (rc == 0 && at < size) {
		size_t n = (size_t)MIN(size - at, (int64_t)TAIL_STEP);
		struct span in;
		ptrdiff_t hit;

		buf_reset(&win);
		p = buf_reserve(&win, n);
		if (fd_pread_all(b->fd, p, n, (off_t)at) < 0)
			goto fail;
		in = span_make(p, n);
		while ((hit = span_search(in, m->head)) >= 0) {
			int64_t head = at + (in.p - p) + hit, pos = head;
			struct mbox_quoter q = { 0 };
			uint64_t done = 0, total = m->head.len +
			    m->content->len, len = 0;
			bool same = true, named = false;

			/* All the bytes? */
			do {
				if (next_piece(m, &done, &q, &want, why) < 0)
					goto bad;
				buf_reset(&got);
				char *g = buf_reserve(&got, want.len);
				len += want.len;
				if (pos + (int64_t)want.len > size)
					same = false;
				else if (same && fd_pread_all(b->fd, g,
				    want.len, (off_t)pos) < 0)
					goto fail;
				else if (same)
					same = memcmp(g, want.data,
					    want.len) == 0;
				pos += (int64_t)want.len;
			} while (done < total);
			if (same) {
				rc = 1;
				goto out;
			}
			/* Its header, up to 64 KiB: does it name our id? */
			buf_reset(&got);
			size_t hn = (size_t)MIN(size - head, 65536);
			char *g = buf_reserve(&got, hn);
			if (fd_pread_all(b->fd, g, hn, (off_t)head) < 0)
				goto fail;
			struct span hs = span_make(g, hn);
			ptrdiff_t blank = span_search(hs, SPAN("\n\n"));
			if (blank > 0)
				hs.len = (size_t)blank;
			named = m->queue_id.len > 0 &&
			    span_search(hs, m->queue_id) >= 0;
			if (named && head + (int64_t)len <= size) {
				rc = 1;
				goto out;
			}
			in = span_from(in, (size_t)hit + 1);
		}
		if (at + (int64_t)n >= size)
			break;
		at += (int64_t)(n - m->head.len);
	}
	goto out;
fail:
	(void)store_fail(why, "cannot read", b->path);
bad:
	rc = -1;
out:
	buf_fini(&win);
	buf_fini(&want);
	buf_fini(&got);
	return rc;
}

static int
append(struct mbox *b, const struct store_message *m, struct why *why)
{
	struct store *s = b->s;
	struct mbox_quoter q = { 0 };
	struct buf *out = &s->scratch, line = BUF_INIT(BUF_UNLIMITED),
	    piece = BUF_INIT(BUF_UNLIMITED);
	int64_t size = (int64_t)b->st.st_size, end, start, pos;
	uint64_t at = 0, total = m->head.len + m->content->len;
	bool readable = (fcntl(b->fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
	int rc = -1;
	char last[2] = { '\n', '\n' };

	buf_reset(out);
	if (size > 0 && readable) {
		end = find_end(b->fd, size, out);
		if (end < 0) {
			(void)store_fail(why, "cannot read", b->path);
			goto out;
		}
		if (end < size) {
			log_warning("%s: cutting off %lld bytes of a delivery "
			    "that was not finished", b->path,
			    (long long)(size - end));
			if (fault_ftruncate(b->fd, (off_t)end) < 0) {
				(void)store_fail(why, "cannot cut", b->path);
				goto out;
			}
			size = end;
		}
		if (size >= 2 && fd_pread_all(b->fd, last, 2,
		    (off_t)(size - 2)) < 0) {
			(void)store_fail(why, "cannot read", b->path);
			goto out;
		}
	}
	if ((m->again || (s->opt.stale != NULL && s->opt.stale(s->opt.arg))) &&
	    readable) {
		rc = look_for(b, m, size, why);
		if (rc != 0)
			goto out;
		rc = -1;
	}
	if (b->p->size_limit != PARAM_UNLIMITED &&
	    (uint64_t)size + total > (uint64_t)b->p->size_limit) {
		(void)why_set(why,
		    total > (uint64_t)b->p->size_limit ? "5.2.2" : "4.2.2",
		    "mailbox %s is full: its limit is %lld bytes", b->path,
		    (long long)b->p->size_limit);
		goto out;
	}
	/* A mailbox that does not end in an empty line gets one. */
	pos = size;
	buf_reset(out);
	if (last[1] != '\n')
		buf_add_str(out, "\n\n");
	else if (last[0] != '\n')
		buf_add_char(out, '\n');
	start = size + (int64_t)out->len;
	mbox_from_line(&line, m->sender, clock_wall_us());
	line.data[0] = '\0';		/* not a From_ line yet */
	buf_add_span(out, buf_span(&line));
	do {
		if (next_piece(m, &at, &q, &piece, why) < 0)
			goto undo;
		buf_add_span(out, buf_span(&piece));
		if (fd_pwrite_all(b->fd, out->data, out->len, (off_t)pos) < 0) {
			(void)store_fail(why, "cannot write to", b->path);
			goto undo;
		}
		pos += (int64_t)out->len;
		buf_reset(out);
	} while (at < total);
	if (fd_pwrite_all(b->fd, "F", 1, (off_t)start) < 0) {
		(void)store_fail(why, "cannot write to", b->path);
		goto undo;
	}
	rc = 0;
	goto out;
undo:
	/* If even this fails the mark is still a NUL: the next writer cuts. */
	if (fault_ftruncate(b->fd, (off_t)size) < 0)
		log_warning("%s: cannot cut off a failed delivery: %s",
		    b->path, strerror(errno));
out:
	buf_fini(&line);
	buf_fini(&piece);
	return rc;
}

/* /dev/null, a terminal: what we write is gone anyway. */
static int
write_device(struct mbox *b, const struct store_message *m, struct why *why)
{
	struct mbox_quoter q = { 0 };
	struct buf *out = &b->s->scratch;
	uint64_t at = 0, total = m->head.len + m->content->len;

	do {
		if (next_piece(m, &at, &q, out, why) < 0)
			return -1;
		if (fd_write_all(b->fd, out->data, out->len) < 0)
			return store_fail(why, "cannot write to", b->path);
	} while (at < total);
	return 0;
}

int
mbox_deliver(struct store *s, const struct store_place *p,
    const struct store_message *m, struct why *why)
{
	struct mbox b = { .s = s, .p = p, .dir = -1, .fd = -1,
	    .locking = { .s = s } };
	struct store_fs *fs;
	struct stat ds;
	int rc = -1;

	b.path = mem_printf("%s%s%s", p->base,
	    span_ends(span_of(p->base), SPAN("/")) ? "" : "/", p->path);
	if (become(&b, p->make_uid, p->make_gid, why) < 0 ||
	    open_dir(&b, why) < 0)
		goto out;
	if (p->flags & STORE_LOCK_DOTLOCK) {
		int got;

		while ((got = mbox_dotlock(s, b.dir, b.lock)) == 0) {
			if (!lock_again(&b.locking)) {
				(void)why_set(why, "4.2.0",
				    "cannot lock %s: %s exists", b.path,
				    b.lock);
				goto out;
			}
		}
		/* Where we may not make files nobody else of our rights can;
		 * the other kind of lock has to do. */
		b.locked = got > 0;
		if (!b.locked && errno != EACCES && errno != EPERM &&
		    errno != EROFS) {
			(void)store_fail(why, "cannot make the lock file of",
			    b.path);
			goto out;
		}
	}
	if (open_file(&b, why) < 0)
		goto out;
	if (become(&b, p->write_uid, p->write_gid, why) < 0)
		goto out;
	if (S_ISCHR(b.st.st_mode)) {
		rc = write_device(&b, m, why);
		goto out;
	}
	/* Before the first write, so that its errors are reported there. */
	if (fstat(b.dir, &ds) < 0 || ds.st_dev != b.st.st_dev) {
		(void)why_set(why, "4.3.5", "mailbox %s is a mount point",
		    b.path);
		goto out;
	}
	if ((fs = store_fs_of(s, b.dir, ds.st_dev)) == NULL) {
		(void)store_fail(why, "cannot open mailbox", b.path);
		goto out;
	}
	rc = append(&b, m, why);
	if (rc >= 0)
		store_touch_fs(s, fs);
out:
	/* Written errors of a network file system come with close. */
	if (b.fd >= 0 && close(b.fd) < 0 && rc == 0)
		rc = store_fail(why, "cannot write to", b.path);
	if (b.locked) {
		struct why ignored = WHY_INIT;

		if (become(&b, p->make_uid, p->make_gid, &ignored) < 0 ||
		    unlinkat(b.dir, b.lock, 0) < 0)
			log_warning("cannot remove the lock file of %s: %s",
			    b.path, strerror(errno));
	}
	fd_close(&b.dir);
	mem_free(b.name);
	mem_free(b.lock);
	mem_free(b.path);
	return rc;
}

/* --- reading ------------------------------------------------------------------- */

int
mbox_box_load(struct store_box *b, struct why *why)
{
	struct buf all = BUF_INIT(BUF_UNLIMITED);
	struct stat st;
	struct span in, line;
	uint64_t at = 0;
	struct box_item *it = NULL;
	bool blank = true;

	if (fstat(b->dirfd, &st) < 0 || !S_ISREG(st.st_mode))
		return store_fail(why, "cannot read", b->path);
	char *p = buf_reserve(&all, (size_t)st.st_size);
	if (fd_pread_all(b->dirfd, p, (size_t)st.st_size, 0) < 0) {
		buf_fini(&all);
		return store_fail(why, "cannot read", b->path);
	}
	in = span_make(p, (size_t)st.st_size);
	while (in.len > 0) {
		size_t before = in.len;
		uint64_t next;

		if (!span_line(&in, &line))
			break;
		next = at + (before - in.len);
		int k = blank ? mbox_start_at(line.p, line.len) : 0;
		if (k != 0) {
			if (it != NULL)
				it->len = at - it->offset;
			it = NULL;
		}
		if (k == 2) {
			it = ARRAY_PUSH(&b->items);
			it->offset = next;
			it->item.uid = (uint32_t)b->items.len;
		}
		blank = line.len == 0;
		at = next;
	}
	if (it != NULL)
		it->len = at - it->offset;
	for (size_t i = 0; i < b->items.len; i++) {
		it = &b->items.v[i];
		/* Without the empty line that ends it. */
		if (it->len > 0 && p[it->offset + it->len - 1] == '\n')
			it->len--;
		it->item.size = it->len;
	}
	b->uidnext = (uint32_t)b->items.len + 1;
	buf_fini(&all);
	return 0;
}

int
mbox_box_read(struct store_box *b, const struct box_item *it, struct buf *out,
    struct why *why)
{
	char *p = buf_reserve(out, (size_t)it->len);

	if (p == NULL || fd_pread_all(b->dirfd, p, (size_t)it->len,
	    (off_t)it->offset) < 0)
		return store_fail(why, "cannot read", b->path);
	buf_commit(out, (size_t)it->len);
	return 0;
}
