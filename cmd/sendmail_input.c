/* SPDX-License-Identifier: ISC */
/*
 * sendmail_input - the message on standard input, and the recipients in its
 * header.
 */
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/params.h"
#include "cmd/sendmail.h"
#include "mail/address.h"
#include "mail/header.h"

#define READ_SIZE	(64u * 1024)
#define TOKENS_MAX	1000000		/* of one address list */

struct input {
	int		fd;
	bool		keep_dots, eof;
	bool		line_start;	/* the next piece begins a line */
	bool		fix;		/* CR LF becomes LF */
	bool		decided;	/* first line seen: "strict" */
	bool		any;		/* something was returned */
	size_t		at, end;	/* what is unread in data */
	char		data[READ_SIZE];
};

struct input *
input_new(int fd, bool keep_dots)
{
	struct input *in = mem_alloc(sizeof(*in));

	in->fd = fd;
	in->keep_dots = keep_dots;
	in->eof = in->decided = in->any = false;
	in->line_start = true;
	in->fix = span_is(span_of(conf.sendmail_fix_line_endings), "always");
	in->at = in->end = 0;
	return in;
}

void
input_free(struct input **in)
{
	mem_free(*in);
	*in = NULL;
}

/* More bytes behind those that are there; -1 with errno. */
static int
fill(struct input *in)
{
	ssize_t n;

	memmove(in->data, in->data + in->at, in->end - in->at);
	in->end -= in->at;
	in->at = 0;
	do
		n = read(in->fd, in->data + in->end, READ_SIZE - in->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if (n == 0)
		in->eof = true;
	in->end += (size_t)n;
	return 0;
}

/* A raw line with its LF, a full buffer without one, or the rest. */
static int
raw_line(struct input *in, struct span *out)
{
	const char *nl;
	size_t n, looked = 0;

	for (;;) {
		n = in->end - in->at;
		nl = n > looked ? memchr(in->data + in->at + looked, '\n',
		    n - looked) : NULL;
		if (nl != NULL) {
			n = (size_t)(nl - (in->data + in->at)) + 1;
			break;
		}
		if (in->eof || n == READ_SIZE)
			break;
		looked = n;
		if (fill(in) < 0)
			return -1;
	}
	/* A CR at the end of a piece may belong to a LF that comes next. */
	if (nl == NULL && !in->eof && n > 1 && in->data[in->at + n - 1] == '\r')
		n--;
	*out = span_make(in->data + in->at, n);
	in->at += n;
	return n > 0;
}

static void
fix_end(struct input *in, struct span *line)
{
	char *p;
	bool crlf = span_ends(*line, SPAN("\r\n"));

	if (!in->decided && in->line_start) {
		in->decided = true;
		if (span_is(span_of(conf.sendmail_fix_line_endings),
		    "strict"))
			in->fix = crlf;
	}
	if (!crlf || !in->fix)
		return;
	p = in->data + (line->p - in->data);
	line->len--;
	p[line->len - 1] = '\n';
}

int
input_line(struct input *in, struct span *line)
{
	bool start;
	int rc;

	for (;;) {
		rc = raw_line(in, line);
		if (rc <= 0)
			return rc;
		fix_end(in, line);
		start = in->line_start;
		in->line_start = line->p[line->len - 1] == '\n';
		if (start && !in->keep_dots &&
		    (span_is(*line, ".\n") || (in->eof && in->at == in->end &&
		    span_is(*line, "."))))
			return 0;
		/* What mail programs put in front of a mailbox's messages. */
		if (start && !in->any && in->line_start &&
		    (span_starts(*line, SPAN("From ")) ||
		    span_starts(*line, SPAN(">From "))))
			continue;
		in->any = true;
		return 1;
	}
}

/* --- recipients ----------------------------------------------------------------- */

static void
push_address(void *arg, const struct address_item *a)
{
	strings *out = arg;

	if (!span_has_nul(a->addr))
		*ARRAY_PUSH(out) = span_dup(a->addr);
}

int
add_addresses(struct span list, strings *out)
{
	return address_list_each(list, TOKENS_MAX, push_address, out);
}

static bool
names_one_of(struct span name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (span_caseis(name, *list))
			return true;
	return false;
}

/*
 * RFC 5322 3.6.6: whoever resends puts a block of Resent-* fields on top; the
 * older blocks below it were somebody else's.  A block has each field once.
 */
static bool
in_first_block(struct span name, strings *seen)
{
	for (size_t i = 0; i < seen->len; i++)
		if (span_caseis(name, seen->v[i]))
			return false;
	*ARRAY_PUSH(seen) = span_dup(name);
	return true;
}

void
strings_fini(strings *s)
{
	for (size_t i = 0; i < s->len; i++)
		mem_free(s->v[i]);
	ARRAY_FINI(s);
}

int
header_recipients(struct span section, strings *rcpts, struct buf *out)
{
	static const char *const plain[] = { "To", "Cc", "Bcc", NULL };
	static const char *const resent[] = { "Resent-To", "Resent-Cc",
	    "Resent-Bcc", NULL };
	strings to = ARRAY_EMPTY, resent_to = ARRAY_EMPTY;
	strings seen = ARRAY_EMPTY, *from;
	bool block_over = false, any_resent = false;
	struct header_field f;
	int rc = 0;

	while (rc == 0 && header_next(&section, &f) == 1) {
		if (span_casestarts(f.name, SPAN("Resent-")) &&
		    !in_first_block(f.name, &seen))
			block_over = true;
		if (names_one_of(f.name, plain))
			rc = add_addresses(f.value, &to);
		else if (names_one_of(f.name, resent) && !block_over) {
			any_resent = true;
			rc = add_addresses(f.value, &resent_to);
		}
		if (!span_caseis(f.name, "Bcc") &&
		    !span_caseis(f.name, "Resent-Bcc"))
			buf_add_span(out, f.whole);
	}
	from = any_resent ? &resent_to : &to;
	for (size_t i = 0; rc == 0 && i < from->len; i++) {
		*ARRAY_PUSH(rcpts) = from->v[i];
		from->v[i] = NULL;
	}
	strings_fini(&to);
	strings_fini(&resent_to);
	strings_fini(&seen);
	return rc;
}
