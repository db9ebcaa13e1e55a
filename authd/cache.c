/* SPDX-License-Identifier: ISC */
/*
 * cache - passwords that were right a moment ago.
 *
 * A mail program logs in again and again; the full hash, made to be slow, is
 * computed once in authd_cache_time.  What is kept is a MAC of user, service,
 * password and all that the database says of the account, under a random key
 * that is made at start and never leaves the process: a changed password, a
 * disabled user, another service miss by themselves.
 */
#include "authd/authd.h"
#include "auth/digest.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "conf/params.h"

#define CACHE_MAX	20000		/* users; then it begins anew */

struct entry {
	unsigned char	digest[32];
	int64_t		end_ms;
};

static struct hash entries;
static unsigned char key[32];
static bool have_key;

void
cache_digest(struct span user, struct span service, struct span password,
    struct span account, unsigned char out[32])
{
	const struct span parts[] = { user, service, password, account };
	struct buf b = BUF_SECRET(BUF_UNLIMITED);
	unsigned char mac[DIGEST_MAX];
	char len[8];

	if (!have_key) {
		rnd_bytes(key, sizeof(key));
		have_key = true;
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		num_put_le64(len, parts[i].len);
		buf_add(&b, len, sizeof(len));
		buf_add_span(&b, parts[i]);
	}
	digest_hmac(DIGEST_SHA256, span_make(key, sizeof(key)), buf_span(&b),
	    mac);
	memcpy(out, mac, 32);
	buf_wipe(&b);
}

bool
cache_has(struct span user, const unsigned char digest[32])
{
	const struct entry *e = hash_get(&entries, user);

	return e != NULL && e->end_ms > clock_mono_ms() &&
	    digest_equal(span_make(e->digest, 32), span_make(digest, 32));
}

static void
entry_free(void *arg)
{
	mem_wipe(arg, sizeof(struct entry));
	mem_free(arg);
}

void
cache_put(struct span user, const unsigned char digest[32])
{
	struct hash_entry *h;
	struct entry *e;
	bool made;

	if (conf.authd_cache_time == 0)
		return;
	if (entries.count >= CACHE_MAX)
		cache_drop();
	h = hash_enter(&entries, user, &made);
	if (made)
		h->value = mem_zalloc(sizeof(*e));
	e = h->value;
	memcpy(e->digest, digest, sizeof(e->digest));
	e->end_ms = clock_mono_ms() + conf.authd_cache_time * 1000;
}

void
cache_drop(void)
{
	hash_fini(&entries, entry_free);
}
