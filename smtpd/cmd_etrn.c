/* SPDX-License-Identifier: ISC */
/*
 * cmd_etrn - ETRN (RFC 1985): a host that was away asks for its mail.
 *
 * Who may ask for which domain is smtpd_etrn_restrictions' and, at qmgr,
 * fast_flush_domains' matter.  qmgr answers before it begins: what the client
 * learns is that it has been told, as with Postfix (250, never 251 to 253).
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "ipc/asker.h"
#include "ipc/msg_qctl.h"
#include "mail/address.h"
#include "smtpd/parse.h"
#include "smtpd/smtpd.h"

/* A request that qmgr has; its session may go away before the answer. */
struct etrn {
	struct question	 q;
	struct session	*s;
	char		 domain[];
};

static struct asker *asker;
static struct loop *the_loop;

static struct etrn *
request(struct question *q)
{
	return CONTAINER_OF(q, struct etrn, q);
}

static void
put(struct question *q, struct ipc_conn *c)
{
	struct qctl_arg m = { .arg = span_of(request(q)->domain) };

	qctl_arg_encode(ipc_begin(c, QCTL_FLUSH_SITE, q->tag), &m);
	ipc_end(c);
}

static void
done(struct etrn *e, const char *text)
{
	struct session *s = e->s;

	s->etrn = NULL;
	session_wake(s);
	if (text != NULL)
		reply(s, "%s", text);
	else
		reply(s, "459 4.7.1 <%s>: service unavailable", e->domain);
	mem_free(e);
}

static const char unable[] = "458 4.3.0 Unable to queue messages";

static int
on_answer(struct question *q, const struct ipc_frame *f)
{
	struct etrn *e = request(q);
	struct qctl_result r;

	if (f->type != QCTL_DENIED && (f->type != QCTL_RESULT ||
	    qctl_result_decode(&r, f->body) < 0))
		return -1;
	asker_forget(asker, q);
	if (f->type == QCTL_DENIED) {
		log_warning("reject: ETRN %s from %s: not in "
		    "fast_flush_domains", e->domain, e->s->namaddr);
		done(e, NULL);
	} else if (!r.ok) {
		log_warning("ETRN %s from %s: %.*s", e->domain,
		    e->s->namaddr, SPAN_ARG(r.text));
		done(e, unable);
	} else {
		done(e, "250 2.0.0 Queuing started");
	}
	return 0;
}

static void
on_lost(struct question *q)
{
	struct etrn *e = request(q);

	log_warning("ETRN %s from %s: qmgr is away", e->domain,
	    e->s->namaddr);
	done(e, unable);
}

void
etrn_start(struct loop *l)
{
	the_loop = l;
}

void
etrn_cancel(struct session *s)
{
	if (s->etrn == NULL)
		return;
	asker_forget(asker, &s->etrn->q);
	mem_free(s->etrn);
	s->etrn = NULL;
}

/* The connection is made by the first who asks. */
static struct asker *
flush(void)
{
	static const struct asker_ops ops = {
		.put = put, .answer = on_answer, .lost = on_lost,
		.wait_ms = SMTPD_WAIT_MS, .away_ms = SMTPD_AWAY_MS,
	};

	if (asker == NULL)
		asker = asker_new(the_loop, "private/flush", &QCTL_PROTO,
		    &ops);
	return asker;
}

static void
ask(struct session *s, struct span domain)
{
	struct etrn *e = mem_zalloc(sizeof(*e) + domain.len + 1);

	e->s = s;
	memcpy(e->domain, domain.p, domain.len);
	s->etrn = e;
	session_wait(s, WAIT_POLICY);
	asker_ask(flush(), &e->q);
}

static void
checked(struct session *s, bool ok, const char *text)
{
	session_wake(s);
	if (ok)
		ask(s, policy_recipient(s)->addr);
	else
		reply(s, "%s", text);
}

void
cmd_etrn(struct session *s, struct span arg)
{
	struct span domain;

	if (conf.smtpd_helo_required && s->helo == NULL) {
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (s->txn != NULL) {
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
		return;
	}
	if (!span_token(&arg, " \t", &domain) || span_trim(arg).len > 0) {
		reply(s, "500 5.5.4 Syntax: ETRN domain");
		return;
	}
	/* RFC 1985 5.3: "@" asks for subdomains, too, "#" for a queue. */
	if (domain.p[0] == '@' || domain.p[0] == '#')
		domain = span_from(domain, 1);
	if (span_starts(domain, SPAN("[")) ? !address_literal_valid(domain) :
	    !parse_hostname_valid(domain) || !utf8_ascii(domain) ||
	    span_ends(domain, SPAN("."))) {
		reply(s, "501 5.5.4 Error: invalid parameter syntax");
		return;
	}
	policy_start(s, STAGE_ETRN, domain, checked);
}
