/* SPDX-License-Identifier: ISC */
/*
 * unbound - questions to the DNS through libunbound, which caches, retries,
 * goes to TCP, and validates.
 *
 * Its work is done in a thread of its own; what it has found is told through
 * a descriptor that the loop watches.  We use it as a forwarder to the servers
 * of resolv.conf or resolver_servers; without any it asks the root servers
 * itself.
 */
#include <unbound.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/schema.h"
#include "resolver/resolver.h"

#define CLASS_IN	1

struct unb {
	struct ub_ctx	*ctx;
	struct loop_io	*io;
	struct list	 questions;
	size_t		 pending;
	struct buf	 records;	/* of the answer under way */
};

struct unb_question {
	struct list	 link;
	struct unb	*u;
	int		 id;
	char		*name;
	unb_fn		*fn;
	void		*arg;
};

/* --- settings ----------------------------------------------------------------- */

static int
option(struct unb *u, const char *name, const char *value, struct why *why)
{
	int rc = ub_ctx_set_option(u->ctx, name, value);

	return rc == 0 ? 0 : why_set(why, "", "libunbound: %s %s: %s", name,
	    value, ub_strerror(rc));
}

static int
set_servers(struct unb *u, const struct servers *s, struct why *why)
{
	for (size_t i = 0; i < s->n; i++) {
		int rc = ub_ctx_set_fwd(u->ctx, s->v[i].text);

		if (rc != 0)
			return why_set(why, "", "name server %s: %s",
			    s->v[i].text, ub_strerror(rc));
	}
	return 0;
}

static int
set_options(struct unb *u, struct why *why)
{
	bool validate = strcmp(conf.resolver_dnssec, "validate") == 0;
	static const char *const fixed[][2] = {
		{ "do-not-query-localhost:", "no" },
		{ "unblock-lan-zones:", "yes" },
		{ "outgoing-range:", "512" },
		{ "num-queries-per-thread:", "4096" },
		{ "outgoing-num-tcp:", "64" },
		{ "edns-buffer-size:", "1232" },
		/* A server that was away is tried again soon. */
		{ "infra-host-ttl:", "60" },
		{ "infra-keep-probing:", "yes" },
		{ "use-syslog:", "no" },
		{ "verbosity:", "0" },
	};
	char *cache = mem_printf("%lld", (long long)conf.resolver_cache_size);
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(fixed) && rc == 0; i++)
		rc = option(u, fixed[i][0], fixed[i][1], why);
	if (rc == 0)
		rc = option(u, "module-config:",
		    validate ? "validator iterator" : "iterator", why);
	if (rc == 0)
		rc = option(u, "msg-cache-size:", cache, why);
	if (rc == 0)
		rc = option(u, "rrset-cache-size:", cache, why);
	mem_free(cache);
	if (rc == 0 && validate) {
		rc = ub_ctx_add_ta_file(u->ctx,
		    conf.resolver_trust_anchor_file);
		if (rc != 0)
			return why_set(why, "", "resolver_trust_anchor_file "
			    "%s: %s", conf.resolver_trust_anchor_file,
			    ub_strerror(rc));
	}
	return rc;
}

/* --- answers ------------------------------------------------------------------- */

static void
put_records(struct buf *out, const struct ub_result *r)
{
	buf_reset(out);
	for (size_t i = 0; r->havedata && r->data[i] != NULL; i++) {
		size_t len = r->len[i] < 0 ? 0 : (size_t)r->len[i];

		/* What is too much is left out: nobody needs that many. */
		if (len > RESOLVER_RDATA_MAX ||
		    out->len + 4 + len > RESOLVER_RECORDS_MAX)
			break;
		ipc_put_blob(out, span_make(r->data[i], len),
		    RESOLVER_RDATA_MAX, "rdata");
	}
}

static enum resolver_status
status_of(const struct ub_result *r)
{
	enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

	if (r->bogus)
		return RESOLVER_BOGUS;
	switch (r->rcode) {
	case NOERROR:
		return r->havedata ? RESOLVER_OK : RESOLVER_NODATA;
	case NXDOMAIN:
		return RESOLVER_NXDOMAIN;
	case REFUSED:
		return RESOLVER_REFUSED;
	default:
		return RESOLVER_SERVFAIL;
	}
}

static void
question_free(struct unb_question *q)
{
	list_remove(&q->link);
	q->u->pending--;
	mem_free(q->name);
	mem_free(q);
}

static void
answered(void *arg, int err, struct ub_result *r)
{
	struct unb_question *q = arg;
	struct unb *u = q->u;
	unb_fn *fn = q->fn;
	void *fn_arg = q->arg;
	char *name = q->name;
	struct unb_answer a = { .status = RESOLVER_SERVFAIL, .name = name,
	    .records = &u->records, .text = "" };

	q->name = NULL;
	question_free(q);
	buf_reset(&u->records);
	if (err != 0) {
		a.text = ub_strerror(err);
	} else {
		put_records(&u->records, r);
		a.status = status_of(r);
		a.secure = r->secure;
		a.ttl = r->ttl < 0 ? 0 : (uint32_t)r->ttl;
		if (r->canonname != NULL && r->canonname[0] != '\0')
			a.name = r->canonname;
		if (r->bogus && r->why_bogus != NULL)
			a.text = r->why_bogus;
	}
	fn(fn_arg, &a);
	ub_resolve_free(r);
	mem_free(name);
}

static void
on_readable(void *arg, unsigned events)
{
	struct unb *u = arg;
	int rc = ub_process(u->ctx);

	if (rc != 0)
		log_fatal("libunbound: %s", ub_strerror(rc));
}

/* --- public -------------------------------------------------------------------- */

struct unb *
unb_new(struct loop *l, const struct servers *s, struct why *why)
{
	/* The servers know better than a list in a library. */
	static const char *const builtin[] = { "test.", "invalid." };
	struct unb *u = mem_zalloc(sizeof(*u));

	list_init(&u->questions);
	u->records = BUF_INIT(BUF_UNLIMITED);
	u->ctx = ub_ctx_create();
	if (u->ctx == NULL) {
		(void)why_set(why, "", "libunbound does not start");
		mem_free(u);
		return NULL;
	}
	if (set_options(u, why) < 0 || set_servers(u, s, why) < 0) {
		ub_ctx_delete(u->ctx);
		mem_free(u);
		return NULL;
	}
	/* A thread, not a process: to be said before the zones, which make
	 * the settings final. */
	(void)ub_ctx_async(u->ctx, 1);
	for (size_t i = 0; i < ARRAY_LEN(builtin); i++)
		(void)ub_ctx_zone_remove(u->ctx, builtin[i]);
	u->io = loop_io_new(l, ub_fd(u->ctx), on_readable, u);
	loop_io_want(u->io, LOOP_READ);
	return u;
}

void
unb_free(struct unb **up)
{
	struct unb *u = *up;

	*up = NULL;
	if (u == NULL)
		return;
	while (!list_empty(&u->questions)) {
		struct unb_question *q = LIST_ENTRY(u->questions.next,
		    struct unb_question, link);

		unb_cancel(&q);
	}
	loop_io_free(&u->io);
	ub_ctx_delete(u->ctx);
	buf_fini(&u->records);
	mem_free(u);
}

struct unb_question *
unb_ask(struct unb *u, const char *name, unsigned type, unb_fn *fn, void *arg,
    struct why *why)
{
	struct unb_question *q = mem_zalloc(sizeof(*q));
	int rc;

	q->u = u;
	q->name = mem_strdup(name);
	q->fn = fn;
	q->arg = arg;
	list_append(&u->questions, &q->link);
	u->pending++;
	rc = ub_resolve_async(u->ctx, q->name, (int)type, CLASS_IN, q,
	    answered, &q->id);
	if (rc == 0)
		return q;
	question_free(q);
	(void)why_set(why, "4.4.3", "%s", ub_strerror(rc));
	return NULL;
}

void
unb_cancel(struct unb_question **qp)
{
	struct unb_question *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	(void)ub_cancel(q->u->ctx, q->id);
	question_free(q);
}

size_t
unb_pending(const struct unb *u)
{
	return u->pending;
}
