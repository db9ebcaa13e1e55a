/* SPDX-License-Identifier: ISC */
/*
 * hash - see hash.h.
 *
 * Chains in buckets.  The buckets double when there are as many entries, and
 * are not given back: a table that was large will be large again.
 */
#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"

static uint64_t key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void
key_init(void)
{
	rnd_bytes(key, sizeof(key));
}

static inline uint64_t
rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t
hash_bytes_with(const uint64_t k[2], struct span s)
{
	const char *p = s.p;
	uint64_t v[4], m = 0;
	size_t n = s.len;

	v[0] = k[0] ^ 0x736f6d6570736575;
	v[1] = k[1] ^ 0x646f72616e646f6d;
	v[2] = k[0] ^ 0x6c7967656e657261;
	v[3] = k[1] ^ 0x7465646279746573;
	for (; n >= 8; p += 8, n -= 8) {
		m = num_get_le64(p);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)s.len << 56;
	for (size_t i = 0; i < n; i++)
		m |= (uint64_t)(unsigned char)p[i] << (8 * i);
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
hash_bytes(struct span s)
{
	pthread_once(&key_once, key_init);
	return hash_bytes_with(key, s);
}

/* The link that points at key's entry, or at the NULL where it belongs. */
static struct hash_entry **
find_link(const struct hash *h, struct span k, uint64_t hv)
{
	struct hash_entry **e = &h->buckets[hv & (h->nbuckets - 1)];

	while (*e != NULL && ((*e)->h != hv || !span_eq((*e)->key, k)))
		e = &(*e)->next;
	return e;
}

static void
grow(struct hash *h)
{
	size_t n = h->nbuckets ? h->nbuckets * 2 : 16;
	struct hash_entry **v = mem_zalloc_array(n, sizeof(*v)), *e, *next;

	for (size_t i = 0; i < h->nbuckets; i++) {
		for (e = h->buckets[i]; e != NULL; e = next) {
			next = e->next;
			e->next = v[e->h & (n - 1)];
			v[e->h & (n - 1)] = e;
		}
	}
	mem_free(h->buckets);
	h->buckets = v;
	h->nbuckets = n;
}

struct hash_entry *
hash_find(const struct hash *h, struct span k)
{
	return h->count ? *find_link(h, k, hash_bytes(k)) : NULL;
}

void *
hash_get(const struct hash *h, struct span k)
{
	struct hash_entry *e = hash_find(h, k);

	return e ? e->value : NULL;
}

struct hash_entry *
hash_enter(struct hash *h, struct span k, bool *made)
{
	uint64_t hv = hash_bytes(k);
	struct hash_entry *e, **at;
	char *copy;

	if (h->count == h->nbuckets)
		grow(h);
	at = find_link(h, k, hv);
	if (made != NULL)
		*made = *at == NULL;
	if (*at != NULL)
		return *at;
	e = mem_alloc(sizeof(*e) + k.len + 1);
	copy = (char *)(e + 1);
	if (k.len)
		memcpy(copy, k.p, k.len);
	copy[k.len] = '\0';
	*e = (struct hash_entry){ .h = hv, .key = { copy, k.len } };
	*at = e;
	h->count++;
	return e;
}

void *
hash_put(struct hash *h, struct span k, void *value)
{
	struct hash_entry *e = hash_enter(h, k, NULL);
	void *old = e->value;

	e->value = value;
	return old;
}

void *
hash_del(struct hash *h, struct span k)
{
	struct hash_entry *e, **at;
	void *value;

	if (h->count == 0)
		return NULL;
	at = find_link(h, k, hash_bytes(k));
	if ((e = *at) == NULL)
		return NULL;
	*at = e->next;
	value = e->value;
	mem_free(e);
	h->count--;
	return value;
}

void
hash_each(struct hash *h, void (*fn)(struct hash_entry *, void *), void *arg)
{
	struct hash_entry *e, *next;

	for (size_t i = 0; i < h->nbuckets; i++) {
		for (e = h->buckets[i]; e != NULL; e = next) {
			next = e->next;
			fn(e, arg);
		}
	}
}

void
hash_fini(struct hash *h, void (*free_value)(void *))
{
	struct hash_entry *e, *next;

	for (size_t i = 0; i < h->nbuckets; i++) {
		for (e = h->buckets[i]; e != NULL; e = next) {
			next = e->next;
			if (free_value != NULL)
				free_value(e->value);
			mem_free(e);
		}
	}
	mem_free(h->buckets);
	*h = HASH_INIT;
}
