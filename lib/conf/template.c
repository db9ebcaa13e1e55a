/* SPDX-License-Identifier: ISC */
/*
 * template - texts in "name = <<EOF" to the line "EOF"; a text that is broken
 * leaves all of them as they were.
 */
#include "conf/template.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "io/fd.h"

static const struct {
	const char	*name;
	struct {
		const char	*charset, *from, *subject,
				*postmaster_subject, *text;
	} t;
} builtin[TEMPLATE_KINDS] = {
	[TEMPLATE_FAILURE] = { "failure_template", {
	    .charset = "us-ascii",
	    .from = "MAILER-DAEMON (Mail Delivery System)",
	    .subject = "Undelivered Mail Returned to Sender",
	    .postmaster_subject = "Postmaster Copy: Undelivered Mail",
	    .text =
"Your message could not be delivered to every recipient.\n"
"\n"
"This is the mail system at $myhostname. The recipients below did not\n"
"get your message, and no further attempt will be made. The reason is\n"
"given behind each address, and your message is attached.\n"
"\n"
"If you need help, write to postmaster and include this whole report.\n"
"\n"
"                   The mail system\n" } },
	[TEMPLATE_DELAY] = { "delay_template", {
	    .charset = "us-ascii",
	    .from = "MAILER-DAEMON (Mail Delivery System)",
	    .subject = "Delayed Mail (still being retried)",
	    .postmaster_subject =
	    "Postmaster Warning: Delayed Mail",
	    .text =
"Your message is delayed. You need not send it again.\n"
"\n"
"This is the mail system at $myhostname. Your message could not be\n"
"delivered to the recipients below for more than\n"
"$delay_warning_time_hours hour(s). Attempts go on until it is\n"
"$maximal_queue_lifetime_days day(s) old; then it will be returned.\n"
"\n"
"If you need help, write to postmaster and include this whole report.\n"
"\n"
"                   The mail system\n" } },
	[TEMPLATE_SUCCESS] = { "success_template", {
	    .charset = "us-ascii",
	    .from = "MAILER-DAEMON (Mail Delivery System)",
	    .subject = "Successful Mail Delivery Report",
	    .text =
"Your message was delivered to the recipients below.\n"
"\n"
"This is the mail system at $myhostname. You asked for this report. If\n"
"the message went to a mailbox or an alias, you will get no other\n"
"report; if it went on to another mail system, that one may still tell\n"
"you that it could not be delivered there.\n"
"\n"
"                   The mail system\n" } },
	[TEMPLATE_VERIFY] = { "verify_template", {
	    .charset = "us-ascii",
	    .from = "MAILER-DAEMON (Mail Delivery System)",
	    .subject = "Mail Delivery Status Report",
	    .text =
"This is the report on mail delivery that you asked for.\n"
"\n"
"This is the mail system at $myhostname. What would become of mail to the\n"
"recipients below is said behind each address.\n"
"\n"
"                   The mail system\n" } },
};

const char *
template_name(enum template_kind k)
{
	return builtin[k].name;
}

static char *
dup_or_null(const char *s)
{
	return s == NULL ? NULL : mem_strdup(s);
}

static void
template_copy(struct template *to, const struct template *from)
{
	*to = (struct template){
		.charset = mem_strdup(from->charset),
		.from = mem_strdup(from->from),
		.subject = mem_strdup(from->subject),
		.postmaster_subject = dup_or_null(from->postmaster_subject),
		.text = mem_strdup(from->text),
	};
}

static void
template_fini(struct template *t)
{
	mem_free(t->charset);
	mem_free(t->from);
	mem_free(t->subject);
	mem_free(t->postmaster_subject);
	mem_free(t->text);
	*t = (struct template){ .text = NULL };
}

static void
template_builtin(struct template *to, int k)
{
	*to = (struct template){
		.charset = mem_strdup(builtin[k].t.charset),
		.from = mem_strdup(builtin[k].t.from),
		.subject = mem_strdup(builtin[k].t.subject),
		.postmaster_subject =
		    dup_or_null(builtin[k].t.postmaster_subject),
		.text = mem_strdup(builtin[k].t.text),
	};
}

void
templates_init(struct templates *ts)
{
	for (int k = 0; k < TEMPLATE_KINDS; k++)
		template_builtin(&ts->t[k], k);
}

void
templates_fini(struct templates *ts)
{
	for (int k = 0; k < TEMPLATE_KINDS; k++)
		template_fini(&ts->t[k]);
}

/* --- the file ----------------------------------------------------------------------- */

struct parser {
	struct span	rest;
	unsigned	line;
	struct why	*why;
};

static bool
next_line(struct parser *p, struct span *line)
{
	if (!span_line(&p->rest, line))
		return false;
	p->line++;
	return true;
}

/* "name: value": which member it sets; NULL when it is none. */
static char **
header_member(struct template *t, struct span name)
{
	if (span_caseis(name, "charset"))
		return &t->charset;
	if (span_caseis(name, "from"))
		return &t->from;
	if (span_caseis(name, "subject"))
		return &t->subject;
	if (span_caseis(name, "postmaster-subject"))
		return &t->postmaster_subject;
	return NULL;
}

static int
parse_header(struct parser *p, struct template *t, struct span line)
{
	ptrdiff_t colon = span_find(line, ':');
	struct span value;
	char **member;

	if (colon <= 0)
		return why_set(p->why, "", "line %u: a header or an empty "
		    "line is expected", p->line);
	member = header_member(t, span_trim(span_sub(line, 0,
	    (size_t)colon)));
	if (member == NULL)
		return why_set(p->why, "", "line %u: unknown header \"%.*s\"",
		    p->line, (int)MIN(colon, 50), line.p);
	value = span_trim(span_from(line, (size_t)colon + 1));
	if (value.len == 0 || span_has_nul(value) || !utf8_ascii(value))
		return why_set(p->why, "", "line %u: the value is empty or "
		    "not ASCII", p->line);
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t')
			return why_set(p->why, "", "line %u: control "
			    "character", p->line);
	mem_free(*member);
	*member = span_dup(value);
	return 0;
}

/* From behind "<<EOF" to the line that is just "EOF". */
static int
parse_body(struct parser *p, struct template *t, struct span mark)
{
	struct buf text = BUF_INIT(TEMPLATE_FILE_MAX);
	unsigned start = p->line;
	bool headers = true;
	struct span line;

	while (next_line(p, &line)) {
		if (span_eq(line, mark)) {
			mem_free(t->text);
			t->text = buf_take(&text);
			return 0;
		}
		if (span_has_nul(line)) {
			buf_fini(&text);
			return why_set(p->why, "", "line %u: NUL", p->line);
		}
		if (headers && span_trim(line).len == 0) {
			headers = false;
			continue;
		}
		/* A text without headers begins with what is none. */
		if (headers && text.len == 0 && span_find(line, ':') <= 0)
			headers = false;
		if (headers) {
			if (parse_header(p, t, line) < 0) {
				buf_fini(&text);
				return -1;
			}
			continue;
		}
		buf_add_span(&text, line);
		buf_add_char(&text, '\n');
	}
	buf_fini(&text);
	return why_set(p->why, "", "line %u: no \"%.*s\" ends this template",
	    start, (int)MIN(mark.len, 50), mark.p);
}

static int
parse_one(struct parser *p, struct templates *ts, struct span line)
{
	ptrdiff_t eq = span_find(line, '=');
	struct span name, value;

	if (eq < 0)
		return why_set(p->why, "", "line %u: \"name = <<EOF\" is "
		    "expected", p->line);
	name = span_trim(span_sub(line, 0, (size_t)eq));
	value = span_trim(span_from(line, (size_t)eq + 1));
	if (!span_starts(value, SPAN("<<")) ||
	    (value = span_trim(span_from(value, 2))).len == 0)
		return why_set(p->why, "", "line %u: \"name = <<EOF\" is "
		    "expected", p->line);
	for (int k = 0; k < TEMPLATE_KINDS; k++) {
		struct template t;

		if (!span_is(name, builtin[k].name))
			continue;
		template_builtin(&t, k);
		if (parse_body(p, &t, value) < 0) {
			template_fini(&t);
			return -1;
		}
		template_fini(&ts->t[k]);
		ts->t[k] = t;
		return 0;
	}
	return why_set(p->why, "", "line %u: unknown template \"%.*s\"",
	    p->line, (int)MIN(name.len, 50), name.p);
}

int
templates_parse(struct templates *ts, struct span text, struct why *why)
{
	struct parser p = { .rest = text, .why = why };
	struct templates fresh;
	struct span line;

	if (text.len > TEMPLATE_FILE_MAX)
		return why_set(why, "", "the file is too large");
	for (int k = 0; k < TEMPLATE_KINDS; k++)
		template_copy(&fresh.t[k], &ts->t[k]);
	while (next_line(&p, &line)) {
		if (span_trim(line).len == 0 || line.p[0] == '#')
			continue;
		if (parse_one(&p, &fresh, line) < 0) {
			templates_fini(&fresh);
			return -1;
		}
	}
	templates_fini(ts);
	*ts = fresh;
	return 0;
}

int
templates_load(struct templates *ts, const char *path, struct why *why)
{
	struct buf text = BUF_INIT(TEMPLATE_FILE_MAX);
	int rc = 0;

	templates_fini(ts);
	templates_init(ts);
	if (path[0] == '\0')
		return 0;
	if (fd_read_file(AT_FDCWD, path, &text) == -1)
		rc = why_errno(why, "4.3.5", "%s", path);
	else if (templates_parse(ts, buf_span(&text), why) == -1) {
		why_prefix(why, "%s", path);
		rc = -1;
	}
	buf_fini(&text);
	return rc;
}

/* --- $names ------------------------------------------------------------------------- */

static bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* Take a name, "name}", "name)" off *in. */
static bool
take_name(struct span *in, struct span *name)
{
	char close = in->len == 0 ? '\0' : in->p[0] == '{' ? '}' :
	    in->p[0] == '(' ? ')' : '\0';
	size_t n = 0;

	if (close != '\0')
		*in = span_from(*in, 1);
	while (n < in->len && name_char(in->p[n]))
		n++;
	*name = span_sub(*in, 0, n);
	*in = span_from(*in, n);
	if (close == '\0')
		return n > 0;
	if (in->len == 0 || in->p[0] != close)
		return false;
	*in = span_from(*in, 1);
	return n > 0;
}

int
template_expand(const char *text, const char *(*value)(void *arg,
    struct span name), void *arg, struct buf *out, struct why *why)
{
	struct span in = span_of(text), name;
	int rc = 0;

	while (in.len > 0) {
		ptrdiff_t at = span_find(in, '$');
		const char *v;

		if (at < 0) {
			buf_add_span(out, in);
			break;
		}
		buf_add_span(out, span_sub(in, 0, (size_t)at));
		in = span_from(in, (size_t)at + 1);
		if (in.len > 0 && in.p[0] == '$') {
			buf_add_char(out, '$');
			in = span_from(in, 1);
			continue;
		}
		if (!take_name(&in, &name)) {
			rc = why_set(why, "", "bad use of \"$\"");
			continue;
		}
		v = value(arg, name);
		if (v == NULL)
			rc = why_set(why, "", "unknown name \"$%.*s\"",
			    SPAN_ARG(name));
		else
			buf_add_str(out, v);
	}
	return rc;
}

/* To mem_free(); NULL when there is none. */
static char *
value_of(struct span name)
{
	static const struct {
		const char	*suffix;
		int64_t		 seconds;
	} units[] = {
		{ "_seconds", 1 }, { "_minutes", 60 }, { "_hours", 3600 },
		{ "_days", 86400 }, { "_weeks", 604800 },
	};
	char tmp[128];

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		struct span base;
		int64_t t;

		if (!span_ends(name, span_of(units[i].suffix)))
			continue;
		base = span_sub(name, 0, name.len - strlen(units[i].suffix));
		if (span_is(base, "delay_warning_time"))
			t = conf.delay_warning_time;
		else if (span_is(base, "maximal_queue_lifetime"))
			t = conf.maximal_queue_lifetime;
		else
			break;
		return mem_printf("%lld", (long long)(t / units[i].seconds));
	}
	if (span_copy(name, tmp, sizeof(tmp)) < 0)
		return NULL;
	return params_get(tmp);
}

static const char *
setting(void *arg, struct span name)
{
	char **last = arg;

	mem_free(*last);
	*last = value_of(name);
	return *last;
}

int
template_expand_settings(const char *text, struct buf *out, struct why *why)
{
	char *last = NULL;
	int rc = template_expand(text, setting, &last, out, why);

	mem_free(last);
	return rc;
}
