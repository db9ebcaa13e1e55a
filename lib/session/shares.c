/* SPDX-License-Identifier: ISC */
/*
 * shares - see shares.h.
 */
#include "session/shares.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fd.h"
#include "store/account.h"

#define FILE_MAX	(64u << 20)
#define NUMBERS		7

static char *
file_name(const char *suffix)
{
	return mem_printf("%s/shares%s", conf.data_directory, suffix);
}

void
shares_fini(struct shares *s)
{
	for (size_t i = 0; i < s->v.len; i++) {
		mem_free(s->v.v[i].text);
		mem_free(s->v.v[i].ident);
	}
	ARRAY_FINI(&s->v);
}

/* --- lines ------------------------------------------------------------------------ */

static bool
next_field(struct span *line, struct span *out)
{
	ptrdiff_t tab = span_find(*line, '\t');

	if (tab < 0)
		return false;
	*out = span_sub(*line, 0, (size_t)tab);
	*line = span_from(*line, (size_t)tab + 1);
	return true;
}

static bool
parse_numbers(struct span s, struct session_user *u)
{
	uint64_t n[NUMBERS];
	struct span word;

	for (size_t i = 0; i < NUMBERS; i++)
		if (!span_token(&s, " ", &word) ||
		    num_parse_u64(word, UINT64_MAX, &n[i]) < 0)
			return false;
	if (n[0] == 0 || n[0] >= UINT32_MAX || n[1] == 0 ||
	    n[1] >= UINT32_MAX ||
	    (n[2] != STORE_MAILDIR && n[2] != STORE_PACKED))
		return false;
	u->uid = (uid_t)n[0];
	u->gid = (gid_t)n[1];
	u->format = (enum store_format)n[2];
	u->detect = n[3] != 0;
	u->quota_bytes = n[4];
	u->quota_messages = n[5];
	u->quota_mailboxes = n[6];
	return true;
}

static bool
parse_line(struct span line, struct share *out)
{
	struct span owner, ident, numbers, base, path = line;
	char *at;

	if (!next_field(&path, &owner) || !next_field(&path, &ident) ||
	    !next_field(&path, &numbers) || !next_field(&path, &base) ||
	    owner.len == 0 || ident.len == 0 || base.len == 0 ||
	    base.p[0] != '/')
		return false;
	*out = (struct share){ .owner = { .home = "", .is_virtual = true } };
	if (!parse_numbers(numbers, &out->owner))
		return false;
	at = out->text = mem_alloc(owner.len + base.len + path.len + 3);
	out->owner.name = out->owner.login = at;
	memcpy(at, owner.p, owner.len);
	at[owner.len] = '\0';
	out->owner.base = at += owner.len + 1;
	memcpy(at, base.p, base.len);
	at[base.len] = '\0';
	out->owner.path = at += base.len + 1;
	if (path.len > 0)
		memcpy(at, path.p, path.len);
	at[path.len] = '\0';
	out->ident = span_dup(ident);
	return true;
}

static void
parse(struct shares *s, struct span text)
{
	struct span line;
	struct share one;

	while (span_token(&text, "\n", &line)) {
		if (parse_line(line, &one))
			*ARRAY_PUSH(&s->v) = one;
		else
			log_warning("%s/shares: bad line for \"%.*s\"",
			    conf.data_directory, (int)MIN(line.len, 64),
			    line.p);
	}
}

static void
put_line(struct buf *b, const struct session_user *u, const char *ident)
{
	buf_addf(b, "%s\t%s\t%u %u %d %d %llu %llu %llu\t%s\t%s\n", u->name,
	    ident, (unsigned)u->uid, (unsigned)u->gid, (int)u->format,
	    u->detect, (unsigned long long)u->quota_bytes,
	    (unsigned long long)u->quota_messages,
	    (unsigned long long)u->quota_mailboxes, u->base, u->path);
}

/* --- the file --------------------------------------------------------------------- */

/* 0 there is none, 1 read, -1. */
static int
read_file(struct shares *s, bool anyhow, struct why *why)
{
	struct buf b = BUF_INIT(FILE_MAX);
	char *path = file_name("");
	struct stat st;
	int fd, rc = -1;

	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		rc = errno == ENOENT && s->ino == 0 ? 0 : errno == ENOENT ? 1 :
		    why_errno(why, "", "%s", path);
		if (rc == 1)
			shares_fini(s);
		s->ino = 0;
		goto out;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_uid != 0 && st.st_uid != geteuid()) ||
	    st.st_mode & (S_IWGRP | S_IWOTH)) {
		(void)why_set(why, "", "%s: not a file that only root writes",
		    path);
	} else if (!anyhow && st.st_ino == s->ino && st.st_mtim.tv_sec ==
	    s->at.tv_sec && st.st_mtim.tv_nsec == s->at.tv_nsec) {
		rc = 0;
	} else if (fd_read_file(AT_FDCWD, path, &b) < 0) {
		(void)why_errno(why, "", "%s", path);
	} else {
		shares_fini(s);
		parse(s, buf_span(&b));
		s->ino = st.st_ino;
		s->at = st.st_mtim;
		rc = 1;
	}
	close(fd);
out:
	if (rc < 0)
		shares_fini(s);
	buf_fini(&b);
	mem_free(path);
	return rc;
}

int
shares_load(struct shares *s, struct why *why)
{
	return read_file(s, false, why);
}

static int
write_file(const struct shares *s, struct why *why)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char *path = file_name("");
	int rc;

	for (size_t i = 0; i < s->v.len; i++)
		if (s->v.v[i].ident != NULL)
			put_line(&b, &s->v.v[i].owner, s->v.v[i].ident);
	rc = fd_replace_file(AT_FDCWD, path, 0600, b.data, b.len);
	if (rc < 0)
		(void)why_errno(why, "4.3.0", "cannot write %s", path);
	buf_fini(&b);
	mem_free(path);
	return rc;
}

/* Whether it can be in a line. */
static bool
fit(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ')
			return false;
	return true;
}

/* The lines of an owner change in memory: 1 something did, 0, -1. */
static int
note(struct shares *s, const struct session_user *owner, struct span ident,
    bool on, struct why *why)
{
	size_t have = 0;
	bool there = false, changed = false;

	for (size_t i = 0; i < s->v.len; i++) {
		struct share *x = &s->v.v[i];

		if (strcmp(x->owner.name, owner->name) != 0)
			continue;
		have++;
		if (!span_is(ident, x->ident))
			continue;
		there = true;
		if (!on) {
			mem_free(x->ident);
			x->ident = NULL;
			changed = true;
		}
	}
	if (!on || there)
		return changed;
	if (have >= SHARES_OWNER_MAX)
		return why_set(why, "5.3.4", "%s shares with %u others "
		    "already", owner->name, SHARES_OWNER_MAX);
	struct share *x = ARRAY_PUSH(&s->v);
	*x = (struct share){ .owner = *owner, .ident = span_dup(ident) };
	return 1;
}

int
shares_note(const struct session_user *owner, struct span ident, bool on,
    struct why *why)
{
	struct shares s = { .ino = 0 };
	char *lock = file_name(".lock");
	int fd, rc = -1;

	if (ident.len == 0 || !fit(ident) || owner->name[0] == '\0' ||
	    !fit(span_of(owner->name)) || owner->base[0] != '/' ||
	    !fit(span_of(owner->base)) || !fit(span_of(owner->path)) ||
	    !owner->is_virtual ||
	    strchr(owner->name, '/') != NULL) {
		mem_free(lock);
		return 0;
	}
	fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		(void)why_errno(why, "4.3.0", "cannot lock %s", lock);
	else if (read_file(&s, true, why) >= 0 &&
	    (rc = note(&s, owner, ident, on, why)) > 0 &&
	    write_file(&s, why) < 0)
		rc = -1;
	fd_close(&fd);
	shares_fini(&s);
	mem_free(lock);
	return rc;
}

/* --- for a user ------------------------------------------------------------------- */

bool
shares_ident_is(struct span ident, const struct session_user *user)
{
	struct span rest = span_of(user->groups != NULL ? user->groups : "");
	struct span group;

	if (span_is(ident, "anyone"))
		return conf.acl_anyone_enable;
	if (span_is(ident, user->name))
		return true;
	while (ident.len > 1 && ident.p[0] == '$' &&
	    span_token(&rest, ", \t", &group))
		if (span_eq(span_from(ident, 1), group))
			return true;
	return false;
}

void
shares_each(const struct shares *s, const struct session_user *user,
    void (*fn)(void *arg, const struct session_user *owner), void *arg)
{
	ARRAY(const char *) seen = ARRAY_EMPTY;

	for (size_t i = 0; i < s->v.len && seen.len < SHARES_USER_MAX; i++) {
		const struct share *x = &s->v.v[i];
		bool again = false;

		/* Another uid's files are not ours to open. */
		if (x->owner.uid != user->uid || !user->is_virtual ||
		    strcmp(x->owner.name, user->name) == 0 ||
		    !shares_ident_is(span_of(x->ident), user))
			continue;
		for (size_t k = 0; k < seen.len; k++)
			again |= strcmp(seen.v[k], x->owner.name) == 0;
		if (again)
			continue;
		*ARRAY_PUSH(&seen) = x->owner.name;
		fn(arg, &x->owner);
	}
	ARRAY_FINI(&seen);
}

bool
shares_prefix(struct span owner, struct buf *out)
{
	struct span rest = span_of(conf.store_shared_accounts), one;
	const char *prefix = conf.store_namespace_others;

	while (span_token(&rest, ", \t\r\n", &one))
		if (span_caseeq(one, owner))
			prefix = conf.store_namespace_shared;
	if (prefix[0] == '\0')
		return false;
	buf_add_str(out, prefix);
	buf_add_span(out, owner);
	return true;
}
