/* SPDX-License-Identifier: ISC */
/*
 * drop - the maildrop: a mailbox as POP3 sees it.
 *
 * Nothing is changed before QUIT.  The view of the mailbox is not refreshed
 * while the session lasts, so numbers hold still, and messages that an IMAP
 * client expunges meanwhile stay readable; at QUIT what is gone already is
 * passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fd.h"
#include "pop3d/pop3.h"

#define LOCK_NAME	"pop3.lock"
#define DAY_US		(86400 * INT64_C(1000000))

/* --- open and close ------------------------------------------------------------------------ */

/*
 * pop3d_lock_mailbox: one session at a time (RFC 1939 4), in whatever process
 * the other one is.  The lock ends with its descriptor.
 */
static int
lock(struct drop *d, const struct session_user *u, struct why *why)
{
	char *path = mem_printf("%s/%s/%s", u->base, u->path, LOCK_NAME);
	int rc = 0;

	d->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->lock < 0)
		rc = why_errno(why, "4.3.0", "%s", path);
	else if (flock(d->lock, LOCK_EX | LOCK_NB) < 0) {
		d->in_use = true;
		rc = why_set(why, "4.2.0", "another session has the mailbox");
	}
	mem_free(path);
	if (rc < 0)
		fd_close(&d->lock);
	return rc;
}

static int
find_box(struct account *a, uint32_t *box, struct why *why)
{
	const struct account_box *b;

	if (account_refresh(a, why) < 0)
		return -1;
	b = account_find(a, span_of(conf.pop3d_mailbox));
	if (b == NULL || b->box == 0)
		return why_set(why, "4.3.0", "pop3d_mailbox: no mailbox "
		    "\"%s\"", conf.pop3d_mailbox);
	*box = b->box;
	return 0;
}

static void
add_up(struct drop *d)
{
	uint32_t count = mailbox_count(d->box);

	for (uint32_t n = 1; n <= count; n++)
		d->size += drop_size(d, n);
}

int
drop_open(struct drop *d, struct session_conn *c, struct why *why)
{
	uint32_t box = 0;

	*d = (struct drop){ .lock = -1, .ready = -1 };
	d->account = session_account(c, why);
	if (d->account == NULL ||
	    (conf.pop3d_lock_mailbox && lock(d, c->user, why) < 0) ||
	    find_box(d->account, &box, why) < 0)
		return -1;
	if (!drop_take_kept(d, box)) {
		d->box = mailbox_open(d->account, box, 0, why);
		if (d->box == NULL)
			return -1;
		add_up(d);
	}
	d->count = mailbox_count(d->box);
	d->marks = mem_zalloc_array(d->count + 1, 1);
	return 0;
}

void
drop_close(struct drop *d)
{
	mem_free(d->marks);
	d->marks = NULL;
	drop_keep(d);
	fd_close(&d->lock);
}

/* --- marks ------------------------------------------------------------------------------------ */

uint64_t
drop_size(const struct drop *d, uint32_t n)
{
	return mailbox_lines_size(d->box, n);
}

void
drop_mark(struct drop *d, uint32_t n, uint8_t mark)
{
	if (mark == DROP_DELETED && (d->marks[n] & DROP_DELETED) == 0) {
		d->deleted++;
		d->deleted_size += drop_size(d, n);
	}
	d->marks[n] |= mark;
}

void
drop_reset(struct drop *d)
{
	for (uint32_t n = 1; n <= d->count; n++)
		d->marks[n] &= (uint8_t)~DROP_DELETED;
	d->deleted = 0;
	d->deleted_size = 0;
}

/* --- QUIT --------------------------------------------------------------------------------------- */

/* Whether pop3d_expire lets message n go: it was read, and is old enough. */
static bool
expired(const struct drop *d, uint32_t n, const struct mailbox_message *m,
    uint32_t days)
{
	if ((d->marks[n] & DROP_READ) == 0 && (m->flags & STORE_SEEN) == 0)
		return false;
	if (days == 0)
		return (d->marks[n] & DROP_READ) != 0;
	return clock_wall_us() - m->date_us > (int64_t)days * DAY_US;
}

static void
choose(const struct drop *d, struct ranges *seen, struct ranges *gone)
{
	bool expires = !span_caseis(span_of(conf.pop3d_expire), "never");
	struct mailbox_message m;
	uint32_t days = 0;

	if (expires && num_parse_u32(span_of(conf.pop3d_expire),
	    DROP_EXPIRE_MAX, &days) < 0)
		expires = false;
	for (uint32_t n = 1; n <= d->count; n++) {
		if ((d->marks[n] & (DROP_DELETED | DROP_READ)) == 0 &&
		    !expires)
			continue;
		if (!mailbox_message(d->box, n, &m))
			continue;
		if ((d->marks[n] & DROP_DELETED) ||
		    (expires && expired(d, n, &m, days)))
			ranges_add(gone, m.uid, m.uid);
		else if ((d->marks[n] & DROP_READ) &&
		    (m.flags & STORE_SEEN) == 0)
			ranges_add(seen, m.uid, m.uid);
	}
}

static int
set_seen(struct drop *d, const struct ranges *uids, struct why *why)
{
	struct flags_request r = {
		.uids = uids, .op = FLAGS_ADD, .flags = STORE_SEEN,
		.unchanged_since = UINT64_MAX,
	};
	struct flags_result out;

	return mailbox_store_flags(d->box, &r, &out, why);
}

static int
delete(struct drop *d, const struct ranges *uids, struct why *why)
{
	struct expunge_result gone;
	struct uid_result moved;
	unsigned use = 0;
	uint32_t to;

	if (strcmp(conf.pop3d_delete_action, "trash") == 0)
		use = USE_TRASH;
	else if (strcmp(conf.pop3d_delete_action, "archive") == 0)
		use = USE_ARCHIVE;
	if (use == 0)
		return mailbox_expunge(d->box, uids, true, &gone, why);
	if (account_special(d->account, use, &to, why) < 0)
		return -1;
	/* What is deleted in the trash itself is deleted. */
	if (to == mailbox_box(d->box))
		return mailbox_expunge(d->box, uids, true, &gone, why);
	return mailbox_move(d->box, uids, d->account, to, &moved, why);
}

int
drop_update(struct drop *d, uint32_t *gone, struct why *why)
{
	struct ranges seen = RANGES_INIT, dead = RANGES_INIT;
	struct why ignored = WHY_INIT;
	int rc = 0;

	choose(d, &seen, &dead);
	d->changed = seen.len > 0 || dead.len > 0;
	*gone = (uint32_t)ranges_count(&dead);
	/* A flag that cannot be set is no reason to keep mail. */
	if (seen.len > 0 && set_seen(d, &seen, &ignored) < 0)
		log_debug("pop3: \\Seen: %s", ignored.text);
	if (dead.len > 0)
		rc = delete(d, &dead, why);
	if (rc == 0 && (seen.len > 0 || dead.len > 0))
		rc = account_sync(d->account, why);
	ranges_fini(&seen);
	ranges_fini(&dead);
	return rc;
}
