/* SPDX-License-Identifier: ISC */
/*
 * request - what qmgr asks for, and what is made of it.
 *
 * A request can lead to two notices: one to the sender, and one to the
 * postmaster when notify_classes says so.  The answer waits for both, and
 * speaks of the first: the sender's is what was promised.
 */
#include "bounce/bounce.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/utf8.h"
#include "bounce/report.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "ipc/msg_bounce.h"
#include "mail/dsn.h"
#include "mail/header.h"

#define HEADER_MAX	(256 * 1024)	/* of the original, attached alone */

struct client {
	struct ipc_conn	*conn;
	struct list	requests;
};

struct request {
	struct list	link;		/* client->requests */
	struct client	*c;		/* NULL: it has gone */
	uint32_t	tag;
	enum bounce_kind kind;
	char		*queue_id;	/* of the message */
	uint64_t	offset, len;	/* of its content */
	struct buf	blob;		/* its envelope */
	struct envelope	env;
	int		fd;
	struct buf	header;		/* the original's */
	bool		eightbit;	/* the whole message */
	unsigned	pending;
	bool		failed;
	char		*notice_id, *why;
};

/* One notice of a request. */
struct part {
	struct request	*r;
	bool		postmaster;
	const char	*says;		/* "sender non-delivery" */
};

/* --- answers ------------------------------------------------------------------------ */

static void
request_free(struct request *r)
{
	list_remove(&r->link);
	envelope_fini(&r->env);
	buf_fini(&r->blob);
	buf_fini(&r->header);
	fd_close(&r->fd);
	mem_free(r->queue_id);
	mem_free(r->notice_id);
	mem_free(r->why);
	mem_free(r);
}

static void
answer(struct request *r)
{
	struct bounce_result res = {
		.ok = !r->failed,
		.queue_id = span_of(r->notice_id),
		.text = span_of(r->why),
	};

	if (r->c != NULL) {
		bounce_result_encode(ipc_begin(r->c->conn, BOUNCE_RESULT,
		    r->tag), &res);
		ipc_end(r->c->conn);
	}
	request_free(r);
}

static void
on_submitted(void *arg, bool ok, struct span queue_id, struct span text)
{
	struct part *p = arg;
	struct request *r = p->r;
	bool main = !p->postmaster || r->kind == BOUNCE_DOUBLE;

	if (ok)
		log_info("%s: %s notification: %.*s", r->queue_id, p->says,
		    SPAN_ARG(queue_id));
	else
		log_warning("%s: %s notification failed: %.*s", r->queue_id,
		    p->says, SPAN_ARG(text));
	if (main) {
		r->failed = !ok;
		mem_free(r->notice_id);
		r->notice_id = span_dup(queue_id);
		mem_free(r->why);
		r->why = span_dup(text);
	}
	mem_free(p);
	if (--r->pending == 0)
		answer(r);
}

/* --- composing ------------------------------------------------------------------------ */

static void
expand(enum template_kind k, struct buf *out)
{
	struct why why = WHY_INIT;

	if (template_expand_settings(bounce_templates.t[k].text, out,
	    &why) < 0)
		log_warning("%s: %s", template_name(k), why.text);
}

static enum template_kind
template_of(enum bounce_kind kind)
{
	switch (kind) {
	case BOUNCE_DELAY:
		return TEMPLATE_DELAY;
	case BOUNCE_SUCCESS:
	case BOUNCE_RELAYED:
	case BOUNCE_EXPANDED:
		return TEMPLATE_SUCCESS;
	case BOUNCE_VERIFY:
		return TEMPLATE_VERIFY;
	default:
		return TEMPLATE_FAILURE;
	}
}

/* An address of ours without domain gets $myorigin. */
static char *
complete(const char *addr)
{
	if (addr[0] == '\0' || strchr(addr, '@') != NULL)
		return mem_strdup(addr);
	return mem_printf("%s@%s", addr, conf.myorigin);
}

/*
 * Who sends and gets a notice.  The one to the sender has the null sender, so
 * that it can never be answered by another; the postmaster's copy comes from
 * an address whose undeliverable mail is thrown away.
 */
static void
make_envelope(const struct request *r, const char *from, struct span to,
    bool eightbit, struct buf *out)
{
	struct envelope e = ENVELOPE_INIT;
	struct rcpt rcpt = {
		.addr = to, .dsn_notify = 0, .fate = RCPT_PENDING
	};
	char trace[TRACE_ID_MAX];

	trace_id_make(trace);
	e.trace_id = r->env.trace_id.len > 0 ? r->env.trace_id
	    : span_of(trace);
	e.arrival_us = clock_wall_us();
	e.sender = span_of(from);
	e.flags = ENV_NO_CHECKS | ENV_NO_MILTERS | ENV_NO_BCC |
	    (eightbit ? ENV_8BITMIME : 0) | (r->env.flags &
	    (ENV_SMTPUTF8 | ENV_REQUIRETLS | ENV_TLS_OPTIONAL));
	e.client_name = SPAN("localhost");
	e.client_addr = SPAN("127.0.0.1");
	e.protocol = SPAN("internal");
	e.rcpts.v = &rcpt;
	e.rcpts.len = e.rcpts.alloc = 1;
	envelope_encode(out, &e);
}

static void
notify(struct request *r, bool postmaster, const char *rcpt, const char *says)
{
	enum template_kind k = template_of(r->kind);
	struct buf text = BUF_INIT(BUF_UNLIMITED),
	    head = BUF_INIT(BUF_UNLIMITED), tail = BUF_INIT(BUF_UNLIMITED),
	    env = BUF_INIT(BUF_UNLIMITED);
	char id[200], boundary[120];
	char *to = complete(rcpt), *from = complete(postmaster ?
	    conf.double_bounce_sender : "");
	struct part *p = mem_zalloc(sizeof(*p));
	/* RFC 8689 5: as if it were RET=HDRS. */
	bool full = !postmaster && r->env.dsn_ret != DSN_RET_HDRS &&
	    !(r->env.flags & ENV_REQUIRETLS) &&
	    r->kind == BOUNCE_FAILURE &&
	    r->len <= (uint64_t)conf.bounce_size_limit;
	struct report rep = {
		.kind = r->kind, .postmaster = postmaster,
		.t = &bounce_templates.t[k], .e = &r->env,
		.to = span_of(to), .header = buf_span(&r->header),
		.full = full,
		.eightbit = full ? r->eightbit
		    : !utf8_ascii(buf_span(&r->header)),
		.now_s = clock_wall_s(), .message_id = id,
		.boundary = boundary,
	};
	int fd = -1;

	if (full && (fd = dup(r->fd)) < 0) {
		log_warning("dup: %m");
		rep.full = full = false;
	}
	rep.give_up_s = rep.now_s;
	if (r->kind == BOUNCE_DELAY)
		rep.give_up_s = r->env.arrival_us / 1000000 +
		    conf.maximal_queue_lifetime;
	(void)snprintf(id, sizeof(id), "%s.%016llx@%s", r->queue_id,
	    (unsigned long long)rnd_u64(), conf.myhostname);
	/* Nobody who wrote the message could know it. */
	(void)snprintf(boundary, sizeof(boundary), "%s.%016llx/%.60s",
	    r->queue_id, (unsigned long long)rnd_u64(), conf.myhostname);
	expand(k, &text);
	rep.text = text.data;
	report_head(&rep, &head);
	if (!full)
		buf_add_span(&head, buf_span(&r->header));
	report_tail(&rep, &tail);
	make_envelope(r, from, span_of(to), rep.eightbit ||
	    !utf8_ascii(buf_span(&head)), &env);
	p->r = r;
	p->postmaster = postmaster;
	p->says = says;
	r->pending++;
	(void)submit(&env, &head, fd, r->offset, full ? r->len : 0, &tail,
	    on_submitted, p);
	buf_fini(&text);
	mem_free(to);
	mem_free(from);
}

static bool
notify_class(const char *name)
{
	struct span rest = span_of(conf.notify_classes), word;

	while (span_token(&rest, " \t\r\n,", &word))
		if (span_is(word, name))
			return true;
	return false;
}

/* Whether the message is itself a notice to the postmaster. */
static bool
from_double_bounce(const struct envelope *e)
{
	char *own = complete(conf.double_bounce_sender);
	bool yes = own[0] != '\0' && (span_caseis(e->sender, own) ||
	    span_caseis(e->sender, conf.double_bounce_sender));

	mem_free(own);
	return yes;
}

static void
compose(struct request *r)
{
	char *sender = span_dup(r->env.sender);
	bool null_sender = sender[0] == '\0';

	r->pending = 1;		/* not to be over before all are made */
	switch (r->kind) {
	case BOUNCE_FAILURE:
	case BOUNCE_DOUBLE:
		if (from_double_bounce(&r->env)) {
			log_info("%s: undeliverable postmaster notification "
			    "discarded", r->queue_id);
		} else if (null_sender || r->kind == BOUNCE_DOUBLE) {
			r->kind = BOUNCE_DOUBLE;
			if (notify_class("2bounce"))
				notify(r, true, conf.n2bounce_notice_recipient,
				    "postmaster non-delivery");
			else
				log_info("%s: undeliverable notification "
				    "discarded", r->queue_id);
		} else {
			notify(r, false, sender, "sender non-delivery");
			if (notify_class("bounce"))
				notify(r, true, conf.bounce_notice_recipient,
				    "postmaster non-delivery");
		}
		break;
	case BOUNCE_DELAY:
		if (null_sender)
			break;
		notify(r, false, sender, "sender delay");
		if (notify_class("delay"))
			notify(r, true, conf.delay_notice_recipient,
			    "postmaster delay");
		break;
	case BOUNCE_SUCCESS:
	case BOUNCE_RELAYED:
	case BOUNCE_EXPANDED:
	case BOUNCE_VERIFY:
		if (!null_sender)
			notify(r, false, sender, "sender delivery status");
		break;
	}
	mem_free(sender);
	if (--r->pending == 0)
		answer(r);
}

/* --- the original message ----------------------------------------------------------------- */

/* Its header, and whether there are bytes above 127 in it. */
static int
read_original(struct request *r)
{
	uint64_t limit = r->len <= (uint64_t)conf.bounce_size_limit ? r->len :
	    MIN(r->len, (uint64_t)HEADER_MAX);
	static char piece[64 * 1024];
	bool header_done = false;

	for (uint64_t at = 0; at < limit;) {
		ssize_t n = pread(r->fd, piece, (size_t)MIN(limit - at,
		    (uint64_t)sizeof(piece)), (off_t)(r->offset + at));
		struct span s;

		if (n <= 0)
			return -1;
		s = span_make(piece, (size_t)n);
		r->eightbit |= !utf8_ascii(s);
		at += (uint64_t)n;
		if (header_done)
			continue;
		if (buf_put_span(&r->header, s) < 0)
			header_done = true;
		else if (header_section_len(buf_span(&r->header)) <
		    r->header.len)
			header_done = true;
	}
	buf_trunc(&r->header, header_section_len(buf_span(&r->header)));
	/* A section that goes on beyond the limit ends with half a line. */
	if (r->header.len > 0 && r->header.data[r->header.len - 1] != '\n') {
		ptrdiff_t nl = span_rfind(buf_span(&r->header), '\n');

		buf_trunc(&r->header, (size_t)(nl + 1));
	}
	for (size_t i = 0; i < r->header.len; i++)
		if (r->header.data[i] == '\0')
			r->header.data[i] = '?';
	return 0;
}

/* --- the connection -------------------------------------------------------------------------- */

static int
on_frame(void *arg, struct ipc_conn *conn, const struct ipc_frame *f)
{
	struct client *c = arg;
	struct bounce_request q;
	struct why why = WHY_INIT;
	struct request *r;
	int fd = f->fd;

	if (f->type != BOUNCE_REQUEST || fd < 0 ||
	    bounce_request_decode(&q, f->body) < 0 || q.kind == 0) {
		fd_close(&fd);
		return -1;
	}
	r = mem_zalloc(sizeof(*r));
	r->c = c;
	r->tag = f->tag;
	r->kind = (enum bounce_kind)q.kind;
	r->offset = q.offset;
	r->len = q.len;
	r->fd = fd;
	r->blob = BUF_INIT(BUF_UNLIMITED);
	r->header = BUF_INIT(HEADER_MAX);
	r->env = ENVELOPE_INIT;
	list_append(&c->requests, &r->link);
	buf_add_span(&r->blob, q.envelope);
	if (envelope_decode(&r->env, buf_span(&r->blob), &why) < 0) {
		log_warning("bad request: %s", why.text);
		request_free(r);
		return -1;
	}
	r->queue_id = span_dup(r->env.queue_id);
	r->notice_id = mem_strdup("");
	r->why = mem_strdup("");
	if (read_original(r) < 0) {
		log_warning("%s: the message cannot be read", r->queue_id);
		r->failed = true;
		mem_free(r->why);
		r->why = mem_strdup("the message cannot be read");
		answer(r);
		return 0;
	}
	compose(r);
	return 0;
}

static void
on_end(void *arg, struct ipc_conn *conn)
{
	struct client *c = arg;

	while (!list_empty(&c->requests)) {
		struct request *r = LIST_ENTRY(c->requests.next,
		    struct request, link);

		list_remove(&r->link);
		r->c = NULL;
	}
	ipc_conn_free(&c->conn);
	mem_free(c);
	daemon_busy(-1);
}

static const struct ipc_ops ops = { .on_frame = on_frame, .on_end = on_end };

void
request_accept(int fd, const struct sock_addr *peer, int index)
{
	struct client *c = mem_zalloc(sizeof(*c));

	daemon_busy(1);
	list_init(&c->requests);
	c->conn = ipc_conn_new(daemon_loop(), fd, &BOUNCE_PROTO, &ops, c);
}
