/* SPDX-License-Identifier: ISC */
/*
 * maildir - one file a message, shared with any program that reads Maildir.
 *
 * A message is written to tmp/ and renamed into new/ when it is whole.  The
 * name is made from the delivery's identity only
 *
 *	<arrival, s>.<queue id>.R<recipient>.<host>,S=<size>
 *
 * so a second attempt finds what the first one left: in new/ by the name, in
 * cur/ by what stands before the ','.  <recipient> is 16 hexadecimal digits
 * made from the address; two addresses of one message with the same digits
 * would have to be chosen so by its sender, who then gets one copy instead
 * of two into a mailbox that both lead to.
 *
 * rename() makes the name durable only with the next sync of the file system,
 * and some file systems write the name before the bytes: after a power cut a
 * short or empty file may have its final name.  So a repeated attempt
 * compares the bytes too, and replaces the file where they differ.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/store_internal.h"

void
maildir_name(const struct store *s, const struct store_message *m,
    char out[MAILDIR_NAME_MAX + 1])
{
	char id[64];
	uint32_t a = 0, b = 0x9e3779b9;

	for (size_t i = 0; i < m->rcpt.len; i++) {
		char c = m->rcpt.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		a = crc32c(a, &c, 1);
		b = (b ^ (unsigned char)c) * 16777619u;
	}
	/* A queue id is letters and digits; whatever else comes is made so. */
	size_t n = 0;
	for (size_t i = 0; i < m->queue_id.len && n < sizeof(id) - 1; i++) {
		char c = m->queue_id.p[i];

		id[n++] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') ? c : '_';
	}
	id[n] = '\0';
	snprintf(out, MAILDIR_NAME_MAX + 1, "%lld.%s.R%08x%08x.%s",
	    (long long)(m->arrival_us / 1000000), id, a, b, s->hostname);
}

static int
open_part(int dirfd, const char *name)
{
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if (fault_mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
			return -1;
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
	}
	return fd;
}

int
maildir_open(struct store *s, struct handle *h, const struct store_place *p,
    int dirfd, struct why *why)
{
	h->md.tmp = h->md.new = h->md.cur = -1;
	/* cur first: a reader takes a directory with new but without cur for
	 * something else. */
	if ((h->md.cur = open_part(dirfd, "cur")) < 0 ||
	    (h->md.new = open_part(dirfd, "new")) < 0 ||
	    (h->md.tmp = open_part(dirfd, "tmp")) < 0)
		return store_fail(why, "cannot make maildir", h->path);
	return 0;
}

void
maildir_close(struct handle *h)
{
	fd_close(&h->md.tmp);
	fd_close(&h->md.new);
	fd_close(&h->md.cur);
	hash_fini(&h->md.seen, mem_free);
}

/* What cur/ holds: base name (before the ',' or ':') -> file name. */
static int
scan_cur(struct handle *h, struct why *why)
{
	struct stat st;
	struct dirent *e;
	DIR *d;
	int fd;

	if (fstat(h->md.cur, &st) < 0)
		return store_fail(why, "cannot read", h->path);
	if (h->md.have_seen && st.st_mtim.tv_sec == h->md.seen_at.tv_sec &&
	    st.st_mtim.tv_nsec == h->md.seen_at.tv_nsec)
		return 0;
	hash_fini(&h->md.seen, mem_free);
	h->md.have_seen = false;
	fd = openat(h->md.cur, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return store_fail(why, "cannot read", h->path);
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		size_t n = strcspn(e->d_name, ",:");

		mem_free(hash_put(&h->md.seen, span_make(e->d_name, n),
		    mem_strdup(e->d_name)));
	}
	int err = errno;
	closedir(d);
	if (err != 0) {
		errno = err;
		return store_fail(why, "cannot read", h->path);
	}
	h->md.have_seen = true;
	h->md.seen_at = st.st_mtim;
	return 0;
}

/* Whether the file holds just this message: 1, 0, -1. */
static int
same_bytes(int fd, const struct store_message *m, struct why *why)
{
	struct buf got = BUF_INIT(STORE_CONTENT_CACHE + 1);
	struct stat st;
	uint64_t at = 0, total = m->head.len + m->content->len;
	int rc = 1;

	if (fstat(fd, &st) < 0)
		return why_errno(why, "4.3.0", "cannot read the mailbox");
	if ((uint64_t)st.st_size != total)
		return 0;
	while (at < total) {
		struct span want;
		char *p;

		if (at < m->head.len)
			want = span_from(m->head, (size_t)at);
		else if (store_content_read(m->content, at - m->head.len,
		    &want, why) < 0) {
			rc = -1;
			break;
		}
		want = span_sub(want, 0, STORE_CONTENT_CACHE);
		buf_reset(&got);
		p = buf_reserve(&got, want.len);
		if (p == NULL || fd_pread_all(fd, p, want.len, (off_t)at) < 0) {
			rc = errno == EPIPE ? 0 : why_errno(why, "4.3.0",
			    "cannot read the mailbox");
			break;
		}
		if (memcmp(p, want.p, want.len) != 0) {
			rc = 0;
			break;
		}
		at += want.len;
	}
	buf_fini(&got);
	return rc;
}

/* 1 it is there and whole, 0 write it; the directory and name to replace, if
 * any, in *where and name. */
static int
look_for(struct handle *h, const struct store_message *m, const char *base,
    int *where, char *name, struct why *why)
{
	const char *found;
	int fd, rc;

	*where = h->md.new;
	fd = openat(h->md.new, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if (scan_cur(h, why) < 0)
			return -1;
		found = hash_get(&h->md.seen, span_of(base));
		if (found == NULL)
			return 0;
		*where = h->md.cur;
		if (span_copy(span_of(found), name, MAILDIR_NAME_MAX + 1) < 0)
			return 0;
		fd = openat(h->md.cur, name, O_RDONLY | O_NOFOLLOW |
		    O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			return 1;	/* read and deleted just now */
	}
	if (fd < 0)
		return store_fail(why, "cannot read", h->path);
	rc = same_bytes(fd, m, why);
	close(fd);
	if (rc == 0)
		log_warning("%.*s: %s: %s is not as it was delivered: "
		    "replacing it", SPAN_ARG(m->queue_id), h->path, name);
	return rc;
}

int
maildir_deliver(struct store *s, struct handle *h,
    const struct store_message *m, struct why *why)
{
	char base[MAILDIR_NAME_MAX + 1], tmp[MAILDIR_NAME_MAX + 1],
	    name[MAILDIR_NAME_MAX + 1];
	uint64_t at = 0, total = m->head.len + m->content->len;
	int fd, where = h->md.new;

	maildir_name(s, m, base);
	if ((size_t)snprintf(tmp, sizeof(tmp), "%s,S=%llu", base,
	    (unsigned long long)total) >= sizeof(tmp))
		return why_set(why, "4.3.5", "host name is too long");
	memcpy(name, tmp, sizeof(name));
	/* Both would give it the same name: it is about one seen since. */
	if (m->again || (s->opt.stale != NULL && s->opt.stale(s->opt.arg))) {
		int rc = look_for(h, m, base, &where, name, why);

		if (rc != 0)
			return rc;
	}
	if (deliver_quota(s, h, total, why) < 0)
		return -1;
	fd = fault_openat(h->md.tmp, tmp, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) {
		/* Left by an attempt that was killed. */
		(void)unlinkat(h->md.tmp, tmp, 0);
		fd = fault_openat(h->md.tmp, tmp, O_WRONLY | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (fd < 0) {
		if (errno == ENOENT)
			return -2;
		return store_fail(why, "cannot create a file in", h->path);
	}
	store_content_align(m->content, m->head.len);
	while (at < total || total == 0) {
		struct iovec iov[2];
		struct span piece;
		int n = 0;

		if (at == 0 && m->head.len > 0) {
			iov[n].iov_base = (void *)(uintptr_t)m->head.p;
			iov[n++].iov_len = m->head.len;
		}
		if (store_content_read(m->content,
		    at == 0 ? 0 : at - m->head.len, &piece, why) < 0)
			goto undo;
		if (piece.len > 0) {
			iov[n].iov_base = (void *)(uintptr_t)piece.p;
			iov[n++].iov_len = piece.len;
		}
		if (n == 0)
			break;
		if ((total < STORE_OUT_MIN ? fd_pwritev_all : fd_pwritev_out)(
		    fd, iov, n, (off_t)at) < 0) {
			(void)store_fail(why, "cannot write to", h->path);
			goto undo;
		}
		at = (at == 0 ? m->head.len : at) + piece.len;
	}
	/* Network file systems report some errors only here. */
	if (close(fd) < 0) {
		fd = -1;
		(void)store_fail(why, "cannot write to", h->path);
		goto undo;
	}
	fd = -1;
	if (fault_renameat(h->md.tmp, tmp, where, name) < 0) {
		if (errno == ENOENT) {
			(void)unlinkat(h->md.tmp, tmp, 0);
			return -2;
		}
		(void)store_fail(why, "cannot rename into", h->path);
		goto undo;
	}
	deliver_counted(h, total);
	return 0;
undo:
	fd_close(&fd);
	(void)unlinkat(h->md.tmp, tmp, 0);
	return -1;
}

/* --- reading ------------------------------------------------------------------- */

static uint32_t
flags_of(const char *name)
{
	const char *p = strstr(name, ":2,");
	uint32_t f = 0;

	for (p = p ? p + 3 : ""; *p; p++) {
		switch (*p) {
		case 'S':
			f |= STORE_SEEN;
			break;
		case 'R':
			f |= STORE_ANSWERED;
			break;
		case 'F':
			f |= STORE_FLAGGED;
			break;
		case 'T':
			f |= STORE_DELETED;
			break;
		case 'D':
			f |= STORE_DRAFT;
			break;
		}
	}
	return f;
}

static int
load_dir(struct store_box *b, const char *sub, bool cur)
{
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(b->dirfd, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL) {
		struct box_item *it;
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		it = ARRAY_PUSH(&b->items);
		it->name = mem_strdup(e->d_name);
		it->in_cur = cur;
		it->len = (uint64_t)st.st_size;
		it->item.size = it->len;
		it->item.flags = flags_of(e->d_name);
		it->item.date_us = (int64_t)st.st_mtim.tv_sec * 1000000 +
		    st.st_mtim.tv_nsec / 1000;

		/* <s>.<queue id>.R<hash>.<host>: one of ours. */
		struct span rest = span_of(e->d_name), s0, s1, s2;
		if (span_token(&rest, ".", &s0) &&
		    span_token(&rest, ".", &s1) &&
		    span_token(&rest, ".", &s2) && s2.len == 17 &&
		    s2.p[0] == 'R')
			it->qid = span_dup(s1);
		/* What it should be long: a short file is damaged. */
		const char *want = strstr(e->d_name, ",S=");
		uint64_t n;
		struct span digits = span_of(want ? want + 3 : NULL);
		if (digits.p != NULL) {
			digits.len = strspn(digits.p, "0123456789");
			if (num_parse_u64(digits, UINT64_MAX, &n) == 0)
				it->item.damaged = n != it->len;
		}
	}
	closedir(d);
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	const struct box_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int
maildir_box_load(struct store_box *b, struct why *why)
{
	if (load_dir(b, "new", false) < 0 || load_dir(b, "cur", true) < 0)
		return store_fail(why, "cannot read", b->path);
	if (b->items.len > 0)
		qsort(b->items.v, b->items.len, sizeof(b->items.v[0]), by_name);
	for (size_t i = 0; i < b->items.len; i++)
		b->items.v[i].item.uid = (uint32_t)i + 1;
	b->uidnext = (uint32_t)b->items.len + 1;
	return 0;
}

int
maildir_box_read(struct store_box *b, const struct box_item *it,
    struct buf *out, struct why *why)
{
	char *path = mem_printf("%s/%s", it->in_cur ? "cur" : "new", it->name);
	int rc = fd_read_file(b->dirfd, path, out);

	if (rc < 0)
		(void)store_fail(why, "cannot read", b->path);
	mem_free(path);
	return rc;
}
