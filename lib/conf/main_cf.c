/* SPDX-License-Identifier: ISC */
#include "conf/main_cf.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>

#include "conf/cf_file.h"

void
params_problem(params_problem_fn *problem, void *arg, bool is_error,
    const char *origin, const char *fmt, ...)
{
	struct buf b = BUF_INIT(8192);
	va_list ap;

	if (problem == NULL)
		return;
	/* A value may be long; the message is cut, not lost. */
	(void)!buf_printf(&b, "%s: ", origin);
	va_start(ap, fmt);
	if (buf_vprintf(&b, fmt, ap) == -1)
		(void)!buf_put_str(&b, "(text too long)");
	va_end(ap);
	problem(arg, is_error, b.data);
	buf_fini(&b);
}

int
main_cf_split(struct span line, struct span *name, struct span *value,
    struct why *why)
{
	size_t n = 0;
	struct span rest;

	line = span_trim(line);
	while (n < line.len && !isspace((unsigned char)line.p[n]) &&
	    line.p[n] != '=')
		n++;
	*name = span_sub(line, 0, n);
	rest = span_trim(span_from(line, n));
	if (n == 0)
		return why_set(why, "4.3.5", "missing attribute name: "
		    "\"%.*s\"", SPAN_ARG(line));
	if (rest.len == 0 || rest.p[0] != '=')
		return why_set(why, "4.3.5", "missing '=' after attribute "
		    "name: \"%.*s\"", SPAN_ARG(line));
	*value = span_trim(span_from(rest, 1));
	return 0;
}

const struct main_cf_setting *
main_cf_find(const struct main_cf *m, const char *name)
{
	return hash_get(&m->by_name, span_of(name));
}

static struct main_cf_setting *
enter(struct main_cf *m, struct span name)
{
	struct main_cf_setting *s = hash_get(&m->by_name, name);

	if (s == NULL) {
		s = mem_zalloc(sizeof(*s));
		s->name = span_dup(name);
		hash_put(&m->by_name, name, s);
		*ARRAY_PUSH(&m->settings) = s;
	}
	return s;
}

static void
set(struct main_cf_setting *s, struct span value, const char *origin)
{
	mem_free(s->value);
	mem_free(s->origin);
	s->value = span_dup(value);
	s->origin = mem_strdup(origin);
}

/* Letters, digits and what names of services may hold. */
static bool
name_ok(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (!isalnum(c) && strchr("_-.:/", c) == NULL)
			return false;
	}
	return true;
}

static void
read_line(struct main_cf *m, const char *path, const struct cf_line *line,
    params_problem_fn *problem, void *arg)
{
	struct why why = WHY_INIT;
	struct main_cf_setting *s;
	struct span name, value;
	char *origin = mem_printf("%s:%d", path, line->first);

	if (main_cf_split(line->text, &name, &value, &why) == -1) {
		params_problem(problem, arg, true, origin, "%s", why.text);
		m->errors++;
		goto out;
	}
	if (!name_ok(name)) {
		params_problem(problem, arg, true, origin, "bad parameter "
		    "name \"%.*s\"", SPAN_ARG(name));
		m->errors++;
		goto out;
	}
	s = hash_get(&m->by_name, name);
	if (s == NULL && m->settings.len >= MAIN_CF_SETTINGS_MAX) {
		if (m->settings.len == MAIN_CF_SETTINGS_MAX && m->errors == 0)
			params_problem(problem, arg, true, origin,
			    "more than %d parameters", MAIN_CF_SETTINGS_MAX);
		m->errors++;
		goto out;
	}
	/* "path:" in front: set before in this same file. */
	if (s != NULL && strncmp(s->origin, path, strlen(path)) == 0 &&
	    s->origin[strlen(path)] == ':')
		params_problem(problem, arg, false, origin,
		    "overriding earlier entry of line %s: %s=%s",
		    s->origin + strlen(path) + 1, s->name, s->value);
	set(enter(m, name), value, origin);
out:
	mem_free(origin);
}

static void
read_file(struct main_cf *m, const char *path, params_problem_fn *problem,
    void *arg)
{
	struct why why = WHY_INIT;
	struct cf_file f;
	struct cf_line line;
	int rc;

	if (cf_file_open(&f, path, CF_CONFIG_MAX, &why) == -1) {
		if (problem != NULL)
			problem(arg, true, why.text);
		m->errors++;
		return;
	}
	while ((rc = cf_file_next(&f, &line, &why)) == 1) {
		read_line(m, path, &line, problem, arg);
	}
	if (rc == -1) {
		if (problem != NULL)
			problem(arg, true, why.text);
		m->errors++;
	}
	cf_file_close(&f);
}

void
main_cf_read(struct main_cf *m, const char *config_dir,
    params_problem_fn *problem, void *arg)
{
	struct why why = WHY_INIT;
	struct cf_paths drop_ins;
	char *path = mem_printf("%s/main.cf", config_dir);
	char *dir = mem_printf("%s/main.cf.d", config_dir);

	read_file(m, path, problem, arg);
	if (cf_drop_ins(dir, ".cf", &drop_ins, &why) == -1) {
		if (problem != NULL)
			problem(arg, true, why.text);
		m->errors++;
	} else {
		for (size_t i = 0; i < drop_ins.list.len; i++)
			read_file(m, drop_ins.list.v[i], problem, arg);
		cf_paths_fini(&drop_ins);
	}
	mem_free(path);
	mem_free(dir);
}

void
main_cf_override(struct main_cf *m, const char *text, const char *origin,
    params_problem_fn *problem, void *arg)
{
	struct why why = WHY_INIT;
	struct span s = span_trim(span_of(text)), name, value;
	struct main_cf_setting *set_to;

	if (s.len >= 2 && s.p[0] == '{' && s.p[s.len - 1] == '}')
		s = span_trim(span_sub(s, 1, s.len - 2));
	if (main_cf_split(s, &name, &value, &why) == -1) {
		params_problem(problem, arg, true, origin, "%s", why.text);
		m->errors++;
		return;
	}
	if (!name_ok(name)) {
		params_problem(problem, arg, true, origin, "bad parameter "
		    "name \"%.*s\"", SPAN_ARG(name));
		m->errors++;
		return;
	}
	set_to = enter(m, name);
	set(set_to, value, origin);
	set_to->override = true;
}

/* Three strings a setting, each with its NUL. */
void
main_cf_pack(const struct main_cf *m, struct buf *out)
{
	for (size_t i = 0; i < m->settings.len; i++) {
		const struct main_cf_setting *s = m->settings.v[i];

		if (s->override)
			continue;
		buf_add(out, s->name, strlen(s->name) + 1);
		buf_add(out, s->value, strlen(s->value) + 1);
		buf_add(out, s->origin, strlen(s->origin) + 1);
	}
}

int
main_cf_unpack(struct main_cf *m, struct span packed)
{
	while (packed.len > 0) {
		const char *part[3];

		for (size_t i = 0; i < ARRAY_LEN(part); i++) {
			const char *end = packed.len > 0 ?
			    memchr(packed.p, '\0', packed.len) : NULL;

			if (end == NULL)
				return -1;
			part[i] = packed.p;
			packed = span_from(packed,
			    (size_t)(end - packed.p) + 1);
		}
		if (m->settings.len >= MAIN_CF_SETTINGS_MAX)
			return -1;
		set(enter(m, span_of(part[0])), span_of(part[1]), part[2]);
	}
	return 0;
}

void
main_cf_fini(struct main_cf *m)
{
	for (size_t i = 0; i < m->settings.len; i++) {
		struct main_cf_setting *s = m->settings.v[i];

		mem_free(s->name);
		mem_free(s->value);
		mem_free(s->origin);
		mem_free(s);
	}
	ARRAY_FINI(&m->settings);
	hash_fini(&m->by_name, NULL);
	m->errors = 0;
}
