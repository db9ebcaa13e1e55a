/* SPDX-License-Identifier: ISC */
/*
 * content - the header is completed, checked and rewritten, the body passed
 * on, while the bytes come in.
 *
 * lib/mail/mime.h shows each byte once, as a header field, the end of a
 * header, or body; what we keep is put down in m->out, or, when it gets long,
 * in a file in large/.  Without tables and checks a message costs one look at
 * the name of each header field, and a copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cleanup/checks.h"
#include "cleanup/cleanup.h"
#include "cleanup/rewrite.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "io/fault.h"
#include "io/fd.h"
#include "mail/address.h"

#define SPILL_STEP	(256u << 10)	/* bytes written to a file at once */
#define SPILL_CROWDED	(64u << 10)	/* when memory is short */

/* --- what goes out -------------------------------------------------------------------- */

static int
write_failed(struct message *m)
{
	int err = errno;

	log_warning("%s: write %s: %s", m->queue_id, m->large_tmp,
	    strerror(err));
	if (err == ENOSPC || err == EDQUOT) {
		room_note_full();
		return refuse(m, 452, "4.3.1",
		    "Error: insufficient system storage");
	}
	return refuse(m, 451, "4.3.0", "Error: queue file write error");
}

/* Move what there is to the file. */
static void
spill(struct message *m)
{
	const char *p = m->out.data;
	size_t n = m->out.len;

	if (m->refused != 0) {
		buf_reset(&m->out);
		return;
	}
	if (m->large_fd < 0) {
		snprintf(m->large_tmp, sizeof(m->large_tmp), "large/tmp.%s",
		    m->queue_id);
		m->large_fd = fault_openat(cl.spool.dirfd, m->large_tmp,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (m->large_fd < 0) {
			(void)write_failed(m);
			m->large_tmp[0] = '\0';
			return;
		}
	}
	while (n > 0) {
		ssize_t done = fault_write(m->large_fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			(void)write_failed(m);
			break;
		}
		p += done;
		n -= (size_t)done;
		m->large_len += (uint64_t)done;
	}
	if (m->out.alloc > 2 * SPILL_STEP)
		buf_fini(&m->out);
	else
		buf_reset(&m->out);
}

/* What fits in a record beside an envelope. */
static size_t
inline_max(void)
{
	size_t max = MIN((size_t)conf.cleanup_inline_limit,
	    (size_t)QLOG_RECORD_MAX / 2);

	return MIN(max, (size_t)conf.queue_segment_size / 4);
}

void
content_put(struct message *m, struct span bytes)
{
	if (bytes.len == 0)
		return;
	buf_add(&m->out, bytes.p, bytes.len);
	m->last_newline = bytes.p[bytes.len - 1] == '\n';
	if (m->large_fd >= 0 ? m->out.len >= SPILL_STEP :
	    m->out.len > inline_max() ||
	    (m->out.len > SPILL_CROWDED && room_crowded()))
		spill(m);
}

static void
put_line(struct message *m, struct span line)
{
	content_put(m, line);
	if (line.len == 0 || line.p[line.len - 1] != '\n')
		content_put(m, SPAN("\n"));
}

/* --- header fields ----------------------------------------------------------------------- */

enum { IS_SENDER = 1, IS_RCPT = 2 };

static const struct known {
	const char	*name;
	unsigned	 flags, seen;
} known[] = {
	{ "Date",		0,		SEEN_DATE },
	{ "From",		IS_SENDER,	SEEN_FROM },
	{ "To",			IS_RCPT,	SEEN_TO },
	{ "Cc",			IS_RCPT,	SEEN_TO },
	{ "Bcc",		IS_RCPT,	SEEN_TO },
	{ "Message-Id",		0,		SEEN_MESSAGE_ID },
	{ "Received",		0,		0 },
	{ "Sender",		IS_SENDER,	0 },
	{ "Reply-To",		IS_SENDER,	0 },
	{ "Return-Path",	IS_SENDER,	0 },
	{ "Return-Receipt-To",	IS_SENDER,	0 },
	{ "Errors-To",		IS_SENDER,	0 },
	{ "Disposition-Notification-To", IS_SENDER, 0 },
	{ "Mail-Followup-To",	IS_SENDER,	0 },
	{ "Apparently-To",	IS_RCPT,	SEEN_TO },
	{ "TLS-Required",	0,		SEEN_TLS_REQUIRED },
	{ "Resent-Date",	0,		SEEN_RESENT | SEEN_RESENT_DATE },
	{ "Resent-From",	IS_SENDER,	SEEN_RESENT | SEEN_RESENT_FROM },
	{ "Resent-Sender",	IS_SENDER,	SEEN_RESENT },
	{ "Resent-Reply-To",	IS_SENDER,	SEEN_RESENT },
	{ "Resent-To",		IS_RCPT,	SEEN_RESENT | SEEN_RESENT_TO },
	{ "Resent-Cc",		IS_RCPT,	SEEN_RESENT | SEEN_RESENT_TO },
	{ "Resent-Bcc",		IS_RCPT,	SEEN_RESENT | SEEN_RESENT_TO },
	{ "Resent-Message-Id",	0,	SEEN_RESENT | SEEN_RESENT_MESSAGE_ID },
};

static const struct known *
find_known(struct span name)
{
	/* The first letters of the names above. */
	static const char first[] = "dDfFtTcCbBmMrRsSeEaA";

	if (name.len == 0 || strchr(first, name.p[0]) == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if ((known[i].name[0] | 0x20) == (name.p[0] | 0x20) &&
		    span_caseis(name, known[i].name))
			return &known[i];
	return NULL;
}

static bool
is_dropped(struct span name)
{
	for (size_t i = 0; i < cl.set->drop_headers.len; i++)
		if (span_caseis(name, cl.set->drop_headers.v[i]))
			return true;
	return false;
}

/* --- addresses in a field ------------------------------------------------------------------ */

struct edit {
	struct message	*m;
	unsigned	 class;
	struct span	 field;		/* the whole field */
	size_t		 copied;	/* bytes of it that are in out */
	struct buf	 out;
	struct why	 why;
	bool		 failed;
};

/* remote_header_rewrite_domain: mark what strangers left incomplete. */
static struct span
complete_remote(struct arena *a, struct span addr)
{
	const char *mark = conf.remote_header_rewrite_domain;
	ptrdiff_t at = span_rfind(addr, '@');

	if (addr.len == 0 || mark[0] == '\0')
		return addr;
	if (at < 0)
		return span_of(arena_printf(a, "%.*s@%s", SPAN_ARG(addr),
		    mark));
	if (conf.append_dot_mydomain &&
	    span_find(span_from(addr, (size_t)at), '.') < 0 &&
	    span_find(span_from(addr, (size_t)at), '[') < 0)
		return span_of(arena_printf(a, "%.*s.%s", SPAN_ARG(addr),
		    mark));
	return addr;
}

static void
edit_address(void *arg, const struct address_item *item)
{
	struct edit *e = arg;
	struct message *m = e->m;
	struct span addr = item->addr;
	size_t at = (size_t)(item->raw.p - e->field.p);

	if (addr.len == 0 || e->failed)
		return;
	addr = m->local_headers ? rewrite_complete(&m->arena, addr) :
	    complete_remote(&m->arena, addr);
	if (!(m->env.flags & ENV_NO_REWRITE) && cl.set->rewrites &&
	    rewrite_map(cl.set, &m->arena, &addr, e->class, &e->why) < 0) {
		e->failed = true;
		return;
	}
	if (span_eq(addr, item->addr))
		return;
	buf_add(&e->out, e->field.p + e->copied, at - e->copied);
	address_quote_822(addr, &e->out);
	e->copied = at + item->raw.len;
}

/* Put a field down with its addresses rewritten. */
static void
put_addresses(struct message *m, struct span field, struct span value,
    unsigned flags)
{
	struct edit e = { .m = m, .field = field,
	    .class = flags & IS_SENDER ? CLASS_HEADER_SENDER :
	    CLASS_HEADER_RECIPIENT, .out = BUF_INIT(BUF_UNLIMITED) };

	/* Beyond the limit an address stays as it is. */
	(void)address_list_each(value,
	    (size_t)conf.header_address_token_limit, edit_address, &e);
	if (e.failed) {
		log_warning("%s: %s -- message not accepted, try again later",
		    m->queue_id, e.why.text);
		refuse(m, 451, "4.3.0", "Error: queue file write error");
	} else if (e.copied == 0)
		put_line(m, field);
	else {
		buf_add_span(&e.out, span_from(field, e.copied));
		put_line(m, buf_span(&e.out));
	}
	buf_fini(&e.out);
}

/* --- the header ------------------------------------------------------------------------------ */

/* RFC 8689 3: "No" is all that it can say; 4.1: REQUIRETLS overrides it. */
static void
tls_required(struct message *m, struct span value)
{
	if (conf.tls_required_enable && span_caseis(span_trim(value), "no") &&
	    !(m->env.flags & ENV_REQUIRETLS))
		m->env.flags |= ENV_TLS_OPTIONAL;
}

static void
primary_field(struct message *m, const struct header_field *f)
{
	const struct known *k = find_known(f->name);

	if (k != NULL) {
		m->seen |= k->seen;
		if (strcmp(k->name, "Received") == 0 &&
		    ++m->hops > (unsigned)conf.hopcount_limit) {
			log_info("%s: reject: too many hops from %s", m->queue_id,
			    content_origin(m));
			refuse(m, 554, "5.4.6", "Error: too many hops");
			return;
		}
		if (k->seen & SEEN_MESSAGE_ID)
			made_log_id(m, f->value, false);
		else if (k->seen & SEEN_RESENT_MESSAGE_ID)
			made_log_id(m, f->value, true);
		else if (k->seen & SEEN_TLS_REQUIRED)
			tls_required(m, f->value);
	}
	if (is_dropped(f->name))
		return;
	if (k != NULL && k->flags != 0 && (m->local_headers ||
	    cl.set->rewrites || conf.remote_header_rewrite_domain[0] != '\0'))
		put_addresses(m, f->whole, f->value, k->flags);
	else
		put_line(m, f->whole);
}

static bool
checked(const struct message *m)
{
	return cl.set->content_checks && !m->pass &&
	    !(m->env.flags & ENV_NO_CHECKS);
}

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	struct message *m = arg;
	struct header_field changed;
	struct buf text = BUF_INIT(TABLE_VALUE_MAX);
	struct maps *maps = s == MIME_PRIMARY ? cl.set->header_checks :
	    s == MIME_PART ? cl.set->mime_header_checks :
	    cl.set->nested_header_checks;

	if (m->refused != 0 || m->discard)
		return;
	if (checked(m) && !maps_empty(maps)) {
		struct span whole = f->whole, rest;

		while (whole.len > 0 && (whole.p[whole.len - 1] == '\n' ||
		    whole.p[whole.len - 1] == '\r'))
			whole.len--;
		switch (checks_apply(m, maps, "header", whole, &text)) {
		case CHECK_KEEP:
			break;
		case CHECK_PREPEND:
			put_line(m, buf_span(&text));
			break;
		case CHECK_REPLACE:
			buf_add_char(&text, '\n');
			rest = buf_span(&text);
			if (header_next(&rest, &changed) == 1 &&
			    rest.len == 0) {
				f = &changed;
				break;
			}
			put_line(m, buf_span(&text));
			goto out;
		case CHECK_DROP:
		case CHECK_STOP:
			goto out;
		}
	}
	if (s == MIME_PRIMARY)
		primary_field(m, f);
	else
		put_line(m, f->whole);
out:
	buf_fini(&text);
}

static void
on_header_end(void *arg, enum mime_section s, bool blank)
{
	struct message *m = arg;

	if (m->refused != 0 || m->discard)
		return;
	if (s == MIME_PRIMARY) {
		made_missing(m);
		if (!blank && strcmp(conf.non_empty_end_of_header_action,
		    "reject") == 0 && m->received > 0) {
			refuse(m, 550, "5.6.0",
			    "Error: improper message header termination");
			return;
		}
		if (!blank && strcmp(conf.non_empty_end_of_header_action,
		    "add_header") == 0)
			content_put(m, SPAN("MIME-Error: improper message "
			    "header termination\n"));
		content_put(m, SPAN("\n"));
	} else if (blank)
		content_put(m, SPAN("\n"));
	m->body_checked = 0;		/* of each part */
}

/* --- the body ----------------------------------------------------------------------------------- */

static void
check_line(struct message *m, struct span bytes)
{
	struct buf text = BUF_INIT(TABLE_VALUE_MAX);
	struct span line = bytes;

	if (line.len > 0 && line.p[line.len - 1] == '\n')
		line.len--;
	m->body_checked += bytes.len;
	switch (checks_apply(m, cl.set->body_checks, "body", line, &text)) {
	case CHECK_PREPEND:
		put_line(m, buf_span(&text));
		content_put(m, bytes);
		break;
	case CHECK_REPLACE:
		put_line(m, buf_span(&text));
		break;
	case CHECK_KEEP:
		content_put(m, bytes);
		break;
	case CHECK_DROP:
	case CHECK_STOP:
		break;
	}
	buf_fini(&text);
}

static void
on_body(void *arg, struct span bytes, bool line_start)
{
	struct message *m = arg;

	if (m->refused != 0 || m->discard)
		return;
	if (checked(m) && !maps_empty(cl.set->body_checks) &&
	    m->body_checked < (uint64_t)conf.body_checks_size_limit)
		check_line(m, bytes);
	else
		content_put(m, bytes);
}

/* --- from the session --------------------------------------------------------------------------- */

const char *
content_origin(struct message *m)
{
	const struct envelope *e = &m->env;

	if (e->client_addr.len == 0)
		return "local";
	return arena_printf(&m->arena, "%.*s[%.*s]", SPAN_ARG(e->client_name),
	    SPAN_ARG(e->client_addr));
}

void
content_begin(struct message *m)
{
	static const struct mime_ops ops = { on_header, on_header_end,
	    on_body };

	m->mime = mime_new(&cl.set->mime, &ops, m);
	made_received(m);
}

static void
filtered_write(struct message *m, struct span in)
{
	bool cr = memchr(in.p, '\r', in.len) != NULL || m->pending_cr;
	struct buf b;

	if (m->env.flags & ENV_BINARYMIME || !conf.cleanup_replace_stray_cr_lf)
		cr = false;
	if (!cr && !cl.set->reject_bytes && !cl.set->strip_bytes) {
		mime_write(m->mime, in);
		return;
	}
	b = BUF_INIT(BUF_UNLIMITED);
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (cl.set->reject_bytes && cl.set->reject[c]) {
			log_info("%s: reject: disallowed character \\%03o from "
			    "%s", m->queue_id, c, content_origin(m));
			refuse(m, 550, "5.7.1",
			    "Error: disallowed character in content");
			break;
		}
		if (cl.set->strip_bytes && cl.set->strip[c])
			continue;
		if (cr && m->pending_cr) {
			m->pending_cr = false;
			if (c != '\n')
				buf_add_char(&b, ' ');
		}
		if (cr && c == '\r')
			m->pending_cr = true;
		else
			buf_add_char(&b, (char)c);
	}
	mime_write(m->mime, buf_span(&b));
	buf_fini(&b);
}

int
content_write(struct message *m, struct span bytes)
{
	m->received += bytes.len;
	if (conf.message_size_limit > 0 &&
	    m->received > (uint64_t)conf.message_size_limit)
		return refuse(m, 552, "5.3.4", "Error: message file too big");
	if (bytes.len > 0)
		filtered_write(m, bytes);
	return m->refused != 0 || m->discard ? -1 : 0;
}

static int
check_mime(struct message *m)
{
	unsigned f = mime_flags(m->mime);

	if (m->env.flags & ENV_NO_CHECKS)
		return 0;
	if ((f & MIME_NESTING) && (cl.set->strict_mime ||
	    cl.set->content_checks))
		return refuse(m, 550, "5.6.0",
		    "Error: MIME nesting exceeds safety limit");
	if ((f & MIME_8BIT_HEADER) && (conf.strict_7bit_headers ||
	    conf.strict_8bitmime) && !(m->env.flags & ENV_SMTPUTF8))
		return refuse(m, 550, "5.6.2", "Error: improper use of 8-bit "
		    "data in message header");
	if ((f & MIME_8BIT_BODY) && (conf.strict_8bitmime_body ||
	    conf.strict_8bitmime))
		return refuse(m, 550, "5.6.1", "Error: improper use of 8-bit "
		    "data in message body");
	if ((f & MIME_ENCODING) && conf.strict_mime_encoding_domain)
		return refuse(m, 550, "5.6.0", "Error: invalid message/* or "
		    "multipart/* encoding domain");
	return 0;
}

int
content_end(struct message *m)
{
	if (m->pending_cr)
		mime_write(m->mime, SPAN(" "));
	mime_finish(m->mime);
	if (m->refused != 0 || m->discard || check_mime(m) < 0)
		return -1;
	if (!m->last_newline && !(m->env.flags & ENV_BINARYMIME))
		content_put(m, SPAN("\n"));
	if (m->large_fd >= 0 && m->out.len > 0)
		spill(m);
	mime_free(&m->mime);
	return m->refused != 0 ? -1 : 0;
}

void
content_free(struct message *m)
{
	mime_free(&m->mime);
}
