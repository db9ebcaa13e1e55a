/* SPDX-License-Identifier: ISC */
/*
 * cmd_xclient - XCLIENT and XFORWARD (Postfix's XCLIENT_README and
 * XFORWARD_README): a trusted client says for whom it speaks.
 *
 * XCLIENT changes the session: what follows is judged as if the named client
 * had connected, from the greeting on.  XFORWARD changes what is logged and
 * written down, and decides nothing.
 */
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "smtpd/smtpd.h"

#define XATTR_MAX	512		/* bytes of a decoded value */

/* "[UNAVAILABLE]" and "[TEMPUNAVAIL]". */
static bool
is_unknown(struct span v)
{
	return span_caseis(v, "[UNAVAILABLE]") ||
	    span_caseis(v, "[TEMPUNAVAIL]");
}

static bool
bad_value(struct session *s, const char *name, struct span v)
{
	reply(s, "501 5.5.4 Bad %s syntax: %.*s", name,
	    SPAN_ARG(span_sub(v, 0, 100)));
	return false;
}

static void
set(char **to, struct span v)
{
	mem_free(*to);
	*to = span_dup(v);
}

static bool
is_port(struct span v)
{
	uint32_t port;

	return num_parse_u32(v, 65535, &port) == 0;
}

/* What XCLIENT changes, gathered first and done when all of it is good. */
struct xclient {
	char		*name, *reverse, *helo, *login, *dest;
	enum name_status name_status, reverse_status;
	struct sock_addr addr;
	bool		 has_addr, has_name, has_port, has_helo, has_login;
	uint32_t	 port, dest_port;
	int		 esmtp;		/* -1: not given */
};

static enum name_status
status_of(struct span v)
{
	return span_caseis(v, "[TEMPUNAVAIL]") ? NAME_TEMP :
	    is_unknown(v) ? NAME_PERM : NAME_OK;
}

/* A name that is said to be the client's is taken for the address's, too. */
static void
set_names(struct session *s, struct xclient *x)
{
	if (x->has_name) {
		s->name_status = x->name_status;
		if (x->reverse == NULL && x->name_status == NAME_OK) {
			x->reverse = mem_strdup(x->name);
			x->reverse_status = NAME_OK;
		}
	}
	if (x->reverse == NULL)
		return;
	s->reverse_status = x->reverse_status;
	mem_free(s->reverse_name);
	s->reverse_name = x->reverse_status == NAME_OK ?
	    mem_strdup(x->reverse) : NULL;
}

static bool
xclient_attr(struct session *s, struct xclient *x, struct span name,
    struct span v)
{
	if (span_caseis(name, "NAME")) {
		x->has_name = true;
		if (!is_unknown(v) && !parse_hostname_valid(v))
			return bad_value(s, "NAME", v);
		x->name_status = status_of(v);
		set(&x->name, is_unknown(v) ? SPAN("unknown") : v);
	} else if (span_caseis(name, "REVERSE_NAME")) {
		if (!is_unknown(v) && !parse_hostname_valid(v))
			return bad_value(s, "REVERSE_NAME", v);
		x->reverse_status = status_of(v);
		set(&x->reverse, is_unknown(v) ? SPAN("unknown") : v);
	} else if (span_caseis(name, "ADDR")) {
		if (!is_unknown(v)) {
			if (parse_xaddr(v, &x->addr) < 0)
				return bad_value(s, "ADDR", v);
			x->has_addr = true;
		}
	} else if (span_caseis(name, "PORT")) {
		if (!is_unknown(v)) {
			if (num_parse_u32(v, 65535, &x->port) < 0)
				return bad_value(s, "PORT", v);
			x->has_port = true;
		}
	} else if (span_caseis(name, "HELO")) {
		x->has_helo = true;
		if (is_unknown(v))
			v = SPAN_EMPTY;
		else if (v.len > PARSE_HELO_MAX || !utf8_valid(v))
			return bad_value(s, "HELO", v);
		set(&x->helo, v);
	} else if (span_caseis(name, "PROTO")) {
		if (span_caseis(v, "SMTP"))
			x->esmtp = 0;
		else if (span_caseis(v, "ESMTP") || span_caseis(v, "LMTP"))
			x->esmtp = 1;
		else if (!is_unknown(v))
			return bad_value(s, "PROTO", v);
	} else if (span_caseis(name, "LOGIN")) {
		x->has_login = true;
		set(&x->login, is_unknown(v) ? SPAN_EMPTY : v);
	} else if (span_caseis(name, "DESTADDR")) {
		struct sock_addr a;
		char text[SOCK_ADDR_TEXT_MAX] = "unknown";

		if (!is_unknown(v)) {
			if (parse_xaddr(v, &a) < 0)
				return bad_value(s, "DESTADDR", v);
			sock_addr_text(&a, text);
		}
		set(&x->dest, span_of(text));
	} else if (span_caseis(name, "DESTPORT")) {
		if (!is_unknown(v) &&
		    num_parse_u32(v, 65535, &x->dest_port) < 0)
			return bad_value(s, "DESTPORT", v);
	} else {
		reply(s, "501 5.5.4 Bad XCLIENT attribute name: %.*s",
		    SPAN_ARG(span_sub(name, 0, 100)));
		return false;
	}
	return true;
}

static void
set_port(struct sock_addr *a, uint16_t port)
{
	port = (uint16_t)(port >> 8 | port << 8);
	if (a->sa.sa_family == AF_INET6)
		memcpy(&a->in6.sin6_port, &port, sizeof(port));
	else
		memcpy(&a->in.sin_port, &port, sizeof(port));
}

static void
xclient_do(struct session *s, struct xclient *x)
{
	struct sock_addr a = x->has_addr ? x->addr : s->addr;

	if (x->has_port)
		set_port(&a, (uint16_t)x->port);
	limits_disconnect(s);
	session_set_peer(s, &a, x->has_name ? x->name :
	    x->has_addr ? NULL : s->name);
	set_names(s, x);
	if (x->has_login) {
		mem_free(s->login);
		s->login = x->login[0] != '\0' ? mem_strdup(x->login) : NULL;
	}
	mem_free(s->helo);
	s->helo = NULL;
	if (x->has_helo && x->helo[0] != '\0')
		s->helo = mem_strdup(x->helo);
	if (x->dest != NULL)
		session_set_dest(s, x->dest, (uint16_t)x->dest_port);
	mem_free(s->deferral);
	s->deferral = NULL;
	s->esmtp = x->esmtp == 1;
	session_reset(s);
	session_set_state(s, ST_CONNECT);
	s->ok[CMD_XCLIENT]++;
	s->counted = true;
	/*
	 * Who is spoken for may use XCLIENT when he is in the list himself:
	 * a proxy that passes on what its clients say after that must not
	 * lend them its rights.
	 */
	session_greet(s);
}

void
cmd_xclient(struct session *s, struct span arg)
{
	struct buf value = BUF_INIT(XATTR_MAX);
	struct xclient x = { .esmtp = -1 };
	struct parse_error err;
	struct span name;
	bool any = false;
	int rc;

	if (!s->may_xclient) {
		reply(s, "550 5.7.0 Error: insufficient authorization");
		return;
	}
	if (s->txn != NULL) {
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
		return;
	}
	while ((rc = parse_xattr(&arg, &name, &value, &err)) == 1) {
		any = true;
		if (!xclient_attr(s, &x, name, buf_span(&value)))
			goto out;
	}
	if (rc < 0)
		reply(s, "%s", err.reply);
	else if (!any)
		reply(s, "501 5.5.4 Syntax: XCLIENT attribute=value...");
	else
		xclient_do(s, &x);
out:
	buf_fini(&value);
	mem_free(x.name);
	mem_free(x.helo);
	mem_free(x.login);
	mem_free(x.reverse);
	mem_free(x.dest);
}

/* --- XFORWARD -------------------------------------------------------------------- */

void
xforward_free(struct xforward **xp)
{
	struct xforward *x = *xp;

	if (x == NULL)
		return;
	mem_free(x->name);
	mem_free(x->addr);
	mem_free(x->port);
	mem_free(x->proto);
	mem_free(x->helo);
	mem_free(x->ident);
	mem_free(x->source);
	mem_free(x);
	*xp = NULL;
}

static bool
xforward_attr(struct session *s, struct xforward *x, struct span name,
    struct span v)
{
	struct sock_addr a;
	char text[SOCK_ADDR_TEXT_MAX];
	bool unknown = is_unknown(v);

	if (span_caseis(name, "NAME")) {
		if (!unknown && !parse_hostname_valid(v))
			return bad_value(s, "NAME", v);
		set(&x->name, unknown ? SPAN("unknown") : v);
	} else if (span_caseis(name, "ADDR")) {
		if (unknown) {
			set(&x->addr, SPAN("unknown"));
		} else {
			if (parse_xaddr(v, &a) < 0)
				return bad_value(s, "ADDR", v);
			sock_addr_text(&a, text);
			set(&x->addr, span_of(text));
		}
	} else if (span_caseis(name, "PORT")) {
		if (!unknown && !is_port(v))
			return bad_value(s, "PORT", v);
		set(&x->port, unknown ? SPAN("0") : v);
	} else if (span_caseis(name, "PROTO")) {
		if (v.len > 64)
			return bad_value(s, "PROTO", v);
		set(&x->proto, unknown ? SPAN_EMPTY : v);
	} else if (span_caseis(name, "HELO")) {
		if (v.len > PARSE_HELO_MAX || !utf8_valid(v))
			return bad_value(s, "HELO", v);
		set(&x->helo, unknown ? SPAN_EMPTY : v);
	} else if (span_caseis(name, "IDENT")) {
		set(&x->ident, unknown ? SPAN_EMPTY : v);
	} else if (span_caseis(name, "SOURCE")) {
		if (!span_caseis(v, "LOCAL") && !span_caseis(v, "REMOTE") &&
		    !unknown)
			return bad_value(s, "SOURCE", v);
		set(&x->source, v);
	} else {
		reply(s, "501 5.5.4 Bad XFORWARD attribute name: %.*s",
		    SPAN_ARG(span_sub(name, 0, 100)));
		return false;
	}
	return true;
}

void
cmd_xforward(struct session *s, struct span arg)
{
	struct buf value = BUF_INIT(XATTR_MAX);
	struct parse_error err;
	struct span name;
	bool any = false;
	int rc;

	if (!s->may_xforward) {
		reply(s, "550 5.7.0 Error: insufficient authorization");
		return;
	}
	if (s->txn != NULL) {
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
		return;
	}
	if (s->forward == NULL)
		s->forward = mem_zalloc(sizeof(*s->forward));
	while ((rc = parse_xattr(&arg, &name, &value, &err)) == 1) {
		any = true;
		if (!xforward_attr(s, s->forward, name, buf_span(&value)))
			goto out;
	}
	if (rc < 0)
		reply(s, "%s", err.reply);
	else if (!any)
		reply(s, "501 5.5.4 Syntax: XFORWARD attribute=value...");
	else
		reply(s, "250 2.0.0 Ok");
out:
	buf_fini(&value);
}
