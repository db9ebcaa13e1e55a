/* SPDX-License-Identifier: ISC */
/*
 * qlog_test - a log in a scratch directory, for the tests of qlog.
 */
#ifndef TESTS_QLOG_TEST_H
#define TESTS_QLOG_TEST_H

#include <sys/stat.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog.h"

#define SEG	QLOG_SEGMENT_MIN

static char dir[64];

static inline void
setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/qlog.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void
teardown(void)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	while ((de = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), de->d_name, 0);
	closedir(d);
	rmdir(dir);
}

static inline struct qlog *
open_log(struct why *why)
{
	struct qlog_options opt = { .segment_size = SEG, .slots_max = 8,
	    .slots_keep = 1, .no_thread = true };

	return qlog_open(AT_FDCWD, dir, &opt, why);
}

static inline struct qlog *
must_open(void)
{
	struct why why = WHY_INIT;
	struct qlog *q = open_log(&why);

	ck_assert_msg(q != NULL, "%s", why.text);
	return q;
}

static inline int
append(struct qlog *q, const char *text, size_t fill, struct qlog_pos *pos)
{
	struct why why = WHY_INIT;
	char *pad = mem_zalloc(fill + 1);
	struct span parts[2] = { span_of(text), { pad, fill } };
	struct qlog_pos p;
	int rc;

	memset(pad, 'x', fill);
	rc = qlog_append(q, 7, parts, 2, pos != NULL ? pos : &p, &why);
	mem_free(pad);
	return rc;
}

static inline void
must_commit(struct qlog *q)
{
	struct why why = WHY_INIT;

	ck_assert_msg(qlog_commit(q, &why) == 0, "%s", why.text);
}

struct seen {
	ARRAY(uint64_t)	seqs;
	unsigned	damages;
};

static inline bool
on_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct seen *s = arg;

	ck_assert_uint_eq(type, 7);
	ck_assert_int_gt(wall_us, 0);
	ck_assert_uint_eq(pos->len, payload.len);
	*ARRAY_PUSH(&s->seqs) = pos->seq;
	return true;
}

static inline void
on_damage(void *arg, uint32_t slot, uint64_t offset, struct span bytes)
{
	((struct seen *)arg)->damages++;
}

static inline void
scan(struct seen *s, uint64_t from)
{
	struct why why = WHY_INIT;
	struct qlog_visit v = { on_record, on_damage, s };

	memset(s, 0, sizeof(*s));
	ck_assert_int_eq(qlog_scan(AT_FDCWD, dir, from, &v, &why), 0);
}

static inline void
expect_seqs(uint64_t from, uint64_t first, uint64_t last)
{
	struct seen s;

	scan(&s, from);
	ck_assert_uint_eq(s.damages, 0);
	ck_assert_uint_eq(s.seqs.len, last + 1 - first);
	for (size_t i = 0; i < s.seqs.len; i++)
		ck_assert_uint_eq(s.seqs.v[i], first + i);
	ARRAY_FINI(&s.seqs);
}

#endif
