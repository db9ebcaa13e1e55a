/* SPDX-License-Identifier: ISC */
/*
 * pump: when a client is in the middle of a command.
 */
#include <check.h>

#include "front/front_priv.h"

static const struct {
	const char	*in;
	bool		 ends;
	uint64_t	 literal;	/* left afterwards */
} steps[] = {
	{ "a NOOP\r\n",				true,	0 },
	{ "a",					false,	0 },
	{ " NOOP",				false,	0 },
	{ "\r\n",				true,	0 },
	{ "a APPEND x {5}\r\n",			false,	6 },
	{ "12",					false,	4 },
	{ "3\r\n",				false,	1 },
	{ "\r\n",				true,	0 },
	{ "a APPEND x {5+}\r\n12345",		false,	0 },
	{ "\r\n",				true,	0 },
	{ "a APPEND x {3+}\r\n123\r\nb NOOP\r\n", true,	0 },
	{ "a LOGIN {5}\r\n",			false,	6 },
	{ "alice {10}\r\n",			false,	11 },
	{ "wonderland\r\n",			true,	0 },
	{ "a APPEND x ~{0}\n",			false,	1 },
	{ "\n",					true,	0 },
	{ "a SEARCH TEXT x}\r\n",		true,	0 },
	{ "a SEARCH TEXT {}\r\n",		true,	0 },
	{ "a SEARCH TEXT {+}\r\n",		true,	0 },
	{ "a SEARCH TEXT 1}\r\n",		true,	0 },
	{ "1}\r\n",				true,	0 },
	{ "{1}\r\n",				false,	2 },
	{ "}\r\n",				true,	0 },
	{ "{99999999999999999999}\r\n",		true,	0 },
	{ "",					false,	0 },
};

START_TEST(a_command_goes_on_after_a_literal)
{
	uint64_t literal = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		ck_assert_msg(front_pump_ends(&literal,
		    span_of(steps[i].in)) == steps[i].ends, "%zu", i);
		ck_assert_msg(literal == steps[i].literal, "%zu: %ju", i,
		    (uintmax_t)literal);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("pump");
	TCase *t = tcase_create("pump");

	tcase_add_test(t, a_command_goes_on_after_a_literal);
	suite_add_tcase(s, t);
	return s;
}
