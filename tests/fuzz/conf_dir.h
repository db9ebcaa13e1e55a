/* SPDX-License-Identifier: ISC */
/*
 * conf_dir - a scratch directory for targets whose input is a configuration
 * file; it is removed when the process ends.
 */
#ifndef FUZZ_CONF_DIR_H
#define FUZZ_CONF_DIR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/params.h"

static char conf_dir[64];

static void
conf_dir_remove(void)
{
	static const char *const names[] = { "main.cf", "master.cf", "table" };
	char path[96];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", conf_dir,
		    names[i]);
		(void)unlink(path);
	}
	(void)rmdir(conf_dir);
}

/* Write the file; the directory and an empty main.cf are made first. */
static void
conf_dir_write(const char *name, const void *p, size_t n)
{
	char path[96];
	FILE *f;

	if (conf_dir[0] == '\0') {
		(void)snprintf(conf_dir, sizeof(conf_dir), "%s/fuzz.XXXXXX",
		    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
		if (mkdtemp(conf_dir) == NULL)
			abort();
		(void)atexit(conf_dir_remove);
		conf_dir_write("main.cf", "", 0);
	}
	(void)snprintf(path, sizeof(path), "%s/%s", conf_dir, name);
	f = fopen(path, "w");
	if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		abort();
}

static inline void
ignore_problem(void *arg, bool is_error, const char *line)
{
	if (strlen(line) == 0)
		abort();
}

#endif
