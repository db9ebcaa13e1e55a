/* SPDX-License-Identifier: ISC */
/*
 * account_segment - the segments of an account, mapped for reading.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/bus.h"
#include "io/fd.h"
#include "store/account_internal.h"

#define SEGMENTS_MAX	1024	/* mapped at a time */

static void
unmap_segment(struct acct_segment *s)
{
	if (s->map != NULL) {
		bus_forget(s->map);
		(void)munmap((void *)(uintptr_t)s->map, s->len);
	}
	fd_close(&s->fd);
	looks_fini(&s->looks);
}

static void
unmap_all(struct account *a)
{
	for (size_t i = 0; i < a->segments.len; i++)
		unmap_segment(&a->segments.v[i]);
	a->segments.len = 0;
}

void
account_segments_fini(struct account *a)
{
	unmap_all(a);
	ARRAY_FINI(&a->segments);
}

static struct acct_segment *
find_segment(struct account *a, uint32_t no)
{
	/* The one that was used last is mostly the one. */
	for (size_t i = a->segments.len; i-- > 0;) {
		if (a->segments.v[i].number == no)
			return &a->segments.v[i];
	}
	return NULL;
}

static int
map_segment(struct account *a, struct acct_segment *s)
{
	struct stat st;
	size_t len;
	void *map;

	if (fstat(s->fd, &st) < 0)
		return -1;
	s->size = (size_t)st.st_size;
	if (s->map != NULL && s->size <= s->len)
		return 0;
	/*
	 * As long as it can become by small messages, so that it is mapped
	 * once; what lies beyond the file's end is never touched.
	 */
	len = MAX(s->size, (size_t)PACKED_SEGMENT_MAX + 4096);
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, s->fd, 0);
	if (map == MAP_FAILED)
		return -1;
	/* A disk's error costs a message, and not all that the user does. */
	bus_watch(map, len);
	/*
	 * Spans of the old mapping may still be in use: it stays until the
	 * account is closed, as an entry that nobody finds.
	 */
	if (s->map != NULL) {
		struct acct_segment old = *s;

		looks_fini(&s->looks);
		old.looks = s->looks;
		old.number = 0;
		old.fd = -1;
		s->map = map;
		s->len = len;
		*ARRAY_PUSH(&a->segments) = old;
		return 0;
	}
	s->map = map;
	s->len = len;
	return 0;
}

/* The segment, with these bytes in it. */
static struct acct_segment *
segment_with(struct account *a, uint32_t no, uint64_t offset, uint64_t len,
    struct why *why)
{
	struct acct_segment *s = find_segment(a, no);
	char name[PACKED_NAME_MAX];

	if (s == NULL) {
		struct acct_segment fresh = { .number = no };

		packed_segment_name(no, name);
		fresh.fd = packed_open_checked(a->dirfd, name, O_RDONLY);
		if (fresh.fd < 0 || map_segment(a, &fresh) < 0) {
			fd_close(&fresh.fd);
			(void)store_fail(why, "cannot open a segment of",
			    a->path);
			(void)account_fail(a, errno == ENOENT ?
			    ACCOUNT_EXPUNGED : ACCOUNT_UNAVAILABLE);
			return NULL;
		}
		if (a->segments.len >= SEGMENTS_MAX && a->views == 0)
			unmap_all(a);
		s = ARRAY_PUSH(&a->segments);
		*s = fresh;
	}
	if (offset > s->size || len > s->size - offset) {
		if (map_segment(a, s) < 0) {
			(void)store_fail(why, "cannot map a segment of",
			    a->path);
			(void)account_fail(a, ACCOUNT_UNAVAILABLE);
			return NULL;
		}
		s = find_segment(a, no);
		if (offset > s->size || len > s->size - offset) {
			(void)account_say(a, ACCOUNT_CORRUPT, why, "%s: "
			    "segment %u is shorter than it should be", a->path,
			    (unsigned)no);
			return NULL;
		}
	}
	return s;
}

const char *
account_map(struct account *a, uint32_t no, uint64_t offset, uint64_t len,
    struct why *why)
{
	struct acct_segment *s = segment_with(a, no, offset, len, why);

	if (s == NULL)
		return NULL;
	(void)looks_at(&s->looks, s->map, s->size, offset);
	return s->map + offset;
}

struct span
account_look(struct account *a, uint32_t no, uint64_t offset, uint64_t len,
    size_t few, char *room)
{
	struct why why = WHY_INIT;
	struct acct_segment *s = segment_with(a, no, offset, len, &why);
	struct iovec to = { .iov_base = room, .iov_len = few };

	if (s == NULL)
		return SPAN_EMPTY;
	/* What is not in memory comes from the disk in larger pieces by way of
	 * the mapping. */
	if (looks_at(&s->looks, s->map, s->size, offset) ||
	    preadv2(s->fd, &to, 1, (off_t)offset, RWF_NOWAIT) !=
	    (ssize_t)few)
		return span_make(s->map + offset, (size_t)len);
	return span_make(room, few);
}
