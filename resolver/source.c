/* SPDX-License-Identifier: ISC */
/*
 * source - the resolver that questions go to.  When resolv.conf changes, new
 * questions go to one with the new servers; the old one lives until its last
 * question is over.
 */
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "resolver/resolver.h"

#define WATCH_MS	2000		/* between looks at resolv.conf */

struct source {
	struct unb	*unb;
	struct alive	*alive;
	bool		 old;
	struct loop_defer free;
};

static struct source *source;
static struct stat seen;	/* resolv.conf as the source read it */
static int64_t looked_ms;

static void
source_free(void *arg)
{
	struct source *o = arg;

	unb_free(&o->unb);
	alive_free(&o->alive);
	mem_free(o);
}

static void
source_drop(struct source *o)
{
	o->old = true;
	source_leave(o);
}

static void
look_at_resolv_conf(struct stat *st)
{
	if (stat(RESOLV_CONF, st) < 0)
		memset(st, 0, sizeof(*st));
}

static int
source_new(struct why *why)
{
	struct servers s;
	struct unb *u;

	if (servers_read(&s, why) < 0 ||
	    (u = unb_new(daemon_loop(), &s, why)) == NULL)
		return -1;
	if (source != NULL)
		source_drop(source);
	source = mem_zalloc(sizeof(*source));
	source->unb = u;
	source->alive = alive_new(daemon_loop(), &s);
	source->free = (struct loop_defer){ .fn = source_free, .arg = source };
	return 0;
}

int
source_setup(struct why *why)
{
	look_at_resolv_conf(&seen);
	return source_new(why);
}

static void
watch(void)
{
	int64_t now = loop_now_ms(daemon_loop());
	struct why why = WHY_INIT;
	struct stat st;

	if (conf.resolver_servers[0] != '\0' || now - looked_ms < WATCH_MS)
		return;
	looked_ms = now;
	look_at_resolv_conf(&st);
	if (st.st_ino == seen.st_ino && st.st_dev == seen.st_dev &&
	    st.st_size == seen.st_size &&
	    st.st_mtim.tv_sec == seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
		return;
	seen = st;
	if (source_new(&why) < 0)
		log_warning("%s", why.text);
	else
		log_info("%s has changed: using its servers", RESOLV_CONF);
}

struct source *
source_now(void)
{
	watch();
	return source;
}

struct unb *
source_unb(const struct source *o)
{
	return o->unb;
}

struct alive *
source_alive(const struct source *o)
{
	return o->alive;
}

void
source_leave(struct source *o)
{
	if (o->old && unb_pending(o->unb) == 0)
		loop_defer(daemon_loop(), &o->free);
}
