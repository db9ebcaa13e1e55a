/* SPDX-License-Identifier: ISC */
/*
 * SRV records in their order (RFC 2782).
 */
#include <stdio.h>
#include <string.h>

#include "dns/srv.h"

static void
make(struct srv *v, const char *name, unsigned priority, unsigned weight)
{
	(void)snprintf(v->name, sizeof(v->name), "%s", name);
	v->priority = (uint16_t)priority;
	v->weight = (uint16_t)weight;
	v->port = 587;
}

START_TEST(priority_comes_first)
{
	for (int n = 0; n < 50; n++) {
		struct srv v[5];

		make(&v[0], "c", 30, 1000);
		make(&v[1], "a", 10, 1);
		make(&v[2], "d", 65535, 0);
		make(&v[3], "b", 20, 0);
		make(&v[4], "a", 10, 1);
		srv_order(v, 5);
		ck_assert_str_eq(v[0].name, "a");
		ck_assert_str_eq(v[1].name, "a");
		ck_assert_str_eq(v[2].name, "b");
		ck_assert_str_eq(v[3].name, "c");
		ck_assert_str_eq(v[4].name, "d");
	}
}
END_TEST

START_TEST(weight_is_a_share_of_first_places)
{
	unsigned first[3] = { 0, 0, 0 };

	for (int n = 0; n < 4000; n++) {
		struct srv v[3];

		make(&v[0], "0", 1, 0);
		make(&v[1], "1", 1, 25);
		make(&v[2], "2", 1, 75);
		srv_order(v, 3);
		first[v[0].name[0] - '0']++;
		/* Each is there once. */
		ck_assert_int_eq(v[0].name[0] + v[1].name[0] + v[2].name[0],
		    '0' + '1' + '2');
	}
	/* 40, 990 and 2970 are expected; ten deviations are allowed. */
	ck_assert_uint_gt(first[0], 0);
	ck_assert_uint_lt(first[0], 103);
	ck_assert_uint_gt(first[1], 715);
	ck_assert_uint_lt(first[1], 1265);
	ck_assert_uint_gt(first[2], 2690);
}
END_TEST

START_TEST(all_of_weight_zero)
{
	struct srv v[SRV_MAX];
	uint64_t seen = 0;

	for (unsigned i = 0; i < SRV_MAX; i++) {
		make(&v[i], "x", 1, 0);
		v[i].port = (uint16_t)i;
	}
	srv_order(v, SRV_MAX);
	for (unsigned i = 0; i < SRV_MAX; i++)
		seen |= (uint64_t)1 << v[i].port;
	ck_assert_uint_eq(seen, UINT64_MAX);
	srv_order(v, 0);
	srv_order(v, 1);
}
END_TEST

START_TEST(names)
{
	char name[32];

	ck_assert_int_eq(srv_name("submission", "example.org", name,
	    sizeof(name)), 0);
	ck_assert_str_eq(name, "_submission._tcp.example.org");
	ck_assert_int_eq(srv_name("submission", "example1.org", name, 29), -1);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("srv");
	TCase *t = tcase_create("srv");

	tcase_add_test(t, priority_comes_first);
	tcase_add_test(t, weight_is_a_share_of_first_places);
	tcase_add_test(t, all_of_weight_zero);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	return s;
}
