/* SPDX-License-Identifier: ISC */
/*
 * notify_parse - the arguments of NOTIFY; see notify.h.
 */
#include "base/mem.h"
#include "imapd/notify.h"

#define EVENTS_WE_KNOW	"BADEVENT (MessageNew MessageExpunge FlagChange " \
			"MailboxName SubscriptionChange " \
			"MailboxMetadataChange ServerMetadataChange)"

void
notify_free(struct notify **np)
{
	struct notify *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->boxes.len; i++)
		mem_free(n->boxes.v[i].name);
	ARRAY_FINI(&n->boxes);
	arena_fini(&n->arena);
	mem_free(n);
}

static const struct { const char *name; enum notify_filter filter; }
filters[] = {
	{ "selected", FILTER_SELECTED },
	{ "selected-delayed", FILTER_SELECTED_DELAYED },
	{ "inboxes", FILTER_INBOXES }, { "personal", FILTER_PERSONAL },
	{ "subscribed", FILTER_SUBSCRIBED }, { "subtree", FILTER_SUBTREE },
	{ "mailboxes", FILTER_MAILBOXES },
	{ "subtree-one", FILTER_SUBTREE_ONE },
};

static const struct { const char *name; unsigned bit; } events[] = {
	{ "MessageNew", EVENT_NEW }, { "MessageExpunge", EVENT_EXPUNGE },
	{ "FlagChange", EVENT_FLAGS }, { "MailboxName", EVENT_NAME },
	{ "SubscriptionChange", EVENT_SUBSCRIPTION },
	{ "MailboxMetadataChange", EVENT_METADATA },
	{ "ServerMetadataChange", EVENT_SERVER_METADATA },
};

static bool
scan_names(struct scan *s, struct arena *a, struct notify_group *g)
{
	bool list;
	struct span name;

	if (!scan_sp(s))
		return false;
	list = scan_is(s, '(');
	if (list && !scan_open(s))
		return false;
	g->names = arena_alloc(a,
	    NOTIFY_NAMES_MAX * sizeof(g->names[0]));
	do {
		if (g->nnames == NOTIFY_NAMES_MAX)
			return scan_no(s, "NOTIFICATIONOVERFLOW",
			    "Too many mailboxes");
		if (!scan_mailbox(s, &name))
			return false;
		g->names[g->nnames++] = span_make(arena_span_dup(a, name),
		    name.len);
	} while (list && scan_take(s, ' '));
	return !list || scan_close(s);
}

bool
notify_scan_filter(struct scan *s, struct arena *a, struct notify_group *g)
{
	struct span word;
	size_t i = 0;

	if (!scan_atom(s, &word))
		return false;
	while (i < ARRAY_LEN(filters) && !span_caseis(word, filters[i].name))
		i++;
	if (i == ARRAY_LEN(filters))
		return scan_bad(s, "Unknown mailbox specifier.");
	g->filter = filters[i].filter;
	return g->filter < FILTER_SUBTREE || scan_names(s, a, g);
}

static bool
scan_event(struct imap *im, struct scan *s, struct notify *n,
    struct notify_group *g)
{
	struct span word;

	if (!scan_atom(s, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (!span_caseis(word, events[i].name))
			continue;
		g->events |= events[i].bit;
		if (events[i].bit != EVENT_NEW || !scan_is(s, ' ') ||
		    s->at + 1 >= s->in.len || s->in.p[s->at + 1] != '(')
			return true;
		if (g->filter > FILTER_SELECTED_DELAYED)
			return scan_bad(s, "Only the selected mailbox has "
			    "fetch items.");
		scan_sp(s);
		n->fetch = fetch_scan_kept(im, s, &n->arena);
		return n->fetch != NULL;
	}
	return scan_no(s, EVENTS_WE_KNOW, "Unsupported event.");
}

/* RFC 5465 5: what goes only together, and what only elsewhere. */
static bool
check_events(struct scan *s, const struct notify_group *g)
{
	unsigned both = EVENT_NEW | EVENT_EXPUNGE;

	if ((g->events & EVENT_MESSAGES) && (g->events & both) != both)
		return scan_bad(s, "MessageNew and MessageExpunge go "
		    "together.");
	if (g->filter <= FILTER_SELECTED_DELAYED &&
	    (g->events & ~(unsigned)EVENT_MESSAGES))
		return scan_bad(s, "The selected mailbox has message events "
		    "only.");
	return true;
}

static bool
scan_group(struct imap *im, struct scan *s, struct notify *n)
{
	struct notify_group *g = &n->groups[n->ngroups];

	if (n->ngroups++ == NOTIFY_GROUPS_MAX)
		return scan_no(s, "NOTIFICATIONOVERFLOW", "Too many groups");
	if (!scan_open(s) || !notify_scan_filter(s, &n->arena, g))
		return false;
	if (g->filter == FILTER_SUBTREE_ONE)
		return scan_bad(s, "Unknown mailbox specifier.");
	for (size_t k = 0; g->filter <= FILTER_SELECTED_DELAYED &&
	    k + 1 < n->ngroups; k++)
		if (n->groups[k].filter <= FILTER_SELECTED_DELAYED)
			return scan_bad(s, "The selected mailbox is named "
			    "twice.");	/* RFC 5465 6.1 */
	if (!scan_sp(s))
		return false;
	if (scan_take_word(s, "NONE"))
		return scan_close(s);
	if (!scan_open(s))
		return false;
	do {
		if (!scan_event(im, s, n, g))
			return false;
	} while (scan_take(s, ' '));
	if (!scan_close(s))
		return false;
	return scan_close(s) && check_events(s, g);
}

struct notify *
notify_scan(struct imap *im, struct scan *s)
{
	struct notify *n = mem_zalloc(sizeof(*n));
	bool ok;

	if (scan_is(s, ' ') && span_casestarts(span_from(s->in, s->at + 1),
	    SPAN("STATUS "))) {
		scan_sp(s);
		n->status = scan_take_word(s, "STATUS");
	}
	do {
		ok = scan_sp(s) && scan_group(im, s, n);
	} while (ok && scan_is(s, ' '));
	if (!ok || !scan_end(s))
		notify_free(&n);
	return n;
}

unsigned
notify_selected(const struct notify *n, bool *delayed)
{
	*delayed = false;
	for (size_t i = 0; i < n->ngroups; i++)
		if (n->groups[i].filter <= FILTER_SELECTED_DELAYED) {
			*delayed = n->groups[i].filter ==
			    FILTER_SELECTED_DELAYED;
			return n->groups[i].events;
		}
	return 0;
}

/* Whether name is top, or below it; children: only one level. */
static bool
is_below(struct span name, struct span top, bool children)
{
	if (span_eq(name, top))
		return true;
	return name.len > top.len && span_starts(name, top) &&
	    name.p[top.len] == '/' &&
	    (!children || span_find(span_from(name, top.len + 1), '/') < 0);
}

bool
notify_filter_has(struct account *a, const struct notify_group *g,
    const struct account_box *b)
{
	struct span name = span_of(b->name);

	switch (g->filter) {
	case FILTER_SELECTED:
	case FILTER_SELECTED_DELAYED:
		return false;
	case FILTER_INBOXES:		/* where mail is delivered to */
		return b->box == ACCOUNT_INBOX;
	case FILTER_PERSONAL:		/* without what others share */
		return account_is_personal(a, name);
	case FILTER_SUBSCRIBED:
		return (b->flags & BOX_SUBSCRIBED) != 0;
	case FILTER_SUBTREE:
	case FILTER_SUBTREE_ONE:
		for (size_t i = 0; i < g->nnames; i++)
			if (is_below(name, g->names[i],
			    g->filter == FILTER_SUBTREE_ONE))
				return true;
		return false;
	case FILTER_MAILBOXES:
		for (size_t i = 0; i < g->nnames; i++)
			if (span_eq(name, g->names[i]))
				return true;
		return false;
	}
	return false;
}

unsigned
notify_events(struct account *a, const struct notify *n,
    const struct account_box *b)
{
	unsigned all = 0;

	/* RFC 5465 6: what several groups ask for is added up. */
	for (size_t i = 0; i < n->ngroups; i++)
		if (notify_filter_has(a, &n->groups[i], b))
			all |= n->groups[i].events;
	return all;
}
