/* SPDX-License-Identifier: ISC */
/*
 * table_unix - unix:passwd.byname and unix:group.byname: the system's users
 * and groups as "name:x:uid:gid:gecos:home:shell" and "name:x:gid:members".
 * A password field is never given out.
 */
#include "conf/table_priv.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "base/mem.h"

#define ENTRY_MAX	(1 << 20)	/* bytes of one entry */

static int
unix_open(struct table *t, struct why *why)
{
	if (strcmp(t->name, "passwd.byname") != 0 &&
	    strcmp(t->name, "group.byname") != 0)
		return why_set(why, "4.3.5", "bad table \"%s\": expected "
		    "unix:passwd.byname or unix:group.byname", t->spec);
	t->impl = mem_strdup(t->name);
	return 0;
}

/* What getpwnam_r() and getgrnam_r() may return for "no such name". */
static bool
means_absent(int e)
{
	return e == 0 || e == ENOENT || e == ESRCH || e == EBADF ||
	    e == EPERM;
}

static int
get_user(const char *name, char *scratch, size_t n, struct buf *out,
    bool *found)
{
	struct passwd pw, *p = NULL;
	int e = getpwnam_r(name, &pw, scratch, n, &p);

	*found = p != NULL;
	if (p == NULL)
		return e;
	return buf_printf(out, "%s:x:%ju:%ju:%s:%s:%s", p->pw_name,
	    (uintmax_t)p->pw_uid, (uintmax_t)p->pw_gid,
	    p->pw_gecos != NULL ? p->pw_gecos : "", p->pw_dir, p->pw_shell)
	    == 0 ? 0 : EOVERFLOW;
}

static int
get_group(const char *name, char *scratch, size_t n, struct buf *out,
    bool *found)
{
	struct group gr, *g = NULL;
	int e = getgrnam_r(name, &gr, scratch, n, &g);

	*found = g != NULL;
	if (g == NULL)
		return e;
	if (buf_printf(out, "%s:x:%ju:", g->gr_name,
	    (uintmax_t)g->gr_gid) == -1)
		return EOVERFLOW;
	for (char **m = g->gr_mem; *m != NULL; m++)
		if (buf_printf(out, "%s%s", m == g->gr_mem ? "" : ",", *m)
		    == -1)
			return EOVERFLOW;
	return 0;
}

static int
unix_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	char *name, *scratch;
	size_t n = 4096, was = out->len;
	bool user = strcmp(t->name, "passwd.byname") == 0, found = false;
	int e;

	if (key.len == 0 || span_has_nul(key))
		return 0;
	name = span_dup(key);
	for (;; n *= 4) {
		scratch = mem_alloc(n);
		e = user ? get_user(name, scratch, n, out, &found)
		    : get_group(name, scratch, n, out, &found);
		mem_free(scratch);
		if (e != ERANGE || n >= ENTRY_MAX)
			break;
	}
	mem_free(name);
	if (found && e == 0)
		return 1;
	buf_trunc(out, was);
	if (!found && means_absent(e))
		return 0;
	errno = e;
	return why_errno(why, "4.3.0", "table %s: look up \"%.*s\"", t->spec,
	    SPAN_ARG(key));
}

static void
unix_close(struct table *t)
{
	mem_free(t->impl);
	t->impl = NULL;
}

const struct table_type table_type_unix = {
	.name = "unix", .folds = true, .open = unix_open, .get = unix_get,
	.close = unix_close,
};
