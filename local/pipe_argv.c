/* SPDX-License-Identifier: ISC */
/*
 * pipe_argv - the arguments of a pipe service in master.cf, and the words of
 * its command for a message; no I/O but the look-up of user=.
 *
 * What a sender or recipient says becomes one word, or a part of one, and is
 * never taken apart or given to a shell.
 */
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "local/pipe.h"
#include "mail/address.h"

/* --- the entry --------------------------------------------------------------- */

static const struct {
	char		 letter;
	unsigned	 flag;
} letters[] = {
	{ 'B', PIPE_BLANK }, { 'D', PIPE_DELIVERED }, { 'F', PIPE_FROM },
	{ 'O', PIPE_ORIGINAL }, { 'R', PIPE_RETURN }, { 'X', PIPE_FINAL },
	{ 'h', PIPE_FOLD_DOMAIN }, { 'u', PIPE_FOLD_USER },
	{ 'q', PIPE_QUOTE }, { '.', PIPE_DOT }, { '>', PIPE_ANGLE },
};

static int
parse_flags(const char *text, unsigned *out, struct why *why)
{
	for (; *text != '\0'; text++) {
		size_t i = 0;

		while (i < ARRAY_LEN(letters) && letters[i].letter != *text)
			i++;
		if (i == ARRAY_LEN(letters))
			return why_set(why, "", "flags: unknown flag '%c'",
			    *text);
		*out |= letters[i].flag;
	}
	return 0;
}

/* "\r\n" in master.cf's text. */
static const char *
parse_eol(const char *text)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	for (; *text != '\0'; text++) {
		if (text[0] != '\\' || text[1] == '\0')
			buf_add_char(&b, *text);
		else if (*++text == 'r')
			buf_add_char(&b, '\r');
		else if (*text == 'n')
			buf_add_char(&b, '\n');
		else
			buf_add_char(&b, *text);
	}
	return buf_take(&b);
}

static int
parse_one(const char *word, struct pipe_conf *out, struct why *why)
{
	const char *eq = strchr(word, '='), *value;
	struct span name;

	if (eq == NULL)
		return why_set(why, "", "\"%s\" is no name=value", word);
	name = span_make(word, (size_t)(eq - word));
	value = eq + 1;
	if (span_is(name, "flags"))
		return parse_flags(value, &out->flags, why);
	if (span_is(name, "user"))
		return program_user(&out->program, value, why);
	if (span_is(name, "directory"))
		out->directory = value;
	else if (span_is(name, "null_sender"))
		out->null_sender = value;
	else if (span_is(name, "eol"))
		out->eol = parse_eol(value);
	else if (span_is(name, "size"))
		return num_parse_i64(span_of(value), 0, INT64_MAX,
		    &out->size_max) == 0 ? 0 : why_set(why, "",
		    "size=%s is no number", value);
	else
		return why_set(why, "", "unknown attribute \"%.*s\"",
		    SPAN_ARG(name));
	return 0;
}

int
pipe_parse(int argc, char *const *argv, struct pipe_conf *out,
    struct why *why)
{
	*out = (struct pipe_conf){ .null_sender = "MAILER-DAEMON",
	    .eol = "\n" };
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "argv=", 5) == 0) {
			program_argv(&out->program, argc - i, argv + i);
			break;
		}
		if (parse_one(argv[i], out, why) < 0)
			return -1;
	}
	return program_check(&out->program, why);
}

/* --- macros ---------------------------------------------------------------------- */

struct expansion {
	const struct pipe_conf	*c;
	const struct envelope	*e;
	const struct rcpt	*r;
	struct span		 nexthop;
	uint64_t		 size;
	bool			 of_rcpt;	/* a recipient's macro was used */
};

static void
fold(struct span s, bool on, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++)
		buf_add_char(out, on && s.p[i] >= 'A' && s.p[i] <= 'Z' ?
		    (char)(s.p[i] - 'A' + 'a') : s.p[i]);
}

static void
add_address(const struct expansion *x, struct span addr, bool is_rcpt,
    struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), folded;
	struct span local, domain;

	folded = BUF_INIT(BUF_UNLIMITED);
	address_split(addr, &local, &domain);
	fold(local, is_rcpt && (x->c->flags & PIPE_FOLD_USER), &folded);
	if (domain.p != NULL) {
		buf_add_char(&folded, '@');
		fold(domain, is_rcpt && (x->c->flags & PIPE_FOLD_DOMAIN),
		    &folded);
	}
	if (x->c->flags & PIPE_QUOTE)
		address_quote_822(buf_span(&folded), &b);
	else
		buf_add_span(&b, buf_span(&folded));
	buf_add_span(out, buf_span(&b));
	buf_fini(&b);
	buf_fini(&folded);
}

static bool
add_rcpt_macro(struct expansion *x, struct span name, struct buf *out)
{
	struct span addr = x->r->addr, local, domain, user, ext;
	bool fold_user = x->c->flags & PIPE_FOLD_USER;

	address_split(addr, &local, &domain);
	if (!address_split_ext(local, conf.recipient_delimiter, &user, &ext)) {
		user = local;
		ext = SPAN_EMPTY;
	}
	if (span_is(name, "recipient"))
		add_address(x, addr, true, out);
	else if (span_is(name, "original_recipient"))
		add_address(x, x->r->orig.len > 0 ? x->r->orig : addr, true,
		    out);
	else if (span_is(name, "mailbox"))
		fold(local, fold_user, out);
	else if (span_is(name, "user"))
		fold(user, fold_user, out);
	else if (span_is(name, "extension"))
		fold(ext, fold_user, out);
	else if (span_is(name, "domain"))
		fold(domain, x->c->flags & PIPE_FOLD_DOMAIN, out);
	else
		return false;
	x->of_rcpt = true;
	return true;
}

static int
add_macro(struct expansion *x, struct span name, struct buf *out,
    struct why *why)
{
	const struct envelope *e = x->e;
	const struct { const char *name; struct span value; } plain[] = {
		{ "nexthop", x->nexthop }, { "queue_id", e->queue_id },
		{ "client_address", e->client_addr },
		{ "client_hostname", e->client_name },
		{ "client_helo", e->helo }, { "client_protocol", e->protocol },
		{ "sasl_method", e->sasl_method }, { "sasl_username", e->login },
		{ "sasl_sender", envelope_attr(e, ENV_ATTR_SASL_SENDER) },
		{ "envid", e->dsn_envid },
	};

	if (add_rcpt_macro(x, name, out))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (!span_is(name, plain[i].name))
			continue;
		buf_add_span(out, plain[i].value);
		return 0;
	}
	if (span_is(name, "sender")) {
		if (e->sender.len == 0)
			buf_add_str(out, x->c->null_sender);
		else
			add_address(x, e->sender, false, out);
	} else if (span_is(name, "size"))
		buf_addf(out, "%llu", (unsigned long long)x->size);
	else if (span_is(name, "client_port"))
		buf_addf(out, "%u", e->client_port);
	else
		return why_set(why, "4.3.5", "unknown macro $%.*s in the "
		    "arguments of this service", SPAN_ARG(name));
	return 0;
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* One word with its macros: $name, ${name}, $(name), $$. */
static int
expand_word(struct expansion *x, const char *word, struct buf *out,
    struct why *why)
{
	while (*word != '\0') {
		const char *begin;
		char close = '\0';

		if (*word != '$') {
			buf_add_char(out, *word++);
			continue;
		}
		if (*++word == '$') {
			buf_add_char(out, *word++);
			continue;
		}
		if (*word == '{' || *word == '(')
			close = *word++ == '{' ? '}' : ')';
		begin = word;
		while (is_name(*word))
			word++;
		if (word == begin || (close != '\0' && *word != close))
			return why_set(why, "4.3.5", "bad macro in the "
			    "arguments of this service");
		if (add_macro(x, span_make(begin, (size_t)(word - begin)),
		    out, why) < 0)
			return -1;
		if (close != '\0')
			word++;
	}
	return 0;
}

char **
pipe_expand(const struct pipe_conf *c, const struct envelope *e,
    struct span nexthop, uint64_t size, struct arena *a, struct why *why)
{
	struct expansion x = { .c = c, .e = e, .nexthop = nexthop,
	    .size = size };
	size_t n = e->rcpts.len, at = 0;
	char **out = arena_zalloc(a, (c->program.argv.len * MAX(n, 1) + 1) *
	    sizeof(*out));
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	for (size_t w = 0; w < c->program.argv.len; w++) {
		x.of_rcpt = true;
		for (size_t i = 0; i < n && x.of_rcpt; i++) {
			x.r = &e->rcpts.v[i];
			x.of_rcpt = false;
			buf_reset(&b);
			if (expand_word(&x, c->program.argv.v[w], &b, why) < 0) {
				buf_fini(&b);
				return NULL;
			}
			out[at++] = arena_span_dup(a, buf_span(&b));
		}
	}
	buf_fini(&b);
	return out;
}

/* --- content ------------------------------------------------------------------------ */

void
pipe_content(const struct pipe_conf *c, struct span in, struct buf *out)
{
	struct span line;

	while (span_line(&in, &line)) {
		if ((c->flags & PIPE_DOT) && line.len > 0 && line.p[0] == '.')
			buf_add_char(out, '.');
		if ((c->flags & PIPE_ANGLE) &&
		    span_starts(line, SPAN("From ")))
			buf_add_char(out, '>');
		buf_add_span(out, line);
		buf_add_str(out, c->eol);
	}
	if (c->flags & PIPE_BLANK)
		buf_add_str(out, c->eol);
}
