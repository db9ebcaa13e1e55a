/* SPDX-License-Identifier: ISC */
/*
 * crc32c: the values of RFC 3720 B.4, in pieces, and both implementations.
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/rnd.h"
#include "base/span.h"

START_TEST(rfc3720_examples)
{
	unsigned char b[32];

	ck_assert_uint_eq(crc32c(0, "", 0), 0);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	memset(b, 0, sizeof(b));
	ck_assert_uint_eq(crc32c(0, b, sizeof(b)), 0x8a9136aa);
	memset(b, 0xff, sizeof(b));
	ck_assert_uint_eq(crc32c(0, b, sizeof(b)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)i;
	ck_assert_uint_eq(crc32c(0, b, sizeof(b)), 0x46dd794e);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)(31 - i);
	ck_assert_uint_eq(crc32c(0, b, sizeof(b)), 0x113fdb5c);
}
END_TEST

START_TEST(pieces_and_the_portable_way_give_the_same)
{
	char b[300];
	uint32_t whole;

	rnd_bytes(b, sizeof(b));
	for (size_t n = 0; n < sizeof(b); n++) {
		whole = crc32c(0, b + 1, n);
		ck_assert_uint_eq(crc32c_portable(0, b + 1, n), whole);
		for (size_t cut = 0; cut <= n; cut += 7)
			ck_assert_uint_eq(crc32c(crc32c(0, b + 1, cut),
			    b + 1 + cut, n - cut), whole);
	}
}
END_TEST

/* Long enough for stretches side by side, and one byte around their ends. */
START_TEST(long_input_is_the_same)
{
	static char b[20000];

	rnd_bytes(b, sizeof(b));
	for (size_t n = 350; n < 1300; n++)
		ck_assert_uint_eq(crc32c(1, b + n % 8, n),
		    crc32c_portable(1, b + n % 8, n));
	for (size_t n = 3000; n < 3200; n++)
		ck_assert_uint_eq(crc32c(0, b + n % 8, n),
		    crc32c_portable(0, b + n % 8, n));
	for (size_t n = 6000; n < sizeof(b) - 8; n += 1021)
		ck_assert_uint_eq(crc32c(0x12345678, b + n % 8, n),
		    crc32c_portable(0x12345678, b + n % 8, n));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("crc32c");
	TCase *t = tcase_create("crc32c");

	tcase_add_test(t, rfc3720_examples);
	tcase_add_test(t, pieces_and_the_portable_way_give_the_same);
	tcase_add_test(t, long_input_is_the_same);
	suite_add_tcase(s, t);
	return s;
}
