/* SPDX-License-Identifier: ISC */
/*
 * The sender of probes, with and without a part that changes.
 */
#include "route/probe_sender.h"

#include "conf/params.h"

static struct buf out;

static void
settings(const char *sender, int64_t ttl)
{
	conf.append_at_myorigin = true;
	conf.myorigin = "example.test";
	conf.mydomain = "test";
	conf.address_verify_sender = sender;
	conf.address_verify_sender_ttl = ttl;
	out = BUF_INIT(1000);
}

static bool
is(const char *address, int64_t now)
{
	return probe_sender_is(span_of(address), now);
}

START_TEST(the_same_for_ever)
{
	settings("double-bounce", 0);
	probe_sender(1000, &out);
	ck_assert_str_eq(out.data, "double-bounce@example.test");
	ck_assert(is("Double-Bounce@Example.Test", 5));
	ck_assert(!is("double-bounce0@example.test", 5));
	ck_assert(!is("double-bounce@else.test", 5));
	ck_assert(!is("", 5));
}
END_TEST

START_TEST(none)
{
	settings("<>", 100);
	probe_sender(1000, &out);
	ck_assert_uint_eq(out.len, 0);
	ck_assert(!is("", 1000));
	ck_assert(!is("<>", 1000));
	settings("", 0);
	probe_sender(1000, &out);
	ck_assert_uint_eq(out.len, 0);
	ck_assert(!is("", 1000));
}
END_TEST

START_TEST(another_in_each_period)
{
	settings("probe@else.test", 3600);
	/* 31 * 31 periods and one: "101" */
	probe_sender(962 * 3600 + 5, &out);
	ck_assert_str_eq(out.data, "probe101@else.test");
	ck_assert(is("probe101@else.test", 962 * 3600));
	ck_assert(is("probe101@else.test", 963 * 3600));
	ck_assert(is("probe101@else.test", 961 * 3600));
	ck_assert(!is("probe101@else.test", 964 * 3600));
	ck_assert(!is("probe101@else.test", 960 * 3600));
	ck_assert(!is("probe@else.test", 962 * 3600));
	ck_assert(!is("probe0101@else.test", 962 * 3600));
	/* The first period has none before it. */
	ck_assert(is("probe0@else.test", 0));
	buf_reset(&out);
	probe_sender(30 * 3600, &out);
	ck_assert_str_eq(out.data, "probeu@else.test");
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("probe_sender");
	TCase *t = tcase_create("sender");

	tcase_add_test(t, the_same_for_ever);
	tcase_add_test(t, none);
	tcase_add_test(t, another_in_each_period);
	suite_add_tcase(s, t);
	return s;
}
