/* SPDX-License-Identifier: ISC */
/*
 * usage - how much an account holds, without opening it: what deliveries and
 * quotad(8) ask often, of accounts that nobody may have opened yet.
 *
 * packed: the heads of its journals and what was appended behind them;
 * maildir: the names of its files, which say their lengths.  Nothing is
 * written and no lock taken.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "store/store_internal.h"

#define JOURNAL_NAME_LEN 12	/* "00000001.jrn" */

static DIR *
open_again(int dirfd, const char *sub)
{
	int fd = openat(dirfd, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	DIR *d;

	if (fd < 0)
		return NULL;
	if ((d = fdopendir(fd)) == NULL)
		close(fd);
	return d;
}

/* --- packed ---------------------------------------------------------------------- */

static void
count_journal(int dirfd, const char *path, uint32_t box,
    const struct packed_epoch *e, struct store_quota *u)
{
	const struct packed_state *st;
	struct packed *p;
	int rc;

	/* A damaged one is not ours to mend; its messages do not count. */
	p = packed_open(dirfd, path, box, e, 0, 0, NULL);
	if (p == NULL)
		return;
	rc = packed_catch_up(p, NULL);
	st = &p->head.state;
	if (rc >= 0 && st->totals && !st->deleted) {
		u->messages += st->messages;
		u->storage += st->bytes;
		u->mailboxes++;
	}
	packed_close(&p);
}

static int
count_packed(int dirfd, const char *path, const struct packed_epoch *e,
    struct store_quota *u, struct why *why)
{
	DIR *d = open_again(dirfd, ".");
	struct dirent *entry;

	if (d == NULL)
		return store_fail(why, "cannot read", path);
	while ((entry = readdir(d)) != NULL) {
		struct span n = span_of(entry->d_name);
		uint64_t box;

		if (n.len == JOURNAL_NAME_LEN && span_ends(n, SPAN(".jrn")) &&
		    num_parse_hex(span_sub(n, 0, 8), &box) == 0 && box > 0 &&
		    box < UINT32_MAX)
			count_journal(dirfd, path, (uint32_t)box, e, u);
	}
	closedir(d);
	return 0;
}

/* --- maildir --------------------------------------------------------------------- */

static void
count_files(int at, const char *sub, struct store_quota *u)
{
	DIR *d = open_again(at, sub);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		const char *size = strstr(e->d_name, ",S=");
		struct span digits = span_of(size != NULL ? size + 3 : "");
		struct stat st;
		uint64_t n;

		if (e->d_name[0] == '.')
			continue;
		u->messages++;
		digits.len = strspn(digits.p, "0123456789");
		if (num_parse_u64(digits, UINT32_MAX, &n) == 0)
			u->storage += n;
		else if (fstatat(dirfd(d), e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0)
			u->storage += (uint64_t)st.st_size;
	}
	if (d != NULL)
		closedir(d);
}

static void
count_folder(int dirfd, struct store_quota *u)
{
	u->mailboxes++;
	count_files(dirfd, "new", u);
	count_files(dirfd, "cur", u);
}

static int
count_maildir(int dirfd, const char *path, struct store_quota *u,
    struct why *why)
{
	DIR *d = open_again(dirfd, ".");
	struct dirent *e;

	if (d == NULL)
		return store_fail(why, "cannot read", path);
	count_folder(dirfd, u);
	while ((e = readdir(d)) != NULL) {
		int fd;

		if (e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			count_folder(fd, u);
		fd_close(&fd);
	}
	closedir(d);
	return 0;
}

/* --- both ------------------------------------------------------------------------- */

int
usage_count(int dirfd, const char *path, enum store_format f,
    const struct packed_epoch *e, struct store_quota *out, struct why *why)
{
	*out = (struct store_quota){ 0 };
	return f == STORE_MAILDIR ? count_maildir(dirfd, path, out, why) :
	    count_packed(dirfd, path, e, out, why);
}

int
store_usage(const struct store_place *p, struct store_quota *used,
    struct store_quota *limits, struct why *why)
{
	enum store_format f = p->format;
	struct packed_epoch e;
	char *path;
	int base, dir, rc = 0;

	*used = (struct store_quota){ 0 };
	*limits = *p->quota;
	if (f == STORE_MBOX)
		return 0;
	if ((base = path_open_base(p, why)) < 0)
		return -1;
	dir = path_open_beneath(base, p->path, O_RDONLY | O_DIRECTORY, 0);
	close(base);
	if (dir < 0)
		/* Nothing was delivered yet. */
		return errno == ENOENT ? 0 : store_fail(why, "cannot open",
		    p->path);
	path = mem_printf("%s/%s", p->base, p->path);
	if (p->flags & STORE_DETECT)
		f = store_detect(dir, f);
	if (p->own_quota) {
		rc = store_quota_read(dir, f == STORE_MAILDIR ?
		    QUOTA_FILE_MAILDIR : QUOTA_FILE, limits, why);
		store_quota_merge(limits, p->quota);
	}
	if (rc >= 0 && store_quota_limited(limits)) {
		packed_epoch_get(&e);
		rc = usage_count(dir, path, f, &e, used, why);
	}
	close(dir);
	mem_free(path);
	return MIN(rc, 0);
}
