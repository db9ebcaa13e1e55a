/* SPDX-License-Identifier: ISC */
/*
 * notify - see notify.h.
 *
 * A look compares what is there with what the client was last told, so what
 * happens several times between two looks is said once, and nothing is kept
 * but a few numbers a mailbox.
 */
#include <limits.h>

#include "base/log.h"
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

enum look {
	LOOK_FIRST,		/* note what is there */
	LOOK_FIRST_STATUS,	/* and say STATUS of it */
	LOOK_CHANGES,		/* say what is new */
	LOOK_OWN,		/* but for its name: the client knows */
};

static void
look_at_box(struct imap *im, const struct account_box *b,
    struct notify_box *nb, unsigned events, enum look how)
{
	struct mailbox_status st;
	bool say;

	if (account_status(im->account, b->box, &st, NULL) != 0)
		return;
	say = how == LOOK_FIRST_STATUS ||
	    (how != LOOK_FIRST && changed(events, &nb->st, &st));
	if (say && !is_selected(im, b->box))
		put_status(im, b, events, &st);
	nb->st = st;
}

/* --- the list ----------------------------------------------------------------------- */

/* Of another account's it is the right that is gone (RFC 5465 5.9). */
static void
put_gone(struct imap *im, const struct notify_box *nb, bool others)
{
	buf_addf(&im->out, "* LIST (\\NonExistent%s) \"/\" ",
	    others ? " \\NoAccess" : "");
	put_mailbox(im, &im->out, span_of(nb->name));
	buf_add_str(&im->out, "\r\n");
}

struct renamed {			/* the last one in this look */
	char		*old, *name;
};

/* RFC 5465 5.4: children that went with their parent are not told of. */
static bool
went_along(const struct renamed *r, const char *old, const char *name)
{
	size_t n, m;

	if (r->old == NULL)
		return false;
	n = strlen(r->old);
	m = strlen(r->name);
	return strncmp(old, r->old, n) == 0 && old[n] == '/' &&
	    strncmp(name, r->name, m) == 0 && strcmp(old + n, name + m) == 0;
}

static void
look_at_name(struct imap *im, const struct account_box *b,
    struct notify_box *nb, struct renamed *r, bool say)
{
	bool along = went_along(r, nb->name, b->name);

	if (say && !along)
		list_one(im, b, nb->name, true);
	if (!along) {
		mem_free(r->old);
		mem_free(r->name);
		r->old = mem_strdup(nb->name);
		r->name = mem_strdup(b->name);
	}
	mem_free(nb->name);
	nb->name = mem_strdup(b->name);
}

/*
 * Whether what happens there may be told: that needs "l" and "r" (RFC 5465
 * 5), and the client hears where they are wanting, come or go (3.1, 5.9).
 */
static bool
has_access(struct imap *im, const struct account_box *b,
    struct notify_box *nb, unsigned events)
{
	const unsigned need = RIGHT_LOOKUP | RIGHT_READ;
	bool was = !nb->no_access;

	if (events == 0 || b->box == 0 || (b->flags & BOX_NOSELECT))
		return true;
	nb->no_access = (account_rights(im->account, b->box) & need) != need;
	if (was && nb->no_access)
		list_no_access(im, b);
	else if (!was && !nb->no_access)
		list_one(im, b, NULL, true);
	return !nb->no_access;
}

/* One entry of the list, new or known. */
static void
look_at_entry(struct imap *im, const struct account_box *b, enum look how,
    struct renamed *r)
{
	struct notify *n = im->notify;
	struct notify_box *nb = find_box(n, b->box, b->name);
	unsigned events = notify_events(im->account, n, b), other;
	bool fresh = nb == NULL, say = how == LOOK_CHANGES;

	if (fresh) {
		if (b->flags & BOX_NONEXISTENT &&
		    !(b->flags & BOX_SUBSCRIBED))
			return;
		nb = ARRAY_PUSH(&n->boxes);
		nb->name = mem_strdup(b->name);
		nb->box = b->box;
		nb->flags = b->flags;
		if (say && (events & EVENT_NAME) && b->box != 0)
			list_one(im, b, NULL, true);
	} else if (strcmp(nb->name, b->name) != 0) {
		look_at_name(im, b, nb, r, say && (events & EVENT_NAME));
	} else {
		/* That it got its first child or lost the last one is told
		 * with the child (RFC 5465 5.4). */
		other = nb->flags ^ b->flags;
		if (say && (((other & BOX_SUBSCRIBED) &&
		    (events & EVENT_SUBSCRIPTION)) ||
		    ((other & BOX_CHILDREN) && (events & EVENT_NAME))))
			list_one(im, b, NULL, true);
	}
	nb->flags = b->flags;
	nb->there = true;
	if (!has_access(im, b, nb, events))
		return;
	if (!(events & EVENT_MESSAGES) || b->box == 0 ||
	    (b->flags & BOX_NOSELECT))
		return;
	if (!nb->watched && im->watch)
		nb->watched = store_watch_add(im->watch, im->account, b->box,
		    NULL) == 0;
	look_at_box(im, b, nb, events, fresh && how == LOOK_OWN ? LOOK_FIRST :
	    how);
}

/* A name is judged by what it was: its entry is not there any more. */
static unsigned
events_of_gone(struct imap *im, const struct notify_box *nb)
{
	struct account_box b = { .box = nb->box, .name = nb->name,
	    .flags = nb->flags };

	return notify_events(im->account, im->notify, &b);
}

/* RFC 5465 5.6, 5.7: the names of entries that have changed. */
static void
put_metadata(void *arg, uint32_t box, const char *entry)
{
	struct imap *im = arg;
	const struct account_box *b = NULL;

	if (box == 0) {
		bool wanted = false;

		for (size_t i = 0; i < im->notify->ngroups; i++)
			wanted |= (im->notify->groups[i].events &
			    EVENT_SERVER_METADATA) != 0;
		if (!wanted)
			return;
	} else if ((b = account_by_id(im->account, box)) == NULL ||
	    account_metadata_may(im->account, box, NULL) != 0 ||
	    !(notify_events(im->account, im->notify, b) & EVENT_METADATA)) {
		return;
	}
	buf_add_str(&im->out, "* METADATA ");
	put_mailbox(im, &im->out, b ? span_of(b->name) : SPAN_EMPTY);
	buf_add_char(&im->out, ' ');
	put_astring(&im->out, span_of(entry));
	buf_add_str(&im->out, "\r\n");
}

static void
look(struct imap *im, enum look how)
{
	struct notify *n = im->notify;
	struct renamed r = { NULL, NULL };
	struct why why = WHY_INIT;

	if (account_refresh(im->account, &why) < 0)
		return;
	for (size_t i = 0; i < n->boxes.len; i++)
		n->boxes.v[i].there = false;
	for (size_t i = 0; i < account_count(im->account); i++)
		look_at_entry(im, account_box(im->account, i), how, &r);
	mem_free(r.old);
	mem_free(r.name);
	for (size_t i = n->boxes.len; i > 0; i--) {
		struct notify_box *nb = &n->boxes.v[i - 1];
		bool others;

		if (nb->there)
			continue;
		others = account_is_mounted(im->account, span_of(nb->name));
		if (how == LOOK_CHANGES && nb->box != 0 &&
		    (events_of_gone(im, nb) & (others ? UINT_MAX :
		    EVENT_NAME)) != 0)
			put_gone(im, nb, others);
		mem_free(nb->name);
		ARRAY_DROP(&n->boxes, i - 1);
	}
	if (how == LOOK_CHANGES)
		account_metadata_since(im->account, n->metadata,
		    put_metadata, im);
	n->metadata = account_metadata_changes(im->account);
}

/* --- the selected mailbox ------------------------------------------------------------ */

/*
 * RFC 5465 5.2, 7: what the client wants to see of new messages, in one FETCH
 * for each; with MODSEQ and UID for who knows of them (RFC 7162 3.2.4).
 */
void
notify_fetch_new(struct imap *im, uint32_t from)
{
	static struct fetch_item items[] = {
		{ .kind = FETCH_MODSEQ }, { .kind = FETCH_UID } };
	/* UIDFETCH says the UID anyway. */
	const struct fetch condstore = { .items = items,
		.nitems = IMAP_HAS(im, UIDONLY) ? 1 : 2 };
	const struct fetch *always = im->notify ? im->notify->fetch : NULL;
	struct arena arena = ARENA_INIT;

	if (always == NULL && im->contexts == NULL)
		return;
	for (uint32_t seq = from; seq <= mailbox_count(im->box); seq++) {
		uint32_t uid = mailbox_uid(im->box, seq);
		struct fetch f = { .items = NULL };

		if (ranges_has(&im->own, uid))
			continue;
		if (always)
			fetch_merge(&arena, &f, always);
		if (context_wants(im, uid, &arena, &f)) {
			if (IMAP_HAS(im, CONDSTORE))
				fetch_merge(&arena, &f, &condstore);
			fetch_one(im, &f, seq);
		}
		arena_reset(&arena);
	}
	arena_fini(&arena);
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
		look(im, LOOK_CHANGES);
}

static bool
name_is_below(const char *name, const char *top)
{
	size_t n = strlen(top);

	return strncmp(name, top, n) == 0 && name[n] == '/';
}

void
notify_own(struct imap *im, const struct account_box *b)
{
	struct renamed r = { NULL, NULL };

	if (im->notify == NULL || b == NULL || (b->flags & BOX_HIDDEN))
		return;
	look_at_entry(im, b, LOOK_OWN, &r);
	for (size_t i = 0; i < account_count(im->account); i++) {
		const struct account_box *c = account_box(im->account, i);

		if (name_is_below(c->name, b->name) &&
		    find_box(im->notify, c->box, c->name) != NULL)
			look_at_entry(im, c, LOOK_OWN, &r);
	}
	mem_free(r.old);
	mem_free(r.name);
}

void
notify_own_deleted(struct imap *im, uint32_t box)
{
	struct notify *n = im->notify;

	for (size_t i = 0; n != NULL && i < n->boxes.len; i++)
		if (n->boxes.v[i].box == box && box != 0) {
			mem_free(n->boxes.v[i].name);
			ARRAY_DROP(&n->boxes, i);
			return;
		}
}

void
notify_own_messages(struct imap *im, uint32_t box, const struct ranges *uids)
{
	if (is_selected(im, box) && (im->contexts != NULL ||
	    (im->notify != NULL && im->notify->fetch != NULL)))
		ranges_merge(&im->own, uids);
}

bool
notify_wants_flags(const struct imap *im)
{
	bool delayed;

	return im->notify == NULL ||
	    (notify_selected(im->notify, &delayed) & EVENT_FLAGS) != 0;
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
	struct why why = WHY_INIT;
	uint32_t list;

	imap_watch_start(im);
	if (im->watch && store_watch_add(im->watch, im->account, 0, NULL) != 0)
		imap_watch_stop(im);
	/* What others share, and with which rights. */
	for (size_t i = 0; im->watch &&
	    (list = account_mount_list(im->account, i)) != 0; i++)
		if (store_watch_add(im->watch, im->account, list, &why) != 0)
			log_warning("imap: %s: changes are not seen: %s",
			    im->conn->facts.id, why.text);
	for (size_t i = 0; i < n->boxes.len; i++)
		n->boxes.v[i].watched = false;
}

void
notify_rewatch(struct imap *im)
{
	if (im->notify == NULL)
		return;
	watch(im);
	look(im, LOOK_CHANGES);
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
	/* RFC 5465 3.1: what has gathered is said first. */
	sync_report(im, true);
	if (im->mode == MODE_END) {
		notify_free(&n);
		return;
	}
	im->notify = n;
	watch(im);
	look(im, n->status ? LOOK_FIRST_STATUS : LOOK_FIRST);
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
