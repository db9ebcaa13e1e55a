/* SPDX-License-Identifier: ISC */
/*
 * quota - how much a login, and all logins of a domain, may send.
 *
 * A stolen password is noticed by what is sent with it.  Each recipient of a
 * message that came with a login counts; over the quota the message goes on
 * hold, where the administrator finds, releases or deletes it, and the
 * postmaster is told, once in NOTICE_MS.  Mail that is held does not count.
 *
 * Counters are for the last period, in twelfths of it; they live as long as
 * this process, which is the only one that takes mail in.
 */
#include "cleanup/quota.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "mail/address.h"

#define SLOTS		12
#define COUNTERS_MAX	100000		/* then the oldest go */
#define NOTICE_MS	(60 * 60 * 1000)

struct window {
	int64_t		now;		/* the slot counted in: time / length */
	uint64_t	slot[SLOTS];
};

struct counter {
	struct list	link;		/* least recently used first */
	struct span	key;		/* the table's */
	int64_t		told_ms;	/* last notice; 0 none */
	struct window	w[QUOTA_LIMITS_MAX];
};

static struct hash counters;
static struct list by_use = LIST_INIT(by_use);

/* "1h" in seconds, or -1. */
static int64_t
parse_period(struct span s)
{
	static const struct {
		char	unit;
		int64_t	seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
		{ 'd', 86400 }, { 'w', 7 * 86400 } };
	int64_t unit = 0;
	uint32_t n;

	for (size_t i = 0; s.len > 1 && i < ARRAY_LEN(units); i++)
		if (s.p[s.len - 1] == units[i].unit)
			unit = units[i].seconds;
	s.len -= unit != 0;
	if (unit == 0 || num_parse_u32(s, 10000, &n) < 0 || n == 0)
		return -1;
	return unit * n;
}

int
quota_parse(struct span text, struct quota_limits *out)
{
	struct span w;

	out->n = 0;
	while (span_token(&text, " \t,", &w)) {
		ptrdiff_t slash = span_find(w, '/');
		struct quota_limit *l = &out->v[out->n];

		if (span_is(w, "unlimited"))
			continue;
		if (slash <= 0 || out->n == QUOTA_LIMITS_MAX ||
		    num_parse_u64(span_sub(w, 0, (size_t)slash), UINT32_MAX,
		    &l->max) < 0 ||
		    (l->seconds = parse_period(span_from(w,
		    (size_t)slash + 1))) < 0)
			return -1;
		out->n++;
	}
	return 0;
}

/* --- counting ------------------------------------------------------------------- */

static struct counter *
counter_get(char kind, struct span name)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct hash_entry *h;
	struct counter *c;
	bool made;

	buf_add_char(&key, kind);
	buf_add_span(&key, name);
	h = hash_enter(&counters, buf_span(&key), &made);
	buf_fini(&key);
	if (made) {
		c = h->value = mem_zalloc(sizeof(*c));
		c->key = h->key;
	} else {
		c = h->value;
		list_remove(&c->link);
	}
	list_append(&by_use, &c->link);
	if (counters.count > COUNTERS_MAX) {
		struct counter *old = LIST_ENTRY(by_use.next, struct counter,
		    link);

		list_remove(&old->link);
		(void)hash_del(&counters, old->key);
		mem_free(old);
	}
	return c;
}

/* What was counted in the last period, with old slots emptied. */
static uint64_t
window_sum(struct window *w, int64_t seconds, int64_t now_s)
{
	int64_t slot = now_s * SLOTS / seconds;
	uint64_t sum = 0;

	if (slot - w->now >= SLOTS)
		memset(w->slot, 0, sizeof(w->slot));
	else
		while (w->now < slot)
			w->slot[++w->now % SLOTS] = 0;
	w->now = slot;
	for (size_t i = 0; i < SLOTS; i++)
		sum += w->slot[i];
	return sum;
}

/* The limit that n more would break, or NULL. */
static const struct quota_limit *
over(struct counter *c, const struct quota_limits *l, uint64_t n,
    int64_t now_s)
{
	for (size_t i = 0; i < l->n; i++)
		if (window_sum(&c->w[i], l->v[i].seconds, now_s) + n >
		    l->v[i].max)
			return &l->v[i];
	return NULL;
}

static void
count(struct counter *c, const struct quota_limits *l, uint64_t n)
{
	for (size_t i = 0; i < l->n; i++)
		c->w[i].slot[c->w[i].now % SLOTS] += n;
}

/* --- the decision ------------------------------------------------------------------ */

static void
tell_postmaster(struct message *m, struct counter *c, struct span who,
    const struct quota_limit *l)
{
	int64_t now = clock_mono_ms();
	struct buf text;

	if (c->told_ms != 0 && now - c->told_ms < NOTICE_MS)
		return;
	c->told_ms = now;
	text = BUF_INIT(BUF_UNLIMITED);
	buf_addf(&text, "Subject: %.*s is over the sending quota\n"
	    "Auto-Submitted: auto-generated\n\n"
	    "Mail sent with the login %.*s is %s since message %s:\n"
	    "%.*s has sent to more than %llu recipients in %lld seconds.\n\n"
	    "If the password was stolen:\n\n"
	    "    mansio user disable %.*s\n"
	    "    postqueue -p               shows what is held\n"
	    "    postsuper -d queue_id      deletes a message\n\n"
	    "If all is well, postsuper -H queue_id releases a message, and\n"
	    "sender_quota_maps in main.cf says what each login may send.\n",
	    SPAN_ARG(who), SPAN_ARG(m->env.login),
	    strcmp(conf.sender_quota_action, "hold") == 0 ? "held" :
	    "refused", m->queue_id, SPAN_ARG(who),
	    (unsigned long long)l->max, (long long)l->seconds,
	    SPAN_ARG(m->env.login));
	session_post(conf.sender_quota_notify_recipient, &text);
}

static void
act(struct message *m, struct counter *c, struct span who,
    const struct quota_limit *l)
{
	log_warning("%s: %s: sender quota of %.*s: more than %llu recipients "
	    "in %lld seconds; sasl_username=%.*s trace=%.*s", m->queue_id,
	    conf.sender_quota_action, SPAN_ARG(who),
	    (unsigned long long)l->max, (long long)l->seconds,
	    SPAN_ARG(m->env.login), SPAN_ARG(m->env.trace_id));
	tell_postmaster(m, c, who, l);
	if (strcmp(conf.sender_quota_action, "hold") == 0)
		m->hold = true;
	else
		(void)refuse(m, 450, "4.7.1", "Error: sending quota "
		    "exceeded");
}

/* 1 there are limits, 0 none, -1 with why. */
static int
find_limits(struct maps *maps, const char *title, struct span who,
    struct quota_limits *out, struct why *why)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	int rc = maps_get(maps, who, false, &value, why);

	out->n = 0;
	if (rc == 1 && quota_parse(buf_span(&value), out) < 0) {
		log_warning("%s: \"%s\" for %.*s is no quota such as "
		    "\"500/1h 2000/1d\"", title, value.data, SPAN_ARG(who));
		rc = why_set(why, "4.3.5", "mail system configuration error");
	}
	buf_fini(&value);
	return rc < 0 ? -1 : out->n > 0;
}

int
quota_check(struct message *m, uint64_t n)
{
	struct why why = WHY_INIT;
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;
	struct {
		char			 kind;
		const char		*title;
		struct maps		*maps;
		struct span		 who;
		struct quota_limits	 limits;
		struct counter		*counter;
	} q[2] = {
		{ .kind = 'l', .title = "sender_quota_maps",
		  .maps = cl.set->sender_quota },
		{ .kind = 'd', .title = "sender_domain_quota_maps",
		  .maps = cl.set->sender_domain_quota },
	};
	int64_t now_s = clock_mono_ms() / 1000;
	int rc = 0;

	if (m->env.login.len == 0)
		return 0;
	address_fold(m->env.login, true, &low);
	address_split(buf_span(&low), &local, &domain);
	q[0].who = buf_span(&low);
	q[1].who = domain.p != NULL ? domain : SPAN("");
	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(q); i++) {
		const struct quota_limit *l;

		if (maps_empty(q[i].maps) || q[i].who.len == 0)
			continue;
		rc = find_limits(q[i].maps, q[i].title, q[i].who,
		    &q[i].limits, &why);
		if (rc <= 0)
			continue;
		q[i].counter = counter_get(q[i].kind, q[i].who);
		l = over(q[i].counter, &q[i].limits, n, now_s);
		if (l != NULL) {
			act(m, q[i].counter, q[i].who, l);
			buf_fini(&low);
			return m->refused != 0 ? -1 : 0;
		}
	}
	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(q); i++)
		if (q[i].counter != NULL)
			count(q[i].counter, &q[i].limits, n);
	buf_fini(&low);
	return rc < 0 ? refuse_why(m, &why) : 0;
}
