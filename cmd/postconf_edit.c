/* SPDX-License-Identifier: ISC */
/*
 * postconf_edit - -e, -X and -# for main.cf: the lines of a setting are
 * replaced, removed or made comments; all other bytes stay as they are.
 */
#include "cmd/postconf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/cf_file.h"
#include "conf/main_cf.h"
#include "io/fd.h"

/*
 * Who waited for the lock may hold that of a file that has been replaced.  It
 * belongs to the descriptor: a lock of the process would be gone as soon as
 * we have read the file.
 */
static int
lock_file(const char *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat a, b;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd == -1)
			log_fatal("open %s: %s", path, strerror(errno));
		while (fcntl(fd, F_OFD_SETLKW, &l) == -1)
			if (errno != EINTR)
				log_fatal("lock %s: %s", path,
				    strerror(errno));
		if (fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
		    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return fd;
		(void)close(fd);
	}
}

void
postconf_file_open(struct postconf_file *f, const char *dir, const char *name)
{
	char *path = mem_printf("%s/%s", dir, name), *real;

	/* Replace what a symlink points to, not the link. */
	real = realpath(path, NULL);
	if (real == NULL)
		log_fatal("open %s: %s", path, strerror(errno));
	mem_free(path);
	*f = (struct postconf_file){ .path = real,
	    .text = BUF_INIT(CF_CONFIG_MAX), .out = BUF_INIT(BUF_UNLIMITED) };
	f->lock = lock_file(f->path);
	if (fd_read_file(AT_FDCWD, f->path, &f->text) == -1)
		log_fatal("read %s: %s", f->path, strerror(errno));
	if (f->text.len > 0 && f->text.data[f->text.len - 1] != '\n' &&
	    buf_put_char(&f->text, '\n') == -1)
		log_fatal("%s: the file is too large", f->path);
}

void
postconf_file_commit(struct postconf_file *f)
{
	struct stat st;

	if (fstat(f->lock, &st) == -1)
		log_fatal("%s: %s", f->path, strerror(errno));
	if (fd_replace_file(AT_FDCWD, f->path, st.st_mode & 07777,
	    f->out.data, f->out.len) == -1)
		log_fatal("write %s: %s", f->path, strerror(errno));
	if (geteuid() == 0 && (st.st_uid != 0 || st.st_gid != 0) &&
	    chown(f->path, st.st_uid, st.st_gid) == -1)
		log_warning("chown %s: %s", f->path, strerror(errno));
	fd_close(&f->lock);
	buf_fini(&f->text);
	buf_fini(&f->out);
	free(f->path);
	f->path = NULL;
}

bool
postconf_next_line(struct span *rest, struct span *line)
{
	ptrdiff_t nl = span_find(*rest, '\n');
	size_t n = nl < 0 ? rest->len : (size_t)nl + 1;

	if (rest->len == 0)
		return false;
	*line = span_sub(*rest, 0, n);
	*rest = span_from(*rest, n);
	return true;
}

bool
postconf_is_comment(struct span line)
{
	line = span_trim(line);
	return line.len == 0 || line.p[0] == '#';
}

struct change {
	char	*name, *value;		/* value NULL: remove or comment */
	bool	 done;
};

struct changes {
	ARRAY(struct change) list;
};

static struct change *
change_of(struct changes *c, struct span name)
{
	for (size_t i = 0; i < c->list.len; i++)
		if (span_is(name, c->list.v[i].name))
			return &c->list.v[i];
	return NULL;
}

static void
read_change(const struct postconf *p, const char *arg, struct changes *c)
{
	struct span name, value = SPAN_EMPTY;
	struct why why = WHY_INIT;
	struct change *old;

	if (strchr(arg, '\n') != NULL)
		log_fatal("-e, -X, or -# accepts no multi-line input");
	if (p->edit) {
		if (main_cf_split(span_of(arg), &name, &value, &why) == -1)
			log_fatal("%s", why.text);
	} else {
		name = span_trim(span_of(arg));
		if (name.len == 0 || span_find(name, '=') >= 0)
			log_fatal("-X or -# requires parameter names without "
			    "value: \"%s\"", arg);
	}
	if (name.len > 0 && name.p[0] == '#')
		log_fatal("-e, -X, or -# accepts no comment input");
	for (size_t i = 0; i < name.len; i++)
		if (isspace((unsigned char)name.p[i]))
			log_fatal("bad parameter name \"%.*s\"",
			    SPAN_ARG(name));
	old = change_of(c, name);
	if (old == NULL) {
		old = ARRAY_PUSH(&c->list);
		old->name = span_dup(name);
	}
	mem_free(old->value);
	old->value = p->edit ? span_dup(value) : NULL;
}

static void
write_setting(struct postconf_file *f, const struct change *c)
{
	/* Byte by byte what Postfix writes, for those who compare files. */
	buf_addf(&f->out, "%s = %s\n", c->name, c->value);
}

int
postconf_edit_main(struct postconf *p, int argc, char **argv)
{
	struct changes changes = { .list = ARRAY_EMPTY };
	struct postconf_file f;
	struct span rest, line;
	struct change *now = NULL;	/* whose lines we are in */

	for (int i = 0; i < argc; i++)
		read_change(p, argv[i], &changes);
	postconf_file_open(&f, p->config_dir, "main.cf");
	rest = buf_span(&f.text);
	while (postconf_next_line(&rest, &line)) {
		size_t n = 0;

		if (postconf_is_comment(line)) {
			buf_add_span(&f.out, line);
			continue;
		}
		if (!isspace((unsigned char)line.p[0])) {
			while (n < line.len && line.p[n] != '=' &&
			    !isspace((unsigned char)line.p[n]))
				n++;
			now = change_of(&changes, span_sub(line, 0, n));
			if (now != NULL && now->value != NULL) {
				if (now->done)
					log_warning("%s: multiple entries for "
					    "\"%s\"", f.path, now->name);
				write_setting(&f, now);
			}
			if (now != NULL)
				now->done = true;
		}
		if (now == NULL) {
			buf_add_span(&f.out, line);
		} else if (p->comment) {
			buf_add_char(&f.out, '#');
			buf_add_span(&f.out, line);
		}
	}
	for (size_t i = 0; i < changes.list.len; i++) {
		struct change *c = &changes.list.v[i];

		if (!c->done && c->value != NULL)
			write_setting(&f, c);
		mem_free(c->name);
		mem_free(c->value);
	}
	ARRAY_FINI(&changes.list);
	postconf_file_commit(&f);
	return 0;
}
