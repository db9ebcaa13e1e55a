/* SPDX-License-Identifier: ISC */
#include "conf/cf_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "io/fd.h"

int
cf_file_open(struct cf_file *f, const char *path, size_t max, struct why *why)
{
	*f = (struct cf_file){ .text = BUF_INIT(max),
	    .joined = BUF_INIT(CF_LINE_MAX) };
	if (fd_read_file(AT_FDCWD, path, &f->text) == -1) {
		if (errno == EFBIG)
			why_set(why, "4.3.5", "%s: larger than %zu bytes",
			    path, max);
		else
			why_errno(why, "4.3.5", "open %s", path);
		buf_fini(&f->text);
		return -1;
	}
	if (span_has_nul(buf_span(&f->text))) {
		why_set(why, "4.3.5", "%s: not a text file", path);
		buf_fini(&f->text);
		return -1;
	}
	f->path = mem_strdup(path);
	f->rest = buf_span(&f->text);
	return 0;
}

void
cf_file_from(struct cf_file *f, const char *name, struct span text)
{
	*f = (struct cf_file){ .path = mem_strdup(name),
	    .text = BUF_INIT(text.len), .joined = BUF_INIT(CF_LINE_MAX) };
	buf_add_span(&f->text, text);
	f->rest = buf_span(&f->text);
}

void
cf_file_close(struct cf_file *f)
{
	mem_free(f->path);
	f->path = NULL;
	buf_fini(&f->text);
	buf_fini(&f->joined);
	f->rest = SPAN_EMPTY;
}

static bool
is_blank_or_comment(struct span s)
{
	s = span_trim(s);
	return s.len == 0 || s.p[0] == '#';
}

int
cf_file_next(struct cf_file *f, struct cf_line *line, struct why *why)
{
	struct span s = SPAN_EMPTY, rest;
	bool some = false, many = false;

	while (rest = f->rest, span_line(&rest, &s)) {
		if (is_blank_or_comment(s)) {
			f->lineno++;
			f->rest = rest;
			continue;
		}
		if (some && !isspace((unsigned char)s.p[0]))
			break;
		f->lineno++;
		f->rest = rest;
		if (!some) {
			*line = (struct cf_line){ .text = s,
			    .first = f->lineno, .last = f->lineno,
			    .indented = isspace((unsigned char)s.p[0]) };
			some = true;
			if (s.len > CF_LINE_MAX)
				goto too_long;
			continue;
		}
		if (!many) {
			buf_reset(&f->joined);
			buf_add_span(&f->joined, line->text);
			many = true;
		}
		if (buf_put_span(&f->joined, s) == -1)
			goto too_long;
		line->text = buf_span(&f->joined);
		line->last = f->lineno;
	}
	return some;
too_long:
	return why_set(why, "4.3.5", "%s:%d: line longer than %d bytes",
	    f->path, line->first, CF_LINE_MAX);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
cf_drop_ins(const char *dir, const char *suffix, struct cf_paths *out,
    struct why *why)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	*out = (struct cf_paths){ .list = ARRAY_EMPTY };
	if (d == NULL && errno == ENOENT)
		return 0;
	if (d == NULL)
		return why_errno(why, "4.3.5", "open %s", dir);
	while (errno = 0, (e = readdir(d)) != NULL) {
		struct span name = span_of(e->d_name);

		if (name.p[0] != '.' && span_ends(name, span_of(suffix)))
			*ARRAY_PUSH(&out->list) = mem_printf("%s/%s", dir,
			    e->d_name);
	}
	if (errno != 0) {
		why_errno(why, "4.3.5", "read %s", dir);
		closedir(d);
		cf_paths_fini(out);
		return -1;
	}
	closedir(d);
	if (out->list.len > 1)
		qsort(out->list.v, out->list.len, sizeof(char *), by_name);
	return 0;
}

void
cf_paths_fini(struct cf_paths *p)
{
	for (size_t i = 0; i < p->list.len; i++)
		mem_free(p->list.v[i]);
	ARRAY_FINI(&p->list);
}
