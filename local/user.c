/* SPDX-License-Identifier: ISC */
/*
 * user - the system's users, and $name in what is configured per user.
 */
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/expand.h"
#include "conf/params.h"
#include "local/local.h"

#define KEEP_MS		2000	/* look-ups cost a file or a network query */
#define KEEP_MAX	2000	/* users */

struct kept {
	struct user	u;
	int64_t		at_ms;
	bool		found;
};

static struct hash	users, ids;

static void
kept_free(void *p)
{
	struct kept *k = p;

	mem_free(k->u.name);
	mem_free(k->u.home);
	mem_free(k->u.shell);
	mem_free(k);
}

static int
look_up(struct hash *table, struct span key, const char *name, uid_t uid,
    const struct user **out, struct why *why)
{
	struct passwd pw, *got = NULL;
	struct kept *k = hash_get(table, key);
	int64_t now = clock_mono_ms();
	size_t n = 4096;
	char *tmp;
	int rc;

	if (k != NULL && now - k->at_ms < KEEP_MS) {
		*out = &k->u;
		return k->found;
	}
	for (;;) {
		tmp = mem_alloc(n);
		rc = name != NULL ? getpwnam_r(name, &pw, tmp, n, &got) :
		    getpwuid_r(uid, &pw, tmp, n, &got);
		if (rc != ERANGE || n > 1 << 20)
			break;
		mem_free(tmp);
		n *= 2;
	}
	/* POSIX lets these mean "no such user" as well. */
	if (got == NULL && rc != 0 && rc != ENOENT && rc != ESRCH &&
	    rc != EPERM && rc != ENOTDIR) {
		mem_free(tmp);
		errno = rc;
		return why_errno(why, "4.3.0", "cannot look up user %s",
		    name != NULL ? name : "id");
	}
	if (k == NULL && table->count >= KEEP_MAX)
		hash_fini(table, kept_free);
	/*
	 * An old entry may still be in use further up in the tree, so it is
	 * only overwritten with what it says already.
	 */
	if (k != NULL && k->found == (got != NULL) && (got == NULL ||
	    (k->u.uid == got->pw_uid && k->u.gid == got->pw_gid &&
	    strcmp(k->u.home, got->pw_dir) == 0 &&
	    strcmp(k->u.shell, got->pw_shell) == 0))) {
		k->at_ms = now;
	} else {
		/* Leaks one entry a change of the user database. */
		k = mem_zalloc(sizeof(*k));
		k->at_ms = now;
		k->found = got != NULL;
		if (got != NULL) {
			k->u.name = mem_strdup(got->pw_name);
			k->u.home = mem_strdup(got->pw_dir);
			k->u.shell = mem_strdup(got->pw_shell[0] != '\0' ?
			    got->pw_shell : "/bin/sh");
			k->u.uid = got->pw_uid;
			k->u.gid = got->pw_gid;
		}
		(void)hash_put(table, key, k);
	}
	mem_free(tmp);
	*out = &k->u;
	return k->found;
}

int
user_find(const char *name, const struct user **out, struct why *why)
{
	if (name[0] == '\0' || strlen(name) > 255)
		return 0;
	return look_up(&users, span_of(name), name, 0, out, why);
}

int
user_by_uid(uid_t uid, const struct user **out, struct why *why)
{
	return look_up(&ids, span_make(&uid, sizeof(uid)), NULL, uid, out,
	    why);
}

/* --- $name ---------------------------------------------------------------------- */

struct expanding {
	const struct attr	*a;
	const struct user	*u;
};

static const char *
value_of(void *arg, struct span name, bool test)
{
	const struct expanding *x = arg;
	/* A '/' in it would choose a file of its own. */
	bool ext = x->a->extension[0] != '\0' &&
	    strchr(x->a->extension, '/') == NULL;

	if (span_is(name, "user"))
		return x->a->user;
	if (span_is(name, "home"))
		return x->u != NULL ? x->u->home : NULL;
	if (span_is(name, "shell"))
		return x->u != NULL ? x->u->shell : NULL;
	if (span_is(name, "recipient"))
		return x->a->recipient;
	if (span_is(name, "extension"))
		return ext ? x->a->extension : NULL;
	if (span_is(name, "recipient_delimiter"))
		return ext ? x->a->delimiter : NULL;
	if (span_is(name, "domain"))
		return x->a->domain;
	if (span_is(name, "local"))
		return x->a->local;
	if (span_is(name, "mailbox"))
		return x->a->local;
	return NULL;
}

char *
expand_local(struct delivery *d, const struct attr *a, const struct user *u,
    const char *text, const char *filter, struct why *why)
{
	struct expanding x = { a, u };
	struct buf out = BUF_INIT(16384);
	char *s = NULL;

	if (expand_text(text, 0, filter, value_of, &x, &out, why) == 0 &&
	    !span_has_nul(buf_span(&out)))
		s = arena_span_dup(d->arena, buf_span(&out));
	buf_fini(&out);
	return s;
}
