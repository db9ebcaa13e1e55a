/* SPDX-License-Identifier: ISC */
/*
 * keep - what stays of a maildrop for the user's next session.
 *
 * Clients come every few minutes and ask for the unique ids of all messages,
 * which are the same as before.  So the mailbox stays open while the process
 * rests, with the sum of its sizes, and the answer to UIDL, once it was asked
 * for a second time: in a file without a name, from which it is sent without
 * being copied.  mailbox_wake() says whether all of it still holds, at each
 * login; else it is as if nothing had been kept.  One drop is kept; of two
 * sessions at once the other opens the mailbox for itself.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "io/fd.h"
#include "pop3d/pop3.h"

/*
 * The answer to UIDL, in bytes.  Below the first sending it from a file costs
 * as much as making it; above the second it is made each time, so that users
 * who rest have no more than that.
 */
#define READY_MIN	(128u * 1024)
#define READY_MAX	(1024u * 1024)
#define STEP		(64u * 1024)

static struct drop kept = { .ready = -1 };

static void
discard(struct drop *d)
{
	mailbox_close(&d->box);
	fd_close(&d->ready);
}

bool
drop_take_kept(struct drop *d, uint32_t box)
{
	if (kept.box == NULL)
		return false;
	if (mailbox_box(kept.box) != box || !mailbox_wake(kept.box)) {
		discard(&kept);
		return false;
	}
	d->box = kept.box;
	d->size = kept.size;
	d->listed = kept.listed;
	d->ready = kept.ready;
	d->ready_len = kept.ready_len;
	kept.box = NULL;
	kept.ready = -1;
	return true;
}

void
drop_keep(struct drop *d)
{
	if (d->box == NULL || d->changed || kept.box != NULL ||
	    !mailbox_rest(d->box)) {
		discard(d);
		return;
	}
	kept.box = d->box;
	kept.size = d->size;
	kept.listed = d->listed;
	kept.ready = d->ready;
	kept.ready_len = d->ready_len;
	d->box = NULL;
	d->ready = -1;
}

void
drop_forget(void)
{
	discard(&kept);
}

/* --- the answer to UIDL ------------------------------------------------------------------ */

/* Write all of it; -1: it does not fit, or there is no memory. */
static int
write_uidl(struct drop *d, int fd)
{
	struct listing l;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	buf_add_str(&b, "+OK\r\n");
	list_begin(&l, true);
	d->ready_len = 0;
	while (l.active && rc == 0) {
		list_some(&l, d, &b, STEP);
		d->ready_len += (off_t)b.len;
		if (d->ready_len > (off_t)READY_MAX ||
		    fd_write_all(fd, b.data, b.len) < 0)
			rc = -1;
		buf_reset(&b);
	}
	buf_fini(&b);
	return rc;
}

bool
drop_uidl_ready(struct drop *d)
{
	int fd;

	if (d->deleted > 0)
		return false;
	if (d->ready >= 0)
		return true;
	if (!d->listed) {
		d->listed = true;
		return false;
	}
	if (d->no_ready || (uint64_t)d->count * UIDL_LINE > READY_MAX ||
	    (uint64_t)d->count * UIDL_LINE < READY_MIN)
		return false;
	d->no_ready = true;
	fd = memfd_create("uidl", MFD_CLOEXEC);
	if (fd >= 0 && write_uidl(d, fd) == 0)
		d->ready = fd;
	else
		fd_close(&fd);
	return d->ready >= 0;
}
