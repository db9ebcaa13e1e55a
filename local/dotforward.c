/* SPDX-License-Identifier: ISC */
/*
 * dotforward - files of destinations: a user's .forward, and :include:.
 *
 * Such a file is read with its user's rights, through no link that leaves
 * the home, and only when nobody else can have written it.  One that fails
 * these checks is left aside with a warning in the log, and the mail goes to
 * the mailbox: better there than where a stranger wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"
#include "local/cred.h"
#include "local/local.h"
#include "local/token.h"
#include "store/store_path.h"

static bool
only_owners(const struct stat *st, const struct user *u, const char **bad)
{
	if (!S_ISREG(st->st_mode))
		*bad = "is not a regular file";
	else if (st->st_uid != 0 && (u == NULL || st->st_uid != u->uid))
		*bad = "is owned by somebody else";
	else if (st->st_mode & S_IWOTH)
		*bad = "is world writable";
	/* A group of one's own is what many systems give each user. */
	else if (st->st_mode & S_IWGRP && (u == NULL || st->st_gid != u->gid))
		*bad = "is group writable";
	else
		return true;
	return false;
}

static int
read_all(int fd, const char *path, struct buf *out, struct why *why)
{
	char *p;
	ssize_t n;

	for (;;) {
		p = buf_reserve(out, 8192);
		if (p == NULL)
			return why_set(why, "5.2.0", "%s is larger than %u "
			    "bytes", path, FORWARD_FILE_MAX);
		n = read(fd, p, 8192);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_errno(why, "4.3.0", "cannot read %s", path);
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
	}
}

/* Each line in turn, as in Postfix: a comment or a list of destinations. */
static void
deliver_lines(struct delivery *d, const struct attr *a, struct span in)
{
	struct span line;

	while (span_line(&in, &line)) {
		if (line.len > (size_t)conf.line_length_limit) {
			log_warning("%.*s: a line of more than %lld bytes in "
			    "the expansion of %s is ignored",
			    SPAN_ARG(d->job->env.queue_id),
			    (long long)conf.line_length_limit, a->recipient);
			continue;
		}
		if (!token_line_empty(line))
			deliver_text(d, a, line);
	}
}

/* Open one of the paths with the user's rights: the descriptor, or -1. */
static int
open_forward(const struct user *u, const char *path, struct stat *st)
{
	struct span home = span_of(u->home), p = span_of(path);
	const char *bad = "cannot be examined";
	int fd, base, e;

	while (span_ends(home, SPAN("/")) && home.len > 1)
		home.len--;
	if (u->uid != 0 && cred_become(u->uid, u->gid) < 0)
		return -1;
	/*
	 * root's own file is the one thing read as root: it is below a
	 * directory of root's, and no link is followed out of it.
	 */
	if (span_starts(p, home) && p.len > home.len && p.p[home.len] == '/') {
		base = open(u->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd = base < 0 ? -1 : store_path_open(base, path + home.len,
		    O_RDONLY | O_NONBLOCK | O_NOCTTY);
		e = errno;
		fd_close(&base);
		errno = e;
	} else {
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW |
		    O_CLOEXEC);
	}
	e = errno;
	cred_restore();
	errno = e;
	if (fd < 0)
		return -1;
	if (fstat(fd, st) < 0 || !only_owners(st, u, &bad)) {
		log_warning("%s %s: ignoring it", path, bad);
		close(fd);
		errno = ENOENT;
		return -1;
	}
	return fd;
}

int
deliver_dotforward(struct delivery *d, const struct attr *a,
    const struct user *u)
{
	struct span rest = span_of(conf.forward_path), part;
	struct buf text = BUF_INIT(FORWARD_FILE_MAX);
	struct why why = WHY_INIT;
	struct attr sub = *a;
	struct stat st;
	unsigned before;
	int fd, rc = 0;

	if (conf.require_home_directory) {
		int gone = cred_become(u->uid, u->gid) < 0 ? -1 :
		    stat(u->home, &st);
		int e = errno;

		cred_restore();
		if (u->uid != 0 && gone < 0) {
			note_fail(d, "4.3.0", "cannot access home directory "
			    "%s: %s", u->home, strerror(e));
			return 1;
		}
	}
	/* Met before on this way: the user's own mailbox is meant. */
	for (const struct attr *up = a->up; up != NULL; up = up->up) {
		if (up->origin == FROM_FORWARD && up->as == u)
			return 0;
	}
	if (a->origin == FROM_FORWARD && a->as == u && a->up != NULL &&
	    strcmp(a->up->user, a->user) == 0)
		return 0;
	while (rc == 0 && span_token(&rest, " \t\r\n,", &part)) {
		char *raw = arena_span_dup(d->arena, part);
		char *path = expand_local(d, a, u, raw,
		    conf.forward_expansion_filter, &why);

		if (path == NULL) {
			log_warning("forward_path: %s", why.text);
			note_fail(d, "4.3.5", "mail system configuration "
			    "error");
			rc = 1;
			break;
		}
		fd = path[0] == '/' ? open_forward(u, path, &st) :
		    (errno = ENOENT, -1);
		if (fd < 0) {
			if (errno != ENOENT && errno != ENOTDIR &&
			    errno != EACCES)
				log_warning("cannot open %s: %m: ignoring it",
				    path);
			continue;
		}
		buf_reset(&text);
		if (read_all(fd, path, &text, &why) < 0) {
			close(fd);
			log_warning("%s", why.text);
			note_why(d, &why);
			rc = 1;
			break;
		}
		close(fd);
		/* The first file that is there decides, and an empty one
		 * says: do not forward. */
		sub.origin = FROM_FORWARD;
		sub.as = u->uid == 0 ? &lc.nobody : u;
		sub.owner = a->user;
		sub.up = a;
		sub.alias = NULL;
		before = d->expansions;
		if (!first_time(d, 'f', u->uid, path)) {
			rc = 1;
			break;
		}
		deliver_lines(d, &sub, buf_span(&text));
		if (d->expansions != before)
			rc = 1;
		break;
	}
	buf_fini(&text);
	return rc;
}

void
deliver_include(struct delivery *d, const struct attr *a, const char *path)
{
	const struct user *as = a->as, *owner = NULL;
	struct buf text = BUF_INIT(FORWARD_FILE_MAX);
	struct why why = WHY_INIT;
	struct attr sub = *a;
	const char *bad = NULL;
	struct stat st;
	int fd = -1, e;

	if (path[0] != '/') {
		note_fail(d, "5.3.5", "mail system configuration error");
		log_warning(":include:%s: not an absolute path", path);
		return;
	}
	if (!first_time(d, 'i', 0, path))
		return;
	if (a->level > LEVEL_MAX) {
		note_fail(d, "5.4.6", "possible alias database loop for %s",
		    a->user);
		return;
	}
	if (as != NULL && as->uid != 0 && as != &lc.nobody) {
		/* A user's list, with the user's rights. */
		if (cred_become(as->uid, as->gid) == 0)
			fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY |
			    O_CLOEXEC);
	} else {
		/*
		 * The administrator's.  Read as root, so that a list may be
		 * private; then a link on the way could name any file, so
		 * there must be none.  With links: what anybody may read.
		 */
		struct open_how how = {
			.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			.resolve = RESOLVE_NO_SYMLINKS,
		};

		fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how,
		    sizeof(how));
		if (fd < 0 && errno != ENOENT && cred_become(lc.nobody.uid,
		    lc.nobody.gid) == 0)
			fd = open(path, (int)how.flags);
	}
	e = errno;
	cred_restore();
	if (fd < 0) {
		log_warning("cannot open :include:%s: %s", path, strerror(e));
		note_fail(d, "4.3.5", "cannot open include file %s: %s", path,
		    strerror(e));
		goto out;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		bad = "is not a regular file";
	else if (st.st_mode & S_IWOTH)
		bad = "is world writable";
	else if (as != NULL && as != &lc.nobody && st.st_uid != 0 &&
	    st.st_uid != as->uid)
		bad = "is owned by somebody else";
	if (bad != NULL) {
		log_warning(":include:%s %s", path, bad);
		note_fail(d, "5.2.0", "include file %s %s", path, bad);
		goto out;
	}
	if (read_all(fd, path, &text, &why) < 0) {
		note_why(d, &why);
		goto out;
	}
	/* Commands and files in it have the rights of who wrote it. */
	if (as == NULL || as == &lc.nobody) {
		owner = &lc.nobody;
		if (st.st_uid != 0 && user_by_uid(st.st_uid, &owner,
		    &why) != 1) {
			note_fail(d, "4.3.5", "the owner of include file %s "
			    "is no user", path);
			goto out;
		}
		sub.as = owner;
	}
	sub.origin = FROM_INCLUDE;
	sub.level++;
	sub.up = a;
	sub.alias = NULL;
	deliver_lines(d, &sub, buf_span(&text));
	if (d->delivered == 0 && d->forwards.len == 0 && !d->hard && !d->soft)
		note_ok(d, false, "discarded: include file %s is empty", path);
out:
	fd_close(&fd);
	buf_fini(&text);
}
