/* SPDX-License-Identifier: ISC */
/*
 * account_mount - other users' mailboxes below a prefix of one's own list.
 *
 * A mounted account is opened on behalf of the user whose list it joins, so
 * its rights are that user's.  Its mailboxes have numbers here that are theirs
 * with the mount's in the bits above MOUNT_SHIFT; every function that takes an
 * account and a number begins with account_at(), which turns them into the
 * account they belong to and its own number.
 *
 * What is the user's own stays so: subscriptions, the quota, special uses.
 */
#include <string.h>

#include "base/mem.h"
#include "store/account_internal.h"

int
account_mount(struct account *a, const char *prefix, struct account *other,
    struct why *why)
{
	struct acct_mount *m;

	if (a->mounts.len >= ACCOUNT_MOUNTS_MAX)
		return account_say(a, ACCOUNT_LIMIT, why, "%u accounts are "
		    "mounted already", ACCOUNT_MOUNTS_MAX);
	m = ARRAY_PUSH(&a->mounts);
	m->prefix = mem_strdup(prefix);
	m->a = other;
	other->parent = a;
	other->base = (uint32_t)a->mounts.len << MOUNT_SHIFT;
	a->stale = true;
	a->change++;
	return 0;
}

uint32_t
account_mount_list(const struct account *a, size_t i)
{
	/* In an account of its own that is 0. */
	return i < a->mounts.len ? a->mounts.v[i].a->base : 0;
}

uint32_t
account_list_of(const struct account *a, uint32_t box)
{
	uint32_t n = box >> MOUNT_SHIFT;

	return n > 0 ? account_mount_list(a, n - 1) : 0;
}

void
account_reserve(struct account *a, const char *name)
{
	*ARRAY_PUSH(&a->reserved) = mem_strdup(name);
}

void
account_mounts_fini(struct account *a)
{
	for (size_t i = 0; i < a->mounts.len; i++) {
		account_close(&a->mounts.v[i].a);
		mem_free(a->mounts.v[i].prefix);
	}
	ARRAY_FINI(&a->mounts);
	for (size_t i = 0; i < a->reserved.len; i++)
		mem_free(a->reserved.v[i]);
	ARRAY_FINI(&a->reserved);
}

struct account *
account_at(struct account *a, uint32_t *box)
{
	uint32_t n = *box >> MOUNT_SHIFT;

	if (n == 0 || n > a->mounts.len)
		return a;
	*box &= (1u << MOUNT_SHIFT) - 1;
	return a->mounts.v[n - 1].a;
}

static bool
is_below(struct span name, struct span prefix)
{
	return name.len > prefix.len && name.p[prefix.len] == '/' &&
	    span_starts(name, prefix);
}

struct account *
account_named(struct account *a, struct span *name)
{
	for (size_t i = 0; i < a->mounts.len; i++) {
		struct span prefix = span_of(a->mounts.v[i].prefix);

		if (!is_below(*name, prefix))
			continue;
		*name = account_canon(span_from(*name, prefix.len + 1));
		return a->mounts.v[i].a;
	}
	return a;
}

bool
account_is_mounted(struct account *a, struct span name)
{
	return account_named(a, &name) != a;
}

bool
account_is_reserved(const struct account *a, struct span name)
{
	for (size_t i = 0; i < a->reserved.len; i++) {
		struct span r = span_of(a->reserved.v[i]);

		if (span_eq(name, r) || is_below(name, r))
			return true;
	}
	return false;
}

bool
account_is_personal(struct account *a, struct span name)
{
	return !account_is_mounted(a, name) && !account_is_reserved(a, name);
}

int
account_not_reserved(struct account *a, struct span name, struct why *why)
{
	if (!account_is_reserved(a, name))
		return 0;
	return account_say(a, ACCOUNT_CANNOT, why, "that is where other "
	    "users' mailboxes are");
}

/* Rows of the list: those mailboxes that the user may know of. */
void
account_show_mounts(struct account *a)
{
	for (size_t i = 0; i < a->mounts.len; i++) {
		struct account *other = a->mounts.v[i].a;
		size_t n = account_count(other);

		for (size_t k = 0; k < n; k++) {
			const struct account_box *b = account_box(other, k);
			struct account_box *s;
			unsigned rights;

			if (b->box == 0 || !account_is_known(other, b->box))
				continue;
			rights = account_rights(other, b->box);
			s = rights & RIGHT_LOOKUP ? ARRAY_PUSH(&a->shown) :
			    ARRAY_PUSH(&a->hidden);
			*s = (struct account_box){
				.box = other->base | b->box,
				.flags = (b->flags & BOX_NOSELECT) |
				    (rights & RIGHT_LOOKUP ? 0 : BOX_HIDDEN) |
				    (rights & RIGHT_READ ? 0 : BOX_NOREAD),
			};
			*ARRAY_PUSH(&a->made) = mem_printf("%s/%s",
			    a->mounts.v[i].prefix, b->name);
			s->name = a->made.v[a->made.len - 1];
			memcpy(s->mailboxid, b->mailboxid,
			    sizeof(s->mailboxid));
		}
	}
}

void
account_refresh_mounts(struct account *a)
{
	for (size_t i = 0; i < a->mounts.len; i++) {
		/* Somebody else's trouble is not ours: what was read is shown. */
		if (account_refresh(a->mounts.v[i].a, NULL) < 0)
			a->mounts.v[i].a->error = ACCOUNT_OK;
	}
}
