/* SPDX-License-Identifier: ISC */
/*
 * schema: the bytes of each row, the limits of each row, hostile bodies.
 */
#include <signal.h>

#include "base/mem.h"
#include "ipc/schema.h"
#include "ipc/wire.h"

#define SAMPLE_ROWS(ROW)						\
	ROW(STR, name, 4)						\
	ROW(U32, count, 1000)						\
	ROW(U64, big, UINT64_MAX - 1)					\
	ROW(BOOL, yes, )						\
	ROW(BLOB, bytes, 3)
IPC_MESSAGE(sample, SAMPLE_ROWS)

/* The wire form of { "joe", 1000, 2^64-2, true, "a\0" }, by hand. */
static const char wire[] =
    "\3\0\0\0joe" "\xe8\3\0\0" "\xfe\xff\xff\xff\xff\xff\xff\xff" "\1"
    "\2\0\0\0a\0";
#define WIRE_LEN	(sizeof(wire) - 1)

START_TEST(rows_travel_in_order)
{
	struct sample m = { SPAN("joe"), 1000, UINT64_MAX - 1, true,
	    SPAN("a\0") }, got;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	sample_encode(&b, &m);
	ck_assert(span_eq(buf_span(&b), span_make(wire, WIRE_LEN)));
	ck_assert_int_eq(sample_decode(&got, buf_span(&b)), 0);
	ck_assert(span_is(got.name, "joe"));
	ck_assert_ptr_eq(got.name.p, b.data + 4);
	ck_assert_uint_eq(got.count, 1000);
	ck_assert_uint_eq(got.big, UINT64_MAX - 1);
	ck_assert(got.yes);
	ck_assert(span_eq(got.bytes, SPAN("a\0")));
	buf_fini(&b);
}
END_TEST

START_TEST(every_cut_and_every_extra_byte_is_refused)
{
	struct sample got;
	char longer[WIRE_LEN + 1];

	for (size_t n = 0; n < WIRE_LEN; n++) {
		char *copy = mem_alloc(n);	/* for the sanitizer */

		memcpy(copy, wire, n);
		ck_assert_int_eq(sample_decode(&got, span_make(copy, n)), -1);
		mem_free(copy);
	}
	memcpy(longer, wire, WIRE_LEN);
	longer[WIRE_LEN] = 0;
	ck_assert_int_eq(sample_decode(&got, span_make(longer,
	    sizeof(longer))), -1);
	ck_assert_int_eq(sample_decode(&got, SPAN_EMPTY), -1);
}
END_TEST

static const struct {
	const char	*what;
	size_t		 at, len;	/* of wire, replaced by */
	const char	*with;
	size_t		 with_len;
	int		 rc;
} changes[] = {
#define BYTES(s)	"" s, sizeof(s) - 1
	{ "string at its limit", 0, 7, BYTES("\4\0\0\0joey"), 0 },
	{ "string one past it", 0, 7, BYTES("\5\0\0\0joeys"), -1 },
	{ "string empty", 0, 7, BYTES("\0\0\0\0"), 0 },
	{ "NUL in a string", 0, 7, BYTES("\3\0\0\0j\0e"), -1 },
	{ "string length huge", 0, 4, BYTES("\xff\xff\xff\xff"), -1 },
	{ "string length past the end", 0, 4, BYTES("\4\0\0\0"), -1 },
	{ "u32 one past", 7, 4, BYTES("\xe9\3\0\0"), -1 },
	{ "u32 huge", 7, 4, BYTES("\xff\xff\xff\xff"), -1 },
	{ "u64 one past", 11, 8, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"), -1 },
	{ "bool 0", 19, 1, BYTES("\0"), 0 },
	{ "bool 2", 19, 1, BYTES("\2"), -1 },
	{ "bool 255", 19, 1, BYTES("\xff"), -1 },
	{ "blob at its limit", 20, 6, BYTES("\3\0\0\0abc"), 0 },
	{ "blob one past it", 20, 6, BYTES("\4\0\0\0abcd"), -1 },
	{ "blob length past the end", 20, 4, BYTES("\3\0\0\0"), -1 },
};

START_TEST(limits_of_the_rows)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct sample got;

	buf_add(&b, wire, changes[_i].at);
	buf_add(&b, changes[_i].with, changes[_i].with_len);
	buf_add(&b, wire + changes[_i].at + changes[_i].len,
	    WIRE_LEN - changes[_i].at - changes[_i].len);
	ck_assert_msg(sample_decode(&got, buf_span(&b)) == changes[_i].rc,
	    "%s", changes[_i].what);
	buf_fini(&b);
}
END_TEST

/* What the other end would refuse is our bug where it is made. */
START_TEST(encoding_what_cannot_be_decoded_panics)
{
	struct sample m = { SPAN("joe"), 1, 1, true, SPAN("") };
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	switch (_i) {
	case 0:
		m.name = SPAN("joeys");
		break;
	case 1:
		m.name = SPAN("j\0");
		break;
	case 2:
		m.count = 1001;
		break;
	case 3:
		m.big = UINT64_MAX;
		break;
	default:
		m.bytes = SPAN("abcd");
		break;
	}
	sample_encode(&b, &m);
}
END_TEST

/* --- headers and HELLO ------------------------------------------------------------ */

static const struct ipc_proto proto = {
	.name = "test", .version = 7, .frame_max = 1000, .out_max = 1000
};

static const struct {
	struct ipc_header h;
	bool		  ready;
	int		  rc;
} headers[] = {
	{ { 1000, 1, 0, 5 },		true,	0 },
	{ { 1001, 1, 0, 5 },		true,	-1 },
	{ { UINT32_MAX, 1, 0, 5 },	true,	-1 },
	{ { 0, UINT16_MAX, 1, 5 },	true,	0 },
	{ { 0, 1, 2, 5 },		true,	-1 },
	{ { 0, 1, UINT16_MAX, 5 },	true,	-1 },
	{ { 10, 0, 0, 5 },		true,	-1 },	/* HELLO again */
	{ { 10, 1, 0, 5 },		false,	-1 },	/* not yet */
	{ { IPC_HELLO_MAX, 0, 0, 0 },	false,	0 },
	{ { IPC_HELLO_MAX + 1, 0, 0, 0 }, false, -1 },
	{ { 10, 0, 1, 0 },		false,	-1 },
};

START_TEST(headers_that_a_conversation_allows)
{
	char raw[IPC_HEADER_LEN];
	struct ipc_header got;
	const char *text = NULL;

	ipc_header_put(raw, &headers[_i].h);
	ck_assert_int_eq(ipc_header_get(&got, raw, &proto, headers[_i].ready,
	    &text), headers[_i].rc);
	if (headers[_i].rc < 0)
		ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(got.len, headers[_i].h.len);
	ck_assert_uint_eq(got.type, headers[_i].h.type);
	ck_assert_uint_eq(got.nfds, headers[_i].h.nfds);
	ck_assert_uint_eq(got.tag, headers[_i].h.tag);
}
END_TEST

START_TEST(hello_names_the_conversation_and_its_version)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const char *text = NULL;
	struct ipc_proto other = proto;

	ipc_hello_put(&b, &proto);
	ck_assert(span_eq(buf_span(&b), SPAN("\x0c\0\0\0" "\0\0" "\0\0"
	    "\0\0\0\0" "\4\0\0\0test" "\7\0\0\0")));
	ck_assert_int_eq(ipc_hello_check(span_from(buf_span(&b),
	    IPC_HEADER_LEN), &proto, &text), 0);
	other.name = "best";
	ck_assert_int_eq(ipc_hello_check(span_from(buf_span(&b),
	    IPC_HEADER_LEN), &other, &text), -1);
	other = proto;
	other.version = 8;
	ck_assert_int_eq(ipc_hello_check(span_from(buf_span(&b),
	    IPC_HEADER_LEN), &other, &text), -1);
	ck_assert_int_eq(ipc_hello_check(SPAN("xx"), &proto, &text), -1);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("schema");
	TCase *t = tcase_create("schema");

	tcase_add_test(t, rows_travel_in_order);
	tcase_add_test(t, every_cut_and_every_extra_byte_is_refused);
	tcase_add_loop_test(t, limits_of_the_rows, 0, ARRAY_LEN(changes));
	tcase_add_loop_test_raise_signal(t,
	    encoding_what_cannot_be_decoded_panics, SIGABRT, 0, 5);
	tcase_add_loop_test(t, headers_that_a_conversation_allows, 0,
	    ARRAY_LEN(headers));
	tcase_add_test(t, hello_names_the_conversation_and_its_version);
	suite_add_tcase(s, t);
	return s;
}
