/* SPDX-License-Identifier: ISC */
/*
 * limits - what one client may do at a time and in a while.
 *
 * A client is an address, or a network of smtpd_client_ipv4_prefix_length or
 * smtpd_client_ipv6_prefix_length bits.  Counts are per process; one smtpd
 * process serves all clients of its service unless master was told to run
 * more.  A client without connections is forgotten when its time unit is
 * over, at the next chance; at most LIMITS_IDLE_MAX of them are remembered.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "smtpd/smtpd.h"

#define LIMITS_IDLE_MAX	65536
/* How many idle clients are looked at for each new connection. */
#define SWEEP_STEP	4

struct client {
	struct list	 idle;		/* while nobody is connected */
	struct span	 key;		/* the table's */
	int64_t		 since;		/* start of the time unit, ms */
	uint64_t	 connected;
	/* Since then. */
	uint64_t	 connections, messages, rcpts, auths, handshakes;
};

static struct hash clients;
static struct list idle = LIST_INIT(idle);
static size_t nidle;

void
limits_start(void)
{
	clients = HASH_INIT;
}

static void
forget(struct client *c)
{
	list_remove(&c->idle);
	nidle--;
	hash_del(&clients, c->key);
	mem_free(c);
}

static int64_t
unit_ms(void)
{
	return conf.anvil_rate_time_unit * 1000;
}

static void
sweep(int64_t now)
{
	for (int i = 0; i < SWEEP_STEP && !list_empty(&idle); i++) {
		struct client *c = LIST_ENTRY(idle.next, struct client, idle);

		if (nidle <= LIMITS_IDLE_MAX && now - c->since < unit_ms())
			return;
		forget(c);
	}
}

/* The address cut to its network: family and bytes. */
static struct span
client_key(const struct sock_addr *a, unsigned char out[17])
{
	unsigned n, bits;

	memset(out, 0, 17);
	out[0] = a->sa.sa_family == AF_INET6;
	if (a->sa.sa_family == AF_INET6) {
		memcpy(out + 1, &a->in6.sin6_addr, 16);
		n = 16;
		bits = (unsigned)conf.smtpd_client_ipv6_prefix_length;
	} else {
		memcpy(out + 1, &a->in.sin_addr, 4);
		n = 4;
		bits = (unsigned)conf.smtpd_client_ipv4_prefix_length;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned keep = bits > 8 * i ? MIN(bits - 8 * i, 8) : 0;

		out[1 + i] &= (unsigned char)(0xff << (8 - keep));
	}
	return span_make(out, n + 1);
}

static struct client *
client_get(const struct sock_addr *a, int64_t now)
{
	unsigned char bytes[17];
	struct hash_entry *he;
	struct client *c;
	bool made;

	he = hash_enter(&clients, client_key(a, bytes), &made);
	if (made) {
		c = mem_zalloc(sizeof(*c));
		c->key = he->key;
		c->since = now;
		he->value = c;
	} else {
		c = he->value;
		if (list_linked(&c->idle)) {
			list_remove(&c->idle);
			nidle--;
		}
	}
	if (now - c->since >= unit_ms()) {
		c->since = now;
		c->connections = c->messages = c->rcpts = c->auths =
		    c->handshakes = 0;
	}
	return c;
}

/* 0 means "no limit" to Postfix; we say "unlimited", and mean it both ways. */
static bool
over(uint64_t n, int64_t max)
{
	return max > 0 && max != PARAM_UNLIMITED && n > (uint64_t)max;
}

bool
limits_connect(struct session *s)
{
	int64_t now = loop_now_ms(session_loop());
	struct client *c;

	sweep(now);
	s->client = c = client_get(&s->addr, now);
	c->connected++;
	c->connections++;
	if (over(c->connected, conf.smtpd_client_connection_count_limit))
		s->over = OVER_CONCURRENCY;
	else if (over(c->connections, conf.smtpd_client_connection_rate_limit))
		s->over = OVER_RATE;
	else
		s->over = OVER_NOTHING;
	s->over_count = (uint32_t)(s->over == OVER_RATE ? c->connections :
	    c->connected);
	return s->over != OVER_NOTHING;
}

const char *
limits_refusal(struct session *s)
{
	static char text[256];

	if (s->over == OVER_NOTHING || policy_list_has(LIST_LIMITS, s))
		return NULL;
	log_warning("Connection %s limit exceeded: %llu from %s for service "
	    "smtpd", s->over == OVER_RATE ? "rate" : "concurrency",
	    (unsigned long long)s->over_count, s->namaddr);
	if (snprintf(text, sizeof(text),
	    "421 4.7.0 %s Error: too many connections from %s",
	    conf.myhostname, s->addr_text) < 0)
		log_panic("snprintf failed");
	return text;
}

void
limits_disconnect(struct session *s)
{
	struct client *c = s->client;

	if (c == NULL)
		return;
	s->client = NULL;
	if (--c->connected == 0) {
		list_append(&idle, &c->idle);
		nidle++;
	}
}

bool
limits_event(struct session *s, enum limit_event e)
{
	int64_t now = loop_now_ms(session_loop());
	struct client *c = s->client;
	uint64_t n;

	if (c == NULL)
		return true;
	if (now - c->since >= unit_ms()) {
		c->since = now;
		c->connections = c->messages = c->rcpts = c->auths =
		    c->handshakes = 0;
	}
	if (e == LIMIT_MESSAGE) {
		n = ++c->messages;
		if (!over(n, conf.smtpd_client_message_rate_limit))
			return true;
	} else if (e == LIMIT_TLS) {
		n = ++c->handshakes;
		if (!over(n, conf.smtpd_client_new_tls_session_rate_limit))
			return true;
	} else if (e == LIMIT_AUTH) {
		n = ++c->auths;
		if (!over(n, conf.smtpd_client_auth_rate_limit))
			return true;
	} else {
		n = ++c->rcpts;
		if (!over(n, conf.smtpd_client_recipient_rate_limit))
			return true;
	}
	if (policy_list_has(LIST_LIMITS, s))
		return true;
	log_warning("%s rate limit exceeded: %llu from %s for service smtpd",
	    e == LIMIT_MESSAGE ? "Message delivery request" :
	    e == LIMIT_AUTH ? "AUTH command" :
	    e == LIMIT_TLS ? "New TLS session" :
	    "Recipient address", (unsigned long long)n, s->namaddr);
	return false;
}
