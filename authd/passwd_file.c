/* SPDX-License-Identifier: ISC */
/*
 * passwd_file - see passwd_file.h.
 */
#include "authd/passwd_file.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"

#define FILE_MAX_LEN	(64u << 20)	/* bytes */

struct passwd_file {
	char		*path;
	struct buf	 all;
	struct hash	 index;		/* user -> offset in all, + 1 */
	struct stat	 seen;
	bool		 read;
};

struct passwd_file *
passwd_file_new(const char *path)
{
	struct passwd_file *f = mem_zalloc(sizeof(*f));

	f->path = mem_strdup(path);
	f->all = BUF_INIT(FILE_MAX_LEN);
	return f;
}

void
passwd_file_free(struct passwd_file **fp)
{
	struct passwd_file *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	buf_wipe(&f->all);
	hash_fini(&f->index, NULL);
	mem_free(f->path);
	mem_free(f);
}

static int
refresh(struct passwd_file *f, struct why *why)
{
	struct span rest, line;
	struct stat st;

	if (stat(f->path, &st) < 0)
		return why_errno(why, "4.3.0", "%s", f->path);
	if (f->read && st.st_ino == f->seen.st_ino &&
	    st.st_dev == f->seen.st_dev && st.st_size == f->seen.st_size &&
	    st.st_mtim.tv_sec == f->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec)
		return 0;
	buf_wipe(&f->all);
	hash_fini(&f->index, NULL);
	f->read = false;
	if (fd_read_file(AT_FDCWD, f->path, &f->all) < 0)
		return why_errno(why, "4.3.0", "cannot read %s", f->path);
	rest = buf_span(&f->all);
	while (span_line(&rest, &line)) {
		ptrdiff_t colon = span_find(line, ':');

		if (colon > 0 && line.p[0] != '#')
			(void)hash_put(&f->index, span_sub(line, 0,
			    (size_t)colon), (void *)(uintptr_t)
			    (line.p - f->all.data + 1));
	}
	f->seen = st;
	f->read = true;
	return 0;
}

static struct span
next(struct span *rest)
{
	ptrdiff_t colon = span_find(*rest, ':');
	struct span f = colon < 0 ? *rest : span_sub(*rest, 0, (size_t)colon);

	*rest = colon < 0 ? SPAN("") : span_from(*rest, (size_t)colon + 1);
	return f;
}

bool
passwd_file_parse(struct span line, struct span *user, struct account *out)
{
	struct span secret, uid, gid, home;
	uint32_t u, g;

	*user = next(&line);
	if (user->len == 0 || user->p[0] == '#' || span_has_nul(line))
		return false;
	secret = next(&line);
	uid = next(&line);
	gid = next(&line);
	(void)next(&line);			/* gecos */
	home = next(&line);
	if (secret.len > 0 && secret.p[0] != '{' &&
	    buf_put_str(&out->text, "{CRYPT}") < 0)
		return false;
	if (buf_put_span(&out->text, secret) < 0)
		return false;
	if (num_parse_u32(uid, UINT32_MAX - 1, &u) == 0 && u > 0 &&
	    num_parse_u32(gid, UINT32_MAX - 1, &g) == 0 && g > 0 &&
	    home.len > 0 && home.p[0] == '/' &&
	    buf_put_span(&out->home, home) == 0) {
		out->uid = u;
		out->gid = g;
	}
	return true;
}

int
passwd_file_get(struct passwd_file *f, struct span user, struct account *out,
    struct why *why)
{
	struct span rest, line, name;
	uintptr_t at;

	if (refresh(f, why) < 0)
		return -1;
	at = (uintptr_t)hash_get(&f->index, user);
	if (at == 0)
		return 0;
	rest = span_from(buf_span(&f->all), at - 1);
	return span_line(&rest, &line) && passwd_file_parse(line, &name, out);
}
