/* SPDX-License-Identifier: ISC */
/*
 * peername - the name of a client: the one that its address points to (PTR),
 * when that name points back to the address.
 *
 * What cannot be found out does no harm: the client is "unknown" then, and
 * name_status says why, for the restrictions that ask (names.c).
 *
 * A client waits smtpd_peername_timeout for it; while nothing is heard from
 * the resolver, only TROUBLE_MS.  The question goes on then without anybody who
 * waits, so that the answer is in the resolver's cache when the client comes
 * again.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "dns/dns_client.h"
#include "smtpd/smtpd.h"

/* How long clients wait while the DNS does not answer, and how long we go on
 * to think that it does not. */
#define TROUBLE_MS	500
#define TROUBLE_LAST_MS	30000
/* Questions whose clients do not wait any more. */
#define LATE_MAX	1000

struct peername {
	struct session	*s;		/* NULL: it does not wait any more */
	struct dns_query *q;
	struct loop_timer *timer;
	int64_t		 asked_ms;
	bool		 late;
	void		(*done)(struct session *s);
	enum dns_type	 forward;	/* A or AAAA */
	char		 name[DNS_NAME_MAX + 1];
};

static struct loop *the_loop;
/* Of restrictions, and of clients' names: two where there is a filter, which
 * is for the former only, as with Postfix. */
static struct dns_client *filtered, *client;
static struct maps *filter;	/* smtpd_dns_reply_filter */
static int64_t answered_ms;	/* when the DNS last said anything */
static int64_t trouble_ms;	/* since when it does not; 0: it does */
static unsigned nlate;

void
peername_start(struct loop *l)
{
	the_loop = l;
}

int
peername_open(struct why *why)
{
	filter = maps_new("smtpd_dns_reply_filter",
	    conf.smtpd_dns_reply_filter, TABLE_FIXED, why);
	return filter == NULL ? -1 : 0;
}

static struct dns_client *
connection(struct dns_client **c)
{
	if (*c == NULL)
		*c = dns_client_new(the_loop,
		    daemon_socket_path("private/resolver"));
	return *c;
}

struct dns_client *
smtpd_dns(void)
{
	if (filter == NULL || maps_empty(filter))
		return connection(&client);
	dns_client_filter(connection(&filtered), filter);
	return filtered;
}

static void
peername_free(struct peername *p)
{
	dns_cancel(&p->q);
	loop_timer_free(&p->timer);
	nlate -= p->late;
	mem_free(p);
}

static void
finish(struct peername *p, enum name_status status, const char *name)
{
	struct session *s = p->s;
	void (*done)(struct session *) = p->done;

	s->naming = NULL;
	s->name_status = status;
	if (name != NULL) {
		struct sock_addr a = s->addr;

		session_set_peer(s, &a, name);
	}
	peername_free(p);
	done(s);
}

/* Any answer of the DNS shows that it is there; that it is not, none. */
static void
heard(const struct dns_answer *a)
{
	if (a->status == RESOLVER_AWAY || a->status == RESOLVER_TIMEOUT)
		return;
	answered_ms = loop_now_ms(the_loop);
	trouble_ms = 0;
}

/* The client has waited long enough. */
static void
on_timeout(void *arg)
{
	struct peername *p = arg;
	struct session *s = p->s;
	void (*done)(struct session *) = p->done;

	if (answered_ms <= p->asked_ms && trouble_ms == 0) {
		trouble_ms = loop_now_ms(the_loop);
		log_warning("the DNS does not answer: clients are taken for "
		    "\"unknown\" until it does");
	}
	s->naming = NULL;
	s->name_status = NAME_TEMP;
	if (s->reverse_name == NULL)
		s->reverse_status = NAME_TEMP;
	if (nlate < LATE_MAX) {
		p->late = true;
		p->s = NULL;
		nlate++;
		loop_timer_free(&p->timer);
	} else {
		peername_free(p);
	}
	done(s);
}

static int64_t
patience_ms(void)
{
	int64_t max = conf.smtpd_peername_timeout * 1000;

	/* From time to time somebody has to find out. */
	if (trouble_ms != 0 &&
	    loop_now_ms(the_loop) - trouble_ms >= TROUBLE_LAST_MS)
		trouble_ms = 0;
	return trouble_ms != 0 ? MIN(TROUBLE_MS, max) : max;
}

static enum name_status
failure(const struct dns_answer *a)
{
	return dns_temporary(a->status) ? NAME_TEMP : NAME_PERM;
}

static bool
is_client(const struct session *s, const struct dns_rr *rr)
{
	const struct sock_addr *a = &s->addr;

	return a->sa.sa_family == AF_INET ?
	    memcmp(rr->addr, &a->in.sin_addr, 4) == 0 :
	    memcmp(rr->addr, &a->in6.sin6_addr, 16) == 0;
}

/* Whose name it is only the owner of the name can say. */
static void
got_address(void *arg, const struct dns_answer *a)
{
	struct peername *p = arg;
	struct span rest = a->records;
	struct dns_rr rr;
	int rc;

	p->q = NULL;
	heard(a);
	if (p->late) {
		peername_free(p);
		return;
	}
	while ((rc = dns_next(a, &rest, &rr)) != 0)
		if (rc > 0 && is_client(p->s, &rr)) {
			finish(p, NAME_OK, p->name);
			return;
		}
	log_warning("hostname %s does not resolve to address %s%s%s",
	    p->name, p->s->addr_text, a->status == RESOLVER_OK ? "" : ": ",
	    a->status == RESOLVER_OK ? "" : dns_status_text(a->status));
	finish(p, a->status == RESOLVER_OK ? NAME_FORGED : failure(a), NULL);
}

/* "192.0.2.1" is well formed as a name, and would be taken for an address. */
static bool
is_name(const char *name)
{
	struct sock_addr a;

	return parse_hostname_valid(span_of(name)) &&
	    sock_addr_parse(span_of(name), 0, &a) < 0;
}

static void
got_name(void *arg, const struct dns_answer *a)
{
	struct peername *p = arg;
	struct session *s = p->s;
	struct span rest = a->records;
	struct dns_rr rr;
	int rc;

	p->q = NULL;
	heard(a);
	while ((rc = dns_next(a, &rest, &rr)) != 0)
		if (rc > 0 && is_name(rr.name))
			break;
	if (rc == 0 && p->late) {
		peername_free(p);
		return;
	}
	if (rc == 0) {
		s->reverse_status = failure(a);
		finish(p, s->reverse_status, NULL);
		return;
	}
	memcpy(p->name, rr.name, sizeof(p->name));
	if (!p->late) {
		s->reverse_status = NAME_OK;
		s->reverse_name = mem_strdup(p->name);
	}
	p->q = dns_ask(connection(&client), span_of(p->name), p->forward,
	    RESOLVER_USE_HOSTS, got_address, p);
}

bool
peername_find(struct session *s, void (*done)(struct session *s))
{
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	struct peername *p;

	/* session_set_peer() has named the loopback addresses. */
	if (!conf.smtpd_peername_lookup || s->name_status == NAME_OK)
		return false;
	p = mem_zalloc(sizeof(*p));
	p->s = s;
	p->done = done;
	p->forward = s->addr.sa.sa_family == AF_INET ? DNS_A : DNS_AAAA;
	p->asked_ms = loop_now_ms(the_loop);
	p->timer = loop_timer_new(the_loop, on_timeout, p);
	loop_timer_set(p->timer, patience_ms());
	s->naming = p;
	if (s->addr.sa.sa_family == AF_INET)
		dns_reverse_name((const uint8_t *)&s->addr.in.sin_addr, 4,
		    &name);
	else
		dns_reverse_name((const uint8_t *)&s->addr.in6.sin6_addr, 16,
		    &name);
	p->q = dns_ask(connection(&client), buf_span(&name), DNS_PTR,
	    RESOLVER_USE_HOSTS, got_name, p);
	buf_fini(&name);
	return true;
}

void
peername_cancel(struct session *s)
{
	if (s->naming == NULL)
		return;
	peername_free(s->naming);
	s->naming = NULL;
}
