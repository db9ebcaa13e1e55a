/* SPDX-License-Identifier: ISC */
/*
 * fetch_parse - the arguments of FETCH to struct fetch; see fetch.h.
 */
#include "imapd/fetch.h"
#include "mail/chars.h"

static struct fetch_item *
add(struct arena *a, struct fetch *f, enum fetch_kind kind)
{
	if (f->items == NULL)
		f->items = arena_alloc(a,
		    FETCH_ITEMS_MAX * sizeof(f->items[0]));
	f->items[f->nitems] = (struct fetch_item){ .kind = kind };
	return &f->items[f->nitems++];
}

static bool
has(const struct fetch *f, enum fetch_kind kind)
{
	for (size_t i = 0; i < f->nitems; i++)
		if (f->items[i].kind == kind)
			return true;
	return false;
}

static bool
same_section(const struct section *x, const struct section *y)
{
	if (x == NULL || y == NULL)
		return x == y;
	if (x->what != y->what || x->npath != y->npath ||
	    x->nfields != y->nfields ||
	    memcmp(x->path, y->path, x->npath * sizeof(x->path[0])) != 0)
		return false;
	for (size_t i = 0; i < x->nfields; i++)
		if (!span_caseeq(x->fields[i], y->fields[i]))
			return false;
	return true;
}

static bool
same_item(const struct fetch_item *x, const struct fetch_item *y)
{
	return x->kind == y->kind && x->partial == y->partial &&
	    x->off == y->off && x->len == y->len &&
	    same_section(x->section, y->section);
}

void
fetch_merge(struct arena *a, struct fetch *f, const struct fetch *more)
{
	for (size_t i = 0; i < more->nitems; i++) {
		bool twice = f->nitems == FETCH_ITEMS_MAX;

		for (size_t k = 0; k < f->nitems && !twice; k++)
			twice = same_item(&f->items[k], &more->items[i]);
		if (!twice)
			*add(a, f, more->items[i].kind) = more->items[i];
	}
}

void
fetch_add_first(struct imap *im, struct fetch *f, enum fetch_kind kind)
{
	if (has(f, kind))
		return;
	add(&im->arena, f, kind);
	memmove(f->items + 1, f->items, (f->nitems - 1) * sizeof(f->items[0]));
	f->items[0] = (struct fetch_item){ .kind = kind };
}

void
fetch_add_flags(struct imap *im, struct fetch *f)
{
	/* RFC 7162 3.2.4: whoever knows of MODSEQ hears of the new one, and the
	 * UID. */
	if (IMAP_HAS(im, CONDSTORE))
		fetch_add_first(im, f, FETCH_MODSEQ);
	fetch_add_first(im, f, FETCH_FLAGS);
	if (IMAP_HAS(im, CONDSTORE) && !IMAP_HAS(im, UIDONLY))
		fetch_add_first(im, f, FETCH_UID);
}

/* Names without brackets. */
static const struct {
	const char	*name;
	enum fetch_kind	 kind;
	bool		 sets_seen;
} simple[] = {
	{ "UID", FETCH_UID, false },
	{ "FLAGS", FETCH_FLAGS, false },
	{ "MODSEQ", FETCH_MODSEQ, false },
	{ "INTERNALDATE", FETCH_INTERNALDATE, false },
	{ "RFC822.SIZE", FETCH_SIZE, false },
	{ "EMAILID", FETCH_EMAILID, false },		/* RFC 8474 */
	{ "THREADID", FETCH_THREADID, false },
	{ "SAVEDATE", FETCH_SAVEDATE, false },		/* RFC 8514 */
	{ "ENVELOPE", FETCH_ENVELOPE, false },
	{ "BODYSTRUCTURE", FETCH_BODYSTRUCTURE, false },
	{ "PREVIEW", FETCH_PREVIEW, false },		/* RFC 8970 */
	{ "RFC822", FETCH_RFC822, true },
	{ "RFC822.HEADER", FETCH_RFC822_HEADER, false },
	{ "RFC822.TEXT", FETCH_RFC822_TEXT, true },
	{ "BODY", FETCH_BODY, false },
};

/* "<0.100>" */
static bool
scan_partial(struct scan *s, struct fetch_item *it)
{
	if (!scan_take(s, '<'))
		return true;
	it->partial = true;
	if (!scan_number64(s, &it->off))
		return false;
	/* "<40>" is no grammar, but used: all the rest. */
	it->len = UINT64_MAX;
	if (scan_take(s, '>'))
		return true;
	if (!scan_char(s, '.') || !scan_number64(s, &it->len) ||
	    !scan_char(s, '>'))
		return false;
	/* It could only ever be answered by nothing. */
	return it->len > 0 || scan_bad(s, "Partial length must not be zero.");
}

/* "1.2." or "1.2" before the bracket closes. */
static bool
scan_path(struct scan *s, struct section *sec)
{
	uint32_t n;

	while (scan_peek(s) >= 0 && char_is_digit(scan_peek(s))) {
		if (sec->npath == SECTION_DEPTH_MAX)
			return scan_bad(s, "Section too deep.");
		if (!scan_nz_number(s, &n))
			return false;
		sec->path[sec->npath++] = n;
		if (!scan_take(s, '.'))
			return scan_is(s, ']') ||
			    scan_bad(s, "Invalid section.");
		if (scan_is(s, ']'))
			return scan_bad(s, "Invalid section.");
	}
	return true;
}

static bool
scan_fields(struct imap *im, struct scan *s, struct section *sec)
{
	struct span name;

	if (!scan_sp(s) || !scan_open(s))
		return false;
	sec->fields = arena_alloc(s->arena,
	    SECTION_FIELDS_MAX * sizeof(sec->fields[0]));
	do {
		if (sec->nfields == SECTION_FIELDS_MAX)
			return scan_no(s, "LIMIT", "Too many header fields");
		if (!scan_astring(s, &name))
			return false;
		sec->fields[sec->nfields++] = name;
	} while (scan_take(s, ' '));
	return scan_close(s);
}

static const struct { const char *name; enum section_what what; } texts[] = {
	{ "HEADER", SECTION_HEADER }, { "TEXT", SECTION_TEXT },
	{ "HEADER.FIELDS", SECTION_FIELDS }, { "MIME", SECTION_MIME },
	{ "HEADER.FIELDS.NOT", SECTION_FIELDS_NOT },
};

/*
 * After "[", up to and with "]".  BINARY has part numbers only (RFC 9051 9,
 * section-binary); Dovecot and those who test with it have the others, too.
 */
static bool
scan_section(struct imap *im, struct scan *s, struct section *sec)
{
	size_t start, i = 0;
	struct span word;

	if (!scan_path(s, sec))
		return false;
	if (scan_take(s, ']'))
		return true;
	start = s->at;
	while (s->at < s->in.len && (char_is_alnum(s->in.p[s->at]) ||
	    s->in.p[s->at] == '.'))
		s->at++;
	word = span_sub(s->in, start, s->at - start);
	while (i < ARRAY_LEN(texts) && !span_caseis(word, texts[i].name))
		i++;
	if (i == ARRAY_LEN(texts) ||
	    (texts[i].what == SECTION_MIME && sec->npath == 0))
		return scan_bad(s, "Invalid section.");
	sec->what = texts[i].what;
	if ((sec->what == SECTION_FIELDS || sec->what == SECTION_FIELDS_NOT) &&
	    !scan_fields(im, s, sec))
		return false;
	return scan_char(s, ']');
}

static const struct {
	const char	*name;
	enum fetch_kind	 kind;
	bool		 sets_seen;
} bracketed[] = {
	{ "BODY", FETCH_SECTION, true },
	{ "BODY.PEEK", FETCH_SECTION, false },
	{ "BINARY", FETCH_BINARY, true },
	{ "BINARY.PEEK", FETCH_BINARY, false },
	{ "BINARY.SIZE", FETCH_BINARY_SIZE, false },
};

static bool
scan_bracketed(struct imap *im, struct scan *s, struct fetch *f,
    struct span word)
{
	struct fetch_item *it;
	size_t i = 0;

	while (i < ARRAY_LEN(bracketed) &&
	    !span_caseis(word, bracketed[i].name))
		i++;
	if (i == ARRAY_LEN(bracketed) || !scan_char(s, '['))
		return scan_bad(s, "Unknown FETCH item.");
	it = add(s->arena, f, bracketed[i].kind);
	it->section = arena_zalloc(s->arena, sizeof(*it->section));
	f->sets_seen = f->sets_seen || bracketed[i].sets_seen;
	return scan_section(im, s, it->section) &&
	    (it->kind == FETCH_BINARY_SIZE || scan_partial(s, it));
}

/* RFC 8970 6: one modifier or more, of which there is one. */
static bool
scan_lazy(struct scan *s)
{
	if (!scan_open(s))
		return false;
	do {
		if (!scan_take_word(s, "LAZY"))
			return scan_bad(s, "Unknown PREVIEW modifier.");
	} while (scan_take(s, ' '));
	return scan_close(s);
}

static bool
scan_item(struct imap *im, struct scan *s, struct fetch *f)
{
	struct span word;

	if (f->nitems >= FETCH_ITEMS_MAX - 8)
		return scan_no(s, "LIMIT", "Too many FETCH items");
	if (!scan_word(s, &word))
		return false;
	if (scan_is(s, '['))
		return scan_bracketed(im, s, f, word);
	for (size_t i = 0; i < ARRAY_LEN(simple); i++) {
		struct fetch_item *it;

		if (!span_caseis(word, simple[i].name))
			continue;
		f->sets_seen = f->sets_seen || simple[i].sets_seen;
		it = add(s->arena, f, simple[i].kind);
		/* Twice the same is said once. */
		f->nitems--;
		if (!has(f, simple[i].kind))
			f->nitems++;
		if (it->kind == FETCH_MODSEQ)
			sync_condstore(im);
		if (it->kind == FETCH_PREVIEW && scan_is(s, ' ') &&
		    s->at + 1 < s->in.len && s->in.p[s->at + 1] == '(') {
			it->lazy = true;
			return scan_sp(s) && scan_lazy(s);
		}
		return true;
	}
	return scan_bad(s, "Unknown FETCH item.");
}

/* RFC 9051 6.4.5: ALL, FAST, FULL, alone. */
static bool
scan_macro(struct imap *im, struct scan *s, struct fetch *f)
{
	bool all = scan_is_word(s, "ALL"), full = scan_is_word(s, "FULL");
	struct span word;

	if (!all && !full && !scan_is_word(s, "FAST"))
		return false;
	add(s->arena, f, FETCH_FLAGS);
	add(s->arena, f, FETCH_INTERNALDATE);
	add(s->arena, f, FETCH_SIZE);
	if (all || full)
		add(s->arena, f, FETCH_ENVELOPE);
	if (full)
		add(s->arena, f, FETCH_BODY);
	return scan_atom(s, &word);
}

bool
fetch_scan_items(struct imap *im, struct scan *s, struct fetch *f)
{
	if (scan_macro(im, s, f))
		return true;
	if (!scan_is(s, '('))
		return scan_item(im, s, f);
	if (!scan_open(s))
		return false;
	do {
		if (!scan_item(im, s, f))
			return false;
	} while (scan_take(s, ' '));
	return scan_close(s);
}

/* "-1:-100", counted from the end, or "1:100" (RFC 9394). */
static bool
scan_window(struct scan *s, struct fetch *f)
{
	bool neg = scan_take(s, '-');
	uint32_t a, b;

	if (!scan_nz_number(s, &a) || !scan_char(s, ':') ||
	    scan_take(s, '-') != neg || !scan_nz_number(s, &b))
		return scan_bad(s, "Invalid PARTIAL range.");
	f->has_partial = true;
	f->partial_from = neg ? -(int64_t)MIN(a, b) : MIN(a, b);
	f->partial_to = neg ? -(int64_t)MAX(a, b) : MAX(a, b);
	return true;
}

/* "(CHANGEDSINCE 12345 VANISHED PARTIAL 1:100)" */
static bool
scan_modifiers(struct imap *im, struct scan *s, struct fetch *f)
{
	bool since = false;

	if (!scan_sp(s) || !scan_open(s))
		return false;
	do {
		if (scan_take_word(s, "CHANGEDSINCE")) {
			if (!scan_sp(s) ||
			    !scan_number64(s, &f->changed_since))
				return false;
			since = true;
			sync_condstore(im);
			if (!has(f, FETCH_MODSEQ))
				add(s->arena, f, FETCH_MODSEQ);
		} else if (scan_take_word(s, "VANISHED")) {
			f->vanished = true;
		} else if (scan_take_word(s, "PARTIAL")) {
			if (!(im->cmd->flags & CMD_UID))
				return scan_bad(s, "PARTIAL is for UID FETCH.");
			if (!scan_sp(s) || !scan_window(s, f))
				return false;
		} else {
			return scan_bad(s, "Unknown FETCH modifier.");
		}
	} while (scan_take(s, ' '));
	/* RFC 7162 3.2.6 */
	if (f->vanished && (!IMAP_HAS(im, QRESYNC) || !since ||
	    !(im->cmd->flags & CMD_UID)))
		return scan_bad(s, "VANISHED needs QRESYNC, UID FETCH and "
		    "CHANGEDSINCE.");
	return scan_close(s);
}

/* The set; for VANISHED also as it was asked for. */
static bool
scan_messages(struct imap *im, struct scan *s, struct fetch *f)
{
	bool uid = (im->cmd->flags & CMD_UID) != 0;
	struct scan again = *s;

	if (!imap_scan_set(im, s, uid, &f->seqs))
		return false;
	if (!uid)
		return true;
	if (scan_is(&again, '$'))
		ranges_copy(&f->uids, &im->saved);
	else
		return scan_set(&again, &f->uids);
	return true;
}

bool
fetch_scan(struct imap *im, struct scan *s, struct fetch *f)
{
	if (!scan_sp(s) || !scan_messages(im, s, f) || !scan_sp(s) ||
	    !fetch_scan_items(im, s, f))
		return false;
	if (scan_is(s, ' ') && !scan_modifiers(im, s, f))
		return false;
	return scan_end(s);
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

struct fetch *
fetch_scan_kept(struct imap *im, struct scan *s, struct arena *a)
{
	size_t from = s->at;
	struct scan again;
	struct span text;
	struct fetch *f;

	if (!skip_list(s))
		return NULL;
	text = span_sub(s->in, from, s->at - from);
	scan_init(&again, span_make(arena_span_dup(a, text), text.len), a);
	f = arena_zalloc(a, sizeof(*f));
	if (fetch_scan_items(im, &again, f) && scan_end(&again))
		return f;
	scan_bad(s, again.err ? again.err : "Invalid fetch items.");
	return NULL;
}
