/* SPDX-License-Identifier: ISC */
/*
 * mailbox_rest - a view that is kept, unused, for who opens its mailbox next.
 *
 * POP3 clients come every few minutes and find the same messages.  A view
 * that would have to be brought up to date is not worth it: it is closed, and
 * what has happened is found as by everybody who opens a mailbox.  Nor is one of
 * a maildir, which holds the names of all files in memory.
 */
#include "store/mailbox_internal.h"

bool
store_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	    a->st_size == b->st_size && a->st_nlink == b->st_nlink &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool
mailbox_rest(struct mailbox *m)
{
	if (m->md != NULL || m->gone || m->whole || m->nexpunged > 0 ||
	    m->shown != record_count(m))
		return false;
	/* As when it is closed, for those who open it meanwhile. */
	mailbox_tidy(m);
	return fstat(m->p->jfd, &m->rested) == 0 && m->rested.st_nlink > 0 &&
	    (uint64_t)m->rested.st_size == m->p->head.state.tail;
}

static bool
is_allowed(const struct mailbox *m)
{
	const struct acct_box *b = account_box_by_id(m->a, m->box);

	return b != NULL && !b->gone && (b->flags & BOX_NOSELECT) == 0 &&
	    account_rights(m->a, m->box) == m->rights &&
	    (m->rights & RIGHT_READ) != 0;
}

bool
mailbox_wake(struct mailbox *m)
{
	struct stat now;

	return is_allowed(m) && fstat(m->p->jfd, &now) == 0 &&
	    store_same_file(&now, &m->rested) && mailbox_uidls_hold(m);
}
