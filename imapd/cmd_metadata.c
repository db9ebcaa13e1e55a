/* SPDX-License-Identifier: ISC */
/*
 * cmd_metadata - GETMETADATA and SETMETADATA (RFC 5464); and what LIST
 * returns of them (RFC 9590).
 */
#include "conf/params.h"
#include "imapd/imap.h"

#define ENTRIES_MAX	100		/* in one command */

enum depth { DEPTH_0, DEPTH_1, DEPTH_ALL };

struct metadata_get {
	struct imap	*im;
	uint32_t	 box;
	uint64_t	 maxsize;
	enum depth	 depth;
	struct span	 entries[ENTRIES_MAX];
	size_t		 nentries;
	bool		 any;		/* something was put */
	uint64_t	 longest;	/* of those above maxsize */
	struct span	 root;		/* of metadata_each() */
	struct span	 name;
};

/* "/private" or "/shared", or below it. */
static bool
is_scope(struct span entry, struct span scope)
{
	return span_casestarts(entry, scope) &&
	    (entry.len == scope.len || entry.p[scope.len] == '/');
}

/* RFC 5464 3.2: below a vendor there are a name and at least one more. */
static bool
has_levels(struct span entry)
{
	size_t n = 0;
	bool vendor;

	for (size_t i = 0; i < entry.len; i++)
		n += entry.p[i] == '/';
	vendor = is_scope(entry, SPAN("/private/vendor")) ||
	    is_scope(entry, SPAN("/shared/vendor"));
	return n >= (vendor ? 4u : 2u);
}

/* RFC 5464 3.2: "/private/..." or "/shared/...", no empty level, no
 * wildcard; to look (DEPTH) it may be shorter than what can be set. */
static bool
scan_entry(struct scan *s, bool set, struct span *out)
{
	if (!scan_astring(s, out))
		return false;
	if (out->len > ACCOUNT_ENTRY_MAX)
		return scan_no(s, "LIMIT", "Entry name too long");
	if (!is_scope(*out, SPAN("/private")) &&
	    !is_scope(*out, SPAN("/shared")))
		return scan_bad(s, "Entry must begin with /private or "
		    "/shared.");
	if (span_search(*out, SPAN("//")) >= 0 || span_find(*out, '*') >= 0 ||
	    span_find(*out, '%') >= 0 || out->p[out->len - 1] == '/')
		return scan_bad(s, "Invalid entry name.");
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->p[i] < 0x20 ||
		    (unsigned char)out->p[i] > 0x7e)
			return scan_bad(s, "Invalid entry name.");
	if (set && !has_levels(*out))
		return scan_bad(s, "Invalid entry name.");
	return true;
}

static bool
scan_entries(struct scan *s, struct metadata_get *g)
{
	bool list = scan_is(s, '(');

	if (list && !scan_open(s))
		return false;
	do {
		if (g->nentries == ENTRIES_MAX)
			return scan_no(s, "LIMIT", "Too many entries");
		if (!scan_entry(s, false, &g->entries[g->nentries++]))
			return false;
	} while (list && scan_take(s, ' '));
	return !list || scan_close(s);
}

static bool
scan_options(struct scan *s, struct metadata_get *g)
{
	if (!scan_open(s))
		return false;
	do {
		if (scan_take_word(s, "MAXSIZE")) {
			if (!scan_sp(s) || !scan_number64(s, &g->maxsize))
				return false;
		} else if (scan_take_word(s, "DEPTH")) {
			if (!scan_sp(s))
				return false;
			if (scan_take_word(s, "0"))
				g->depth = DEPTH_0;
			else if (scan_take_word(s, "1"))
				g->depth = DEPTH_1;
			else if (scan_take_word(s, "infinity"))
				g->depth = DEPTH_ALL;
			else
				return scan_bad(s, "Invalid DEPTH.");
		} else {
			return scan_bad(s, "Unknown GETMETADATA option.");
		}
	} while (scan_take(s, ' '));
	return scan_close(s);
}

/* --- answering --------------------------------------------------------------------- */

static void
put_value(struct metadata_get *g, struct span entry, struct span value)
{
	struct buf *b = &g->im->out;

	if (value.p && value.len > g->maxsize) {
		g->longest = MAX(g->longest, value.len);
		return;
	}
	if (!g->any) {
		buf_add_str(b, "* METADATA ");
		put_mailbox(g->im, b, g->name);
		buf_add_str(b, " (");
	} else {
		buf_add_char(b, ' ');
	}
	g->any = true;
	put_astring(b, entry);
	buf_add_char(b, ' ');
	/* It may hold NUL: then it is a literal8. */
	if (value.p && span_has_nul(value)) {
		buf_addf(b, "~{%zu}\r\n", value.len);
		buf_add_span(b, value);
	} else {
		put_nstring(b, value);
	}
}

/* One level below root, or any number of them. */
static bool
put_below(void *arg, struct span entry, struct span value)
{
	struct metadata_get *g = arg;
	struct span rest;

	if (!span_casestarts(entry, g->root) || entry.len <= g->root.len ||
	    entry.p[g->root.len] != '/')
		return true;
	rest = span_from(entry, g->root.len + 1);
	if (g->depth == DEPTH_1 && span_find(rest, '/') >= 0)
		return true;
	put_value(g, entry, value);
	return true;
}

static int
put_entry(struct metadata_get *g, struct span entry, struct why *why)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	int rc = account_metadata_get(g->im->account, g->box, entry, &value,
	    why);

	if (rc >= 0 && (rc == 1 || g->depth == DEPTH_0))
		put_value(g, entry, rc == 1 ? buf_span(&value) : SPAN_EMPTY);
	buf_fini(&value);
	if (rc >= 0 && g->depth != DEPTH_0) {
		g->root = entry;
		account_metadata_each(g->im->account, g->box, put_below, g);
	}
	return rc < 0 ? -1 : 0;
}

static int
put_entries(struct metadata_get *g, struct why *why)
{
	int rc = 0;

	for (size_t i = 0; i < g->nentries && rc == 0; i++)
		rc = put_entry(g, g->entries[i], why);
	if (g->any)
		buf_add_str(&g->im->out, ")\r\n");
	return rc;
}

/* RFC 5464 4.2.1: that there was more. */
static void
done(struct imap *im, const struct metadata_get *g)
{
	char code[64];

	snprintf(code, sizeof(code), "METADATA LONGENTRIES %ju",
	    (uintmax_t)g->longest);
	imap_ok(im, g->longest > 0 ? code : NULL, "Getmetadata completed.");
}

/* The mailbox, or "" for the server: false when answered. */
static bool
find(struct imap *im, struct span name, uint32_t *box)
{
	struct why why = WHY_INIT;
	const struct account_box *b;

	*box = 0;
	if (name.len == 0)
		return true;
	b = imap_find_box(im, name, "NONEXISTENT");
	if (b == NULL)
		return false;
	*box = b->box;
	if (account_metadata_may(im->account, b->box, &why) == 0)
		return true;
	if (account_error(im->account) == ACCOUNT_NONEXISTENT)
		imap_no_box(im, name, "NONEXISTENT");
	else
		imap_fail(im, &why);
	return false;
}

void
cmd_getmetadata(struct imap *im, struct scan *s)
{
	struct metadata_get *g = arena_zalloc(&im->arena, sizeof(*g));
	struct why why = WHY_INIT;
	bool ok;

	g->im = im;
	g->maxsize = UINT64_MAX;
	/* The grammar has the options in front, the RFC's examples behind. */
	ok = scan_sp(s) && (!scan_is(s, '(') ||
	    (scan_options(s, g) && scan_sp(s))) && scan_mailbox(s, &g->name) &&
	    scan_sp(s);
	if (ok && scan_is(s, '(')) {
		struct scan again = *s;

		if (scan_options(&again, g)) {
			*s = again;
			ok = scan_sp(s);
		}
	}
	if (!ok || !scan_entries(s, g) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	if (!find(im, g->name, &g->box))
		return;
	if (put_entries(g, &why) != 0)
		imap_fail(im, &why);
	else
		done(im, g);
}

bool
metadata_scan(struct scan *s, struct metadata_get **out)
{
	*out = arena_zalloc(s->arena, sizeof(**out));
	(*out)->maxsize = UINT64_MAX;
	return (scan_is(s, '(') || scan_bad(s, "'(' expected.")) &&
	    scan_entries(s, *out);
}

void
metadata_put(struct imap *im, const struct account_box *b,
    struct metadata_get *g)
{
	struct why why = WHY_INIT;

	g->im = im;
	g->any = false;
	g->box = b->box;
	g->name = span_of(b->name);
	/* RFC 9590 3: nothing is said where nothing may be. */
	if (account_metadata_may(im->account, b->box, &why) != 0)
		return;
	if (put_entries(g, &why) != 0)
		buf_addf(&im->out, "* NO Metadata of a mailbox is not known: "
		    "%.100s\r\n", why.text);
}

/* --- setting ------------------------------------------------------------------------- */

struct metadata_set {
	struct account_entry v[ENTRIES_MAX];
	size_t		 n;
};

/* RFC 6154 4: "MUST NOT just blindly accept". */
static bool
check_uses(struct scan *s, const struct account_entry *e)
{
	struct span rest = e->value, word;

	if (!span_caseeq(e->name, SPAN("/private/specialuse")))
		return true;
	while (span_token(&rest, " ", &word))
		if (account_use_parse(word) == 0 ||
		    (account_use_parse(word) & (USE_ALL | USE_FLAGGED)))
			return scan_no(s, "USEATTR",
			    "Special-use attribute is not supported");
	return true;
}

static bool
scan_value(struct scan *s, struct span *out)
{
	bool binary;

	if (scan_is(s, '{') || scan_is(s, '~'))
		return scan_literal(s, out, &binary);
	return scan_nstring(s, out);
}

static bool
scan_pairs(struct scan *s, struct metadata_set *m)
{
	if (!scan_open(s))
		return false;
	do {
		struct account_entry *e = &m->v[m->n];

		if (m->n == ENTRIES_MAX)
			return scan_no(s, "METADATA TOOMANY",
			    "Too many entries");
		if (!scan_entry(s, true, &e->name) || !scan_sp(s) ||
		    !scan_value(s, &e->value) || !check_uses(s, e))
			return false;
		if (e->value.p && e->value.len >
		    (uint64_t)conf.imapd_metadata_size_limit)
			return scan_no(s, arena_printf(s->arena,
			    "METADATA MAXSIZE %jd",
			    (intmax_t)conf.imapd_metadata_size_limit),
			    "Value too large");
		m->n++;
	} while (scan_take(s, ' '));
	return scan_close(s);
}

void
cmd_setmetadata(struct imap *im, struct scan *s)
{
	struct metadata_set *m = arena_zalloc(&im->arena, sizeof(*m));
	struct why why = WHY_INIT;
	struct span name;
	uint32_t box;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_sp(s) ||
	    !scan_pairs(s, m) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	if (!find(im, name, &box))
		return;
	if (account_metadata_set_all(im->account, box, m->v, m->n, &why) == 0)
		imap_done(im);
	else if (account_error(im->account) == ACCOUNT_LIMIT)
		imap_no(im, "METADATA TOOMANY", "%s", why.text);
	else
		imap_fail(im, &why);
}
