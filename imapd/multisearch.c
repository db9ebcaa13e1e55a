/* SPDX-License-Identifier: ISC */
/*
 * multisearch - ESEARCH: one search in several mailboxes (RFC 7377).
 *
 * The mailboxes are searched one after the other, with slices of time as
 * SEARCH has them; all together may take as long as one SEARCH.  While a
 * slice runs the mailbox at hand stands in im->box, and the selected one is
 * put back behind it: everybody else sees the selected one only.
 *
 * The keys are read anew for each mailbox, as UIDs "*" and "$" mean other
 * messages there.
 */
#include "base/mem.h"
#include "imapd/notify.h"
#include "imapd/search.h"

#define SOURCES_MAX	32		/* filters in one command */
#define STEP_US		20000

struct multi {
	struct search_cmd cmd;
	struct notify_group sources[SOURCES_MAX];
	size_t		 nsources;
	struct scan	 keys;		/* before the first key */
	struct arena	 arena;		/* of the keys of this mailbox */
	uint32_t	*boxes;		/* to search */
	size_t		 nboxes, at;
	struct mailbox	*box;		/* at hand, if not the selected one */
	bool		 selected;	/* it is */
	int64_t		 used_us;	/* by those before it */
};

static void
done_with_box(struct multi *m)
{
	if (m->cmd.run)
		m->used_us = search_used_us(m->cmd.run);
	search_end(&m->cmd.run);
	mailbox_close(&m->box);
	arena_reset(&m->arena);
	m->selected = false;
}

static void
multi_abort(struct imap *im)
{
	struct multi *m = im->step_data;

	done_with_box(m);
	arena_fini(&m->arena);
	context_free(&m->cmd.context);
}

/* --- one mailbox ------------------------------------------------------------------ */

/* Open it and begin to search.  False: there is nothing to be seen by us. */
static bool
begin_box(struct imap *im, struct multi *m, uint32_t box)
{
	struct mailbox *selected = im->box;
	struct scan s = m->keys;

	m->selected = selected != NULL && mailbox_box(selected) == box;
	if (!m->selected) {
		/* RFC 7377 2.2: what may not be read is passed over. */
		m->box = mailbox_open(im->account, box, MAILBOX_READONLY, NULL);
		if (m->box == NULL)
			return false;
		im->box = m->box;
	}
	s.arena = m->selected && m->cmd.context ?
	    context_arena(m->cmd.context) : &m->arena;
	m->cmd.keys = search_parse(im, &s);
	if (m->cmd.keys) {
		m->cmd.run = search_begin(im, m->cmd.keys, NULL);
		search_charge(m->cmd.run, m->used_us);
		if (m->cmd.give & RETURN_RELEVANCY)
			search_want_scores(m->cmd.run);
	}
	im->box = selected;
	return m->cmd.keys != NULL;
}

/* Of a mailbox that was searched; n is not 0 unless it is the selected one. */
static void
answer_box(struct imap *im, struct multi *m, const uint32_t *seqs, size_t n)
{
	struct mailbox *selected = im->box;

	if (m->box)
		im->box = m->box;
	if (n > 0 && (m->cmd.give & RETURN_DATA))
		search_put_extended(im, &m->cmd, seqs, n);
	if (m->selected && (m->cmd.give & RETURN_SAVE))
		search_save(im, &m->cmd, seqs, n);
	if (m->selected && m->cmd.context)
		context_start(im, &m->cmd, seqs, n);
	im->box = selected;
}

static enum step_result
search_box(struct imap *im, struct multi *m)
{
	struct mailbox *selected = im->box;
	enum step_result r;

	if (m->box)
		im->box = m->box;
	r = search_step(m->cmd.run, STEP_US);
	im->box = selected;
	return r;
}

static void
multi_end(struct imap *im, struct multi *m, const char *code,
    const char *text)
{
	im->step_abort = NULL;
	if (text && (m->cmd.give & RETURN_SAVE))
		ranges_reset(&im->saved);	/* RFC 5182 2.1 */
	done_with_box(m);
	arena_fini(&m->arena);
	context_free(&m->cmd.context);
	if (text)
		imap_no(im, code, "%s", text);
	else
		imap_done(im);
}

static enum step_result
multi_step(struct imap *im)
{
	struct multi *m = im->step_data;
	const char *code = NULL, *text = "";
	const uint32_t *seqs = NULL;
	size_t n = 0;

	if (imap_out_full(im))
		return STEP_FULL;
	if (m->cmd.run == NULL) {
		if (m->at == m->nboxes) {
			multi_end(im, m, NULL, NULL);
			return STEP_DONE;
		}
		/* Mailboxes, as nobody has counted the messages in them. */
		im->done = m->at;
		im->goal = m->nboxes;
		if (!begin_box(im, m, m->boxes[m->at++]))
			done_with_box(m);
		return STEP_MORE;
	}
	if (search_box(im, m) != STEP_DONE)
		return STEP_MORE;
	if (search_result(m->cmd.run, &seqs, &n, &code, &text) != 0) {
		multi_end(im, m, code, text);
		return STEP_DONE;
	}
	m->cmd.scores = (struct search_scores){ seqs,
	    search_scores(m->cmd.run), n };
	answer_box(im, m, seqs, n);
	done_with_box(m);
	return STEP_MORE;
}

/* --- the command -------------------------------------------------------------------- */

static bool
has_source(const struct imap *im, const struct multi *m,
    const struct account_box *b, bool selected)
{
	for (size_t i = 0; i < m->nsources; i++)
		if (m->sources[i].filter == FILTER_SELECTED ? selected :
		    notify_filter_has(im->account, &m->sources[i], b))
			return true;
	return false;
}

/* RFC 7377 2.2: named mailboxes need "r", which mailbox_open() asks for; the
 * others "l", too. */
static bool
is_named(const struct imap *im, const struct multi *m,
    const struct account_box *b)
{
	for (size_t i = 0; i < m->nsources; i++)
		if (m->sources[i].filter == FILTER_MAILBOXES &&
		    notify_filter_has(im->account, &m->sources[i], b))
			return true;
	return false;
}

static void
choose_once(struct multi *m, uint32_t box)
{
	for (size_t i = 0; i < m->nboxes; i++)
		if (m->boxes[i] == box)
			return;
	m->boxes[m->nboxes++] = box;
}

/* RFC 7377 2.2: one that is named needs no "l", so it may be in no list. */
static void
choose_hidden(struct imap *im, struct multi *m, const struct notify_group *g)
{
	for (size_t i = 0; i < g->nnames; i++) {
		const struct account_box *b = account_find(im->account,
		    g->names[i]);

		if (b != NULL && (b->flags & BOX_HIDDEN) &&
		    !(b->flags & BOX_NOSELECT))
			choose_once(m, b->box);
	}
}

static void
choose_boxes(struct imap *im, struct multi *m)
{
	size_t count = account_count(im->account), room = count + 1;

	for (size_t i = 0; i < m->nsources; i++)
		if (m->sources[i].filter == FILTER_MAILBOXES)
			room += m->sources[i].nnames;
	m->boxes = arena_alloc(&im->arena, room * sizeof(*m->boxes));
	for (size_t i = 0; i < count; i++) {
		const struct account_box *b = account_box(im->account, i);
		bool selected = im->box && mailbox_box(im->box) == b->box;

		if (b->box == 0 || (b->flags & (BOX_NOSELECT |
		    BOX_NONEXISTENT)) || !has_source(im, m, b, selected))
			continue;
		if (selected || is_named(im, m, b) ||
		    (account_rights(im->account, b->box) & RIGHT_LOOKUP))
			m->boxes[m->nboxes++] = b->box;
	}
	for (size_t i = 0; i < m->nsources; i++)
		if (m->sources[i].filter == FILTER_MAILBOXES)
			choose_hidden(im, m, &m->sources[i]);
		else if (m->sources[i].filter == FILTER_SELECTED)
			choose_once(m, mailbox_box(im->box));
}

/* "IN (personal subtree-one a)", after the word. */
static bool
scan_sources(struct imap *im, struct scan *s, struct multi *m)
{
	if (!scan_sp(s) || !scan_open(s))
		return false;
	do {
		struct notify_group *g = &m->sources[m->nsources];

		if (m->nsources == SOURCES_MAX)
			return scan_no(s, "LIMIT", "Too many sources");
		if (!notify_scan_filter(s, &im->arena, g))
			return false;
		if (g->filter == FILTER_SELECTED_DELAYED)
			return scan_bad(s, "Not a source.");
		m->nsources++;
		/* Scope options: there are none yet (RFC 7377 4). */
	} while (scan_take(s, ' '));
	return scan_close(s) && scan_sp(s);
}

static bool
scan_multi(struct imap *im, struct scan *s, struct multi *m)
{
	bool selected = false, other = false;
	const struct search *keys;

	if (!scan_sp(s))
		return false;
	if (scan_take_word(s, "IN")) {
		if (!scan_sources(im, s, m))
			return false;
	} else {
		m->sources[m->nsources++].filter = FILTER_SELECTED;
	}
	for (size_t i = 0; i < m->nsources; i++)
		if (m->sources[i].filter == FILTER_SELECTED)
			selected = true;
		else
			other = true;
	if (selected && im->box == NULL)
		return scan_bad(s, "No mailbox selected.");
	if (!search_scan_return(im, s, &m->cmd))
		return false;
	if (m->cmd.give == 0)
		m->cmd.give = RETURN_ALL;
	if ((m->cmd.give & RETURN_SAVE) && other)
		return scan_bad(s, "SAVE is for the selected mailbox.");
	if ((m->cmd.give & RETURN_UPDATE) && im->box == NULL)
		return scan_bad(s, "UPDATE is for the selected mailbox.");
	if (IMAP_HAS(im, UTF8) && scan_is_word(s, "CHARSET"))
		return scan_bad(s, "CHARSET is not allowed with UTF8=ACCEPT.");
	m->keys = *s;
	keys = search_parse(im, s);
	im->numbers = keys != NULL && search_has_numbers(keys);
	if (keys && (m->cmd.give & RETURN_RELEVANCY) && !search_has_fuzzy(keys))
		return scan_bad(s, "RELEVANCY without FUZZY.");
	if (keys && search_has_numbers(keys) && other)
		return scan_bad(s, "Message numbers are for the selected "
		    "mailbox.");
	return keys != NULL;
}

void
cmd_esearch(struct imap *im, struct scan *s)
{
	struct multi *m = arena_zalloc(&im->arena, sizeof(*m));
	struct why why = WHY_INIT;

	m->cmd.verb = VERB_MULTI;
	m->arena = ARENA_INIT;
	if (!scan_multi(im, s, m)) {
		context_free(&m->cmd.context);
		if (s->no && (m->cmd.give & RETURN_SAVE))
			ranges_reset(&im->saved);
		imap_refuse(im, s);
		return;
	}
	if (account_refresh(im->account, &why) < 0) {
		context_free(&m->cmd.context);
		imap_fail(im, &why);
		return;
	}
	choose_boxes(im, m);
	im->step_data = m;
	im->step_abort = multi_abort;
	imap_continue(im, multi_step);
}
