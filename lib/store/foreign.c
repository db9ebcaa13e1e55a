/* SPDX-License-Identifier: ISC */
/*
 * foreign - parsers of other servers' files; see foreign.h.
 *
 * dovecot-uidlist, version 3:
 *	3 V<uidvalidity> N<uidnext> G<mailbox>
 *	<uid> [P<uidl>] [G<guid>] [W<size>] ... :<file>
 * and version 1: "1 <uidvalidity> <uidnext>", "<uid> <file>", which is also
 * what courierimapuiddb looks like.
 *
 * dovecot-keywords: "<number> <keyword>"; number 0 is the letter 'a' in names.
 *
 * courierpop3dsizelist, version 2 and 3:
 *	/3 <next> <uidvalidity>
 *	<file> <size> <n>:<uidvalidity>[:<utf8>]
 * The id is "UID<n>-<uidvalidity>", with uidvalidity 0 "UID<n>", and with n 0
 * it is the file's name (of the time before there was such a file).
 *
 * courierimapkeywords/:list: the keywords, a line each, an empty line, then
 * "<file>:<number> <number> ...".
 */
#include "store/foreign.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox.h"
#include "store/uidls.h"

#define UIDLIST		"dovecot-uidlist"
#define KEYWORDS	"dovecot-keywords"
#define COURIER_UIDS	"courierimapuiddb"
#define COURIER_POP3	"courierpop3dsizelist"
#define COURIER_LIST	"courierimapkeywords/:list"

/* Going through the lines of a file. */
struct lines {
	struct foreign	*f;
	const char	*file;
	struct span	 rest;
	size_t		 n;		/* of the line taken last, from 1 */
};

static void
complain(const struct lines *l, const char *what)
{
	if (l->f->complain != NULL)
		l->f->complain(l->f->arg, l->file, l->n, what);
}

/* The next line that is none too long, without NUL. */
static bool
next_line(struct lines *l, struct span *line)
{
	while (span_line(&l->rest, line)) {
		l->n++;
		if (line->len > FOREIGN_LINE_MAX)
			complain(l, "the line is too long");
		else if (span_has_nul(*line))
			complain(l, "there is a NUL in the line");
		else
			return true;
	}
	return false;
}

/* --- what is known ---------------------------------------------------------------------- */

void
foreign_init(struct foreign *f)
{
	*f = (struct foreign){ .complain = NULL };
	for (size_t i = 0; i < FOREIGN_LETTERS; i++)
		f->letters[i] = -1;
}

static void
message_free(void *arg)
{
	struct foreign_message *m = arg;

	if (m == NULL)
		return;
	mem_free(m->uidl);
	mem_free(m->guid);
	ARRAY_FINI(&m->words);
	mem_free(m);
}

void
foreign_fini(struct foreign *f)
{
	hash_fini(&f->messages, message_free);
	hash_fini(&f->uids, NULL);
	for (size_t i = 0; i < f->words.len; i++)
		mem_free(f->words.v[i]);
	ARRAY_FINI(&f->words);
}

struct span
foreign_base(struct span name)
{
	ptrdiff_t colon = span_find(name, ':');

	return colon < 0 ? name : span_sub(name, 0, (size_t)colon);
}

struct foreign_message *
foreign_find(const struct foreign *f, struct span name)
{
	return hash_get(&f->messages, foreign_base(name));
}

static struct foreign_message *
message_of(struct foreign *f, struct span name)
{
	struct hash_entry *e;
	bool made;

	e = hash_enter(&f->messages, foreign_base(name), &made);
	if (made)
		e->value = mem_zalloc(sizeof(struct foreign_message));
	return e->value;
}

bool
foreign_word_ok(struct span word)
{
	for (size_t i = 0; i < word.len; i++) {
		char c = word.p[i];

		if (c < 0x21 || c > 0x7e || c == '(' || c == ')' ||
		    c == '{' || c == '%' || c == '*' || c == '"' ||
		    c == '\\' || c == ']')
			return false;
	}
	return word.len > 0 && word.len <= MAILBOX_KEYWORD_MAX;
}

/* The number of a keyword, or -1. */
static int32_t
word_number(struct lines *l, struct span word)
{
	struct foreign *f = l->f;

	for (size_t i = 0; i < f->words.len; i++) {
		if (span_caseis(word, f->words.v[i]))
			return (int32_t)i;
	}
	if (!foreign_word_ok(word)) {
		complain(l, "this is no keyword");
		return -1;
	}
	if (f->words.len >= FOREIGN_WORDS_MAX) {
		complain(l, "too many keywords");
		return -1;
	}
	*ARRAY_PUSH(&f->words) = span_dup(word);
	return (int32_t)f->words.len - 1;
}

/* A message has this UID; none has it yet. */
static struct foreign_message *
new_uid(struct lines *l, struct span name, uint32_t uid)
{
	struct foreign_message *m;
	bool made;

	if (foreign_base(name).len == 0) {
		complain(l, "no name of a file");
		return NULL;
	}
	(void)hash_enter(&l->f->uids, span_make(&uid, sizeof(uid)), &made);
	if (!made) {
		complain(l, "another message has this UID");
		return NULL;
	}
	m = message_of(l->f, name);
	if (m->uid != 0) {
		complain(l, "this message has another UID already");
		return NULL;
	}
	m->uid = uid;
	if (uid >= l->f->uidnext && uid < UINT32_MAX)
		l->f->uidnext = uid + 1;
	return m;
}

static void
set_text(char **to, struct span text)
{
	mem_free(*to);
	*to = span_dup(text);
}

/* --- UIDs ------------------------------------------------------------------------------- */

static int
no_list(const char *file, struct why *why)
{
	return why_set(why, "", "%s:1: this is no UID list of a known version",
	    file);
}

/* "1 <uidvalidity> <uidnext>", less its first word. */
static int
old_head(struct lines *l, struct span rest, struct why *why)
{
	struct span v, n, more;

	if (!span_token(&rest, " ", &v) || !span_token(&rest, " ", &n) ||
	    span_token(&rest, " ", &more) ||
	    num_parse_u32(v, UINT32_MAX, &l->f->uidvalidity) < 0 ||
	    num_parse_u32(n, UINT32_MAX, &l->f->uidnext) < 0 ||
	    l->f->uidvalidity == 0 || l->f->uidnext == 0)
		return no_list(l->file, why);
	return 0;
}

/* "V<uidvalidity> N<uidnext> G<mailbox>", in any order. */
static int
new_head(struct lines *l, struct span rest, struct why *why)
{
	struct foreign *f = l->f;
	struct span word;

	while (span_token(&rest, " ", &word)) {
		struct span value = span_from(word, 1);
		int rc = 0;

		if (word.p[0] == 'V')
			rc = num_parse_u32(value, UINT32_MAX, &f->uidvalidity);
		else if (word.p[0] == 'N')
			rc = num_parse_u32(value, UINT32_MAX, &f->uidnext);
		if (rc < 0)
			return no_list(l->file, why);
	}
	return f->uidvalidity != 0 && f->uidnext != 0 ? 0 :
	    no_list(l->file, why);
}

/* What stands between the UID and ":<file>". */
static void
uidlist_fields(struct lines *l, struct foreign_message *m, struct span rest)
{
	struct span word;

	while (span_token(&rest, " ", &word)) {
		struct span value = span_from(word, 1);

		if (word.p[0] == 'P' && uidls_id_ok(value))
			set_text(&m->uidl, value);
		else if (word.p[0] == 'P')
			complain(l, "a unique id that no client can know");
		else if (word.p[0] == 'G' && value.len > 0)
			set_text(&m->guid, value);
	}
}

static void
uidlist_line(struct lines *l, struct span line, bool fields)
{
	struct foreign_message *m;
	struct span word, rest = line;
	ptrdiff_t colon;
	uint32_t uid;

	if (!span_token(&rest, " ", &word) ||
	    num_parse_u32(word, UINT32_MAX - 1, &uid) < 0 || uid == 0) {
		complain(l, "no UID at the begin of the line");
		return;
	}
	if (!fields) {
		while (rest.len > 0 && rest.p[0] == ' ')
			rest = span_from(rest, 1);
		(void)new_uid(l, rest, uid);
		return;
	}
	/* No value begins with a ':'. */
	if ((colon = span_search(line, SPAN(" :"))) < 0) {
		complain(l, "no name of a file");
		return;
	}
	m = new_uid(l, span_from(line, (size_t)colon + 2), uid);
	if (m == NULL)
		return;
	line = span_sub(line, 0, (size_t)colon);
	if (span_token(&line, " ", &word))
		uidlist_fields(l, m, line);
}

static int
uid_list(struct foreign *f, const char *file, struct span text,
    struct why *why)
{
	struct lines l = { .f = f, .file = file, .rest = text };
	struct span line, word;
	bool fields;

	if (!next_line(&l, &line) || !span_token(&line, " ", &word))
		return no_list(file, why);
	fields = span_is(word, "3");
	if (!fields && !span_is(word, "1"))
		return no_list(file, why);
	if ((fields ? new_head : old_head)(&l, line, why) < 0)
		return -1;
	while (next_line(&l, &line))
		uidlist_line(&l, line, fields);
	return 0;
}

int
foreign_uidlist(struct foreign *f, struct span text, struct why *why)
{
	return uid_list(f, UIDLIST, text, why);
}

int
foreign_courier_uids(struct foreign *f, struct span text, struct why *why)
{
	return uid_list(f, COURIER_UIDS, text, why);
}

/* --- keywords ----------------------------------------------------------------------------- */

void
foreign_keywords(struct foreign *f, struct span text)
{
	struct lines l = { .f = f, .file = KEYWORDS, .rest = text };
	struct span line, word;

	while (next_line(&l, &line)) {
		uint32_t n;

		if (!span_token(&line, " ", &word) ||
		    num_parse_u32(word, UINT32_MAX, &n) < 0) {
			complain(&l, "no number at the begin of the line");
			continue;
		}
		/* Names of files have letters for no more of them. */
		if (n < FOREIGN_LETTERS)
			f->letters[n] = word_number(&l, span_trim(line));
	}
}

static void
add_word(struct foreign_message *m, int32_t n)
{
	for (size_t i = 0; i < m->words.len; i++) {
		if (m->words.v[i] == (uint32_t)n)
			return;
	}
	if (n >= 0)
		*ARRAY_PUSH(&m->words) = (uint32_t)n;
}

void
foreign_courier_list(struct foreign *f, struct span text)
{
	struct lines l = { .f = f, .file = COURIER_LIST, .rest = text };
	ARRAY(int32_t) names = ARRAY_EMPTY;
	struct foreign_message *m;
	struct span line, word;

	while (next_line(&l, &line) && line.len > 0) {
		if (names.len < FOREIGN_WORDS_MAX)
			*ARRAY_PUSH(&names) = word_number(&l, line);
	}
	while (next_line(&l, &line)) {
		ptrdiff_t colon = span_rfind(line, ':');
		uint32_t n;

		if (colon <= 0) {
			complain(&l, "no \"file:numbers\"");
			continue;
		}
		m = message_of(f, span_sub(line, 0, (size_t)colon));
		line = span_from(line, (size_t)colon + 1);
		while (span_token(&line, " ", &word)) {
			if (num_parse_u32(word, UINT32_MAX, &n) < 0 ||
			    n >= names.len)
				complain(&l, "no number of a keyword");
			else
				add_word(m, names.v[n]);
		}
	}
	ARRAY_FINI(&names);
}

void
foreign_courier_words(struct foreign *f, struct span base, struct span text)
{
	struct foreign_message *m = message_of(f, base);
	char *file = span_dup(base);
	struct lines l = { .f = f, .file = file, .rest = text };
	struct span line;

	/* It says all of them. */
	m->words.len = 0;
	while (next_line(&l, &line)) {
		if (line.len > 0)
			add_word(m, word_number(&l, line));
	}
	mem_free(file);
}

/* --- Courier's POP3 ids ------------------------------------------------------------------- */

/* As Courier sends a name: what could disturb somebody as "+XX". */
static void
name_as_id(struct span base, struct buf *out)
{
	for (size_t i = 0; i < base.len; i++) {
		char c = base.p[i];

		if (c < 0x21 || c > 0x7e || c == '\'' || c == '"' || c == '+')
			buf_addf(out, "+%02X", (unsigned char)c);
		else
			buf_add_char(out, c);
	}
}

/* "<n>:<uidvalidity>[:<utf8>]" */
static bool
pop3_numbers(struct span in, uint32_t *n, uint32_t *validity)
{
	ptrdiff_t at = span_find(in, ':');
	struct span rest;

	if (at < 0 || num_parse_u32(span_sub(in, 0, (size_t)at), UINT32_MAX,
	    n) < 0)
		return false;
	rest = span_from(in, (size_t)at + 1);
	at = span_find(rest, ':');
	return num_parse_u32(at < 0 ? rest : span_sub(rest, 0, (size_t)at),
	    UINT32_MAX, validity) == 0;
}

static void
pop3_line(struct lines *l, struct span line)
{
	struct buf id = BUF_INIT(4 * FOREIGN_LINE_MAX);
	ptrdiff_t last = span_rfind(line, ' '), size = -1;
	uint32_t n, validity;
	struct span base;

	/* A name may have blanks; the two words behind it have none. */
	if (last > 0)
		size = span_rfind(span_sub(line, 0, (size_t)last), ' ');
	base = foreign_base(span_sub(line, 0, size > 0 ? (size_t)size : 0));
	if (base.len == 0 || !pop3_numbers(span_from(line, (size_t)last + 1),
	    &n, &validity)) {
		complain(l, "no \"file size number:uidvalidity\"");
		return;
	}
	if (n == 0)
		name_as_id(base, &id);
	else if (validity == 0)
		buf_addf(&id, "UID%" PRIu32, n);
	else
		buf_addf(&id, "UID%" PRIu32 "-%" PRIu32, n, validity);
	if (uidls_id_ok(buf_span(&id)))
		set_text(&message_of(l->f, base)->uidl, buf_span(&id));
	else
		complain(l, "a unique id that is too long");
	buf_fini(&id);
}

int
foreign_courier_pop3(struct foreign *f, struct span text, struct why *why)
{
	struct lines l = { .f = f, .file = COURIER_POP3, .rest = text };
	struct span line;

	if (!next_line(&l, &line) || (!span_starts(line, SPAN("/2 ")) &&
	    !span_starts(line, SPAN("/3 "))))
		return why_set(why, "", "%s:1: no list of version 2 or 3",
		    COURIER_POP3);
	while (next_line(&l, &line))
		pop3_line(&l, line);
	return 0;
}
