/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of the resolver, and their questions.
 *
 * A question is asked at once and answered when libunbound knows, or after
 * resolver_timeout, or as soon as it is clear that no name server answers
 * anybody (alive.c).
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "dns/dns.h"
#include "io/fd.h"
#include "resolver/resolver.h"

#define HOSTS		"/etc/hosts"
#define HOSTS_MAX	(1u << 20)	/* bytes of it that are read */
#define HOSTS_TTL	10		/* seconds */
/* In ms: when a question has waited for so long, its servers are in doubt ... */
#define DOUBT_MS	400
#define LOOK_MS		250	/* ... which is looked at so often */
#define GRACE_MS	100	/* silent ones: what is kept is there by then */
#define FRESH_MS	3	/* what takes as long was not only kept */

struct question {
	struct client_question of;
	struct source	*source;
	struct unb_question *q;
	struct loop_timer *timer;
	int64_t		 asked_ms;
	char		 name[256];
	unsigned	 type;
};

/* --- questions ----------------------------------------------------------------------- */

static void
send_answer(struct client *c, uint32_t tag, const struct unb_answer *a)
{
	struct span name = span_of(a->name);
	struct resolver_answer m = {
		.status = a->status, .secure = a->secure, .ttl = a->ttl,
		.records = buf_span(a->records),
		.text = span_sub(span_of(a->text), 0, 512),
	};

	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	if (name.len <= DNS_NAME_MAX && dns_name_valid(name))
		m.name = name;
	resolver_answer_encode(client_answer(c, RESOLVER_ANSWER, tag), &m);
	client_sent(c);
}

static void
send_status(struct client *c, uint32_t tag, enum resolver_status status,
    const char *name, const char *text)
{
	struct buf none = BUF_INIT(1);
	struct unb_answer a = { .status = status, .name = name,
	    .records = &none, .text = text };

	send_answer(c, tag, &a);
}

static void
question_free(struct question *q)
{
	client_question_end(&q->of);
	unb_cancel(&q->q);
	loop_timer_free(&q->timer);
	source_leave(q->source);
	mem_free(q);
}

static int64_t
waited_ms(const struct question *q)
{
	return loop_now_ms(daemon_loop()) - q->asked_ms;
}

static void
on_answer(void *arg, const struct unb_answer *a)
{
	struct question *q = arg;

	q->q = NULL;
	if (!dns_temporary(a->status) && waited_ms(q) >= FRESH_MS)
		alive_heard(source_alive(q->source));
	log_debug("%s %s: status %u%s, ttl %u %s", dns_type_name(q->type),
	    q->name, a->status, a->secure ? ", secure" : "", a->ttl, a->text);
	send_answer(q->of.client, q->of.tag, a);
	question_free(q);
}

static void
wait_on(struct question *q, int64_t ms)
{
	int64_t left = conf.resolver_timeout * 1000 - waited_ms(q);

	loop_timer_set(q->timer, MAX(0, MIN(ms, left)));
}

static void
on_timer(void *arg)
{
	struct question *q = arg;
	struct alive *a = source_alive(q->source);
	bool late = waited_ms(q) >= conf.resolver_timeout * 1000;

	alive_doubt(a);
	if (!late && !alive_silent(a)) {
		wait_on(q, LOOK_MS);
		return;
	}
	send_status(q->of.client, q->of.tag, RESOLVER_TIMEOUT, q->name, late ?
	    "no answer in time" : "no name server answers");
	question_free(q);
}

/* True when that was the answer. */
static bool
ask_hosts(struct client *c, uint32_t tag, const char *name,
    const struct resolver_ask *m)
{
	struct buf text = BUF_INIT(HOSTS_MAX);
	struct buf records = BUF_INIT(BUF_UNLIMITED);
	struct unb_answer a = { .status = RESOLVER_OK, .ttl = HOSTS_TTL,
	    .name = name, .records = &records, .text = "" };
	bool other = false, done;

	if (m->type != DNS_A && m->type != DNS_AAAA && m->type != DNS_PTR)
		return false;
	if (fd_read_file(AT_FDCWD, HOSTS, &text) < 0)
		log_debug("%s: %m", HOSTS);
	if (m->type == DNS_PTR)
		done = hosts_find_name(buf_span(&text), name, &records) > 0;
	else
		done = hosts_find(buf_span(&text), name, m->type, &records,
		    &other) > 0;
	/* The name is there: the DNS is not asked for the other family. */
	if (!done && (other || (m->flags & RESOLVER_NO_DNS))) {
		a.status = other ? RESOLVER_NODATA : RESOLVER_NXDOMAIN;
		done = true;
	}
	if (done && records.len <= RESOLVER_RECORDS_MAX)
		send_answer(c, tag, &a);
	else if (done)
		send_status(c, tag, RESOLVER_SERVFAIL, name,
		    "too many addresses in " HOSTS);
	buf_fini(&text);
	buf_fini(&records);
	return done;
}

static int
on_ask(struct client *c, const struct ipc_frame *f)
{
	struct resolver_ask m;
	struct why why = WHY_INIT;
	struct question *q;
	char name[256];

	if (resolver_ask_decode(&m, f->body) < 0 ||
	    client_question_find(c, f->tag) != NULL ||
	    c->questions.count >= RESOLVER_PENDING_MAX)
		return -1;
	if (name_to_ascii(m.name, name) < 0) {
		send_status(c, f->tag, RESOLVER_INVALID, "", "malformed name");
		return 0;
	}
	if ((m.flags & RESOLVER_USE_HOSTS) && ask_hosts(c, f->tag, name, &m))
		return 0;
	q = mem_zalloc(sizeof(*q));
	client_question_begin(c, f->tag, &q->of);
	q->type = m.type;
	q->source = source_now();
	memcpy(q->name, name, sizeof(q->name));
	q->asked_ms = loop_now_ms(daemon_loop());
	q->timer = loop_timer_new(daemon_loop(), on_timer, q);
	wait_on(q, alive_silent(source_alive(q->source)) ? GRACE_MS :
	    DOUBT_MS);
	q->q = unb_ask(source_unb(q->source), q->name, m.type, on_answer, q, &why);
	if (q->q == NULL) {
		send_status(c, f->tag, RESOLVER_SERVFAIL, name, why.text);
		question_free(q);
	}
	return 0;
}

/* --- clients ------------------------------------------------------------------------- */

static void
drop(struct client_question *of)
{
	question_free(CONTAINER_OF(of, struct question, of));
}

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct client_question *q;

	switch (f->type) {
	case RESOLVER_ASK:
		return on_ask(c, f);
	case RESOLVER_CANCEL:
		q = client_question_find(c, f->tag);
		if (q != NULL)
			drop(q);
		return 0;
	default:
		return -1;
	}
}

static const struct client_kind kind = {
	.proto = &RESOLVER_PROTO, .on_frame = on_frame, .drop = drop,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}
