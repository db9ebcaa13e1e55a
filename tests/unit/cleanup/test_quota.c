/* SPDX-License-Identifier: ISC */
/*
 * Sending quotas as text.
 */
#include "cleanup/quota.h"

static const struct {
	const char	*text;
	int		 rc;
	size_t		 n;
	uint64_t	 max;		/* of the last one */
	int64_t		 seconds;
} cases[] = {
	{ "", 0, 0, 0, 0 },
	{ "unlimited", 0, 0, 0, 0 },
	{ "500/1h", 0, 1, 500, 3600 },
	{ "500/1h 2000/1d", 0, 2, 2000, 86400 },
	{ " 1/1s,2/2m\t3/3h 4/4w ", 0, 4, 4, 4 * 7 * 86400 },
	{ "0/1h", 0, 1, 0, 3600 },
	{ "1/1s 1/1s 1/1s 1/1s 1/1s", -1, 0, 0, 0 },
	{ "500", -1, 0, 0, 0 },
	{ "500/", -1, 0, 0, 0 },
	{ "/1h", -1, 0, 0, 0 },
	{ "500/h", -1, 0, 0, 0 },
	{ "500/1", -1, 0, 0, 0 },
	{ "500/0h", -1, 0, 0, 0 },
	{ "500/99999d", -1, 0, 0, 0 },
	{ "-1/1h", -1, 0, 0, 0 },
	{ "99999999999/1h", -1, 0, 0, 0 },
};
START_TEST(limits_and_times)
{
	struct quota_limits l;

	ck_assert_int_eq(quota_parse(span_of(cases[_i].text), &l),
	    cases[_i].rc);
	if (cases[_i].rc < 0)
		return;
	ck_assert_uint_eq(l.n, cases[_i].n);
	if (l.n > 0) {
		ck_assert_uint_eq(l.v[l.n - 1].max, cases[_i].max);
		ck_assert_int_eq(l.v[l.n - 1].seconds, cases[_i].seconds);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("quota");
	TCase *t = tcase_create("quota");

	tcase_add_loop_test(t, limits_and_times, 0, (int)ARRAY_LEN(cases));
	suite_add_tcase(s, t);
	return s;
}
