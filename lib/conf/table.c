/* SPDX-License-Identifier: ISC */
/*
 * table - what all types have in common: the spec, folding keys, noticing
 * that a file has changed; and the types that have no file.
 *
 * A table whose file has changed is opened anew beside the old one, which is
 * then closed.  When the new file cannot be opened, look-ups fail as temporary
 * until it can: to go on with the old content would hide the mistake.  When
 * the file is gone or out of reach (we have entered a jail since), the old
 * content stays good.
 */
#include "conf/table_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"

#define CHECK_MS	1000		/* look at the file at most so often */

static const struct table_type *const types[] = {
	&table_type_btree, &table_type_cidr, &table_type_debug,
	&table_type_environ, &table_type_fail, &table_type_hash,
	&table_type_inline, &table_type_pcre, &table_type_pipemap,
	&table_type_randmap, &table_type_regexp, &table_type_static,
	&table_type_texthash, &table_type_unionmap, &table_type_unix,
};

static const char *const type_names[] = {
	"btree", "cidr", "debug", "environ", "fail", "hash", "inline",
	"pcre", "pipemap", "proxy", "randmap", "regexp", "static",
	"texthash", "unionmap", "unix", NULL
};

const char *const *
table_types(void)
{
	return type_names;
}

void
table_fold(struct span s, struct buf *b)
{
	char *p;

	buf_reset(b);
	buf_add_span(b, s);
	p = b->data;
	for (size_t i = 0; i < b->len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
}

int
table_give(const struct table *t, struct span value, struct buf *out,
    struct why *why)
{
	if (buf_put_span(out, value) == -1)
		return why_set(why, "4.3.0", "table %s: value longer than "
		    "%zu bytes", t->spec, out->max);
	return 1;
}

/* --- items of { } ------------------------------------------------------------ */

int
table_next_item(struct span *rest, struct span *item, bool *braced)
{
	size_t n = 0;
	int level = 0;

	*braced = false;
	while (rest->len > 0 && (isspace((unsigned char)rest->p[0]) ||
	    rest->p[0] == ','))
		*rest = span_from(*rest, 1);
	if (rest->len == 0)
		return 0;
	/* A brace inside a word, as in inline:{...}, is part of it. */
	for (; n < rest->len; n++) {
		char c = rest->p[n];

		if (c == '{')
			level++;
		else if (c == '}' && --level < 0)
			return -1;
		else if (level == 0 && (isspace((unsigned char)c) || c == ','))
			break;
	}
	if (level > 0)
		return -1;
	*item = span_sub(*rest, 0, n);
	*rest = span_from(*rest, n);
	if (item->p[0] == '{' && item->p[item->len - 1] == '}') {
		*item = span_trim(span_sub(*item, 1, item->len - 2));
		*braced = true;
	}
	return 1;
}

int
table_each_item(const struct table *t, int (*fn)(struct table *t,
    struct span item, struct why *why), struct table *mutable_t,
    struct why *why)
{
	struct span rest = span_trim(span_of(t->name)), item;
	size_t count = 0;
	bool braced;
	int rc;

	if (rest.len < 2 || rest.p[0] != '{' || rest.p[rest.len - 1] != '}')
		return why_set(why, "4.3.5", "bad syntax: \"%s\": expected "
		    "%s:{...}", t->spec, t->type->name);
	rest = span_sub(rest, 1, rest.len - 2);
	while ((rc = table_next_item(&rest, &item, &braced)) == 1) {
		if (fn(mutable_t, item, why) == -1)
			return -1;
		count++;
	}
	if (rc == -1 || count == 0)
		return why_set(why, "4.3.5", "bad syntax: \"%s\": %s",
		    t->spec, rc == -1 ? "braces do not match" :
		    "nothing between the braces");
	return 0;
}

/* --- opening and watching ------------------------------------------------------ */

static int
stamp_of(const char *path, struct table_stamp *s)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return -1;
	*s = (struct table_stamp){ .dev = st.st_dev, .ino = st.st_ino,
	    .size = st.st_size, .mtime = st.st_mtim, .ctime = st.st_ctim };
	return 0;
}

static bool
stamp_eq(const struct table_stamp *a, const struct table_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec &&
	    a->ctime.tv_sec == b->ctime.tv_sec &&
	    a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static const struct table_type *
find_type(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (span_is(name, types[i]->name))
			return types[i];
	return NULL;
}

static int
open_impl(struct table *t, struct why *why)
{
	/* The stamp is taken first: what changes from now on is noticed. */
	if (t->path != NULL && stamp_of(t->path, &t->stamp) == -1)
		return why_errno(why, "4.3.5", "open table %s: %s", t->spec,
		    t->path);
	return t->type->open(t, why);
}

struct table *
table_open_nested(struct span spec, int flags, unsigned nested,
    struct why *why)
{
	const struct table_type *type;
	struct span rest;
	struct table *t;
	ptrdiff_t colon;

	spec = span_trim(spec);
	if (nested > TABLE_NEST_MAX) {
		why_set(why, "4.3.5", "tables are nested too deep");
		return NULL;
	}
	rest = spec;
	while (span_starts(rest, SPAN("proxy:")))
		rest = span_from(rest, strlen("proxy:"));
	colon = span_find(rest, ':');
	if (colon <= 0 || (size_t)colon + 1 == rest.len ||
	    span_has_nul(rest)) {
		why_set(why, "4.3.5", "bad table \"%.*s\": expected "
		    "type:name", SPAN_ARG(spec));
		return NULL;
	}
	type = find_type(span_sub(rest, 0, (size_t)colon));
	if (type == NULL) {
		why_set(why, "4.3.5", "bad table \"%.*s\": unsupported type "
		    "\"%.*s\"; postconf -m lists those there are",
		    SPAN_ARG(spec), (int)colon, rest.p);
		return NULL;
	}
	t = mem_zalloc(sizeof(*t));
	t->type = type;
	t->flags = flags;
	t->nested = nested;
	t->spec = span_dup(spec);
	t->name = t->spec + (rest.p - spec.p) + colon + 1;
	/* The patterns of cidr:{...} are in the name. */
	if (type->file_suffix != NULL &&
	    !(type->pattern && t->name[0] == '{'))
		t->path = mem_printf("%s%s", t->name, type->file_suffix);
	t->checked_ms = clock_mono_ms();
	if (open_impl(t, why) == -1) {
		mem_free(t->path);
		mem_free(t->spec);
		mem_free(t);
		return NULL;
	}
	return t;
}

struct table *
table_open(const char *spec, int flags, struct why *why)
{
	return table_open_nested(span_of(spec), flags, 0, why);
}

void
table_close(struct table **tp)
{
	struct table *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	if (t->impl != NULL)
		t->type->close(t);
	mem_free(t->broken);
	mem_free(t->path);
	mem_free(t->spec);
	mem_free(t);
}

const char *
table_spec(const struct table *t)
{
	return t->spec;
}

bool
table_is_pattern(const struct table *t)
{
	return t->type->pattern;
}

static void
open_again(struct table *t)
{
	struct why why = WHY_INIT;
	void *old = t->impl, *new;

	t->impl = NULL;
	if (open_impl(t, &why) == -1) {
		if (t->broken == NULL || strcmp(t->broken, why.text) != 0)
			log_warning("%s", why.text);
		mem_free(t->broken);
		t->broken = mem_strdup(why.text);
		new = NULL;
	} else {
		mem_free(t->broken);
		t->broken = NULL;
		new = t->impl;
	}
	if (old != NULL) {
		t->impl = old;
		t->type->close(t);
	}
	t->impl = new;
}

static void
notice_change(struct table *t)
{
	struct table_stamp now;
	int64_t ms = clock_mono_ms();

	if (t->path == NULL || (t->flags & TABLE_FIXED) ||
	    ms - t->checked_ms < CHECK_MS)
		return;
	t->checked_ms = ms;
	if (stamp_of(t->path, &now) == -1) {
		/* What we have stays good; a broken one stays broken. */
		if (!t->gone_logged && t->impl != NULL) {
			log_warning("table %s: %s: %s: using what was read "
			    "before", t->spec, t->path, strerror(errno));
			t->gone_logged = true;
		}
		return;
	}
	t->gone_logged = false;
	if (!stamp_eq(&now, &t->stamp) || t->broken != NULL)
		open_again(t);
}

static int
unusable(const struct table *t, struct why *why)
{
	return why_set(why, "4.3.0", "table %s is unavailable: %s", t->spec,
	    t->broken != NULL ? t->broken : "not open");
}

int
table_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	struct buf folded;
	int rc;

	notice_change(t);
	if (t->impl == NULL)
		return unusable(t, why);
	if (key.len > TABLE_KEY_MAX)
		return 0;
	if (!(t->flags & TABLE_FOLD) || !t->type->folds)
		return t->type->get(t, key, out, why);
	folded = BUF_INIT(TABLE_KEY_MAX);
	table_fold(key, &folded);
	rc = t->type->get(t, buf_span(&folded), out, why);
	buf_fini(&folded);
	return rc;
}

int
table_each(struct table *t, table_each_fn *fn, void *arg, struct why *why)
{
	notice_change(t);
	if (t->impl == NULL)
		return unusable(t, why);
	if (t->type->each == NULL)
		return why_set(why, "4.3.5", "table %s: sequence operation is "
		    "not supported", t->spec);
	return t->type->each(t, fn, arg, why);
}

/* --- static: one answer for every key ------------------------------------------- */

static int
static_open(struct table *t, struct why *why)
{
	struct span s = span_of(t->name);

	if (s.len > 0 && s.p[0] == '{') {
		if (s.p[s.len - 1] != '}')
			return why_set(why, "4.3.5", "bad syntax: \"%s\": "
			    "missing '}'", t->spec);
		s = span_trim(span_sub(s, 1, s.len - 2));
	}
	t->impl = span_dup(s);
	return 0;
}

static int
static_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	return table_give(t, span_of(t->impl), out, why);
}

static void
free_impl(struct table *t)
{
	mem_free(t->impl);
	t->impl = NULL;
}

const struct table_type table_type_static = {
	.name = "static", .open = static_open, .get = static_get,
	.close = free_impl,
};

/* --- fail: an error for every key ------------------------------------------------ */

static int
nothing_open(struct table *t, struct why *why)
{
	t->impl = mem_strdup("");
	return 0;
}

static int
fail_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	return why_set(why, "4.3.0", "table %s fails on purpose", t->spec);
}

const struct table_type table_type_fail = {
	.name = "fail", .open = nothing_open, .get = fail_get,
	.close = free_impl,
};

/* --- environ: variables of the process ------------------------------------------- */

static int
environ_get(struct table *t, struct span key, struct buf *out,
    struct why *why)
{
	char *name = span_dup(key);
	const char *value = span_has_nul(key) ? NULL : getenv(name);

	mem_free(name);
	return value == NULL ? 0 : table_give(t, span_of(value), out, why);
}

static int
environ_each(struct table *t, table_each_fn *fn, void *arg, struct why *why)
{
	for (char **e = environ; e != NULL && *e != NULL; e++) {
		struct span s = span_of(*e);
		ptrdiff_t eq = span_find(s, '=');

		if (eq > 0 && !fn(arg, span_sub(s, 0, (size_t)eq),
		    span_from(s, (size_t)eq + 1)))
			break;
	}
	return 0;
}

const struct table_type table_type_environ = {
	.name = "environ", .open = nothing_open, .get = environ_get,
	.each = environ_each, .close = free_impl,
};

/* --- debug:type:name: log what another table says -------------------------------- */

static int
debug_open(struct table *t, struct why *why)
{
	t->impl = table_open_nested(span_of(t->name), t->flags, t->nested + 1,
	    why);
	return t->impl != NULL ? 0 : -1;
}

static int
debug_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	size_t was = out->len;
	int rc = table_get(t->impl, key, out, why);

	if (rc == 1)
		log_info("table %s lookup: \"%.*s\" = \"%s\"",
		    table_spec(t->impl), SPAN_ARG(key), out->data + was);
	else
		log_info("table %s lookup: \"%.*s\" = %s", table_spec(t->impl),
		    SPAN_ARG(key), rc == 0 ? "not found" : "error");
	return rc;
}

static int
debug_each(struct table *t, table_each_fn *fn, void *arg, struct why *why)
{
	return table_each(t->impl, fn, arg, why);
}

static void
debug_close(struct table *t)
{
	struct table *inner = t->impl;

	table_close(&inner);
	t->impl = NULL;
}

const struct table_type table_type_debug = {
	.name = "debug", .open = debug_open, .get = debug_get,
	.each = debug_each, .close = debug_close,
};

/* --- pipemap, unionmap: several tables as one ------------------------------------- */

struct members {
	ARRAY(struct table *) list;
};

static void
members_close(struct table *t)
{
	struct members *m = t->impl;

	for (size_t i = 0; i < m->list.len; i++)
		table_close(&m->list.v[i]);
	ARRAY_FINI(&m->list);
	mem_free(m);
	t->impl = NULL;
}

static int
members_add(struct table *t, struct span item, struct why *why)
{
	struct members *m = t->impl;
	struct table *one = table_open_nested(item, t->flags, t->nested + 1,
	    why);

	if (one == NULL)
		return -1;
	*ARRAY_PUSH(&m->list) = one;
	return 0;
}

static int
members_open(struct table *t, struct why *why)
{
	t->impl = mem_zalloc(sizeof(struct members));
	if (table_each_item(t, members_add, t, why) == -1) {
		members_close(t);
		return -1;
	}
	return 0;
}

/* Each result is the key for the next table. */
static int
pipemap_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	struct members *m = t->impl;
	struct buf in = BUF_INIT(TABLE_VALUE_MAX);
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	int rc = 0;

	buf_add_span(&in, key);
	for (size_t i = 0; i < m->list.len; i++) {
		struct buf tmp;

		buf_reset(&value);
		rc = table_get(m->list.v[i], buf_span(&in), &value, why);
		if (rc != 1)
			break;
		tmp = in;
		in = value;
		value = tmp;
	}
	if (rc == 1)
		rc = table_give(t, buf_span(&in), out, why);
	buf_fini(&in);
	buf_fini(&value);
	return rc;
}

/* All results, with commas. */
static int
unionmap_get(struct table *t, struct span key, struct buf *out,
    struct why *why)
{
	struct members *m = t->impl;
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	int found = 0;

	for (size_t i = 0; i < m->list.len; i++) {
		size_t was = value.len;
		int rc;

		if (found && buf_put_char(&value, ',') == -1)
			rc = why_set(why, "4.3.0", "table %s: value too long",
			    t->spec);
		else
			rc = table_get(m->list.v[i], key, &value, why);
		if (rc == -1) {
			buf_fini(&value);
			return -1;
		}
		if (rc == 0)
			buf_trunc(&value, was);
		else
			found = 1;
	}
	if (found)
		found = table_give(t, buf_span(&value), out, why);
	buf_fini(&value);
	return found;
}

const struct table_type table_type_pipemap = {
	.name = "pipemap", .open = members_open, .get = pipemap_get,
	.close = members_close,
};

const struct table_type table_type_unionmap = {
	.name = "unionmap", .open = members_open, .get = unionmap_get,
	.close = members_close,
};

/* --- randmap: one of several answers ------------------------------------------------ */

struct words {
	ARRAY(char *) list;
};

static void
randmap_close(struct table *t)
{
	struct words *w = t->impl;

	for (size_t i = 0; i < w->list.len; i++)
		mem_free(w->list.v[i]);
	ARRAY_FINI(&w->list);
	mem_free(w);
	t->impl = NULL;
}

static int
randmap_add(struct table *t, struct span item, struct why *why)
{
	struct words *w = t->impl;

	*ARRAY_PUSH(&w->list) = span_dup(item);
	return 0;
}

static int
randmap_open(struct table *t, struct why *why)
{
	t->impl = mem_zalloc(sizeof(struct words));
	if (table_each_item(t, randmap_add, t, why) == -1) {
		randmap_close(t);
		return -1;
	}
	return 0;
}

static int
randmap_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	struct words *w = t->impl;

	return table_give(t, span_of(w->list.v[rnd_below(w->list.len)]), out,
	    why);
}

const struct table_type table_type_randmap = {
	.name = "randmap", .open = randmap_open, .get = randmap_get,
	.close = randmap_close,
};
