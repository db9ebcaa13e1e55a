/* SPDX-License-Identifier: ISC */
/*
 * queue_id: Postfix's long form, there and back.
 */
#include <check.h>

#include "queue/queue_id.h"

/* Worked out by hand from the digits 0-9, B-Z and b-z without vowels. */
static const struct {
	int64_t		 us;
	uint64_t	 seq;
	const char	*want;
} made[] = {
	{ 0,			0,	"0000000000z0" },
	{ 1000000,		1,	"0000010000z1" },
	{ 51000000,		50,	"00000z0000zy" },
	{ 52000000,		51,	"0000100000z10" },
	{ 999999,		52,	"00000075plz11" },
};

START_TEST(ids_are_made_as_postfix_makes_them)
{
	char id[QUEUE_ID_MAX];
	int64_t us;
	uint64_t seq;

	queue_id_make(made[_i].us, made[_i].seq, id);
	ck_assert_str_eq(id, made[_i].want);
	ck_assert_int_eq(queue_id_parse(span_of(id), &us, &seq), 0);
	ck_assert_int_eq(us, made[_i].us);
	ck_assert_uint_eq(seq, made[_i].seq);
}
END_TEST

START_TEST(numbers_survive_the_way_there_and_back)
{
	static const uint64_t seqs[] = {
		0, 1, 255, 256, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX
	};

	for (size_t i = 0; i < ARRAY_LEN(seqs); i++) {
		char id[QUEUE_ID_MAX];
		int64_t us;
		uint64_t seq;

		queue_id_make(1795310235123456, seqs[i], id);
		ck_assert(queue_id_valid(span_of(id)));
		ck_assert_int_eq(queue_id_parse(span_of(id), &us, &seq), 0);
		ck_assert_int_eq(us, 1795310235123456);
		ck_assert_uint_eq(seq, seqs[i]);
	}
}
END_TEST

static const char *const bad[] = {
	"", "0", "0000000000z", "0000000000", "000000000z0", "00000A0000z1",
	"0000000000z1z", "0000000000z01", "../../../etc/passwd",
	"0000000000z1/..", "0000000000z.", "000000zzzzz1",
	"0000000000zyyyyyyyyyyyyyy", "0000000000z1 ",
};

START_TEST(other_names_are_refused)
{
	ck_assert(!queue_id_valid(span_of(bad[_i])));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("queue_id");
	TCase *t = tcase_create("queue_id");

	tcase_add_loop_test(t, ids_are_made_as_postfix_makes_them, 0,
	    ARRAY_LEN(made));
	tcase_add_test(t, numbers_survive_the_way_there_and_back);
	tcase_add_loop_test(t, other_names_are_refused, 0, ARRAY_LEN(bad));
	suite_add_tcase(s, t);
	return s;
}
