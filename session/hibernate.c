/* SPDX-License-Identifier: ISC */
/*
 * hibernate - connections without a process: a descriptor, a state that only
 * their engine understands, and what is to wake them.
 *
 * What wakes one: input of the client, a change of a watched file (inotify on
 * the descriptor that the session process passed, through /proc/self/fd, so
 * that no name is looked up), or its time.  Waking is a fork for the user, or
 * nothing more than a message when the user has a process.  A client that has
 * gone is seen here by a peek, and costs no fork.
 *
 * Ten thousand of these cost about 2 KiB each, the user's record included.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fd.h"
#include "session/monitor.h"

#define WATCH_MASK	(IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE |	\
			 IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |	\
			 IN_MOVE_SELF)
/* After a fork that failed: so long until the next attempt. */
#define RETRY_MS	1000

struct watch {			/* one inode */
	int		 wd;
	struct list	 links;
};

struct watch_link {
	struct list	 of_watch;
	struct watch	*watch;
	struct conn	*conn;
};

struct frozen {
	struct heap_node node;		/* in due, when there is a time */
	struct conn	*conn;
	int		 fd;
	struct loop_io	*io;
	char		*state, *keepalive;
	uint32_t	 state_len, keepalive_len;
	int64_t		 keepalive_ms;	/* between two; 0: none */
	int64_t		 keepalive_due, expire_due;	/* 0: never */
};

static int			 inotify_fd = -1;
static struct loop_io		*inotify_io;
static struct hash		 watches;	/* by wd */
static struct heap		 due;
static struct loop_timer	*due_timer;

static void set_due_timer(void);

/* --- watches --------------------------------------------------------------------------- */

static void
watch_unlink(struct watch_link *l)
{
	struct watch *w = l->watch;

	list_remove(&l->of_watch);
	mem_free(l);
	if (!list_empty(&w->links))
		return;
	hash_del(&watches, span_make(&w->wd, sizeof(w->wd)));
	/* It may be gone already, with its file. */
	(void)inotify_rm_watch(inotify_fd, w->wd);
	mem_free(w);
}

static void
watch_link(struct conn *c, int wd)
{
	struct watch_link *l = mem_zalloc(sizeof(*l));
	struct hash_entry *e;
	struct watch *w;
	bool made;

	e = hash_enter(&watches, span_make(&wd, sizeof(wd)), &made);
	if (made) {
		w = e->value = mem_zalloc(sizeof(*w));
		w->wd = wd;
		list_init(&w->links);
	}
	w = e->value;
	l->watch = w;
	l->conn = c;
	list_append(&w->links, &l->of_watch);
	*ARRAY_PUSH(&c->watches) = l;
}

static bool
same(const struct control_watch *m, const struct stat *st)
{
	return m->size == (uint64_t)st->st_size &&
	    m->mtime_ns == (uint64_t)st->st_mtim.tv_sec * 1000000000u +
	    (uint64_t)st->st_mtim.tv_nsec;
}

void
hibernate_watch(struct conn *c, const struct control_watch *m, int fd)
{
	static int64_t said_ms;
	char path[sizeof("/proc/self/fd/") + 12];
	struct stat st;
	int wd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(inotify_fd, path, WATCH_MASK);
	if (wd < 0) {
		int64_t now = clock_mono_ms();

		/* Without the watch it must not sleep: it wakes at once. */
		if (said_ms == 0 || now - said_ms > 60000)
			log_warning("cannot watch a mailbox: %m; sessions "
			    "do not hibernate (fs.inotify.max_user_watches)");
		said_ms = now;
		c->changed = true;
	} else
		watch_link(c, wd);
	/* What changed before the watch was set. */
	if (fstat(fd, &st) < 0 || !same(m, &st))
		c->changed = true;
	close(fd);
}

/* --- waking ------------------------------------------------------------------------------ */

void
hibernate_forget(struct conn *c)
{
	struct frozen *f = c->frozen;

	for (size_t i = 0; i < c->watches.len; i++)
		watch_unlink(c->watches.v[i]);
	ARRAY_FINI(&c->watches);
	if (f == NULL)
		return;
	c->frozen = NULL;
	heap_remove(&due, &f->node);
	loop_io_free(&f->io);
	fd_close(&f->fd);
	mem_free(f->state);
	mem_free(f->keepalive);
	mem_free(f);
}

static void
log_gone(const struct conn *c, const char *how)
{
	struct control_facts facts;

	conn_facts(c, &facts);
	log_info("%s: logout: user=<%s>, %s while hibernated, time=%llds, "
	    "session=<%.*s>", c->engine->service, c->user->who.name, how,
	    (long long)MAX(clock_wall_s() - (int64_t)c->since, 0),
	    SPAN_ARG(facts.id));
}

void
hibernate_end(struct conn *c, const char *how)
{
	const char *bye = c->engine->goodbye;

	if (bye != NULL && send(c->frozen->fd, bye, strlen(bye),
	    MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("goodbye: %m");
	log_gone(c, how);
	conn_free(c);
}

/* The next time that f waits for. */
static void
schedule(struct frozen *f)
{
	int64_t at = f->keepalive_due;

	if (f->expire_due != 0 && (at == 0 || f->expire_due < at))
		at = f->expire_due;
	if (at != 0)
		heap_set(&due, &f->node, at);
	else
		heap_remove(&due, &f->node);
	set_due_timer();
}

static void
wake(struct conn *c)
{
	struct frozen *f = c->frozen;
	struct span state = span_make(f->state, f->state_len);
	struct why why = WHY_INIT;
	struct process *p;

	p = process_for(c->user, c->engine, &why);
	if (p == NULL) {
		log_warning("cannot wake a session of user %s: %s",
		    c->user->who.name, why.text);
		loop_io_want(f->io, 0);
		f->expire_due = clock_mono_ms() + RETRY_MS;
		schedule(f);
		return;
	}
	process_give(p, c, f->fd, SPAN_EMPTY, &state);
	hibernate_forget(c);
}

static void
on_client(void *arg, unsigned events)
{
	struct frozen *f = arg;
	char byte;
	ssize_t n;

	n = recv(f->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0) {
		wake(f->conn);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		log_gone(f->conn, "Connection closed");
		conn_free(f->conn);
	}
}

static void
on_change(int wd)
{
	struct watch *w = hash_get(&watches, span_make(&wd, sizeof(wd)));
	ARRAY(struct conn *) wakes = ARRAY_EMPTY;

	if (w == NULL)
		return;
	/* Waking takes links off this list, and may free the watch. */
	LIST_FOREACH(at, &w->links) {
		struct conn *c = LIST_ENTRY(at, struct watch_link,
		    of_watch)->conn;

		c->changed = true;
		if (c->frozen != NULL)
			*ARRAY_PUSH(&wakes) = c;
	}
	for (size_t i = 0; i < wakes.len; i++)
		if (wakes.v[i]->frozen != NULL)
			wake(wakes.v[i]);
	ARRAY_FINI(&wakes);
}

static void
on_inotify(void *arg, unsigned events)
{
	_Alignas(struct inotify_event) char buf[16384];
	ssize_t n = read(inotify_fd, buf, sizeof(buf));
	size_t at = 0;

	while (n > 0 && at + sizeof(struct inotify_event) <= (size_t)n) {
		struct inotify_event *e = (struct inotify_event *)(buf + at);

		if (e->mask & IN_Q_OVERFLOW)
			log_warning("changes of mailboxes were lost; clients "
			    "see them at their next command");
		else if ((e->mask & IN_IGNORED) == 0)
			on_change(e->wd);
		at += sizeof(*e) + e->len;
	}
}

/* --- time ----------------------------------------------------------------------------------- */

static void
on_due(void *arg)
{
	int64_t now = clock_mono_ms();
	struct heap_node *n;

	while ((n = heap_first(&due)) != NULL && n->key <= now) {
		struct frozen *f = CONTAINER_OF(n, struct frozen, node);

		if (f->expire_due != 0 && f->expire_due <= now) {
			f->expire_due = 0;
			schedule(f);
			wake(f->conn);
			continue;
		}
		f->keepalive_due = now + f->keepalive_ms;
		schedule(f);
		/* One that does not read is no reason to wait; one that is
		 * gone is seen as readable. */
		if (send(f->fd, f->keepalive, f->keepalive_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			log_debug("keepalive: %m");
	}
	set_due_timer();
}

static void
set_due_timer(void)
{
	struct heap_node *n = heap_first(&due);

	if (n == NULL)
		loop_timer_cancel(due_timer);
	else
		loop_timer_set(due_timer, MAX(n->key - clock_mono_ms(), 0));
}

/* --- going to sleep ---------------------------------------------------------------------------- */

static char *
copy(struct span s)
{
	char *p = mem_alloc(s.len);

	if (s.len > 0)
		memcpy(p, s.p, s.len);
	return p;
}

void
hibernate(struct conn *c, const struct control_frozen *m, int fd)
{
	struct frozen *f = mem_zalloc(sizeof(*f));
	int64_t now = clock_mono_ms();

	f->conn = c;
	f->fd = fd;
	f->state_len = (uint32_t)m->state.len;
	f->state = copy(m->state);
	if (m->keepalive_s > 0 && m->keepalive.len > 0) {
		f->keepalive_len = (uint32_t)m->keepalive.len;
		f->keepalive = copy(m->keepalive);
		f->keepalive_ms = (int64_t)m->keepalive_s * 1000;
		f->keepalive_due = now + f->keepalive_ms;
	}
	if (m->expire_s > 0)
		f->expire_due = now + (int64_t)m->expire_s * 1000;
	f->io = loop_io_new(monitor.loop, fd, on_client, f);
	loop_io_want(f->io, LOOP_READ);
	c->frozen = f;
	schedule(f);
	if (monitor.draining)
		hibernate_end(c, "Server shutting down");
	else if (c->changed)
		wake(c);
}

/*
 * Engines watch mailboxes while they are awake, and users without an id of
 * their own share the kernel's limit of inotify instances of one user, which
 * is 128 by default.
 */
void
hibernate_raise_limits(void)
{
	static const char path[] = "/proc/sys/fs/inotify/max_user_instances";
	uint32_t want = (uint32_t)conf.session_process_limit * 4, have;
	struct buf b = BUF_INIT(64);
	char text[16];
	int fd, n;

	if (fd_read_file(AT_FDCWD, path, &b) < 0 ||
	    num_parse_u32(span_trim(buf_span(&b)), UINT32_MAX, &have) < 0)
		have = want;	/* a kernel without it: nothing to raise */
	buf_fini(&b);
	if (have >= want)
		return;
	n = snprintf(text, sizeof(text), "%u\n", want);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fd_write_all(fd, text, (size_t)n) < 0)
		log_warning("cannot raise fs.inotify.max_user_instances to "
		    "%u: %m; beyond %u mailboxes that are looked at, changes "
		    "show late", want, have);
	else
		log_info("raised fs.inotify.max_user_instances from %u to %u",
		    have, want);
	fd_close(&fd);
}

int
hibernate_init(struct why *why)
{
	inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (inotify_fd < 0)
		return why_errno(why, "", "inotify");
	inotify_io = loop_io_new(monitor.loop, inotify_fd, on_inotify, NULL);
	loop_io_want(inotify_io, LOOP_READ);
	due_timer = loop_timer_new(monitor.loop, on_due, NULL);
	return 0;
}
