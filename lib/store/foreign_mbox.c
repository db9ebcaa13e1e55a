/* SPDX-License-Identifier: ISC */
/*
 * foreign_mbox - taking an mbox apart; see foreign_mbox.h.
 *
 * A message ends in front of a line "From " that a blank line stands before,
 * unless a Content-Length says that it ends elsewhere and there is such a
 * place.  Of ">From " one '>' is taken away ("mboxrd").
 */
#include "store/foreign_mbox.h"

#include <time.h>

#include "base/num.h"
#include "store/store.h"

#define FROM	SPAN("From ")

static void
complain(const struct foreign_mbox *b, const char *what)
{
	if (b->f->complain != NULL)
		b->f->complain(b->f->arg, "mbox", b->line, what);
}

static bool
take_line(struct foreign_mbox *b, struct span *line)
{
	if (!span_line(&b->rest, line))
		return false;
	b->line++;
	return true;
}

int
foreign_mbox_init(struct foreign_mbox *b, struct foreign *f, struct span all)
{
	*b = (struct foreign_mbox){ .f = f, .rest = all };
	return all.len == 0 || span_starts(all, FROM) ? 0 : -1;
}

void
foreign_mail_fini(struct foreign_mail *m)
{
	buf_fini(&m->text);
	ARRAY_FINI(&m->words);
}

/* The time of "From sender  Mon Mar  2 14:05:09 2026", or 0. */
static int64_t
from_line_date(struct span line)
{
	struct tm tm = { .tm_isdst = 0 };
	char text[128];
	const char *p;

	if (span_copy(span_sub(line, 0, sizeof(text) - 1), text,
	    sizeof(text)) < 0)
		return 0;
	/* The sender may have blanks: the date is the last five words. */
	for (p = text + 5; (p = strchr(p, ' ')) != NULL; p++) {
		const char *end = strptime(p, " %a %b %d %H:%M:%S %Y", &tm);

		if (end != NULL)
			return (int64_t)timegm(&tm) * 1000000;
	}
	return 0;
}

/* --- headers ------------------------------------------------------------------------------ */

struct header {
	struct foreign_mbox *b;
	struct foreign_mail *m;
	bool		 first;		/* message of the file */
	bool		 internal;	/* no message */
	bool		 has_length;
	uint64_t	 length;
};

static void
take_status(struct header *h, struct span v)
{
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] == 'R')
			h->m->flags |= STORE_SEEN;
		else if (v.p[i] == 'D')
			h->m->flags |= STORE_DELETED;
	}
}

static void
take_x_status(struct header *h, struct span v)
{
	static const char letters[] = "AFTD";
	static const uint32_t flags[] = {
		STORE_ANSWERED, STORE_FLAGGED, STORE_DRAFT, STORE_DELETED,
	};

	for (size_t i = 0; i < v.len; i++) {
		const char *at = v.p[i] == '\0' ? NULL :
		    strchr(letters, v.p[i]);

		if (at != NULL)
			h->m->flags |= flags[at - letters];
	}
}

static void
take_words(struct header *h, struct span v)
{
	struct span word;

	while (span_token(&v, " \t", &word)) {
		if (!foreign_word_ok(word))
			complain(h->b, "this is no keyword");
		else if (h->m->words.len >= FOREIGN_WORDS_MAX)
			complain(h->b, "too many keywords");
		else
			*ARRAY_PUSH(&h->m->words) = word;
	}
}

static void
take_uid(struct header *h, struct span v)
{
	uint32_t uid;

	if (num_parse_u32(span_trim(v), UINT32_MAX - 1, &uid) < 0 || uid == 0)
		complain(h->b, "this is no UID");
	else if (uid <= h->b->last_uid)
		complain(h->b, "the UID is not above that of the message "
		    "before");
	else
		h->m->uid = h->b->last_uid = uid;
}

/* "<uidvalidity> <greatest UID> [<keyword> ...]" */
static void
take_base(struct header *h, struct span v)
{
	struct foreign *f = h->b->f;
	struct span validity, last;
	uint32_t a, n;

	if (!h->first)
		return;
	if (!span_token(&v, " \t", &validity) || !span_token(&v, " \t", &last) ||
	    num_parse_u32(validity, UINT32_MAX, &a) < 0 || a == 0 ||
	    num_parse_u32(last, UINT32_MAX - 1, &n) < 0) {
		complain(h->b, "no UIDVALIDITY and UID");
		return;
	}
	f->uidvalidity = a;
	f->uidnext = n + 1;
}

static void
take_internal(struct header *h, struct span v)
{
	h->internal |= h->first;
	take_base(h, v);
}

static void
take_length(struct header *h, struct span v)
{
	h->has_length = num_parse_u64(span_trim(v), UINT64_MAX,
	    &h->length) == 0;
}

static void
take_uidl(struct header *h, struct span v)
{
	h->m->uidl = span_trim(v);
}

static const struct {
	const char	*name;
	void		(*take)(struct header *h, struct span value);
	bool		 shown;		/* it is the message's, too */
} headers[] = {
	{ "Status:",		take_status,	false },
	{ "X-Status:",		take_x_status,	false },
	{ "X-Keywords:",	take_words,	false },
	{ "X-UID:",		take_uid,	false },
	{ "X-IMAPbase:",	take_base,	false },
	{ "X-IMAP:",		take_internal,	false },
	{ "Content-Length:",	take_length,	false },
	{ "X-UIDL:",		take_uidl,	true },
};

/* Whether the line, and what continues it, is the message's. */
static bool
take_header(struct header *h, struct span line)
{
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct span name = span_of(headers[i].name);

		if (!span_casestarts(line, name))
			continue;
		headers[i].take(h, span_from(line, name.len));
		return headers[i].shown;
	}
	return true;
}

/* --- messages ----------------------------------------------------------------------------- */

/* The body ends after length bytes, and the file or the next message comes
 * behind a blank line or at once. */
static bool
ends_there(struct span rest, uint64_t length)
{
	struct span behind, line;

	if (length > rest.len)
		return false;
	behind = span_from(rest, (size_t)length);
	if (length > 0 && rest.p[length - 1] != '\n' &&
	    (behind.len == 0 || !span_line(&behind, &line) || line.len > 0))
		return behind.len == 0;
	while (behind.len > 0 && !span_starts(behind, FROM)) {
		if (!span_line(&behind, &line) || line.len > 0)
			return false;
	}
	return true;
}

static void
take_counted(struct foreign_mbox *b, struct foreign_mail *m, size_t length)
{
	struct span body = span_sub(b->rest, 0, length), line;

	buf_add_span(&m->text, body);
	while (span_line(&body, &line))
		b->line++;
	b->rest = span_from(b->rest, length);
	/* The blank line behind it is the mbox's. */
	while (b->rest.len > 0 && !span_starts(b->rest, FROM))
		(void)take_line(b, &line);
}

static void
take_body(struct foreign_mbox *b, struct foreign_mail *m)
{
	struct span line, text;
	bool blank = false;

	/* A blank line is the message's when another line follows that is
	 * not the next message's. */
	while (b->rest.len > 0 && !(blank && span_starts(b->rest, FROM))) {
		(void)take_line(b, &line);
		if (blank)
			buf_add_char(&m->text, '\n');
		blank = line.len == 0;
		if (blank)
			continue;
		text = line;
		while (text.len > 0 && text.p[0] == '>')
			text = span_from(text, 1);
		if (line.p[0] == '>' && span_starts(text, FROM))
			line = span_from(line, 1);
		buf_add_span(&m->text, line);
		buf_add_char(&m->text, '\n');
	}
}

static void
take_message(struct foreign_mbox *b, struct foreign_mail *m, bool *internal)
{
	struct header h = { .b = b, .m = m, .first = !b->begun };
	struct span line;
	bool shown = true, body = false;

	buf_reset(&m->text);
	m->words.len = 0;
	m->flags = m->uid = 0;
	m->uidl = SPAN_EMPTY;
	b->begun = true;
	(void)take_line(b, &line);
	m->line = b->line;
	m->date_us = from_line_date(line);
	while (!body && take_line(b, &line)) {
		body = line.len == 0;
		if (!body && line.p[0] != ' ' && line.p[0] != '\t')
			shown = take_header(&h, line);
		if (shown || body) {
			buf_add_span(&m->text, line);
			buf_add_char(&m->text, '\n');
		}
	}
	*internal = h.internal;
	if (h.has_length && ends_there(b->rest, h.length))
		take_counted(b, m, (size_t)h.length);
	else if (!span_starts(b->rest, FROM))
		take_body(b, m);
}

bool
foreign_mbox_next(struct foreign_mbox *b, struct foreign_mail *m)
{
	bool internal = true;

	while (internal && b->rest.len > 0)
		take_message(b, m, &internal);
	return !internal;
}
