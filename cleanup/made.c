/* SPDX-License-Identifier: ISC */
/*
 * made - the header fields that we make: Received, and what a local message
 * lacks (RFC 5321 4.4, RFC 6409 8).
 */
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "cleanup/cleanup.h"
#include "cleanup/rewrite.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/header.h"

/* Finding the zone costs a look at a file: once a second will do. */
static const char *
date_text(int64_t us)
{
	static char text[CLOCK_RFC5322_MAX];
	static int64_t of = -1;
	int64_t s = us / 1000000;

	if (s != of) {
		clock_rfc5322(s, text);
		of = s;
	}
	return text;
}

void
made_log_id(struct message *m, struct span value, bool resent)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	header_unfold(value, &b);
	log_info("%s: %smessage-id=%s", m->queue_id, resent ? "resent-" : "",
	    b.data);
	m->logged_id |= !resent;
	buf_fini(&b);
}

/* --- what is missing ------------------------------------------------------------ */

/* A full name in front of an address, quoted where that is needed. */
static void
put_phrase(struct buf *b, struct span name)
{
	bool plain = true;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		plain &= c == ' ' || (c >= '0' && c <= '9') ||
		    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c & 0x80);
	}
	if (!plain)
		buf_add_char(b, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, name.p[i]);
	}
	if (!plain)
		buf_add_char(b, '"');
}

/* A full name behind an address, as it was before RFC 822 had phrases. */
static void
put_comment(struct buf *b, struct span name)
{
	buf_add_str(b, " (");
	for (size_t i = 0; i < name.len; i++) {
		if (strchr("()\\", name.p[i]) != NULL && name.p[i] != '\0')
			buf_add_char(b, '\\');
		buf_add_char(b, name.p[i]);
	}
	buf_add_char(b, ')');
}

/* "Full Name <address>", or as header_from_format says. */
static void
add_from(struct message *m, const char *resent)
{
	bool old = strcmp(conf.header_from_format, "obsolete") == 0;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span name = SPAN_EMPTY, from = m->env.sender;

	for (size_t i = 0; i < m->env.attrs.len; i++)
		if (span_is(m->env.attrs.v[i].name, "fullname"))
			name = m->env.attrs.v[i].value;
	if (from.len == 0)
		from = rewrite_complete(&m->arena,
		    span_of(conf.empty_address_recipient));
	buf_addf(&b, "%sFrom: ", resent);
	if (name.len > 0 && !old) {
		put_phrase(&b, name);
		buf_add_str(&b, " <");
	}
	address_quote_822(from, &b);
	if (name.len > 0 && old)
		put_comment(&b, name);
	else if (name.len > 0)
		buf_add_char(&b, '>');
	buf_add_char(&b, '\n');
	content_put(m, buf_span(&b));
	buf_fini(&b);
}

void
made_missing(struct message *m)
{
	const char *resent = m->seen & SEEN_RESENT ? "Resent-" : "";
	bool is_resent = resent[0] != '\0';
	unsigned seen = m->seen;
	const char *line;

	if (m->local_headers || conf.always_add_missing_headers) {
		if (!(seen & (is_resent ? SEEN_RESENT_MESSAGE_ID :
		    SEEN_MESSAGE_ID))) {
			char stamp[32];
			time_t s = (time_t)(m->env.arrival_us / 1000000);
			struct tm tm;

			gmtime_r(&s, &tm);
			strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
			line = arena_printf(&m->arena, "%sMessage-Id: "
			    "<%s.%s@%s>\n", resent, stamp, m->queue_id,
			    conf.myhostname);
			content_put(m, span_of(line));
			made_log_id(m, span_of(strchr(line, '<')),
			    is_resent);
		}
		if (!(seen & (is_resent ? SEEN_RESENT_DATE : SEEN_DATE))) {
			line = arena_printf(&m->arena, "%sDate: %s\n", resent,
			    date_text(m->env.arrival_us));
			content_put(m, span_of(line));
		}
		if (!(seen & (is_resent ? SEEN_RESENT_FROM : SEEN_FROM)))
			add_from(m, resent);
		if (!(seen & (is_resent ? SEEN_RESENT_TO : SEEN_TO)) &&
		    conf.undisclosed_recipients_header[0] != '\0') {
			line = arena_printf(&m->arena, "%s%s\n", resent,
			    conf.undisclosed_recipients_header);
			content_put(m, span_of(line));
		}
	}
	if (!m->logged_id)
		log_info("%s: message-id=<>", m->queue_id);
}

/* --- Received ------------------------------------------------------------------- */

/* What a stranger said about itself must not look like our own words. */
static void
put_foreign(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		buf_add_char(b, c < 0x20 || c == 0x7f || c == '(' || c == ')' ||
		    c == '\\' ? '?' : (char)c);
	}
}

/* Parentheses that pair are a comment in the comment (RFC 5322 3.2.2). */
static bool
pairs_up(struct span s)
{
	int depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		depth += s.p[i] == '(' ? 1 : s.p[i] == ')' ? -1 : 0;
		if (depth < 0)
			return false;
	}
	return depth == 0;
}

/*
 * The facts of the client's TLS session: "how; who", a comment for each, and
 * the first of them in two lines.
 */
static void
put_tls(struct buf *b, struct span facts)
{
	struct span line, kex = SPAN(" key-exchange ");

	while (facts.len > 0) {
		ptrdiff_t end = span_search(facts, SPAN("; ")), fold;
		bool pairs;

		/* Only the first "; ": names may have others. */
		if (end < 0 || !span_starts(facts, SPAN("using ")))
			end = (ptrdiff_t)facts.len;
		line = span_sub(facts, 0, (size_t)end);
		facts = span_from(facts, (size_t)end + 2);
		fold = span_search(line, kex);
		pairs = pairs_up(line);
		buf_add_str(b, "\t(");
		for (size_t i = 0; i < line.len; i++) {
			unsigned char c = (unsigned char)line.p[i];

			if ((ptrdiff_t)i == fold)
				buf_add_str(b, "\n\t");
			if (c < 0x20 || c == 0x7f || c == '\\' ||
			    ((c == '(' || c == ')') && !pairs))
				c = '?';
			buf_add_char(b, (char)c);
		}
		buf_add_str(b, ")\n");
	}
}

/* RFC 5321 4.4, in Postfix's form. */
void
made_received(struct message *m)
{
	const struct envelope *e = &m->env;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const char *date = date_text(e->arrival_us);

	/* A notice of our own came from no client, and with no protocol that
	 * is registered (RFC 5321 4.4). */
	if (e->client_addr.len > 0 && !span_is(e->protocol, "internal")) {
		bool six = span_find(e->client_addr, ':') >= 0;

		buf_add_str(&b, "Received: from ");
		put_foreign(&b, e->helo.len > 0 ? e->helo : e->client_name);
		buf_add_str(&b, " (");
		put_foreign(&b, e->client_name);
		buf_addf(&b, " [%s%.*s])\n", six ? "IPv6:" : "",
		    SPAN_ARG(e->client_addr));
		put_tls(&b, e->tls);
		if (e->login.len > 0 &&
		    conf.smtpd_sasl_authenticated_header) {
			buf_add_str(&b, "\t(Authenticated sender: ");
			put_foreign(&b, e->login);
			buf_add_str(&b, ")\n");
		}
		buf_addf(&b, "\tby %s (%s) with ", conf.myhostname,
		    conf.mail_name);
		put_foreign(&b, e->protocol.len > 0 ? e->protocol :
		    SPAN("SMTP"));
		buf_addf(&b, " id %s", m->queue_id);
		if (e->rcpts.len == 1) {
			buf_add_str(&b, "\n\tfor <");
			address_quote_821(e->rcpts.v[0].addr, &b);
			buf_add_char(&b, '>');
		}
		buf_addf(&b, "; %s\n", date);
	} else if (e->flags & ENV_LOCAL)
		buf_addf(&b, "Received: by %s (%s, from userid %u)\n"
		    "\tid %s; %s\n", conf.myhostname, conf.mail_name,
		    e->submit_uid, m->queue_id, date);
	else
		buf_addf(&b, "Received: by %s (%s)\n\tid %s; %s\n",
		    conf.myhostname, conf.mail_name, m->queue_id, date);
	content_put(m, buf_span(&b));
	buf_fini(&b);
}
