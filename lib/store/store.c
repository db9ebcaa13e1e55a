/* SPDX-License-Identifier: ISC */
/*
 * store - mailboxes that are kept open, and the file systems they lie on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/store_internal.h"

#define FS_MAX		256	/* file systems; more is a broken set-up */

/*
 * A file system that we wrote to.  fd stays open from before the first write
 * to the end: syncfs() reports the write-back errors since its descriptor was
 * opened, so a fresh one each time would miss them.
 */
struct store_fs {
	dev_t	dev;
	int	fd;
	bool	dirty;
};

struct store_sync {
	size_t	n;
	int	fds[];
};

/* --- contents ---------------------------------------------------------------- */

void
store_content_init(struct store_content *c, int fd, uint64_t offset,
    uint64_t len)
{
	*c = (struct store_content){
		.fd = fd, .offset = offset, .len = len,
		.gap = STORE_HEAD_GAP, .cache = BUF_INIT(STORE_HEAD_GAP +
		    FD_PAGE + STORE_CONTENT_CACHE),
	};
}

void
store_content_of(struct store_content *c, struct span bytes)
{
	char *p;

	store_content_init(c, -1, 0, bytes.len);
	p = buf_reserve(&c->cache, STORE_HEAD_GAP + FD_PAGE + bytes.len);
	if (p == NULL)
		log_panic("store_content_of: %zu bytes", bytes.len);
	memcpy(p + STORE_HEAD_GAP, bytes.p, bytes.len);
	buf_commit(&c->cache, STORE_HEAD_GAP + bytes.len);
	c->cached = true;
}

void
store_content_fini(struct store_content *c)
{
	buf_fini(&c->cache);
	c->cached = false;
}

/* Where the content begins in the buffer, which has room for all. */
static void
set_gap(struct store_content *c)
{
	uintptr_t p = (uintptr_t)c->cache.data + STORE_HEAD_GAP;

	c->gap = STORE_HEAD_GAP + ((c->align - p) & (FD_PAGE - 1));
}

static int
read_piece(struct store_content *c, uint64_t at, size_t want,
    struct span *out, struct why *why)
{
	char *p;

	buf_reset(&c->cache);
	p = buf_reserve(&c->cache, STORE_HEAD_GAP + FD_PAGE + want);
	if (p == NULL || c->offset > INT64_MAX - at)
		return why_set(why, "4.3.0", "bad place of a queued message");
	set_gap(c);
	if (fd_pread_all(c->fd, p + c->gap, want,
	    (off_t)(c->offset + at)) < 0) {
		if (errno == EPIPE)
			return why_set(why, "4.3.0", "the queued message is "
			    "shorter than it should be");
		return why_errno(why, "4.3.0", "cannot read the queued message");
	}
	buf_commit(&c->cache, c->gap + want);
	*out = span_from(buf_span(&c->cache), c->gap);
	return 0;
}

int
store_content_read(struct store_content *c, uint64_t at, struct span *out,
    struct why *why)
{
	size_t want;

	if (at >= c->len) {
		*out = SPAN_EMPTY;
		return 0;
	}
	if (c->cached) {
		*out = span_from(buf_span(&c->cache), c->gap + (size_t)at);
		return 0;
	}
	if (c->len <= STORE_CONTENT_CACHE)
		at = 0, want = (size_t)c->len;
	else
		want = (size_t)MIN(c->len - at, STORE_CONTENT_CACHE);
	if (read_piece(c, at, want, out, why) < 0)
		return -1;
	c->cached = c->len <= STORE_CONTENT_CACHE;
	return 0;
}

int
store_content_peek(struct store_content *c, size_t n, struct span *out,
    struct why *why)
{
	if (c->cached || c->len <= n)
		return store_content_read(c, 0, out, why);
	return read_piece(c, 0, MIN(n, (size_t)STORE_CONTENT_CACHE), out,
	    why);
}

void
store_content_align(struct store_content *c, uint64_t at)
{
	size_t was = c->gap;

	c->align = at;
	if (!c->cached || c->len < STORE_OUT_MIN)
		return;
	set_gap(c);
	if (c->gap == was)
		return;
	memmove(c->cache.data + c->gap, c->cache.data + was, (size_t)c->len);
	buf_reset(&c->cache);
	buf_commit(&c->cache, c->gap + (size_t)c->len);
}

bool
store_content_whole(struct store_content *c, struct span head,
    struct span *out)
{
	char *p;

	if (c->len == 0) {
		*out = head;
		return true;
	}
	if (!c->cached || head.len > STORE_HEAD_GAP)
		return false;
	p = c->cache.data + c->gap - head.len;
	if (head.len > 0)
		memcpy(p, head.p, head.len);
	*out = span_make(p, head.len + (size_t)c->len);
	return true;
}

/* --- life ---------------------------------------------------------------------- */

struct store *
store_new(const struct store_options *o)
{
	struct store *s = mem_zalloc(sizeof(*s));
	struct buf host = BUF_INIT(BUF_UNLIMITED);

	s->opt = *o;
	if (s->opt.open_max == 0)
		s->opt.open_max = 1;
	/* As the Maildir convention asks: no '/' and no ':' in file names. */
	for (const char *p = o->hostname ? o->hostname : "localhost"; *p; p++) {
		if (host.len >= 64)
			break;
		if (*p == '/')
			buf_add_str(&host, "\\057");
		else if (*p == ':')
			buf_add_str(&host, "\\072");
		else if ((unsigned char)*p > ' ' && *p != ',')
			buf_add_char(&host, *p);
	}
	s->hostname = buf_take(&host);
	s->opt.hostname = s->hostname;
	s->scratch = s->cache = s->small = BUF_INIT(BUF_UNLIMITED);
	list_init(&s->lru);
	packed_epoch_get(&s->epoch);
	return s;
}

static void
handle_free(struct store *s, struct handle *h)
{
	if (s->locked == h)
		store_settle(s);
	list_remove(&h->lru);
	if (h->key.p != NULL) {
		(void)hash_del(&s->open, h->key);
		s->nopen--;
	}
	if (h->format == STORE_MAILDIR)
		maildir_close(h);
	else if (h->format == STORE_PACKED)
		packed_close(&h->pk);
	mem_free(h->path);
	mem_free(h);
}

void
store_close_all(struct store *s)
{
	LIST_FOREACH(l, &s->lru)
		handle_free(s, LIST_ENTRY(l, struct handle, lru));
}

void
store_free(struct store **sp)
{
	struct store *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	store_close_all(s);
	hash_fini(&s->open, NULL);
	for (size_t i = 0; i < s->fss.len; i++) {
		fd_close(&s->fss.v[i]->fd);
		mem_free(s->fss.v[i]);
	}
	ARRAY_FINI(&s->fss);
	buf_fini(&s->scratch);
	buf_fini(&s->small);
	buf_fini(&s->cache);
	mem_free(s->hostname);
	mem_free(s);
}

/* --- file systems ------------------------------------------------------------- */

struct store_fs *
store_fs_of(struct store *s, int fd, dev_t dev)
{
	struct store_fs *f;

	for (size_t i = 0; i < s->fss.len; i++) {
		if (s->fss.v[i]->dev == dev)
			return s->fss.v[i];
	}
	if (s->fss.len >= FS_MAX)
		log_fatal("mailboxes on more than %d file systems", FS_MAX);
	f = mem_zalloc(sizeof(*f));
	f->dev = dev;
	/* O_PATH descriptors cannot be synced: open for reading. */
	f->fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0) {
		mem_free(f);
		return NULL;
	}
	*ARRAY_PUSH(&s->fss) = f;
	return f;
}

void
store_touch_fs(struct store *s, struct store_fs *fs)
{
	fs->dirty = true;
	s->dirty = true;
}

void
store_touch(struct store *s, int fd)
{
	struct stat st;
	struct store_fs *f;

	if (fstat(fd, &st) == 0 && (f = store_fs_of(s, fd, st.st_dev)) != NULL)
		store_touch_fs(s, f);
}

bool
store_dirty(const struct store *s)
{
	return s->dirty;
}

struct store_sync *
store_sync_begin(struct store *s)
{
	struct store_sync *y;

	y = mem_zalloc(sizeof(*y) + s->fss.len * sizeof(y->fds[0]));
	for (size_t i = 0; i < s->fss.len; i++) {
		if (!s->fss.v[i]->dirty)
			continue;
		/* Ours for the life of the store, so that no dup is needed. */
		y->fds[y->n++] = s->fss.v[i]->fd;
		s->fss.v[i]->dirty = false;
	}
	s->dirty = false;
	digest_sync_begins(s);
	return y;
}

int
store_sync_run(struct store_sync *y, struct why *why)
{
	for (size_t i = 0; i < y->n; i++) {
		if (fault_syncfs(y->fds[i]) < 0)
			return why_errno(why, "4.3.0", "cannot sync mailboxes");
	}
	return 0;
}

void
store_sync_free(struct store_sync **y)
{
	mem_free(*y);
	*y = NULL;
}

/* --- waiting ------------------------------------------------------------------- */

void
store_slow(struct store *s)
{
	if (s->opt.slow != NULL)
		s->opt.slow(s->opt.arg);
}

void
store_wait(struct store *s, int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	if (s->opt.wait != NULL) {
		s->opt.wait(s->opt.arg, ms);
		return;
	}
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* --- delivering ---------------------------------------------------------------- */

/* A directory that is there already says what it is. */
enum store_format
store_detect(int dirfd, enum store_format fallback)
{
	struct stat st;

	if (fstatat(dirfd, PACKED_INBOX, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return STORE_PACKED;
	if (fstatat(dirfd, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		return STORE_MAILDIR;
	return fallback;
}

static struct handle *
handle_open(struct store *s, const struct store_place *p, struct span key,
    struct why *why)
{
	struct handle *h;
	struct stat st;
	int base, dir, rc;

	if ((base = path_open_base(p, why)) < 0)
		return NULL;
	dir = path_make_beneath(base, p->path, 0700);
	close(base);
	if (dir < 0 || fstat(dir, &st) < 0) {
		char *full = mem_printf("%s/%s", p->base, p->path);

		(void)store_fail(why, "cannot open mailbox", full);
		mem_free(full);
		fd_close(&dir);
		return NULL;
	}
	h = mem_zalloc(sizeof(*h));
	h->path = mem_printf("%s/%s", p->base, p->path);
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	h->format = p->flags & STORE_DETECT ? store_detect(dir, p->format) :
	    p->format;
	h->md.tmp = h->md.new = h->md.cur = -1;
	if (p->flags & STORE_STRICT_OWNER && st.st_uid != p->uid &&
	    st.st_uid != 0) {
		rc = why_set(why, "4.2.0",
		    "mailbox %s is not owned by its recipient (uid %u)",
		    h->path, (unsigned)p->uid);
	} else if ((h->fs = store_fs_of(s, dir, st.st_dev)) == NULL) {
		rc = store_fail(why, "cannot open mailbox", h->path);
	} else if (h->format == STORE_MAILDIR) {
		rc = maildir_open(s, h, p, dir, why);
	} else {
		h->md.tmp = 0;		/* the union now holds pk */
		h->pk = packed_open(dir, h->path, p->folder != NULL ?
		    deliver_folder(dir, h->path, p->folder) : PACKED_INBOX_BOX, &s->epoch,
		    PACKED_WRITE | PACKED_CREATE, 0, why);
		rc = h->pk == NULL ? -1 : 0;
	}
	close(dir);
	if (rc < 0) {
		if (h->format == STORE_MAILDIR)
			maildir_close(h);
		mem_free(h->path);
		mem_free(h);
		return NULL;
	}
	while (s->nopen >= s->opt.open_max) {
		handle_free(s, LIST_ENTRY(s->lru.prev, struct handle, lru));
	}
	struct hash_entry *e = hash_enter(&s->open, key, NULL);
	e->value = h;
	h->key = e->key;
	s->nopen++;
	list_prepend(&s->lru, &h->lru);
	return h;
}

/*
 * Whether the path still leads to the directory that we have open: a mailbox
 * that was moved away is no place for the next message.  Those of one batch
 * are in time with each other.
 */
static bool
handle_current(const struct store *s, const struct handle *h)
{
	struct stat st;

	if (s->locked == h)
		return true;
	return stat(h->path, &st) == 0 && st.st_dev == h->dev &&
	    st.st_ino == h->ino;
}

int
store_deliver(struct store *s, const struct store_place *p,
    const struct store_message *m, struct why *why)
{
	char id[96];
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct handle *h;
	int rc = -1;

	if (p->format == STORE_MBOX) {
		store_settle(s);
		return mbox_deliver(s, p, m, why);
	}
	snprintf(id, sizeof(id), "%d %u %u %u ", p->format, p->flags,
	    (unsigned)p->uid, (unsigned)p->gid);
	buf_add_str(&key, id);
	buf_add_str(&key, p->base);
	buf_add_char(&key, '/');
	buf_add_str(&key, p->path);
	if (p->folder != NULL) {
		buf_add_char(&key, '\0');
		buf_add_str(&key, p->folder);
	}
	for (int turn = 0; turn < 3; turn++) {
		h = hash_get(&s->open, buf_span(&key));
		if (h != NULL && !handle_current(s, h)) {
			handle_free(s, h);
			h = NULL;
		}
		if (h == NULL) {
			h = handle_open(s, p, buf_span(&key), why);
			if (h == NULL)
				break;
		} else if (s->lru.next != &h->lru) {
			list_remove(&h->lru);
			list_prepend(&s->lru, &h->lru);
		}
		/*
		 * One lock at a time: two workers that each held one and
		 * waited for the other's would wait for ever.
		 */
		if (s->locked != h)
			store_settle(s);
		h->limits = p->quota;
		h->own_quota = p->own_quota;
		rc = h->format == STORE_MAILDIR ?
		    maildir_deliver(s, h, m, why) :
		    packed_deliver(s, h, m, why);
		if (rc >= 0) {
			/* Also what was there already may not be durable. */
			store_touch_fs(s, h->fs);
			if (rc == 0 && h->format == STORE_PACKED &&
			    s->opt.parse)
				h->fresh++;
			if (rc == 0 && h->warn > 0)
				deliver_warn(s, h, p, m);
			break;
		}
		/*
		 * After a failure nothing that we remember of the mailbox is
		 * to be trusted; the next delivery reads the disk.
		 */
		handle_free(s, h);
		if (rc != -2)
			break;
		rc = why_set(why, "4.2.0", "mailbox %s/%s is being removed",
		    p->base, p->path);
	}
	buf_fini(&key);
	return rc;
}

void
store_settle(struct store *s)
{
	if (s->locked != NULL) {
		struct handle *h = s->locked;

		s->locked = NULL;
		packed_unlock(h->pk);
	}
}

/* --- reading ------------------------------------------------------------------- */

struct store_box *
store_box_open(const struct store_place *p, struct why *why)
{
	struct store_box *b = mem_zalloc(sizeof(*b));
	int base, rc;

	b->dirfd = -1;
	b->format = p->format;
	b->path = mem_printf("%s/%s", p->base, p->path);
	if ((base = path_open_base(p, why)) < 0) {
		rc = -1;
	} else {
		b->dirfd = path_open_beneath(base, p->path,
		    p->format == STORE_MBOX ? O_RDONLY | O_NONBLOCK :
		    O_RDONLY | O_DIRECTORY, 0);
		close(base);
		if (b->dirfd < 0)
			rc = store_fail(why, "cannot open mailbox", b->path);
		else if (p->format == STORE_MBOX)
			rc = mbox_box_load(b, why);
		else {
			if (p->flags & STORE_DETECT)
				b->format = store_detect(b->dirfd, p->format);
			rc = b->format == STORE_MAILDIR ?
			    maildir_box_load(b, why) :
			    packed_box_load(b, why);
		}
	}
	if (rc < 0)
		store_box_close(&b);
	return b;
}

void
store_box_close(struct store_box **bp)
{
	struct store_box *b = *bp;

	if (b == NULL)
		return;
	*bp = NULL;
	for (size_t i = 0; i < b->items.len; i++) {
		mem_free(b->items.v[i].name);
		mem_free(b->items.v[i].qid);
		mem_free(b->items.v[i].rcpt);
	}
	ARRAY_FINI(&b->items);
	fd_close(&b->dirfd);
	mem_free(b->path);
	mem_free(b);
}

size_t
store_box_count(const struct store_box *b)
{
	return b->items.len;
}

const struct store_item *
store_box_item(const struct store_box *b, size_t i)
{
	struct box_item *it;

	if (i >= b->items.len)
		return NULL;
	it = &b->items.v[i];
	it->item.queue_id = it->qid != NULL ? it->qid : "";
	it->item.rcpt = it->rcpt != NULL ? it->rcpt : "";
	return &it->item;
}

int
store_box_read(struct store_box *b, size_t i, struct buf *out,
    struct why *why)
{
	if (i >= b->items.len)
		return why_set(why, "5.1.0", "no message number %zu", i + 1);
	switch (b->format) {
	case STORE_MAILDIR:
		return maildir_box_read(b, &b->items.v[i], out, why);
	case STORE_MBOX:
		return mbox_box_read(b, &b->items.v[i], out, why);
	default:
		return packed_box_read(b, &b->items.v[i], out, why);
	}
}

uint32_t
store_box_uidvalidity(const struct store_box *b)
{
	return b->uidvalidity;
}

uint32_t
store_box_uidnext(const struct store_box *b)
{
	return b->uidnext;
}
