/* SPDX-License-Identifier: ISC */
/*
 * postmap_run - the command line, and how tables are made and changed.
 */
#include "cmd/postmap_run.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/need_main_cf.h"
#include "conf/cf_file.h"
#include "conf/params.h"
#include "conf/table.h"
#include "io/fd.h"

/* --- making --------------------------------------------------------------------- */

/*
 * The table belongs to the owner of its source, and a file that a user owns
 * is not opened with root's rights: it could be a link to something secret.
 */
static void
drop_root(const struct postmap_job *j, const char *path)
{
	struct stat st;
	struct passwd *pw;

	if (geteuid() != 0 || j->keep_root || stat(path, &st) == -1 ||
	    st.st_uid == 0)
		return;
	pw = getpwuid(st.st_uid);
	if ((pw != NULL ? initgroups(pw->pw_name, st.st_gid)
	    : setgroups(0, NULL)) == -1 || setegid(st.st_gid) == -1 ||
	    seteuid(st.st_uid) == -1)
		log_fatal("become uid %ju: %s", (uintmax_t)st.st_uid,
		    strerror(errno));
}

static void
become_root_again(void)
{
	if (getuid() == 0 && geteuid() != 0) {
		if (seteuid(0) == -1 || setegid(0) == -1)
			log_fatal("become root again: %s", strerror(errno));
		(void)setgroups(0, NULL);
	}
}

static void
put(const struct postmap_job *j, struct table_writer *w, const char *table,
    struct span key, struct span value)
{
	struct why why = WHY_INIT;
	int rc = table_writer_put(w, key, value, j->replace, &why);

	if (rc == -1) {
		table_writer_abort(&w);
		log_fatal("%s", why.text);
	}
	if (rc == 0 && !j->replace && !j->quiet_dup)
		log_warning("%s: duplicate entry: \"%.*s\"", table,
		    SPAN_ARG(key));
}

/* -F: the value is names of files, whose content, with an empty line between
 * them, is the value. */
static int
load_value(struct buf *value, struct why *why)
{
	struct buf content = BUF_INIT(TABLE_VALUE_MAX / 2);
	struct span rest = buf_span(value), word;
	struct buf names = BUF_INIT(BUF_UNLIMITED);

	buf_add_span(&names, rest);
	rest = buf_span(&names);
	while (span_token(&rest, ", \t\r\n", &word)) {
		char *path = span_dup(word);

		if (content.len > 0)
			buf_add_char(&content, '\n');
		if (fd_read_file(AT_FDCWD, path, &content) == -1) {
			why_errno(why, "4.3.0", "read %s", path);
			mem_free(path);
			buf_fini(&names);
			buf_fini(&content);
			return -1;
		}
		mem_free(path);
	}
	buf_reset(value);
	base64_encode(buf_span(&content), value);
	buf_fini(&names);
	buf_fini(&content);
	return 0;
}

static void
fold(struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		b->data[i] = (char)(b->data[i] >= 'A' && b->data[i] <= 'Z'
		    ? b->data[i] - 'A' + 'a' : b->data[i]);
}

static void
add_line(const struct postmap_job *j, struct table_writer *w, const char *table,
    const char *source, const struct cf_line *line)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	const char *complaint = "";

	if (!j->any_bytes && conf.smtputf8_enable &&
	    !utf8_valid(line->text)) {
		log_warning("%s, line %d: non-UTF-8 input \"%.*s\" -- "
		    "ignoring this line", source, line->first,
		    SPAN_ARG(line->text));
		return;
	}
	if (line->indented) {
		log_warning("%s, line %d: logical line must not start with "
		    "whitespace: \"%.*s\"", source, line->first,
		    SPAN_ARG(line->text));
		return;
	}
	switch (j->f->parse(line, &key, &value, &complaint)) {
	case POSTMAP_SKIP:
		log_warning("%s, line %d: %s", source, line->first, complaint);
		goto out;
	case POSTMAP_WARN:
		log_warning("%s, line %d: %s", source, line->first, complaint);
		break;
	case POSTMAP_OK:
		break;
	}
	if (!j->no_fold)
		fold(&key);
	if (j->file_value && load_value(&value, &why) == -1) {
		log_warning("%s, line %d: %s: skipping this entry", source,
		    line->first, why.text);
		goto out;
	}
	put(j, w, table, buf_span(&key), buf_span(&value));
out:
	buf_fini(&key);
	buf_fini(&value);
}

static void
add_nis(const struct postmap_job *j, struct table_writer *w)
{
	char now[32];
	struct why why = WHY_INIT;
	int n = snprintf(now, sizeof(now), "%010jd",
	    (intmax_t)clock_wall_s());

	/* sendmail looks for @ to see that the table is whole. */
	if (table_writer_put(w, SPAN("@"), SPAN("@"), true, &why) == -1 ||
	    table_writer_put(w, SPAN("YP_LAST_MODIFIED"),
	    span_make(now, (size_t)n), true, &why) == -1 ||
	    table_writer_put(w, SPAN("YP_MASTER_NAME"),
	    span_of(conf.myhostname), true, &why) == -1) {
		table_writer_abort(&w);
		log_fatal("%s", why.text);
	}
}

static void
check_writable(const char *spec)
{
	struct span s = span_of(spec);
	struct span type = span_sub(s, 0, (size_t)span_find(s, ':'));
	bool known = false;

	for (const char *const *t = table_types(); *t != NULL; t++)
		known |= span_is(type, *t);
	if (!known)
		log_fatal("unsupported dictionary type: %.*s", SPAN_ARG(type));
	if (!table_type_is_writable(type))
		log_fatal("unsupported dictionary type: %.*s does not support "
		    "bulk-mode creation.", SPAN_ARG(type));
}

/* The access rights of a table: those it has, or else those that others have
 * to read its source. */
static mode_t
table_mode(const struct postmap_job *j, const char *table, const char *source)
{
	struct stat st;

	if (stat(table, &st) == 0)
		return st.st_mode & 0666;
	if (!j->incremental && !j->new_mode && stat(source, &st) == 0)
		return 0600 | (st.st_mode & 044);
	return 0644;
}

/* What a writer that died has left, when it was no better than ours. */
static void
remove_empty(const char *table)
{
	struct stat st;

	if (stat(table, &st) == -1 || st.st_size > 0)
		return;
	log_warning("removing zero-length database file: %s", table);
	if (unlink(table) == -1)
		log_fatal("remove %s: %s", table, strerror(errno));
}

static void
make_table(const struct postmap_job *j, const char *arg)
{
	char *spec = postmap_spec(arg), *table;
	const char *path = strchr(spec, ':') + 1;
	const char *source = j->incremental ? "stdin" : path;
	struct why why = WHY_INIT;
	struct table_writer *w;
	struct cf_file f;
	struct cf_line line;
	struct buf text = BUF_INIT(POSTMAP_STDIN_MAX);
	mode_t mask;
	int rc;

	check_writable(spec);
	table = mem_printf("%s.db", path);
	drop_root(j, path);
	if (j->incremental) {
		postmap_read_stdin(&text);
		if (span_has_nul(buf_span(&text)))
			log_fatal("standard input is not text");
		cf_file_from(&f, "stdin", buf_span(&text));
		remove_empty(table);
		buf_fini(&text);
	} else if (cf_file_open(&f, path, CF_FILE_MAX, &why) == -1) {
		log_fatal("%s", why.text);
	}
	mask = umask(0);
	w = table_writer_new(spec, (j->incremental ? TABLE_UPDATE : 0) |
	    TABLE_KEEP_OWNER, table_mode(j, table, path), &why);
	(void)umask(mask);
	if (w == NULL)
		log_fatal("%s", why.text);
	while ((rc = cf_file_next(&f, &line, &why)) == 1)
		add_line(j, w, table, source, &line);
	if (rc == -1) {
		table_writer_abort(&w);
		log_fatal("%s", why.text);
	}
	if (j->f->nis_entries)
		add_nis(j, w);
	if (table_writer_commit(&w, &why) == -1)
		log_fatal("%s", why.text);
	cf_file_close(&f);
	become_root_again();
	mem_free(table);
	mem_free(spec);
}

/* --- deleting ------------------------------------------------------------------------ */

static bool
delete_keys(const struct postmap_job *j, struct table_writer *w, struct span keys)
{
	struct span line;
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	bool found = false;

	while (span_line(&keys, &line)) {
		int rc;

		buf_reset(&key);
		buf_add_span(&key, line);
		if (!j->no_fold)
			fold(&key);
		rc = table_writer_del(w, buf_span(&key), &why);
		if (rc == -1) {
			table_writer_abort(&w);
			log_fatal("%s", why.text);
		}
		found |= rc == 1;
	}
	buf_fini(&key);
	return found;
}

static int
delete(const struct postmap_job *j, int argc, char **argv)
{
	struct buf text = BUF_INIT(POSTMAP_STDIN_MAX);
	bool found = false;

	if (strcmp(j->delete, "-") == 0)
		postmap_read_stdin(&text);
	else
		buf_add_str(&text, j->delete);
	for (int i = 0; i < argc; i++) {
		char *spec = postmap_spec(argv[i]), *table;
		const char *path = strchr(spec, ':') + 1;
		struct why why = WHY_INIT;
		struct table_writer *w;
		struct stat st;
		mode_t mask;
		bool here;

		check_writable(spec);
		table = mem_printf("%s.db", path);
		drop_root(j, path);
		if (stat(table, &st) == -1)
			log_fatal("open database %s: %s", table,
			    strerror(errno));
		mask = umask(0);
		w = table_writer_new(spec, TABLE_UPDATE | TABLE_KEEP_OWNER,
		    st.st_mode & 0666, &why);
		(void)umask(mask);
		if (w == NULL)
			log_fatal("%s", why.text);
		here = delete_keys(j, w, buf_span(&text));
		if (!here)
			table_writer_abort(&w);
		else if (table_writer_commit(&w, &why) == -1)
			log_fatal("%s", why.text);
		found |= here;
		become_root_again();
		mem_free(table);
		mem_free(spec);
	}
	buf_fini(&text);
	return found ? 0 : 1;
}

/* --- the command line -------------------------------------------------------------------- */

static void
report(void *arg, bool is_error, const char *line)
{
	const struct postmap_job *j = arg;

	if (is_error || j->verbose)
		log_warning("%s", line);
}

/* A wrong setting does not matter for a table; no main.cf is another's. */
static void
load_settings(struct postmap_job *j)
{
	need_main_cf(j->config_dir);
	if (params_load_flags(j->config_dir, NULL, 0, PARAMS_KEEP_GOING,
	    report, j) == -1)
		log_debug("the configuration has errors");
}

static NORETURN void
usage(const struct postmap_format *f)
{
	log_fatal("usage: %s [-%s] [-c config_dir] [-d key] [-q key] "
	    "[map_type:]file...", f->name, f->usage);
}

int
postmap_run(const struct postmap_format *f, int argc, char **argv)
{
	struct postmap_job j = { .f = f };
	int c, rc = 0;

	log_set_tag(f->name);
	while ((c = getopt(argc, argv, f->options)) != -1) {
		switch (c) {
		case 'b':
			j.body = true;
			break;
		case 'c':
			j.config_dir = optarg;
			break;
		case 'd':
			if (j.query != NULL || j.delete != NULL || j.sequence)
				log_fatal("specify only one of -s -q or -d");
			j.delete = optarg;
			break;
		case 'f':
			j.no_fold = true;
			break;
		case 'F':
			j.file_value = true;
			break;
		case 'h':
			j.headers = true;
			break;
		case 'i':
			j.incremental = true;
			break;
		case 'm':
			j.parts = true;
			break;
		case 'o':
			j.keep_root = true;
			break;
		case 'p':
			j.new_mode = true;
			break;
		case 'q':
			if (j.query != NULL || j.delete != NULL || j.sequence)
				log_fatal("specify only one of -s -q or -d");
			j.query = optarg;
			break;
		case 'r':
			j.replace = true;
			break;
		case 's':
			if (j.query != NULL || j.delete != NULL)
				log_fatal("specify only one of -s -q or -d");
			j.sequence = true;
			break;
		case 'v':
			j.verbose = true;
			log_set_debug(true);
			break;
		case 'w':
			j.quiet_dup = true;
			break;
		case 'n':	/* what follows keys is found out when reading */
		case 'N':	/* and is always a NUL when writing */
			break;
		case 'u':
			j.any_bytes = true;
			break;
		case 'U':	/* keys of messages: any bytes will do */
			break;
		default:
			usage(f);
		}
	}
	argc -= optind;
	argv += optind;
	if (argc == 0)
		usage(f);
	if (j.parts && !j.headers && !j.body)
		log_warning("ignoring -m option without -b or -h");
	if ((j.headers || j.body) && (j.query == NULL ||
	    strcmp(j.query, "-") != 0))
		log_fatal("specify -b -h or -m only with \"-q -\"");
	load_settings(&j);
	if (j.query != NULL)
		rc = postmap_query(&j, argc, argv);
	else if (j.delete != NULL)
		rc = delete(&j, argc, argv);
	else if (j.sequence)
		rc = postmap_sequence(&j, argc, argv);
	else
		for (int i = 0; i < argc; i++)
			make_table(&j, argv[i]);
	if (fflush(stdout) == EOF)
		log_fatal("write standard output: %s", strerror(errno));
	return rc;
}
