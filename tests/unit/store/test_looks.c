/* SPDX-License-Identifier: ISC */
/*
 * looks: few looks at a window are reads, many map it and begin the next; a
 * file that is shorter than it was, or not mapped at all, does no harm.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/looks.h"

#define WINDOWS	5u

static size_t size;
static char *map;
static int fd;

static void
setup(void)
{
	char name[] = "/tmp/looksXXXXXX";

	size = (size_t)WINDOWS * LOOKS_WINDOW - 1000;
	ck_assert_int_ge(fd = mkstemp(name), 0);
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	map = mmap(NULL, 2 * size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
}

static void
teardown(void)
{
	ck_assert_int_eq(munmap(map, 2 * size), 0);
	close(fd);
}

/* n of them in this window: how many were to be read. */
static unsigned
reads(struct looks *l, size_t window, unsigned n)
{
	unsigned read = 0;

	for (unsigned i = 0; i < n; i++)
		read += !looks_at(l, map, size, window * LOOKS_WINDOW +
		    (uint64_t)(i % 200) * 997);
	return read;
}

START_TEST(many_looks_map_and_go_on)
{
	struct looks l = { NULL, 0 };

	ck_assert_uint_eq(reads(&l, 0, LOOKS_MANY - 1), LOOKS_MANY - 1);
	ck_assert_uint_eq(reads(&l, 1, 1), 1);
	ck_assert_uint_eq(reads(&l, 0, 1000), 0);
	/* The next one, from the first look on; not the one behind it, before
	 * much was looked at in between. */
	ck_assert_uint_eq(reads(&l, 1, 1), 0);
	ck_assert_uint_eq(reads(&l, 2, 1), 1);
	ck_assert_uint_eq(reads(&l, 1, LOOKS_MANY), 0);
	ck_assert_uint_eq(reads(&l, 2, 1), 0);
	ck_assert_uint_eq(reads(&l, WINDOWS - 1, 1), 1);
	ck_assert_uint_eq(reads(&l, WINDOWS - 1, 1000), LOOKS_MANY - 2);
	for (size_t i = 0; i < size; i += 512)
		ck_assert_int_eq(map[i], 0);
	looks_fini(&l);
	ck_assert_uint_eq(reads(&l, 0, 1), 1);
	looks_fini(&l);
}
END_TEST

START_TEST(places_that_are_not_there)
{
	struct looks l = { NULL, 0 };

	/* It was cut off; it says that it is longer than it is. */
	ck_assert_int_eq(ftruncate(fd, 5000), 0);
	ck_assert_uint_eq(reads(&l, 0, 50), LOOKS_MANY - 1);
	ck_assert_uint_eq(reads(&l, 2, 50), LOOKS_MANY - 1);
	ck_assert_int_eq(map[4999], 0);
	ck_assert_uint_eq(reads(&l, 2 * WINDOWS, 50), LOOKS_MANY - 1);
	/* No file of ours is so long. */
	ck_assert(looks_at(&l, map, SIZE_MAX, UINT64_MAX));
	ck_assert(looks_at(&l, map, SIZE_MAX, INT64_MAX));
	ck_assert_uint_lt(l.n, 1000);
	looks_fini(&l);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("looks");
	TCase *t = tcase_create("looks");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, many_looks_map_and_go_on);
	tcase_add_test(t, places_that_are_not_there);
	suite_add_tcase(s, t);
	return s;
}
