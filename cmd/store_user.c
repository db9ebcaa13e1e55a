/* SPDX-License-Identifier: ISC */
/*
 * store_user - becoming a user and opening that user's mail.
 */
#include "cmd/store_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "conf/params.h"
#include "session/shares.h"
#include "store/virtual_map.h"

static void
become(const char *user, uid_t uid, gid_t gid)
{
	if (uid == 0 || gid == 0)
		log_fatal("%s: root has no mailbox", user);
	if (geteuid() == 0 && (setgroups(1, &gid) < 0 ||
	    setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
		log_fatal("cannot become uid %u: %m", (unsigned)uid);
	umask(077);
}

static struct account *
open_as(struct account_options *o, const char *user, uid_t uid, gid_t gid)
{
	struct why why = WHY_INIT;
	struct quota_map *m = quota_map_new(&why);
	struct account *a;

	if (m == NULL || quota_map_find(m, span_of(user), &o->quota,
	    &why) < 0)
		log_fatal("%s: %s", user, why.text);
	quota_map_free(&m);
	become(user, uid, gid);
	o->owner = user;
	a = account_open(o, &why);
	if (a == NULL)
		log_fatal("%s: %s", user, why.text);
	return a;
}

static struct account *
open_virtual(struct account_options *o, const char *user)
{
	struct virtual_place v = { .path = BUF_INIT(VIRTUAL_PATH_MAX) };
	struct why why = WHY_INIT;
	struct virtual_map *m = virtual_map_new(&why);
	struct account *a;
	int rc = m == NULL ? -1 : virtual_map_find(m, span_of(user), &v, &why);

	if (rc < 0)
		log_fatal("%s: %s", user, why.text);
	if (rc == 0)
		log_fatal("%s is not in virtual_mailbox_maps", user);
	o->format = v.format;
	o->flags = STORE_MAKE_BASE | (v.detect ? STORE_DETECT : 0);
	o->own_quota = true;
	o->base = virtual_map_base();
	o->path = v.path.data;
	a = open_as(o, user, v.uid, v.gid);
	buf_fini(&v.path);
	virtual_map_free(&m);
	return a;
}

static struct account *
open_system(struct account_options *o, const char *user)
{
	struct passwd *pw = getpwnam(user);
	struct span home = span_of(conf.home_mailbox);

	if (pw == NULL)
		log_fatal("there is no user %s", user);
	if (!span_ends(home, SPAN("/")))
		log_fatal("%s: home_mailbox (%s) names no Maildir", user,
		    params_origin("home_mailbox"));
	o->format = STORE_MAILDIR;
	o->flags = STORE_DETECT;
	o->base = pw->pw_dir;
	o->path = conf.home_mailbox;
	return open_as(o, user, pw->pw_uid, pw->pw_gid);
}

static uint64_t
or_none(uint64_t limit)
{
	return limit == QUOTA_UNLIMITED ? 0 : limit;
}

void
store_user_share(const char *user, const char *ident)
{
	struct virtual_place v = { .path = BUF_INIT(VIRTUAL_PATH_MAX) };
	struct session_user who = {
		.name = user, .login = user, .home = "", .is_virtual = true,
		.base = virtual_map_base(),
	};
	struct why why = WHY_INIT;
	struct virtual_map *m;
	struct quota_map *q;
	struct store_quota quota;

	if (strchr(user, '@') == NULL || ident[0] == '-')
		return;
	m = virtual_map_new(&why);
	q = quota_map_new(&why);
	if (m == NULL || q == NULL || virtual_map_find(m, span_of(user), &v,
	    &why) <= 0 || quota_map_find(q, span_of(user), &quota, &why) < 0)
		log_fatal("%s: %s", user, why.text);
	who.uid = v.uid;
	who.gid = v.gid;
	who.format = v.format;
	who.detect = v.detect;
	who.path = v.path.data;
	who.quota_bytes = or_none(quota.storage);
	who.quota_messages = or_none(quota.messages);
	who.quota_mailboxes = or_none(quota.mailboxes);
	if (shares_note(&who, span_of(ident), true, &why) < 0)
		log_fatal("%s: %s", user, why.text);
	buf_fini(&v.path);
	virtual_map_free(&m);
	quota_map_free(&q);
}

struct account *
store_user_open(const char *user)
{
	struct account_options o;

	account_options_init(&o);
	return strchr(user, '@') != NULL ? open_virtual(&o, user) :
	    open_system(&o, user);
}

uint32_t
store_user_box(struct account *a, const char *name)
{
	const struct account_box *b = account_find(a, span_of(name));

	if (b == NULL || b->box == 0)
		log_fatal("%s has no mailbox \"%s\"", account_owner(a), name);
	return b->box;
}

int
store_user_done(struct account **a, int rc, const struct why *why)
{
	struct why w = WHY_INIT;

	if (rc < 0)
		log_error("%s: %s", account_owner(*a), why->text);
	else if ((rc = account_sync(*a, &w)) < 0)
		log_error("%s: %s", account_owner(*a), w.text);
	account_close(a);
	return rc < 0 ? MANSIO_FAILED : MANSIO_OK;
}
