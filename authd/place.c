/* SPDX-License-Identifier: ISC */
/*
 * place - whom to become for a user, and where the mail lies.
 *
 * A name in one of virtual_mailbox_domains has what virtual(8) delivers to
 * (store/virtual_map.h).  A name without domain is a system user, whose mail
 * is where local(8) puts it.  Root has no mail here, in no way.
 */
#include "authd/authd.h"

#include <errno.h>
#include <pwd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/address.h"
#include "store/virtual_map.h"

#define PW_MAX	(1 << 20)	/* bytes of a passwd entry */

static struct virtual_map *map;
static struct quota_map *quotas;
static struct maps *groups;
static struct match_list *virtual_domains, *system_domains;

void
places_close(void)
{
	virtual_map_free(&map);
	quota_map_free(&quotas);
	match_list_free(&virtual_domains);
	match_list_free(&system_domains);
}

int
places_open(struct why *why)
{
	struct virtual_map *m = virtual_map_new(why);
	struct quota_map *q = quota_map_new(why);
	struct maps *g = maps_new("acl_groups_maps", conf.acl_groups_maps,
	    TABLE_FOLD, why);
	struct match_list *v = NULL, *s = NULL;

	if (m != NULL && q != NULL && g != NULL)
		v = match_list_new("virtual_mailbox_domains",
		    conf.virtual_mailbox_domains, 0, why);
	if (v != NULL)
		s = match_list_new("mydestination", conf.mydestination,
		    match_parent_flag("mydestination"), why);
	if (s == NULL) {
		match_list_free(&v);
		maps_free(&g);
		quota_map_free(&q);
		virtual_map_free(&m);
		return -1;
	}
	places_close();
	quotas = q;
	maps_free(&groups);
	groups = g;
	map = m;
	virtual_domains = v;
	system_domains = s;
	return 0;
}

void
place_init(struct place *p)
{
	*p = (struct place){
		.user = BUF_INIT(AUTH_NAME_MAX),
		.home = BUF_INIT(AUTH_PATH_MAX),
		.base = BUF_INIT(AUTH_PATH_MAX),
		.path = BUF_INIT(AUTH_PATH_MAX),
		.groups = BUF_INIT(AUTH_PATH_MAX),
	};
}

void
place_fini(struct place *p)
{
	buf_fini(&p->user);
	buf_fini(&p->home);
	buf_fini(&p->base);
	buf_fini(&p->path);
	buf_fini(&p->groups);
}

static bool
member(struct match_list *m, const char *title, struct span s)
{
	struct why why = WHY_INIT;
	int rc = match_list_string(m, s, &why);

	if (rc < 0)
		log_warning("%s: %s", title, why.text);
	return rc == 1;
}

bool
place_is_system_domain(struct span domain)
{
	return member(system_domains, "mydestination", domain) &&
	    !member(virtual_domains, "virtual_mailbox_domains", domain);
}

static int
find_virtual(struct span user, struct place *out, struct why *why)
{
	struct virtual_place v = { .path = BUF_INIT(VIRTUAL_PATH_MAX) };
	int rc = virtual_map_find(map, user, &v, why);

	if (rc == 1) {
		out->uid = v.uid;
		out->gid = v.gid;
		out->format = v.format;
		out->detect = v.detect;
		out->virtual = true;
		buf_add_span(&out->path, buf_span(&v.path));
		if (buf_put_str(&out->base, virtual_map_base()) < 0)
			rc = why_set(why, "4.3.5",
			    "virtual_mailbox_base is too long");
	}
	buf_fini(&v.path);
	return rc;
}

/* Where local(8) delivers for a user who has not chosen otherwise. */
static int
system_mailbox(const char *name, const char *home, struct place *out,
    struct why *why)
{
	struct span in_home = span_of(conf.home_mailbox);
	struct span spool = span_of(conf.mail_spool_directory);
	struct span path = span_of(name);
	bool dir;

	if (in_home.len > 0) {
		dir = span_ends(in_home, SPAN("/"));
		spool = span_of(home);
		path = in_home;
	} else {
		dir = span_ends(spool, SPAN("/")) && spool.len > 1;
	}
	while (span_ends(path, SPAN("/")))
		path.len--;
	out->format = dir ? STORE_MAILDIR : STORE_MBOX;
	if (buf_put_span(&out->base, spool) < 0 ||
	    buf_put_span(&out->path, path) < 0 ||
	    buf_put_str(&out->home, home) < 0)
		return why_set(why, "4.3.5", "the path of %s's mailbox is "
		    "too long", name);
	return 1;
}

static int
find_system(const char *name, struct place *out, struct why *why)
{
	struct passwd pw, *got = NULL;
	size_t n = 4096;
	char *tmp;
	int rc;

	for (;;) {
		tmp = mem_alloc(n);
		rc = getpwnam_r(name, &pw, tmp, n, &got);
		if (rc != ERANGE || n >= PW_MAX)
			break;
		mem_free(tmp);
		n *= 2;
	}
	if (got == NULL) {
		mem_free(tmp);
		/* POSIX lets all of these mean that there is none. */
		if (rc == 0 || rc == ENOENT || rc == ESRCH || rc == EPERM)
			return 0;
		errno = rc;
		return why_errno(why, "4.3.0", "cannot look up user %s",
		    name);
	}
	if (pw.pw_uid == 0 || pw.pw_gid == 0 || pw.pw_dir[0] != '/') {
		log_warning("%s: no session for a user who is root, in "
		    "root's group, or without home", name);
		rc = 0;
	} else {
		out->uid = pw.pw_uid;
		out->gid = pw.pw_gid;
		rc = system_mailbox(name, pw.pw_dir, out, why);
	}
	mem_free(tmp);
	return rc;
}

/* A user of a passwd-file that has ids and a home of its own. */
static int
find_account(struct span user, struct place *out, struct why *why)
{
	struct account a;
	int rc;

	account_init(&a);
	rc = user_find(&a, user, why);
	if (rc == 0 && a.found && a.uid != 0) {
		out->uid = a.uid;
		out->gid = a.gid;
		rc = system_mailbox(a.name.data, a.home.data, out, why);
	}
	account_fini(&a);
	return rc;
}

static int
find(struct span user, struct place *out, struct why *why)
{
	struct span local, domain;
	char *name;
	int rc = 0;

	address_split(user, &local, &domain);
	if (domain.p != NULL) {
		if (member(virtual_domains, "virtual_mailbox_domains", domain))
			rc = find_virtual(user, out, why);
	} else {
		name = span_dup(user);
		rc = find_system(name, out, why);
		mem_free(name);
	}
	return rc != 0 ? rc : find_account(user, out, why);
}

int
place_find(struct span user, struct place *out, struct why *why)
{
	int rc;

	if (buf_put_span(&out->user, user) < 0)
		return 0;
	rc = find(user, out, why);
	if (rc == 1 && (quota_map_find(quotas, user, &out->quota, why) < 0 ||
	    virtual_maps_get(groups, user, &out->groups, why) < 0))
		rc = -1;
	return rc;
}
