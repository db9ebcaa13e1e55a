/* SPDX-License-Identifier: ISC */
/*
 * command - the command table, and what is the same for every command.
 *
 * The dispatcher owns: unknown and forbidden commands, commands that are not
 * for this protocol or not there yet, a command at the wrong time, input
 * behind a command that must be the last of a group (RFC 2920 3.1), and the
 * counting of commands that do nothing.  No handler repeats any of that.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/header.h"
#include "smtpd/smtpd.h"

enum {
	F_LAST	= 1 << 0,	/* ends a pipelined group */
	F_JUNK	= 1 << 1,	/* counted against smtpd_junk_command_limit */
	F_SMTP	= 1 << 2,	/* not in LMTP */
	F_LMTP	= 1 << 3,	/* only in LMTP */
	F_CLEAR	= 1 << 4,	/* before TLS even where TLS is required */
	F_ABSENT = 1 << 5,	/* known, but not served (yet) */
};

#define IN(s)		(1u << (s))
#define IDLE		(IN(ST_START) | IN(ST_READY))
#define IN_MAIL		(IN(ST_MAIL) | IN(ST_RCPT) | IN(ST_BDAT))
#define ANYWHERE	(IDLE | IN_MAIL)

static void cmd_helo(struct session *s, struct span arg);
static void cmd_ehlo(struct session *s, struct span arg);
static void cmd_rset(struct session *s, struct span arg);
static void cmd_noop(struct session *s, struct span arg);
static void cmd_vrfy(struct session *s, struct span arg);
static void cmd_help(struct session *s, struct span arg);
static void cmd_quit(struct session *s, struct span arg);

static const struct command {
	const char	*verb, *log_name;
	unsigned	 states;
	unsigned	 flags;
	void		(*run)(struct session *, struct span);
} commands[CMD_COUNT] = {
	[CMD_HELO]	= { "HELO", "helo", ANYWHERE,		/* 4.1.1.1 */
			    F_LAST | F_JUNK | F_SMTP | F_CLEAR, cmd_helo },
	[CMD_EHLO]	= { "EHLO", "ehlo", ANYWHERE,		/* 4.1.1.1 */
			    F_LAST | F_JUNK | F_SMTP | F_CLEAR, cmd_ehlo },
	[CMD_LHLO]	= { "LHLO", "lhlo", ANYWHERE,	/* RFC 2033 4.1 */
			    F_LAST | F_JUNK | F_LMTP | F_CLEAR, cmd_ehlo },
	[CMD_XCLIENT]	= { "XCLIENT", "xclient", ANYWHERE,
			    F_LAST | F_CLEAR, cmd_xclient },
	[CMD_XFORWARD]	= { "XFORWARD", "xforward", ANYWHERE,
			    0, cmd_xforward },
	[CMD_STARTTLS]	= { "STARTTLS", "starttls", IDLE,	/* RFC 3207 */
			    F_LAST | F_CLEAR, cmd_starttls },
	[CMD_AUTH]	= { "AUTH", "auth", ANYWHERE,		/* RFC 4954 */
			    F_LAST | F_SMTP, cmd_auth },
	[CMD_MAIL]	= { "MAIL", "mail", ANYWHERE, 0, cmd_mail },
	[CMD_RCPT]	= { "RCPT", "rcpt", ANYWHERE, 0, cmd_rcpt },
	[CMD_DATA]	= { "DATA", "data", ANYWHERE, F_LAST, cmd_data },
	[CMD_BDAT]	= { "BDAT", "bdat", ANYWHERE, 0, cmd_bdat },
	[CMD_RSET]	= { "RSET", "rset", ANYWHERE, F_JUNK, cmd_rset },
	[CMD_NOOP]	= { "NOOP", "noop", ANYWHERE,		/* 4.1.1.9 */
			    F_LAST | F_JUNK | F_CLEAR, cmd_noop },
	[CMD_VRFY]	= { "VRFY", "vrfy", ANYWHERE,		/* 4.1.1.6 */
			    F_LAST | F_JUNK, cmd_vrfy },
	[CMD_EXPN]	= { "EXPN", "expn", ANYWHERE,		/* 4.1.1.7 */
			    F_LAST | F_JUNK | F_ABSENT, NULL },
	[CMD_ETRN]	= { "ETRN", "etrn", ANYWHERE,		/* RFC 1985 */
			    F_JUNK | F_SMTP, cmd_etrn },
	[CMD_HELP]	= { "HELP", "help", ANYWHERE,		/* 4.1.1.8 */
			    F_JUNK | F_CLEAR, cmd_help },
	[CMD_QUIT]	= { "QUIT", "quit", ANYWHERE | IN(ST_DENIED),
			    F_LAST | F_CLEAR, cmd_quit },
	[CMD_UNKNOWN]	= { "UNKNOWN", "unknown", 0, F_ABSENT, NULL },
};

static unsigned ehlo_discard;		/* EHLO_*: for all clients */
static struct match_list *forbidden, *noops;
static struct maps *discards, *rewrites;

static const struct {
	const char	*word;
	unsigned	 bit;
} ehlo_words[] = {
	{ "pipelining", EHLO_PIPELINING }, { "size", EHLO_SIZE },
	{ "vrfy", EHLO_VRFY }, { "enhancedstatuscodes", EHLO_CODES },
	{ "8bitmime", EHLO_8BITMIME }, { "dsn", EHLO_DSN },
	{ "smtputf8", EHLO_SMTPUTF8 }, { "chunking", EHLO_CHUNKING },
	{ "binarymime", EHLO_BINARY }, { "limits", EHLO_LIMITS },
	{ "xclient", EHLO_XCLIENT }, { "xforward", EHLO_XFORWARD },
	{ "etrn", EHLO_ETRN }, { "starttls", EHLO_STARTTLS },
	{ "auth", EHLO_AUTH }, { "requiretls", EHLO_REQUIRETLS },
	{ "silent-discard", EHLO_SILENT },
};

const char *
command_name(enum cmd c)
{
	return commands[c].verb;
}

const char *
command_log_name(enum cmd c)
{
	return commands[c].log_name;
}

/* EHLO_* for the words, and for what other settings take away. */
static unsigned
discard_of(struct span rest, const char *param)
{
	unsigned off = 0;
	struct span word;

	while (span_token(&rest, ", \t\r\n", &word)) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_LEN(ehlo_words); i++)
			if (span_caseis(word, ehlo_words[i].word)) {
				off |= ehlo_words[i].bit;
				known = true;
			}
		if (!known)
			log_warning("%s: %s: unknown keyword \"%.*s\" is "
			    "ignored", params_origin(param), param,
			    SPAN_ARG(word));
	}
	if (!conf.smtputf8_enable)
		off |= EHLO_SMTPUTF8;
	if (!conf.requiretls_enable)
		off |= EHLO_REQUIRETLS;
	if (off & EHLO_CHUNKING)
		off |= EHLO_BINARY;	/* RFC 3030 3 */
	if (off & EHLO_8BITMIME)
		off |= EHLO_BINARY;
	if (conf.disable_vrfy_command)
		off |= EHLO_VRFY;
	return off;
}

unsigned
command_discard(void)
{
	return ehlo_discard;
}

/* What is not announced to this client.  -1: the table cannot be read. */
static int
find_discard(struct session *s)
{
	struct buf words = BUF_INIT(TABLE_VALUE_MAX);
	struct why why = WHY_INIT;
	int rc = maps_get(discards, span_of(s->addr_text), false, &words,
	    &why);

	s->discard = ehlo_discard;
	if (rc > 0)
		s->discard = discard_of(buf_span(&words),
		    "smtpd_discard_ehlo_keyword_address_maps");
	else if (rc < 0)
		log_warning("smtpd_discard_ehlo_keyword_address_maps: %s",
		    why.text);
	buf_fini(&words);
	return MIN(rc, 0);
}

int
command_open(struct why *why)
{
	discards = maps_new("smtpd_discard_ehlo_keyword_address_maps",
	    conf.smtpd_discard_ehlo_keyword_address_maps,
	    TABLE_FOLD | TABLE_FIXED, why);
	if (discards == NULL)
		return -1;
	rewrites = maps_new("smtpd_command_filter", conf.smtpd_command_filter,
	    TABLE_FOLD | TABLE_FIXED, why);
	return rewrites == NULL ? -1 : 0;
}

void
command_start(void)
{
	struct why why = WHY_INIT;

	ehlo_discard = discard_of(span_of(conf.smtpd_discard_ehlo_keywords),
	    "smtpd_discard_ehlo_keywords");
	forbidden = match_list_new("smtpd_forbidden_commands",
	    conf.smtpd_forbidden_commands, 0, &why);
	if (forbidden == NULL)
		log_fatal("%s: smtpd_forbidden_commands: %s",
		    params_origin("smtpd_forbidden_commands"), why.text);
	noops = match_list_new("smtpd_noop_commands",
	    conf.smtpd_noop_commands, 0, &why);
	if (noops == NULL)
		log_fatal("%s: smtpd_noop_commands: %s",
		    params_origin("smtpd_noop_commands"), why.text);
}

unsigned
command_parse_flags(const struct session *s)
{
	unsigned f = PARSE_AUTH;	/* as Postfix: also where none is offered */

	if (!conf.strict_rfc821_envelopes)
		f |= PARSE_LAX;
	if (!(s->discard & EHLO_SMTPUTF8))
		f |= PARSE_UTF8;
	if (!(s->discard & EHLO_SIZE))
		f |= PARSE_SIZE;
	if (!(s->discard & EHLO_8BITMIME))
		f |= PARSE_8BITMIME;
	if (!(s->discard & EHLO_BINARY))
		f |= PARSE_BINARY;
	if (!(s->discard & EHLO_DSN))
		f |= PARSE_DSN;
	if (s->secured != NULL && !(s->discard & EHLO_REQUIRETLS))
		f |= PARSE_REQUIRETLS;
	return f;
}

static enum cmd
find(struct span verb)
{
	for (int i = 0; i < CMD_UNKNOWN; i++)
		if (span_caseis(verb, commands[i].verb))
			return (enum cmd)i;
	return CMD_UNKNOWN;
}

static bool
is_in(struct match_list *list, struct span verb)
{
	struct why why = WHY_INIT;
	int rc = match_list_string(list, verb, &why);

	if (rc < 0)
		log_warning("a list of commands cannot be read: %s",
		    why.text);
	return rc == 1;
}

/* The reply to a command that has no row, or one that is not served. */
static void
not_served(struct session *s, enum cmd c, struct span verb, struct span line)
{
	if (c != CMD_UNKNOWN)
		reply(s, "502 5.5.1 Error: command not implemented");
	else if (is_in(noops, verb))
		reply(s, "250 2.0.0 Ok");
	else if (is_in(forbidden, verb) || header_name_len(line, NULL) > 0) {
		/* HTTP, or mail that somebody pours over us unasked. */
		log_warning("non-SMTP command from %s: %.*s", s->namaddr,
		    SPAN_ARG(span_sub(line, 0, 100)));
		reply(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		session_close(s, NULL);
	} else {
		reply(s, "500 5.5.2 Error: command not recognized");
	}
}

static void
wrong_time(struct session *s)
{
	if (s->state == ST_DENIED)
		reply(s, "503 5.7.0 Error: access denied for %s", s->namaddr);
	else
		reply(s, "503 5.5.1 Error: bad sequence of commands");
}

/* What no command can be, whatever its verb; NULL: it can. */
static const char *
malformed(struct span line, struct span *verb, struct span *arg)
{
	/* RFC 6531 3.5; without it what is beyond ASCII is its parser's. */
	if (conf.smtputf8_enable && !utf8_valid(line))
		return "500 5.5.2 Error: bad UTF-8 syntax";
	/* A NUL is no part of any command (RFC 5321 2.3.8, 4.1.2). */
	if (span_has_nul(line) || !parse_verb(line, verb, arg))
		return "500 5.5.2 Error: bad syntax";
	return NULL;
}

/*
 * smtpd_command_filter: *line becomes what is done instead.  False: the table
 * cannot be read.
 */
static bool
rewrite_line(struct session *s, struct span *line, struct buf *out)
{
	struct span key = *line;
	struct why why = WHY_INIT;
	bool secret;
	int rc;

	if (maps_empty(rewrites))
		return true;
	while (key.len > 0 && (key.p[0] == ' ' || key.p[0] == '\t'))
		key = span_from(key, 1);
	rc = maps_get(rewrites, key, false, out, &why);
	if (rc < 0)
		log_warning("%s: smtpd_command_filter: %s", s->namaddr,
		    why.text);
	if (rc <= 0)
		return rc == 0;
	secret = span_casestarts(key, SPAN("AUTH ")) ||
	    span_casestarts(buf_span(out), SPAN("AUTH "));
	if (secret)
		log_info("%s: replacing command \"AUTH ...\"", s->namaddr);
	else
		log_info("%s: replacing command \"%.*s\" with \"%.*s\"",
		    s->namaddr, SPAN_ARG(span_sub(*line, 0, 100)),
		    SPAN_ARG(span_sub(buf_span(out), 0, 100)));
	*line = buf_span(out);
	return true;
}

static void	 run_line(struct session *s, struct span line);

void
command_line(struct session *s, struct span line)
{
	struct buf instead = BUF_INIT(TABLE_VALUE_MAX);

	if (rewrite_line(s, &line, &instead)) {
		run_line(s, line);
	} else {
		s->counted = false;
		s->cmd = s->last_cmd = CMD_UNKNOWN;
		reply(s, "451 4.3.0 Error: temporary lookup failure");
	}
	buf_wipe(&instead);
}

static void
run_line(struct session *s, struct span line)
{
	const struct command *c;
	struct span verb, arg;
	const char *bad;
	enum cmd cmd;

	if (log_debug_on())
		log_debug("< %s: %.*s", s->namaddr, SPAN_ARG(
		    span_casestarts(line, SPAN("AUTH ")) ? SPAN("AUTH ...") :
		    line));
	s->counted = false;
	s->cmd = CMD_UNKNOWN;
	bad = malformed(line, &verb, &arg);
	if (bad != NULL) {
		s->count[CMD_UNKNOWN]++;
		s->last_cmd = CMD_UNKNOWN;
		reply(s, "%s", bad);
		return;
	}
	cmd = find(verb);
	c = &commands[cmd];
	if ((c->flags & F_SMTP && smtpd_lmtp) ||
	    (c->flags & F_LMTP && !smtpd_lmtp)) {
		cmd = CMD_UNKNOWN;
		c = &commands[cmd];
	}
	s->cmd = s->last_cmd = cmd;
	s->count[cmd]++;
	if (c->flags & F_JUNK &&
	    ++s->junk > (uint64_t)conf.smtpd_junk_command_limit)
		s->errors++;
	/* What follows BDAT is its chunk. */
	if ((c->flags & F_LAST || (!s->esmtp && cmd != CMD_UNKNOWN &&
	    cmd != CMD_BDAT)) && session_input_waiting(s) && cmd != CMD_QUIT &&
	    session_out_of_step(s, c->verb, stream_input(s->stream)))
		return;
	if (s->state == ST_DENIED && !(c->states & IN(ST_DENIED)))
		wrong_time(s);
	else if (c->flags & F_ABSENT)
		not_served(s, cmd, verb, line);
	else if (!(c->flags & F_CLEAR) && starttls_required(s))
		reply(s, "530 5.7.0 Must issue a STARTTLS command first");
	else if (!(c->states & IN(s->state)))
		wrong_time(s);
	else
		c->run(s, arg);
}

/* --- HELO, EHLO, LHLO ------------------------------------------------------------ */

static void
put_line(struct buf *b, const char *text)
{
	buf_add_str(b, "250-");
	buf_add_str(b, text);
	buf_add_str(b, "\r\n");
}

static void
ehlo_reply(struct session *s)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	unsigned off = s->discard;
	size_t last = 0;

	buf_addf(&b, "250-%s\r\n", conf.myhostname);
	if (!(off & EHLO_PIPELINING))
		put_line(&b, "PIPELINING");			/* RFC 2920 */
	if (!(off & EHLO_SIZE)) {				/* RFC 1870 */
		if (conf.message_size_limit > 0 &&
		    conf.message_size_limit != PARAM_UNLIMITED)
			buf_addf(&b, "250-SIZE %lld\r\n",
			    (long long)conf.message_size_limit);
		else
			put_line(&b, "SIZE");
	}
	if (!(off & EHLO_VRFY))
		put_line(&b, "VRFY");
	if (!smtpd_lmtp && !(off & EHLO_ETRN))
		put_line(&b, "ETRN");				/* RFC 1985 */
	if (s->may_xclient && !(off & EHLO_XCLIENT))
		put_line(&b, "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME "
		    "PORT LOGIN DESTADDR DESTPORT");
	if (s->may_xforward && !(off & EHLO_XFORWARD))
		put_line(&b, "XFORWARD NAME ADDR PROTO HELO SOURCE PORT "
		    "IDENT");
	if (starttls_offered(s))
		put_line(&b, "STARTTLS");			/* RFC 3207 */
	auth_ehlo(s, &b);					/* RFC 4954 */
	if (!(off & EHLO_CODES))
		put_line(&b, "ENHANCEDSTATUSCODES");		/* RFC 2034 */
	if (!(off & EHLO_8BITMIME))
		put_line(&b, "8BITMIME");			/* RFC 6152 */
	if (!(off & EHLO_DSN))
		put_line(&b, "DSN");				/* RFC 3461 */
	if (!(off & EHLO_SMTPUTF8))
		put_line(&b, "SMTPUTF8");			/* RFC 6531 */
	if (s->secured != NULL && !(off & EHLO_REQUIRETLS))
		put_line(&b, "REQUIRETLS");			/* RFC 8689 */
	if (!(off & EHLO_CHUNKING))
		put_line(&b, "CHUNKING");			/* RFC 3030 */
	if (!(off & EHLO_BINARY))
		put_line(&b, "BINARYMIME");			/* RFC 3030 */
	if (!(off & EHLO_LIMITS))				/* RFC 9422 */
		buf_addf(&b, "250-LIMITS RCPTMAX=%lld\r\n",
		    (long long)(smtpd_lmtp ? conf.lmtpd_recipient_limit :
		    conf.smtpd_recipient_limit));
	/* The last line has a space where the others have a hyphen. */
	for (size_t i = 0; i + 2 < b.len; i++)
		if (b.data[i] == '\n')
			last = i + 1;
	b.data[last + 3] = ' ';
	reply_lines(s, buf_span(&b));
	buf_fini(&b);
}

static void
hello_done(struct session *s, bool ok, const char *text)
{
	session_wake(s);
	if (!ok) {
		mem_free(s->helo);
		s->helo = NULL;
		reply(s, "%s", text);
		return;
	}
	s->esmtp = s->cmd != CMD_HELO;
	if (s->esmtp && find_discard(s) < 0) {
		reply(s, "451 4.3.0 Error: temporary lookup failure");
		return;
	}
	/* RFC 5321 4.1.4: EHLO and HELO reset everything, as RSET does. */
	session_reset(s);
	session_set_state(s, ST_READY);
	if (s->esmtp)
		ehlo_reply(s);
	else
		reply(s, "250 %s", conf.myhostname);
}

static void
hello(struct session *s, struct span arg)
{
	struct buf shown = BUF_INIT(PARSE_HELO_MAX);
	struct span name;

	if (arg.len == 0) {
		if (s->cmd == CMD_HELO)
			reply(s, "501 Syntax: HELO hostname");
		else
			reply(s, "501 Syntax: %s hostname",
			    commands[s->cmd].verb);
		return;
	}
	name = span_sub(arg, 0, PARSE_HELO_MAX);
	/* It goes into logs and a Received header. */
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		buf_add_char(&shown, c < ' ' || c == 127 ? '?' : (char)c);
	}
	mem_free(s->helo);
	s->helo = buf_take(&shown);
	if (!utf8_valid(span_of(s->helo)))
		for (char *p = s->helo; *p != '\0'; p++)
			if (*p & 0x80)
				*p = '?';
	policy_start(s, STAGE_HELO, span_of(s->helo), hello_done);
}

static void
cmd_helo(struct session *s, struct span arg)
{
	hello(s, arg);
}

static void
cmd_ehlo(struct session *s, struct span arg)
{
	hello(s, arg);
}

/* --- the short ones --------------------------------------------------------------- */

static void
cmd_rset(struct session *s, struct span arg)
{
	if (arg.len > 0) {
		reply(s, "501 5.5.4 Syntax: RSET");
		return;
	}
	session_reset(s);
	if (s->state != ST_START)
		session_set_state(s, s->helo != NULL ? ST_READY : ST_START);
	reply(s, "250 2.0.0 Ok");
}

static void
cmd_noop(struct session *s, struct span arg)
{
	reply(s, "250 2.0.0 Ok");
}

static void
cmd_help(struct session *s, struct span arg)
{
	reply(s, "214 2.0.0 Commands: %s MAIL RCPT DATA BDAT RSET NOOP VRFY "
	    "HELP QUIT", smtpd_lmtp ? "LHLO" : "HELO EHLO");
}

static void
cmd_quit(struct session *s, struct span arg)
{
	/* RFC 5321 4.1.1.10 has no argument; nobody is helped by a refusal. */
	reply(s, "221 2.0.0 Bye");
	session_close(s, NULL);
}

static void
vrfy_done(struct session *s, bool ok, const char *text)
{
	const struct policy_rcpt *r = policy_recipient(s);

	session_wake(s);
	if (ok)
		reply(s, "252 2.0.0 %.*s", SPAN_ARG(r->addr));
	else
		reply(s, "%s", text);
}

static void
cmd_vrfy(struct session *s, struct span arg)
{
	struct buf addr = BUF_INIT(1024), quoted = BUF_INIT(1100);
	struct rcpt_params params;
	struct parse_error err;
	bool utf8 = false;

	/* RFC 5321 7.3: a server that does not verify says 252, not 502,
	 * which Postfix says here; what is no VRFY at all (3.5.1) is 501. */
	if (conf.disable_vrfy_command && arg.len > 0) {
		reply(s, "252 2.5.2 Cannot VRFY user, but will accept "
		    "message and attempt delivery");
		return;
	}
	if (conf.smtpd_helo_required && s->helo == NULL) {
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	/* RFC 6531 3.7.4.2. */
	if (!(s->discard & EHLO_SMTPUTF8) &&
	    span_caseends(arg, SPAN(" SMTPUTF8"))) {
		arg = span_trim(span_sub(arg, 0, arg.len - strlen(" SMTPUTF8")));
		utf8 = true;
	}
	if (arg.len == 0 || buf_put_str(&quoted, "TO:") < 0 ||
	    buf_put_span(&quoted, arg) < 0 ||
	    parse_rcpt(buf_span(&quoted), PARSE_LAX | PARSE_UTF8, &addr,
	    &params, &err) < 0)
		reply(s, "501 5.5.4 Syntax: VRFY address");
	else if (!utf8 && !utf8_ascii(buf_span(&addr)))
		reply(s, "553 5.6.7 Must declare SMTPUTF8 to send unicode "
		    "address");
	else
		policy_start(s, STAGE_VRFY, buf_span(&addr), vrfy_done);
	buf_fini(&quoted);
	buf_fini(&addr);
}
