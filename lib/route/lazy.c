/* SPDX-License-Identifier: ISC */
/*
 * lazy - see lazy.h.
 */
#include "route/lazy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "route/addr_find.h"

#define RETRY_MS	1000		/* between attempts to open a table */

static int
lazy_open(struct lazy *l, struct why *why)
{
	int64_t now;

	if (l->is_list ? l->list != NULL : l->maps != NULL)
		return 0;
	now = clock_mono_ms();
	if (now >= l->next_ms) {
		l->next_ms = now + RETRY_MS;
		l->why = WHY_INIT;
		if (l->is_list)
			l->list = match_list_new(l->title, l->value, l->flags,
			    &l->why);
		else
			l->maps = maps_new(l->title, l->value, l->flags,
			    &l->why);
		if (l->is_list ? l->list != NULL : l->maps != NULL)
			return 0;
		log_warning("%s: %s", l->title, l->why.text);
	}
	return why_set(why, "4.3.5", "%s: %s", l->title, l->why.text);
}

void
lazy_init(struct lazy *l, const char *title, const char *value, bool is_list,
    int flags)
{
	struct why why = WHY_INIT;

	l->title = title;
	l->value = mem_strdup(value);
	l->is_list = is_list;
	l->flags = flags;
	if (lazy_open(l, &why) < 0)
		return;			/* a warning has been logged */
}

void
lazy_fini(struct lazy *l)
{
	mem_free(l->value);
	maps_free(&l->maps);
	match_list_free(&l->list);
}

bool
lazy_empty(const struct lazy *l)
{
	return span_trim(span_of(l->value)).len == 0;
}

int
lazy_list_has(struct lazy *l, struct span domain, struct why *why)
{
	if (lazy_empty(l))
		return 0;
	return lazy_open(l, why) < 0 ? -1 :
	    match_list_string(l->list, domain, why);
}

int
lazy_find(struct lazy *l, struct span addr, unsigned flags, struct buf *out,
    struct why *why)
{
	buf_reset(out);
	if (lazy_empty(l))
		return 0;
	return lazy_open(l, why) < 0 ? -1 :
	    addr_find(l->maps, addr, flags, out, NULL, why);
}
