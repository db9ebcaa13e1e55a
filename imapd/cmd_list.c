/* SPDX-License-Identifier: ISC */
/*
 * cmd_list - LIST and LSUB (RFC 9051 6.3.9, RFC 3501 6.3.9, RFC 5258 LIST-
 * EXTENDED, RFC 5819 LIST-STATUS, RFC 6154 SPECIAL-USE).
 */
#include "imapd/imap.h"
#include "imapd/pattern.h"

#define PATTERNS_MAX	64

enum {					/* list.select */
	SELECT_SUBSCRIBED = 1 << 0, SELECT_REMOTE = 1 << 1,
	SELECT_RECURSIVE = 1 << 2, SELECT_SPECIAL = 1 << 3,
	SELECT_BASE = SELECT_SUBSCRIBED | SELECT_SPECIAL,
};
enum {					/* list.give */
	GIVE_SUBSCRIBED = 1 << 0, GIVE_CHILDREN = 1 << 1,
	GIVE_SPECIAL = 1 << 2, GIVE_STATUS = 1 << 3,
	GIVE_MYRIGHTS = 1 << 4, GIVE_METADATA = 1 << 5,
};

struct list_cmd {
	bool		 lsub, extended;
	bool		 delimiter;	/* "" is one of the patterns */
	unsigned	 select, give, status;
	struct span	 ref;
	struct span	 patterns[PATTERNS_MAX];
	size_t		 npatterns;
	struct metadata_get *metadata;
};

/* --- the answer -------------------------------------------------------------------- */

static void
put_attr(struct buf *b, const char *name)
{
	if (b->data[b->len - 1] != '(')
		buf_add_char(b, ' ');
	buf_add_str(b, name);
}

static void
put_attributes(struct imap *im, const struct list_cmd *l,
    const struct account_box *box)
{
	struct buf *b = &im->out;

	if (box->flags & BOX_NONEXISTENT) {
		/* RFC 9051 7.3.1: \NonExistent implies \Noselect, for those
		 * that know it. */
		if (l->extended || IMAP_HAS(im, REV2))
			put_attr(b, "\\NonExistent");
		else
			put_attr(b, "\\Noselect");
	} else if (box->flags & (BOX_NOSELECT | BOX_NOREAD)) {
		put_attr(b, "\\Noselect");
	}
	if (box->flags & BOX_CHILDREN)
		put_attr(b, "\\HasChildren");
	else if (box->flags & BOX_NOINFERIORS)
		put_attr(b, "\\NoInferiors");
	else
		put_attr(b, "\\HasNoChildren");
	if (((l->give & GIVE_SUBSCRIBED) || (l->select & SELECT_SUBSCRIBED)) &&
	    (box->flags & BOX_SUBSCRIBED))
		put_attr(b, "\\Subscribed");
	for (unsigned bit = 1; bit <= box->special; bit <<= 1)
		if (box->special & bit)
			put_attr(b, account_use_name(bit));
}

static void
put_list(struct imap *im, const struct list_cmd *l,
    const struct account_box *box, bool childinfo)
{
	buf_add_str(&im->out, "* LIST (");
	put_attributes(im, l, box);
	buf_add_str(&im->out, ") \"/\" ");
	put_mailbox(im, &im->out, span_of(box->name));
	if (childinfo)
		buf_addf(&im->out, " (\"CHILDINFO\" (%s%s%s))",
		    l->select & SELECT_SUBSCRIBED ? "\"SUBSCRIBED\"" : "",
		    (l->select & SELECT_BASE) == SELECT_BASE ? " " : "",
		    l->select & SELECT_SPECIAL ? "\"SPECIAL-USE\"" : "");
	buf_add_str(&im->out, "\r\n");
}

void
list_one(struct imap *im, const struct account_box *b, const char *old,
    bool subscribed)
{
	const struct list_cmd l = { .extended = true,
	    .give = subscribed ? GIVE_SUBSCRIBED : 0 };

	buf_add_str(&im->out, "* LIST (");
	put_attributes(im, &l, b);
	buf_add_str(&im->out, ") \"/\" ");
	put_mailbox(im, &im->out, span_of(b->name));
	if (old) {
		buf_add_str(&im->out, " (\"OLDNAME\" (");
		put_mailbox(im, &im->out, span_of(old));
		buf_add_str(&im->out, "))");
	}
	buf_add_str(&im->out, "\r\n");
}

void
list_no_access(struct imap *im, const struct account_box *b)
{
	buf_add_str(&im->out, "* LIST (\\NoAccess) \"/\" ");
	put_mailbox(im, &im->out, span_of(b->name));
	buf_add_str(&im->out, "\r\n");
}

/* --- which mailboxes ----------------------------------------------------------------- */

static bool
matches(const struct list_cmd *l, struct span name, bool *percent)
{
	*percent = false;
	for (size_t i = 0; i < l->npatterns; i++)
		if (pattern_match(l->patterns[i], name)) {
			*percent = span_find(l->patterns[i], '%') >= 0;
			return true;
		}
	return false;
}

/* It meets the selection by itself. */
static bool
selected(const struct list_cmd *l, const struct account_box *b)
{
	/* What is only subscribed to is no mailbox. */
	if ((b->flags & BOX_NONEXISTENT) && !(b->flags & BOX_CHILDREN) &&
	    !(l->select & SELECT_SUBSCRIBED))
		return false;
	if ((l->select & SELECT_SPECIAL) && b->special == 0)
		return false;
	return !(l->select & SELECT_SUBSCRIBED) ||
	    (b->flags & BOX_SUBSCRIBED);
}

/*
 * RFC 5258 3, example 11: what does not exist itself is named for those below
 * it that no pattern lets through.
 */
static bool
is_needed(struct imap *im, const struct list_cmd *l, size_t i)
{
	const struct account_box *b = account_box(im->account, i);
	struct span name = span_of(b->name);
	bool percent;

	if (!l->extended || !(b->flags & BOX_NONEXISTENT) ||
	    !(b->flags & BOX_CHILDREN) || (l->select & SELECT_SUBSCRIBED))
		return true;
	while (++i < account_count(im->account)) {
		struct span below;

		b = account_box(im->account, i);
		below = span_of(b->name);
		if (!span_starts(below, name))
			break;
		if (below.len > name.len && below.p[name.len] == '/' &&
		    !(b->flags & BOX_NONEXISTENT) &&
		    !matches(l, below, &percent))
			return true;
	}
	return false;
}

/*
 * What RECURSIVEMATCH tells of the mailboxes below the one of row i, which
 * follow it: *any of them are selected, and *hidden: one is that no pattern
 * lets through.
 */
static void
look_below(struct imap *im, const struct list_cmd *l, size_t i, bool *any,
    bool *hidden)
{
	struct span name = span_of(account_box(im->account, i)->name);
	bool percent;

	*any = *hidden = false;
	if (!(l->select & SELECT_RECURSIVE))
		return;
	while (++i < account_count(im->account) && !*hidden) {
		const struct account_box *b = account_box(im->account, i);
		struct span below = span_of(b->name);

		if (!span_starts(below, name))
			break;
		if (below.len == name.len || below.p[name.len] != '/' ||
		    !selected(l, b))
			continue;
		*any = true;
		*hidden = !matches(l, below, &percent);
	}
}

static void
list_box(struct imap *im, const struct list_cmd *l, size_t i)
{
	const struct account_box *b = account_box(im->account, i);
	struct why why = WHY_INIT;
	bool percent, any, hidden;

	if (!matches(l, span_of(b->name), &percent))
		return;
	if (l->lsub) {
		/* RFC 3501 6.3.9: a parent that "%" stops at. */
		bool parent = !(b->flags & BOX_SUBSCRIBED);

		if (parent && !(percent && (b->flags & BOX_SUBSCRIBED_CHILD)))
			return;
		buf_addf(&im->out, "* LSUB (%s) \"/\" ",
		    parent ? "\\Noselect" : "");
		put_mailbox(im, &im->out, span_of(b->name));
		buf_add_str(&im->out, "\r\n");
		return;
	}
	look_below(im, l, i, &any, &hidden);
	/* RFC 5258 4: a parent that is not selected itself is named only for
	 * those below it that are not listed. */
	if (!(selected(l, b) ? is_needed(im, l, i) : hidden))
		return;
	put_list(im, l, b, any);
	/* RFC 5819 2, RFC 9590 4: only of what can be selected and is no mere
	 * parent; no answer on failure. */
	if ((b->flags & (BOX_NOSELECT | BOX_NONEXISTENT)) || !selected(l, b))
		return;
	if (l->give & GIVE_MYRIGHTS)
		acl_put_myrights(im, b);
	if (l->give & GIVE_METADATA)
		metadata_put(im, b, l->metadata);
	if ((l->give & GIVE_STATUS) && !(b->flags & BOX_NOREAD) &&
	    status_put(im, b, l->status, &why) != 0)
		buf_addf(&im->out, "* NO Status of a mailbox is not known: "
		    "%.100s\r\n", why.text);
}

/* --- the command ---------------------------------------------------------------------- */

static bool
scan_select_options(struct scan *s, struct list_cmd *l)
{
	struct span word;

	if (!scan_open(s))
		return false;
	while (!scan_is(s, ')')) {
		if (!scan_atom(s, &word))
			return false;
		if (span_caseis(word, "SUBSCRIBED"))
			l->select |= SELECT_SUBSCRIBED;
		else if (span_caseis(word, "REMOTE"))
			l->select |= SELECT_REMOTE;
		else if (span_caseis(word, "RECURSIVEMATCH"))
			l->select |= SELECT_RECURSIVE;
		else if (span_caseis(word, "SPECIAL-USE"))
			l->select |= SELECT_SPECIAL;
		else
			return scan_bad(s, "Unknown select option.");
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	/* RFC 5258 3.1: it modifies another criterion. */
	if ((l->select & SELECT_RECURSIVE) &&
	    !(l->select & SELECT_BASE))
		return scan_bad(s, "RECURSIVEMATCH needs another selection.");
	return scan_close(s);
}

static bool
scan_return_options(struct imap *im, struct scan *s, struct list_cmd *l)
{
	struct span word;

	if (!scan_open(s))
		return false;
	while (!scan_is(s, ')')) {
		if (!scan_atom(s, &word))
			return false;
		if (span_caseis(word, "SUBSCRIBED")) {
			l->give |= GIVE_SUBSCRIBED;
		} else if (span_caseis(word, "CHILDREN")) {
			l->give |= GIVE_CHILDREN;
		} else if (span_caseis(word, "SPECIAL-USE")) {
			l->give |= GIVE_SPECIAL;
		} else if (span_caseis(word, "STATUS")) {
			l->give |= GIVE_STATUS;
			if (!scan_sp(s) || !status_scan(im, s, &l->status))
				return false;
		} else if (span_caseis(word, "MYRIGHTS")) {
			l->give |= GIVE_MYRIGHTS;	/* RFC 8440 */
		} else if (span_caseis(word, "METADATA")) {
			l->give |= GIVE_METADATA;	/* RFC 9590 */
			if (!scan_sp(s) || !metadata_scan(s, &l->metadata))
				return false;
		} else {
			return scan_bad(s, "Unknown return option.");
		}
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	return scan_close(s);
}

/* The reference stands in front, unless the pattern is absolute; no level of
 * ours begins with a delimiter. */
static bool
scan_one_pattern(struct scan *s, struct list_cmd *l)
{
	struct span p;
	char *joined;

	if (!scan_pattern(s, &p))
		return false;
	/* RFC 5258 3: it asks for the delimiter, or matches nothing. */
	if (p.p != NULL && p.len == 0 && !l->lsub) {
		l->delimiter = true;
		return true;
	}
	if (p.p == NULL || l->ref.p == NULL)
		return true;
	if (l->npatterns == PATTERNS_MAX)
		return scan_no(s, "LIMIT", "Too many patterns");
	joined = arena_alloc(s->arena, l->ref.len + p.len + 1);
	if (l->ref.len > 0)
		memcpy(joined, l->ref.p, l->ref.len);
	memcpy(joined + l->ref.len, p.p, p.len);
	p = span_make(joined, l->ref.len + p.len);
	/* "If a server doesn't accept a particular pattern, it MUST silently
	 * ignore it" (the same). */
	if (pattern_sane(p))
		l->patterns[l->npatterns++] = p;
	return true;
}

static bool
scan_patterns(struct scan *s, struct list_cmd *l)
{
	if (!scan_is(s, '('))
		return scan_one_pattern(s, l);
	l->extended = true;
	if (!scan_open(s))
		return false;
	while (scan_one_pattern(s, l)) {
		if (scan_is(s, ')'))
			return scan_close(s);
		if (!scan_sp(s))
			return false;
	}
	return false;
}

static bool
scan_list(struct imap *im, struct scan *s, struct list_cmd *l)
{
	if (!scan_sp(s))
		return false;
	if (scan_is(s, '(') && !l->lsub) {
		l->extended = true;
		if (!scan_select_options(s, l) || !scan_sp(s))
			return false;
	}
	if (!scan_pattern(s, &l->ref) || !scan_sp(s) || !scan_patterns(s, l))
		return false;
	if (scan_is(s, ' ') && !l->lsub) {
		l->extended = true;
		if (!scan_sp(s) || !scan_take_word(s, "RETURN") ||
		    !scan_sp(s) || !scan_return_options(im, s, l))
			return scan_bad(s, "Invalid LIST arguments.");
	}
	return scan_end(s);
}

static void
list_or_lsub(struct imap *im, struct scan *s, bool lsub)
{
	struct list_cmd *l = arena_zalloc(&im->arena, sizeof(*l));
	struct why why = WHY_INIT;

	l->lsub = lsub;
	if (!scan_list(im, s, l)) {
		imap_refuse(im, s);
		return;
	}
	if (account_refresh(im->account, &why) < 0) {
		imap_fail(im, &why);
		return;
	}
	if (!l->extended && l->delimiter) {
		/* RFC 9051 6.3.9: the delimiter is asked for. */
		buf_add_str(&im->out, "* LIST (\\Noselect) \"/\" \"\"\r\n");
		imap_done(im);
		return;
	}
	/* Remote mailboxes are a superset, of which we have none. */
	for (size_t i = 0; i < account_count(im->account); i++)
		list_box(im, l, i);
	imap_done(im);
}

void
cmd_list(struct imap *im, struct scan *s)
{
	list_or_lsub(im, s, false);
}

void
cmd_lsub(struct imap *im, struct scan *s)
{
	list_or_lsub(im, s, true);
}
