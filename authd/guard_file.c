/* SPDX-License-Identifier: ISC */
/*
 * guard_file - bans and failures over a restart, in data_directory.
 *
 * A line is an entry: kind, failures, time of the first, end of the ban (0:
 * none), 1 for a ban by hand, networks that the user has logged in from, and
 * last the name, which may hold spaces.  Times are seconds since 1970.  The
 * first line is the key of the networks' hashes.
 *
 * The keeper writes it (authd may write nothing), whole, SAVE_MS after the
 * first change: what a crash loses is that much.  What was touched last comes
 * first, up to STATE_MAX bytes.
 */
#include <errno.h>
#include <fcntl.h>

#include "authd/guard_priv.h"
#include "authd/helper.h"
#include "authd/upgrade.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "io/fd.h"

#define SAVE_MS		1000
#define STATE_MAX	(200 * 1024)	/* bytes; a frame to the keeper */
#define BAN_MAX_S	31622400	/* as authd_failure_ban_time's limit */

static struct loop_timer *timer;
static bool armed;

/* --- writing ------------------------------------------------------------------- */

static void
put_entry(const struct guard_entry *e, struct buf *out)
{
	int64_t mono = clock_mono_ms(), wall = clock_wall_s();

	buf_addf(out, "%c %u %lld %lld %d ", e->key.p[0], e->failures,
	    (long long)(wall - (mono - e->since_ms) / 1000),
	    e->ban_end_ms == 0 ? 0LL :
	    (long long)(wall + (e->ban_end_ms - mono) / 1000), e->by_hand);
	for (unsigned i = 0; i < e->ngood; i++)
		buf_addf(out, "%s%llx", i > 0 ? "," : "",
		    (unsigned long long)e->good[i]);
	buf_addf(out, "%s %.*s\n", e->ngood == 0 ? "-" : "",
	    SPAN_ARG(span_from(e->key, 1)));
}

void
guard_file_put(struct buf *out)
{
	buf_addf(out, "key %llx %llx\n",
	    (unsigned long long)guard_net_key[0],
	    (unsigned long long)guard_net_key[1]);
	for (struct list *l = guard_by_use.prev; l != &guard_by_use;
	    l = l->prev) {
		size_t was = out->len;

		put_entry(LIST_ENTRY(l, struct guard_entry, link), out);
		if (out->len > STATE_MAX) {
			buf_trunc(out, was);
			break;
		}
	}
}

static void
save(void *arg)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);

	armed = false;
	guard_file_put(&text);
	if (!upgrade_keep_state(buf_span(&text)))
		guard_file_changed();
	buf_fini(&text);
}

void
guard_file_changed(void)
{
	if (armed || timer == NULL)
		return;
	armed = true;
	loop_timer_set(timer, SAVE_MS);
}

void
guard_file_start(struct loop *l)
{
	timer = loop_timer_new(l, save, NULL);
}

/* --- reading -------------------------------------------------------------------- */

static void
read_good(struct guard_entry *e, struct span list)
{
	struct span one;

	while (e->ngood < GOOD_MAX && span_token(&list, ",", &one))
		if (num_parse_hex(one, &e->good[e->ngood]) == 0)
			e->ngood++;
}

/* -1: the line makes no sense. */
static int
read_entry(struct span line)
{
	int64_t mono = clock_mono_ms(), wall = clock_wall_s(), since, end;
	struct span f[6];
	struct guard_entry *e;
	uint32_t failures;

	for (size_t i = 0; i < ARRAY_LEN(f); i++) {
		ptrdiff_t space = span_find(line, ' ');

		if (space <= 0)
			return -1;
		f[i] = span_sub(line, 0, (size_t)space);
		line = span_from(line, (size_t)space + 1);
	}
	if ((!span_is(f[0], "a") && !span_is(f[0], "u")) || line.len == 0 ||
	    line.len > AUTH_NAME_MAX || span_has_nul(line) ||
	    num_parse_u32(f[1], UINT32_MAX, &failures) < 0 ||
	    num_parse_i64(f[2], 0, INT64_MAX / 2000, &since) < 0 ||
	    num_parse_i64(f[3], 0, INT64_MAX / 2000, &end) < 0)
		return -1;
	if (end != 0 && end <= wall)
		end = failures = 0;		/* it is over */
	e = guard_find(f[0].p[0], line, true);
	e->failures = failures;
	/* A clock that was set back must not make it last for ever. */
	e->since_ms = mono - MAX(wall - since, 0) * 1000;
	e->ban_end_ms = end == 0 ? 0 :
	    mono + MIN(end - wall, BAN_MAX_S) * 1000;
	e->by_hand = span_is(f[4], "1") && end != 0;
	read_good(e, f[5]);
	return 0;
}

static bool
read_key(struct span line)
{
	struct span word, rest = line;

	return span_token(&rest, " ", &word) && span_is(word, "key") &&
	    span_token(&rest, " ", &word) &&
	    num_parse_hex(word, &guard_net_key[0]) == 0 &&
	    span_token(&rest, " ", &word) &&
	    num_parse_hex(word, &guard_net_key[1]) == 0;
}

int
guard_file_take(struct span text)
{
	ARRAY(struct span) lines = { 0 };
	struct span line;
	int bad = 0;

	if (span_line(&text, &line) && !read_key(line))
		return -1;
	while (span_line(&text, &line))
		*ARRAY_PUSH(&lines) = line;
	/* What was touched last comes last into the list. */
	while (lines.len > 0)
		bad += read_entry(lines.v[--lines.len]) < 0;
	ARRAY_FINI(&lines);
	return bad;
}

void
guard_read(void)
{
	char *path = mem_printf("%s/authd.bans", conf.data_directory);
	struct buf text = BUF_INIT(2 * STATE_MAX);
	int bad;

	rnd_bytes(guard_net_key, sizeof(guard_net_key));
	if (fd_read_file(AT_FDCWD, path, &text) < 0 && errno != ENOENT)
		log_warning("cannot read %s: %m; bans are forgotten", path);
	if ((bad = guard_file_take(buf_span(&text))) < 0)
		log_warning("%s is damaged; bans are forgotten", path);
	else if (bad > 0)
		log_warning("%s: %d lines make no sense", path, bad);
	buf_fini(&text);
	mem_free(path);
}
