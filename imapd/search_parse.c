/* SPDX-License-Identifier: ISC */
/*
 * search_parse - search keys (RFC 9051 6.4.4, and what the table names) to a
 * tree; see search_key.h.
 *
 * Strings are converted to UTF-8 and casemapped here, once.  Their memory is
 * the command's arena.
 */
#include "base/clock.h"
#include "imapd/search_key.h"
#include "mail/casemap.h"
#include "mail/charset.h"

#define FUZZY_WORDS_MAX	16		/* that are looked for */

struct parser {
	struct imap	*im;
	struct scan	*s;
	struct search	*search;
	struct span	 charset;	/* of strings; p NULL: UTF-8 */
	unsigned	 depth, nkeys;
	unsigned	 fuzzy;		/* FUZZY keys around */
};

enum argument {
	ARG_NONE, ARG_FLAGS, ARG_DATE, ARG_NUMBER, ARG_INTERVAL, ARG_ASTRING,
	ARG_FIELD, ARG_HEADER, ARG_KEYWORD, ARG_NO_KEYWORD, ARG_UID,
	ARG_MODSEQ, ARG_ID, ARG_NOT, ARG_OR, ARG_FUZZY, ARG_ONE_UID
};

static const struct key {
	const char		*name;
	enum argument		 arg;
	enum search_kind	 kind;
	uint32_t		 mask, want;
	const char		*field;
} keys[] = {
	{ "ALL",	ARG_NONE, SEARCH_ALL, 0, 0, NULL },
	{ "ANSWERED",	ARG_FLAGS, SEARCH_FLAGS, STORE_ANSWERED,
	    STORE_ANSWERED, NULL },
	{ "DELETED",	ARG_FLAGS, SEARCH_FLAGS, STORE_DELETED, STORE_DELETED,
	    NULL },
	{ "DRAFT",	ARG_FLAGS, SEARCH_FLAGS, STORE_DRAFT, STORE_DRAFT,
	    NULL },
	{ "FLAGGED",	ARG_FLAGS, SEARCH_FLAGS, STORE_FLAGGED, STORE_FLAGGED,
	    NULL },
	{ "SEEN",	ARG_FLAGS, SEARCH_FLAGS, STORE_SEEN, STORE_SEEN, NULL },
	{ "UNANSWERED",	ARG_FLAGS, SEARCH_FLAGS, STORE_ANSWERED, 0, NULL },
	{ "UNDELETED",	ARG_FLAGS, SEARCH_FLAGS, STORE_DELETED, 0, NULL },
	{ "UNDRAFT",	ARG_FLAGS, SEARCH_FLAGS, STORE_DRAFT, 0, NULL },
	{ "UNFLAGGED",	ARG_FLAGS, SEARCH_FLAGS, STORE_FLAGGED, 0, NULL },
	{ "UNSEEN",	ARG_FLAGS, SEARCH_FLAGS, STORE_SEEN, 0, NULL },
	/* RFC 3501 6.4.4 */
	{ "NEW",	ARG_FLAGS, SEARCH_FLAGS, MESSAGE_RECENT | STORE_SEEN,
	    MESSAGE_RECENT, NULL },
	{ "OLD",	ARG_FLAGS, SEARCH_FLAGS, MESSAGE_RECENT, 0, NULL },
	{ "RECENT",	ARG_FLAGS, SEARCH_FLAGS, MESSAGE_RECENT,
	    MESSAGE_RECENT, NULL },
	{ "KEYWORD",	ARG_KEYWORD, SEARCH_KEYWORD, 0, 1, NULL },
	{ "UNKEYWORD",	ARG_NO_KEYWORD, SEARCH_KEYWORD, 0, 0, NULL },
	{ "BEFORE",	ARG_DATE, SEARCH_BEFORE, 0, 0, NULL },
	{ "ON",		ARG_DATE, SEARCH_ON, 0, 0, NULL },
	{ "SINCE",	ARG_DATE, SEARCH_SINCE, 0, 0, NULL },
	{ "SENTBEFORE",	ARG_DATE, SEARCH_SENT_BEFORE, 0, 0, NULL },
	{ "SENTON",	ARG_DATE, SEARCH_SENT_ON, 0, 0, NULL },
	{ "SENTSINCE",	ARG_DATE, SEARCH_SENT_SINCE, 0, 0, NULL },
	{ "SAVEDBEFORE", ARG_DATE, SEARCH_SAVED_BEFORE, 0, 0, NULL },
	{ "SAVEDON",	ARG_DATE, SEARCH_SAVED_ON, 0, 0, NULL },
	{ "SAVEDSINCE",	ARG_DATE, SEARCH_SAVED_SINCE, 0, 0, NULL },
	/* RFC 8514 4.3: every mailbox of ours has it. */
	{ "SAVEDATESUPPORTED", ARG_NONE, SEARCH_ALL, 0, 0, NULL },
	{ "LARGER",	ARG_NUMBER, SEARCH_LARGER, 0, 0, NULL },
	{ "SMALLER",	ARG_NUMBER, SEARCH_SMALLER, 0, 0, NULL },
	{ "OLDER",	ARG_INTERVAL, SEARCH_OLDER, 0, 0, NULL },
	{ "YOUNGER",	ARG_INTERVAL, SEARCH_YOUNGER, 0, 0, NULL },
	{ "BCC",	ARG_FIELD, SEARCH_HEADER, 0, 0, "Bcc" },
	{ "CC",		ARG_FIELD, SEARCH_HEADER, 0, 0, "Cc" },
	{ "FROM",	ARG_FIELD, SEARCH_HEADER, 0, 0, "From" },
	{ "SUBJECT",	ARG_FIELD, SEARCH_HEADER, 0, 0, "Subject" },
	{ "TO",		ARG_FIELD, SEARCH_HEADER, 0, 0, "To" },
	{ "HEADER",	ARG_HEADER, SEARCH_HEADER, 0, 0, NULL },
	{ "BODY",	ARG_ASTRING, SEARCH_BODY, 0, 0, NULL },
	{ "TEXT",	ARG_ASTRING, SEARCH_TEXT, 0, 0, NULL },
	{ "UID",	ARG_UID, SEARCH_SET, 0, 0, NULL },
	/* RFC 9738 3.2 */
	{ "UIDAFTER",	ARG_ONE_UID, SEARCH_UIDS, 0, 1, NULL },
	{ "UIDBEFORE",	ARG_ONE_UID, SEARCH_UIDS, 0, 0, NULL },
	{ "MODSEQ",	ARG_MODSEQ, SEARCH_MODSEQ, 0, 0, NULL },
	{ "EMAILID",	ARG_ID, SEARCH_EMAILID, 0, 0, NULL },
	{ "THREADID",	ARG_ID, SEARCH_THREADID, 0, 0, NULL },
	{ "NOT",	ARG_NOT, SEARCH_NOT, 0, 0, NULL },
	{ "OR",		ARG_OR, SEARCH_OR, 0, 0, NULL },
	/* RFC 6203: of strings; what is asked of the index is exact. */
	{ "FUZZY",	ARG_FUZZY, SEARCH_AND, 0, 0, NULL },
};

static struct search_key *parse_key(struct parser *p);

static struct search_key *
new_key(struct parser *p, enum search_kind kind)
{
	struct search_key *k;

	if (++p->nkeys > SEARCH_KEYS_MAX) {
		scan_bad(p->s, "Too many search keys.");
		return NULL;
	}
	k = arena_zalloc(p->s->arena, sizeof(*k));
	k->kind = kind;
	return k;
}

/* A key that looks for text where k does. */
static struct search_key *
word_key(struct parser *p, const struct search_key *k, struct span text)
{
	struct search_key *w = new_key(p, k->kind);

	if (w == NULL)
		return NULL;
	w->name = k->name;
	w->text.bytes = arena_span_dup(p->s->arena, text);
	w->text.len = text.len;
	signature_query(&w->query, text);
	return w;
}

/* Without what is mostly an ending; not within a character. */
static struct span
stem(struct span word)
{
	/* "walks", "walked", "walking" */
	static const uint8_t ending[] = { 0, 0, 0, 0, 1, 1, 2, 2, 3 };
	size_t n = word.len;

	n -= ending[MIN(n, ARRAY_LEN(ending) - 1)];
	while (n > 0 && n < word.len && (word.p[n] & 0xc0) == 0x80)
		n--;
	return span_sub(word, 0, n);
}

static bool
is_word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (unsigned char)c >= 0x80;
}

/* The next word of a casemapped text, off *in. */
static bool
next_word(struct span *in, struct span *word)
{
	size_t at = 0, end;

	while (at < in->len && !is_word_char(in->p[at]))
		at++;
	for (end = at; end < in->len && is_word_char(in->p[end]);)
		end++;
	*word = span_sub(*in, at, end - at);
	*in = span_from(*in, end);
	return end > at;
}

/* RFC 6203 3: k, a string to look for, also finds its words.  k stays exact
 * where there are none. */
static bool
make_fuzzy(struct parser *p, struct search_key *k)
{
	struct span rest = span_make(k->text.bytes, k->text.len), word;
	struct search_key *first, **last;
	uint64_t n = 0;

	if ((first = word_key(p, k, rest)) == NULL)
		return false;
	for (last = &first->next; n < FUZZY_WORDS_MAX &&
	    next_word(&rest, &word); n++) {
		if ((*last = word_key(p, k, word)) == NULL ||
		    ((*last)->next = word_key(p, k, stem(word))) == NULL)
			return false;
		last = &(*last)->next->next;
	}
	if (n == 0)
		return true;
	k->kind = SEARCH_WORDS;
	k->child = first;
	k->num = n;
	return true;
}

/* A string as it is compared: in UTF-8, casemapped. */
static bool
scan_text(struct parser *p, struct search_key *k)
{
	struct buf utf8 = BUF_INIT(BUF_UNLIMITED), key = utf8;
	struct span s;
	bool ok = false;

	if (!scan_astring(p->s, &s))
		return false;
	if (s.len <= MESSAGE_KEY_MAX) {
		charset_convert(p->charset.p != NULL ? p->charset :
		    SPAN("UTF-8"), s, &utf8);
		casemap(buf_span(&utf8), &key);
		ok = key.len <= MESSAGE_KEY_MAX;
	}
	if (ok) {
		message_key_of(&k->text, arena_span_dup(p->s->arena,
		    buf_span(&key)), key.len);
		signature_query(&k->query, buf_span(&key));
		if (p->fuzzy > 0)
			ok = make_fuzzy(p, k);
	} else
		scan_no(p->s, "LIMIT", "Search string is too long.");
	buf_fini(&utf8);
	buf_fini(&key);
	return ok;
}

static bool
scan_name(struct parser *p, struct search_key *k, bool any_string)
{
	struct span s;

	if (!(any_string ? scan_astring(p->s, &s) : scan_atom(p->s, &s)))
		return false;
	if (span_has_nul(s))
		return scan_bad(p->s, "NUL in a name.");
	k->name = arena_span_dup(p->s->arena, s);
	return true;
}

/* RFC 7162 3.1.5: ["/flags/\\Seen" all] 620162338.  The entry's modseq is at
 * most the message's; to look at that is allowed. */
static bool
scan_modseq(struct parser *p, struct search_key *k)
{
	struct span entry, type;

	if (scan_is(p->s, '"')) {
		if (!scan_string(p->s, &entry) || !scan_sp(p->s) ||
		    !scan_atom(p->s, &type) || !scan_sp(p->s))
			return false;
		if (!span_casestarts(entry, SPAN("/flags/")) ||
		    !(span_caseis(type, "all") || span_caseis(type, "priv") ||
		    span_caseis(type, "shared")))
			return scan_bad(p->s, "Invalid MODSEQ entry.");
	}
	p->search->has_modseq = true;
	sync_condstore(p->im);
	return scan_number64(p->s, &k->num);
}

static bool
scan_number_key(struct parser *p, struct search_key *k)
{
	/* RFC 9051: number64; a client may ask for more than there is. */
	return scan_number64(p->s, &k->num);
}

static bool
scan_days(struct parser *p, struct search_key *k)
{
	int64_t days;

	if (!scan_date(p->s, &days))
		return false;
	k->num = (uint64_t)days;
	return true;
}

/* RFC 5032: seconds back from now, when the command came. */
static bool
scan_interval(struct parser *p, struct search_key *k)
{
	uint32_t n;

	if (!scan_nz_number(p->s, &n))
		return false;
	k->num = (uint64_t)(clock_wall_s() - (int64_t)n);
	return true;
}

static bool
scan_children(struct parser *p, struct search_key *k, int n)
{
	struct search_key **last = &k->child;

	for (int i = 0; i < n; i++) {
		if (i > 0 && !scan_sp(p->s))
			return false;
		if ((*last = parse_key(p)) == NULL)
			return false;
		last = &(*last)->next;
	}
	return true;
}

/*
 * A set of sequence numbers.  Where FETCH refuses numbers that are not there,
 * in a search they find nothing, as with UIDs; "900:*" has the last message.
 */
static bool
scan_numbers(struct parser *p, struct ranges *seqs)
{
	struct ranges set = RANGES_INIT;
	uint32_t count = p->im->box ? mailbox_count(p->im->box) : 0;
	bool ok = scan_set(p->s, &set);

	for (size_t i = 0; ok && count > 0 && i < set.len; i++) {
		uint32_t lo = set.v[i].lo, hi = MIN(set.v[i].hi, count);

		if (set.v[i].hi == SCAN_STAR)
			lo = MIN(lo, count);
		if (lo <= hi)
			ranges_add(seqs, lo, hi);
	}
	ranges_fini(&set);
	return ok;
}

/* A copy in the arena. */
static void
keep(struct parser *p, const struct ranges *set, struct ranges *out)
{
	out->len = out->alloc = set->len;
	if (set->len > 0) {
		out->v = arena_alloc(p->s->arena, set->len * sizeof(*set->v));
		memcpy(out->v, set->v, set->len * sizeof(*set->v));
	}
}

static bool
take_set(struct parser *p, bool uid, struct search_key *k)
{
	struct ranges set = RANGES_INIT, seqs = RANGES_INIT;
	bool ok, saved = scan_is(p->s, '$');

	if (saved) {
		ok = imap_scan_set(p->im, p->s, uid, &seqs);
	} else if (!uid) {
		p->search->has_numbers = true;
		ok = scan_numbers(p, &seqs);
	} else if ((ok = scan_set(p->s, &set))) {
		keep(p, &set, &k->uids);
		(void)imap_resolve(p->im, &set, true, &seqs);
	}
	if (ok)
		keep(p, &seqs, &k->seqs);
	k->next_set = p->search->sets;
	p->search->sets = k;
	ranges_fini(&set);
	ranges_fini(&seqs);
	return ok;
}

static bool
scan_one_uid(struct parser *p, struct search_key *k, bool after)
{
	uint32_t uid;

	if (!scan_nz_number(p->s, &uid))
		return false;
	k->want = after ? uid : 0;
	k->num = after ? UINT64_MAX : uid;
	return true;
}

/*
 * An atom or a set, which some clients quote as they do all arguments of a
 * search (Webklex's php-imap): KEYWORD "x", UID "1:3".  Dovecot takes these.
 */
static bool
scan_maybe_quoted(struct parser *p, const struct key *d, struct search_key *k)
{
	bool quoted = scan_take(p->s, '"');

	return (d->arg == ARG_UID ? take_set(p, true, k) :
	    scan_name(p, k, false)) && (!quoted || scan_char(p->s, '"'));
}

static bool
scan_argument(struct parser *p, const struct key *d, struct search_key *k)
{
	switch (d->arg) {
	case ARG_NONE:
		return true;
	case ARG_FLAGS:
		k->mask = d->mask;
		k->want = d->want;
		return true;
	case ARG_DATE:
		return scan_days(p, k);
	case ARG_NUMBER:
		return scan_number_key(p, k);
	case ARG_INTERVAL:
		return scan_interval(p, k);
	case ARG_FIELD:
		k->name = d->field;
		return scan_text(p, k);
	case ARG_HEADER:
		return scan_name(p, k, true) && scan_sp(p->s) &&
		    scan_text(p, k);
	case ARG_ASTRING:
		return scan_text(p, k);
	case ARG_KEYWORD:
	case ARG_NO_KEYWORD:
		k->want = d->want;
		return scan_maybe_quoted(p, d, k);
	case ARG_ONE_UID:
		return scan_one_uid(p, k, d->want != 0);
	case ARG_UID:
		return scan_maybe_quoted(p, d, k);
	case ARG_MODSEQ:
		return scan_modseq(p, k);
	case ARG_ID:
		return scan_name(p, k, true);
	case ARG_NOT:
		return scan_children(p, k, 1);
	case ARG_FUZZY:
		p->search->has_fuzzy = true;
		p->fuzzy++;
		if (!scan_children(p, k, 1))
			return false;
		p->fuzzy--;
		return true;
	case ARG_OR:
		return scan_children(p, k, 2);
	}
	return false;
}

/* "(key key)": one after the other up to end, ')' or the end of all. */
static bool
scan_list(struct parser *p, struct search_key *k)
{
	struct search_key **last = &k->child;

	for (;;) {
		if ((*last = parse_key(p)) == NULL)
			return false;
		last = &(*last)->next;
		if (scan_is(p->s, ')') || scan_peek(p->s) < 0)
			return true;
		if (!scan_sp(p->s))
			return false;
	}
}

/* A message set, or "$" (RFC 5182), here and not after UID: numbers. */
static struct search_key *
parse_set(struct parser *p)
{
	struct search_key *k = new_key(p, SEARCH_SET);

	if (k == NULL)
		return NULL;
	if (!scan_is(p->s, '$') && !imap_may_number(p->im, p->s))
		return NULL;
	return take_set(p, false, k) ? k : NULL;
}

static struct search_key *
parse_word(struct parser *p)
{
	struct search_key *k;
	struct span word;

	if (!scan_atom(p->s, &word))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!span_caseis(word, keys[i].name))
			continue;
		if ((k = new_key(p, keys[i].kind)) == NULL)
			return NULL;
		if (keys[i].arg != ARG_NONE && keys[i].arg != ARG_FLAGS &&
		    !scan_sp(p->s))
			return NULL;
		return scan_argument(p, &keys[i], k) ? k : NULL;
	}
	scan_bad(p->s, "Unknown search key.");
	return NULL;
}

static struct search_key *
parse_key(struct parser *p)
{
	struct search_key *k = NULL;
	int c = scan_peek(p->s);

	if (++p->depth > SEARCH_NESTING_MAX) {
		scan_bad(p->s, "Search keys are nested too deep.");
		return NULL;
	}
	if (c == '(') {
		if ((k = new_key(p, SEARCH_AND)) != NULL &&
		    (!scan_open(p->s) || !scan_list(p, k) ||
		    !scan_close(p->s)))
			k = NULL;
	} else if ((c >= '0' && c <= '9') || c == '*' || c == '$')
		k = parse_set(p);
	else
		k = parse_word(p);
	p->depth--;
	return k;
}

static bool
take_charset(struct parser *p)
{
	if (!scan_astring(p->s, &p->charset) || !scan_sp(p->s))
		return false;
	if (charset_known(p->charset))
		return true;
	/* RFC 9051 7.1 BADCHARSET */
	return scan_no(p->s, "BADCHARSET (UTF-8 US-ASCII)",
	    "Unknown charset.");
}

static struct search *
parse_all(struct parser *p)
{
	p->search->top = new_key(p, SEARCH_AND);
	if (p->search->top == NULL || !scan_list(p, p->search->top) ||
	    !scan_end(p->s))
		return NULL;
	return p->search;
}

static void
begin(struct parser *p, struct imap *im, struct scan *s)
{
	*p = (struct parser){ .im = im, .s = s };
	p->search = arena_zalloc(s->arena, sizeof(*p->search));
}

struct search *
search_parse(struct imap *im, struct scan *s)
{
	struct parser p;

	begin(&p, im, s);
	if (scan_take_word(s, "CHARSET")) {
		/* RFC 6855 3 */
		if (IMAP_HAS(im, UTF8)) {
			scan_bad(s, "CHARSET is not allowed after "
			    "ENABLE UTF8=ACCEPT.");
			return NULL;
		}
		if (!scan_sp(s) || !take_charset(&p))
			return NULL;
	}
	return parse_all(&p);
}

struct search *
search_parse_charset(struct imap *im, struct scan *s)
{
	struct parser p;

	begin(&p, im, s);
	return take_charset(&p) ? parse_all(&p) : NULL;
}

bool
search_has_modseq(const struct search *p)
{
	return p->has_modseq;
}

bool
search_has_fuzzy(const struct search *p)
{
	return p->has_fuzzy;
}

bool
search_has_numbers(const struct search *p)
{
	return p->has_numbers;
}

void
search_pin(struct imap *im, struct search *p)
{
	for (struct search_key *k = p->sets; k != NULL; k = k->next_set) {
		struct ranges uids = RANGES_INIT;

		if (k->uids.len > 0)
			ranges_copy(&uids, &k->uids);
		else
			imap_uids(im, &k->seqs, &uids);
		k->uids = uids;
		k->live = RANGES_INIT;
	}
}

void
search_refresh(struct imap *im, struct search *p)
{
	for (struct search_key *k = p->sets; k != NULL; k = k->next_set) {
		(void)imap_resolve(im, &k->uids, true, &k->live);
		k->seqs = k->live;
	}
}

void
search_unpin(struct search *p)
{
	for (struct search_key *k = p->sets; k != NULL; k = k->next_set) {
		ranges_fini(&k->uids);
		ranges_fini(&k->live);
		k->seqs = RANGES_INIT;
	}
}
