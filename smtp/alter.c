/* SPDX-License-Identifier: ISC */
/*
 * alter - see alter.h, header_checks(5) and generic(5).
 *
 * As Postfix's SMTP client: first the checks, then the addresses.  The message
 * is accepted long since, so an action can change lines and say something,
 * but not refuse or divert it.
 */
#include "smtp/alter.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/mime.h"

#define FIELD_MAX	(1u << 20)	/* bytes of one field; cleanup allows less */
#define PIECE_MAX	2048		/* bytes of a line looked at at a time */
#define SHOW_MAX	200		/* bytes of content in the log, as Postfix */

struct alter {
	struct alter_checks	 checks;
	const struct generic	*generic;
	struct span		 queue_id;
	struct buf		*out;
	struct mime		*mime;
	struct buf		 text;		/* what a table says */
	uint64_t		 body_checked;	/* bytes of this part */
	struct why		 why;
};

enum result { KEEP, DROP, REPLACE };

static void
put_line(struct alter *a, struct span line)
{
	buf_add_span(a->out, line);
	if (line.len == 0 || line.p[line.len - 1] != '\n')
		buf_add_char(a->out, '\n');
}

/* --- checks ------------------------------------------------------------------------- */

static void
say(const struct alter *a, const char *action, const char *what,
    struct span content, struct span text)
{
	log_info("%.*s: %s: %s %.*s%s%.*s", SPAN_ARG(a->queue_id), action,
	    what, (int)MIN(content.len, (size_t)SHOW_MAX), content.p,
	    text.len > 0 ? ": " : "", SPAN_ARG(text));
}

static void
complain(const struct alter *a, struct maps *m, struct span value,
    const char *problem)
{
	log_warning("%.*s: %s: %s: \"%.*s\"", SPAN_ARG(a->queue_id),
	    maps_last_table(m), problem, (int)MIN(value.len,
	    (size_t)SHOW_MAX), value.p);
}

/* With REPLACE, *text is what takes the place of content. */
static enum result
act(struct alter *a, struct maps *m, const char *what, struct span content,
    struct span *text)
{
	struct span value = span_trim(buf_span(&a->text)), arg = value, action;

	if (!span_token(&arg, " \t", &action) ||
	    span_caseis(action, "DUNNO") || span_caseis(action, "OK"))
		return KEEP;
	arg = span_trim(arg);
	if (span_caseis(action, "WARN")) {
		say(a, "warning", what, content, arg);
		return KEEP;
	}
	if (span_caseis(action, "INFO")) {
		say(a, "info", what, content, arg);
		return KEEP;
	}
	if (span_caseis(action, "IGNORE"))
		return DROP;
	if (span_caseis(action, "STRIP")) {
		say(a, "strip", what, content, arg);
		return DROP;
	}
	if (span_caseis(action, "REPLACE") || span_caseis(action, "PREPEND")) {
		bool replace = span_caseis(action, "REPLACE");

		if (arg.len == 0) {
			complain(a, m, value, "a text is missing");
			return KEEP;
		}
		say(a, replace ? "replace" : "prepend", what, content, arg);
		if (replace) {
			*text = arg;
			return REPLACE;
		}
		put_line(a, arg);
		return KEEP;
	}
	complain(a, m, value, "action cannot be taken for mail on its way out");
	return KEEP;
}

static enum result
check(struct alter *a, struct maps *m, const char *what, struct span content,
    struct span *text)
{
	struct why why = WHY_INIT;
	int rc;

	if (m == NULL || maps_empty(m))
		return KEEP;
	while (content.len > 0 && content.p[content.len - 1] == '\n')
		content.len--;
	buf_reset(&a->text);
	rc = maps_get(m, content, false, &a->text, &why);
	if (rc < 0) {
		(void)why_set(&a->why, "4.3.0", "%s checks: %s", what,
		    why.text);
		return KEEP;
	}
	return rc == 0 ? KEEP : act(a, m, what, content, text);
}

/* --- header fields --------------------------------------------------------------------- */

struct edit {
	struct alter	*a;
	struct span	 field;		/* the whole field */
	size_t		 copied;	/* bytes of it that are in out */
};

static void
edit_address(void *arg, const struct address_item *item)
{
	struct edit *e = arg;
	struct span to = generic_find(e->a->generic, item->addr);
	size_t at = (size_t)(item->raw.p - e->field.p);

	if (item->addr.len == 0 || span_eq(to, item->addr))
		return;
	buf_add(e->a->out, e->field.p + e->copied, at - e->copied);
	address_quote_822(to, e->a->out);
	e->copied = at + item->raw.len;
}

static void
put_addresses(struct alter *a, const struct header_field *f)
{
	struct edit e = { .a = a, .field = f->whole };

	/* Beyond the limit an address stays as it is. */
	(void)address_list_each(f->value,
	    (size_t)conf.header_address_token_limit, edit_address, &e);
	put_line(a, span_from(f->whole, e.copied));
}

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	struct alter *a = arg;
	struct header_field changed;
	struct span text, rest;

	switch (check(a, s == MIME_PRIMARY ? a->checks.header :
	    s == MIME_PART ? a->checks.mime : a->checks.nested, "header",
	    f->whole, &text)) {
	case DROP:
		return;
	case REPLACE:
		rest = text;
		if (header_next(&rest, &changed) != 1 || rest.len > 0) {
			put_line(a, text);
			return;
		}
		f = &changed;
		break;
	case KEEP:
		break;
	}
	if (s == MIME_PRIMARY && a->generic != NULL &&
	    generic_is_address_field(f->name))
		put_addresses(a, f);
	else
		put_line(a, f->whole);
}

static void
on_header_end(void *arg, enum mime_section s, bool blank)
{
	struct alter *a = arg;

	if (blank)
		buf_add_char(a->out, '\n');
	a->body_checked = 0;
}

static void
on_body(void *arg, struct span bytes, bool line_start)
{
	struct alter *a = arg;
	struct span text;

	if (a->body_checked >= (uint64_t)conf.body_checks_size_limit) {
		buf_add_span(a->out, bytes);
		return;
	}
	a->body_checked += bytes.len;
	switch (check(a, a->checks.body, "body", bytes, &text)) {
	case KEEP:
		buf_add_span(a->out, bytes);
		break;
	case REPLACE:
		put_line(a, text);
		break;
	case DROP:
		break;
	}
}

/* --- public ------------------------------------------------------------------------------ */

static bool
any(struct maps *m)
{
	return m != NULL && !maps_empty(m);
}

struct alter *
alter_new(const struct alter_checks *c, const struct generic *g,
    struct span queue_id, struct buf *out)
{
	static const struct mime_ops ops = { on_header, on_header_end,
	    on_body };
	struct mime_options o = {
		.structure = any(c->mime) || any(c->nested) || any(c->body),
		.lines = any(c->body), .header_max = FIELD_MAX,
		.line_max = PIECE_MAX,
		.boundary_max = (size_t)conf.mime_boundary_length_limit,
		.nesting_max = (size_t)conf.mime_nesting_limit,
	};
	struct alter *a = mem_zalloc(sizeof(*a));

	a->checks = *c;
	a->generic = g;
	a->queue_id = queue_id;
	a->out = out;
	a->text = BUF_INIT(TABLE_VALUE_MAX);
	a->mime = mime_new(&o, &ops, a);
	return a;
}

void
alter_free(struct alter **ap)
{
	struct alter *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	mime_free(&a->mime);
	buf_fini(&a->text);
	mem_free(a);
}

void
alter_write(struct alter *a, struct span in)
{
	mime_write(a->mime, in);
}

void
alter_finish(struct alter *a)
{
	mime_finish(a->mime);
}

int
alter_check(const struct alter *a, struct why *why)
{
	if (a->why.code[0] == '\0')
		return 0;
	*why = a->why;
	return -1;
}
