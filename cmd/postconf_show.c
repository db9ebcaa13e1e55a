/* SPDX-License-Identifier: ISC */
/*
 * postconf_show - the settings of main.cf, as set, by default, expanded.
 */
#include "cmd/postconf.h"

#include <errno.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"

#define LINE_LIMIT	80
#define INDENT		4

static void
print_words(const struct postconf *p, const char *name, const char *value)
{
	struct span rest = span_of(value), word;
	size_t column = 0;

	if (!p->hide_name) {
		if (printf("%s =", name) > 0)
			column = strlen(name) + 2;
	}
	while (span_token(&rest, " \t\r\n", &word)) {
		if (column > 0 && p->fold &&
		    column + 1 + word.len >= LINE_LIMIT) {
			(void)printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (column > 0) {
			(void)putchar(' ');
			column++;
		}
		(void)printf("%.*s", SPAN_ARG(word));
		column += word.len;
	}
	(void)putchar('\n');
}

void
postconf_print(const struct postconf *p, const char *name, const char *value,
    const char *origin)
{
	struct buf b = BUF_INIT(1 << 20);
	struct why why = WHY_INIT;

	if (p->show_origin)
		(void)printf("%s: ", origin);
	if (p->hide_value) {
		(void)printf("%s\n", name);
		return;
	}
	if (p->expand) {
		if (params_expand(value, &b, &why) == -1)
			log_fatal("%s: %s: %s", origin, name, why.text);
		value = b.data;
	}
	print_words(p, name, value);
	buf_fini(&b);
}

static bool
wanted(const struct postconf *p, enum param_origin kind)
{
	switch (kind) {
	case PARAM_BUILTIN:
	case PARAM_POSTFIX:
		return p->classes & CLASS_BUILTIN;
	case PARAM_SERVICE:
		return p->classes & CLASS_SERVICE;
	case PARAM_USER:
		return p->classes & CLASS_USER;
	case PARAM_UNKNOWN:
		break;
	}
	return false;
}

struct names {
	ARRAY(char *) list;
};

static void
add_set(const char *name, const char *value, const char *origin, void *arg)
{
	struct names *n = arg;

	*ARRAY_PUSH(&n->list) = mem_strdup(name);
}

static void
add_service(struct hash_entry *e, void *arg)
{
	struct names *n = arg;

	*ARRAY_PUSH(&n->list) = span_dup(e->key);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* config_directory is shown with what main.cf sets: it tells which one. */
static void
collect(struct postconf *p, struct names *names)
{
	size_t n;
	const struct param_row *rows = params_rows(&n);

	if (!p->defaults)
		params_each(add_set, names);
	if (!p->only_set) {
		for (size_t i = 0; i < n; i++)
			*ARRAY_PUSH(&names->list) = mem_strdup(rows[i].name);
		hash_each(&p->defaults_of, add_service, names);
	} else {
		*ARRAY_PUSH(&names->list) = mem_strdup("config_directory");
	}
	if (names->list.len > 1)
		qsort(names->list.v, names->list.len, sizeof(char *),
		    by_name);
}

static const char *
origin_of(const struct postconf *p, const char *name)
{
	const char *origin = p->defaults ? NULL : params_origin(name);

	return origin != NULL ? origin : "default";
}

static const char *
value_of(const struct postconf *p, const char *name)
{
	const struct param_row *row = params_row(name);
	const char *value;

	if (p->only_set && strcmp(origin_of(p, name), "default") == 0 &&
	    strcmp(name, "config_directory") != 0)
		return NULL;
	value = !p->defaults ? params_raw(name)
	    : row != NULL ? params_default(row) : NULL;
	return value != NULL ? value : hash_get(&p->defaults_of, span_of(name));
}

static void
show_all(struct postconf *p)
{
	struct names names = { .list = ARRAY_EMPTY };

	collect(p, &names);
	for (size_t i = 0; i < names.list.len; i++) {
		const char *name = names.list.v[i];

		if (i > 0 && strcmp(name, names.list.v[i - 1]) == 0)
			continue;
		if (wanted(p, params_kind(name)))
			postconf_print(p, name, value_of(p, name),
			    origin_of(p, name));
	}
	for (size_t i = 0; i < names.list.len; i++)
		mem_free(names.list.v[i]);
	ARRAY_FINI(&names.list);
}

int
postconf_show_main(struct postconf *p, int argc, char **argv)
{
	postconf_read_services(p);
	if (argc == 0)
		show_all(p);
	for (int i = 0; i < argc; i++) {
		const char *value = value_of(p, argv[i]);

		if (value != NULL)
			postconf_print(p, argv[i], value,
			    origin_of(p, argv[i]));
		else if (p->only_set && params_raw(argv[i]) != NULL)
			continue;
		else if (params_is_known(argv[i]))
			log_warning("%s: a parameter of Postfix without "
			    "meaning here, and not set", argv[i]);
		else
			log_warning("%s: unknown parameter", argv[i]);
	}
	return 0;
}
