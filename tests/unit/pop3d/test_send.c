/* SPDX-License-Identifier: ISC */
/*
 * A message as RETR and TOP send it: line ends, dots, ends without a line,
 * in pieces of any size.
 */
#include "base/buf.h"
#include "pop3d/pop3.h"

static const struct {
	const char	*in;
	int		 top;		/* lines of the body; -1: RETR */
	const char	*want;
} cases[] = {
	{ "A: b\n\nx\n", -1, "A: b\r\n\r\nx\r\n.\r\n" },
	{ "A: b\r\n\r\nx\r\n", -1, "A: b\r\n\r\nx\r\n.\r\n" },
	{ "A: b\n\nx", -1, "A: b\r\n\r\nx\r\n.\r\n" },
	{ "", -1, ".\r\n" },
	{ "\n", -1, "\r\n.\r\n" },
	{ ".", -1, "..\r\n.\r\n" },
	{ ".\n..\n...\n", -1, "..\r\n...\r\n....\r\n.\r\n" },
	{ "x\n.\r\ny", -1, "x\r\n..\r\ny\r\n.\r\n" },
	{ "a\rb\n\r\n", -1, "a\rb\r\n\r\n.\r\n" },
	{ "A: b\n\n1\n2\n3\n", 0, "A: b\r\n\r\n.\r\n" },
	{ "A: b\n\n1\n2\n3\n", 1, "A: b\r\n\r\n1\r\n.\r\n" },
	{ "A: b\n\n1\n2\n3\n", 3, "A: b\r\n\r\n1\r\n2\r\n3\r\n.\r\n" },
	{ "A: b\n\n1\n2\n3\n", 99, "A: b\r\n\r\n1\r\n2\r\n3\r\n.\r\n" },
	{ "A: b\r\n\r\n.1\r\n2\r\n", 1, "A: b\r\n\r\n..1\r\n.\r\n" },
	{ "A: b\n", 0, "A: b\r\n.\r\n" },
	{ "A: b\n\n\n\nx\n", 2, "A: b\r\n\r\n\r\n\r\n.\r\n" },
	{ "A: b\n\nlast", 1, "A: b\r\n\r\nlast\r\n.\r\n" },
};

static void
send_all(int n, size_t max, struct buf *out)
{
	struct sending s = { .content.bytes = span_of(cases[n].in) };

	send_begin(&s, cases[n].top >= 0,
	    cases[n].top >= 0 ? (uint32_t)cases[n].top : 0);
	while (send_some(&s, out, max))
		;
}

START_TEST(lines_and_dots)	/* a loop test */
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	send_all(_i, 65536, &out);
	ck_assert_str_eq(out.data, cases[_i].want);
	buf_fini(&out);
}
END_TEST

START_TEST(pieces_of_any_size_are_the_same)	/* a loop test */
{
	for (size_t max = 1; max < 30; max++) {
		struct buf out = BUF_INIT(BUF_UNLIMITED);

		send_all(_i, max, &out);
		ck_assert_str_eq(out.data, cases[_i].want);
		buf_fini(&out);
	}
}
END_TEST

/* A line without end comes in pieces that are bounded. */
START_TEST(a_long_line_is_cut)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED), out = BUF_INIT(BUF_UNLIMITED);
	struct sending s;
	size_t last = 0;

	for (int i = 0; i < 100000; i++)
		buf_add_char(&in, i % 7 == 0 ? '\r' : 'x');
	s = (struct sending){ .content.bytes = buf_span(&in) };
	send_begin(&s, false, 0);
	while (send_some(&s, &out, 1000)) {
		ck_assert_uint_le(out.len - last, 1003);
		last = out.len;
	}
	ck_assert_uint_eq(out.len, 100000 + 5);
	ck_assert_int_eq(memcmp(out.data, in.data, in.len), 0);
	buf_fini(&in);
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("pop3d/send");
	TCase *t = tcase_create("send");

	tcase_add_loop_test(t, lines_and_dots, 0, ARRAY_LEN(cases));
	tcase_add_loop_test(t, pieces_of_any_size_are_the_same, 0,
	    ARRAY_LEN(cases));
	tcase_add_test(t, a_long_line_is_cut);
	suite_add_tcase(s, t);
	return s;
}
