/* SPDX-License-Identifier: ISC */
/*
 * front - the AUTHORIZATION state of POP3 (RFC 1939 4, 7; RFC 2449, 2595,
 * 5034, 6856).  lib/front does what is not POP3.
 */
#include "pop3d/front.h"

#include "auth/auth_client.h"
#include "base/mem.h"
#include "conf/params.h"
#include "pop3d/capa.h"
#include "pop3d/parse.h"

struct login {
	char	*user;		/* USER's argument; NULL: none */
	bool	 utf8;
	bool	 skipping;	/* the rest of a line that is too long */
};

typedef void command_fn(struct front *f, struct login *l, struct span rest);

static void
err(struct front *f, const char *text)
{
	front_printf(f, "-ERR %s%s\r\n", pop3_code_for(text), text);
	front_error(f);
}

static void
greet(struct front *f)
{
	front_set_data(f, mem_zalloc(sizeof(struct login)));
	front_printf(f, "+OK %s\r\n", conf.pop3d_banner);
}

static void
forget(void *data)
{
	struct login *l = data;

	mem_free(l->user);
	mem_free(l);
}

/* --- commands ---------------------------------------------------------------------------- */

static void
cmd_capa(struct front *f, struct login *l, struct span rest)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), mechs = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&b, "+OK\r\n");
	pop3_capa(&b);
	if (front_tls_possible(f))
		buf_add_str(&b, "STLS\r\n");
	if (front_login_possible(f))
		buf_add_str(&b, "USER\r\n");
	front_mechanisms(f, "", &mechs);
	if (mechs.len > 0)
		buf_addf(&b, "SASL %s\r\n", mechs.data);
	buf_add_str(&b, "IMPLEMENTATION Mansio\r\n.\r\n");
	front_write(f, buf_span(&b));
	buf_fini(&b);
	buf_fini(&mechs);
}

static void
cmd_stls(struct front *f, struct login *l, struct span rest)
{
	if (front_tls_active(f)) {
		err(f, "TLS is active already");
	} else if (!front_tls_possible(f)) {
		err(f, "[SYS/TEMP] TLS is not available");
	} else {
		front_printf(f, "+OK Begin TLS negotiation now\r\n");
		/* What was said before was said by anybody (RFC 2595 4). */
		mem_free(l->user);
		l->user = NULL;
		l->utf8 = false;
		front_starttls(f);
	}
}

static void
cmd_user(struct front *f, struct login *l, struct span rest)
{
	if (!front_login_possible(f)) {
		err(f, "[AUTH] Not without TLS");
		return;
	}
	if (rest.len == 0) {
		err(f, "USER wants a name");
		return;
	}
	mem_free(l->user);
	l->user = span_dup(rest);
	front_printf(f, "+OK\r\n");
}

static void
put_notes(struct front *f, const struct login *l)
{
	front_set_notes(f, l->utf8 ? SPAN("utf8") : SPAN(""));
}

static void
cmd_pass(struct front *f, struct login *l, struct span rest)
{
	char *user = l->user;

	if (user == NULL) {
		err(f, front_login_possible(f) ? "USER comes first"
		    : "[AUTH] Not without TLS");
		return;
	}
	l->user = NULL;		/* RFC 1939 7: USER once more after a failure */
	put_notes(f, l);
	front_login(f, SPAN(""), span_of(user), rest.p != NULL ? rest
	    : SPAN(""));
	mem_free(user);
}

static void
list_mechanisms(struct front *f)
{
	struct buf names = BUF_INIT(BUF_UNLIMITED);
	struct span left, name;

	front_mechanisms(f, "", &names);
	left = buf_span(&names);
	front_printf(f, "+OK\r\n");
	while (span_token(&left, " ", &name))
		front_printf(f, "%.*s\r\n", SPAN_ARG(name));
	front_printf(f, ".\r\n");
	buf_fini(&names);
}

static void
cmd_auth(struct front *f, struct login *l, struct span rest)
{
	struct span mech, initial = SPAN_EMPTY;
	ptrdiff_t space;

	if (rest.len == 0) {
		list_mechanisms(f);	/* as RFC 1734's clients expect */
		return;
	}
	space = span_find(rest, ' ');
	mech = space < 0 ? rest : span_sub(rest, 0, (size_t)space);
	if (space >= 0)
		initial = span_make(rest.p + space + 1,
		    rest.len - (size_t)space - 1);
	put_notes(f, l);
	front_auth(f, SPAN(""), mech, initial);
}

static void
cmd_utf8(struct front *f, struct login *l, struct span rest)
{
	if (!conf.pop3d_utf8_enable) {
		err(f, "Unknown command");
		return;
	}
	if (rest.len > 0) {
		err(f, "UTF8 takes no argument");
		return;
	}
	l->utf8 = true;
	front_printf(f, "+OK UTF8 enabled\r\n");
}

static void
cmd_lang(struct front *f, struct login *l, struct span rest)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	pop3_lang(rest, &b);
	front_write(f, buf_span(&b));
	if (b.data[0] == '-')
		front_error(f);
	buf_fini(&b);
}

static void
cmd_quit(struct front *f, struct login *l, struct span rest)
{
	front_printf(f, "+OK Bye\r\n");
	front_quit(f);
}

static const struct {
	enum pop3_verb	 verb;
	command_fn	*fn;
} commands[] = {
	{ POP3_AUTH, cmd_auth },	/* RFC 5034 4 */
	{ POP3_CAPA, cmd_capa },	/* RFC 2449 5 */
	{ POP3_LANG, cmd_lang },	/* RFC 6856 3 */
	{ POP3_PASS, cmd_pass },	/* RFC 1939 7 */
	{ POP3_QUIT, cmd_quit },	/* RFC 1939 4 */
	{ POP3_STLS, cmd_stls },	/* RFC 2595 4 */
	{ POP3_USER, cmd_user },	/* RFC 1939 7 */
	{ POP3_UTF8, cmd_utf8 },	/* RFC 6856 2 */
};

static void
run(struct front *f, const struct pop3_line *line)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].verb != line->verb)
			continue;
		commands[i].fn(f, front_data(f), line->rest);
		return;
	}
	if (line->verb == POP3_APOP)
		err(f, "APOP is not offered here");
	else if (line->verb != POP3_UNKNOWN)
		err(f, "Log in first");
	else
		err(f, "Unknown command");
}

/* --- input ----------------------------------------------------------------------------------- */

static void
too_long(struct front *f, struct login *l, size_t used, bool whole)
{
	if (!l->skipping)
		err(f, "[SYS/PERM] Line too long");
	l->skipping = !whole;
	front_consume(f, used);
}

static void
input(struct front *f)
{
	struct login *l = front_data(f);
	struct pop3_line line;
	size_t used;
	bool whole;

	while (!front_busy(f)) {
		struct span in = front_input(f);
		enum pop3_parsed got;

		got = pop3_parse_line(in, &line, &used, &whole);
		if (used > 0 && front_http(f, span_sub(in, 0, used)))
			return;
		if (got == POP3_TOO_LONG || (l->skipping && used > 0)) {
			too_long(f, l, used, whole);
		} else if (got == POP3_LINE) {
			/* A handler may end in a hand-over: first take the
			 * line, whose bytes stay until we return. */
			front_consume(f, used);
			run(f, &line);
		} else {
			return;
		}
	}
}

/* --- ends -------------------------------------------------------------------------------------- */

static void
failed(struct front *f, struct span tag, int reason, const char *text)
{
	switch (reason) {
	case FRONT_CANCELLED:
		/* The one without a code: nothing is wrong with anything. */
		front_printf(f, "-ERR Login cancelled\r\n");
		break;
	case FRONT_LIMIT:
		front_printf(f, "-ERR [IN-USE] %s\r\n", text);
		break;
	case FRONT_TOO_SOON:
		front_printf(f, "-ERR [LOGIN-DELAY] %s\r\n", text);
		break;
	default:
		front_printf(f, "-ERR [%s] %s\r\n",
		    auth_pop3_code((enum auth_reason)reason), text);
		break;
	}
	front_error(f);
}

static void
goodbye(struct front *f, enum front_bye why)
{
	static const char *const texts[] = {
		[FRONT_BYE_SHUTDOWN] = "[SYS/TEMP] Server shutting down",
		[FRONT_BYE_TIMEOUT] =
		    "[SYS/TEMP] Disconnected: no login in time",
		[FRONT_BYE_TOO_LONG] = "[SYS/PERM] Too much input",
		[FRONT_BYE_TOO_MANY] =
		    "[SYS/TEMP] Too many connections from your address",
		[FRONT_BYE_ERRORS] = "[SYS/PERM] Too many errors",
	};

	front_printf(f, "-ERR %s\r\n", texts[why]);
}

static const struct front_ops pop3_front = {
	.service	= "pop3",
	.daemon		= "pop3d",
	.alpn		= "pop3",
	.greet		= greet,
	.input		= input,
	.failed		= failed,
	.goodbye	= goodbye,
	.free		= forget,
};

static struct front_settings settings;

int
pop3_front_pre_jail(struct why *why)
{
	settings = (struct front_settings){
		.login_timeout_ms = conf.pop3d_login_timeout * 1000,
		.input_max = 2 * POP3_AUTH_MAX,
		.error_limit = conf.pop3d_hard_error_limit,
		.tls = TLS_POP3D,
		.tls_wrappermode = conf.pop3d_tls_wrappermode,
		.tls_loglevel = conf.pop3d_tls_loglevel,
		.cleartext_networks = conf.pop3d_cleartext_networks,
	};
	return front_pre_jail(&pop3_front, &settings, why);
}
