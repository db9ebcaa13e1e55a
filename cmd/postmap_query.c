/* SPDX-License-Identifier: ISC */
/*
 * postmap_query - what is in tables: one key, the keys or the message on
 * standard input, or all of it.
 */
#include "cmd/postmap_run.h"

#include <errno.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "mail/mime.h"

char *
postmap_spec(const char *arg)
{
	return strchr(arg, ':') != NULL ? mem_strdup(arg)
	    : mem_printf("%s:%s", conf.default_database_type, arg);
}

void
postmap_read_stdin(struct buf *b)
{
	ssize_t n;

	do {
		char *p = buf_reserve(b, 65536);

		if (p == NULL)
			log_fatal("standard input: more than %zu bytes",
			    b->max);
		n = read(STDIN_FILENO, p, 65536);
		if (n > 0)
			buf_commit(b, (size_t)n);
	} while (n > 0 || (n == -1 && errno == EINTR));
	if (n == -1)
		log_fatal("read standard input: %s", strerror(errno));
}

static struct table *
open_table(const struct postmap_job *j, const char *arg)
{
	struct why why = WHY_INIT;
	char *spec = postmap_spec(arg);
	struct table *t;

	t = table_open(spec, j->no_fold ? 0 : TABLE_FOLD, &why);
	if (t == NULL)
		log_fatal("%s", why.text);
	mem_free(spec);
	return t;
}

/* False, after a warning: -F, and there is no file's content in it. */
static bool
show(const struct postmap_job *j, struct span key, struct span value, bool with_key)
{
	struct buf content = BUF_INIT(BUF_UNLIMITED);

	if (j->file_value) {
		if (base64_decode(value, &content) == -1) {
			log_warning("key %.*s: malformed BASE64 value: was "
			    "the table made with -F?", SPAN_ARG(key));
			buf_fini(&content);
			return false;
		}
		value = buf_span(&content);
	}
	if (with_key) {
		(void)fwrite(key.p, 1, key.len, stdout);
		(void)fputs(j->f->separator, stdout);
	}
	(void)fwrite(value.p, 1, value.len, stdout);
	(void)putchar('\n');
	buf_fini(&content);
	return true;
}

/* The first table with an answer; true when there is one. */
static bool
query_one(const struct postmap_job *j, struct table **tables, size_t n,
    struct span key, bool with_key)
{
	struct buf value = BUF_INIT(TABLE_VALUE_MAX);
	struct why why = WHY_INIT;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = table_get(tables[i], key, &value, &why);
		if (rc == -1)
			log_fatal("table %s: query error: %s",
			    table_spec(tables[i]), why.text);
	}
	if (rc == 1 && !show(j, key, buf_span(&value), with_key))
		log_fatal("query error");
	buf_fini(&value);
	return rc == 1;
}

/* --- -h, -b: standard input is a message ---------------------------------------- */

struct message_query {
	const struct postmap_job *j;
	struct table	**tables;
	size_t		  n;
	bool		  found;
};

static struct span
without_line_end(struct span s)
{
	if (s.len > 0 && s.p[s.len - 1] == '\n')
		s.len--;
	if (s.len > 0 && s.p[s.len - 1] == '\r')
		s.len--;
	return s;
}

static void
on_header(void *arg, enum mime_section section, const struct header_field *f)
{
	struct message_query *q = arg;

	if (q->j->headers)
		q->found |= query_one(q->j, q->tables, q->n,
		    without_line_end(f->whole), true);
}

static void
on_header_end(void *arg, enum mime_section section, bool blank)
{
}

static void
on_body(void *arg, struct span bytes, bool line_start)
{
	struct message_query *q = arg;

	if (q->j->body)
		q->found |= query_one(q->j, q->tables, q->n,
		    without_line_end(bytes), true);
}

/* The keys are the message's headers and the lines of its body, as cleanup
 * sees them for header_checks and body_checks. */
static bool
query_message(const struct postmap_job *j, struct table **tables, size_t n,
    struct span text)
{
	static const struct mime_ops ops = {
		.header = on_header, .header_end = on_header_end,
		.body = on_body
	};
	struct message_query q = { .j = j, .tables = tables, .n = n };
	struct mime *m = mime_new(&(struct mime_options){
		.structure = j->parts, .lines = true,
		.header_max = (size_t)conf.header_size_limit,
		.line_max = (size_t)conf.line_length_limit,
		.boundary_max = (size_t)conf.mime_boundary_length_limit,
		.nesting_max = (size_t)conf.mime_nesting_limit,
	    }, &ops, &q);

	mime_write(m, text);
	mime_finish(m);
	mime_free(&m);
	return q.found;
}

/* --- -q, -s ----------------------------------------------------------------------- */

int
postmap_query(const struct postmap_job *j, int argc, char **argv)
{
	size_t n = (size_t)argc;
	struct table **tables = mem_zalloc_array(n, sizeof(*tables));
	struct buf text = BUF_INIT(POSTMAP_STDIN_MAX);
	struct span rest, line;
	bool found = false;

	for (size_t i = 0; i < n; i++)
		tables[i] = open_table(j, argv[i]);
	if (strcmp(j->query, "-") != 0) {
		found = query_one(j, tables, n, span_of(j->query), false);
	} else {
		postmap_read_stdin(&text);
		rest = buf_span(&text);
		if (j->headers || j->body)
			found = query_message(j, tables, n, rest);
		else
			while (span_line(&rest, &line))
				found |= query_one(j, tables, n, line, true);
	}
	for (size_t i = 0; i < n; i++)
		table_close(&tables[i]);
	mem_free(tables);
	buf_fini(&text);
	return found ? 0 : 1;
}

static bool
show_entry(void *arg, struct span key, struct span value)
{
	(void)show(arg, key, value, true);
	return true;
}

int
postmap_sequence(const struct postmap_job *j, int argc, char **argv)
{
	struct why why = WHY_INIT;

	for (int i = 0; i < argc; i++) {
		struct table *t = open_table(j, argv[i]);

		if (table_each(t, show_entry, (void *)(uintptr_t)j, &why) == -1)
			log_fatal("%s", why.text);
		table_close(&t);
	}
	return 0;
}

