/* SPDX-License-Identifier: ISC */
/*
 * account_maildir - the folders of a Maildir++ account.
 *
 * The root is INBOX; the mailbox "Lists/été" is the directory
 * ".Lists.&AOk-t&AOk-", as other programs name it.  Directories are the truth:
 * what others make, rename or remove is taken into the list when the root has
 * changed.  A folder that was renamed is recognised by the MAILBOXID in its
 * own journal.  What is deleted here waits in mansio-deleted/, under its
 * number, to be wanted back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "mail/mutf7.h"
#include "store/account_internal.h"
#include "store/maildir_view.h"

/* What begins with no dot is no folder to other programs. */
#define DELETED_DIR	"mansio-deleted"

static const char *const parts[] = { "cur", "new", "tmp" };

/* The directory of a name: 0, or -1 when it is too long. */
static int
folder_name(struct span name, struct buf *out)
{
	struct span rest = name, part;

	buf_reset(out);
	if (span_is(name, "INBOX")) {
		buf_add_char(out, '.');
		return 0;
	}
	while (span_token(&rest, "/", &part)) {
		buf_add_char(out, '.');
		if (mutf7_encode(part, out) < 0)
			return -1;
	}
	return out->len <= 255 ? 0 : -1;
}

/* The name of a directory, or -1: not a folder of ours. */
static int
folder_parse(struct span dir, struct buf *out)
{
	struct span rest = span_from(dir, 1);

	buf_reset(out);
	if (dir.len < 2 || dir.p[0] != '.')
		return -1;
	for (;;) {
		ptrdiff_t dot = span_find(rest, '.');
		struct span part = dot < 0 ? rest : span_sub(rest, 0,
		    (size_t)dot);

		if (part.len == 0 || mutf7_decode(part, out) < 0)
			return -1;
		if (dot < 0)
			break;
		buf_add_char(out, '/');
		rest = span_from(rest, (size_t)dot + 1);
	}
	return span_caseis(buf_span(out), "INBOX") ? -1 : 0;
}

static int
open_folder(struct account *a, struct span name, struct why *why)
{
	struct buf dir = BUF_INIT(BUF_UNLIMITED);
	int fd = -1;

	if (folder_name(name, &dir) < 0) {
		(void)account_say(a, ACCOUNT_LIMIT, why, "the name is too "
		    "long");
	} else {
		fd = openat(a->dirfd, dir.data, O_RDONLY | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			int err = errno;

			(void)store_fail(why, "cannot open", a->path);
			(void)account_fail(a, err == ENOENT ?
			    ACCOUNT_NONEXISTENT : ACCOUNT_UNAVAILABLE);
			errno = err;
		}
	}
	buf_fini(&dir);
	return fd;
}

int
account_box_dir(struct account *a, uint32_t box, struct why *why)
{
	const struct acct_box *b = account_box_by_id(a, box);

	if (box == ACCOUNT_INBOX)
		return open_folder(a, SPAN("INBOX"), why);
	if (b == NULL || b->gone) {
		errno = ENOENT;
		return account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
	}
	return open_folder(a, span_of(b->name), why);
}

/* --- what others did ------------------------------------------------------------- */

static uint32_t
next_box(const struct account *a, uint32_t *least)
{
	uint32_t box = ACCOUNT_INBOX + 1;

	for (size_t i = 0; i < a->boxes.len; i++) {
		box = MAX(box, a->boxes.v[i].box + 1);
		*least = MAX(*least, a->boxes.v[i].uidvalidity + 1);
	}
	return box;
}

/* The journal of a folder, made when it is missing; fills *b. */
static int
open_journal(struct account *a, int dir, struct acct_box *b,
    uint32_t least, struct why *why)
{
	struct packed *p;

	p = packed_open(dir, a->path, b->box, &a->epoch, PACKED_WRITE |
	    PACKED_CREATE | PACKED_ALONE, least, why);
	if (p == NULL)
		return account_io(a, why);
	b->uidvalidity = p->head.uidvalidity;
	memcpy(b->mailboxid, p->head.mailboxid, 16);
	p->keep = true;
	account_wrote(a, p);
	packed_close(&p);
	return 0;
}

/* A folder that the list does not have under this name.  1: not now. */
static int
adopt(struct account *a, struct span name, struct why *why)
{
	struct acct_box b = { 0 };
	struct why w = WHY_INIT;
	uint32_t least = 0;
	int dir = open_folder(a, name, NULL), rc = 0;

	if (dir < 0)
		return 0;
	b.box = next_box(a, &least);
	b.name = span_dup(name);
	if (open_journal(a, dir, &b, least, &w) < 0) {
		/* One that cannot be had now does not keep the others away;
		 * the next look is at all again. */
		log_warning("%s: cannot take in the folder %s: %s", a->path,
		    b.name, w.text);
		rc = 1;
	} else {
		for (size_t i = 0; i < a->boxes.len; i++) {
			struct acct_box *was = &a->boxes.v[i];

			if (memcmp(was->mailboxid, b.mailboxid, 16) != 0)
				continue;
			/* A copy of a folder that still is there? */
			int old = was->gone ? -1 : open_folder(a,
			    span_of(was->name), NULL);
			if (old >= 0) {
				close(old);
				continue;
			}
			b.box = was->box;
			b.special = account_uses_free(a, was->special,
			    was->box);
		}
		account_put_box(a, &b);
		rc = account_flush(a, why);
	}
	mem_free(b.name);
	close(dir);
	return rc;
}

static int
scan_folders(struct account *a, struct hash *found, struct why *why)
{
	struct buf name = BUF_INIT(BUF_UNLIMITED), cur = BUF_INIT(512);
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd;

	fd = openat(a->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		(void)store_fail(why, "cannot read", a->path);
		return account_io(a, why);
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.' || folder_parse(span_of(e->d_name),
		    &name) < 0 || account_check_name(a, buf_span(&name),
		    NULL) < 0)
			continue;
		buf_reset(&cur);
		buf_addf(&cur, "%s/cur", e->d_name);
		if (fstatat(a->dirfd, cur.data, &st, AT_SYMLINK_NOFOLLOW) < 0
		    || !S_ISDIR(st.st_mode))
			continue;
		if (found->count < a->opt.count_limit)
			(void)hash_enter(found, buf_span(&name), NULL);
	}
	closedir(d);
	buf_fini(&name);
	buf_fini(&cur);
	return 0;
}

struct adoption {
	struct account	*a;
	struct why	*why;
	int		 rc;
	bool		 later;		/* some could not be had */
};

static void
adopt_unknown(struct hash_entry *e, void *arg)
{
	struct adoption *ad = arg;

	if (ad->rc == 0 && account_box_by_name(ad->a, e->key) == NULL)
		ad->rc = adopt(ad->a, e->key, ad->why);
	if (ad->rc == 1) {
		ad->later = true;
		ad->rc = 0;
	}
}

int
account_maildir_list(struct account *a, struct why *why)
{
	struct hash found = HASH_INIT;
	struct adoption ad = { .a = a, .why = why };
	struct stat st;
	bool differs = false;

	if (fstat(a->dirfd, &st) < 0) {
		(void)store_fail(why, "cannot read", a->path);
		return account_io(a, why);
	}
	/* A second that is not over yet may bring more with the same time. */
	if (st.st_mtim.tv_sec == a->listed.tv_sec &&
	    st.st_mtim.tv_nsec == a->listed.tv_nsec)
		return 0;
	if (scan_folders(a, &found, why) < 0)
		return -1;
	size_t known = 0;
	for (size_t i = 0; i < a->boxes.len; i++) {
		const struct acct_box *b = &a->boxes.v[i];

		if (b->gone || b->box == ACCOUNT_INBOX)
			continue;
		known++;
		differs |= hash_find(&found, span_of(b->name)) == NULL;
	}
	differs |= known != found.count;
	if (differs) {
		if ((ad.rc = account_lock(a, why)) == 0) {
			hash_each(&found, adopt_unknown, &ad);
			for (size_t i = 0; i < a->boxes.len; i++) {
				const struct acct_box *b = &a->boxes.v[i];
				uint8_t gone[16] = { 0 };

				if (b->gone || b->box == ACCOUNT_INBOX ||
				    hash_find(&found, span_of(b->name)))
					continue;
				num_put_le32(gone, b->box);
				num_put_le64(gone + 8,
				    (uint64_t)clock_wall_us());
				packed_put(a->list, PACKED_BOX_GONE,
				    span_make(gone, sizeof(gone)));
			}
			if (ad.rc == 0)
				ad.rc = account_flush(a, why);
			account_unlock(a);
		}
	}
	hash_fini(&found, NULL);
	if (ad.rc == 0 && !ad.later && clock_wall_s() - st.st_mtim.tv_sec > 1)
		a->listed = st.st_mtim;
	return ad.rc;
}

/* --- what we do ------------------------------------------------------------------------ */

/* Remove all files of a directory that is ours. */
static int
empty_dir(int at, const char *name)
{
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL) {
		if (span_is(span_of(e->d_name), ".") ||
		    span_is(span_of(e->d_name), ".."))
			continue;
		(void)fault_unlinkat(fd, e->d_name, 0);
	}
	closedir(d);
	return 0;
}

/* A folder with all that is in it. */
static int
remove_folder(int at, const char *name)
{
	struct buf path = BUF_INIT(1024);
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts) + 1 && rc == 0; i++) {
		buf_reset(&path);
		buf_addf(&path, "%s/%s", name, i < ARRAY_LEN(parts) ?
		    parts[i] : MAILDIR_EXPUNGED);
		rc = empty_dir(at, path.data);
		if (rc == 0 && fault_unlinkat(at, path.data,
		    AT_REMOVEDIR) < 0 && errno != ENOENT)
			rc = -1;
	}
	if (rc == 0)
		rc = empty_dir(at, name);
	if (rc == 0 && fault_unlinkat(at, name, AT_REMOVEDIR) < 0 &&
	    errno != ENOENT)
		rc = -1;
	buf_fini(&path);
	return rc;
}

int
account_maildir_make(struct account *a, struct acct_box *b, uint32_t least,
    struct why *why)
{
	struct buf dir = BUF_INIT(BUF_UNLIMITED);
	bool made = false;
	int fd = -1, rc = -1, f;

	if (folder_name(span_of(b->name), &dir) < 0) {
		(void)account_say(a, ACCOUNT_LIMIT, why, "the name is too "
		    "long");
		goto out;
	}
	made = fault_mkdirat(a->dirfd, dir.data, 0700) == 0;
	if (!made && errno != EEXIST)
		goto fail;
	fd = openat(a->dirfd, dir.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd < 0)
		goto fail;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (fault_mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST)
			goto fail;
	}
	/* Maildir++: says to deliverers that this is no account's root. */
	f = fault_openat(fd, "maildirfolder", O_WRONLY | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (f < 0)
		goto fail;
	close(f);
	rc = open_journal(a, fd, b, least, why);
	goto out;
fail:
	(void)store_fail(why, "cannot make a folder in", a->path);
	(void)account_io(a, why);
out:
	/* Else the next look takes half a folder for one. */
	if (rc < 0 && made)
		(void)remove_folder(a->dirfd, dir.data);
	fd_close(&fd);
	buf_fini(&dir);
	return rc;
}

static void
deleted_name(uint32_t box, char out[PACKED_NAME_MAX])
{
	snprintf(out, PACKED_NAME_MAX, "%08x", (unsigned)box);
}

/* The directory of deleted folders; -1 with errno. */
static int
open_deleted(struct account *a)
{
	if (fault_mkdirat(a->dirfd, DELETED_DIR, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(a->dirfd, DELETED_DIR, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC);
}

/* Tell those who have the folder open that it is gone, or back. */
static int
mark_folder(struct account *a, int at, const char *name, unsigned type,
    struct why *why)
{
	uint8_t now[8];
	struct packed *p;
	int dir, rc = -1;

	dir = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (dir < 0)
		return store_fail(why, "cannot open a folder of", a->path);
	p = packed_open(dir, a->path, ACCOUNT_INBOX, &a->epoch, PACKED_WRITE |
	    PACKED_ALONE, 0, why);
	if (p != NULL && packed_lock(p, why) == 0) {
		p->keep = true;
		num_put_le64(now, (uint64_t)clock_wall_us());
		packed_put(p, type, span_make(now, sizeof(now)));
		if ((rc = packed_flush(p, why)) == 0)
			account_wrote(a, p);
	}
	packed_close(&p);
	close(dir);
	return rc;
}

int
account_maildir_delete(struct account *a, const struct acct_box *b,
    struct why *why)
{
	struct buf dir = BUF_INIT(BUF_UNLIMITED);
	char name[PACKED_NAME_MAX];
	int at, rc;

	if (folder_name(span_of(b->name), &dir) < 0) {
		buf_fini(&dir);
		return account_say(a, ACCOUNT_LIMIT, why, "the name is too "
		    "long");
	}
	deleted_name(b->box, name);
	at = a->opt.expunge_delay_s > 0 ? open_deleted(a) : -1;
	if (at >= 0 && fault_renameat(a->dirfd, dir.data, at, name) == 0) {
		rc = 0;
		account_note_dirty(a, at);
		(void)mark_folder(a, at, name, PACKED_DELETED, NULL);
	} else if (a->opt.expunge_delay_s > 0 && errno != ENOSPC &&
	    errno != EDQUOT) {
		rc = -1;
	} else {
		/* Making room must be possible where there is none. */
		rc = remove_folder(a->dirfd, dir.data);
	}
	if (rc == 0)
		account_note_dirty(a, a->dirfd);
	if (rc < 0) {
		(void)store_fail(why, "cannot remove a folder of", a->path);
		(void)account_io(a, why);
	}
	fd_close(&at);
	buf_fini(&dir);
	return rc;
}

int
account_maildir_undelete(struct account *a, const struct acct_box *b,
    struct why *why)
{
	struct buf dir = BUF_INIT(BUF_UNLIMITED);
	char name[PACKED_NAME_MAX];
	int at = open_deleted(a), rc = -1;

	deleted_name(b->box, name);
	if (folder_name(span_of(b->name), &dir) < 0) {
		(void)account_say(a, ACCOUNT_LIMIT, why, "the name is too "
		    "long");
	} else if (at < 0 || mark_folder(a, at, name, PACKED_RESTORED,
	    why) < 0 || fault_renameat(at, name, a->dirfd, dir.data) < 0) {
		(void)store_fail(why, "cannot have back a folder of", a->path);
		(void)account_io(a, why);
	} else {
		account_note_dirty(a, a->dirfd);
		rc = 0;
	}
	fd_close(&at);
	buf_fini(&dir);
	return rc;
}

void
account_maildir_purge(struct account *a, int64_t before_us,
    struct account_purged *out)
{
	int at = openat(a->dirfd, DELETED_DIR, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC);

	for (size_t i = 0; i < a->boxes.len; i++) {
		const struct acct_box *b = &a->boxes.v[i];
		char name[PACKED_NAME_MAX];
		struct stat st;
		int dir;

		if (!b->gone) {
			dir = account_box_dir(a, b->box, NULL);
			if (dir >= 0)
				out->bytes += maildir_purge(dir, before_us);
			fd_close(&dir);
			continue;
		}
		deleted_name(b->box, name);
		if (at >= 0 && b->gone_us < before_us && fstatat(at, name,
		    &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    remove_folder(at, name) == 0)
			out->mailboxes++;
	}
	fd_close(&at);
}

/* The folder of a mailbox named was gets its place below to, or that below
 * from back.  -1 with errno; 1: the name is too long. */
static int
rename_one(struct account *a, struct span was, struct span from,
    struct span to, bool back)
{
	struct buf old = BUF_INIT(BUF_UNLIMITED), new = BUF_INIT(BUF_UNLIMITED);
	struct buf name = BUF_INIT(BUF_UNLIMITED);
	int rc = 1;

	buf_add_span(&name, to);
	buf_add_span(&name, span_from(was, from.len));
	if (folder_name(was, &old) == 0 &&
	    folder_name(buf_span(&name), &new) == 0)
		rc = fault_renameat(a->dirfd, back ? new.data : old.data,
		    a->dirfd, back ? old.data : new.data);
	buf_fini(&old);
	buf_fini(&new);
	buf_fini(&name);
	return rc;
}

static bool
is_renamed(const struct acct_box *b, struct span from)
{
	struct span name = span_of(b->name);

	return !b->gone && span_starts(name, from) &&
	    (name.len == from.len || name.p[from.len] == '/');
}

/* The first most mailboxes of the list. */
static void
rename_back(struct account *a, struct span from, struct span to, size_t most)
{
	for (size_t i = 0; i < most; i++)
		if (is_renamed(&a->boxes.v[i], from) &&
		    rename_one(a, span_of(a->boxes.v[i].name), from, to,
		    true) != 0)
			log_warning("%s: folder %s has another name than in "
			    "the list of mailboxes", a->path,
			    a->boxes.v[i].name);
}

int
account_maildir_rename(struct account *a, struct span from, struct span to,
    struct why *why)
{
	for (size_t i = 0; i < a->boxes.len; i++) {
		int rc;

		if (!is_renamed(&a->boxes.v[i], from))
			continue;
		rc = rename_one(a, span_of(a->boxes.v[i].name), from, to,
		    false);
		if (rc == 0)
			continue;
		if (rc > 0) {
			(void)account_say(a, ACCOUNT_LIMIT, why, "the name is "
			    "too long");
		} else {
			(void)store_fail(why, "cannot rename a folder of",
			    a->path);
			(void)account_io(a, why);
		}
		rename_back(a, from, to, i);
		return -1;
	}
	return 0;
}

void
account_maildir_unrename(struct account *a, struct span from, struct span to)
{
	rename_back(a, from, to, a->boxes.len);
}

void
account_maildir_unmake(struct account *a, const struct acct_box *b)
{
	struct buf dir = BUF_INIT(BUF_UNLIMITED);

	if (folder_name(span_of(b->name), &dir) == 0)
		(void)remove_folder(a->dirfd, dir.data);
	buf_fini(&dir);
}
