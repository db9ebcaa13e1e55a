/* SPDX-License-Identifier: ISC */
/*
 * front - see front.h.  A small parser for six commands; everything else is
 * the session process's, which has the user's rights and no others.
 *
 * A command is bounded by imapd_login_line_limit, its literals included, so
 * that a stranger cannot make us hold more.
 */
#include "auth/auth_client.h"
#include "base/mem.h"
#include "conf/params.h"
#include "imapd/frame.h"
#include "imapd/front.h"
#include "imapd/imap.h"

struct client {
	struct frame	 frame;
	struct arena	 arena;		/* of the command under way */
};

struct front_command {
	const char	*name;
	void		(*handler)(struct front *f, struct scan *s,
			    struct span tag);
};

/* --- answers ----------------------------------------------------------------------- */

/*
 * What is true before the login.  IMAP4rev1 and the rest of what the engine
 * has is announced again, in full, after it.
 */
static void
put_capabilities(struct front *f)
{
	struct buf mechs = BUF_INIT(BUF_UNLIMITED);

	front_printf(f, "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE IDLE");
	if (front_tls_possible(f) && !front_tls_active(f))
		front_printf(f, " STARTTLS");
	if (!front_login_possible(f))
		front_printf(f, " LOGINDISABLED");
	front_mechanisms(f, "AUTH=", &mechs);
	if (mechs.len > 0)
		front_printf(f, " %s", mechs.data);
	buf_fini(&mechs);
}

static void
bad(struct front *f, struct span tag, const char *text)
{
	front_printf(f, "%.*s BAD %s\r\n", SPAN_ARG(tag), text);
	(void)front_error(f);
}

static void
refuse(struct front *f, struct span tag, const struct scan *s)
{
	bad(f, tag, s->err ? s->err : "Invalid arguments.");
}

static void
again(struct front *f)
{
	struct client *c = mem_zalloc(sizeof(*c));

	front_set_data(f, c);
}

static void
greet(struct front *f)
{
	again(f);
	front_printf(f, "* OK [CAPABILITY ");
	put_capabilities(f);
	front_printf(f, "] %s\r\n", conf.imapd_banner);
}

static void
failed(struct front *f, struct span tag, int reason, const char *text)
{
	const char *code = "";

	if (reason == FRONT_CANCELLED) {
		bad(f, tag, "Authentication aborted by client.");
		return;
	}
	if (reason == AUTH_MALFORMED) {
		bad(f, tag, text);
		return;
	}
	if (reason == FRONT_LIMIT)
		code = "LIMIT";
	else
		code = auth_imap_code((enum auth_reason)reason);
	front_printf(f, "%.*s NO %s%s%s%s\r\n", SPAN_ARG(tag),
	    code[0] ? "[" : "", code, code[0] ? "] " : "", text);
}

static void
goodbye(struct front *f, enum front_bye why)
{
	static const char *const texts[] = {
		[FRONT_BYE_SHUTDOWN] = "[UNAVAILABLE] Server shutting down.",
		[FRONT_BYE_TIMEOUT] = "Disconnected for inactivity.",
		[FRONT_BYE_TOO_LONG] = "[TOOBIG] Too long line.",
		[FRONT_BYE_TOO_MANY] =
		    "[LIMIT] Too many connections from your address.",
		[FRONT_BYE_ERRORS] = "Too many invalid IMAP commands.",
	};

	front_printf(f, "* BYE %s\r\n", texts[why]);
}

static void
free_client(void *data)
{
	struct client *c = data;

	if (c)
		arena_fini(&c->arena);
	mem_free(c);
}

/* --- the commands --------------------------------------------------------------------- */

static void
do_capability(struct front *f, struct scan *s, struct span tag)
{
	if (!scan_end(s)) {
		refuse(f, tag, s);
		return;
	}
	front_printf(f, "* CAPABILITY ");
	put_capabilities(f);
	front_printf(f, "\r\n%.*s OK Pre-login capabilities listed, "
	    "post-login capabilities have more.\r\n", SPAN_ARG(tag));
}

static void
do_noop(struct front *f, struct scan *s, struct span tag)
{
	if (!scan_end(s))
		refuse(f, tag, s);
	else
		front_printf(f, "%.*s OK NOOP completed.\r\n", SPAN_ARG(tag));
}

static void
do_logout(struct front *f, struct scan *s, struct span tag)
{
	if (!scan_end(s)) {
		refuse(f, tag, s);
		return;
	}
	front_printf(f, "* BYE Logging out\r\n%.*s OK Logout completed.\r\n",
	    SPAN_ARG(tag));
	front_quit(f);
}

static void
do_id(struct front *f, struct scan *s, struct span tag)
{
	struct buf said = BUF_INIT(BUF_UNLIMITED);

	if (!imap_scan_id(s)) {
		refuse(f, tag, s);
		return;
	}
	imap_put_id(&said);
	front_printf(f, "%s%.*s OK ID completed.\r\n", said.data,
	    SPAN_ARG(tag));
	buf_fini(&said);
}

static void
do_starttls(struct front *f, struct scan *s, struct span tag)
{
	struct client *c = front_data(f);

	if (!scan_end(s)) {
		refuse(f, tag, s);
	} else if (front_tls_active(f)) {
		bad(f, tag, "TLS is already active.");
	} else if (!front_tls_possible(f)) {
		bad(f, tag, "TLS is not available.");
	} else {
		front_printf(f, "%.*s OK Begin TLS negotiation now.\r\n",
		    SPAN_ARG(tag));
		frame_reset(&c->frame);
		front_starttls(f);
	}
}

static bool
plain_allowed(struct front *f, struct span tag)
{
	if (front_login_possible(f))
		return true;
	front_printf(f, "%.*s NO [PRIVACYREQUIRED] Plaintext authentication "
	    "disallowed on non-secure (SSL/TLS) connections.\r\n",
	    SPAN_ARG(tag));
	(void)front_error(f);
	return false;
}

static void
do_login(struct front *f, struct scan *s, struct span tag)
{
	struct span user, password;

	if (!scan_sp(s) || !scan_astring(s, &user) || !scan_sp(s) ||
	    !scan_astring(s, &password) || !scan_end(s))
		refuse(f, tag, s);
	else if (plain_allowed(f, tag))
		front_login(f, tag, user, password);
}

static void
do_authenticate(struct front *f, struct scan *s, struct span tag)
{
	struct span mechanism, initial = SPAN_EMPTY;

	if (!scan_sp(s) || !scan_atom(s, &mechanism) ||
	    (scan_is(s, ' ') && (!scan_sp(s) || !scan_atom(s, &initial))) ||
	    !scan_end(s)) {
		refuse(f, tag, s);
		return;
	}
	/* "They want a password in the clear" has an answer of its own. */
	if (!front_offers(f, mechanism) && (span_caseis(mechanism, "PLAIN") ||
	    span_caseis(mechanism, "LOGIN")) && !plain_allowed(f, tag))
		return;
	if (!front_offers(f, mechanism)) {
		front_printf(f, "%.*s NO [CANNOT] Unsupported authentication "
		    "mechanism.\r\n", SPAN_ARG(tag));
		(void)front_error(f);
		return;
	}
	front_auth(f, tag, mechanism, initial);
}

static const struct front_command commands[] = {	/* RFC 9051 6.1, 6.2 */
	{ "CAPABILITY", do_capability },
	{ "NOOP", do_noop },
	{ "LOGOUT", do_logout },
	{ "ID", do_id },				/* RFC 2971 */
	{ "STARTTLS", do_starttls },
	{ "LOGIN", do_login },
	{ "AUTHENTICATE", do_authenticate },		/* RFC 4959 */
};

static void
run_command(struct front *f, struct client *c, struct span text)
{
	struct scan s;
	struct span tag, name;

	if (front_http(f, text))
		return;
	scan_init(&s, text, &c->arena);
	if (!scan_tag(&s, &tag) || tag.len > IMAP_TAG_MAX ||
	    (scan_peek(&s) >= 0 && !scan_is(&s, ' ')))
		tag = SPAN("*");
	if (s.err || !scan_sp(&s) || !scan_command_name(&s, &name)) {
		bad(f, tag, "Error in IMAP command received by server.");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (span_caseis(name, commands[i].name)) {
			commands[i].handler(f, &s, tag);
			return;
		}
	/* Not nonsense, only too early (RFC 9051 3). */
	if (command_find(name) != NULL)
		front_printf(f, "%.*s BAD Log in first.\r\n", SPAN_ARG(tag));
	else
		bad(f, tag, "Error in IMAP command received by server.");
}

/* --- input ------------------------------------------------------------------------------ */

/* A literal is announced: false when the connection is to wait or is over. */
static bool
take_literal(struct front *f, struct client *c)
{
	struct frame *fr = &c->frame;

	if (fr->literal > (uint64_t)conf.imapd_login_line_limit ||
	    fr->literal_at + fr->literal >
	    (uint64_t)conf.imapd_login_line_limit) {
		goodbye(f, FRONT_BYE_TOO_LONG);
		front_quit(f);
		return false;
	}
	if (fr->sync)
		front_printf(f, "+ OK\r\n");
	frame_accept(fr);
	return true;
}

static void
input(struct front *f)
{
	struct client *c = front_data(f);
	struct arena *a = &c->arena;
	size_t len, text;

	while (!front_busy(f)) {
		switch (frame_next(&c->frame, front_input(f),
		    (size_t)conf.imapd_login_line_limit, &len, &text)) {
		case FRAME_MORE:
			return;
		case FRAME_TOO_LONG:
			goodbye(f, FRONT_BYE_TOO_LONG);
			front_quit(f);
			return;
		case FRAME_LITERAL:
			if (!take_literal(f, c))
				return;
			continue;
		case FRAME_COMMAND:
			break;
		}
		/* The handler may end or change the connection, so the
		 * command leaves the input first. */
		{
			struct span in = front_input(f);
			char *copy = arena_span_dup(a, span_sub(in, 0, text));

			frame_reset(&c->frame);
			front_consume(f, len);
			run_command(f, c, span_make(copy, text));
			mem_wipe(copy, text);
			arena_reset(a);
		}
	}
}

const struct front_ops imapd_front = {
	.service	= "imap",
	.daemon		= "imapd",
	.alpn		= "imap",
	.greet		= greet,
	.again		= again,
	.input		= input,
	.failed		= failed,
	.goodbye	= goodbye,
	.free		= free_client,
};
