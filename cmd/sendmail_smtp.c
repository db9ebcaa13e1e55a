/* SPDX-License-Identifier: ISC */
/*
 * sendmail_smtp - sendmail -bs: SMTP on standard input and output, for mail
 * programs that speak it to a child process.
 *
 * There is no stranger at the other end but the user who started us, and the
 * messages go the way of all local mail, through pickup: so there is no
 * access control here, no TLS and no timeout, and sizes are checked there.
 * Lines may end in LF.  RFC 5321, 1870 (SIZE), 2920, 3461, 6152, 6531.
 */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cmd/sendmail.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "queue/envelope.h"

#define COMMAND_MAX	4096		/* bytes of a command line */
#define READ_SIZE	(32u * 1024)

struct smtp_rcpt {
	char		*address, *orcpt;
	unsigned	 notify;
};

struct smtp {
	char		 data[READ_SIZE];
	size_t		 at, end;
	bool		 eof;
	/* the transaction */
	bool		 have_mail;
	struct buf	 sender;
	struct submit_begin begin;
	struct buf	 envid;
	ARRAY(struct smtp_rcpt) rcpts;
	struct submission *submission;
};

/* --- lines ----------------------------------------------------------------------- */

static void PRINTF(1, 2)
reply(const char *fmt, ...)
{
	struct buf b = BUF_INIT(2000);
	va_list ap;

	va_start(ap, fmt);
	(void)!buf_vprintf(&b, fmt, ap);
	va_end(ap);
	fprintf(stdout, "%s\r\n", b.data);
	buf_fini(&b);
}

static int
fill(struct smtp *s)
{
	ssize_t n;

	memmove(s->data, s->data + s->at, s->end - s->at);
	s->end -= s->at;
	s->at = 0;
	/* All replies to what was pipelined go out in one write. */
	fflush(stdout);
	do
		n = read(STDIN_FILENO, s->data + s->end, READ_SIZE - s->end);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		s->eof = true;
	else
		s->end += (size_t)n;
	return n > 0 ? 0 : -1;
}

/*
 * The next line with its LF, or a piece of one that fills the buffer.  False
 * at the end of input; a last line without LF is dropped: whoever closes in
 * the middle of a line has not sent it.
 */
static bool
take_line(struct smtp *s, struct span *line)
{
	for (;;) {
		size_t n = s->end - s->at;
		char *p = s->data + s->at;
		char *nl = n > 0 ? memchr(p, '\n', n) : NULL;

		if (nl != NULL || n == READ_SIZE) {
			n = nl != NULL ? (size_t)(nl - p) + 1 : n;
			*line = span_make(p, n);
			s->at += n;
			return true;
		}
		if (s->eof || fill(s) < 0)
			return false;
	}
}

/* --- the transaction ---------------------------------------------------------------- */

static void
reset(struct smtp *s)
{
	for (size_t i = 0; i < s->rcpts.len; i++) {
		mem_free(s->rcpts.v[i].address);
		mem_free(s->rcpts.v[i].orcpt);
	}
	s->rcpts.len = 0;
	s->have_mail = false;
	buf_reset(&s->sender);
	buf_reset(&s->envid);
	s->begin = (struct submit_begin){ .own_sender = false };
}

/* "KEY=value" off the front of rest. */
static bool
take_param(struct span *rest, struct span *key, struct span *value)
{
	struct span word;
	ptrdiff_t eq;

	if (!span_token(rest, " \t", &word))
		return false;
	eq = span_find(word, '=');
	*key = eq < 0 ? word : span_sub(word, 0, (size_t)eq);
	*value = eq < 0 ? SPAN_EMPTY : span_from(word, (size_t)eq + 1);
	return true;
}

static bool
mail_param(struct smtp *s, struct span key, struct span value)
{
	uint64_t size;

	if (span_caseis(key, "BODY")) {
		s->begin.eightbit = span_caseis(value, "8BITMIME");
		return s->begin.eightbit || span_caseis(value, "7BIT");
	}
	if (span_caseis(key, "SIZE"))
		return num_parse_u64(value, UINT64_MAX, &size) == 0;
	if (span_caseis(key, "SMTPUTF8") && conf.smtputf8_enable) {
		s->begin.smtputf8 = true;
		return value.p == NULL;
	}
	if (span_caseis(key, "RET")) {
		s->begin.dsn_ret = span_caseis(value, "FULL") ? DSN_RET_FULL :
		    DSN_RET_HDRS;
		return span_caseis(value, "FULL") ||
		    span_caseis(value, "HDRS");
	}
	if (span_caseis(key, "ENVID"))
		return value.len > 0 &&
		    dsn_xtext_decode(value, &s->envid) == 0;
	return false;
}

/* "FROM:" or "TO:" and the path; the parameters are left in *rest. */
static bool
take_path(struct span arg, const char *word, struct buf *out,
    struct span *rest)
{
	size_t n = strlen(word);

	if (!span_casestarts(arg, span_make(word, n)))
		return false;
	return address_parse_path(span_from(arg, n), ADDRESS_LAX |
	    (conf.smtputf8_enable ? ADDRESS_UTF8 : 0), out, rest) == 0;
}

static void
cmd_mail(struct smtp *s, struct span arg)
{
	struct span rest, key, value;

	if (s->have_mail) {
		reply("503 5.5.1 Error: nested MAIL command");
		return;
	}
	reset(s);
	if (!take_path(arg, "FROM:", &s->sender, &rest)) {
		reply("501 5.5.4 Syntax: MAIL FROM:<address>");
		return;
	}
	while (take_param(&rest, &key, &value))
		if (!mail_param(s, key, value)) {
			reply("555 5.5.4 Unsupported option: %.*s",
			    SPAN_ARG(key));
			return;
		}
	s->have_mail = true;
	reply("250 2.1.0 Ok");
}

static bool
rcpt_param(struct smtp_rcpt *r, struct span key, struct span value)
{
	if (span_caseis(key, "NOTIFY"))
		return dsn_parse_notify(value, &r->notify) == 0;
	if (span_caseis(key, "ORCPT") && r->orcpt == NULL && value.len > 0 &&
	    value.len <= DSN_ORCPT_MAX) {
		struct buf b = BUF_INIT(DSN_ORCPT_MAX);
		ptrdiff_t semi = span_find(value, ';');

		if (semi <= 0 || dsn_xtext_decode(value, &b) < 0) {
			buf_fini(&b);
			return false;
		}
		r->orcpt = buf_take(&b);
		return true;
	}
	return false;
}

static void
cmd_rcpt(struct smtp *s, struct span arg)
{
	struct buf addr = BUF_INIT(ADDRESS_MAX);
	struct smtp_rcpt r = { NULL, NULL, 0 };
	struct span rest, key, value;

	if (!s->have_mail)
		reply("503 5.5.1 Error: need MAIL command");
	else if (s->rcpts.len >= ENVELOPE_RCPT_MAX)
		reply("452 4.5.3 Error: too many recipients");
	else if (!take_path(arg, "TO:", &addr, &rest) || addr.len == 0)
		reply("501 5.1.3 Bad recipient address syntax");
	else {
		while (take_param(&rest, &key, &value))
			if (!rcpt_param(&r, key, value)) {
				reply("555 5.5.4 Unsupported option: %.*s",
				    SPAN_ARG(key));
				mem_free(r.orcpt);
				buf_fini(&addr);
				return;
			}
		r.address = mem_strndup(addr.data, addr.len);
		*ARRAY_PUSH(&s->rcpts) = r;
		reply("250 2.1.5 Ok");
	}
	buf_fini(&addr);
}

static int
open_message(struct smtp *s, struct why *why)
{
	if (s->submission == NULL &&
	    (s->submission = submission_new(why)) == NULL)
		return -1;
	s->begin.sender = buf_span(&s->sender);
	s->begin.envid = buf_span(&s->envid);
	if (submission_begin(s->submission, &s->begin, why) < 0)
		return -1;
	for (size_t i = 0; i < s->rcpts.len; i++) {
		struct submit_rcpt r = {
			.address = span_of(s->rcpts.v[i].address),
			.orcpt = span_of(s->rcpts.v[i].orcpt),
			.notify = s->rcpts.v[i].notify,
		};

		if (submission_rcpt(s->submission, &r, why) < 0)
			return -1;
	}
	return 0;
}

/* A line of content: its end becomes LF, a doubled dot single. */
static struct span
content_line(struct smtp *s, struct span line, bool start)
{
	if (start && line.p[0] == '.')
		line = span_from(line, 1);
	if (span_ends(line, SPAN("\r\n"))) {
		char *p = s->data + (line.p - s->data);

		line.len--;
		p[line.len - 1] = '\n';
	}
	return line;
}

/* Content to the final dot; false when the input ended before it. */
static bool
take_content(struct smtp *s, int *rc, struct why *why)
{
	struct span line;
	bool start = true;

	while (take_line(s, &line)) {
		if (start && (span_is(line, ".\r\n") || span_is(line, ".\n")))
			return true;
		/* After a failure the rest is read and thrown away. */
		if (*rc == 0)
			*rc = submission_content(s->submission,
			    content_line(s, line, start), why);
		start = s->data[s->at - 1] == '\n';
	}
	return false;
}

static void
cmd_data(struct smtp *s, struct span arg)
{
	struct buf queue_id = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	int rc;

	if (s->rcpts.len == 0) {
		reply(s->have_mail ? "554 5.5.1 Error: no valid recipients" :
		    "503 5.5.1 Error: need RCPT command");
		return;
	}
	rc = open_message(s, &why);
	reply("354 End data with <CR><LF>.<CR><LF>");
	if (!take_content(s, &rc, &why)) {
		submission_free(&s->submission);	/* never happened */
		return;
	}
	if (rc == 0)
		rc = submission_end(s->submission, &queue_id, &why);
	if (rc == 0)
		reply("250 2.0.0 Ok: queued as %s", queue_id.data);
	else {
		bool temp = why_temporary(&why);

		reply("%s %s Error: %s", temp ? "451" : "554",
		    why.code[0] != '\0' ? why.code : "4.3.0", why.text);
		submission_free(&s->submission);
	}
	buf_fini(&queue_id);
	reset(s);
}

static void
cmd_ehlo(struct smtp *s, struct span arg)
{
	if (arg.len == 0) {
		reply("501 Syntax: EHLO hostname");
		return;
	}
	reset(s);
	reply("250-%s", conf.myhostname);
	reply("250-PIPELINING");
	if (conf.message_size_limit > 0 &&
	    conf.message_size_limit != PARAM_UNLIMITED)
		reply("250-SIZE %lld", (long long)conf.message_size_limit);
	else
		reply("250-SIZE");
	reply("250-ENHANCEDSTATUSCODES");
	if (conf.smtputf8_enable)
		reply("250-SMTPUTF8");
	reply("250-DSN");
	reply("250 8BITMIME");
}

static void
cmd_helo(struct smtp *s, struct span arg)
{
	if (arg.len == 0) {
		reply("501 Syntax: HELO hostname");
		return;
	}
	reset(s);
	reply("250 %s", conf.myhostname);
}

static void
cmd_rset(struct smtp *s, struct span arg)
{
	reset(s);
	reply("250 2.0.0 Ok");
}

static void
cmd_noop(struct smtp *s, struct span arg)
{
	reply("250 2.0.0 Ok");
}

static void
cmd_vrfy(struct smtp *s, struct span arg)
{
	reply("252 2.0.0 Send mail and see");
}

static const struct {
	const char	*verb;
	void		(*run)(struct smtp *, struct span);
} commands[] = {
	{ "EHLO", cmd_ehlo }, { "HELO", cmd_helo }, { "MAIL", cmd_mail },
	{ "RCPT", cmd_rcpt }, { "DATA", cmd_data }, { "RSET", cmd_rset },
	{ "NOOP", cmd_noop }, { "VRFY", cmd_vrfy },
};

/* False at QUIT. */
static bool
command(struct smtp *s, struct span line)
{
	struct span arg = line, verb;

	if (line.len > COMMAND_MAX || span_has_nul(line)) {
		reply("500 5.5.2 Error: bad syntax");
		return true;
	}
	line = span_trim(line);
	arg = line;
	if (!span_token(&arg, " \t", &verb)) {
		reply("500 5.5.2 Error: bad syntax");
		return true;
	}
	arg = span_trim(arg);
	if (span_caseis(verb, "QUIT")) {
		reply("221 2.0.0 Bye");
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (span_caseis(verb, commands[i].verb)) {
			commands[i].run(s, arg);
			return true;
		}
	reply("502 5.5.2 Error: command not recognized");
	return true;
}

int
sendmail_smtp(void)
{
	struct smtp *s = mem_zalloc(sizeof(*s));
	struct span line;
	bool more = true;

	s->sender = BUF_INIT(ADDRESS_MAX);
	s->envid = BUF_INIT(DSN_ENVID_MAX);
	reply("220 %s ESMTP %s", conf.myhostname, conf.mail_name);
	while (more && take_line(s, &line)) {
		if (line.p[line.len - 1] != '\n') {
			/* Longer than the buffer: pass over all of it. */
			while (line.p[line.len - 1] != '\n' &&
			    take_line(s, &line))
				;
			reply("500 5.5.2 Error: line too long");
			continue;
		}
		more = command(s, line);
	}
	fflush(stdout);
	reset(s);
	ARRAY_FINI(&s->rcpts);
	buf_fini(&s->sender);
	buf_fini(&s->envid);
	submission_free(&s->submission);
	mem_free(s);
	return EX_OK;
}
