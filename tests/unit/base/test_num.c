/* SPDX-License-Identifier: ISC */
/*
 * num: parsing at and beyond each limit; bytes in order.
 */
#include "base/num.h"

static const struct {
	const char	*in;
	uint64_t	 max;
	int		 rc;
	uint64_t	 want;
} numbers[] = {
	{ "0",				UINT64_MAX,	0,	0 },
	{ "007",			UINT64_MAX,	0,	7 },
	{ "18446744073709551615",	UINT64_MAX,	0,	UINT64_MAX },
	{ "18446744073709551616",	UINT64_MAX,	-1,	0 },
	{ "99999999999999999999",	UINT64_MAX,	-1,	0 },
	{ "100000000000000000000000",	UINT64_MAX,	-1,	0 },
	{ "10",				10,		0,	10 },
	{ "11",				10,		-1,	0 },
	{ "",				10,		-1,	0 },
	{ "+1",				10,		-1,	0 },
	{ "-1",				10,		-1,	0 },
	{ " 1",				10,		-1,	0 },
	{ "1 ",				10,		-1,	0 },
	{ "0x1",			10,		-1,	0 },
	{ "1e1",			10,		-1,	0 },
	{ "/",				10,		-1,	0 },
	{ ":",				10,		-1,	0 },
};

START_TEST(unsigned_numbers)
{
	uint64_t got = 77;

	ck_assert_int_eq(num_parse_u64(span_of(numbers[_i].in),
	    numbers[_i].max, &got), numbers[_i].rc);
	ck_assert_uint_eq(got, numbers[_i].rc == 0 ? numbers[_i].want : 77);
}
END_TEST

static const struct {
	const char	*in;
	int64_t		 min, max;
	int		 rc;
	int64_t		 want;
} integers[] = {
	{ "-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN },
	{ "-9223372036854775809", INT64_MIN, INT64_MAX, -1, 0 },
	{ "9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX },
	{ "9223372036854775808", INT64_MIN, INT64_MAX, -1, 0 },
	{ "-0",		-5, 5, 0, 0 },
	{ "-5",		-5, 5, 0, -5 },
	{ "-6",		-5, 5, -1, 0 },
	{ "6",		-5, 5, -1, 0 },
	{ "-",		-5, 5, -1, 0 },
	{ "--1",	-5, 5, -1, 0 },
	{ "",		-5, 5, -1, 0 },
};

START_TEST(signed_numbers)
{
	int64_t got = 77;

	ck_assert_int_eq(num_parse_i64(span_of(integers[_i].in),
	    integers[_i].min, integers[_i].max, &got), integers[_i].rc);
	ck_assert_int_eq(got, integers[_i].rc == 0 ? integers[_i].want : 77);
}
END_TEST

START_TEST(hexadecimal)
{
	uint64_t v = 77;
	uint32_t w = 77;

	ck_assert_int_eq(num_parse_hex(SPAN("fFfFfFfFfFfFfFfF"), &v), 0);
	ck_assert_uint_eq(v, UINT64_MAX);
	ck_assert_int_eq(num_parse_hex(SPAN("0000000000000000000000ab"), &v),
	    0);
	ck_assert_uint_eq(v, 0xab);
	ck_assert_int_eq(num_parse_hex(SPAN("10000000000000000"), &v), -1);
	ck_assert_int_eq(num_parse_hex(SPAN("g"), &v), -1);
	ck_assert_int_eq(num_parse_hex(SPAN("0x1"), &v), -1);
	ck_assert_int_eq(num_parse_hex(SPAN_EMPTY, &v), -1);
	ck_assert_uint_eq(v, 0xab);
	ck_assert_int_eq(num_parse_u32(SPAN("4294967295"), UINT32_MAX, &w), 0);
	ck_assert_uint_eq(w, UINT32_MAX);
	ck_assert_int_eq(num_parse_u32(SPAN("4294967296"), UINT32_MAX, &w),
	    -1);
}
END_TEST

START_TEST(sums_saturate)
{
	ck_assert_uint_eq(num_add_sat(1, 2), 3);
	ck_assert_uint_eq(num_add_sat(UINT64_MAX, 0), UINT64_MAX);
	ck_assert_uint_eq(num_add_sat(UINT64_MAX - 1, 2), UINT64_MAX);
}
END_TEST

START_TEST(bytes_are_little_endian_at_any_address)
{
	char raw[16] = { 0 };

	num_put_le64(raw + 1, 0x0102030405060708);
	ck_assert_mem_eq(raw + 1, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	ck_assert_uint_eq(num_get_le64(raw + 1), 0x0102030405060708);
	num_put_le32(raw + 3, 0xfffefdfc);
	ck_assert_mem_eq(raw + 3, "\xfc\xfd\xfe\xff", 4);
	ck_assert_uint_eq(num_get_le32(raw + 3), 0xfffefdfc);
	num_put_le16(raw + 5, 0xff01);
	ck_assert_uint_eq(num_get_le16(raw + 5), 0xff01);
}
END_TEST

START_TEST(decimals_of_all_lengths)
{
	char want[32], got[32];
	uint64_t v = 1;

	for (int n = 0; n < 64; n++, v = v * 2 + 1) {
		for (uint64_t d = 0; d < 3; d++) {
			snprintf(want, sizeof(want), "%llu",
			    (unsigned long long)(v - d));
			*num_put_decimal(got, v - d) = '\0';
			ck_assert_str_eq(got, want);
		}
	}
	for (v = 1; v < UINT64_MAX / 10; v *= 10) {
		snprintf(want, sizeof(want), "%llu", (unsigned long long)v);
		*num_put_decimal(got, v) = '\0';
		ck_assert_str_eq(got, want);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("num");
	TCase *t = tcase_create("num");

	tcase_add_loop_test(t, unsigned_numbers, 0, ARRAY_LEN(numbers));
	tcase_add_loop_test(t, signed_numbers, 0, ARRAY_LEN(integers));
	tcase_add_test(t, hexadecimal);
	tcase_add_test(t, sums_saturate);
	tcase_add_test(t, decimals_of_all_lengths);
	tcase_add_test(t, bytes_are_little_endian_at_any_address);
	suite_add_tcase(s, t);
	return s;
}
