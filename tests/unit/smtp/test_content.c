/* SPDX-License-Identifier: ISC */
/*
 * Messages on their way out: line ends, dots, long lines, quoted-printable.
 */
#include <stdlib.h>
#include <unistd.h>

#include "conf/params.h"
#include "smtp/content.h"

static int
file_with(const char *text, size_t len)
{
	char path[] = "/tmp/mansio-unit-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	return fd;
}

static void
all(int fd, size_t off, size_t len, size_t limit, bool downgrade,
    struct buf *out)
{
	struct content *c = content_new(fd, off, len, limit,
	    CONTENT_DOTS | (downgrade ? CONTENT_DOWNGRADE : 0));
	struct why why = WHY_INIT;
	int rc;

	while ((rc = content_next(c, out, &why)) > 0)
		;
	ck_assert_int_eq(rc, 0);
	content_free(&c);
}

static const struct {
	const char	*in;
	size_t		 limit;
	bool		 downgrade;
	const char	*want;
} cases[] = {
	{ "a\nb\n", 998, false, "a\r\nb\r\n" },
	{ "", 998, false, "" },
	{ "no end", 998, false, "no end\r\n" },
	{ ".\n..\n.x\n", 998, false, "..\r\n...\r\n..x\r\n" },
	{ "abcdef\n", 6, false, "abcdef\r\n" },
	{ "abcdefg\n", 6, false, "abcdef\r\n g\r\n" },
	{ "abcdefghijklmn\n", 6, false, "abcdef\r\n ghijk\r\n lmn\r\n" },
	{ "abcdefg\n", 0, false, "abcdefg\r\n" },
	{ "Content-Transfer-Encoding: 8bit\nA: b\n\n\xc3\xa4=x \n", 998, true,
	  "A: b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	  "=C3=A4=3Dx=20\r\n" },
	/* Not said to be 8bit: left alone. */
	{ "A: b\n\n\xc3\xa4\n", 998, true, "A: b\r\n\r\n\xc3\xa4\r\n" },
	{ "Content-Type: multipart/mixed; boundary=x\n"
	  "Content-Transfer-Encoding: 8bit\n\npre\n--x\n"
	  "Content-Transfer-Encoding: binary\n\n\xff\n--x\n\nplain=\n"
	  "--x--\n", 998, true,
	  "Content-Type: multipart/mixed; boundary=x\r\n"
	  "Content-Transfer-Encoding: 7bit\r\n\r\npre\r\n--x\r\n"
	  "Content-Transfer-Encoding: quoted-printable\r\n\r\n=FF\r\n--x\r\n"
	  "\r\nplain=\r\n--x--\r\n" },
};

START_TEST(lines_for_the_wire)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	conf.mime_boundary_length_limit = 2048;
	conf.mime_nesting_limit = 100;
	int fd = file_with(cases[_i].in, strlen(cases[_i].in));

	all(fd, 0, strlen(cases[_i].in), cases[_i].limit,
	    cases[_i].downgrade, &out);
	ck_assert_str_eq(out.data, cases[_i].want);
	close(fd);
	buf_fini(&out);
}
END_TEST

START_TEST(pieces_make_no_difference)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED), out = BUF_INIT(BUF_UNLIMITED);
	size_t lines = 0, lf = 0;
	int fd;

	/* Dots at the start of lines, at all places around the pieces. */
	while (in.len < 200 * 1024) {
		for (size_t i = 0; i < lines % 7; i++)
			buf_add_char(&in, '.');
		buf_add_char(&in, '\n');
		lines++;
	}
	fd = file_with(in.data, in.len);
	all(fd, 1, in.len - 1, 998, false, &out);
	for (size_t i = 0; i < out.len; i++) {
		if (out.data[i] != '\n')
			continue;
		ck_assert(i > 0 && out.data[i - 1] == '\r');
		lf++;
		if (i + 1 < out.len && out.data[i + 1] == '.')
			ck_assert(out.data[i + 2] == '.');
	}
	ck_assert_uint_eq(lf, lines - 1);
	close(fd);
	buf_fini(&in);
	buf_fini(&out);
}
END_TEST

START_TEST(what_a_message_needs)
{
	static const char text[] = "Subject: \xc3\xa4\n\nplain\n";
	struct content_facts f;
	struct why why = WHY_INIT;
	int fd = file_with(text, sizeof(text) - 1);

	ck_assert_int_eq(content_look(fd, 0, sizeof(text) - 1, &f, &why), 0);
	ck_assert(f.eight_bit_header);
	ck_assert(!f.eight_bit_body);
	ck_assert_uint_eq(f.size, sizeof(text) - 1 + 3);
	/* Cut short: an error, not a short message. */
	ck_assert_int_eq(content_look(fd, 0, sizeof(text), &f, &why), -1);
	close(fd);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("content");
	TCase *t = tcase_create("content");

	tcase_add_loop_test(t, lines_for_the_wire, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, pieces_make_no_difference);
	tcase_add_test(t, what_a_message_needs);
	suite_add_tcase(s, t);
	return s;
}
