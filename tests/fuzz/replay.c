/* SPDX-License-Identifier: ISC */
/*
 * replay - shows files to a fuzz target, without a fuzzer.
 *
 *	tests/fuzz/TARGET [-m MUTATIONS] FILE|DIRECTORY ...
 *
 * Each input is shown as it is, cut off at a few places, and changed in
 * MUTATIONS random ways (default 100).  The changes depend on the input alone,
 * so a crash comes again; the line printed last names it.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"

#define INPUT_MAX	(16u << 20)
#define MUTATE_MAX	(64u << 10)	/* larger inputs are only shown */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned shown, mutations = 100;
static char now[512];		/* what is being shown, for on_crash() */

static void
on_crash(int signo)
{
	static const char head[] = "\ncrashed on ";

	(void)!write(STDERR_FILENO, head, sizeof(head) - 1);
	(void)!write(STDERR_FILENO, now, strlen(now));
	(void)!write(STDERR_FILENO, "\n", 1);
	signal(signo, SIG_DFL);
	raise(signo);
}

/* A copy of its own, so that the sanitizer sees a byte past the end. */
static void
show(const char *data, size_t n, const char *path, const char *how, unsigned i)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (copy == NULL)
		abort();
	if (n)
		memcpy(copy, data, n);
	snprintf(now, sizeof(now), "%s (%s %u)", path, how, i);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	shown++;
}

static uint64_t seed;

static uint64_t
next(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return below ? seed % below : 0;
}

static void
mutate(struct buf *b)
{
	static const char odd[] = "\0\x01\x7f\x80\xff\r\n\t \"<>@[]\\,;:=()./%";
	size_t at = next(b->len + 1), n;
	uint8_t c;

	switch (next(6)) {
	case 0:				/* flip a bit */
		if (at < b->len)
			b->data[at] ^= (char)(1 << next(8));
		break;
	case 1:				/* a byte that means something */
		c = (uint8_t)odd[next(sizeof(odd) - 1)];
		if (at < b->len)
			b->data[at] = (char)c;
		else
			buf_add_char(b, (char)c);
		break;
	case 2:				/* a large or small number */
		if (b->len - at >= 4)
			num_put_le32(b->data + at, next(2) ? UINT32_MAX
			    - (uint32_t)next(4) : (uint32_t)next(16));
		break;
	case 3:				/* cut a piece out */
		n = next(b->len - at + 1);
		memmove(b->data + at, b->data + at + n, b->len - at - n);
		buf_trunc(b, b->len - n);
		break;
	case 4:				/* repeat a piece */
		n = next(MIN(b->len - at, 64) + 1);
		if (b->len + n <= MUTATE_MAX)
			buf_add(b, b->data + at, n);
		break;
	default:			/* insert */
		c = (uint8_t)odd[next(sizeof(odd) - 1)];
		buf_add_char(b, 0);
		memmove(b->data + at + 1, b->data + at, b->len - at - 1);
		b->data[at] = (char)c;
		break;
	}
}

static void
show_file(const char *path)
{
	struct buf in = BUF_INIT(INPUT_MAX), b = BUF_INIT(BUF_UNLIMITED);

	if (fd_read_file(AT_FDCWD, path, &in) < 0)
		log_fatal("%s: %m", path);
	show(in.data, in.len, path, "as it is", 0);
	if (in.len <= MUTATE_MAX) {
		for (unsigned i = 0; i < 16; i++)
			show(in.data, in.len * i / 16, path, "cut", i);
		seed = 88172645463325252u ^ crc32c(0, in.data, in.len);
		for (unsigned i = 0; i < mutations; i++) {
			unsigned steps = 1 + (unsigned)next(4);

			buf_reset(&b);
			buf_add(&b, in.data, in.len);
			while (steps-- > 0)
				mutate(&b);
			show(b.data, b.len, path, "mutation", i);
		}
	}
	buf_fini(&in);
	buf_fini(&b);
}

static void
show_path(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (d == NULL && errno == ENOTDIR) {
		show_file(path);
		return;
	}
	if (d == NULL)
		log_fatal("%s: %m", path);
	while ((e = readdir(d)) != NULL) {
		char *name;

		if (e->d_name[0] == '.')
			continue;
		name = mem_printf("%s/%s", path, e->d_name);
		show_path(name);
		mem_free(name);
	}
	closedir(d);
}

int
main(int argc, char **argv)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE };
	uint32_t n;
	int opt;

	while ((opt = getopt(argc, argv, "m:")) != -1) {
		if (opt != 'm' || num_parse_u32(span_of(optarg), 1000 * 1000,
			&n) < 0)
			return 2;
		mutations = n;
	}
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		signal(signals[i], on_crash);
	show("", 0, "nothing", "as it is", 0);
	for (int i = optind; i < argc; i++)
		show_path(argv[i]);
	printf("%u inputs\n", shown);
	return 0;
}
