/* SPDX-License-Identifier: ISC */
/*
 * tickets - the keys that session tickets are sealed with.
 *
 * One key makes new tickets for keyd_ticket_key_lifetime; the two before it
 * still open old ones.  They live in memory only: after a restart of keyd
 * clients make full handshakes again.
 */
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "keyd/keyd.h"

static unsigned char keys[KEYD_TICKET_KEYS][KEYD_TICKET_KEY_LEN];
static size_t nkeys;
static struct loop_timer *timer;
static void (*on_fresh)(void);

static void
rotate(void)
{
	memmove(keys[1], keys[0], sizeof(keys) - sizeof(keys[0]));
	rnd_bytes(keys[0], sizeof(keys[0]));
	if (nkeys < KEYD_TICKET_KEYS)
		nkeys++;
	loop_timer_set(timer, conf.keyd_ticket_key_lifetime * 1000);
}

static void
timer_fired(void *arg)
{
	rotate();
	on_fresh();
}

void
tickets_start(struct loop *l, void (*fresh)(void))
{
	on_fresh = fresh;
	timer = loop_timer_new(l, timer_fired, NULL);
	rotate();
}

struct span
tickets_keys(void)
{
	return span_make(keys, nkeys * KEYD_TICKET_KEY_LEN);
}
