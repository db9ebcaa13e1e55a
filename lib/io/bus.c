/* SPDX-License-Identifier: ISC */
/*
 * bus - mapped files with bytes that cannot be had (bus.h).
 */
#include "io/bus.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define RANGES_MAX	4096	/* more are not watched */

/* The signal comes from looking at one of them, never while they change. */
static struct {
	uintptr_t	from, to;
} ranges[RANGES_MAX];
static size_t count;
static uintptr_t page;

static void
on_bus(int signo, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno;

	(void)context;
	for (size_t i = 0; i < count; i++) {
		if (at < ranges[i].from || at >= ranges[i].to)
			continue;
		if (mmap((void *)(at & ~(page - 1)), page, PROT_READ,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		    MAP_FAILED)
			break;
		errno = saved;
		return;
	}
	/* Not ours: once more, and that ends the process. */
	signal(signo, SIG_DFL);
	errno = saved;
}

void
bus_watch(const void *map, size_t len)
{
	static bool ready;

	if (!ready) {
		struct sigaction act = { .sa_sigaction = on_bus,
		    .sa_flags = SA_SIGINFO };

		page = (uintptr_t)sysconf(_SC_PAGESIZE);
		sigemptyset(&act.sa_mask);
		ready = sigaction(SIGBUS, &act, NULL) == 0;
	}
	if (count == RANGES_MAX)
		return;
	ranges[count].from = (uintptr_t)map;
	ranges[count].to = (uintptr_t)map + len;
	count++;
}

void
bus_forget(const void *map)
{
	for (size_t i = 0; i < count; i++) {
		if (ranges[i].from == (uintptr_t)map) {
			ranges[i] = ranges[--count];
			return;
		}
	}
}
