/* SPDX-License-Identifier: ISC */
/*
 * The list of who shares something with whom, as a disk or an editor may have
 * left it: whatever it says, it is read, a share is added and taken away again
 * in it, and what made sense stays.
 */
#include "base/mem.h"
#include "conf/params.h"
#include "session/shares.h"
#include "tests/fuzz/scratch.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
start(void)
{
	if (!scratch_start())
		return;
	conf.data_directory = scratch;
	conf.acl_anyone_enable = true;
	conf.store_namespace_others = "Other Users/";
	conf.store_namespace_shared = "Shared/";
	conf.store_shared_accounts = "info";
}

struct seen {
	size_t		 n;
	bool		 ours;
};

static void
look(void *arg, const struct session_user *owner)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct seen *s = arg;

	if (owner->uid != 1000 || owner->name[0] == '\0' ||
	    owner->base[0] != '/' || strcmp(owner->name, "reader") == 0)
		abort();
	(void)shares_prefix(span_of(owner->name), &b);
	s->n++;
	s->ours |= strcmp(owner->name, "owner-of-this") == 0;
	buf_fini(&b);
}

/* Whether our row is among them. */
static bool
read_all(size_t *lines)
{
	struct session_user reader = { .name = "reader", .login = "reader",
	    .uid = 1000, .gid = 1000, .groups = "team", .is_virtual = true };
	struct shares s = { .ino = 0 };
	struct seen seen = { .ours = false };

	if (shares_load(&s, NULL) < 0)
		abort();
	*lines = s.v.len;
	shares_each(&s, &reader, look, &seen);
	shares_fini(&s);
	return seen.ours;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct session_user owner = { .name = "owner-of-this",
	    .login = "owner-of-this", .uid = 1000, .gid = 1000,
	    .format = STORE_PACKED, .base = "/var/vmail", .path = "o",
	    .is_virtual = true };
	size_t before, with, after;

	if (n > 65536)
		return 0;
	start();
	scratch_put("shares", span_make(p, n));
	if (read_all(&before))
		return 0;
	if (shares_note(&owner, SPAN("reader"), true, NULL) != 1)
		return 0;		/* it is there, for another place */
	/* One more, unless others hide it: an account is shown once, and a
	 * reader sees a limited number. */
	if (!read_all(&with) && with <= SHARES_USER_MAX)
		abort();
	if (with != before + 1)
		abort();
	if (shares_note(&owner, SPAN("reader"), false, NULL) != 1)
		abort();
	if (read_all(&after) || after != before)
		abort();
	return 0;
}
