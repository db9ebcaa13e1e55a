/* SPDX-License-Identifier: ISC */
/*
 * maildir_view - a maildir as an open mailbox.
 *
 * Files are the truth for what there is and for the five flags in their names;
 * the journal beside them (mansio.jrn) gives each file, by the part of its
 * name before the ':', a UID, remembers keywords and dates, and counts
 * MODSEQs.  Whenever new/ or cur/ have changed, maildir_view_sync() compares
 * the two under the journal's lock and writes down what others did: mail
 * readers that rename, programs that deliver, hands that delete.
 *
 * We hold the lock while we change files, so that other processes of ours
 * never see a file before its record.
 */
#include "store/maildir_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"

#define MAP_MIN		(128u << 10)	/* bytes: smaller files are read */

void
maildir_file_free(void *arg)
{
	struct mdfile *f = arg;

	if (f != NULL) {
		mem_free(f->name);
		mem_free(f);
	}
}

struct span
maildir_base(const char *name)
{
	return span_make(name, strcspn(name, ":"));
}

/* The name part that a record remembers. */
struct span
record_base(const struct mailbox *m, const struct record *r)
{
	uint16_t n;

	if (r->offset + 2 > m->names.len)
		return SPAN_EMPTY;
	n = num_get_le16(m->names.data + r->offset);
	return span_sub(buf_span(&m->names), (size_t)r->offset + 2, n);
}

uint32_t
maildir_flags(const char *name)
{
	static const char letters[] = "SRFTD";	/* in the order of the bits */
	const char *p = strstr(name, ":2,"), *at;
	uint32_t f = 0;

	for (p = p != NULL ? p + 3 : ""; *p != '\0'; p++) {
		if ((at = strchr(letters, *p)) != NULL)
			f |= 1u << (at - letters);
	}
	return f;
}

_Static_assert(STORE_SEEN == 1 && STORE_ANSWERED == 2 && STORE_FLAGGED == 4 &&
    STORE_DELETED == 8 && STORE_DRAFT == 16, "letters[] above");

void
maildir_name_with(struct buf *out, struct span base, const char *old,
    uint32_t flags)
{
	const char *p = strstr(old, ":2,");
	uint32_t has = flags;

	buf_reset(out);
	buf_add_span(out, base);
	buf_add_str(out, ":2,");
	for (int c = 'A'; c <= 'Z'; c++) {
		uint32_t bit = c == 'D' ? STORE_DRAFT : c == 'F' ?
		    STORE_FLAGGED : c == 'R' ? STORE_ANSWERED : c == 'S' ?
		    STORE_SEEN : c == 'T' ? STORE_DELETED : 0;

		if (bit != 0 ? (has & bit) != 0 :
		    p != NULL && strchr(p + 3, c) != NULL)
			buf_add_char(out, (char)c);
	}
	for (int c = 'a'; c <= 'z'; c++) {
		if (p != NULL && strchr(p + 3, c) != NULL)
			buf_add_char(out, (char)c);
	}
}

/*
 * A message's id is made from its file's name without the flags, which is
 * its own for ever: it survives the loss of the journal, and with it the ids
 * that POP3 clients have noted.
 */
void
maildir_guid(struct span base, uint8_t out[16])
{
	static const uint64_t keys[2][2] = {
		{ 0x4d4e534f4d444952, 1 }, { 0x4d4e534f4d444952, 2 },
	};

	num_put_le64(out, hash_bytes_with(keys[0], base));
	num_put_le64(out + 8, hash_bytes_with(keys[1], base));
}

static int
open_part(struct mailbox *m, const char *name, struct why *why)
{
	int fd;

	fd = openat(m->p->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	/* EEXIST: another process that opens it for the first time, too. */
	if (fd < 0 && errno == ENOENT &&
	    (fault_mkdirat(m->p->dirfd, name, 0700) == 0 || errno == EEXIST))
		fd = openat(m->p->dirfd, name, O_RDONLY | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		(void)store_fail(why, "cannot open", m->p->path);
		return account_io(m->a, why);
	}
	return fd;
}

int
maildir_view_open(struct mailbox *m, struct why *why)
{
	struct maildir_view *v = mem_zalloc(sizeof(*v));

	m->md = v;
	v->cur = v->new = v->tmp = v->gone = v->events = -1;
	if ((v->cur = open_part(m, "cur", why)) < 0 ||
	    (v->new = open_part(m, "new", why)) < 0 ||
	    (v->tmp = open_part(m, "tmp", why)) < 0)
		return -1;
	v->was_new = m->scanned.nnew;
	v->was_next = m->scanned.uidnext;
	v->cur_at = m->scanned.cur;
	v->new_at = m->scanned.new;
	return maildir_view_sync(m, why);
}

void
maildir_view_close(struct mailbox *m)
{
	struct maildir_view *v = m->md;

	if (v == NULL)
		return;
	maildir_note_scanned(m);
	m->md = NULL;
	maildir_events_close(v);
	fd_close(&v->cur);
	fd_close(&v->new);
	fd_close(&v->tmp);
	fd_close(&v->gone);
	hash_fini(&v->files, maildir_file_free);
	mem_free(v->guess.name);
	ARRAY_FINI(&v->moves);
	ARRAY_FINI(&v->touched);
	mem_free(v);
}

/* --- content --------------------------------------------------------------------- */

struct mdfile *
maildir_file(struct mailbox *m, const struct record *r)
{
	struct maildir_view *v = m->md;
	struct span base = record_base(m, r);
	struct buf name = BUF_INIT(BUF_UNLIMITED);
	struct mdfile *f;

	if (v->scanned)
		maildir_enter_records(m);
	f = hash_get(&v->files, base);
	if (v->scanned || base.len == 0 || (f != NULL && f->name != NULL))
		return f != NULL && f->name != NULL ? f : NULL;
	/* Nobody has looked: it is where a reader puts it. */
	mem_free(v->guess.name);
	maildir_name_with(&name, base, "", r->flags);
	v->guess = (struct mdfile){ .name = buf_take(&name), .in_cur = true };
	return &v->guess;
}

int
maildir_read_file(const struct maildir_view *v, const struct mdfile *f,
    struct stat *st)
{
	int fd = openat(f->in_cur ? v->cur : v->new, f->name, O_RDONLY |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* The bytes of a file: mapped, or in memory. */
struct content_hold *
maildir_hold_file(int fd, size_t len, struct span *bytes)
{
	struct content_hold *h;
	void *map;

	if (len >= MAP_MIN) {
		map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			return NULL;
		h = mem_zalloc(sizeof(*h));
		h->map = map;
		h->len = len;
		*bytes = span_make(map, len);
		return h;
	}
	h = mem_alloc(sizeof(*h) + len);
	*h = (struct content_hold){ NULL, 0, 0 };
	if (fd_pread_all(fd, h + 1, len, 0) < 0) {
		mem_free(h);
		return NULL;
	}
	*bytes = span_make(h + 1, len);
	return h;
}

int
maildir_view_content(struct mailbox *m, const struct record *r,
    struct mailbox_content *out, struct why *why)
{
	uint32_t uid = r->uid;

	for (int turn = 0; turn < 3; turn++) {
		struct mdfile *f = maildir_file(m, r);
		struct stat st;
		int fd;

		if (f == NULL)
			break;
		fd = maildir_read_file(m->md, f, &st);
		if (fd >= 0) {
			out->hold = maildir_hold_file(fd,
			    (size_t)st.st_size, &out->bytes);
			close(fd);
			if (out->hold != NULL)
				return 0;
		}
		if (errno != ENOENT) {
			(void)store_fail(why, "cannot read", m->p->path);
			return account_io(m->a, why);
		}
		/* Renamed by somebody: look where it is. */
		m->md->force = !m->md->followed || turn > 0 ||
		    f == &m->md->guess;
		if (maildir_view_sync(m, why) < 0)
			return -1;
		if ((r = record_by_uid(m, uid)) == NULL)
			break;
	}
	return account_say(m->a, ACCOUNT_EXPUNGED, why, "message %u is gone",
	    (unsigned)uid);
}
