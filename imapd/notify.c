/* SPDX-License-Identifier: ISC */
/*
 * notify - see notify.h.
 *
 * A look compares what is there with what the client was last told, so what
 * happens several times between two looks is said once, and nothing is kept
 * but a few numbers a mailbox.
 */
#include "base/mem.h"
#include "imapd/notify.h"

/* --- mailboxes that are not selected --------------------------------------------- */

static struct notify_box *
find_box(struct notify *n, uint32_t box, const char *name)
{
	for (size_t i = 0; i < n->boxes.len; i++) {
		struct notify_box *b = &n->boxes.v[i];

		if (box != 0 ? b->box == box :
		    b->box == 0 && strcmp(b->name, name) == 0)
			return b;
	}
	return NULL;
}

static bool
is_selected(const struct imap *im, uint32_t box)
{
	return im->box != NULL && mailbox_box(im->box) == box;
}

/* What of a mailbox's state the events tell (RFC 5465 5.1 to 5.3). */
static void
put_status(struct imap *im, const struct account_box *b, unsigned events,
    const struct mailbox_status *st)
{
	buf_add_str(&im->out, "* STATUS ");
	put_mailbox(im, &im->out, span_of(b->name));
	buf_addf(&im->out, " (MESSAGES %u", st->messages);
	if (events & EVENT_NEW)
		buf_addf(&im->out, " UIDNEXT %u", st->uidnext);
	buf_addf(&im->out, " UIDVALIDITY %u", st->uidvalidity);
	if (events & EVENT_FLAGS)
		buf_addf(&im->out, " UNSEEN %u", st->unseen);
	if ((events & EVENT_FLAGS) || IMAP_HAS(im, CONDSTORE))
		buf_addf(&im->out, " HIGHESTMODSEQ %ju",
		    (uintmax_t)st->modseq);
	buf_add_str(&im->out, ")\r\n");
}

static bool
changed(unsigned events, const struct mailbox_status *was,
    const struct mailbox_status *is)
{
	if (was->uidvalidity != is->uidvalidity)
		return true;
	if ((events & EVENT_NEW) && was->uidnext != is->uidnext)
		return true;
	/* What left: as many as came would be there otherwise. */
	if ((events & EVENT_EXPUNGE) && was->messages != is->messages)
		return true;
	return (events & EVENT_FLAGS) && was->modseq != is->modseq;
}

static void
look_at_box(struct imap *im, const struct account_box *b,
    struct notify_box *nb, unsigned events, bool say)
{
	struct mailbox_status st;

	if (account_status(im->account, b->box, &st, NULL) != 0)
		return;
	if ((say || changed(events, &nb->st, &st)) &&
	    !is_selected(im, b->box))
		put_status(im, b, events, &st);
	nb->st = st;
}

/* --- the list ----------------------------------------------------------------------- */

static void
put_gone(struct imap *im, const struct notify_box *nb)
{
	buf_add_str(&im->out, "* LIST (\\NonExistent) \"/\" ");
	put_mailbox(im, &im->out, span_of(nb->name));
	buf_add_str(&im->out, "\r\n");
}

static void
put_name(struct imap *im, const struct account_box *b, const char *old)
{
	buf_add_str(&im->out, "* LIST (");
	if (b->flags & BOX_NONEXISTENT)
		buf_add_str(&im->out, "\\NonExistent");
	if (b->flags & BOX_SUBSCRIBED)
		buf_addf(&im->out, "%s\\Subscribed",
		    b->flags & BOX_NONEXISTENT ? " " : "");
	buf_add_str(&im->out, ") \"/\" ");
	put_mailbox(im, &im->out, span_of(b->name));
	if (old) {
		buf_add_str(&im->out, " (\"OLDNAME\" (");
		put_mailbox(im, &im->out, span_of(old));
		buf_add_str(&im->out, "))");
	}
	buf_add_str(&im->out, "\r\n");
}

/* One entry of the list, new or known.  say: of changes; status: of all. */
static void
look_at_entry(struct imap *im, const struct account_box *b, bool say,
    bool status)
{
	struct notify *n = im->notify;
	struct notify_box *nb = find_box(n, b->box, b->name);
	unsigned events = notify_events(n, b);
	bool fresh = nb == NULL;

	if (fresh) {
		if (b->flags & BOX_NONEXISTENT &&
		    !(b->flags & BOX_SUBSCRIBED))
			return;
		nb = ARRAY_PUSH(&n->boxes);
		nb->name = mem_strdup(b->name);
		nb->box = b->box;
		nb->flags = b->flags;
		if (say && (events & EVENT_NAME) && b->box != 0)
			put_name(im, b, NULL);
	} else if (strcmp(nb->name, b->name) != 0) {
		if (say && (events & EVENT_NAME))
			put_name(im, b, nb->name);
		mem_free(nb->name);
		nb->name = mem_strdup(b->name);
	}
	if (say && !fresh && ((nb->flags ^ b->flags) & BOX_SUBSCRIBED) &&
	    (events & EVENT_SUBSCRIPTION))
		put_name(im, b, NULL);
	nb->flags = b->flags;
	nb->there = true;
	if (!(events & EVENT_MESSAGES) || b->box == 0 ||
	    (b->flags & BOX_NOSELECT))
		return;
	if (!nb->watched && im->watch)
		nb->watched = store_watch_add(im->watch, im->account, b->box,
		    NULL) == 0;
	look_at_box(im, b, nb, events, status || (fresh && say));
}

/* A name is judged by what it was: its entry is not there any more. */
static unsigned
events_of_gone(const struct notify *n, const struct notify_box *nb)
{
	struct account_box b = { .box = nb->box, .name = nb->name,
	    .flags = nb->flags };

	return notify_events(n, &b);
}

static void
look(struct imap *im, bool say, bool status)
{
	struct notify *n = im->notify;
	struct why why = WHY_INIT;

	if (account_refresh(im->account, &why) < 0)
		return;
	for (size_t i = 0; i < n->boxes.len; i++)
		n->boxes.v[i].there = false;
	for (size_t i = 0; i < account_count(im->account); i++)
		look_at_entry(im, account_box(im->account, i), say, status);
	for (size_t i = n->boxes.len; i > 0; i--) {
		struct notify_box *nb = &n->boxes.v[i - 1];

		if (nb->there)
			continue;
		if (say && nb->box != 0 &&
		    (events_of_gone(n, nb) & EVENT_NAME))
			put_gone(im, nb);
		mem_free(nb->name);
		ARRAY_DROP(&n->boxes, i - 1);
	}
}

/* --- the selected mailbox ------------------------------------------------------------ */

/* RFC 5465 5.2: what the client wants to see of new messages. */
void
notify_fetch_new(struct imap *im, uint32_t from)
{
	struct notify *n = im->notify;

	if (n == NULL || n->fetch == NULL)
		return;
	for (uint32_t seq = from; seq <= mailbox_count(im->box); seq++)
		fetch_one(im, n->fetch, seq);
}

static void
look_at_selected(struct imap *im)
{
	bool delayed;

	if (im->box == NULL || notify_selected(im->notify, &delayed) == 0)
		return;
	/* EXPUNGE is welcome now, unless it is to wait for a command. */
	sync_report(im, !delayed || im->mode == MODE_IDLE);
}

void
notify_changed(struct imap *im)
{
	look_at_selected(im);
	if (im->mode != MODE_END)
		look(im, true, false);
}

bool
notify_wants_selected(const struct imap *im)
{
	bool delayed;

	return !im->notify_none && (im->notify == NULL ||
	    notify_selected(im->notify, &delayed) != 0);
}

void
notify_forget(struct imap *im)
{
	notify_free(&im->notify);
}

static void
watch(struct imap *im)
{
	struct notify *n = im->notify;

	imap_watch_start(im);
	if (im->watch && store_watch_add(im->watch, im->account, 0, NULL) != 0)
		imap_watch_stop(im);
	for (size_t i = 0; i < n->boxes.len; i++)
		n->boxes.v[i].watched = false;
}

void
notify_rewatch(struct imap *im)
{
	if (im->notify == NULL)
		return;
	watch(im);
	look(im, true, false);
}

/* --- the command ---------------------------------------------------------------------- */

static void
start(struct imap *im, struct notify *n)
{
	notify_free(&im->notify);
	imap_watch_stop(im);
	if (account_count(im->account) > NOTIFY_BOXES_MAX) {
		notify_free(&n);
		imap_no(im, "NOTIFICATIONOVERFLOW", "Too many mailboxes.");
		return;
	}
	im->notify = n;
	watch(im);
	look(im, false, n->status);
	imap_done(im);
}

void
cmd_notify(struct imap *im, struct scan *s)
{
	struct notify *n;
	struct span word;

	if (!scan_sp(s) || !scan_atom(s, &word)) {
		imap_refuse(im, s);
	} else if (span_caseis(word, "NONE") && scan_end(s)) {
		notify_free(&im->notify);
		imap_watch_stop(im);
		im->notify_none = true;
		imap_done(im);
	} else if (!span_caseis(word, "SET")) {
		scan_bad(s, "SET or NONE expected.");
		imap_refuse(im, s);
	} else if ((n = notify_scan(im, s)) == NULL) {
		imap_refuse(im, s);
	} else {
		im->notify_none = false;
		start(im, n);
	}
}
