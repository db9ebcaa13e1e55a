/* SPDX-License-Identifier: ISC */
/*
 * mime: the structure that is found, that no byte is lost or added however
 * the input is cut, and the limits.
 */
#include <check.h>

#include "base/mem.h"
#include "mail/mime.h"

static const struct mime_options usual = {
	.structure = true, .lines = true, .look_8bit = true,
	.header_max = 1000, .line_max = 100, .boundary_max = 70,
	.nesting_max = 5,
};

struct seen {
	struct buf	bytes;		/* all that came out */
	struct buf	trace;		/* what it came out as */
};

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	struct seen *seen = arg;

	buf_add_span(&seen->bytes, f->whole);
	buf_addf(&seen->trace, "%c:%.*s ", "PMN"[s], SPAN_ARG(f->name));
}

static void
on_end(void *arg, enum mime_section s, bool blank)
{
	struct seen *seen = arg;

	if (blank)
		buf_add_char(&seen->bytes, '\n');
	buf_addf(&seen->trace, "%c%s ", "PMN"[s], blank ? "." : "!");
}

static void
on_body(void *arg, struct span b, bool line_start)
{
	struct seen *seen = arg;

	buf_add_span(&seen->bytes, b);
	if (line_start)
		buf_addf(&seen->trace, "b(%.*s) ", SPAN_ARG(span_trim(b)));
	else
		buf_add_str(&seen->trace, "+ ");
}

static const struct mime_ops ops = { on_header, on_end, on_body };

static unsigned
run(const struct mime_options *o, struct span in, size_t step,
    struct seen *seen)
{
	struct mime *m = mime_new(o, &ops, seen);
	unsigned flags;

	seen->bytes = BUF_INIT(BUF_UNLIMITED);
	seen->trace = BUF_INIT(BUF_UNLIMITED);
	while (in.len > 0) {
		mime_write(m, span_sub(in, 0, step));
		in = span_from(in, step);
	}
	mime_finish(m);
	flags = mime_flags(m);
	mime_free(&m);
	if (seen->trace.len > 0)
		buf_trunc(&seen->trace, seen->trace.len - 1);
	return flags;
}

static void
seen_fini(struct seen *s)
{
	buf_fini(&s->bytes);
	buf_fini(&s->trace);
}

#define MP(b)	"Content-Type: multipart/mixed; boundary=" b "\n"

static const struct { const char *in, *trace; unsigned flags; } cases[] = {
	{ "A: 1\nB: 2\n 3\n\nx\ny\n", "P:A P:B P. b(x) b(y)", 0 },
	{ "", "P!", 0 },
	{ "\n", "P.", 0 },
	{ "\nx\n", "P. b(x)", 0 },
	{ "A: 1\nnot a header\nB: 2\n", "P:A P! b(not a header) b(B: 2)", 0 },
	{ "A: 1", "P:A P!", 0 },
	{ "A: 1\n\nx", "P:A P. b(x)", 0 },
	{ "A: 1\r\n\r\nx\r\n", "P:A P. b(x)", 0 },
	{ MP("b") "\npre\n--b\nX: 1\n\none\n--b\n\ntwo\n--b--\npost\n",
	    "P:Content-Type P. b(pre) b(--b) M:X M. b(one) b(--b) M. b(two) "
	    "b(--b--) b(post)", 0 },
	/* the boundary needs quotes, and has none; it is a prefix */
	{ MP("a/b=c") "\n--a/b=c trailing\nX: 1\n\nx\n",
	    "P:Content-Type P. b(--a/b=c trailing) M:X M. b(x)", 0 },
	{ MP("\"b c\"") "\n--b c\n\nx\n--b c--\n",
	    "P:Content-Type P. b(--b c) M. b(x) b(--b c--)", 0 },
	{ MP("(no) b (no); x=y") "\n--b\nX: 1\n",
	    "P:Content-Type P. b(--b) M:X M!", 0 },
	/* no boundary: an ordinary body */
	{ "Content-Type: multipart/mixed\n\n--b\nX: 1\n",
	    "P:Content-Type P. b(--b) b(X: 1)", 0 },
	/* a part without a blank line */
	{ MP("b") "\n--b\nX: 1\nbody\n--b--\n",
	    "P:Content-Type P. b(--b) M:X M! b(body) b(--b--)", 0 },
	{ MP("b") "\n--b\n--b\n\nx\n--b--\n",
	    "P:Content-Type P. b(--b) M! b(--b) M. b(x) b(--b--)", 0 },
	/* nested multiparts: the outer boundary ends the inner */
	{ MP("o") "\n--o\n" MP("i") "\n--i\n\nx\n--o\nX: 1\n\ny\n--i\n--o--\n",
	    "P:Content-Type P. b(--o) M:Content-Type M. b(--i) M. b(x) b(--o) "
	    "M:X M. b(y) b(--i) b(--o--)", 0 },
	/* attached messages */
	{ "Content-Type: message/rfc822\n\nS: 1\n\nx\n",
	    "P:Content-Type P. N:S N. b(x)", 0 },
	{ "Content-Type: message/rfc822\n\n", "P:Content-Type P. N!", 0 },
	{ "Content-Type: message/rfc822\n\n" MP("b") "\n--b\nX: 1\n\nx\n",
	    "P:Content-Type P. N:Content-Type N. b(--b) M:X M. b(x)", 0 },
	{ "Content-Type: multipart/digest; boundary=b\n\n--b\n\nS: 1\n\nx\n"
	    "--b\nContent-Type: text/plain\n\nS: 1\n",
	    "P:Content-Type P. b(--b) M. N:S N. b(x) b(--b) M:Content-Type "
	    "M. b(S: 1)", 0 },
	{ "Content-Type: message/rfc822\n"
	    "Content-Transfer-Encoding: base64\n\nUzogMQ==\n",
	    "P:Content-Type P:Content-Transfer-Encoding P. b(UzogMQ==)",
	    MIME_ENCODING },
	/* what is 8-bit */
	{ "A: \303\266\n\nx\n", "P:A P. b(x)", MIME_8BIT_HEADER },
	{ "A: 1\n\n\303\266\n", "P:A P. b(\303\266)",
	    MIME_8BIT_BODY | MIME_NOT_7BIT },
	{ "Content-Transfer-Encoding: 8bit\n\n\303\266\n",
	    "P:Content-Transfer-Encoding P. b(\303\266)", MIME_NOT_7BIT },
};

START_TEST(structure_is_found_and_no_byte_changes)
{
	struct span in = span_of(cases[_i].in);
	bool crlf = span_search(in, SPAN("\r\n\r\n")) >= 0;

	for (size_t step = 1; step <= in.len + 1; step++) {
		struct seen seen;
		unsigned flags = run(&usual, in, step, &seen);

		ck_assert_str_eq(seen.trace.data, cases[_i].trace);
		ck_assert_uint_eq(flags, cases[_i].flags);
		if (!crlf)	/* on_end writes LF for the blank line */
			ck_assert_str_eq(seen.bytes.data, cases[_i].in);
		seen_fini(&seen);
	}
}
END_TEST

START_TEST(bulk_bodies_keep_every_byte)
{
	struct mime_options o = usual;
	struct span in = span_of(cases[_i].in);

	for (int structure = 0; structure <= 1; structure++)
		for (size_t step = 1; step <= in.len + 1; step++) {
			struct seen seen;

			o.lines = false;
			o.structure = structure;
			(void)run(&o, in, step, &seen);
			if (span_search(in, SPAN("\r\n\r\n")) < 0)
				ck_assert_str_eq(seen.bytes.data,
				    cases[_i].in);
			seen_fini(&seen);
		}
}
END_TEST

START_TEST(long_lines_come_in_pieces)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	struct seen seen;

	buf_add_str(&in, "A: 1\n\n");
	for (int i = 0; i < 250; i++)
		buf_add_char(&in, 'x');
	buf_add_str(&in, "\ny\n");
	for (size_t step = 1; step < 300; step += 7) {
		(void)run(&usual, buf_span(&in), step, &seen);
		ck_assert_str_eq(seen.bytes.data, in.data);
		seen_fini(&seen);
	}
	(void)run(&usual, buf_span(&in), in.len, &seen);
	ck_assert_uint_eq(seen.trace.len, strlen("P:A P. b() + + b(y)") + 100);
	seen_fini(&seen);
	buf_fini(&in);
}
END_TEST

START_TEST(header_is_cut_at_its_limit)
{
	for (int extra = 0; extra <= 1; extra++) {
		struct buf in = BUF_INIT(BUF_UNLIMITED);
		struct seen seen;
		unsigned flags;

		buf_add_str(&in, "A: ");
		/* 1000 bytes with the line end; a cut keeps 1000 and adds
		 * the line end */
		for (int i = 0; i < 996 + extra; i++)
			buf_add_char(&in, i % 90 == 50 ? '\n' :
			    i % 90 == 51 ? ' ' : 'x');
		buf_add_str(&in, "\nB: 2\n\n");
		flags = run(&usual, buf_span(&in), 13, &seen);
		ck_assert_uint_eq(flags, extra ? MIME_HEADER_CUT : 0);
		ck_assert_str_eq(seen.trace.data, "P:A P:B P.");
		ck_assert_uint_eq(seen.bytes.len, in.len);
		seen_fini(&seen);
		buf_fini(&in);
	}
}
END_TEST

START_TEST(nesting_is_bounded)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	struct seen seen;

	for (int i = 0; i < 1000; i++)
		buf_add_str(&in, "Content-Type: message/rfc822\n\n");
	ck_assert_uint_eq(run(&usual, buf_span(&in), 17, &seen),
	    MIME_NESTING);
	ck_assert_str_eq(seen.bytes.data, in.data);
	seen_fini(&seen);
	buf_reset(&in);
	for (int i = 0; i < 1000; i++)
		buf_addf(&in, MP("x%d") "\n--x%d\n", i, i);
	ck_assert_uint_eq(run(&usual, buf_span(&in), 17, &seen),
	    MIME_NESTING);
	ck_assert_str_eq(seen.bytes.data, in.data);
	seen_fini(&seen);
	buf_fini(&in);
}
END_TEST

static const struct { const char *value, *name, *want; } params[] = {
	{ "text/plain; charset=utf-8", "charset", "utf-8" },
	{ "text/plain; CHARSET=\"utf-8\"", "charset", "utf-8" },
	{ "text/plain (c); (d) charset (e) = (f) x", "charset", "x" },
	{ "text/plain; a=\"x;charset=y\"; charset=z", "charset", "z" },
	{ "text/plain; a=\"q\\\"uote\"", "a", "q\"uote" },
	{ "text/plain;;; charset=z", "charset", "z" },
	{ "text/plain; charset", "charset", NULL },
	{ "text/plain", "charset", NULL },
	{ "text / plain; a=b", "a", "b" },
	{ "text/plain; a=\"never closed", "a", "never closed" },
	{ "text/plain; a=", "a", "" },
};

START_TEST(parameters_are_found)
{
	struct span t, st, rest;
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	ck_assert_int_eq(mime_type_parse(span_of(params[_i].value), &t, &st,
	    &rest), 0);
	ck_assert(span_is(t, "text") && span_is(st, "plain"));
	ck_assert_int_eq(mime_param(rest, params[_i].name, &out),
	    params[_i].want != NULL);
	ck_assert_str_eq(out.data, params[_i].want ? params[_i].want : "");
	buf_fini(&out);
}
END_TEST

START_TEST(types_that_are_none_are_refused)
{
	struct span t, st, rest;

	ck_assert_int_eq(mime_type_parse(SPAN("text"), &t, &st, &rest), -1);
	ck_assert_int_eq(mime_type_parse(SPAN(""), &t, &st, &rest), -1);
	ck_assert_int_eq(mime_type_parse(SPAN("/plain"), &t, &st, &rest), -1);
	ck_assert_int_eq(mime_type_parse(SPAN("text/"), &t, &st, &rest), -1);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("mime");
	TCase *t = tcase_create("mime");

	tcase_add_loop_test(t, structure_is_found_and_no_byte_changes, 0,
	    ARRAY_LEN(cases));
	tcase_add_loop_test(t, bulk_bodies_keep_every_byte, 0,
	    ARRAY_LEN(cases));
	tcase_add_test(t, long_lines_come_in_pieces);
	tcase_add_test(t, header_is_cut_at_its_limit);
	tcase_add_test(t, nesting_is_bounded);
	tcase_add_loop_test(t, parameters_are_found, 0, ARRAY_LEN(params));
	tcase_add_test(t, types_that_are_none_are_refused);
	suite_add_tcase(s, t);
	return s;
}
