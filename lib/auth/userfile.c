/* SPDX-License-Identifier: ISC */
/*
 * userfile - see userfile.h.
 */
#include "auth/userfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/userline.h"
#include "base/buf.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"

#define USERFILE_MAX	(256u << 20)	/* bytes */

static void
index_line(struct userfile *f, size_t i)
{
	struct userfile_line *l = &f->lines.v[i];

	(void)hash_put(&f->index, span_make(l->text, l->address_len),
	    (void *)(uintptr_t)(i + 1));
}

int
userfile_read(struct userfile *f, const char *path, struct why *why)
{
	struct buf all = BUF_INIT(USERFILE_MAX);
	struct span in, line;
	int number = 0;

	*f = (struct userfile){ .path = mem_strdup(path) };
	if (fd_read_file(AT_FDCWD, path, &all) < 0) {
		buf_fini(&all);
		if (errno == ENOENT)
			return 0;
		(void)why_errno(why, "4.3.0", "cannot read %s", path);
		userfile_fini(f);
		return -1;
	}
	in = buf_span(&all);
	while (span_line(&in, &line)) {
		struct userfile_line *l;
		ptrdiff_t colon = span_find(line, ':');
		bool comment = line.len == 0 || line.p[0] == '#';

		number++;
		if ((!comment && colon <= 0) || span_has_nul(line)) {
			(void)why_set(why, "4.3.5", "%s:%d: not a line "
			    "\"address:{scheme}hash:\"", path, number);
			buf_wipe(&all);
			userfile_fini(f);
			return -1;
		}
		l = ARRAY_PUSH(&f->lines);
		l->text = span_dup(line);
		if (comment)
			continue;
		l->address_len = (size_t)colon;
		if (userfile_has(f, span_make(l->text, l->address_len))) {
			(void)why_set(why, "4.3.5", "%s:%d: %.*s is there "
			    "twice", path, number, (int)l->address_len,
			    l->text);
			buf_wipe(&all);
			userfile_fini(f);
			return -1;
		}
		f->count++;
		index_line(f, f->lines.len - 1);
	}
	buf_wipe(&all);
	return 0;
}

void
userfile_fini(struct userfile *f)
{
	for (size_t i = 0; i < f->lines.len; i++) {
		mem_wipe(f->lines.v[i].text, strlen(f->lines.v[i].text));
		mem_free(f->lines.v[i].text);
	}
	ARRAY_FINI(&f->lines);
	hash_fini(&f->index, NULL);
	mem_free(f->path);
	f->path = NULL;
}

static struct userfile_line *
find(const struct userfile *f, struct span address)
{
	uintptr_t n = (uintptr_t)hash_get(&f->index, address);

	return n > 0 ? &f->lines.v[n - 1] : NULL;
}

bool
userfile_has(const struct userfile *f, struct span address)
{
	return find(f, address) != NULL;
}

bool
userfile_hash(const struct userfile *f, struct span address, struct span *hash)
{
	const struct userfile_line *l = find(f, address);
	ptrdiff_t colon;

	if (l == NULL)
		return false;
	*hash = span_from(span_of(l->text), l->address_len + 1);
	if ((colon = span_find(*hash, ':')) >= 0)
		hash->len = (size_t)colon;
	return true;
}

bool
userfile_line(const struct userfile *f, struct span address,
    struct span *text)
{
	const struct userfile_line *l = find(f, address);

	if (l == NULL)
		return false;
	*text = span_from(span_of(l->text), l->address_len + 1);
	return true;
}

bool
userfile_put(struct userfile *f, struct span address, struct span text)
{
	struct userfile_line *l = find(f, address);
	char *line = mem_printf("%.*s:%.*s", SPAN_ARG(address),
	    SPAN_ARG(text));

	if (l != NULL) {
		mem_wipe(l->text, strlen(l->text));
		mem_free(l->text);
		l->text = line;
		return false;
	}
	l = ARRAY_PUSH(&f->lines);
	l->text = line;
	l->address_len = address.len;
	f->count++;
	index_line(f, f->lines.len - 1);
	return true;
}

bool
userfile_set(struct userfile *f, struct span address, struct span hash)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span old = SPAN("");
	bool fresh;

	(void)userfile_line(f, address, &old);
	userline_edit(old, SPAN(""), hash, &text);
	fresh = userfile_put(f, address, buf_span(&text));
	buf_wipe(&text);
	return fresh;
}

bool
userfile_delete(struct userfile *f, struct span address)
{
	struct userfile_line *l = find(f, address);

	if (l == NULL)
		return false;
	l->gone = true;
	(void)hash_del(&f->index, address);
	f->count--;
	return true;
}

int
userfile_write(const struct userfile *f, struct why *why)
{
	struct buf all = BUF_INIT(BUF_UNLIMITED);
	char *tmp = mem_printf("%s.tmp.%ld", f->path, (long)getpid());
	struct stat st;
	int fd, rc = -1;

	for (size_t i = 0; i < f->lines.len; i++) {
		if (f->lines.v[i].gone)
			continue;
		buf_add_str(&all, f->lines.v[i].text);
		buf_add_char(&all, '\n');
	}
	(void)unlink(tmp);
	fd = fault_openat(AT_FDCWD, tmp, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		(void)why_errno(why, "4.3.0", "cannot create %s", tmp);
		goto out;
	}
	/* Whoever may read it now may read it afterwards. */
	if (stat(f->path, &st) == 0 && geteuid() == 0 &&
	    fchown(fd, st.st_uid, st.st_gid) < 0) {
		(void)why_errno(why, "4.3.0", "cannot give %s its owner", tmp);
		goto out;
	}
	if (fchmod(fd, 0640) < 0 || fd_write_all(fd, all.data, all.len) < 0 ||
	    fault_fsync(fd) < 0 ||
	    fault_renameat(AT_FDCWD, tmp, AT_FDCWD, f->path) < 0) {
		(void)why_errno(why, "4.3.0", "cannot write %s", f->path);
		goto out;
	}
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		(void)unlink(tmp);
	mem_free(tmp);
	buf_wipe(&all);
	return rc;
}
