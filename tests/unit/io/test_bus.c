/* SPDX-License-Identifier: ISC */
/*
 * bus: a page of a watched mapping that is not there reads as zeros; of one
 * that is not watched it ends the process.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/bus.h"
#include "tests/unit/unit.h"

#define PAGES	3

static size_t page;

/* A file of so many pages that does not say zero, mapped. */
static const char *
map_file(int *fd)
{
	const char *t = getenv("TMPDIR");
	char name[128], *p;

	page = (size_t)sysconf(_SC_PAGESIZE);
	snprintf(name, sizeof(name), "%s/busXXXXXX", t != NULL &&
	    strlen(t) < 100 ? t : "/tmp");
	*fd = mkstemp(name);
	ck_assert_int_ge(*fd, 0);
	unlink(name);
	p = malloc(PAGES * page);
	memset(p, 'x', PAGES * page);
	ck_assert_int_eq(write(*fd, p, PAGES * page), PAGES * page);
	free(p);
	p = mmap(NULL, PAGES * page, PROT_READ, MAP_SHARED, *fd, 0);
	ck_assert(p != MAP_FAILED);
	return p;
}

static char
look(const char *p)
{
	return *(const volatile char *)p;
}

START_TEST(what_was_cut_reads_as_zeros)
{
	int fd;
	const char *p = map_file(&fd);

	bus_watch(p, PAGES * page);
	ck_assert_int_eq(ftruncate(fd, (off_t)page), 0);
	ck_assert_int_eq(look(p + page + 5), 0);
	ck_assert_int_eq(look(p + 2 * page), 0);
	ck_assert_int_eq(look(p + page - 1), 'x');
	/* What it says stays what it is. */
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(look(p + page + 5), 0);
	ck_assert_int_eq(look(p), 0);
	bus_forget(p);
	munmap((void *)(uintptr_t)p, PAGES * page);
	close(fd);
}
END_TEST

START_TEST(others_end_the_process)
{
	int fd, status;
	const char *p = map_file(&fd), *q = map_file(&fd);
	pid_t pid;

	bus_watch(p, PAGES * page);
	bus_watch(q, PAGES * page);
	bus_forget(q);
	bus_forget(q);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		_exit(look(q) == 'x');
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* A sanitizer says so in another way. */
	ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) > 1);
	ck_assert_int_eq(look(p), 'x');
	close(fd);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("bus");

	tcase_add_test(t, what_was_cut_reads_as_zeros);
	tcase_add_test(t, others_end_the_process);
	suite_add_tcase(s, t);
	return s;
}
