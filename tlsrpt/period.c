/* SPDX-License-Identifier: ISC */
/*
 * period - the present one is counted in, those before it are reported, and
 * each has a file of its own until its last report is delivered.
 *
 * A file is replaced as a whole, a few seconds after something has changed: a
 * crash costs the counts of these seconds, or has a report sent again, under
 * the same id.  A report that cannot be delivered in a day after its period is
 * dropped (RFC 8460 5.5).
 */
#include "tlsrpt/tlsrpt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "dns/dns.h"
#include "io/fd.h"

#define HEAD		"# counts of tlsrpt(8), version 1"
#define FILE_MAX	(512u << 20)	/* bytes that are read */
#define SAVE_MS		5000		/* changes are gathered */
#define TICK_MS		1000
#define RETRY_S		600
#define GIVE_UP_S	86400
#define JOBS_MAX	8		/* reports under way */
#define PERIODS_MAX	32		/* files that are read at start */

static struct {
	struct list	 periods;	/* oldest first */
	size_t		 jobs;
	struct loop_timer *tick, *save;
	struct loop_worker *worker;
	bool		 ending;	/* nothing is put off any more */
} g;

struct writing {
	struct buf	 text;
	char		*path;
	struct why	 why;
	int		 rc;
};

/* --- domains ------------------------------------------------------------------------ */

static void
rdomain_free(struct rdomain *d)
{
	list_remove(&d->link);
	(void)hash_del(&d->p->domains, span_of(d->name));
	counts_fini(&d->counts);
	mem_free(d->name);
	mem_free(d);
}

static struct rdomain *
rdomain_new(struct period *p, struct span name)
{
	struct rdomain *d = mem_zalloc(sizeof(*d));

	d->p = p;
	d->name = span_dup(name);
	list_append(&p->order, &d->link);
	(void)hash_put(&p->domains, span_of(d->name), d);
	return d;
}

static void
period_init(struct period *p, int64_t begin_s, int64_t end_s)
{
	*p = (struct period){ .begin_s = begin_s, .end_s = end_s };
	p->domains = HASH_INIT;
	list_init(&p->order);
}

void
period_fini(struct period *p)
{
	LIST_FOREACH(l, &p->order)
		rdomain_free(LIST_ENTRY(l, struct rdomain, link));
	hash_fini(&p->domains, NULL);
}

/* --- files ------------------------------------------------------------------------------ */

static char *
path_of(const struct period *p)
{
	return mem_printf("%s/%lld-%lld", conf.tlsrpt_directory,
	    (long long)p->begin_s, (long long)p->end_s);
}

void
period_put(const struct period *p, struct buf *out)
{
	buf_add_str(out, HEAD "\n");
	LIST_FOREACH(l, &p->order) {
		const struct rdomain *d = LIST_ENTRY(l, struct rdomain, link);

		buf_addf(out, "domain\t%s\n", d->name);
		counts_put(&d->counts, out);
	}
}

int
period_parse(struct period *p, struct span text)
{
	struct span line, name;
	struct rdomain *d = NULL;
	unsigned bad = 0;

	period_init(p, 0, 0);
	if (!span_line(&text, &line) || !span_is(line, HEAD))
		return -1;
	while (span_line(&text, &line)) {
		if (!span_starts(line, SPAN("domain\t"))) {
			bad += d == NULL || counts_parse(&d->counts, line) < 0;
			continue;
		}
		name = span_from(line, 7);
		d = dns_name_valid(name) &&
		    hash_find(&p->domains, name) == NULL ?
		    rdomain_new(p, name) : NULL;
		bad += d == NULL;
	}
	if (bad > 0)
		log_warning("%u damaged lines are left out", bad);
	return 0;
}

static void
write_it(void *arg)
{
	struct writing *w = arg;

	w->rc = 0;
	if (fd_replace_file(AT_FDCWD, w->path, 0600, w->text.data,
	    w->text.len) < 0)
		w->rc = why_errno(&w->why, "", "%s", w->path);
}

static void
writing_free(struct writing *w)
{
	if (w->rc < 0)
		log_warning("%s", w->why.text);
	buf_fini(&w->text);
	mem_free(w->path);
	mem_free(w);
}

static struct writing *
writing_new(struct period *p)
{
	struct writing *w = mem_zalloc(sizeof(*w));

	w->text = BUF_INIT(BUF_UNLIMITED);
	w->path = path_of(p);
	period_put(p, &w->text);
	p->dirty = false;
	return w;
}

static struct period *
next_dirty(void)
{
	LIST_FOREACH(l, &g.periods) {
		struct period *p = LIST_ENTRY(l, struct period, link);

		if (p->dirty)
			return p;
	}
	return NULL;
}

static void
written(void *arg)
{
	writing_free(arg);
	if (next_dirty() != NULL)
		loop_timer_set(g.save, SAVE_MS);
}

static void
on_save(void *arg)
{
	struct period *p = next_dirty();

	if (p == NULL || loop_worker_busy(g.worker))
		return;		/* written() sets the timer again */
	if (loop_worker_start(g.worker, write_it, written,
	    writing_new(p)) < 0)
		log_panic("tlsrpt: two writers");
}

static void
changed(struct period *p)
{
	if (next_dirty() == NULL)
		loop_timer_set(g.save, g.ending ? 0 : SAVE_MS);
	p->dirty = true;
}

void
period_save(void)
{
	struct period *p;

	g.ending = true;
	loop_worker_free(&g.worker);	/* waits for it */
	g.worker = loop_worker_new(daemon_loop());
	while ((p = next_dirty()) != NULL) {
		struct writing *w = writing_new(p);

		write_it(w);
		writing_free(w);
	}
}

static void
read_one(const char *name)
{
	struct buf text = BUF_INIT(FILE_MAX);
	struct span rest = span_of(name), begin, end;
	struct period *p = mem_zalloc(sizeof(*p));
	int64_t b, e;
	char *path = mem_printf("%s/%s", conf.tlsrpt_directory, name);

	if (!span_token(&rest, "-", &begin) || !span_token(&rest, "-", &end) ||
	    num_parse_i64(begin, 0, INT64_MAX / 4, &b) < 0 ||
	    num_parse_i64(end, b + 1, INT64_MAX / 4, &e) < 0) {
		mem_free(p);
	} else if (fd_read_file(AT_FDCWD, path, &text) < 0 ||
	    period_parse(p, buf_span(&text)) < 0) {
		log_warning("%s: cannot be read: left alone", path);
		mem_free(p);
	} else {
		p->begin_s = b;
		p->end_s = e;
		list_append(&g.periods, &p->link);
	}
	mem_free(path);
	buf_fini(&text);
}

static void
read_all(void)
{
	DIR *dir = opendir(conf.tlsrpt_directory);
	struct dirent *e;
	unsigned n = 0;

	if (dir == NULL) {
		log_warning("%s: %m", conf.tlsrpt_directory);
		return;
	}
	while ((e = readdir(dir)) != NULL && n < PERIODS_MAX)
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9') {
			read_one(e->d_name);
			n++;
		}
	(void)closedir(dir);
}

/* --- counting --------------------------------------------------------------------------- */

static struct period *
present(void)
{
	int64_t now = clock_wall_s(), len = conf.tlsrpt_report_interval;
	int64_t begin = now - now % len;
	struct period *p;

	LIST_FOREACH(l, &g.periods) {
		p = LIST_ENTRY(l, struct period, link);
		if (now >= p->begin_s && now < p->end_s)
			return p;
	}
	p = mem_zalloc(sizeof(*p));
	period_init(p, begin, begin + len);
	list_append(&g.periods, &p->link);
	return p;
}

void
period_event(const struct tlsrpt_event *e)
{
	struct period *p = present();
	struct rdomain *d = hash_get(&p->domains, e->domain);

	if (d == NULL) {
		if (p->domains.count >= (size_t)conf.tlsrpt_domain_limit)
			return;
		d = rdomain_new(p, e->domain);
	}
	counts_add(&d->counts, e);
	changed(p);
}

/* --- reporting ---------------------------------------------------------------------------- */

void
period_done(struct rdomain *d)
{
	g.jobs--;
	changed(d->p);
	rdomain_free(d);
}

void
period_again(struct rdomain *d)
{
	g.jobs--;
	d->busy = false;
	d->next_s = clock_wall_s() + MIN(RETRY_S, conf.tlsrpt_report_interval);
}

/* True when it is done with. */
static bool
send_some(struct period *p, int64_t now)
{
	LIST_FOREACH(l, &p->order) {
		struct rdomain *d = LIST_ENTRY(l, struct rdomain, link);

		if (d->busy)
			continue;
		if (now >= p->end_s + GIVE_UP_S) {
			log_warning("%s: its TLS report cannot be delivered: "
			    "dropped", d->name);
			changed(p);
			rdomain_free(d);
		} else if (now >= d->next_s && g.jobs < JOBS_MAX) {
			d->busy = true;
			g.jobs++;
			send_report(d);
		}
	}
	return list_empty(&p->order);
}

static void
forget(struct period *p)
{
	char *path = path_of(p);

	/* What is being written now would come back. */
	if (loop_worker_busy(g.worker)) {
		mem_free(path);
		return;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		log_warning("%s: %m", path);
	mem_free(path);
	list_remove(&p->link);
	period_fini(p);
	mem_free(p);
}

static void
on_tick(void *arg)
{
	int64_t now = clock_wall_s();

	if (g.ending)
		return;
	LIST_FOREACH(l, &g.periods) {
		struct period *p = LIST_ENTRY(l, struct period, link);

		if (now < p->end_s)
			continue;
		/* RFC 8460 4.1: not all of the world at midnight. */
		if (p->send_s == 0)
			p->send_s = now + (int64_t)rnd_below((uint64_t)MIN(
			    conf.tlsrpt_report_interval / 24, 3600) + 1);
		if (now >= p->send_s && send_some(p, now))
			forget(p);
	}
	loop_timer_set(g.tick, TICK_MS);
}

/* --- public ---------------------------------------------------------------------------------- */

int
period_open(struct why *why)
{
	const char *dir = conf.tlsrpt_directory;

	if (fd_mkdir_p(dir, 0700) < 0)
		return why_errno(why, "", "cannot make %s", dir);
	if (geteuid() == 0 &&
	    chown(dir, daemon_mail_uid(), daemon_mail_gid()) < 0)
		return why_errno(why, "", "%s", dir);
	return 0;
}

void
period_start(void)
{
	list_init(&g.periods);
	g.worker = loop_worker_new(daemon_loop());
	g.save = loop_timer_new(daemon_loop(), on_save, NULL);
	g.tick = loop_timer_new(daemon_loop(), on_tick, NULL);
	read_all();
	loop_timer_set(g.tick, TICK_MS);
}
