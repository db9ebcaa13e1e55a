/* SPDX-License-Identifier: ISC */
/*
 * guard - failures, and what they cost.
 *
 * Every failure is answered after authd_failure_delay at least; each further
 * one from the same network doubles that, up to DELAY_MAX_MS.  A network with
 * authd_failure_ban_threshold failures within authd_failure_ban_time is banned
 * for that time.  A user under attack from many networks is guarded, too:
 * after USER_FACTOR times as many failures only networks from which the user
 * has logged in before are still asked for a password, so that an attack
 * neither finds the password nor keeps the user out.
 *
 * A mail program that goes on trying one old password counts as one failure.
 * Members of authd_ban_exceptions are delayed and never banned.
 *
 * It is one table for all protocols, in memory, and in a file (guard_file.c)
 * over a restart.
 */
#include "authd/guard_priv.h"
#include "auth/digest.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/address.h"

#define DELAY_MAX_MS	15000
#define USER_FACTOR	10
#define ENTRIES_MAX	200000		/* then the oldest are forgotten */
#define SWEEP_MS	60000

static struct hash entries;
struct list guard_by_use = LIST_INIT(guard_by_use);
uint64_t guard_net_key[2];
static struct match_list *exceptions;
static struct loop_timer *timer;
static struct loop *loop;

static int64_t
ban_ms(void)
{
	return conf.authd_failure_ban_time * 1000;
}

static void
entry_free(struct guard_entry *e)
{
	(void)hash_del(&entries, e->key);
	list_remove(&e->link);
	mem_free(e);
}

/* Whether there is anything left to remember, other than good networks. */
static void
age(struct guard_entry *e)
{
	int64_t now = clock_mono_ms();

	if (e->ban_end_ms != 0 && now >= e->ban_end_ms) {
		e->ban_end_ms = 0;
		e->failures = 0;
		e->by_hand = false;
	}
	if (e->failures > 0 && now - e->since_ms >= ban_ms())
		e->failures = 0;
}

static void
sweep(void *arg)
{
	LIST_FOREACH(l, &guard_by_use) {
		struct guard_entry *e = LIST_ENTRY(l, struct guard_entry, link);

		age(e);
		if (e->failures == 0 && e->ban_end_ms == 0 && e->ngood == 0)
			entry_free(e);
	}
	loop_timer_set(timer, SWEEP_MS);
}

void
guard_start(struct loop *l)
{
	loop = l;
	guard_file_start(l);
	timer = loop_timer_new(l, sweep, NULL);
	loop_timer_set(timer, SWEEP_MS);
}

int
guard_load(struct why *why)
{
	struct match_list *m = match_list_new("authd_ban_exceptions",
	    conf.authd_ban_exceptions, 0, why);

	if (m == NULL)
		return -1;
	match_list_free(&exceptions);
	exceptions = m;
	return 0;
}

void
guard_key(const struct sock_addr *a, char out[GUARD_KEY_MAX])
{
	struct sock_addr net = *a;

	if (a->len == 0) {
		memcpy(out, "local", 6);
		return;
	}
	if (net.sa.sa_family == AF_INET6 &&
	    !IN6_IS_ADDR_V4MAPPED(&net.in6.sin6_addr)) {
		memset(net.in6.sin6_addr.s6_addr + 8, 0, 8);
		sock_addr_text(&net, out);
		if (strlen(out) + 4 < GUARD_KEY_MAX)
			memcpy(out + strlen(out), "/64", 4);
		return;
	}
	sock_addr_text(a, out);
}

struct guard_entry *
guard_find(char kind, struct span name, bool make)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct hash_entry *h;
	struct guard_entry *e;
	bool made = false;

	buf_add_char(&key, kind);
	buf_add_span(&key, name);
	h = make ? hash_enter(&entries, buf_span(&key), &made) :
	    hash_find(&entries, buf_span(&key));
	buf_fini(&key);
	if (h == NULL)
		return NULL;
	if (!made) {
		e = h->value;
		age(e);
		list_remove(&e->link);
	} else {
		e = h->value = mem_zalloc(sizeof(*e));
		e->key = h->key;
	}
	list_append(&guard_by_use, &e->link);
	if (entries.count > ENTRIES_MAX)
		entry_free(LIST_ENTRY(guard_by_use.next, struct guard_entry, link));
	return e;
}

static bool
excepted(const struct sock_addr *a)
{
	struct why why = WHY_INIT;
	int rc;

	if (a->len == 0)
		return true;
	rc = match_list_addr(exceptions, a, &why);
	if (rc < 0)
		log_warning("authd_ban_exceptions: %s", why.text);
	return rc == 1;
}

static bool
is_good(const struct guard_entry *e, uint64_t net)
{
	for (unsigned i = 0; i < e->ngood; i++)
		if (e->good[i] == net)
			return true;
	return false;
}

bool
guard_banned(const struct sock_addr *client, struct span user)
{
	char net[GUARD_KEY_MAX];
	const struct guard_entry *e;

	guard_key(client, net);
	e = guard_find('a', span_of(net), false);
	if (e != NULL && e->ban_end_ms != 0 &&
	    (e->by_hand || !excepted(client)))
		return true;
	if (user.len == 0)
		return false;
	e = guard_find('u', user, false);
	return e != NULL && e->ban_end_ms != 0 && (e->by_hand ||
	    (!is_good(e, hash_bytes_with(guard_net_key, span_of(net))) && !excepted(client)));
}

/* One more, unless it is the last one again. */
static void
count(struct guard_entry *e, const unsigned char *digest)
{
	if (digest != NULL) {
		if (e->failures > 0 && memcmp(e->last, digest, 32) == 0)
			return;
		memcpy(e->last, digest, 32);
	}
	if (e->failures == 0)
		e->since_ms = clock_mono_ms();
	if (e->failures < UINT32_MAX)
		e->failures++;
	guard_file_changed();
}

static void
ban_at(struct guard_entry *e, int64_t threshold, const char *what, struct span name)
{
	if (e->failures < (uint64_t)threshold || e->ban_end_ms != 0)
		return;
	e->ban_end_ms = clock_mono_ms() + ban_ms();
	log_warning("ban: %s %.*s after %u failed logins, for %lld seconds",
	    what, SPAN_ARG(name), e->failures,
	    (long long)conf.authd_failure_ban_time);
}

int64_t
guard_failed(const struct sock_addr *client, struct span user,
    const unsigned char *digest)
{
	int64_t threshold = conf.authd_failure_ban_threshold;
	int64_t delay = conf.authd_failure_delay * 1000;
	char net[GUARD_KEY_MAX];
	struct guard_entry *e;

	if (excepted(client))
		return delay;
	guard_key(client, net);
	e = guard_find('a', span_of(net), true);
	count(e, digest);
	for (unsigned i = 1; i < e->failures && delay < DELAY_MAX_MS; i++)
		delay *= 2;
	ban_at(e, threshold, "client", span_of(net));
	if (user.len > 0) {
		e = guard_find('u', user, true);
		count(e, digest);
		ban_at(e, threshold * USER_FACTOR, "user", user);
	}
	return MIN(delay, MAX(DELAY_MAX_MS, conf.authd_failure_delay * 1000));
}

void
guard_succeeded(const struct sock_addr *client, struct span user)
{
	char net[GUARD_KEY_MAX];
	struct guard_entry *e;
	uint64_t h;

	guard_key(client, net);
	h = hash_bytes_with(guard_net_key, span_of(net));
	/* The network keeps its failures: who owns one account there could
	 * wipe them out again and again. */
	e = guard_find('u', user, true);
	if (!is_good(e, h)) {
		e->good[e->ngood < GOOD_MAX ? e->ngood : h % GOOD_MAX] = h;
		e->ngood = MIN(e->ngood + 1, GOOD_MAX);
		guard_file_changed();
	}
}

/* --- the administrator ------------------------------------------------------------ */

/*
 * Whether an administrator who writes this can mean a user.  A client may try
 * whatever it likes as a name; a slip of the pen is not to be taken for one,
 * least of all an address that is none ("192.0.2.300").
 */
static bool
may_be_user(struct span what)
{
	struct span local, domain;
	bool digits = true;

	address_split(what, &local, &domain);
	if (domain.p != NULL)
		return address_domain_valid(domain, ADDRESS_UTF8);
	for (size_t i = 0; i < local.len; i++) {
		char c = local.p[i];

		if (c == '.' || (c >= '0' && c <= '9'))
			continue;
		digits = false;
		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
		    !(c & 0x80) && c != '_' && c != '+' && c != '\\' &&
		    (i == 0 || (c != '-' && c != '$')))
			return false;
	}
	return !digits || span_find(local, '.') < 0;
}

/*
 * "192.0.2.1", "2001:db8::/64", "joe@example.org" as a kind and a name.
 * strict: see may_be_user(); a ban can be ended by any name that it has.
 */
static int
parse(struct span what, bool strict, char *kind, struct buf *name,
    struct why *why)
{
	struct sock_addr a;
	char net[GUARD_KEY_MAX];
	ptrdiff_t slash = span_find(what, '/');
	struct span addr = what;

	if (slash >= 0) {
		if (!span_is(span_from(what, (size_t)slash), "/64") &&
		    !span_is(span_from(what, (size_t)slash), "/32"))
			return why_set(why, "", "\"%.*s\": only single IPv4 "
			    "addresses and IPv6 /64 networks can be banned",
			    SPAN_ARG(what));
		addr = span_sub(what, 0, (size_t)slash);
	}
	if (sock_addr_parse(addr, 0, &a) == 0) {
		*kind = 'a';
		guard_key(&a, net);
		buf_add_str(name, net);
		return 0;
	}
	*kind = 'u';
	if (slash >= 0 || (strict && !may_be_user(what)) ||
	    account_name(what, SPAN(""), name) < 0)
		return why_set(why, "", "\"%.*s\" is neither an address nor "
		    "a user", SPAN_ARG(what));
	return 0;
}

int
guard_ban(struct span what, int64_t seconds, struct why *why)
{
	struct buf name = BUF_INIT(AUTH_NAME_MAX);
	struct guard_entry *e;
	char kind;

	if (parse(what, true, &kind, &name, why) < 0) {
		buf_fini(&name);
		return -1;
	}
	e = guard_find(kind, buf_span(&name), true);
	if (seconds == 0)
		seconds = conf.authd_failure_ban_time;
	e->ban_end_ms = clock_mono_ms() + seconds * 1000;
	e->by_hand = true;
	guard_file_changed();
	log_info("ban: %s %s by hand, for %lld seconds",
	    kind == 'a' ? "client" : "user", name.data, (long long)seconds);
	buf_fini(&name);
	return 0;
}

static unsigned
unban(struct guard_entry *e)
{
	unsigned n = e->ban_end_ms != 0 || e->failures > 0;

	e->ban_end_ms = 0;
	e->failures = 0;
	e->by_hand = false;
	guard_file_changed();
	if (e->ngood == 0)
		entry_free(e);
	return n;
}

unsigned
guard_unban(struct span what)
{
	struct buf name = BUF_INIT(AUTH_NAME_MAX);
	struct guard_entry *e;
	unsigned n = 0;
	char kind;

	if (span_is(what, "all")) {
		LIST_FOREACH(l, &guard_by_use)
			n += unban(LIST_ENTRY(l, struct guard_entry, link));
	} else if (parse(what, false, &kind, &name, NULL) == 0 &&
	    (e = guard_find(kind, buf_span(&name), false)) != NULL) {
		n = unban(e);
	}
	if (n > 0)
		log_info("unban: %.*s by hand", SPAN_ARG(what));
	buf_fini(&name);
	return n;
}

void
guard_each(void (*fn)(void *, const struct auth_entry *), void *arg)
{
	int64_t now = clock_mono_ms();

	LIST_FOREACH(l, &guard_by_use) {
		struct guard_entry *e = LIST_ENTRY(l, struct guard_entry, link);
		struct auth_entry out = {
			.what = span_sub(span_from(e->key, 1), 0,
			    AUTH_NAME_MAX),
		};
		int64_t end;

		age(e);
		if (e->failures == 0 && e->ban_end_ms == 0)
			continue;
		end = e->ban_end_ms != 0 ? e->ban_end_ms :
		    e->since_ms + ban_ms();
		out.banned = e->ban_end_ms != 0;
		out.seconds = (uint64_t)(MAX(end - now, 0) / 1000);
		out.failures = e->failures;
		fn(arg, &out);
	}
}
