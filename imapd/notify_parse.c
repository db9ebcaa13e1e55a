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
};

static const struct { const char *name; unsigned bit; } events[] = {
	{ "MessageNew", EVENT_NEW }, { "MessageExpunge", EVENT_EXPUNGE },
	{ "FlagChange", EVENT_FLAGS }, { "MailboxName", EVENT_NAME },
	{ "SubscriptionChange", EVENT_SUBSCRIPTION },
	{ "MailboxMetadataChange", EVENT_METADATA },
	{ "ServerMetadataChange", EVENT_SERVER_METADATA },
};

static bool
scan_names(struct scan *s, struct notify *n, struct notify_group *g)
{
	bool list;
	struct span name;

	if (!scan_sp(s))
		return false;
	list = scan_is(s, '(');
	if (list && !scan_open(s))
		return false;
	g->names = arena_alloc(&n->arena,
	    NOTIFY_NAMES_MAX * sizeof(g->names[0]));
	do {
		if (g->nnames == NOTIFY_NAMES_MAX)
			return scan_no(s, "NOTIFICATIONOVERFLOW",
			    "Too many mailboxes");
		if (!scan_mailbox(s, &name))
			return false;
		g->names[g->nnames++] = span_make(arena_span_dup(&n->arena,
		    name), name.len);
	} while (list && scan_take(s, ' '));
	return !list || scan_close(s);
}

/* A list, whatever is in it: sections have lists in them, too. */
static bool
skip_list(struct scan *s)
{
	int depth = 0;

	do {
		int c = scan_peek(s);
		struct span drop;

		if (c < 0)
			return scan_bad(s, "')' expected.");
		if (c == '"') {
			if (!scan_string(s, &drop))
				return false;
			continue;
		}
		depth += c == '(' ? 1 : c == ')' ? -1 : 0;
		s->at++;
	} while (depth > 0);
	return true;
}

/* What to fetch of new messages: items of a FETCH without its set. */
static bool
scan_fetch_items(struct imap *im, struct scan *s, struct notify *n)
{
	size_t from = s->at;
	struct scan again;
	struct span text;

	/* It outlives the command: parse a copy into the arena that stays. */
	if (!skip_list(s))
		return false;
	text = span_sub(s->in, from, s->at - from);
	scan_init(&again, span_make(arena_span_dup(&n->arena, text), text.len),
	    &n->arena);
	n->fetch = arena_zalloc(&n->arena, sizeof(*n->fetch));
	if (fetch_scan_items(im, &again, n->fetch) &&
	    scan_end(&again))
		return true;
	return scan_bad(s, again.err ? again.err : "Invalid fetch items.");
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
		return scan_fetch_items(im, s, n);
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
	struct span word;
	size_t i = 0;

	if (n->ngroups++ == NOTIFY_GROUPS_MAX)
		return scan_no(s, "NOTIFICATIONOVERFLOW", "Too many groups");
	if (!scan_open(s) || !scan_atom(s, &word))
		return false;
	while (i < ARRAY_LEN(filters) && !span_caseis(word, filters[i].name))
		i++;
	if (i == ARRAY_LEN(filters))
		return scan_bad(s, "Unknown mailbox specifier.");
	g->filter = filters[i].filter;
	for (size_t k = 0; g->filter <= FILTER_SELECTED_DELAYED &&
	    k + 1 < n->ngroups; k++)
		if (n->groups[k].filter <= FILTER_SELECTED_DELAYED)
			return scan_bad(s, "The selected mailbox is named "
			    "twice.");	/* RFC 5465 6.1 */
	if (g->filter >= FILTER_SUBTREE && !scan_names(s, n, g))
		return false;
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
	return scan_close(s) && scan_close(s) && check_events(s, g);
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

static bool
group_has(const struct notify_group *g, const struct account_box *b)
{
	struct span name = span_of(b->name);

	switch (g->filter) {
	case FILTER_SELECTED:
	case FILTER_SELECTED_DELAYED:
		return false;
	case FILTER_INBOXES:		/* where mail is delivered to */
		return b->box == ACCOUNT_INBOX;
	case FILTER_PERSONAL:
		return true;
	case FILTER_SUBSCRIBED:
		return (b->flags & BOX_SUBSCRIBED) != 0;
	case FILTER_SUBTREE:
		for (size_t i = 0; i < g->nnames; i++)
			if (span_eq(name, g->names[i]) ||
			    (span_starts(name, g->names[i]) &&
			    name.p[g->names[i].len] == '/'))
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
notify_events(const struct notify *n, const struct account_box *b)
{
	unsigned all = 0;

	/* RFC 5465 6: what several groups ask for is added up. */
	for (size_t i = 0; i < n->ngroups; i++)
		if (group_has(&n->groups[i], b))
			all |= n->groups[i].events;
	return all;
}
