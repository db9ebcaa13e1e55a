/* SPDX-License-Identifier: ISC */
/*
 * search_run - which messages match; see search.h.
 *
 * A key is answered yes, no, or "not known yet": the levels say how much work
 * may be done to know it.  Each message is asked level by level until the whole
 * tree knows: first what the index has, then its cache record and signature,
 * then its header, and only for what is left its text.  So a search for words
 * reads the few messages that can have them.  A message that cannot be read (the
 * store has logged why) has no text.
 *
 * Dates are those of INTERNALDATE in the zone it was given in, as FETCH shows
 * it, and those of the Date field in its own (RFC 9051 6.4.4: "disregarding
 * time and timezone").
 */
#include "base/clock.h"
#include "conf/params.h"
#include "imapd/fetch.h"
#include "imapd/search_key.h"

#define DAY_S		86400
#define LOOK_EVERY	256		/* messages between looks at the clock */
#define LARGE		65536		/* bytes; one that takes time */

enum level { LEVEL_INDEX, LEVEL_RECORD, LEVEL_HEADER, LEVEL_TEXT, LEVELS };
enum answer { NO, YES, UNKNOWN };

struct search_run {
	struct imap		*im;
	const struct search	*search;
	struct ranges		 todo;		/* sequence numbers */
	struct ranges_walk	 at;
	uint64_t		 looked;	/* messages */
	ARRAY(uint32_t)		 found;
	bool			 scored;
	ARRAY(uint8_t)		 scores;	/* of found, if so */
	int64_t			 used_us;
	int64_t			 until_us;	/* on the monotonic clock */
	bool			 late;		/* it is over */
	struct arena		 arena;		/* of the message at hand */
	struct fetch_msg	 msg;
	enum level		 level;
	bool			 read;		/* the message was looked into */
};

/* --- one key -------------------------------------------------------------------------- */

static enum answer
yes(bool b)
{
	return b ? YES : NO;
}

/* The day it was there, where clocks show zone_min more than UTC. */
static int64_t
local_day(int64_t s, int zone_min)
{
	s += (int64_t)zone_min * 60;
	return s >= 0 ? s / DAY_S : (s - DAY_S + 1) / DAY_S;
}

static enum answer
compare_days(enum search_kind kind, enum search_kind before,
    enum search_kind on, int64_t is, int64_t want)
{
	if (kind == before)
		return yes(is < want);
	return yes(kind == on ? is == want : is >= want);
}

static enum answer
ask_keyword(struct search_run *r, const struct search_key *k)
{
	int64_t number = mailbox_keyword_find(r->im->box, span_of(k->name));
	bool has = number >= 0 && mailbox_kwset_has(r->im->box,
	    r->msg.m.kwset, (uint32_t)number);

	return yes(has == (k->want != 0));
}

/* "M0123…": the id as put_id() writes it. */
static bool
is_id(const char *text, char prefix, const uint8_t id[16])
{
	struct buf b = BUF_INIT(64);
	bool same;

	put_id(&b, id, prefix);
	same = span_is(buf_span(&b), text);
	buf_fini(&b);
	return same;
}

static enum answer
ask_thread(struct search_run *r, const struct search_key *k)
{
	uint8_t id[16];
	struct why why = WHY_INIT;

	if (r->level < LEVEL_RECORD)
		return UNKNOWN;
	return yes(mailbox_threadid(r->im->box, r->msg.m.uid, id, &why) > 0 &&
	    is_id(k->name, 'T', id));
}

/*
 * Looking into messages takes long, and one command may ask for much of one
 * message: the clock is looked at each time.
 */
static bool
in_time(struct search_run *r)
{
	r->read = true;
	r->late |= clock_mono_us() >= r->until_us;
	return !r->late;
}

static enum answer
ask_sent(struct search_run *r, const struct search_key *k)
{
	struct why why = WHY_INIT;
	const struct message_cache *c;

	if (r->level < LEVEL_RECORD)
		return UNKNOWN;
	if ((c = fetch_msg_cache(&r->msg, MESSAGE_CACHE_KEYS, &why)) == NULL ||
	    !(c->flags & MESSAGE_HAS_DATE))
		return NO;
	return compare_days(k->kind, SEARCH_SENT_BEFORE, SEARCH_SENT_ON,
	    local_day(c->sent_s, c->zone_min), (int64_t)k->num);
}

static enum answer
ask_header(struct search_run *r, const struct search_key *k)
{
	struct why why = WHY_INIT;
	const struct message *m;

	if (r->level < LEVEL_HEADER)
		return UNKNOWN;
	if (!in_time(r) || fetch_msg_lacks_word(&r->msg, true, &k->text) ||
	    (m = fetch_msg_header(&r->msg, &why)) == NULL)
		return NO;
	return yes(message_has_field(m, k->name, &k->text));
}

static enum answer
ask_text(struct search_run *r, const struct search_key *k)
{
	struct why why = WHY_INIT;
	const struct message *m;

	if (r->level < LEVEL_TEXT)
		return UNKNOWN;
	if (!in_time(r) || fetch_msg_lacks_word(&r->msg, false, &k->text) ||
	    (m = fetch_msg_parsed(&r->msg, &why)) == NULL)
		return NO;
	return yes(k->kind == SEARCH_BODY ? message_has_body(m, &k->text) :
	    message_has_text(m, &k->text));
}

/* What the record says, and plain text that needs no more than the record. */
static enum answer
ask_record(struct search_run *r, const struct search_key *k)
{
	struct why why = WHY_INIT;
	const struct message_cache *c = fetch_msg_cache(&r->msg,
	    MESSAGE_CACHE_SEARCH, &why);
	int says;

	if (c == NULL)
		return UNKNOWN;
	if (k->query.n > 0 && !signature_may_contain(
	    (const uint8_t *)c->signature.p, &k->query))
		return NO;
	if (k->kind == SEARCH_HEADER)
		return UNKNOWN;
	if (message_cache_has(c, &k->text))
		return YES;
	if (r->msg.m.size > LARGE && !in_time(r))
		return UNKNOWN;
	says = mailbox_has_plain(r->im->box, r->msg.m.uid, c, &k->text);
	return says == 0 ? UNKNOWN : yes(says > 0);
}

static enum answer
ask_string(struct search_run *r, const struct search_key *k)
{
	if (k->text.len == 0 && k->kind != SEARCH_HEADER)
		return YES;
	if (r->level < LEVEL_RECORD)
		return UNKNOWN;
	if (r->level == LEVEL_RECORD)
		return ask_record(r, k);
	return k->kind == SEARCH_HEADER ? ask_header(r, k) : ask_text(r, k);
}

static enum answer ask(struct search_run *r, const struct search_key *k);

static enum answer
ask_children(struct search_run *r, const struct search_key *k)
{
	enum answer decides = k->kind == SEARCH_OR ? YES : NO;
	enum answer all = decides == YES ? NO : YES;

	for (const struct search_key *c = k->child; c != NULL; c = c->next) {
		enum answer a = ask(r, c);

		if (a == decides)
			return a;
		if (a == UNKNOWN)
			all = UNKNOWN;
	}
	return all;
}

/*
 * At least half of the words, as far as they go.  (Who has the string has all
 * of them.)
 */
static enum answer
ask_words(struct search_run *r, const struct search_key *k)
{
	uint64_t yes_n = 0, unknown = 0, need = (k->num + 1) / 2;

	for (const struct search_key *w = k->child->next; w != NULL;
	    w = w->next->next) {
		enum answer a = ask(r, w->next);

		yes_n += a == YES;
		unknown += a == UNKNOWN;
		if (yes_n >= need)
			return YES;
	}
	return yes_n + unknown < need ? NO : UNKNOWN;
}

static enum answer
ask(struct search_run *r, const struct search_key *k)
{
	const struct mailbox_message *m = &r->msg.m;
	enum answer a;

	switch (k->kind) {
	case SEARCH_ALL:
		return YES;
	case SEARCH_SET:
		return yes(ranges_has(&k->seqs, r->msg.seq));
	case SEARCH_UIDS:
		return yes(m->uid > k->want && m->uid < k->num);
	case SEARCH_FLAGS:
		return yes((m->flags & k->mask) == k->want);
	case SEARCH_KEYWORD:
		return ask_keyword(r, k);
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
		return compare_days(k->kind, SEARCH_BEFORE, SEARCH_ON,
		    local_day(m->date_us / 1000000, m->zone_min),
		    (int64_t)k->num);
	case SEARCH_SAVED_BEFORE:
	case SEARCH_SAVED_ON:
	case SEARCH_SAVED_SINCE:
		return compare_days(k->kind, SEARCH_SAVED_BEFORE,
		    SEARCH_SAVED_ON, local_day(m->save_s,
		    clock_zone_min(m->save_s)), (int64_t)k->num);
	case SEARCH_OLDER:
		return yes(m->date_us / 1000000 <= (int64_t)k->num);
	case SEARCH_YOUNGER:
		return yes(m->date_us / 1000000 >= (int64_t)k->num);
	case SEARCH_LARGER:
		return yes(m->size > k->num);
	case SEARCH_SMALLER:
		return yes(m->size < k->num);
	case SEARCH_MODSEQ:
		return yes(m->modseq >= k->num);
	case SEARCH_EMAILID:
		return yes(is_id(k->name, 'M', m->emailid));
	case SEARCH_THREADID:
		return ask_thread(r, k);
	case SEARCH_SENT_BEFORE:
	case SEARCH_SENT_ON:
	case SEARCH_SENT_SINCE:
		return ask_sent(r, k);
	case SEARCH_HEADER:
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return ask_string(r, k);
	case SEARCH_WORDS:
		return ask_words(r, k);
	case SEARCH_AND:
	case SEARCH_OR:
		return ask_children(r, k);
	case SEARCH_NOT:
		a = ask(r, k->child);
		return a == UNKNOWN ? UNKNOWN : yes(a == NO);
	}
	return NO;
}

/* --- how well (RFC 6203 4) ---------------------------------------------------------- */

#define SCORE_MAX	100
#define SCORE_WORD	90		/* all words, but not in a row */
#define SCORE_STEM	60		/* a word with another ending */

/* The string as it is, or how many of its words, and how well. */
static int
score_words(struct search_run *r, const struct search_key *k)
{
	uint64_t sum = 0;

	if (ask(r, k->child) == YES)
		return SCORE_MAX;
	for (const struct search_key *w = k->child->next; w != NULL;
	    w = w->next->next)
		sum += ask(r, w) == YES ? SCORE_WORD :
		    ask(r, w->next) == YES ? SCORE_STEM : 0;
	return (int)(sum / k->num);
}

/* Of a message that matches; -1: the key says nothing about that. */
static int
score(struct search_run *r, const struct search_key *k)
{
	int best = -1, sum = 0, n = 0;

	if (k->kind == SEARCH_WORDS)
		return score_words(r, k);
	if (k->kind != SEARCH_AND && k->kind != SEARCH_OR)
		return -1;
	for (const struct search_key *c = k->child; c != NULL; c = c->next) {
		int s = k->kind == SEARCH_AND || ask(r, c) == YES ?
		    score(r, c) : -1;

		best = MAX(best, s);
		sum += MAX(s, 0);
		n += s >= 0;
	}
	return k->kind == SEARCH_OR || n == 0 ? best : sum / n;
}

static void
put_score(struct search_run *r)
{
	int s;

	r->level = LEVEL_TEXT;
	s = score(r, r->search->top);
	*ARRAY_PUSH(&r->scores) = (uint8_t)(s < 0 ? SCORE_MAX : MAX(s, 1));
}

void
search_want_scores(struct search_run *r)
{
	r->scored = true;
}

const uint8_t *
search_scores(const struct search_run *r)
{
	return r->scored ? r->scores.v : NULL;
}

static bool
matches(struct search_run *r, uint32_t seq)
{
	enum answer a = UNKNOWN;

	fetch_msg_init(&r->msg, r->im, seq, &r->arena);
	for (r->level = LEVEL_INDEX; a == UNKNOWN && r->level < LEVELS;
	    r->level++)
		a = ask(r, r->search->top);
	if (a == YES && r->scored)
		put_score(r);
	fetch_msg_tell(&r->msg);
	fetch_msg_fini(&r->msg);
	arena_reset(&r->arena);
	return a == YES;
}

/* --- the run -------------------------------------------------------------------------- */

struct search_run *
search_begin(struct imap *im, const struct search *p,
    const struct ranges *among)
{
	struct search_run *r = mem_zalloc(sizeof(*r));
	uint32_t count = mailbox_count(im->box);

	r->im = im;
	r->search = p;
	r->arena = ARENA_INIT;
	if (count > 0)
		ranges_add(&r->todo, 1, count);
	if (among != NULL)
		ranges_intersect(&r->todo, among);
	/* Sets at the top leave the other messages alone. */
	for (const struct search_key *k = p->top->child; k != NULL;
	    k = k->next)
		if (k->kind == SEARCH_SET)
			ranges_intersect(&r->todo, &k->seqs);
	return r;
}

void
search_limit(struct search_run *r)
{
	imap_limit(r->im, &r->todo);
}

/* What is in the sets at the top, and nothing else is asked. */
static bool
all_match(const struct search *p)
{
	for (const struct search_key *k = p->top->child; k != NULL;
	    k = k->next)
		if (k->kind != SEARCH_ALL && k->kind != SEARCH_SET)
			return false;
	return true;
}

enum step_result
search_step(struct search_run *r, int64_t us)
{
	int64_t start = clock_mono_us(), used = 0;
	uint32_t seq, n = 0;

	r->until_us = start + conf.imapd_search_time_limit * 1000000 -
	    r->used_us;
	if (all_match(r->search)) {
		while (ranges_next(&r->todo, &r->at, &seq))
			*ARRAY_PUSH(&r->found) = seq;
		return STEP_DONE;
	}
	while (ranges_next(&r->todo, &r->at, &seq)) {
		r->read = false;
		r->looked++;
		if (matches(r, seq))
			*ARRAY_PUSH(&r->found) = seq;
		if (!r->read && ++n % LOOK_EVERY != 0)
			continue;
		used = clock_mono_us() - start;
		if (r->late || start + used >= r->until_us) {
			r->late = true;
			r->used_us += used;
			return STEP_DONE;
		}
		if (used >= us) {
			r->used_us += used;
			return STEP_MORE;
		}
	}
	r->used_us += used;
	return STEP_DONE;
}

void
search_progress(const struct search_run *r, uint64_t *done, uint64_t *goal)
{
	*done = r->looked;
	*goal = ranges_count(&r->todo);
}

int64_t
search_used_us(const struct search_run *r)
{
	return r->used_us;
}

void
search_charge(struct search_run *r, int64_t us)
{
	r->used_us += us;
}

int
search_result(struct search_run *r, const uint32_t **seqs, size_t *n,
    const char **code, const char **text)
{
	if (r->late) {
		*code = "LIMIT";
		*text = "Searching took too long.";
		return -1;
	}
	*seqs = r->found.v;
	*n = r->found.len;
	return 0;
}

void
search_end(struct search_run **rp)
{
	struct search_run *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	ranges_fini(&r->todo);
	ARRAY_FINI(&r->found);
	ARRAY_FINI(&r->scores);
	arena_fini(&r->arena);
	mem_free(r);
}
