/* SPDX-License-Identifier: ISC */
/*
 * scratch - a directory of their own for targets whose input is a file, with
 * all that is below it removed when the process ends; and log lines that
 * nobody reads.  Once, by a target's one file.
 */
#ifndef TESTS_FUZZ_SCRATCH_H
#define TESTS_FUZZ_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "io/fd.h"

static char scratch[128];

static int
scratch_remove_one(const char *path, const struct stat *st, int type,
    struct FTW *f)
{
	(void)st;
	(void)type;
	/* The directory itself is kept while the process lives. */
	return f->level > 0 ? remove(path) : 0;
}

/* Remove all that is in it. */
static void
scratch_empty(void)
{
	(void)nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
scratch_end(void)
{
	scratch_empty();
	(void)rmdir(scratch);
}

static void
scratch_quiet(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* The first call makes it; true then. */
static inline bool
scratch_start(void)
{
	const char *t = getenv("TMPDIR");

	if (scratch[0] != '\0')
		return false;
	snprintf(scratch, sizeof(scratch), "%s/fuzzXXXXXX",
	    t != NULL && strlen(t) < 100 ? t : "/tmp");
	if (mkdtemp(scratch) == NULL)
		abort();
	atexit(scratch_end);
	log_set_hook(scratch_quiet);
	return true;
}

static inline void
scratch_mkdir(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	if (mkdir(path, 0700) < 0)
		abort();
}

static void
scratch_put(const char *name, struct span s)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fd_write_all(fd, s.p, s.len) < 0)
		abort();
	close(fd);
}

#endif
