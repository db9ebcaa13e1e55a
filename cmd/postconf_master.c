/* SPDX-License-Identifier: ISC */
/*
 * postconf_master - -M, -F and -P: the services of master.cf, their fields,
 * and the parameters that -o gives them.
 *
 * Services are named service/type, fields service/type/field, parameters
 * service/type/name; "*" stands for any.
 */
#include "cmd/postconf.h"

#include <ctype.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/cf_file.h"
#include "conf/main_cf.h"
#include "conf/master_cf.h"
#include "conf/params.h"

#define LINE_LIMIT	80
#define INDENT		4

static void
report(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_fatal("%s", line);
	log_warning("%s", line);
}

/* --- patterns ------------------------------------------------------------------ */

struct pattern {
	struct span	part[3];	/* empty: not given */
	size_t		n;
	bool		matched;
};

static void
parse_pattern(const char *text, size_t max, struct pattern *out)
{
	struct span rest = span_of(text);
	ptrdiff_t slash;

	*out = (struct pattern){ .n = 0 };
	/* A service name may contain slashes; types and names do not. */
	while (out->n + 1 < max && (slash = span_find(rest, '/')) >= 0) {
		out->part[out->n++] = span_sub(rest, 0, (size_t)slash);
		rest = span_from(rest, (size_t)slash + 1);
	}
	out->part[out->n++] = rest;
}

static bool
part_matches(const struct pattern *p, size_t i, const char *text)
{
	return i >= p->n || span_is(p->part[i], "*") ||
	    span_is(p->part[i], text);
}

static bool
service_matches(const struct pattern *p, const struct service_text *s)
{
	return part_matches(p, 0, s->columns[MASTER_NAME]) &&
	    part_matches(p, 1, s->columns[MASTER_TYPE]);
}

/* --- showing ------------------------------------------------------------------- */

static void
put_columns(const struct service_text *s, struct buf *out)
{
	static const size_t goal[MASTER_COLUMNS] = {
		0, 11, 17, 25, 33, 41, 49, 57
	};
	size_t start = out->len;

	for (int i = 0; i < MASTER_COLUMNS; i++) {
		if (i > 0)
			do
				buf_add_char(out, ' ');
			while (out->len - start < goal[i]);
		buf_add_str(out, s->columns[i]);
	}
}

/* The text of an -o argument as name and value. */
static bool
split_override(const char *arg, struct span *name, struct span *value)
{
	struct span s = span_of(arg);

	if (s.len >= 2 && s.p[0] == '{' && s.p[s.len - 1] == '}')
		s = span_sub(s, 1, s.len - 2);
	return main_cf_split(s, name, value, NULL) == 0;
}

static bool
has_space(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (isspace((unsigned char)s.p[i]))
			return true;
	return false;
}

/* "name=value", in braces where there is space in it. */
static char *
join_override(struct span name, struct span value)
{
	return mem_printf(has_space(value) ? "{%.*s=%.*s}" : "%.*s=%.*s",
	    SPAN_ARG(name), SPAN_ARG(value));
}

/* The argument behind -o, with -x expanded. */
static void
put_override(const struct postconf *p, const char *arg, struct buf *out)
{
	struct buf expanded = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct span name, value;
	char *text;

	if (!split_override(arg, &name, &value)) {
		buf_addf(out, " %s", arg);
		return;
	}
	if (p->expand) {
		text = span_dup(value);
		if (params_expand(text, &expanded, &why) == -1)
			log_fatal("-o %s: %s", arg, why.text);
		mem_free(text);
		value = buf_span(&expanded);
	}
	text = join_override(name, value);
	buf_addf(out, " %s", text);
	mem_free(text);
	buf_fini(&expanded);
}

static void
put_args(const struct postconf *p, const struct service_text *s,
    struct buf *out, size_t start)
{
	size_t options = service_text_options(s);

	for (size_t i = 0; i < s->args.len; i++) {
		const char *arg = s->args.v[i];
		bool is_o = i < options && strcmp(arg, "-o") == 0 &&
		    i + 1 < s->args.len;
		size_t n = strlen(arg) + (is_o ? strlen(s->args.v[i + 1]) + 1
		    : 0);

		if (p->fold && (is_o || out->len - start + 1 + n >=
		    LINE_LIMIT)) {
			buf_addf(out, "\n%*s", INDENT, "");
			start = out->len - INDENT;
		} else {
			buf_add_char(out, ' ');
		}
		buf_add_str(out, arg);
		if (is_o)
			put_override(p, s->args.v[++i], out);
	}
}

static void
service_line(const struct postconf *p, const struct service_text *s,
    struct buf *out)
{
	size_t start = out->len;

	put_columns(s, out);
	put_args(p, s, out, start);
}

static char *
origin_of(const struct service_text *s)
{
	return mem_printf("%s:%d", s->path, s->first);
}

static void
show_service(const struct postconf *p, const struct service_text *s)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (p->show_origin)
		(void)printf("%s:%d: ", s->path, s->first);
	service_line(p, s, &b);
	(void)puts(b.data);
	buf_fini(&b);
}

/* The command with all its arguments is one field. */
static char *
field_value(const struct postconf *p, const struct service_text *s, int i)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct postconf plain = *p;

	buf_add_str(&b, s->columns[i]);
	if (i == MASTER_COMMAND) {
		plain.fold = false;
		put_args(&plain, s, &b, 0);
	}
	return buf_take(&b);
}

static void
show_item(const struct postconf *p, const struct service_text *s,
    const char *item, const char *value)
{
	char *name = mem_printf("%s/%s/%s", s->columns[MASTER_NAME],
	    s->columns[MASTER_TYPE], item);
	char *origin = origin_of(s);

	postconf_print(p, name, value, origin);
	mem_free(name);
	mem_free(origin);
}

static bool
show_fields(const struct postconf *p, const struct service_text *s,
    const struct pattern *pattern)
{
	bool found = false;

	for (int i = 0; i < MASTER_COLUMNS; i++) {
		char *value;

		if (!part_matches(pattern, 2, master_column_names[i]))
			continue;
		value = field_value(p, s, i);
		show_item(p, s, master_column_names[i], value);
		mem_free(value);
		found = true;
	}
	return found;
}

struct override {
	char	*name, *value;
};

struct overrides {
	ARRAY(struct override) list;
};

static int
by_override(const void *a, const void *b)
{
	const struct override *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static bool
show_overrides(const struct postconf *p, const struct service_text *s,
    const struct pattern *pattern)
{
	struct overrides o = { .list = ARRAY_EMPTY };
	size_t options = service_text_options(s);
	bool found = false;

	for (size_t i = 0; i + 1 < options; i++) {
		struct span name, value;
		struct override *one;

		if (strcmp(s->args.v[i], "-o") != 0)
			continue;
		if (split_override(s->args.v[++i], &name, &value)) {
			one = ARRAY_PUSH(&o.list);
			one->name = span_dup(name);
			one->value = span_dup(value);
		}
	}
	if (o.list.len > 1)
		qsort(o.list.v, o.list.len, sizeof(o.list.v[0]), by_override);
	for (size_t i = 0; i < o.list.len; i++) {
		if (part_matches(pattern, 2, o.list.v[i].name)) {
			show_item(p, s, o.list.v[i].name, o.list.v[i].value);
			found = true;
		}
		mem_free(o.list.v[i].name);
		mem_free(o.list.v[i].value);
	}
	ARRAY_FINI(&o.list);
	return found;
}

static bool
show_one(const struct postconf *p, const struct service_text *s,
    const struct pattern *pattern)
{
	if (!service_matches(pattern, s))
		return false;
	if (p->fields)
		return show_fields(p, s, pattern);
	if (p->overrides)
		return show_overrides(p, s, pattern);
	show_service(p, s);
	return true;
}

static void
show_file(const struct postconf *p, const char *path,
    struct pattern *patterns, size_t n)
{
	struct master_cf_text text;
	struct pattern all = { .n = 0 };

	if (master_cf_read(path, &text, report, NULL) == -1)
		log_fatal("%s: cannot be read", path);
	for (size_t i = 0; i < text.services.len; i++) {
		if (n == 0)
			(void)show_one(p, &text.services.v[i], &all);
		for (size_t j = 0; j < n; j++)
			patterns[j].matched |= show_one(p,
			    &text.services.v[i], &patterns[j]);
	}
	master_cf_text_fini(&text);
}

int
postconf_show_master(struct postconf *p, int argc, char **argv)
{
	size_t n = (size_t)argc;
	struct pattern *patterns = mem_zalloc_array(n + 1, sizeof(*patterns));
	char *path = mem_printf("%s/master.cf", p->config_dir);
	char *dir = mem_printf("%s/master.cf.d", p->config_dir);
	struct why why = WHY_INIT;
	struct cf_paths drop_ins;

	for (size_t i = 0; i < n; i++)
		parse_pattern(argv[i], p->services ? 2 : 3, &patterns[i]);
	show_file(p, path, patterns, n);
	if (cf_drop_ins(dir, ".cf", &drop_ins, &why) == -1)
		log_fatal("%s", why.text);
	for (size_t i = 0; i < drop_ins.list.len; i++)
		show_file(p, drop_ins.list.v[i], patterns, n);
	for (size_t i = 0; i < n; i++)
		if (!patterns[i].matched)
			log_warning("unmatched request: \"%s\"", argv[i]);
	cf_paths_fini(&drop_ins);
	mem_free(patterns);
	mem_free(path);
	mem_free(dir);
	return 0;
}

/* --- editing --------------------------------------------------------------------- */

struct request {
	const char	*arg;
	struct pattern	 pattern;
	struct span	 value;		/* behind '=' */
	bool		 matched;
};

static void
parse_request(const struct postconf *p, const char *arg, struct request *r)
{
	struct span s = span_of(arg), left;
	ptrdiff_t eq = span_find(s, '=');

	if (strchr(arg, '\n') != NULL)
		log_fatal("-e, -X, or -# accepts no multi-line input");
	*r = (struct request){ .arg = arg };
	if (p->edit && eq < 0)
		log_fatal("missing '=' after attribute name: \"%s\"", arg);
	if (!p->edit && eq >= 0)
		log_fatal("-X or -# requires names without value: \"%s\"",
		    arg);
	left = span_trim(eq < 0 ? s : span_sub(s, 0, (size_t)eq));
	if (eq >= 0)
		r->value = span_trim(span_from(s, (size_t)eq + 1));
	/* The pattern's spans point into arg. */
	for (size_t max = p->services ? 2 : 3; r->pattern.n < max;) {
		ptrdiff_t slash = r->pattern.n + 1 < max
		    ? span_find(left, '/') : -1;

		if (slash < 0) {
			r->pattern.part[r->pattern.n++] = left;
			break;
		}
		r->pattern.part[r->pattern.n++] = span_sub(left, 0,
		    (size_t)slash);
		left = span_from(left, (size_t)slash + 1);
	}
	if (r->pattern.n != (p->services ? 2u : 3u))
		log_fatal("bad name \"%s\": expected %s", arg, p->services
		    ? "service/type" : p->fields ? "service/type/field"
		    : "service/type/parameter");
}

/* Put name=value, with braces when it has space, in the place of an -o of
 * that name, or behind the options.  value NULL removes. */
static bool
change_override(struct service_text *s, struct span name,
    const struct span *value)
{
	size_t options = service_text_options(s), at = options;
	struct span n, v;
	char *text = NULL;

	for (size_t i = 0; i + 1 < options; i++) {
		if (strcmp(s->args.v[i], "-o") != 0)
			continue;
		i++;
		if (split_override(s->args.v[i], &n, &v) && span_eq(n, name))
			at = i;
	}
	if (value != NULL) {
		text = join_override(name, *value);
		if (at < options) {
			mem_free(s->args.v[at]);
			s->args.v[at] = text;
			return true;
		}
		(void)ARRAY_PUSH(&s->args);
		(void)ARRAY_PUSH(&s->args);
		memmove(&s->args.v[at + 2], &s->args.v[at],
		    (s->args.len - 2 - at) * sizeof(char *));
		s->args.v[at] = mem_strdup("-o");
		s->args.v[at + 1] = text;
		return true;
	}
	if (at == options)
		return false;
	mem_free(s->args.v[at - 1]);
	mem_free(s->args.v[at]);
	memmove(&s->args.v[at - 1], &s->args.v[at + 1],
	    (s->args.len - at - 1) * sizeof(char *));
	s->args.len -= 2;
	return true;
}

static void
change_field(struct service_text *s, struct span field, struct span value)
{
	for (int i = 0; i < MASTER_COLUMNS; i++) {
		struct service_text parsed;
		struct why why = WHY_INIT;
		char *line;

		if (!span_is(field, master_column_names[i]))
			continue;
		if (i != MASTER_COMMAND) {
			if (has_space(value))
				log_fatal("whitespace in the value of field "
				    "\"%s\"", master_column_names[i]);
			if (value.len == 0)
				log_fatal("empty value of field \"%s\"",
				    master_column_names[i]);
			mem_free(s->columns[i]);
			s->columns[i] = span_dup(value);
			return;
		}
		/* The command and its arguments. */
		line = mem_printf("a unix - - - - - %.*s", SPAN_ARG(value));
		if (master_cf_parse_line(span_of(line), &parsed, &why) == -1)
			log_fatal("%s", why.text);
		mem_free(line);
		mem_free(s->columns[MASTER_COMMAND]);
		for (size_t j = 0; j < s->args.len; j++)
			mem_free(s->args.v[j]);
		ARRAY_FINI(&s->args);
		s->columns[MASTER_COMMAND] = parsed.columns[MASTER_COMMAND];
		parsed.columns[MASTER_COMMAND] = NULL;
		s->args.v = parsed.args.v;
		s->args.len = parsed.args.len;
		s->args.alloc = parsed.args.alloc;
		parsed.args.v = NULL;
		parsed.args.len = 0;
		service_text_fini(&parsed);
		return;
	}
	log_fatal("unknown field \"%.*s\": expected service, type, private, "
	    "unprivileged, chroot, wakeup, process_limit or command",
	    SPAN_ARG(field));
}

static void
report_error(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_fatal("%s", line);
}

/* What an edit would leave must be right. */
static void
check_service(const struct service_text *s)
{
	char *origin = mem_printf("%s/%s", s->columns[MASTER_NAME],
	    s->columns[MASTER_TYPE]);

	if (master_cf_check(s, origin, report_error, NULL) == -1)
		log_fatal("%s: bad service", origin);
	mem_free(origin);
}

/* The changed line, or nothing when the service was removed.  False: this
 * service is not touched. */
static bool
change_service(const struct postconf *p, const struct service_text *old,
    struct request *requests, size_t n, struct buf *out)
{
	struct service_text s;
	struct postconf folded = *p;
	struct buf line = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	bool changed = false, removed = false;

	/* A copy: parse again what is there. */
	folded.fold = folded.expand = false;
	service_line(&folded, old, &line);
	if (master_cf_parse_line(buf_span(&line), &s, &why) == -1)
		log_fatal("%s", why.text);
	buf_fini(&line);
	for (size_t i = 0; i < n; i++) {
		struct request *r = &requests[i];

		if (!service_matches(&r->pattern, old))
			continue;
		if (p->services && p->edit) {
			service_text_fini(&s);
			if (master_cf_parse_line(r->value, &s, &why) == -1)
				log_fatal("%s: \"%.*s\"", why.text,
				    SPAN_ARG(r->value));
			changed = r->matched = true;
		} else if (p->services) {
			removed = changed = r->matched = true;
		} else if (p->fields) {
			change_field(&s, r->pattern.part[2], r->value);
			changed = r->matched = true;
		} else if (change_override(&s, r->pattern.part[2],
		    p->edit ? &r->value : NULL)) {
			changed = r->matched = true;
		}
	}
	if (changed && !removed) {
		check_service(&s);
		folded.fold = true;
		service_line(&folded, &s, out);
		buf_add_char(out, '\n');
	}
	service_text_fini(&s);
	return changed;
}

/* Copy the lines first to last (numbers from 1), as comments or not at all. */
static void
drop_lines(const struct postconf *p, struct span *rest, int from, int to,
    struct buf *out)
{
	struct span line;

	for (int i = from; i <= to && postconf_next_line(rest, &line); i++) {
		if (postconf_is_comment(line)) {
			buf_add_span(out, line);
		} else if (p->comment) {
			buf_add_char(out, '#');
			buf_add_span(out, line);
		}
	}
}

static void
add_new(const struct postconf *p, const struct request *r, struct buf *out)
{
	struct service_text s;
	struct postconf folded = *p;
	struct why why = WHY_INIT;

	if (master_cf_parse_line(r->value, &s, &why) == -1)
		log_fatal("%s: \"%.*s\"", why.text, SPAN_ARG(r->value));
	if (!span_is(r->pattern.part[0], s.columns[MASTER_NAME]) ||
	    !span_is(r->pattern.part[1], s.columns[MASTER_TYPE]))
		log_fatal("the service in \"%s\" is %s/%s", r->arg,
		    s.columns[MASTER_NAME], s.columns[MASTER_TYPE]);
	check_service(&s);
	folded.fold = true;
	service_line(&folded, &s, out);
	buf_add_char(out, '\n');
	service_text_fini(&s);
}

int
postconf_edit_master(struct postconf *p, int argc, char **argv)
{
	size_t n = (size_t)argc;
	struct request *requests = mem_zalloc_array(n + 1,
	    sizeof(*requests));
	struct master_cf_text text;
	struct postconf_file f;
	struct span rest, line;
	int at = 1;

	for (size_t i = 0; i < n; i++)
		parse_request(p, argv[i], &requests[i]);
	postconf_file_open(&f, p->config_dir, "master.cf");
	if (master_cf_read(f.path, &text, report, NULL) == -1)
		log_fatal("%s: cannot be read", f.path);
	rest = buf_span(&f.text);
	for (size_t i = 0; i < text.services.len; i++) {
		const struct service_text *s = &text.services.v[i];
		struct buf changed = BUF_INIT(BUF_UNLIMITED);

		for (; at < s->first && postconf_next_line(&rest, &line); at++)
			buf_add_span(&f.out, line);
		if (change_service(p, s, requests, n, &changed)) {
			drop_lines(p, &rest, at, s->last, &f.out);
			buf_add_span(&f.out, buf_span(&changed));
			at = s->last + 1;
		}
		buf_fini(&changed);
	}
	while (postconf_next_line(&rest, &line))
		buf_add_span(&f.out, line);
	for (size_t i = 0; i < n; i++) {
		if (requests[i].matched)
			continue;
		if (p->services && p->edit)
			add_new(p, &requests[i], &f.out);
		else
			log_warning("unmatched request: \"%s\"",
			    requests[i].arg);
	}
	master_cf_text_fini(&text);
	mem_free(requests);
	postconf_file_commit(&f);
	return 0;
}
