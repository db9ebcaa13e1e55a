/* SPDX-License-Identifier: ISC */
/*
 * users - who has sessions, and which.
 */
#include "session/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SWEEP_MS	60000

unsigned
engine_index(const struct engine *e)
{
	unsigned i = 0;

	while (monitor.engines[i] != e)
		i++;
	if (i >= MONITOR_ENGINES_MAX)
		log_panic("too many engines");
	return i;
}

/* --- users --------------------------------------------------------------------------- */

static struct user *
user_new(const struct auth_user *a, struct span key)
{
	struct user *u = mem_zalloc(sizeof(*u));

	u->text = session_user_init(&u->who, a);
	list_init(&u->conns);
	u->key = key;
	return u;
}

struct user *
user_get(const struct auth_user *a)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct hash_entry *e;
	bool made;

	auth_user_encode(&key, a);
	e = hash_enter(&monitor.users, buf_span(&key), &made);
	if (made)
		e->value = user_new(a, e->key);
	buf_fini(&key);
	return e->value;
}

/* Whether a login is so recent that it counts for the next one. */
static bool
remembered(const struct user *u)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; monitor.engines[i] != NULL; i++) {
		const struct engine *e = monitor.engines[i];

		if (e->login_delay != NULL && u->login_ms[i] != 0 &&
		    now - u->login_ms[i] < e->login_delay() * 1000)
			return true;
	}
	return false;
}

static void
sweep_one(struct hash_entry *e, void *arg)
{
	user_settle(e->value);
}

static void
sweep(void *arg)
{
	hash_each(&monitor.users, sweep_one, NULL);
}

void
user_settle(struct user *u)
{
	static struct loop_timer *timer;

	if (!list_empty(&u->conns) || u->processes > 0)
		return;
	if (remembered(u)) {
		if (timer == NULL)
			timer = loop_timer_new(monitor.loop, sweep, NULL);
		loop_timer_set(timer, SWEEP_MS);
		return;
	}
	hash_del(&monitor.users, u->key);
	mem_free(u->text);
	mem_free(u);
}

unsigned
user_count(const struct user *u, const struct engine *e)
{
	unsigned n = 0;

	LIST_FOREACH(at, &u->conns)
		n += LIST_ENTRY(at, struct conn, of_user)->engine == e;
	return n;
}

/* --- connections --------------------------------------------------------------------- */

static struct span
serial_key(const uint32_t *serial)
{
	return span_make(serial, sizeof(*serial));
}

struct conn *
conn_new(struct user *u, const struct engine *e, struct span facts)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	do {
		c->serial = ++monitor.serial;
	} while (c->serial == 0 || conn_find(c->serial) != NULL);
	c->user = u;
	c->engine = e;
	c->since = (uint64_t)clock_wall_s();
	c->facts = mem_alloc(facts.len);
	memcpy(c->facts, facts.p, facts.len);
	c->facts_len = facts.len;
	list_append(&u->conns, &c->of_user);
	hash_put(&monitor.conns, serial_key(&c->serial), c);
	return c;
}

struct conn *
conn_find(uint32_t serial)
{
	return hash_get(&monitor.conns, serial_key(&serial));
}

void
conn_free(struct conn *c)
{
	struct process *p = c->process;
	struct user *u = c->user;

	hibernate_forget(c);
	hash_del(&monitor.conns, serial_key(&c->serial));
	list_remove(&c->of_user);
	mem_free(c->facts);
	mem_free(c);
	if (p != NULL)
		process_lost(p);
	user_settle(u);
}

void
conn_facts(const struct conn *c, struct control_facts *out)
{
	if (control_facts_decode(out, span_make(c->facts, c->facts_len)) < 0)
		log_panic("facts of a connection");
}
