/* SPDX-License-Identifier: ISC */
/*
 * conf_test - a scratch directory for configuration files, and the problems
 * that a load reports.
 */
#ifndef TESTS_CONF_TEST_H
#define TESTS_CONF_TEST_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "conf/params.h"

static char conf_dir[64];
static struct buf conf_problems;	/* "error: ...\n", "warning: ...\n" */

static inline char *
conf_path(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", conf_dir, name);
	return path;
}

static inline void
conf_write_n(const char *name, const char *text, size_t n)
{
	FILE *f = fopen(conf_path(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
}

static inline void
conf_write(const char *name, const char *text)
{
	conf_write_n(name, text, strlen(text));
}

static inline void
conf_setup(void)
{
	conf_problems = BUF_INIT(1 << 20);
	(void)snprintf(conf_dir, sizeof(conf_dir), "%s/conf.XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(conf_dir));
	conf_write("main.cf", "");
	conf_write("master.cf", "");
}

static inline void
conf_teardown(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", conf_dir);
	ck_assert_int_eq(system(command), 0);
	buf_fini(&conf_problems);
}

static inline void
conf_report(void *arg, bool is_error, const char *line)
{
	buf_addf(&conf_problems, "%s: %s\n", is_error ? "error" : "warning",
	    line);
}

static inline bool
conf_problem_has(const char *text)
{
	return strstr(conf_problems.data, text) != NULL;
}

#endif
