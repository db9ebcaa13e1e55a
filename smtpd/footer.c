/* SPDX-License-Identifier: ISC */
/*
 * footer - what smtpd_reject_footer and smtpd_reject_footer_maps add to each
 * reply of 4xx and 5xx.
 *
 * The footer is a template: \n begins another line, \c in front lets it begin
 * on the reply's own.  The names in it have our values, and never what a client
 * has sent.  The log shows the reply without it.
 */
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/expand.h"
#include "conf/params.h"
#include "conf/table.h"
#include "smtpd/smtpd.h"

#define FOOTER_MAX	4096		/* bytes of a footer */

struct value {
	const struct session *s;
	char		text[64];
};

static struct maps *footers;

int
footer_open(struct why *why)
{
	footers = maps_new("smtpd_reject_footer_maps",
	    conf.smtpd_reject_footer_maps, TABLE_FOLD | TABLE_FIXED, why);
	return footers == NULL ? -1 : 0;
}

static const char *
value_of(void *arg, struct span name, bool test)
{
	struct value *v = arg;
	const struct session *s = v->s;
	struct tm tm;
	time_t now;

	if (span_is(name, "client_address"))
		return s->addr_text;
	if (span_is(name, "server_name"))
		return conf.myhostname;
	if (span_is(name, "client_port")) {
		(void)snprintf(v->text, sizeof(v->text), "%u",
		    sock_addr_port(&s->addr));
		return v->text;
	}
	if (span_is(name, "localtime")) {
		now = time(NULL);
		if (localtime_r(&now, &tm) == NULL || strftime(v->text,
		    sizeof(v->text), "%b %d %H:%M:%S", &tm) == 0)
			return NULL;
		return v->text;
	}
	log_warning("smtpd_reject_footer: unknown name $%.*s", SPAN_ARG(name));
	return NULL;
}

/* The template for this reply, or nothing. */
static bool
template_of(struct span line, struct buf *out)
{
	struct why why = WHY_INIT;
	int rc = maps_empty(footers) ? 0 : maps_get(footers, line, false, out,
	    &why);

	if (rc < 0)
		log_warning("smtpd_reject_footer_maps: %s", why.text);
	if (rc == 0)
		buf_add_str(out, conf.smtpd_reject_footer);
	return rc >= 0 && out->len > 0;
}

/* "550 " or "550 5.1.1 ": what each line of the reply begins with. */
static struct span
codes_of(struct span line)
{
	size_t n = 4, dots = 0;

	while (n < line.len && ((line.p[n] >= '0' && line.p[n] <= '9') ||
	    (line.p[n] == '.' && ++dots <= 2)))
		n++;
	return span_sub(line, 0, dots == 2 && n < line.len &&
	    line.p[n] == ' ' ? n + 1 : 4);
}

/* Up to the next "\n" of two characters. */
static bool
next_line(struct span *rest, struct span *line)
{
	size_t n = 0;

	if (rest->p == NULL)
		return false;
	while (n + 1 < rest->len && !(rest->p[n] == '\\' &&
	    rest->p[n + 1] == 'n'))
		n++;
	if (n + 1 < rest->len) {
		*line = span_sub(*rest, 0, n);
		*rest = span_from(*rest, n + 2);
		return true;
	}
	*line = *rest;
	*rest = SPAN_EMPTY;
	rest->p = NULL;
	return true;
}

/* No byte of a value or a template ends a line of a reply. */
static void
add_text(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		buf_add_char(out, c < ' ' || c == 127 ? '?' : (char)c);
	}
}

bool
footer_add(const struct session *s, struct span reply, struct buf *out)
{
	struct buf template = BUF_INIT(FOOTER_MAX);
	struct buf text = BUF_INIT(FOOTER_MAX);
	struct value v = { .s = s };
	struct why why = WHY_INIT;
	struct span line = span_sub(reply, 0, reply.len - 2), rest, codes;
	bool same, done = false;
	size_t at;

	if (line.len < 4 || (line.p[0] != '4' && line.p[0] != '5') ||
	    (conf.smtpd_reject_footer[0] == '\0' && maps_empty(footers)) ||
	    !template_of(line, &template))
		goto out;
	if (expand_text(template.data, 0, NULL, value_of, &v, &text,
	    &why) < 0) {
		log_warning("bad reject footer: %s: %s", template.data,
		    why.text);
		goto out;
	}
	rest = buf_span(&text);
	same = span_starts(rest, SPAN("\\c"));
	if (same)
		rest = span_from(rest, 2);
	codes = codes_of(line);
	at = out->len;			/* where the last line begins */
	buf_add_span(out, line);
	while (next_line(&rest, &line)) {
		if (!same) {
			out->data[at + 3] = '-';
			buf_add_str(out, "\r\n");
			at = out->len;
			buf_add_span(out, codes);
			out->data[at + 3] = ' ';
		}
		same = false;
		add_text(out, line);
	}
	buf_add_str(out, "\r\n");
	done = true;
out:
	buf_fini(&template);
	buf_fini(&text);
	return done;
}
