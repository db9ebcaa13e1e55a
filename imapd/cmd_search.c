/* SPDX-License-Identifier: ISC */
/*
 * cmd_search - SEARCH, SORT and THREAD: RETURN options, the answers, "$"
 * (RFC 9051 6.4.4, RFC 4731 ESEARCH, RFC 5182 SEARCHRES, RFC 5256 SORT and
 * THREAD, RFC 5267 ESORT, RFC 7162, RFC 9394 PARTIAL).
 */
#include "imapd/search.h"

#define STEP_US		20000		/* then others are served */

enum search_verb { VERB_SEARCH, VERB_SORT, VERB_THREAD };

enum {					/* search_cmd.give */
	RETURN_MIN = 1 << 0, RETURN_MAX = 1 << 1, RETURN_ALL = 1 << 2,
	RETURN_COUNT = 1 << 3, RETURN_SAVE = 1 << 4, RETURN_PARTIAL = 1 << 5,
};

struct search_cmd {
	enum search_verb verb;
	bool		 extended;	/* RETURN was there */
	unsigned	 give;
	int64_t		 from, to;	/* PARTIAL */
	struct sort_spec sort;
	enum thread_algorithm algorithm;
	struct search	*keys;
	struct search_run *run;
};

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
	{ "PARTIAL", RETURN_PARTIAL },
};

static bool
scan_option(struct scan *s, struct search_cmd *c)
{
	struct span word;

	if (!scan_atom(s, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!span_caseis(word, options[i].name))
			continue;
		c->give |= options[i].bit;
		return options[i].bit != RETURN_PARTIAL || scan_window(s, c);
	}
	return scan_bad(s, "Unknown search return option.");
}

/* "RETURN (MIN ALL) ", if it is there. */
static bool
scan_return(struct scan *s, struct search_cmd *c)
{
	if (!scan_take_word(s, "RETURN"))
		return true;
	c->extended = true;
	if (!scan_sp(s) || !scan_open(s))
		return false;
	while (!scan_is(s, ')')) {
		if (!scan_option(s, c))
			return false;
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	if (c->give == 0)		/* RFC 4731 3.1 */
		c->give = RETURN_ALL;
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
scan_search(struct imap *im, struct scan *s, struct search_cmd *c)
{
	if (!scan_sp(s))
		return false;
	if (c->verb == VERB_THREAD) {
		if (!scan_algorithm(s, c))
			return false;
	} else if (!scan_return(s, c)) {
		return false;
	}
	if (c->verb == VERB_SORT && (!sort_scan(s, &c->sort) || !scan_sp(s)))
		return false;
	/* RFC 9755 3 */
	if (c->verb == VERB_SEARCH && IMAP_HAS(im, UTF8) &&
	    scan_is_word(s, "CHARSET"))
		return scan_bad(s, "CHARSET is not allowed with UTF8=ACCEPT.");
	c->keys = c->verb == VERB_SEARCH ? search_parse(im, s) :
	    search_parse_charset(im, s);
	return c->keys != NULL;
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
	for (size_t i = 0; i < n; i++)
		buf_addf(&im->out, " %u", shown(im, seqs[i]));
	if (n > 0 && search_has_modseq(c->keys))
		buf_addf(&im->out, " (MODSEQ %ju)",
		    (uintmax_t)highest(im, seqs, n));
	buf_add_str(&im->out, "\r\n");
}

/* In the order of the result: SORT's order matters. */
static void
put_set(struct imap *im, const uint32_t *seqs, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t first = shown(im, seqs[i]), last = first;
		size_t k = i + 1;

		while (k < n && shown(im, seqs[k]) == last + 1) {
			last++;
			k++;
		}
		buf_addf(&im->out, "%s%u", i > 0 ? "," : "", first);
		if (last != first)
			buf_addf(&im->out, ":%u", last);
		i = k;
	}
}

/* RFC 9394 3.1: which part of the results the window shows. */
static void
put_window(struct imap *im, const struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	uint64_t from, to;

	if (c->from > 0) {
		from = (uint64_t)c->from;
		to = (uint64_t)c->to;
		buf_addf(&im->out, " PARTIAL (%ju:%ju ", (uintmax_t)from,
		    (uintmax_t)to);
	} else {
		uint64_t a = (uint64_t)-c->to, b = (uint64_t)-c->from;

		/* -1 is the last; the widest comes first. */
		buf_addf(&im->out, " PARTIAL (-%ju:-%ju ",
		    (uintmax_t)MIN(a, b), (uintmax_t)MAX(a, b));
		from = MAX(a, b) >= n ? 1 : n - MAX(a, b) + 1;
		to = MIN(a, b) > n ? 0 : n - MIN(a, b) + 1;
	}
	to = MIN(to, n);
	if (from > to)
		buf_add_str(&im->out, "NIL");
	else
		put_set(im, seqs + from - 1, to - from + 1);
	buf_add_char(&im->out, ')');
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

static void
put_extended(struct imap *im, const struct search_cmd *c,
    const uint32_t *seqs, size_t n)
{
	buf_add_str(&im->out, "* ESEARCH (TAG ");
	put_string(&im->out, span_of(im->tag));
	buf_addf(&im->out, ")%s", by_uid(im) ? " UID" : "");
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
	}
	if (c->give & RETURN_PARTIAL)
		put_window(im, c, seqs, n);
	if (n > 0 && search_has_modseq(c->keys))
		buf_addf(&im->out, " MODSEQ %ju",
		    (uintmax_t)extended_modseq(im, c, seqs, n));
	buf_add_str(&im->out, "\r\n");
}

/* RFC 5182 2.1: what is saved depends on what else is asked for. */
static void
save(struct imap *im, const struct search_cmd *c, const uint32_t *seqs,
    size_t n)
{
	bool ends = (c->give & (RETURN_MIN | RETURN_MAX)) &&
	    !(c->give & (RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL));

	ranges_reset(&im->saved);
	for (size_t i = 0; i < n; i++) {
		uint32_t uid = mailbox_uid(im->box, seqs[i]);

		if (!ends || ((c->give & RETURN_MIN) && i == 0) ||
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
}

static void
failed(struct imap *im, struct search_cmd *c, const char *code,
    const char *text)
{
	/* RFC 5182 2.1: a SAVE that fails empties the result. */
	if (c->give & RETURN_SAVE)
		ranges_reset(&im->saved);
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
		save(im, c, seqs, n);
	if (c->extended || (IMAP_HAS(im, REV2) && c->verb == VERB_SEARCH)) {
		if (c->give == 0)
			c->give = RETURN_ALL;
		if (c->give != RETURN_SAVE)	/* RFC 5182 2.1 */
			put_extended(im, c, seqs, n);
	} else {
		put_plain(im, c, seqs, n);
	}
	imap_done(im);
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

	if (search_step(c->run, STEP_US) != STEP_DONE)
		return STEP_MORE;
	rc = search_result(c->run, &found, &n, &code, &text);
	seqs = arena_alloc(&im->arena, MAX(n, 1) * sizeof(*seqs));
	if (rc == 0 && n > 0)
		memcpy(seqs, found, n * sizeof(*seqs));
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
		imap_refuse(im, s);
		return;
	}
	if (search_has_modseq(c->keys))
		sync_condstore(im);
	c->run = search_begin(im, c->keys);
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
