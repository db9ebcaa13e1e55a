/* SPDX-License-Identifier: ISC */
/*
 * bus - mapped files with bytes that cannot be had.
 *
 * Where the disk has an error, or the file was cut since, looking at a page of
 * a mapping ends the process (SIGBUS).  In a range that is watched it is a page
 * of zeros instead, for as long as it is mapped: who compares a checksum finds
 * damage, as he would with read(), and everything else goes on.
 *
 * For processes that look at files from one thread.
 */
#ifndef IO_BUS_H
#define IO_BUS_H

#include <stddef.h>

/* A mapping for reading, from its first page on. */
void	bus_watch(const void *map, size_t len);
/* Before it is unmapped; one that is not watched is ignored. */
void	bus_forget(const void *map);

#endif
