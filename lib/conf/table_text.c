/* SPDX-License-Identifier: ISC */
/*
 * table_text - texthash: and inline:, tables held in memory.
 *
 * texthash:/file has the format of postmap's source files and needs no
 * postmap.  inline:{ key=value, { key = text with space } } has its content in
 * the name.
 */
#include "conf/table_priv.h"
#include "conf/table_text.h"

#include <ctype.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/cf_file.h"
#include "conf/main_cf.h"
#include "conf/params.h"

static void
text_close(struct table *t)
{
	struct hash *h = t->impl;

	hash_fini(h, mem_free);
	mem_free(h);
	t->impl = NULL;
}

static int
text_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	const char *value = hash_get(t->impl, key);

	return value == NULL ? 0 : table_give(t, span_of(value), out, why);
}

struct walk {
	table_each_fn	*fn;
	void		*arg;
	bool		 stop;
};

static void
walk_entry(struct hash_entry *e, void *arg)
{
	struct walk *w = arg;

	if (!w->stop)
		w->stop = !w->fn(w->arg, e->key, span_of(e->value));
}

static int
text_each(struct table *t, table_each_fn *fn, void *arg, struct why *why)
{
	struct walk w = { .fn = fn, .arg = arg };

	hash_each(t->impl, walk_entry, &w);
	return 0;
}

/* Enter a pair; false when the key is there already. */
static bool
enter(struct table *t, struct span key, struct span value)
{
	struct buf folded = BUF_INIT(BUF_UNLIMITED);
	struct hash_entry *e;
	bool made;

	if (t->flags & TABLE_FOLD) {
		table_fold(key, &folded);
		key = buf_span(&folded);
	}
	e = hash_enter(t->impl, key, &made);
	if (made)
		e->value = span_dup(value);
	buf_fini(&folded);
	return made;
}

/* The index behind the key: a quoted string is one, space or not. */
static size_t
key_end(struct span s)
{
	size_t n = 0;
	bool quoted = false;

	while (n < s.len && (quoted || !isspace((unsigned char)s.p[n]))) {
		if (s.p[n] == '\\' && n + 1 < s.len)
			n++;
		else if (s.p[n] == '"')
			quoted = !quoted;
		n++;
	}
	return n;
}

enum table_line
table_text_split(struct span line, struct span *key, struct span *value)
{
	size_t n;

	line = span_trim(line);
	n = key_end(line);
	*key = span_sub(line, 0, n);
	*value = span_trim(span_from(line, n));
	if (key->len == 0 || value->len == 0)
		return TABLE_LINE_BAD;
	if (key->p[key->len - 1] == ':')
		return TABLE_LINE_ALIAS;
	return TABLE_LINE_OK;
}

static int
texthash_open(struct table *t, struct why *why)
{
	struct cf_file f;
	struct cf_line line;
	struct span key, value;
	int rc;

	if (cf_file_open(&f, t->path, CF_FILE_MAX, why) == -1) {
		why_prefix(why, "open table %s", t->spec);
		return -1;
	}
	t->impl = mem_zalloc(sizeof(struct hash));
	while ((rc = cf_file_next(&f, &line, why)) == 1) {
		/* What postmap leaves out of a hash: table, too. */
		if (conf.smtputf8_enable && !utf8_valid(line.text)) {
			log_warning("%s, line %d: non-UTF-8 input \"%.*s\" "
			    "-- ignoring this line", t->path, line.first,
			    SPAN_ARG(line.text));
			continue;
		}
		switch (table_text_split(line.text, &key, &value)) {
		case TABLE_LINE_BAD:
			log_warning("%s, line %d: expected format: key "
			    "whitespace value -- ignoring this line", t->path,
			    line.first);
			continue;
		case TABLE_LINE_ALIAS:
			log_warning("%s, line %d: record is in \"key: value\" "
			    "format; is this an alias file?", t->path,
			    line.first);
			break;
		case TABLE_LINE_OK:
			break;
		}
		if (!enter(t, key, value))
			log_warning("%s, line %d: duplicate entry: \"%.*s\"",
			    t->path, line.first, SPAN_ARG(key));
	}
	cf_file_close(&f);
	if (rc == -1)
		text_close(t);
	return rc;
}

const struct table_type table_type_texthash = {
	.name = "texthash", .folds = true, .file_suffix = "",
	.open = texthash_open, .get = text_get, .each = text_each,
	.close = text_close,
};

static int
inline_add(struct table *t, struct span item, struct why *why)
{
	struct span key, value;

	if (main_cf_split(item, &key, &value, why) == -1) {
		why_prefix(why, "bad syntax: \"%s\"", t->spec);
		return -1;
	}
	if (!enter(t, key, value))
		log_warning("table %s: duplicate entry: \"%.*s\"", t->spec,
		    SPAN_ARG(key));
	return 0;
}

static int
inline_open(struct table *t, struct why *why)
{
	t->impl = mem_zalloc(sizeof(struct hash));
	if (table_each_item(t, inline_add, t, why) == -1) {
		text_close(t);
		return -1;
	}
	return 0;
}

const struct table_type table_type_inline = {
	.name = "inline", .folds = true, .open = inline_open, .get = text_get,
	.each = text_each, .close = text_close,
};
