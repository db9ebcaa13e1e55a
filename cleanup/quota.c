/* SPDX-License-Identifier: ISC */
/*
 * quota - how much a login, and all logins of a domain, may send.
 *
 * A stolen password is noticed by what is sent with it.  Each recipient of a
 * message that came with a login counts; over the quota the message goes on
 * hold, where the administrator finds, releases or deletes it, and the
 * postmaster is told, at most once an hour.  Mail that is held does not count.
 * This process is the only one that takes mail in, so it can count
 * (quota_count.c).
 */
#include "cleanup/quota.h"

#include "base/log.h"
#include "base/num.h"
#include "cleanup/quota_count.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "mail/address.h"

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

int
quota_judge(struct span text, struct why *why)
{
	struct quota_limits l;

	if (quota_parse(text, &l) < 0)
		return why_set(why, "", "\"%.*s\" is no quota such as "
		    "\"500/1h 2000/1d\"", SPAN_ARG(text));
	return 0;
}

/* --- the decision ------------------------------------------------------------------ */

static void
tell_postmaster(struct message *m, struct counter *c, struct span who,
    const struct quota_limit *l)
{
	struct buf text;

	if (!quota_counter_tell(c))
		return;
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
	post_mail(conf.sender_quota_notify_recipient, &text);
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
	struct why bad = WHY_INIT;

	out->n = 0;
	if (rc == 1 && quota_parse(buf_span(&value), out) < 0) {
		(void)!quota_judge(buf_span(&value), &bad);
		log_warning("%s: %.*s: %s", title, SPAN_ARG(who), bad.text);
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
		q[i].counter = quota_counter(q[i].kind, q[i].who);
		l = quota_counter_over(q[i].counter, &q[i].limits, n);
		if (l != NULL) {
			act(m, q[i].counter, q[i].who, l);
			buf_fini(&low);
			return m->refused != 0 ? -1 : 0;
		}
	}
	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(q); i++)
		if (q[i].counter != NULL)
			quota_counter_add(q[i].counter, &q[i].limits,
			    n);
	buf_fini(&low);
	return rc < 0 ? refuse_why(m, &why) : 0;
}
