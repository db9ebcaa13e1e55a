/* SPDX-License-Identifier: ISC */
/*
 * account - opening an account, and the files that its mailboxes share.
 */
#define ACCOUNT_IMPLEMENTATION
#include "store/account.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/account_internal.h"
#include "store/compress.h"
#include "store/mailbox.h"

#define WRITERS_MAX	8	/* journals kept open for appending */

/* --- errors ------------------------------------------------------------------ */

int
account_fail(struct account *a, enum account_error e)
{
	a->error = e;
	if (a->parent != NULL)
		a->parent->error = e;
	return -1;
}

int
account_say(struct account *a, enum account_error e, struct why *why,
    const char *fmt, ...)
{
	static const char *const codes[] = {
		[ACCOUNT_NONEXISTENT] = "5.1.1", [ACCOUNT_EXISTS] = "5.3.0",
		[ACCOUNT_CANNOT] = "5.1.3", [ACCOUNT_NOPERM] = "5.7.1",
		[ACCOUNT_OVERQUOTA] = "5.2.2", [ACCOUNT_LIMIT] = "5.3.4",
		[ACCOUNT_INUSE] = "4.2.0", [ACCOUNT_HASCHILDREN] = "5.3.0",
		[ACCOUNT_EXPUNGED] = "5.1.0", [ACCOUNT_CORRUPT] = "5.3.0",
		[ACCOUNT_UNAVAILABLE] = "4.3.0",
	};
	char text[WHY_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)why_set(why, codes[e], "%s", text);
	return account_fail(a, e);
}

int
account_io(struct account *a, const struct why *why)
{
	enum account_error e = ACCOUNT_UNAVAILABLE;

	if (why != NULL) {
		struct span code = span_of(why->code);

		if (span_ends(code, SPAN(".2.2")))
			e = ACCOUNT_OVERQUOTA;
		else if (span_ends(code, SPAN(".2.0")))
			e = ACCOUNT_INUSE;
	}
	return account_fail(a, e);
}

enum account_error
account_error(const struct account *a)
{
	return a->error;
}

/* --- life --------------------------------------------------------------------- */

void
account_options_init(struct account_options *o)
{
	*o = (struct account_options){
		.format = STORE_PACKED, .flags = STORE_DETECT,
		.name_limit = (uint32_t)conf.store_mailbox_name_limit,
		.depth_limit = (uint32_t)conf.store_mailbox_depth_limit,
		.count_limit = (uint32_t)conf.store_mailbox_count_limit,
		.expunge_delay_s = conf.store_expunge_delay,
		.auto_create = conf.store_auto_create,
		.auto_subscribe = conf.store_auto_subscribe,
		.special_use = conf.store_special_use,
		.owner_rights = conf.acl_owner_rights,
		.hostname = conf.myhostname,
		.compression = compress_level(conf.store_compression),
		.trash_extra = (uint64_t)conf.quota_trash_extra,
	};
	store_quota_defaults(&o->quota);
}

static const char *
dup_or(const char *s, const char *other)
{
	return mem_strdup(s != NULL ? s : other);
}

static void
copy_options(struct account *a, const struct account_options *o)
{
	const char **g = mem_zalloc_array(o->ngroups + 1, sizeof(*g));

	a->opt = *o;
	for (size_t i = 0; i < o->ngroups; i++)
		g[i] = mem_strdup(o->groups[i]);
	a->opt.groups = g;
	a->opt.base = mem_strdup(o->base);
	a->opt.path = dup_or(o->path, "");
	a->opt.owner = dup_or(o->owner, "");
	a->opt.user = dup_or(o->user, a->opt.owner);
	a->opt.hostname = dup_or(o->hostname, "localhost");
	a->opt.auto_create = dup_or(o->auto_create, "");
	a->opt.auto_subscribe = dup_or(o->auto_subscribe, "");
	a->opt.special_use = dup_or(o->special_use, "");
	a->opt.owner_rights = dup_or(o->owner_rights, "lrswipkxtecda");
	if (a->opt.name_limit == 0 || a->opt.name_limit > ACCOUNT_NAME_MAX)
		a->opt.name_limit = ACCOUNT_NAME_MAX;
}

static void
free_options(struct account *a)
{
	const char *const strings[] = {
		a->opt.base, a->opt.path, a->opt.owner, a->opt.user,
		a->opt.hostname, a->opt.auto_create, a->opt.auto_subscribe,
		a->opt.special_use, a->opt.owner_rights,
	};

	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		mem_free((void *)(uintptr_t)strings[i]);
	for (size_t i = 0; i < a->opt.ngroups; i++)
		mem_free((void *)(uintptr_t)a->opt.groups[i]);
	mem_free((void *)(uintptr_t)a->opt.groups);
}

static int
open_dir(struct account *a, struct why *why)
{
	struct store_place place = {
		.format = a->opt.format, .flags = a->opt.flags,
		.base = a->opt.base, .path = a->opt.path,
	};
	int base, dir;

	if ((base = path_open_base(&place, why)) < 0)
		return -1;
	dir = path_make_beneath(base, a->opt.path, 0700);
	close(base);
	if (dir >= 0) {
		a->dirfd = openat(dir, ".", O_RDONLY | O_DIRECTORY |
		    O_CLOEXEC);
		close(dir);
	}
	if (a->dirfd < 0)
		return store_fail(why, "cannot open", a->path);
	a->format = a->opt.flags & STORE_DETECT ?
	    store_detect(a->dirfd, a->opt.format) : a->opt.format;
	if (a->format == STORE_MBOX)
		return why_set(why, "5.3.5", "%s: an account cannot be an "
		    "mbox", a->path);
	return 0;
}

int
account_list_open(struct account *a, struct why *why)
{
	a->list = packed_open(a->dirfd, a->path, 0, &a->epoch, PACKED_WRITE |
	    PACKED_CREATE | (a->format == STORE_MAILDIR ? PACKED_ALONE : 0),
	    0, why);
	if (a->list == NULL)
		return -1;
	a->list->keep = true;
	a->list->hook = account_apply;
	a->list->hook_arg = a;
	packed_rewind(a->list);
	return packed_catch_up(a->list, why) < 0 ? -1 : 0;
}

void
account_warm(void)
{
	struct packed_epoch e;

	packed_epoch_get(&e);
}

struct account *
account_open(const struct account_options *o, struct why *why)
{
	struct account *a = mem_zalloc(sizeof(*a));

	a->dirfd = -1;
	a->stale = true;
	a->sync_turn = 1;
	copy_options(a, o);
	a->path = mem_printf("%s/%s", a->opt.base, a->opt.path);
	packed_epoch_get(&a->epoch);
	if (open_dir(a, why) < 0 || account_list_open(a, why) < 0 ||
	    account_list_init(a, why) < 0)
		account_close(&a);
	return a;
}

void
account_close(struct account **ap)
{
	struct account *a = *ap;

	if (a == NULL)
		return;
	*ap = NULL;
	account_mounts_fini(a);
	mailbox_close(&a->target);
	if (a->views > 0)
		log_panic("account closed with %zu open mailboxes", a->views);
	for (size_t i = 0; i < a->writers.len; i++)
		packed_close(&a->writers.v[i]);
	ARRAY_FINI(&a->writers);
	content_hold_free(a->undone.hold);
	account_segments_fini(a);
	for (size_t i = 0; i < a->dirty.len; i++)
		close(a->dirty.v[i]);
	ARRAY_FINI(&a->dirty);
	packed_close(&a->list);
	account_records_fini(a);
	account_list_fini(a);
	fd_close(&a->dirfd);
	free_options(a);
	mem_free(a->path);
	mem_free(a);
}

enum store_format
account_format(const struct account *a)
{
	return a->format;
}

const char *
account_owner(const struct account *a)
{
	return a->opt.owner;
}

/* --- durability ------------------------------------------------------------------ */

#define DIRTY_MAX	256		/* descriptors that wait for the sync */

struct account_sync {
	ARRAY(int)	fds;
	char		*path;
	bool		lost;		/* an earlier part of it failed */
};

static void	take_dirty(struct account *, struct account_sync *);

/*
 * A COPY into a maildir writes a file for each message, of which there may be
 * more than a process may have open: some go to the disk before the others.
 */
static void
sync_some(struct account *a)
{
	struct account_sync *y = mem_zalloc(sizeof(*y));
	struct why why = WHY_INIT;

	y->path = mem_strdup(a->path);
	take_dirty(a, y);
	if (account_sync_run(y, &why) < 0)
		a->lost = true;
	account_sync_free(&y);
}

void
account_note_dirty(struct account *a, int fd)
{
	int d;

	if (a->dirty.len >= DIRTY_MAX)
		sync_some(a);
	d = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (d < 0)
		log_fatal("%s: cannot keep a descriptor to sync: out of "
		    "descriptors", a->path);
	*ARRAY_PUSH(&a->dirty) = d;
}

void
account_wrote(struct account *a, struct packed *p)
{
	if (p->jdirty && p->jturn != a->sync_turn) {
		account_note_dirty(a, p->jfd);
		p->jturn = a->sync_turn;
	}
	if (p->sdirty && p->segfd >= 0 && p->sturn != a->sync_turn) {
		account_note_dirty(a, p->segfd);
		p->sturn = a->sync_turn;
	}
	for (size_t i = 0; i < p->unsynced.len; i++)
		*ARRAY_PUSH(&a->dirty) = p->unsynced.v[i];
	p->unsynced.len = 0;
	if (p->ddirty)
		account_note_dirty(a, p->dirfd);
	p->jdirty = p->sdirty = p->ddirty = false;
}

bool
account_dirty(const struct account *a)
{
	for (size_t i = 0; i < a->mounts.len; i++)
		if (a->mounts.v[i].a->dirty.len > 0 || a->mounts.v[i].a->lost)
			return true;
	return a->dirty.len > 0 || a->lost;
}

static void
take_dirty(struct account *a, struct account_sync *y)
{
	for (size_t i = 0; i < a->dirty.len; i++)
		*ARRAY_PUSH(&y->fds) = a->dirty.v[i];
	y->lost |= a->lost;
	a->dirty.len = 0;
	a->sync_turn++;
}

struct account_sync *
account_sync_begin(struct account *a)
{
	struct account_sync *y = mem_zalloc(sizeof(*y));

	y->path = mem_strdup(a->path);
	take_dirty(a, y);
	for (size_t i = 0; i < a->mounts.len; i++)
		take_dirty(a->mounts.v[i].a, y);
	return y;
}

int
account_sync_run(struct account_sync *y, struct why *why)
{
	if (y->lost)
		return why_set(why, "4.3.0", "%s: cannot sync", y->path);
	/*
	 * All of it is on its way first: so the first sync waits for nearly
	 * everything, and the file system's journal is committed once.
	 */
	for (size_t i = 0; y->fds.len > 1 && i < y->fds.len; i++)
		(void)sync_file_range(y->fds.v[i], 0, 0,
		    SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < y->fds.len; i++) {
		if (fault_fdatasync(y->fds.v[i]) < 0)
			return store_fail(why, "cannot sync", y->path);
	}
	return 0;
}

void
account_sync_free(struct account_sync **yp)
{
	struct account_sync *y = *yp;

	if (y == NULL)
		return;
	*yp = NULL;
	for (size_t i = 0; i < y->fds.len; i++)
		close(y->fds.v[i]);
	ARRAY_FINI(&y->fds);
	mem_free(y->path);
	mem_free(y);
}

int
account_sync(struct account *a, struct why *why)
{
	struct account_sync *y;
	int rc;

	if (!account_dirty(a))
		return 0;
	y = account_sync_begin(a);
	rc = account_sync_run(y, why);
	account_sync_free(&y);
	return rc < 0 ? account_io(a, why) : 0;
}

/* --- journals ----------------------------------------------------------------------- */

unsigned
account_may_make(struct account *a, uint32_t box)
{
	const struct acct_box *b = account_box_by_id(a, box);

	/* A maildir's files are the truth; its journal is made by who finds
	 * them. */
	if (box != ACCOUNT_INBOX && (a->format != STORE_PACKED || b == NULL ||
	    b->gone || b->flags & BOX_NOSELECT))
		return 0;
	return PACKED_CREATE;
}

struct packed *
account_journal(struct account *a, uint32_t box, unsigned flags,
    struct why *why)
{
	struct packed *p;
	int dir = a->dirfd;

	if (a->format == STORE_MAILDIR) {
		if ((dir = account_box_dir(a, box, why)) < 0)
			return NULL;
		flags |= PACKED_ALONE;
	}
	p = packed_open(dir, a->path, box, &a->epoch, flags, 0, why);
	if (p != NULL)
		p->keep = true;
	else if (errno == ENOENT)
		(void)account_fail(a, ACCOUNT_NONEXISTENT);
	else
		(void)account_io(a, why);
	if (dir != a->dirfd)
		fd_close(&dir);
	return p;
}

void
account_drop_writer(struct account *a, struct packed *p)
{
	for (size_t i = 0; i < a->writers.len; i++) {
		if (a->writers.v[i] != p)
			continue;
		packed_close(&a->writers.v[i]);
		a->writers.len--;
		memmove(&a->writers.v[i], &a->writers.v[i + 1],
		    (a->writers.len - i) * sizeof(a->writers.v[0]));
		return;
	}
}

struct packed *
account_writer(struct account *a, uint32_t box, struct why *why)
{
	struct packed *p = NULL;
	int rc;

	for (int turn = 0; turn < PACKED_TURNS; turn++) {
		p = NULL;
		for (size_t i = 0; i < a->writers.len && p == NULL; i++) {
			if (a->writers.v[i]->box == box)
				p = a->writers.v[i];
		}
		if (p == NULL) {
			if (a->writers.len == WRITERS_MAX)
				account_drop_writer(a, a->writers.v[0]);
			p = account_journal(a, box, PACKED_WRITE |
			    account_may_make(a, box), why);
			if (p == NULL)
				return NULL;
			*ARRAY_PUSH(&a->writers) = p;
		}
		if ((rc = packed_lock(p, why)) == 0)
			return p;
		account_drop_writer(a, p);
		if (rc == -1) {
			(void)account_io(a, why);
			return NULL;
		}
	}
	(void)account_say(a, ACCOUNT_INUSE, why, "%s is being replaced",
	    a->path);
	return NULL;
}
