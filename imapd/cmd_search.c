/* SPDX-License-Identifier: ISC */
/*
 * cmd_search - SEARCH, SORT and THREAD: RETURN options, the answers, "$"
 * (RFC 9051 6.4.4, RFC 4731 ESEARCH, RFC 5182 SEARCHRES, RFC 5256 SORT and
 * THREAD, RFC 5267 ESORT, RFC 7162, RFC 9394 PARTIAL).
 */
#include "imapd/search.h"

#define STEP_US		20000		/* then others are served */

/* --- arguments ------------------------------------------------------------------------ */

static bool
scan_window(struct scan *s, struct search_cmd *c)
{
	bool neg;
	uint32_t a, b;

	if (!scan_sp(s))
		return false;
	neg = scan_take(s, '-');
	if (!scan_nz_number(s, &a) || !scan_char(s, ':') ||
	    scan_take(s, '-') != neg || !scan_nz_number(s, &b))
		return scan_bad(s, "Invalid PARTIAL range.");
	c->from = neg ? -(int64_t)MIN(a, b) : MIN(a, b);
	c->to = neg ? -(int64_t)MAX(a, b) : MAX(a, b);
	return true;
}

static const struct { const char *name; unsigned bit; } options[] = {
	{ "MIN", RETURN_MIN }, { "MAX", RETURN_MAX }, { "ALL", RETURN_ALL },
	{ "COUNT", RETURN_COUNT }, { "SAVE", RETURN_SAVE },
	{ "PARTIAL", RETURN_PARTIAL }, { "UPDATE", RETURN_UPDATE },
	{ "CONTEXT", RETURN_CONTEXT },	/* RFC 5267 4.2: only a hint */
	{ "RELEVANCY", RETURN_RELEVANCY },	/* RFC 6203 4 */
};

static bool
scan_update(struct imap *im, struct scan *s, struct search_cmd *c)
{
	if (c->context == NULL && (c->context = context_new(im)) == NULL)
		return scan_bad(s, "The tag is in use.");
	return context_scan_fetch(im, s, c->context);
}

static bool
scan_option(struct imap *im, struct scan *s, struct search_cmd *c)
{
	struct span word;

	if (!scan_atom(s, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!span_caseis(word, options[i].name))
			continue;
		/* RFC 5267 4.4: not more than one. */
		if (options[i].bit & c->give & RETURN_PARTIAL)
			return scan_bad(s, "PARTIAL twice.");
		c->give |= options[i].bit;
		if (options[i].bit == RETURN_UPDATE)
			return scan_update(im, s, c);
		return options[i].bit != RETURN_PARTIAL || scan_window(s, c);
	}
	return scan_bad(s, "Unknown search return option.");
}

bool
search_scan_return(struct imap *im, struct scan *s, struct search_cmd *c)
{
	if (!scan_take_word(s, "RETURN"))
		return true;
	c->extended = true;
	if (!scan_sp(s) || !scan_open(s))
		return false;
	while (!scan_is(s, ')')) {
		if (!scan_option(im, s, c))
			return false;
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	/* RFC 4731 3.1, RFC 5267 4.3: "no interaction". */
	if (!(c->give & (RETURN_DATA | RETURN_SAVE | RETURN_UPDATE)))
		c->give |= RETURN_ALL;
	/* RFC 9394 3.1: they exclude each other. */
	if ((c->give & RETURN_ALL) && (c->give & RETURN_PARTIAL))
		return scan_bad(s, "ALL and PARTIAL together.");
	return scan_close(s) && scan_sp(s);
}

static bool
scan_algorithm(struct scan *s, struct search_cmd *c)
{
	struct span word;

	if (!scan_atom(s, &word))
		return false;
	if (span_caseis(word, "REFERENCES"))
		c->algorithm = THREAD_REFERENCES;
	else if (span_caseis(word, "ORDEREDSUBJECT"))
		c->algorithm = THREAD_ORDEREDSUBJECT;
	else
		return scan_bad(s, "Unknown thread algorithm.");
	return scan_sp(s);
}

static bool
wants_scores(const struct search_cmd *c)
{
	return (c->give & RETURN_RELEVANCY) || c->sort.relevancy;
}

/* Whether the charset that is next is UTF-8; s is a copy. */
static bool
names_utf8(struct scan s)
{
	struct span charset;

	return scan_astring(&s, &charset) && span_caseis(charset, "UTF-8");
}

static bool
scan_search(struct imap *im, struct scan *s, struct search_cmd *c)
{
	if (!scan_sp(s))
		return false;
	if (c->verb == VERB_THREAD) {
		if (!scan_algorithm(s, c))
			return false;
	} else if (!search_scan_return(im, s, c)) {
		return false;
	}
	if (c->verb == VERB_SORT && (!sort_scan(s, &c->sort) || !scan_sp(s)))
		return false;
	/* RFC 9755 3 */
	if (c->verb == VERB_SEARCH && IMAP_HAS(im, UTF8) &&
	    scan_is_word(s, "CHARSET"))
		return scan_bad(s, "CHARSET is not allowed with UTF8=ACCEPT.");
	if (c->verb != VERB_SEARCH && IMAP_HAS(im, UTF8) &&
	    !names_utf8(*s))
		return scan_bad(s, "The charset is UTF-8 with UTF8=ACCEPT.");
	if (c->context)			/* they stay when the command is over */
		s->arena = context_arena(c->context);
	c->keys = c->verb == VERB_SEARCH ? search_parse(im, s) :
	    search_parse_charset(im, s);
	s->arena = &im->arena;
	if (c->keys == NULL)
		return false;
	/* RFC 6203 4, 6 */
	if (wants_scores(c) && !search_has_fuzzy(c->keys))
		return scan_bad(s, "RELEVANCY without FUZZY.");
	return true;
}

/* --- answers ---------------------------------------------------------------------------- */

static bool
by_uid(const struct imap *im)
{
	return (im->cmd->flags & CMD_UID) != 0;
}

static uint32_t
shown(const struct imap *im, uint32_t seq)
{
	return by_uid(im) ? mailbox_uid(im->box, seq) : seq;
}

static uint64_t
modseq_of(const struct imap *im, uint32_t seq)
{
	struct mailbox_message m;

	return mailbox_message(im->box, seq, &m) ? m.modseq : 0;
}

static uint64_t
highest(const struct imap *im, const uint32_t *seqs, size_t n)
{
	uint64_t high = 0;

	for (size_t i = 0; i < n; i++)
		high = MAX(high, modseq_of(im, seqs[i]));
	return high;
}

/* RFC 3501 7.2.5, RFC 5256 4 */
static void
put_plain(struct imap *im, const struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	buf_add_str(&im->out, c->verb == VERB_SORT ? "* SORT" : "* SEARCH");
	for (size_t i = 0; i < n; i++) {
		buf_add_char(&im->out, ' ');
		buf_add_num(&im->out, shown(im, seqs[i]));
	}
	if (n > 0 && search_has_modseq(c->keys))
		buf_addf(&im->out, " (MODSEQ %ju)",
		    (uintmax_t)highest(im, seqs, n));
	buf_add_str(&im->out, "\r\n");
}

void
search_put_numbers(struct buf *out, const uint32_t *v, size_t n)
{
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && v[k] == v[k - 1] + 1;)
			k++;
		if (i > 0)
			buf_add_char(out, ',');
		buf_add_num(out, v[i]);
		if (k > i + 1) {
			buf_add_char(out, ':');
			buf_add_num(out, v[k - 1]);
		}
	}
}

/* In the order of the result: SORT's order matters. */
static void
put_set(struct imap *im, const uint32_t *seqs, size_t n)
{
	uint32_t *uids;

	if (!by_uid(im)) {
		search_put_numbers(&im->out, seqs, n);
		return;
	}
	uids = mem_alloc_array(MAX(n, 1), sizeof(*uids));
	for (size_t i = 0; i < n; i++)
		uids[i] = mailbox_uid(im->box, seqs[i]);
	search_put_numbers(&im->out, uids, n);
	mem_free(uids);
}

unsigned
search_score(const struct search_scores *s, uint32_t seq)
{
	size_t low = 0, high = s ? s->n : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->seqs[middle] < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return s && low < s->n && s->seqs[low] == seq ? s->v[low] : 0;
}

/* RFC 6203 4: in the order of the messages that were said. */
static void
put_scores(struct imap *im, const struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	if (!(c->give & RETURN_RELEVANCY) || n == 0)
		return;
	buf_add_str(&im->out, " RELEVANCY (");
	for (size_t i = 0; i < n; i++)
		buf_addf(&im->out, i > 0 ? " %u" : "%u",
		    search_score(&c->scores, seqs[i]));
	buf_add_char(&im->out, ')');
}

/* RFC 9394 3.1: which of n results the window shows, from 1; *from > *to: none
 * of them. */
static void
window_of(const struct search_cmd *c, size_t n, uint64_t *from, uint64_t *to)
{
	if (c->from > 0) {
		*from = (uint64_t)c->from;
		*to = (uint64_t)c->to;
	} else {
		/* -1 is the last. */
		uint64_t a = (uint64_t)-c->to, b = (uint64_t)-c->from;

		*from = MAX(a, b) >= n ? 1 : n - MAX(a, b) + 1;
		*to = MIN(a, b) > n ? 0 : n - MIN(a, b) + 1;
	}
	*to = MIN(*to, n);
}

static void
put_window(struct imap *im, const struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	uint64_t from, to;

	if (c->from > 0) {
		buf_addf(&im->out, " PARTIAL (%ju:%ju ", (uintmax_t)c->from,
		    (uintmax_t)c->to);
	} else {
		uint64_t a = (uint64_t)-c->to, b = (uint64_t)-c->from;

		buf_addf(&im->out, " PARTIAL (-%ju:-%ju ",
		    (uintmax_t)MIN(a, b), (uintmax_t)MAX(a, b));
	}
	window_of(c, n, &from, &to);
	if (from > to) {
		buf_add_str(&im->out, "NIL)");
		return;
	}
	put_set(im, seqs + from - 1, to - from + 1);
	buf_add_char(&im->out, ')');
	put_scores(im, c, seqs + from - 1, to - from + 1);
}

static uint32_t
least(const uint32_t *seqs, size_t n, bool most)
{
	uint32_t v = seqs[0];

	for (size_t i = 1; i < n; i++)
		v = most ? MAX(v, seqs[i]) : MIN(v, seqs[i]);
	return v;
}

/* RFC 7162 3.1.10: of what is shown. */
static uint64_t
extended_modseq(struct imap *im, const struct search_cmd *c,
    const uint32_t *seqs, size_t n)
{
	uint64_t high = 0;

	if (c->give & (RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL))
		return highest(im, seqs, n);
	if (c->give & RETURN_MIN)
		high = modseq_of(im, c->verb == VERB_SORT ? seqs[0] :
		    least(seqs, n, false));
	if (c->give & RETURN_MAX)
		high = MAX(high, modseq_of(im, c->verb == VERB_SORT ?
		    seqs[n - 1] : least(seqs, n, true)));
	return high;
}

void
search_put_correlator(struct imap *im, const char *tag,
    const struct mailbox *box)
{
	const struct account_box *b;

	buf_add_str(&im->out, "(TAG ");
	put_string(&im->out, span_of(tag));
	b = box ? account_by_id(im->account, mailbox_box(box)) : NULL;
	if (b) {
		buf_add_str(&im->out, " MAILBOX ");
		put_mailbox(im, &im->out, span_of(b->name));
		buf_addf(&im->out, " UIDVALIDITY %u",
		    mailbox_uidvalidity(box));
	}
	buf_add_char(&im->out, ')');
}

void
search_put_extended(struct imap *im, const struct search_cmd *c,
    const uint32_t *seqs, size_t n)
{
	buf_add_str(&im->out, "* ESEARCH ");
	search_put_correlator(im, im->tag,
	    c->verb == VERB_MULTI ? im->box : NULL);
	buf_add_str(&im->out, by_uid(im) ? " UID" : "");
	/* RFC 5267 3.1: with SORT, the first and the last of the order. */
	if (n > 0 && (c->give & RETURN_MIN))
		buf_addf(&im->out, " MIN %u", shown(im, seqs[0]));
	if (n > 0 && (c->give & RETURN_MAX))
		buf_addf(&im->out, " MAX %u", shown(im, seqs[n - 1]));
	if (c->give & RETURN_COUNT)
		buf_addf(&im->out, " COUNT %zu", n);
	if (n > 0 && (c->give & RETURN_ALL)) {
		buf_add_str(&im->out, " ALL ");
		put_set(im, seqs, n);
		put_scores(im, c, seqs, n);
	}
	if (c->give & RETURN_PARTIAL)
		put_window(im, c, seqs, n);
	if (n > 0 && search_has_modseq(c->keys))
		buf_addf(&im->out, " MODSEQ %ju",
		    (uintmax_t)extended_modseq(im, c, seqs, n));
	buf_add_str(&im->out, "\r\n");
}

/* RFC 5182 2.1, RFC 9394 3.2: what is saved depends on what else is asked for;
 * with some of it, only that. */
void
search_save(struct imap *im, const struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	bool some = (c->give & (RETURN_MIN | RETURN_MAX | RETURN_PARTIAL)) &&
	    !(c->give & (RETURN_ALL | RETURN_COUNT));
	uint64_t from = 1, to = some ? 0 : n;

	if (some && (c->give & RETURN_PARTIAL))
		window_of(c, n, &from, &to);
	ranges_reset(&im->saved);
	for (size_t i = 0; i < n; i++) {
		uint32_t uid = mailbox_uid(im->box, seqs[i]);

		if ((i + 1 >= from && i + 1 <= to) ||
		    ((c->give & RETURN_MIN) && i == 0) ||
		    ((c->give & RETURN_MAX) && i == n - 1))
			ranges_add(&im->saved, uid, uid);
	}
}

/* --- the command -------------------------------------------------------------------------- */

static void
search_abort(struct imap *im)
{
	struct search_cmd *c = im->step_data;

	search_end(&c->run);
	context_free(&c->context);
}

static void
failed(struct imap *im, struct search_cmd *c, const char *code,
    const char *text)
{
	/* RFC 5182 2.1: a SAVE that fails empties the result. */
	if (c->give & RETURN_SAVE)
		ranges_reset(&im->saved);
	context_free(&c->context);
	imap_no(im, code, "%s", text);
}

static void
answer(struct imap *im, struct search_cmd *c, uint32_t *seqs, size_t n)
{
	const char *code = NULL, *text = "";

	if (c->verb == VERB_THREAD) {
		size_t before = im->out.len;

		buf_add_str(&im->out, "* THREAD ");
		if (thread_run(im, c->algorithm, seqs, n, by_uid(im),
		    &im->out, &code, &text) != 0) {
			buf_trunc(&im->out, before);
			failed(im, c, code, text);
			return;
		}
		if (n == 0)		/* RFC 5256: "* THREAD" CRLF */
			buf_trunc(&im->out, im->out.len - 1);
		buf_add_str(&im->out, "\r\n");
		imap_done(im);
		return;
	}
	if (c->verb == VERB_SORT &&
	    sort_run(im, &c->sort, seqs, n, &code, &text) != 0) {
		failed(im, c, code, text);
		return;
	}
	if (c->give & RETURN_SAVE)
		search_save(im, c, seqs, n);
	if (c->extended || (IMAP_HAS(im, REV2) && c->verb == VERB_SEARCH)) {
		if (c->give == 0)
			c->give = RETURN_ALL;
		/* RFC 5182 2.1; with UPDATE alone the empty answer says that
		 * the search was done. */
		if (c->give & (RETURN_DATA | RETURN_UPDATE))
			search_put_extended(im, c, seqs, n);
	} else {
		put_plain(im, c, seqs, n);
	}
	if (c->context)
		context_start(im, c, seqs, n);
	imap_done(im);
}

/* They are wanted when the search is over. */
static void
keep_scores(struct imap *im, struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	const uint8_t *v = search_scores(c->run);
	uint32_t *kept;
	uint8_t *scores;

	if (v == NULL)
		return;
	kept = arena_alloc(&im->arena, MAX(n, 1) * sizeof(*kept));
	scores = arena_alloc(&im->arena, MAX(n, 1));
	if (n > 0) {
		memcpy(kept, seqs, n * sizeof(*kept));
		memcpy(scores, v, n);
	}
	c->scores = (struct search_scores){ kept, scores, n };
	c->sort.scores = &c->scores;
}

static enum step_result
search_cmd_step(struct imap *im)
{
	struct search_cmd *c = im->step_data;
	const char *code = NULL, *text = "";
	const uint32_t *found = NULL;
	uint32_t *seqs;
	size_t n = 0;		/* stays so when the search failed */
	int rc;

	if (search_step(c->run, STEP_US) != STEP_DONE) {
		search_progress(c->run, &im->done, &im->goal);
		return STEP_MORE;
	}
	rc = search_result(c->run, &found, &n, &code, &text);
	seqs = arena_alloc(&im->arena, MAX(n, 1) * sizeof(*seqs));
	if (rc == 0 && n > 0)
		memcpy(seqs, found, n * sizeof(*seqs));
	if (rc == 0)
		keep_scores(im, c, found, n);
	im->step_abort = NULL;
	search_end(&c->run);
	if (rc != 0)
		failed(im, c, code, text);
	else
		answer(im, c, seqs, n);
	return STEP_DONE;
}

static void
search(struct imap *im, struct scan *s, enum search_verb verb)
{
	struct search_cmd *c = arena_zalloc(&im->arena, sizeof(*c));

	c->verb = verb;
	if (!scan_search(im, s, c)) {
		/* RFC 5182 2.1: NO empties the result, BAD leaves it. */
		if (s->no && (c->give & RETURN_SAVE))
			ranges_reset(&im->saved);
		context_free(&c->context);
		imap_refuse(im, s);
		return;
	}
	if (search_has_modseq(c->keys))
		sync_condstore(im);
	im->numbers = search_has_numbers(c->keys);	/* RFC 9051 6.4.9 */
	c->run = search_begin(im, c->keys, NULL);
	if (verb == VERB_SEARCH)
		search_limit(c->run);
	if (wants_scores(c))
		search_want_scores(c->run);
	im->step_data = c;
	im->step_abort = search_abort;
	imap_continue(im, search_cmd_step);
}

void
cmd_search(struct imap *im, struct scan *s)
{
	search(im, s, VERB_SEARCH);
}

void
cmd_sort(struct imap *im, struct scan *s)
{
	search(im, s, VERB_SORT);
}

void
cmd_thread(struct imap *im, struct scan *s)
{
	search(im, s, VERB_THREAD);
}
