/* SPDX-License-Identifier: ISC */
/*
 * context - search results that are kept up to date: RETURN (UPDATE) and
 * CANCELUPDATE (RFC 5267 4.3, RFC 5465 7).
 *
 * A context holds its search keys and the UIDs of what was found.  Messages
 * that came, or whose flags changed, are gathered in im->touched by whoever
 * tells the client of that; context_search() searches among them, and
 * context_tell() says what joined and what left.  Context positions are 0, mailbox order, but for SORT
 * (context_order.c).
 *
 * A search that takes longer than it may at such a moment ends the updates
 * with NOUPDATE.
 */
#include "base/mem.h"
#include "imapd/context_order.h"
#include "imapd/fetch.h"

#define TELL_US		200000		/* for one context, in one go */

struct search_context {
	struct search_context *next;
	struct arena	 arena;		/* of keys and fetch */
	char		 tag[IMAP_TAG_MAX + 1];
	bool		 uid;		/* say UIDs */
	bool		 correlate;
	struct search	*keys;		/* pinned; NULL before the start */
	struct fetch	*fetch;		/* of new messages, or NULL */
	struct ranges	 found;		/* UIDs */
	struct ranges	 joined, left;	/* since; still to be told */
	bool		 sorted;
	struct context_order order;	/* of found, if it is */
};

static struct search_context *
find(const struct imap *im, const char *tag)
{
	struct search_context *c = im->contexts;

	while (c != NULL && strcmp(c->tag, tag) != 0)
		c = c->next;
	return c;
}

struct search_context *
context_new(struct imap *im)
{
	struct search_context *c;

	if (find(im, im->tag) != NULL)
		return NULL;
	c = mem_zalloc(sizeof(*c));
	c->arena = ARENA_INIT;
	snprintf(c->tag, sizeof(c->tag), "%s", im->tag);
	c->uid = (im->cmd->flags & CMD_UID) != 0;
	return c;
}

void
context_free(struct search_context **cp)
{
	struct search_context *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->keys)
		search_unpin(c->keys);
	ranges_fini(&c->found);
	ranges_fini(&c->joined);
	ranges_fini(&c->left);
	context_order_fini(&c->order);
	arena_fini(&c->arena);
	mem_free(c);
}

struct arena *
context_arena(struct search_context *c)
{
	return &c->arena;
}

bool
context_scan_fetch(struct imap *im, struct scan *s, struct search_context *c)
{
	/* RFC 5465 has no space in its grammar (8), and one in its example. */
	if (!scan_is(s, '(')) {
		if (!scan_is(s, ' ') || s->at + 1 >= s->in.len ||
		    s->in.p[s->at + 1] != '(')
			return true;
		scan_sp(s);
	}
	c->fetch = fetch_scan_kept(im, s, &c->arena);
	return c->fetch != NULL;
}

static void
no_update(struct imap *im, const struct search_context *c, const char *text)
{
	buf_add_str(&im->out, "* NO [NOUPDATE ");
	put_string(&im->out, span_of(c->tag));
	buf_addf(&im->out, "] %s\r\n", text);
}

void
context_start(struct imap *im, struct search_cmd *cmd, const uint32_t *seqs,
    size_t n)
{
	struct search_context *c = cmd->context, **last = &im->contexts;
	size_t count = 0;

	for (; *last != NULL; last = &(*last)->next)
		count++;
	/* Scores are those of one search. */
	if (count >= CONTEXTS_MAX || im->limited_to != 0 ||
	    cmd->sort.relevancy) {
		no_update(im, c, cmd->sort.relevancy ? "Not for RELEVANCY." :
		    im->limited_to != 0 ? "Too many messages." :
		    "Too many contexts.");
		context_free(&cmd->context);
		return;
	}
	cmd->context = NULL;
	*last = c;
	c->keys = cmd->keys;
	c->correlate = cmd->verb == VERB_MULTI;
	c->sorted = cmd->verb == VERB_SORT;
	search_pin(im, c->keys);
	if (c->sorted)
		context_order_init(&c->order, im, &cmd->sort, seqs, n);
	for (size_t i = 0; i < n; i++) {
		uint32_t uid = mailbox_uid(im->box, seqs[i]);

		ranges_add(&c->found, uid, uid);
	}
}

void
context_forget(struct imap *im)
{
	while (im->contexts != NULL) {
		struct search_context *c = im->contexts;

		im->contexts = c->next;
		context_free(&c);
	}
	ranges_fini(&im->touched);
}

/* --- telling ------------------------------------------------------------------------- */

/* "* ESEARCH (TAG "x") UID" */
static void
put_start(struct imap *im, const struct search_context *c)
{
	buf_add_str(&im->out, "* ESEARCH ");
	search_put_correlator(im, c->tag, c->correlate ? im->box : NULL);
	if (c->uid)
		buf_add_str(&im->out, " UID");
}

static void
put_update(struct imap *im, const struct search_context *c, const char *what,
    const struct ranges *uids)
{
	struct ranges seqs = RANGES_INIT;

	if (uids->len == 0)
		return;
	buf_addf(&im->out, " %s (0 ", what);
	if (c->uid) {
		ranges_print(uids, &im->out);
	} else {
		(void)imap_resolve(im, uids, true, &seqs);
		ranges_print(&seqs, &im->out);
		ranges_fini(&seqs);
	}
	buf_add_char(&im->out, ')');
}

static uint32_t
number_of(void *arg, uint32_t uid)
{
	return mailbox_seq(((struct imap *)arg)->box, uid);
}

/*
 * RFC 5267 4.3.4: before EXPUNGE, with the numbers that hold until then.  The
 * view has forgotten them, but each entry says its number after those before
 * it were gone.
 */
struct expunged {
	const struct mailbox_expunge *v;	/* by UID, ascending */
	size_t		 n;
};

static uint32_t
expunged_number(void *arg, uint32_t uid)
{
	const struct expunged *e = arg;
	size_t low = 0, high = e->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e->v[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < e->n ? e->v[low].seq + (uint32_t)low : 0;
}

static void
tell_expunged(struct imap *im, struct search_context *c,
    const struct mailbox_expunge *v, size_t n)
{
	struct ranges gone = RANGES_INIT, numbers = RANGES_INIT;
	struct expunged e = { v, n };

	for (size_t i = 0; i < n; i++) {
		uint32_t number = c->uid ? v[i].uid : v[i].seq + (uint32_t)i;

		if (!ranges_has(&c->found, v[i].uid))
			continue;
		ranges_add(&gone, v[i].uid, v[i].uid);
		ranges_add(&numbers, number, number);
		ranges_remove(&c->found, v[i].uid, v[i].uid);
	}
	if (gone.len > 0) {
		put_start(im, c);
		if (c->sorted) {
			context_order_remove(&c->order, &gone,
			    c->uid ? NULL : expunged_number, &e, &im->out);
		} else {
			buf_add_str(&im->out, " REMOVEFROM (0 ");
			ranges_print(&numbers, &im->out);
			buf_add_char(&im->out, ')');
		}
		buf_add_str(&im->out, "\r\n");
	}
	ranges_fini(&gone);
	ranges_fini(&numbers);
}

void
context_expunged(struct imap *im, const struct mailbox_expunge *v, size_t n)
{
	for (struct search_context *c = im->contexts; c != NULL; c = c->next)
		tell_expunged(im, c, v, n);
	for (size_t i = 0; i < n && im->touched.len > 0; i++)
		ranges_remove(&im->touched, v[i].uid, v[i].uid);
}

/* Which of the messages seqs are found now.  -1: it takes too long. */
static int
search_again(struct imap *im, struct search_context *c,
    const struct ranges *seqs, struct ranges *uids)
{
	struct search_run *r;
	const uint32_t *v = NULL;
	const char *code, *text;
	size_t n = 0;
	int rc = -1;

	search_refresh(im, c->keys);
	r = search_begin(im, c->keys, seqs);
	if (search_step(r, TELL_US) == STEP_DONE)
		rc = search_result(r, &v, &n, &code, &text);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		uint32_t uid = mailbox_uid(im->box, v[i]);

		ranges_add(uids, uid, uid);
	}
	search_end(&r);
	return rc;
}

static void
without(struct ranges *a, const struct ranges *b)
{
	for (size_t i = 0; i < b->len && a->len > 0; i++)
		ranges_remove(a, b->v[i].lo, b->v[i].hi);
}

/* -1: there are too many to sort them. */
static int
put_changes(struct imap *im, struct search_context *c,
    const struct ranges *left, const struct ranges *joined)
{
	size_t before = im->out.len;

	put_start(im, c);
	if (!c->sorted) {
		put_update(im, c, "REMOVEFROM", left);
		put_update(im, c, "ADDTO", joined);
	} else {
		context_order_remove(&c->order, left, c->uid ? NULL :
		    number_of, im, &im->out);
		if (context_order_add(&c->order, im, joined, c->uid) != 0) {
			buf_trunc(&im->out, before);
			return -1;
		}
	}
	buf_add_str(&im->out, "\r\n");
	return 0;
}

/* What joined and left it.  -1: it takes too long. */
static int
look(struct imap *im, struct search_context *c, const struct ranges *seqs)
{
	struct ranges is = RANGES_INIT;
	int rc = search_again(im, c, seqs, &is);

	if (rc == 0) {
		ranges_copy(&c->joined, &is);
		without(&c->joined, &c->found);
		ranges_copy(&c->left, &c->found);
		ranges_intersect(&c->left, &im->touched);
		without(&c->left, &is);
	}
	ranges_fini(&is);
	return rc;
}

static int
tell(struct imap *im, struct search_context *c)
{
	int rc = 0;

	if (c->joined.len > 0 || c->left.len > 0) {
		rc = put_changes(im, c, &c->left, &c->joined);
		without(&c->found, &c->left);
		ranges_merge(&c->found, &c->joined);
	}
	ranges_reset(&c->joined);
	ranges_reset(&c->left);
	return rc;
}

/* The one at *cp cannot be kept up to date. */
static void
give_up(struct imap *im, struct search_context **cp)
{
	struct search_context *c = *cp;

	no_update(im, c, "Searching takes too long.");
	*cp = c->next;
	context_free(&c);
}

void
context_search(struct imap *im)
{
	struct search_context **cp = &im->contexts;
	struct ranges seqs = RANGES_INIT;

	if (im->contexts == NULL || im->touched.len == 0 || im->box == NULL)
		return;
	(void)imap_resolve(im, &im->touched, true, &seqs);
	while (*cp != NULL) {
		if (look(im, *cp, &seqs) == 0)
			cp = &(*cp)->next;
		else
			give_up(im, cp);
	}
	ranges_fini(&seqs);
	ranges_reset(&im->touched);
}

bool
context_wants(const struct imap *im, uint32_t uid, struct arena *a,
    struct fetch *f)
{
	for (const struct search_context *c = im->contexts; c != NULL;
	    c = c->next)
		if (c->fetch != NULL && ranges_has(&c->joined, uid))
			fetch_merge(a, f, c->fetch);
	return f->nitems > 0;
}

void
context_tell(struct imap *im)
{
	struct search_context **cp = &im->contexts;

	while (*cp != NULL) {
		if (tell(im, *cp) == 0)
			cp = &(*cp)->next;
		else
			give_up(im, cp);
	}
}

void
context_touch(struct imap *im, uint32_t uid)
{
	if (im->contexts != NULL)
		ranges_add(&im->touched, uid, uid);
}

void
context_touch_all(struct imap *im, const struct ranges *uids)
{
	if (im->contexts != NULL)
		ranges_merge(&im->touched, uids);
}

/* --- CANCELUPDATE (RFC 5267 4.3.5) ---------------------------------------------------- */

static void
cancel(struct imap *im, struct span tag)
{
	for (struct search_context **cp = &im->contexts; *cp != NULL;
	    cp = &(*cp)->next) {
		struct search_context *c = *cp;

		if (!span_is(tag, c->tag))
			continue;
		*cp = c->next;
		context_free(&c);
		return;
	}
}

void
cmd_cancelupdate(struct imap *im, struct scan *s)
{
	struct scan first = *s;
	struct span tag;

	/* All of them or none. */
	do {
		if (!scan_sp(s) || !scan_string(s, &tag)) {
			imap_refuse(im, s);
			return;
		}
	} while (scan_is(s, ' '));
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	while (scan_sp(&first) && scan_string(&first, &tag))
		cancel(im, tag);
	imap_ok(im, NULL, "No further updates.");
}
