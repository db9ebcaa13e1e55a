/* SPDX-License-Identifier: ISC */
/*
 * verify - reject_unverified_sender and reject_unverified_recipient: ask
 * verify whether an address can be delivered to.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/asker.h"
#include "ipc/msg_verify.h"
#include "smtpd/restrict.h"

#define TEXT_SHOW_MAX	250	/* bytes of the reason in a reply, as Postfix */
#define VERIFY_ADDRESS_MAX 1024	/* of VERIFY_QUERY_ROWS */
/* Behind the time that verify has: it hangs. */
#define SLACK_MS	5000

/* --- questions ------------------------------------------------------------------------- */

/* The asker may go away; the answer then is nobody's. */
struct verify_question {
	struct question	 q;
	struct list	 waiters;	/* struct ask.link: one or none */
	char		 address[];
};

static struct asker *asker;
static struct loop *the_loop;
static const struct answer away = {
	.status = ANSWER_TEMPFAIL, .text = { "verify is away", 14 }
};

static struct verify_question *
query(struct question *q)
{
	return CONTAINER_OF(q, struct verify_question, q);
}

static uint32_t
wait_ms(void)
{
	return (uint32_t)MIN(conf.address_verify_poll_count *
	    conf.address_verify_poll_delay * 1000, 3600000);
}

static void
put(struct question *q, struct ipc_conn *c)
{
	struct verify_query m = {
		.address = span_of(query(q)->address), .wait_ms = wait_ms()
	};

	verify_query_encode(ipc_begin(c, VERIFY_QUERY, q->tag), &m);
	ipc_end(c);
}

static void
tell(struct verify_question *q, const struct answer *a)
{
	struct ask *ask = list_empty(&q->waiters) ? NULL :
	    LIST_ENTRY(q->waiters.next, struct ask, link);

	if (ask != NULL)
		list_remove(&ask->link);
	mem_free(q);
	if (ask != NULL)
		ask->fn(ask, a);
}

static int
on_answer(struct question *q, const struct ipc_frame *f)
{
	struct answer a = { .status = ANSWER_OK };
	struct verify_result r;

	if (verify_result_decode(&r, f->body) < 0)
		return -1;
	a.class = r.status;
	a.text = r.text;
	asker_forget(asker, q);
	tell(query(q), &a);
	return 0;
}

static void
on_lost(struct question *q)
{
	tell(query(q), &away);
}

void
verify_start(struct loop *l)
{
	the_loop = l;
}

/* The connection is made when a rule asks for the first time. */
static struct asker *
verify(void)
{
	static const struct asker_ops ops = {
		.put = put, .answer = on_answer, .lost = on_lost,
		.answer_type = VERIFY_RESULT, .wait_ms = SMTPD_WAIT_MS,
		.away_ms = SMTPD_AWAY_MS,
	};

	if (asker == NULL)
		asker = asker_new(the_loop, mem_printf("private/%s",
		    conf.address_verify_service_name), &VERIFY_PROTO, &ops);
	return asker;
}

void
verify_ask(struct ask *a, struct span addr)
{
	struct verify_question *q;

	if (addr.len > VERIFY_ADDRESS_MAX || span_has_nul(addr)) {
		a->fn(a, &away);
		return;
	}
	q = mem_zalloc(sizeof(*q) + addr.len + 1);
	memcpy(q->address, addr.p, addr.len);
	list_init(&q->waiters);
	list_append(&q->waiters, &a->link);
	q->q.wait_ms = wait_ms() + SLACK_MS;
	asker_ask(verify(), &q->q);
}

/* --- the rules ----------------------------------------------------------------------------- */

static const struct codes {
	const char	*dsn4, *dsn5;
} codes[] = {
	[FOR_SENDER] = { "4.1.7", "5.1.7" },
	[FOR_RCPT] = { "4.1.1", "5.1.1" },
};

/* A temporary reply, now or when all else would permit. */
static enum verdict
defer(struct policy_run *r, enum flavour f, int code, const char *text)
{
	const char *action = f == FOR_SENDER ?
	    conf.unverified_sender_tempfail_action :
	    conf.unverified_recipient_tempfail_action;

	if (strcmp(action, "defer") == 0)
		return policy_reject(r, code, codes[f].dsn4, "%s", text);
	policy_defer_if(r, &r->if_permit, code, codes[f].dsn4, "%s", text);
	return V_DUNNO;
}

static enum verdict
judge(struct policy_run *r, enum flavour f, const struct answer *a)
{
	bool sender = f == FOR_SENDER;
	const char *reason = sender ? conf.unverified_sender_reject_reason :
	    conf.unverified_recipient_reject_reason;
	int code = (int)(a->class == VERIFY_BOUNCE ?
	    (sender ? conf.unverified_sender_reject_code :
	    conf.unverified_recipient_reject_code) :
	    (sender ? conf.unverified_sender_defer_code :
	    conf.unverified_recipient_defer_code));
	struct span text = reason[0] != '\0' ? span_of(reason) :
	    span_sub(a->text, 0, TEXT_SHOW_MAX);

	if (a->class == VERIFY_OK || code < 400) {
		/* A code of 2xx: the administrator wants to see it only. */
		if (a->class != VERIFY_OK)
			policy_log(r, "permit", "%.*s", SPAN_ARG(text));
		return V_DUNNO;
	}
	if (code < 500)
		return defer(r, f, code, arena_printf(&r->arena,
		    "<%s>: %s rejected: unverified address: %.*s",
		    policy_reply_name(r, f), policy_class_text(f),
		    SPAN_ARG(text)));
	return policy_reject(r, code, codes[f].dsn5,
	    "<%s>: %s rejected: undeliverable address: %.*s",
	    policy_reply_name(r, f), policy_class_text(f), SPAN_ARG(text));
}

enum verdict
eval_unverified(struct policy_run *r, const struct rule *rule)
{
	enum flavour f = (enum flavour)rule->def->flavour;
	const struct session *s = r->s;
	const struct answer *a;
	struct span addr = f == FOR_RCPT ? r->rcpt : s->txn == NULL ?
	    SPAN_EMPTY : s->txn->env.sender;

	if (addr.len == 0)
		return V_DUNNO;
	a = policy_ask_verify(r, addr);
	if (a == NULL)
		return V_WAIT;
	if (a->status != ANSWER_OK) {
		log_warning("%s: %s service failure", s->namaddr,
		    conf.address_verify_service_name);
		return defer(r, f, 450, arena_printf(&r->arena,
		    "<%s>: %s rejected: address verification problem",
		    policy_reply_name(r, f), policy_class_text(f)));
	}
	return judge(r, f, a);
}
