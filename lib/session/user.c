/* SPDX-License-Identifier: ISC */
/*
 * user - a user as authd described it, in memory of its own.
 */
#include <string.h>

#include "base/mem.h"
#include "session/control.h"

static const char *
keep(char **at, struct span s)
{
	char *p = *at;

	memcpy(p, s.p != NULL ? s.p : "", s.len);
	p[s.len] = '\0';
	*at = p + s.len + 1;
	return p;
}

char *
session_user_init(struct session_user *u, const struct auth_user *a)
{
	char *all, *at;

	at = all = mem_alloc(a->user.len + a->login.len + a->home.len +
	    a->base.len + a->path.len + a->groups.len + 6);
	*u = (struct session_user){
		.name = keep(&at, a->user), .login = keep(&at, a->login),
		.uid = a->uid, .gid = a->gid, .home = keep(&at, a->home),
		.format = (enum store_format)a->format, .detect = a->detect,
		.base = keep(&at, a->base), .path = keep(&at, a->path),
		.is_virtual = a->virtual, .quota_bytes = a->quota_bytes,
		.quota_messages = a->quota_messages,
		.quota_mailboxes = a->quota_mailboxes,
		.groups = keep(&at, a->groups),
	};
	return all;
}

static struct span
text(const char *s)
{
	return span_of(s != NULL ? s : "");
}

void
session_user_tell(const struct session_user *u, struct auth_user *a)
{
	*a = (struct auth_user){
		.user = text(u->name), .login = text(u->login),
		.uid = u->uid, .gid = u->gid, .home = text(u->home),
		.base = text(u->base), .path = text(u->path),
		.format = (uint32_t)u->format, .detect = u->detect,
		.virtual = u->is_virtual, .quota_bytes = u->quota_bytes,
		.quota_messages = u->quota_messages,
		.quota_mailboxes = u->quota_mailboxes,
		.groups = text(u->groups),
	};
}
