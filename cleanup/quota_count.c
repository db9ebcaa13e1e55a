/* SPDX-License-Identifier: ISC */
/*
 * quota_count - see quota_count.h.
 *
 * Counters are for the last period of each limit, in twelfths of it.  They are
 * in data_directory/sender_quota, too, written as a whole a moment after a
 * change and once more at the end: a crash forgets that moment, no more.  The
 * file's first line is its version and when it was written; then a line is a
 * counter:
 *
 *	l 120 3600:5.0.3,86400:8 joe@example.org
 *
 * kind, seconds since the postmaster was told (- for never), for each period
 * its seconds and what was counted, the latest twelfth first, and the name.
 * Counters that have nothing to say are left out, and what was used last comes
 * first, up to FILE_MAX bytes.
 */
#include "cleanup/quota_count.h"

#include <errno.h>
#include <fcntl.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fd.h"
#include "io/saver.h"

#define SLOTS		12
#define COUNTERS_MAX	100000		/* then the oldest go */
#define NOTICE_S	3600
#define SAVE_MS		1000		/* and 1 ms for each ten counters */
#define FILE_MAX	(8u << 20)	/* bytes */
#define NAME_LEN_MAX	1024
#define HEAD		"sender_quota 1 "
/* The clock of this file never comes near 0, so that what was counted before
 * the machine started has a time, too. */
#define EPOCH_S		(1LL << 40)

struct window {
	int64_t		seconds;	/* of the limit; 0: not in use */
	int64_t		now;		/* the slot counted in: time / length */
	uint64_t	slot[SLOTS];
};

struct counter {
	struct list	link;		/* least recently used first */
	struct span	key;		/* the table's: kind and name */
	int64_t		told_s;		/* last notice; 0 none */
	struct window	w[QUOTA_LIMITS_MAX];
};

static struct {
	struct hash	 all;
	struct list	 by_use;
	struct saver	*saver;		/* NULL: nothing was read yet */
	bool		 ending;
} q = { .by_use = LIST_INIT(q.by_use) };

static int64_t
now_s(void)
{
	return clock_mono_ms() / 1000 + EPOCH_S;
}

/* --- windows ----------------------------------------------------------------------- */

static int64_t
slot_at(int64_t s, int64_t seconds)
{
	return s / seconds * SLOTS + s % seconds * SLOTS / seconds;
}

/* What was counted in the last period, with old slots emptied. */
static uint64_t
window_sum(struct window *w, int64_t seconds)
{
	int64_t slot = slot_at(now_s(), seconds);
	uint64_t sum = 0;

	if (w->seconds != seconds || slot - w->now >= SLOTS) {
		*w = (struct window){ .seconds = seconds };
	} else {
		while (w->now < slot)
			w->slot[++w->now % SLOTS] = 0;
	}
	w->now = slot;
	for (size_t i = 0; i < SLOTS; i++)
		sum += w->slot[i];
	return sum;
}

/* --- counters ---------------------------------------------------------------------- */

static struct counter *
enter(char kind, struct span name)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct hash_entry *h;
	struct counter *c;
	bool made;

	buf_add_char(&key, kind);
	buf_add_span(&key, name);
	h = hash_enter(&q.all, buf_span(&key), &made);
	buf_fini(&key);
	if (made) {
		c = h->value = mem_zalloc(sizeof(*c));
		c->key = h->key;
	} else {
		c = h->value;
		list_remove(&c->link);
	}
	list_append(&q.by_use, &c->link);
	if (q.all.count > COUNTERS_MAX) {
		struct counter *old = LIST_ENTRY(q.by_use.next,
		    struct counter, link);

		list_remove(&old->link);
		(void)hash_del(&q.all, old->key);
		mem_free(old);
	}
	return c;
}

/* --- writing ------------------------------------------------------------------------- */

static void
put_window(struct window *w, struct buf *out)
{
	size_t n = SLOTS;

	while (n > 1 && w->slot[(size_t)(w->now - (int64_t)n + 1) % SLOTS] ==
	    0)
		n--;
	buf_addf(out, "%lld:", (long long)w->seconds);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%llu", i > 0 ? "." : "", (unsigned long long)
		    w->slot[(size_t)(w->now - (int64_t)i) % SLOTS]);
}

static void
put_counter(struct counter *c, struct buf *out)
{
	size_t was = out->len;
	const char *sep = " ";

	buf_add_char(out, c->key.p[0]);
	if (c->told_s != 0)
		buf_addf(out, " %lld", (long long)(now_s() - c->told_s));
	else
		buf_add_str(out, " -");
	for (size_t i = 0; i < QUOTA_LIMITS_MAX; i++) {
		if (c->w[i].seconds == 0 ||
		    window_sum(&c->w[i], c->w[i].seconds) == 0)
			continue;
		buf_add_str(out, sep);
		put_window(&c->w[i], out);
		sep = ",";
	}
	if (*sep == ' ') {
		buf_trunc(out, was);
		return;
	}
	buf_add_char(out, ' ');
	buf_add_span(out, span_from(c->key, 1));
	buf_add_char(out, '\n');
}

void
quota_counters_put(struct buf *out)
{
	buf_addf(out, HEAD "%lld\n", (long long)clock_wall_s());
	for (struct list *l = q.by_use.prev; l != &q.by_use; l = l->prev) {
		size_t was = out->len;

		put_counter(LIST_ENTRY(l, struct counter, link), out);
		if (out->len > FILE_MAX) {
			buf_trunc(out, was);
			break;
		}
	}
}

static void
put_all(void *arg, struct buf *out)
{
	quota_counters_put(out);
}

static void
changed(void)
{
	saver_delay(q.saver, SAVE_MS + (int64_t)q.all.count / 10);
	saver_changed(q.saver);
	if (q.ending)
		saver_flush(q.saver);
}

/* --- reading ------------------------------------------------------------------------ */

static bool
next_field(struct span *rest, char end, struct span *out)
{
	ptrdiff_t at = span_find(*rest, end);

	if (at <= 0)
		return false;
	*out = span_sub(*rest, 0, (size_t)at);
	*rest = span_from(*rest, (size_t)at + 1);
	return true;
}

/* "3600:5.0.3", as it was at at_s. */
static int
read_window(struct window *w, struct span text, int64_t at_s)
{
	struct span f;
	size_t n = 0;

	if (!next_field(&text, ':', &f) ||
	    num_parse_i64(f, 1, QUOTA_SECONDS_MAX, &w->seconds) < 0)
		return -1;
	w->now = slot_at(at_s, w->seconds);
	while (span_token(&text, ".", &f))
		if (n == SLOTS || num_parse_u64(f, UINT32_MAX,
		    &w->slot[(size_t)(w->now - (int64_t)n++) % SLOTS]) < 0)
			return -1;
	return n > 0 ? 0 : -1;
}

/* -1: the line makes no sense. */
static int
read_counter(struct span line, int64_t age_s)
{
	struct window w[QUOTA_LIMITS_MAX] = { { .seconds = 0 } };
	struct span kind, told, windows, one;
	int64_t told_s = 0;
	struct counter *c;
	size_t n = 0;

	if (!next_field(&line, ' ', &kind) ||
	    !next_field(&line, ' ', &told) ||
	    !next_field(&line, ' ', &windows) || line.len == 0 ||
	    line.len > NAME_LEN_MAX || span_has_nul(line) ||
	    (!span_is(kind, "l") && !span_is(kind, "d")) ||
	    (!span_is(told, "-") &&
	    num_parse_i64(told, 0, INT32_MAX, &told_s) < 0))
		return -1;
	while (span_token(&windows, ",", &one))
		if (n == QUOTA_LIMITS_MAX ||
		    read_window(&w[n++], one, now_s() - age_s) < 0)
			return -1;
	c = enter(kind.p[0], line);
	memcpy(c->w, w, sizeof(w));
	c->told_s = span_is(told, "-") ? 0 : now_s() - age_s - told_s;
	return 0;
}

int
quota_counters_take(struct span text)
{
	ARRAY(struct span) lines = { 0 };
	struct span line;
	int64_t written, age;
	int bad = 0;

	if (!span_line(&text, &line))
		return 0;
	if (!span_starts(line, SPAN(HEAD)) ||
	    num_parse_i64(span_from(line, strlen(HEAD)), 0, INT64_MAX / 2000,
	    &written) < 0)
		return -1;
	/* A clock that was set back makes it no younger than new, and one
	 * that was set forward no older than what counts. */
	age = MIN(MAX(clock_wall_s() - written, 0), EPOCH_S / 4);
	while (span_line(&text, &line))
		*ARRAY_PUSH(&lines) = line;
	/* What was used last comes last into the list. */
	while (lines.len > 0)
		bad += read_counter(lines.v[--lines.len], age) < 0;
	ARRAY_FINI(&lines);
	return bad;
}

static void
read_file(const char *path)
{
	struct buf text = BUF_INIT(2 * FILE_MAX);
	int bad;

	if (fd_read_file(AT_FDCWD, path, &text) < 0 && errno != ENOENT)
		log_warning("cannot read %s: %m; sending quotas begin anew",
		    path);
	if ((bad = quota_counters_take(buf_span(&text))) < 0)
		log_warning("%s is damaged; sending quotas begin anew", path);
	else if (bad > 0)
		log_warning("%s: %d lines make no sense", path, bad);
	buf_fini(&text);
}

/* --- public --------------------------------------------------------------------------- */

struct counter *
quota_counter(char kind, struct span name)
{
	if (q.saver == NULL) {
		char *path = mem_printf("%s/sender_quota",
		    conf.data_directory);

		q.saver = saver_new(cl.loop, path, 0600, SAVE_MS, put_all,
		    NULL);
		read_file(path);
		mem_free(path);
	}
	return enter(kind, span_sub(name, 0, NAME_LEN_MAX));
}

const struct quota_limit *
quota_counter_over(struct counter *c, const struct quota_limits *l,
    uint64_t n)
{
	for (size_t i = 0; i < l->n; i++)
		if (window_sum(&c->w[i], l->v[i].seconds) + n > l->v[i].max)
			return &l->v[i];
	return NULL;
}

void
quota_counter_add(struct counter *c, const struct quota_limits *l, uint64_t n)
{
	for (size_t i = 0; i < l->n; i++) {
		(void)window_sum(&c->w[i], l->v[i].seconds);
		c->w[i].slot[c->w[i].now % SLOTS] += n;
	}
	changed();
}

bool
quota_counter_tell(struct counter *c)
{
	if (c->told_s != 0 && now_s() - c->told_s < NOTICE_S)
		return false;
	c->told_s = now_s();
	changed();
	return true;
}

void
quota_counters_end(void)
{
	q.ending = true;
	if (q.saver != NULL)
		saver_flush(q.saver);
}
