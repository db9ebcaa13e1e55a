/* SPDX-License-Identifier: ISC */
/*
 * arrive - a client from its first byte to the greeting: who it is, whether it
 * is one too many, and whether it waits for its turn to speak.  XCLIENT makes a
 * session begin here anew.
 */
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "smtpd/smtpd.h"

/* What of the client's premature input is shown in the log. */
#define SHOW_INPUT_MAX	80

void
session_set_peer(struct session *s, const struct sock_addr *a,
    const char *name)
{
	char text[SOCK_ADDR_TEXT_MAX], port[8] = "", *old;

	s->addr = *a;
	if (a->sa.sa_family == AF_UNIX) {
		/* Whoever may open the socket is local: as Postfix does. */
		if (sock_addr_parse(SPAN("127.0.0.1"), 0, &s->addr) < 0)
			log_panic("127.0.0.1 is no address");
	}
	sock_addr_text(&s->addr, text);
	s->ipv6 = strchr(text, ':') != NULL;
	if (name == NULL) {
		bool local = sock_addr_is_loopback(&s->addr);

		name = local ? "localhost" : "unknown";
		s->name_status = s->reverse_status =
		    local ? NAME_OK : NAME_PERM;
		mem_free(s->reverse_name);
		s->reverse_name = local ? mem_strdup(name) : NULL;
	}
	if (conf.smtpd_client_port_logging &&
	    snprintf(port, sizeof(port), ":%u", sock_addr_port(&s->addr)) < 0)
		log_panic("snprintf failed");
	old = s->name;
	s->name = mem_printf("%s%c%s%c%s[%s]%s", name, '\0', text, '\0',
	    name, text, port);
	s->addr_text = s->name + strlen(name) + 1;
	s->namaddr = s->addr_text + strlen(text) + 1;
	mem_free(old);		/* name may be a part of it */
	s->trusted = policy_list_has(LIST_MYNETWORKS, s);
	s->newline_excluded = policy_list_has(LIST_NEWLINE, s);
}

void
session_set_dest(struct session *s, const char *addr, uint16_t port)
{
	mem_free(s->dest_addr);
	s->dest_addr = mem_strdup(addr);
	s->dest_port = port;
}

bool
session_out_of_step(struct session *s, const char *where, struct span early)
{
	if (s->ill_pipelined && !conf.smtpd_forbid_unauth_pipelining)
		return false;
	s->ill_pipelined = true;
	if (s->cmd == CMD_AUTH)
		early = SPAN("(not shown)");	/* a password, probably */
	log_info("improper command pipelining after %s from %s: %.*s", where,
	    s->namaddr, SPAN_ARG(span_sub(early, 0, SHOW_INPUT_MAX)));
	if (!conf.smtpd_forbid_unauth_pipelining)
		return false;
	reply_more(s, "554 5.5.0 Error: SMTP protocol synchronization");
	session_close(s, NULL);
	return true;
}

static void
greeted(struct session *s, bool ok, const char *text)
{
	char show[SHOW_INPUT_MAX];
	struct span early;

	session_wake(s);
	if (!ok) {
		reply_more(s, "%s", text);
		session_set_state(s, ST_DENIED);
		return;
	}
	/*
	 * Whoever talks before the greeting does not wait for replies either
	 * (RFC 5321 3.1: the client waits for the 220).
	 */
	early = stream_input(s->stream);
	if (early.len == 0 && s->secured == NULL) {
		ssize_t n = recv(stream_fd(s->stream), show, sizeof(show),
		    MSG_PEEK | MSG_DONTWAIT);

		early = span_make(show, n > 0 ? (size_t)n : 0);
	}
	if (early.len > 0 && session_out_of_step(s, "CONNECT", early))
		return;
	session_set_state(s, ST_START);
	reply_more(s, "220 %s", conf.smtpd_banner);
}

/* The client has its name. */
static void
begin(struct session *s, const char *refused)
{
	log_info("connect from %s trace=%s", s->namaddr, s->trace);
	if (refused != NULL) {
		/* Nothing is said in plain where TLS is spoken. */
		if (!starttls_implicit())
			reply_more(s, "%s", refused);
		session_close(s, NULL);
		return;
	}
	s->may_xclient = policy_list_has(LIST_XCLIENT, s);
	s->may_xforward = policy_list_has(LIST_XFORWARD, s);
	if (!starttls_implicit())
		session_welcome(s);
	else if (!starttls_implicit_begin(s,
	    conf.smtpd_upstream_proxy_protocol[0] != '\0'))
		session_close(s, NULL);
}

void
session_greet(struct session *s)
{
	(void)limits_connect(s);
	begin(s, limits_refusal(s));
}

static void
named(struct session *s)
{
	session_enter(s);
	session_wake(s);
	begin(s, limits_refusal(s));
	if (session_leave(s) && s->wait == WAIT_NONE)
		stream_kick(s->stream);
}

/*
 * A new client.  Those that are too many cost no questions to the DNS, unless
 * their name may make an exception of them, and what others send before the
 * greeting stays unread until they have a name.
 */
void
session_arrived(struct session *s)
{
	bool ask = !limits_connect(s) || policy_list_has_names(LIST_LIMITS);

	if (ask && peername_find(s, named))
		session_wait(s, WAIT_NAME);
	else
		begin(s, limits_refusal(s));
}

void
session_welcome(struct session *s)
{
	policy_start(s, STAGE_CONNECT, SPAN_EMPTY, greeted);
}
