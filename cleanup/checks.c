/* SPDX-License-Identifier: ISC */
/*
 * checks - see checks.h and header_checks(5).
 */
#include <ctype.h>

#include "base/log.h"
#include "cleanup/checks.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"

#define SHOW_MAX 200		/* bytes of content in the log, as Postfix */

static void
log_action(struct message *m, const char *action, const char *what,
    struct span content, struct span text)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), tmp = BUF_INIT(BUF_UNLIMITED);
	struct envelope *e = &m->env;

	buf_addf(&b, "%s: %s: %s %.*s from %s; from=<%s>", m->queue_id, action,
	    what, (int)MIN(content.len, (size_t)SHOW_MAX), content.p,
	    content_origin(m), address_show(e->sender, &tmp));
	if (e->rcpts.len > 0) {
		buf_reset(&tmp);
		buf_addf(&b, " to=<%s>", address_show(
		    e->rcpts.v[e->rcpts.len - 1].addr, &tmp));
	}
	if (e->protocol.len > 0)
		buf_addf(&b, " proto=%.*s", SPAN_ARG(e->protocol));
	if (e->helo.len > 0)
		buf_addf(&b, " helo=<%.*s>", SPAN_ARG(e->helo));
	if (text.len > 0)
		buf_addf(&b, ": %.*s", SPAN_ARG(text));
	log_info("%s", b.data);
	buf_fini(&b);
	buf_fini(&tmp);
}

static struct span
dup_text(struct message *m, struct span s)
{
	return span_make(arena_span_dup(&m->arena, s), s.len);
}

/* "5.7.1 text", "text" or "": the reason for REJECT. */
static void
reject(struct message *m, struct span text)
{
	struct span rest = text, code;

	if (span_token(&rest, " \t", &code) && dsn_code_valid(code) &&
	    (code.p[0] == '5' || code.p[0] == '4')) {
		char c[WHY_CODE_MAX];

		rest = span_trim(rest);
		if (span_copy(code, c, sizeof(c)) == 0) {
			refuse(m, c[0] == '4' ? 451 : 550, c, "%.*s",
			    rest.len > 0 ? (int)rest.len : 24, rest.len > 0 ?
			    rest.p : "message content rejected");
			return;
		}
	}
	if (text.len == 0)
		text = SPAN("message content rejected");
	refuse(m, 550, "5.7.1", "%.*s", SPAN_ARG(text));
}

static bool
bad_command(struct message *m, struct maps *maps, const char *what,
    struct span value, const char *problem)
{
	log_warning("%s: %s: %s in \"%.*s\" for %s", m->queue_id,
	    maps_last_table(maps), problem, (int)MIN(value.len,
	    (size_t)SHOW_MAX), value.p, what);
	return true;
}

enum check_result
checks_apply(struct message *m, struct maps *maps, const char *what,
    struct span content, struct buf *text)
{
	struct span value, action, arg;
	struct why why = WHY_INIT;
	int rc;

	buf_reset(text);
	rc = maps_get(maps, content, false, text, &why);
	if (rc == 0)
		return CHECK_KEEP;
	if (rc < 0) {
		log_warning("%s: %s map lookup problem -- message not "
		    "accepted, try again later: %s", m->queue_id, what,
		    why.text);
		refuse(m, 451, "4.3.0", "Error: queue file write error");
		return CHECK_STOP;
	}
	value = span_trim(buf_span(text));
	arg = value;
	if (!span_token(&arg, " \t", &action))
		return CHECK_KEEP;
	arg = span_trim(arg);

	if (span_caseis(action, "DUNNO") || span_caseis(action, "OK"))
		return CHECK_KEEP;
	if (span_caseis(action, "REJECT")) {
		reject(m, arg);
		log_action(m, "reject", what, content, arg.len > 0 ? arg :
		    span_of(arena_printf(&m->arena, "%s %s", m->why.code,
		    m->why.text)));
		return CHECK_STOP;
	}
	if (span_caseis(action, "WARN")) {
		log_action(m, "warning", what, content, arg);
		return CHECK_KEEP;
	}
	if (span_caseis(action, "INFO")) {
		log_action(m, "info", what, content, arg);
		return CHECK_KEEP;
	}
	if (span_caseis(action, "FILTER")) {
		if (span_find(arg, ':') < 0) {
			bad_command(m, maps, what, value,
			    "FILTER needs transport:destination");
			return CHECK_KEEP;
		}
		m->env.filter = dup_text(m, arg);
		log_action(m, "filter", what, content, arg);
		return CHECK_KEEP;
	}
	if (span_caseis(action, "PASS")) {
		log_action(m, "pass", what, content, arg);
		m->pass = true;
		return CHECK_KEEP;
	}
	if (span_caseis(action, "DISCARD")) {
		log_action(m, "discard", what, content, arg);
		m->discard = true;
		return CHECK_STOP;
	}
	if (span_caseis(action, "HOLD")) {
		if (!m->hold)
			log_action(m, "hold", what, content, arg);
		m->hold = true;
		return CHECK_KEEP;
	}
	if (span_caseis(action, "DELAY")) {
		bad_command(m, maps, what, value, "DELAY is not supported");
		return CHECK_KEEP;
	}
	if (span_caseis(action, "PREPEND")) {
		if (arg.len == 0) {
			bad_command(m, maps, what, value,
			    "PREPEND needs a text");
			return CHECK_KEEP;
		}
		log_action(m, "prepend", what, content, arg);
		buf_consume(text, (size_t)(arg.p - text->data));
		buf_trunc(text, arg.len);
		return CHECK_PREPEND;
	}
	if (span_caseis(action, "REPLACE")) {
		if (arg.len == 0) {
			bad_command(m, maps, what, value,
			    "REPLACE needs a text");
			return CHECK_KEEP;
		}
		log_action(m, "replace", what, content, arg);
		buf_consume(text, (size_t)(arg.p - text->data));
		buf_trunc(text, arg.len);
		return CHECK_REPLACE;
	}
	if (span_caseis(action, "REDIRECT") || span_caseis(action, "BCC")) {
		bool bcc = span_caseis(action, "BCC");

		if (span_find(arg, '@') < 0) {
			bad_command(m, maps, what, value,
			    "an address with @domain is needed");
			return CHECK_KEEP;
		}
		log_action(m, bcc ? "bcc" : "redirect", what, content, arg);
		if (bcc)
			*ARRAY_PUSH(&m->bcc) = dup_text(m, arg);
		else
			m->env.redirect = dup_text(m, arg);
		return CHECK_KEEP;
	}
	if (span_caseis(action, "STRIP")) {
		log_action(m, "strip", what, content, arg);
		return CHECK_DROP;
	}
	if (span_caseis(action, "IGNORE"))
		return CHECK_DROP;
	bad_command(m, maps, what, value, "unknown action");
	return CHECK_KEEP;
}
