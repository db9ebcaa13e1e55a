/* SPDX-License-Identifier: ISC */
/*
 * cache - see verify.h.
 *
 * The file is a table like any other (postmap -s shows it), made anew as a
 * whole and put into place by a rename: a crash leaves the last one, and what
 * is missing from it is asked for again.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/address.h"
#include "verify/verify.h"

#define PROBE_TIME	1000	/* seconds that a probe may take, as Postfix */

static struct {
	struct hash	 by_address;	/* struct entry */
	struct list	 lru;
	unsigned	 pending;
	bool		 dirty;
} ca = { .by_address = HASH_INIT, .lru = LIST_INIT(ca.lru) };

/* --- entries ------------------------------------------------------------------------ */

static void
entry_free(struct entry *e)
{
	if (e->probed != 0)
		ca.pending--;
	(void)hash_del(&ca.by_address, e->address);
	list_remove(&e->lru);
	mem_free(e->text);
	mem_free(e);
	ca.dirty = true;
}

struct entry *
cache_find(struct span address)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct entry *e;

	address_fold(address, true, &key);
	e = hash_get(&ca.by_address, buf_span(&key));
	buf_fini(&key);
	return e;
}

static void
make_room(void)
{
	LIST_FOREACH(l, &ca.lru) {
		struct entry *e = LIST_ENTRY(l, struct entry, lru);

		if (ca.by_address.count < CACHE_MAX)
			return;
		if (list_empty(&e->waiters))
			entry_free(e);
	}
}

struct entry *
cache_enter(struct span address)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct hash_entry *h;
	struct entry *e;
	bool made;

	address_fold(address, true, &key);
	h = hash_enter(&ca.by_address, buf_span(&key), &made);
	buf_fini(&key);
	if (!made) {
		e = h->value;
		list_remove(&e->lru);
		list_append(&ca.lru, &e->lru);
		return e;
	}
	e = mem_zalloc(sizeof(*e));
	h->value = e;
	e->address = h->key;
	e->status = VERIFY_UNKNOWN;
	e->text = mem_strdup("Address verification in progress");
	list_init(&e->waiters);
	make_room();
	list_append(&ca.lru, &e->lru);
	return e;
}

/* --- time ------------------------------------------------------------------------------ */

static bool
is_expired(const struct entry *e, int64_t now)
{
	return now - e->updated > (e->status == VERIFY_OK ?
	    conf.address_verify_positive_expire_time :
	    conf.address_verify_negative_expire_time);
}

static void
set(struct entry *e, enum verify_status status, struct span text,
    int64_t updated)
{
	mem_free(e->text);
	e->text = span_dup(span_sub(text, 0, VERIFY_TEXT_MAX));
	e->status = status;
	e->updated = updated;
	ca.dirty = true;
}

static void
no_probe(struct entry *e)
{
	if (e->probed != 0)
		ca.pending--;
	e->probed = 0;
}

bool
cache_is_due(const struct entry *e, int64_t now)
{
	if (e->probed != 0 && now - e->probed < PROBE_TIME)
		return false;
	return now - e->updated > (e->status == VERIFY_OK ?
	    conf.address_verify_positive_refresh_time :
	    conf.address_verify_negative_refresh_time);
}

void
cache_probed(struct entry *e, int64_t now)
{
	if (e->status != VERIFY_UNKNOWN && is_expired(e, now))
		set(e, VERIFY_UNKNOWN, SPAN("Address verification in "
		    "progress"), 0);
	if (e->probed == 0)
		ca.pending++;
	e->probed = now;
}

bool
cache_update(struct entry *e, enum verify_status status, struct span text,
    int64_t now)
{
	no_probe(e);
	/* One failure does not say that what was there is gone. */
	if (status != VERIFY_OK && e->status == VERIFY_OK &&
	    !is_expired(e, now))
		return false;
	if (status != VERIFY_OK && !conf.address_verify_negative_cache)
		return false;
	set(e, status, text, now);
	return true;
}

unsigned
cache_pending(void)
{
	return ca.pending;
}

void
cache_sweep(int64_t now)
{
	LIST_FOREACH(l, &ca.lru) {
		struct entry *e = LIST_ENTRY(l, struct entry, lru);

		if (e->probed != 0 && now - e->probed >= PROBE_TIME)
			no_probe(e);
		if (e->probed == 0 && list_empty(&e->waiters) &&
		    is_expired(e, now))
			entry_free(e);
	}
}

/* --- the file ------------------------------------------------------------------------------ */

void
cache_value_put(const struct entry *e, struct buf *out)
{
	buf_addf(out, "%d:%lld:%lld:%s", (int)e->status, (long long)e->probed,
	    (long long)e->updated, e->text);
}

int
cache_value_parse(struct span value, struct entry *e)
{
	uint64_t n[3];

	for (size_t i = 0; i < ARRAY_LEN(n); i++) {
		ptrdiff_t colon = span_find(value, ':');

		if (colon < 0 || num_parse_u64(span_sub(value, 0,
		    (size_t)colon), INT64_MAX, &n[i]) < 0)
			return -1;
		value = span_from(value, (size_t)colon + 1);
	}
	if (n[0] > VERIFY_UNKNOWN)
		return -1;
	while (value.len > 0 && value.p[value.len - 1] == '\0')
		value.len--;
	e->status = (enum verify_status)n[0];
	e->probed = (int64_t)n[1];
	e->updated = (int64_t)n[2];
	mem_free(e->text);
	e->text = span_dup(span_sub(value, 0, VERIFY_TEXT_MAX));
	return 0;
}

static bool
load_one(void *arg, struct span key, struct span value)
{
	struct entry *e;

	while (key.len > 0 && key.p[key.len - 1] == '\0')
		key.len--;
	if (key.len == 0 || key.len > 1024)
		return true;
	e = cache_enter(key);
	/* Whatever probe there was, nobody waits for it any more. */
	if (cache_value_parse(value, e) < 0)
		entry_free(e);
	else
		e->probed = 0;
	return true;
}

void
cache_open(void)
{
	struct why why = WHY_INIT;
	struct table *t;

	if (conf.address_verify_map[0] == '\0')
		return;
	t = table_open(conf.address_verify_map, TABLE_FIXED, &why);
	/* There is none at first. */
	if (t == NULL)
		log_debug("address_verify_map: %s", why.text);
	else if (table_each(t, load_one, NULL, &why) < 0)
		log_warning("address_verify_map: %s", why.text);
	table_close(&t);
	cache_sweep(clock_wall_us() / 1000000);
	ca.dirty = false;
}

static int
write_all(struct table_writer *w, struct why *why)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	LIST_FOREACH(l, &ca.lru) {
		struct entry *e = LIST_ENTRY(l, struct entry, lru);

		if (e->status == VERIFY_UNKNOWN)
			continue;
		buf_reset(&value);
		cache_value_put(e, &value);
		rc = table_writer_put(w, e->address, buf_span(&value), true,
		    why);
		if (rc < 0)
			break;
	}
	buf_fini(&value);
	return rc < 0 ? -1 : 0;
}

void
cache_save(void)
{
	struct why why = WHY_INIT;
	struct table_writer *w;

	if (!ca.dirty || conf.address_verify_map[0] == '\0')
		return;
	ca.dirty = false;
	w = table_writer_new(conf.address_verify_map, 0, 0600, &why);
	if (w != NULL && write_all(w, &why) < 0)
		table_writer_abort(&w);
	else if (w != NULL && table_writer_commit(&w, &why) == 0)
		return;
	log_warning("address_verify_map: %s; what is known is kept in memory",
	    why.text);
}
