/* SPDX-License-Identifier: ISC */
/*
 * table: every type, maps, changing files, damaged files, writing.
 */
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>

#include "conf_test.h"

#include "base/mem.h"
#include "conf/table.h"

/* The value, "(none)", or "error: ..."; static. */
static const char *
get(struct table *t, const char *key)
{
	static struct buf b = BUF_INIT(TABLE_VALUE_MAX);
	struct why why = WHY_INIT;
	int rc;

	buf_reset(&b);
	rc = table_get(t, span_of(key), &b, &why);
	if (rc == 0)
		return "(none)";
	if (rc == -1) {
		buf_reset(&b);
		buf_addf(&b, "error: %s", why.text);
	}
	return b.data;
}

static struct table *
open_ok(const char *spec)
{
	struct why why = WHY_INIT;
	struct table *t = table_open(spec, TABLE_FOLD, &why);

	ck_assert_msg(t != NULL, "%s: %s", spec, why.text);
	return t;
}

static const struct {
	const char	*spec, *key, *want;
} simple[] = {
	{ "static:x", "anything", "x" },
	{ "static:{x y}", "", "x y" },
	{ "static:{}", "a", "" },
	{ "inline:{a=b}", "a", "b" },
	{ "inline:{a=b}", "A", "b" },
	{ "inline:{A=b}", "a", "b" },
	{ "inline:{a=b}", "c", "(none)" },
	{ "inline:{a=b, c=d}", "c", "d" },
	{ "inline:{a=b, {c = d e, f}}", "c", "d e, f" },
	{ "fail:x", "a", "error: table fail:x fails on purpose" },
	{ "environ:x", "MANSIO_TEST", "(none)" },
	{ "unionmap:{static:1,inline:{a=b},static:2}", "a", "1,b,2" },
	{ "unionmap:{static:1,inline:{a=b},static:2}", "c", "1,2" },
	{ "unionmap:{inline:{a=b},inline:{c=d}}", "x", "(none)" },
	{ "unionmap:{static:1,fail:x}", "x", "error: table fail:x fails on "
	    "purpose" },
	{ "pipemap:{inline:{a=b},inline:{b=c}}", "a", "c" },
	{ "pipemap:{inline:{a=b},inline:{x=c}}", "a", "(none)" },
	{ "pipemap:{inline:{a=b},fail:x}", "a", "error: table fail:x fails on "
	    "purpose" },
	{ "pipemap:{inline:{a=b},fail:x}", "x", "(none)" },
	{ "randmap:{same,same}", "a", "same" },
	{ "debug:inline:{a=b}", "a", "b" },
	{ "debug:inline:{a=b}", "b", "(none)" },
	{ "proxy:static:x", "a", "x" },
	{ "unix:passwd.byname", "no_such_user_here", "(none)" },
	{ "unix:group.byname", "no_such_group_here", "(none)" },
	{ "unix:passwd.byname", "", "(none)" },
	{ "cidr:{{192.0.2.0/24 a},{0.0.0.0/0 b},{::/0 c}}", "192.0.2.7",
	    "a" },
	{ "cidr:{{192.0.2.0/24 a},{0.0.0.0/0 b},{::/0 c}}", "192.0.3.7",
	    "b" },
	{ "cidr:{{192.0.2.0/24 a},{0.0.0.0/0 b},{::/0 c}}", "2001:db8::1",
	    "c" },
	{ "cidr:{{2001:db8::/32 a}}", "2001:db8:1::1", "a" },
	{ "cidr:{{2001:db8::/32 a}}", "2001:db9::1", "(none)" },
	{ "cidr:{{192.0.2.1 a}}", "192.0.2.1", "a" },
	{ "cidr:{{192.0.2.1 a}}", "192.0.2.2", "(none)" },
	{ "cidr:{{192.0.2.1 a}}", "name", "(none)" },
	{ "cidr:{{192.0.2.1 a}}", "", "(none)" },
	{ "cidr:{{!192.0.2.0/24 a}}", "192.0.3.1", "a" },
	{ "cidr:{{!192.0.2.0/24 a}}", "192.0.2.1", "(none)" },
	{ "cidr:{{!192.0.2.0/24 a}}", "::1", "(none)" },
	{ "cidr:{{if 192.0.2.0/24},{192.0.2.1 a},{endif},{192.0.2.2 b}}",
	    "192.0.2.1", "a" },
	{ "cidr:{{if 192.0.2.0/24},{192.0.2.1 a},{endif},{192.0.2.2 b}}",
	    "192.0.2.2", "b" },
	{ "cidr:{{if !192.0.2.0/24},{192.0.2.1 a},{endif},{0.0.0.0/0 b}}",
	    "192.0.2.1", "b" },
	/* wrong rules are left out */
	{ "cidr:{{192.0.2.1/24 a},{0.0.0.0/0 b}}", "192.0.2.1", "b" },
	{ "cidr:{{192.0.2.0/33 a},{x y},{0.0.0.0/0 b}}", "192.0.2.1", "b" },
	{ "cidr:{{endif},{0.0.0.0/0 b}}", "192.0.2.1", "b" },
	{ "cidr:{{if x},{0.0.0.0/0 a},{endif},{0.0.0.0/0 b}}", "1.2.3.4",
	    "a" },
};

START_TEST(simple_types)
{
	struct table *t = open_ok(simple[_i].spec);

	ck_assert_str_eq(get(t, simple[_i].key), simple[_i].want);
	ck_assert_str_eq(table_spec(t), simple[_i].spec);
	table_close(&t);
	ck_assert_ptr_null(t);
}
END_TEST

static const char *const bad_specs[] = {
	"", "x", ":x", "nosuch:x", "hash:", "texthash:", "static:", "static:{x",
	"inline:x", "inline:{}", "inline:{a}", "inline:{a=b", "inline:{=b}",
	"unionmap:{}", "unionmap:x", "unionmap:{nosuch:x}", "pipemap:{a",
	"randmap:{}", "debug:x", "unix:shadow", "unix:passwd.byuid",
	"cidr:{x}", "regexp:{x}", "hash:/nonexistent/file",
	"texthash:/nonexistent/file", "regexp:/nonexistent/file",
	"cidr:/nonexistent/file", "pcre:/nonexistent/file",
};

START_TEST(bad_specs_are_refused)
{
	struct why why = WHY_INIT;

	ck_assert_ptr_null(table_open(bad_specs[_i], 0, &why));
	ck_assert_str_ne(why.text, "");
}
END_TEST

START_TEST(nesting_is_bounded)
{
	struct buf b = BUF_INIT(10000);
	struct why why = WHY_INIT;
	struct table *t;

	for (int i = 0; i < 20; i++)
		buf_add_str(&b, "debug:");
	buf_add_str(&b, "static:x");
	t = open_ok(b.data);
	table_close(&t);
	buf_reset(&b);
	for (int i = 0; i < 21; i++)
		buf_add_str(&b, "debug:");
	buf_add_str(&b, "static:x");
	ck_assert_ptr_null(table_open(b.data, 0, &why));
	buf_fini(&b);
}
END_TEST

START_TEST(users_have_no_password)
{
	struct table *t = open_ok("unix:passwd.byname");

	ck_assert_int_eq(strncmp(get(t, "root"), "root:x:0:0:", 11), 0);
	table_close(&t);
	t = open_ok("unix:group.byname");
	ck_assert_int_eq(strncmp(get(t, "root"), "root:x:0:", 9), 0);
	table_close(&t);
}
END_TEST

START_TEST(variables_of_the_process)
{
	struct table *t = open_ok("environ:x");

	ck_assert_int_eq(setenv("MANSIO_TEST", "yes", 1), 0);
	ck_assert_str_eq(get(t, "MANSIO_TEST"), "yes");
	table_close(&t);
}
END_TEST

/* --- regexp and pcre -------------------------------------------------------------- */

#define BOTH 0
#define REGEXP 1
#define PCRE 2
static const struct {
	int		 type;
	const char	*rules, *key, *want;
} patterns[] = {
	{ BOTH, "/abc/ x", "xABCx", "x" },
	{ BOTH, "/abc/i x", "xABCx", "(none)" },
	{ BOTH, "/^abc$/ x", "abc", "x" },
	{ BOTH, "/^abc$/ x", "abcd", "(none)" },
	{ BOTH, "/a/ x\n/b/ y", "ba", "x" },
	{ BOTH, "!/a/ x", "b", "x" },
	{ BOTH, "!/a/ x", "a", "(none)" },
	{ BOTH, "!!/a/ x", "a", "x" },
	{ BOTH, "/a\\/b/ x", "a/b", "x" },
	{ BOTH, "#a#  x", "a", "(none)" },	/* a comment */
	{ BOTH, "%a% x", "a", "x" },
	{ BOTH, "/(a+)(b*)/ <$1><$2>", "aabbc", "<aa><bb>" },
	{ BOTH, "/(a+)(b*)/ ${1}${2}x$(1)", "aabb", "aabbxaa" },
	{ BOTH, "/(a)?b/ <$1>", "b", "<>" },
	{ BOTH, "/a/ 5$$", "a", "5$" },
	{ BOTH, "/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)/ $10$9", "abcdefghij",
	    "ji" },
	{ BOTH, "if /a/\n/b/ x\nendif\n/b/ y", "ab", "x" },
	{ BOTH, "if /a/\n/b/ x\nendif\n/b/ y", "b", "y" },
	{ BOTH, "if !/a/\n/b/ x\nendif\n/b/ y", "b", "x" },
	{ BOTH, "if /a/\nif /b/\n/c/ x\nendif\n/c/ y\nendif", "ac", "y" },
	{ BOTH, "if /a/\nif /b/\n/c/ x\nendif\n/c/ y\nendif", "abc", "x" },
	{ BOTH, "if /a/\n/b/ x", "ab", "x" },		/* no endif */
	{ BOTH, "if /a/\n/b/ x", "b", "(none)" },
	{ BOTH, "IF /a/\n/b/ x\nENDIF", "ab", "x" },
	{ BOTH, "/a/\n   x y", "a", "x y" },
	{ BOTH, "/a/ x", "", "(none)" },
	{ BOTH, "/^$/ x", "", "x" },
	/* left out with a warning */
	{ BOTH, "/a(/ x\n/a/ y", "a", "y" },
	{ BOTH, "/a/\n/a/ y", "a", "y" },
	{ BOTH, "/a\n/a/ y", "a", "y" },
	{ BOTH, "/a/q x\n/a/ y", "a", "y" },
	{ BOTH, "/a/ $1\n/a/ y", "a", "y" },
	{ BOTH, "/(a)/ $2\n/a/ y", "a", "y" },
	{ BOTH, "/(a)/ $0\n/a/ y", "a", "y" },
	{ BOTH, "/(a)/ $100\n/a/ y", "a", "y" },
	{ BOTH, "/(a)/ $x\n/a/ y", "a", "y" },
	{ BOTH, "/(a)/ ${1\n/a/ y", "a", "y" },
	{ BOTH, "!/(b)/ $1\n/a/ y", "a", "y" },
	{ BOTH, "/a/x,y\n/a/ y", "a", "y" },
	{ BOTH, "abc x\n/a/ y", "abc", "y" },
	{ BOTH, "endif\n/a/ y", "a", "y" },
	{ BOTH, "if /a/ x\n/a/ 1\nendif\n/a/ y", "a", "1" },
	{ REGEXP, "/a/!/b/ x", "a", "x" },
	{ REGEXP, "/a/!/b/ x", "ab", "(none)" },
	{ REGEXP, "/(a)/!/b/ $1", "a", "a" },
	{ REGEXP, "/a+/x x", "aa", "(none)" },		/* basic: a plus */
	{ REGEXP, "/a+/x x", "a+", "x" },
	{ REGEXP, "/^b/m x", "a\nb", "x" },
	{ REGEXP, "/^b/ x", "a\nb", "(none)" },
	{ PCRE, "/^b/m x", "a\nb", "x" },
	{ PCRE, "/a.b/ x", "a\nb", "x" },
	{ PCRE, "/a.b/s x", "a\nb", "(none)" },
	{ PCRE, "/a b/x x", "ab", "x" },
	{ PCRE, "/b/A x", "ab", "(none)" },
	{ PCRE, "/(a+)/U $1", "aaa", "a" },
	{ PCRE, "/a$/ x", "a\n", "x" },
	{ PCRE, "/a$/E x", "a\n", "(none)" },
	{ PCRE, "/\\d{2}(?=x)/ y", "12x", "y" },
	{ PCRE, "/a/X x", "a", "x" },
	{ PCRE, "/a\\Cb/ x\n/a/ y", "a", "y" },
	/* (a+)+$ backtracks for ever: that is an error, not "no match" */
	{ PCRE, "/^(a+)+(b+)+$|x$/ x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc", "error" },
};

START_TEST(pattern_tables)
{
	char spec[400];

	for (int type = REGEXP; type <= PCRE; type++) {
		struct table *t;
		const char *got;

		if (patterns[_i].type != BOTH && patterns[_i].type != type)
			continue;
		conf_write("patterns", patterns[_i].rules);
		(void)snprintf(spec, sizeof(spec), "%s:%s",
		    type == REGEXP ? "regexp" : "pcre",
		    conf_path("patterns"));
		t = open_ok(spec);
		ck_assert(table_is_pattern(t));
		got = get(t, patterns[_i].key);
		if (strcmp(patterns[_i].want, "error") == 0)
			ck_assert_int_eq(strncmp(got, "error", 5), 0);
		else
			ck_assert_msg(strcmp(got, patterns[_i].want) == 0,
			    "%s: %s", patterns[_i].rules, got);
		table_close(&t);
	}
}
END_TEST

START_TEST(substitution_can_be_forbidden)
{
	const char *const spec = "regexp:{{/^(a)$/ |cmd $1},{/a/ plain$$}}";
	struct why why = WHY_INIT;
	struct table *t = table_open(spec, TABLE_NO_SUBST, &why);

	ck_assert_ptr_nonnull(t);
	ck_assert_str_eq(get(t, "a"), "plain$");
	table_close(&t);
}
END_TEST

/* --- files -------------------------------------------------------------------------- */

static const char *
file_spec(const char *type, const char *name)
{
	static char spec[300];

	(void)snprintf(spec, sizeof(spec), "%s:%s", type, conf_path(name));
	return spec;
}

static void
make_db(const char *type, const char *name, int flags,
    const char *const *pairs)
{
	struct why why = WHY_INIT;
	struct table_writer *w = table_writer_new(file_spec(type, name),
	    flags, 0640, &why);

	ck_assert_msg(w != NULL, "%s", why.text);
	for (; pairs[0] != NULL; pairs += 2)
		ck_assert_int_ne(table_writer_put(w, span_of(pairs[0]),
		    span_of(pairs[1]), true, &why), -1);
	ck_assert_int_eq(table_writer_commit(&w, &why), 0);
	ck_assert_ptr_null(w);
}

static const char *const db_types[] = { "hash", "btree" };

START_TEST(databases)
{
	const char *const first[] = { "a", "1", "b", "", "", "empty", NULL };
	const char *const more[] = { "c", "3", "a", "one", NULL };
	const char *type = db_types[_i];
	struct why why = WHY_INIT;
	struct table_writer *w;
	struct table *t;
	struct stat st;

	make_db(type, "db", 0, first);
	ck_assert_int_eq(stat(conf_path("db.db"), &st), 0);
	t = open_ok(file_spec(type, "db"));
	ck_assert(!table_is_pattern(t));
	ck_assert_str_eq(get(t, "a"), "1");
	ck_assert_str_eq(get(t, "A"), "1");
	ck_assert_str_eq(get(t, "b"), "");
	ck_assert_str_eq(get(t, ""), "empty");
	ck_assert_str_eq(get(t, "c"), "(none)");
	table_close(&t);
	make_db(type, "db", TABLE_UPDATE, more);
	w = table_writer_new(file_spec(type, "db"), TABLE_UPDATE, 0644, &why);
	ck_assert_ptr_nonnull(w);
	ck_assert_int_eq(table_writer_put(w, SPAN("c"), SPAN("x"), false,
	    &why), 0);
	ck_assert_int_eq(table_writer_del(w, SPAN("b"), &why), 1);
	ck_assert_int_eq(table_writer_del(w, SPAN("nosuch"), &why), 0);
	ck_assert_int_eq(table_writer_commit(&w, &why), 0);
	t = open_ok(file_spec(type, "db"));
	ck_assert_str_eq(get(t, "a"), "one");
	ck_assert_str_eq(get(t, "b"), "(none)");
	ck_assert_str_eq(get(t, "c"), "3");
	table_close(&t);
	/* what is given up leaves no trace */
	w = table_writer_new(file_spec(type, "db"), 0, 0644, &why);
	table_writer_abort(&w);
	t = open_ok(file_spec(type, "db"));
	ck_assert_str_eq(get(t, "a"), "one");
	table_close(&t);
	/* the other type */
	ck_assert_ptr_null(table_open(file_spec(db_types[!_i], "db"), 0,
	    &why));
}
END_TEST

START_TEST(keys_and_values_have_limits)
{
	static char text[TABLE_VALUE_MAX + 2];
	struct why why = WHY_INIT;
	struct table_writer *w = table_writer_new(file_spec("hash", "db"), 0,
	    0644, &why);
	struct buf b = BUF_INIT(TABLE_VALUE_MAX);
	struct table *t;

	memset(text, 'k', sizeof(text));
	ck_assert_int_eq(table_writer_put(w, span_make(text, TABLE_KEY_MAX),
	    span_make(text, TABLE_VALUE_MAX), false, &why), 1);
	ck_assert_int_eq(table_writer_put(w, span_make(text,
	    TABLE_KEY_MAX + 1), SPAN("x"), false, &why), -1);
	ck_assert_int_eq(table_writer_put(w, SPAN("x"), span_make(text,
	    TABLE_VALUE_MAX + 1), false, &why), -1);
	ck_assert_int_eq(table_writer_commit(&w, &why), 0);
	t = open_ok(file_spec("hash", "db"));
	ck_assert_int_eq(table_get(t, span_make(text, TABLE_KEY_MAX), &b,
	    &why), 1);
	ck_assert_uint_eq(b.len, TABLE_VALUE_MAX);
	ck_assert_int_eq(table_get(t, span_make(text, TABLE_KEY_MAX + 1), &b,
	    &why), 0);
	/* no room for the value: temporary, not "none" */
	ck_assert_int_eq(table_get(t, span_make(text, TABLE_KEY_MAX), &b,
	    &why), -1);
	ck_assert(why_temporary(&why));
	table_close(&t);
	buf_fini(&b);
}
END_TEST

struct seen {
	int	n, sum;
	int	stop;
};

static bool
see(void *arg, struct span key, struct span value)
{
	struct seen *s = arg;

	s->n++;
	s->sum += value.p[0] - '0';
	return s->n != s->stop;
}

START_TEST(listing)
{
	const char *const pairs[] = { "a", "1", "b", "2", "c", "3", NULL };
	char *specs[3];
	struct why why = WHY_INIT;
	struct table *t;

	make_db("hash", "db", 0, pairs);
	conf_write("text", "a 1\nb 2\nc 3\n");
	specs[0] = mem_strdup(file_spec("hash", "db"));
	specs[1] = mem_strdup(file_spec("texthash", "text"));
	specs[2] = mem_strdup("inline:{a=1,b=2,c=3}");
	for (int i = 0; i < 3; i++) {
		struct seen s = { .n = 0 };

		t = open_ok(specs[i]);
		ck_assert_int_eq(table_each(t, see, &s, &why), 0);
		ck_assert_int_eq(s.n, 3);
		ck_assert_int_eq(s.sum, 6);
		s = (struct seen){ .stop = 2 };
		ck_assert_int_eq(table_each(t, see, &s, &why), 0);
		ck_assert_int_eq(s.n, 2);
		table_close(&t);
		mem_free(specs[i]);
	}
	t = open_ok("static:x");
	ck_assert_int_eq(table_each(t, see, NULL, &why), -1);
	table_close(&t);
}
END_TEST

static const struct {
	const char	*key, *want;
} text_entries[] = {
	{ "a", "1" }, { "b", "two  words" }, { "c", "joined  line" },
	{ "\"x y\"", "quoted" }, { "\"x y\"@z", "more" }, { "d:", "colon" },
	{ "upper", "folded" }, { "novalue", "(none)" }, { "dup", "first" },
	{ "last", "line" },
};

START_TEST(texthash)
{
	struct table *t;

	conf_write("text", "# comment\na 1\nb   two  words  \nc joined\n"
	    "  line\n\"x y\" quoted\n\"x y\"@z more\nd: colon\nUPPER folded\n"
	    "novalue\ndup first\ndup second\nlast line");
	t = open_ok(file_spec("texthash", "text"));
	ck_assert_str_eq(get(t, text_entries[_i].key), text_entries[_i].want);
	table_close(&t);
}
END_TEST

static void
wait_for_check(void)
{
	const struct timespec ts = { 1, 50 * 1000 * 1000 };

	(void)nanosleep(&ts, NULL);
}

START_TEST(a_changed_file_is_read_again)
{
	const char *const one[] = { "a", "1", NULL };
	const char *const two[] = { "a", "2", NULL };
	struct table *text, *db, *re;

	conf_write("text", "a 1\n");
	conf_write("re", "/a/ 1\n");
	make_db("hash", "db", 0, one);
	text = open_ok(file_spec("texthash", "text"));
	re = open_ok(file_spec("regexp", "re"));
	db = open_ok(file_spec("hash", "db"));
	conf_write("text", "a 2\n");
	conf_write("re", "/a/ 2\n");
	make_db("hash", "db", 0, two);
	/* not looked at again within a second */
	ck_assert_str_eq(get(text, "a"), "1");
	wait_for_check();
	ck_assert_str_eq(get(text, "a"), "2");
	ck_assert_str_eq(get(re, "a"), "2");
	ck_assert_str_eq(get(db, "a"), "2");
	/* gone: what was read is good; broken: an error until it is not */
	ck_assert_int_eq(unlink(conf_path("text")), 0);
	conf_write("db.db", "this is no database");
	wait_for_check();
	ck_assert_str_eq(get(text, "a"), "2");
	ck_assert_int_eq(strncmp(get(db, "a"), "error: ", 7), 0);
	ck_assert_int_eq(strncmp(get(db, "a"), "error: ", 7), 0);
	ck_assert_int_eq(unlink(conf_path("db.db")), 0);
	make_db("hash", "db", 0, one);
	wait_for_check();
	ck_assert_str_eq(get(db, "a"), "1");
	table_close(&text);
	table_close(&db);
	table_close(&re);
}
END_TEST

/* Open and read a damaged copy; only not crashing counts. */
static void
try_damaged(const char *type)
{
	struct why why = WHY_INIT;
	struct table *t = table_open(file_spec(type, "bad"), 0, &why);
	struct seen s = { .n = 0, .stop = 100000 };
	char key[16];

	if (t == NULL)
		return;
	for (int i = 0; i < 20; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		(void)get(t, key);
	}
	(void)!table_each(t, see, &s, &why);
	table_close(&t);
}

START_TEST(damaged_databases_are_errors)
{
	const char *type = db_types[_i % 2];
	struct why why = WHY_INIT;
	struct table_writer *w = table_writer_new(file_spec(type, "good"), 0,
	    0644, &why);
	struct buf good = BUF_INIT(1 << 20), bad = BUF_INIT(1 << 20);
	char key[16];
	FILE *f;
	int c, crashes = 0;

	srandom((unsigned)_i);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		ck_assert_int_eq(table_writer_put(w, span_of(key),
		    SPAN("some value of a key"), false, &why), 1);
	}
	ck_assert_int_eq(table_writer_commit(&w, &why), 0);
	f = fopen(conf_path("good.db"), "r");
	while ((c = getc(f)) != EOF)
		buf_add_char(&good, (char)c);
	(void)fclose(f);
	for (int round = 0; round < 60; round++) {
		pid_t pid;
		int status;

		buf_reset(&bad);
		buf_add_span(&bad, buf_span(&good));
		if (round % 3 == 0) {
			buf_trunc(&bad, (size_t)random() % bad.len);
		} else for (int i = 0; i < 1 << round % 8; i++) {
			bad.data[(size_t)random() % bad.len] = (char)random();
		}
		conf_write_n("bad.db", bad.data, bad.len);
		pid = fork();
		if (pid == 0) {
			(void)alarm(20);
			try_damaged(type);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status))
			crashes++;
	}
	ck_assert_int_eq(crashes, 0);
	buf_fini(&good);
	buf_fini(&bad);
}
END_TEST

/* --- maps ------------------------------------------------------------------------------ */

START_TEST(maps_take_the_first_answer)
{
	struct why why = WHY_INIT;
	struct maps *m = maps_new("x_maps",
	    "inline:{a=1} , regexp:{{/b/ 2}}\n static:{the rest}", TABLE_FOLD,
	    &why);
	struct buf b = BUF_INIT(100);

	ck_assert_msg(m != NULL, "%s", why.text);
	ck_assert(!maps_empty(m));
	ck_assert_int_eq(maps_get(m, SPAN("a"), false, &b, &why), 1);
	ck_assert_str_eq(b.data, "1");
	ck_assert_str_eq(maps_last_table(m), "inline:{a=1}");
	buf_reset(&b);
	ck_assert_int_eq(maps_get(m, SPAN("b"), false, &b, &why), 1);
	ck_assert_str_eq(b.data, "2");
	buf_reset(&b);
	ck_assert_int_eq(maps_get(m, SPAN("b"), true, &b, &why), 1);
	ck_assert_str_eq(b.data, "the rest");
	ck_assert_str_eq(maps_last_table(m), "static:{the rest}");
	buf_fini(&b);
	maps_free(&m);
	m = maps_new("x_maps", " ,\t", 0, &why);
	ck_assert(maps_empty(m));
	ck_assert_int_eq(maps_get(m, SPAN("a"), false, &b, &why), 0);
	maps_free(&m);
	ck_assert_ptr_null(maps_new("x_maps", "nosuch:x", 0, &why));
	ck_assert_ptr_null(maps_new("x_maps", "static:{x", 0, &why));
	ck_assert_ptr_null(maps_new("x_maps", "/etc/passwd", 0, &why));
	ck_assert(strstr(why.text, "x_maps") != NULL);
}
END_TEST

static int
judge_digits(struct span value, struct why *why)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return why_set(why, "", "\"%.*s\" is bad",
			    SPAN_ARG(value));
	return 0;
}

static const struct {
	const char	*value, *text;		/* NULL: it is right */
	bool		 all;
} judged[] = {
	{ "", NULL, false },
	{ "static:5 inline:{{a=1},{b=2}}", NULL, false },
	/* Patterns cannot be listed. */
	{ "regexp:{{/a/ x}}", NULL, false },
	{ "static:x", "x_maps: static:x: \"x\" is bad", true },
	{ "inline:{{a=x},{b=2}}", "x_maps: inline:{{a=x},{b=2}}: a: \"x\" is "
	  "bad", false },
	{ "inline:{{a=x},{b=y}} inline:{c=z}", "x_maps: inline:{{a=x},{b=y}}: "
	  "a: \"x\" is bad (and 2 more)", false },
	/* The one that goes for all is the one to tell of. */
	{ "inline:{a=x} static:y", "x_maps: static:y: \"y\" is bad", true },
};

START_TEST(values_are_judged)			/* a loop test */
{
	struct why why = WHY_INIT;
	struct maps *m = maps_new("x_maps", judged[_i].value, TABLE_FOLD, &why);
	bool all;
	int rc = maps_judge(m, judge_digits, &all, &why);

	ck_assert_int_eq(rc, judged[_i].text == NULL ? 0 : -1);
	ck_assert(all == judged[_i].all);
	ck_assert_str_eq(why.text, judged[_i].text == NULL ? "" :
	    judged[_i].text);
	maps_free(&m);
}
END_TEST

START_TEST(a_missing_table_is_tried_again)
{
	struct why why = WHY_INIT;
	struct buf b = BUF_INIT(100);
	char spec[400];
	struct maps *m;

	(void)snprintf(spec, sizeof(spec), "inline:{a=1} %s",
	    file_spec("texthash", "later"));
	m = maps_new("x_maps", spec, 0, &why);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(maps_get(m, SPAN("a"), false, &b, &why), 1);
	/* not "none": somebody may be in the table that is missing */
	ck_assert_int_eq(maps_get(m, SPAN("b"), false, &b, &why), -1);
	ck_assert(why_temporary(&why));
	conf_write("later", "b 2\n");
	wait_for_check();
	buf_reset(&b);
	ck_assert_int_eq(maps_get(m, SPAN("b"), false, &b, &why), 1);
	ck_assert_str_eq(b.data, "2");
	maps_free(&m);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("conf/table");
	TCase *t = tcase_create("table");

	tcase_add_checked_fixture(t, conf_setup, conf_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, simple_types, 0, ARRAY_LEN(simple));
	tcase_add_loop_test(t, bad_specs_are_refused, 0,
	    ARRAY_LEN(bad_specs));
	tcase_add_test(t, nesting_is_bounded);
	tcase_add_test(t, users_have_no_password);
	tcase_add_test(t, variables_of_the_process);
	tcase_add_loop_test(t, pattern_tables, 0, ARRAY_LEN(patterns));
	tcase_add_test(t, substitution_can_be_forbidden);
	tcase_add_loop_test(t, databases, 0, 2);
	tcase_add_test(t, keys_and_values_have_limits);
	tcase_add_test(t, listing);
	tcase_add_loop_test(t, texthash, 0, ARRAY_LEN(text_entries));
	tcase_add_test(t, a_changed_file_is_read_again);
	tcase_add_loop_test(t, damaged_databases_are_errors, 0, 4);
	tcase_add_test(t, maps_take_the_first_answer);
	tcase_add_loop_test(t, values_are_judged, 0, ARRAY_LEN(judged));
	tcase_add_test(t, a_missing_table_is_tried_again);
	suite_add_tcase(s, t);
	return s;
}
