/* SPDX-License-Identifier: ISC */
/*
 * queue - pickup's end of the conversations with cleanup and rewrite.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "ipc/msg_rewrite.h"
#include "mail/address.h"
#include "pickup/pickup.h"

/* Above this, clients are not read until cleanup has taken what it has. */
#define BEHIND	(4u << 20)		/* bytes */

static struct ipc_client *cleanup, *rewrite;
static struct hash by_tag;		/* cleanup's tag -> message */
static uint32_t last_tag, last_verify;
static bool full;			/* CLEANUP_BUSY */
static int64_t delay_ms;

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

void
message_free(struct message **mp)
{
	struct message *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	if (m->tag != 0)
		(void)hash_del(&by_tag, tag_key(&m->tag));
	envelope_fini(&m->env);
	arena_fini(&m->arena);
	mem_free(m);
}

/* --- cleanup ------------------------------------------------------------------- */

static void
log_accepted(const struct message *m, struct span queue_id)
{
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);

	log_info("%.*s: uid=%u from=<%s>", SPAN_ARG(queue_id),
	    (unsigned)m->uid, address_show(m->env.sender, &tmp));
	buf_fini(&tmp);
}

static int
cleanup_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct cleanup_result r;
	struct cleanup_busy b;
	struct message *m;
	struct session *s;

	switch (f->type) {
	case CLEANUP_BUSY:
		if (cleanup_busy_decode(&b, f->body) < 0)
			return -1;
		full = b.full;
		delay_ms = b.delay_ms;
		return 0;
	case CLEANUP_RESULT:
		if (cleanup_result_decode(&r, f->body) < 0)
			return -1;
		m = hash_get(&by_tag, tag_key(&f->tag));
		if (m == NULL)
			return 0;	/* an ABORT crossed it */
		if (r.code.len > 0 && r.code.p[0] == '2')
			log_accepted(m, r.queue_id);
		else
			log_info("%.*s: uid=%u refused: %.*s %.*s",
			    SPAN_ARG(r.queue_id), (unsigned)m->uid,
			    SPAN_ARG(r.code), SPAN_ARG(r.text));
		s = m->session;
		message_free(&m);
		if (s != NULL) {
			s->msg = NULL;
			session_result(s, r.code, r.text, r.queue_id);
		}
		return 0;
	default:
		return -1;
	}
}

static void
lost(struct hash_entry *e, void *arg)
{
	struct list *all = arg;
	struct message *m = e->value;

	list_append(all, &m->link);
}

/*
 * What cleanup had without RESULT is not acknowledged: the client is told to
 * try again.  (It may be in the log all the same; see ARCHITECTURE.md.)
 */
static void
cleanup_down(void *arg)
{
	struct list all;

	list_init(&all);
	full = false;
	delay_ms = 0;
	hash_each(&by_tag, lost, &all);
	LIST_FOREACH(l, &all) {
		struct message *m = LIST_ENTRY(l, struct message, link);
		struct session *s = m->session;

		list_remove(&m->link);
		message_free(&m);
		if (s != NULL) {
			s->msg = NULL;
			session_result(s, SPAN("4.3.0"),
			    SPAN("the queue service has stopped"), SPAN_EMPTY);
		}
	}
	session_pause_all(false);
}

static void
cleanup_drain(void *arg, struct ipc_conn *c)
{
	session_pause_all(false);
}

static const struct ipc_client_ops cleanup_ops = {
	.on_frame = cleanup_frame, .on_drain = cleanup_drain,
	.on_down = cleanup_down,
};

bool
queue_is_behind(void)
{
	struct ipc_conn *c = ipc_client_conn(cleanup);

	return c != NULL && ipc_out_len(c) > BEHIND;
}

int64_t
queue_delay_ms(void)
{
	return delay_ms;
}

int
queue_begin(struct message *m, struct why *why)
{
	struct ipc_conn *c = ipc_client_conn(cleanup);
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (c == NULL)
		return why_set(why, "4.3.0", "the queue service is away");
	if (full)
		return why_set(why, "4.3.1", "Insufficient system storage");
	envelope_encode(&b, &m->env);
	if (b.len > CLEANUP_ENVELOPE_MAX) {
		buf_fini(&b);
		return why_set(why, "5.5.3", "too many recipients");
	}
	do
		m->tag = ++last_tag;
	while (m->tag == 0 || hash_get(&by_tag, tag_key(&m->tag)) != NULL);
	(void)hash_put(&by_tag, tag_key(&m->tag), m);
	ipc_send(c, CLEANUP_BEGIN, m->tag, buf_span(&b));
	buf_fini(&b);
	return 0;
}

void
queue_content(struct message *m, struct span bytes)
{
	struct ipc_conn *c = ipc_client_conn(cleanup);

	/* Without a connection, cleanup_down() has answered already. */
	if (c == NULL)
		return;
	while (bytes.len > 0) {
		ipc_send(c, CLEANUP_CONTENT, m->tag,
		    span_sub(bytes, 0, CLEANUP_CHUNK_MAX));
		bytes = span_from(bytes, CLEANUP_CHUNK_MAX);
	}
}

void
queue_end(struct message *m)
{
	struct ipc_conn *c = ipc_client_conn(cleanup);

	if (c != NULL)
		ipc_send(c, CLEANUP_END, m->tag, SPAN_EMPTY);
}

void
queue_abort(struct message *m)
{
	struct ipc_conn *c = ipc_client_conn(cleanup);

	if (c != NULL && m->tag != 0)
		ipc_send(c, CLEANUP_ABORT, m->tag, SPAN_EMPTY);
}

/* --- rewrite -------------------------------------------------------------------- */

static void
verify_answer(uint32_t tag, const struct rewrite_resolved *r)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);
	const char *code;

	if (r->status == REWRITE_OK)
		buf_addf(&b, "<%s>... ", address_show(r->address, &tmp));
	if (r->status == REWRITE_TEMPFAIL) {
		code = "4.3.0";
		buf_addf(&b, "cannot tell now: %.*s", SPAN_ARG(r->text));
	} else if (r->status == REWRITE_INVALID) {
		code = "5.1.3";
		buf_addf(&b, "bad address: %.*s", SPAN_ARG(r->text));
	} else if (r->relocated.len > 0) {
		code = "5.1.6";
		buf_addf(&b, "User has moved to %.*s", SPAN_ARG(r->relocated));
	} else if (!r->listed) {
		code = "5.1.1";
		buf_addf(&b, "%.*s", SPAN_ARG(r->text));
	} else if (r->alias) {
		code = "2.1.5";
		buf_add_str(&b, "deliverable: alias");
	} else if (span_is(r->transport, "error")) {
		code = "5.1.0";
		buf_addf(&b, "undeliverable: %.*s", SPAN_ARG(r->nexthop));
	} else {
		code = "2.1.5";
		buf_addf(&b, "deliverable: mailer %.*s, host %.*s",
		    SPAN_ARG(r->transport), SPAN_ARG(r->nexthop));
	}
	session_verified(tag, code, span_sub(buf_span(&b), 0, 1536));
	buf_fini(&b);
	buf_fini(&tmp);
}

static int
rewrite_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct rewrite_resolved r;

	if (f->type != REWRITE_RESOLVED ||
	    rewrite_resolved_decode(&r, f->body) < 0)
		return -1;
	verify_answer(f->tag, &r);
	return 0;
}

static void
rewrite_down(void *arg)
{
	session_verified(0, "4.3.0", SPAN("the routing service has stopped"));
}

static const struct ipc_client_ops rewrite_ops = {
	.on_frame = rewrite_frame, .on_down = rewrite_down,
};

uint32_t
queue_verify(struct span address)
{
	struct rewrite_resolve q = {
		.address = address, .want_listed = true,
	};
	struct ipc_conn *c;

	if (rewrite == NULL) {
		char *path = mem_printf("private/%s",
		    conf.rewrite_service_name);

		rewrite = ipc_client_new(daemon_loop(), path, &REWRITE_PROTO,
		    &rewrite_ops, NULL);
		mem_free(path);
	}
	c = ipc_client_conn(rewrite);
	if (c == NULL)
		return 0;
	if (++last_verify == 0)
		last_verify = 1;
	rewrite_resolve_encode(ipc_begin(c, REWRITE_RESOLVE, last_verify), &q);
	ipc_end(c);
	return last_verify;
}

int
queue_start(struct why *why)
{
	char *path = mem_printf("private/%s", conf.cleanup_service_name);

	by_tag = HASH_INIT;
	cleanup = ipc_client_new(daemon_loop(), path, &CLEANUP_PROTO,
	    &cleanup_ops, NULL);
	mem_free(path);
	return 0;
}
