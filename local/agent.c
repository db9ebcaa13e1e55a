/* SPDX-License-Identifier: ISC */
/*
 * agent - see agent.h.
 */
#include "local/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "ipc/ipc.h"
#include "local/checkpoint.h"
#include "local/cred.h"
#include "mail/address.h"
#include "mail/header.h"
#include "route/status_filter.h"
#include "store/compress.h"

#define QMGR_PID_FILE	"pid/unix.qmgr.pid"
#define HEADER_PEEK	(16u << 10)	/* bytes that most headers fit in */
#define OPEN_MIN	64	/* mailboxes kept open */
#define OPEN_MAX	1500

struct segment {
	uint32_t	number;
	int		fd;
};

static struct {
	const struct agent	*a;
	struct store		*store;
	struct maps		*filter;
	const char		*filter_name;
	/* One connection. */
	struct ipc_sync		*ipc;
	int			 qmgr_fd;	/* -1, or qmgr's pid file */
	char			 qmgr_pid[16];	/* what is there as long as
						 * ours is the one */
	int			 epoll;
	ARRAY(struct segment)	 segments;
	struct arena		 arena;
	ARRAY(struct job *)	 batch;
	size_t			 at;		/* batch[at] is under way */
	struct buf		 body;
	bool			 broken;	/* nobody is there to answer */
} g = {
	.qmgr_fd = -1, .epoll = -1,
};

/* --- answers ---------------------------------------------------------------------- */

void
result_ok(struct result *r, const char *fmt, ...)
{
	va_list ap;

	r->outcome = DELIVER_DELIVERED;
	memcpy(r->why.code, "2.0.0", sizeof("2.0.0"));
	va_start(ap, fmt);
	vsnprintf(r->why.text, sizeof(r->why.text), fmt, ap);
	va_end(ap);
}

static void PRINTF(4, 0)
result_set(struct result *r, enum deliver_outcome o, const char *code,
    const char *fmt, va_list ap)
{
	r->outcome = o;
	r->durable = true;
	snprintf(r->why.code, sizeof(r->why.code), "%s", code);
	vsnprintf(r->why.text, sizeof(r->why.text), fmt, ap);
}

void
result_bounce(struct result *r, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result_set(r, DELIVER_BOUNCED, code, fmt, ap);
	va_end(ap);
}

void
result_defer(struct result *r, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	result_set(r, DELIVER_DEFERRED, code, fmt, ap);
	va_end(ap);
}

void
result_why(struct result *r, const struct why *why)
{
	const char *code = why->code[0] != '\0' ? why->code : "4.3.0";

	if (strcmp(code, "4.2.2") == 0 &&
	    strcmp(conf.mailbox_full_action, "bounce") == 0)
		code = "5.2.2";
	if (code[0] == '5')
		result_bounce(r, code, "%s", why->text);
	else
		result_defer(r, code, "%s", why->text);
}

static void
log_result(const struct job *j, const struct rcpt *r,
    const struct result *res, int64_t began_us)
{
	static const char *const names[] = {
		[DELIVER_DELIVERED] = "sent", [DELIVER_BOUNCED] = "bounced",
		[DELIVER_DEFERRED] = "deferred",
	};
	struct buf to = BUF_INIT(BUF_UNLIMITED), orig = BUF_INIT(BUF_UNLIMITED);
	int64_t now = clock_wall_us(), active = (int64_t)j->req.active_us;
	bool show = r->orig.len > 0 && !span_eq(r->orig, r->addr);
	const char *to_text = address_show(r->addr, &to);
	const char *orig_text = show ? address_show(r->orig, &orig) : "";
	char a[CLOCK_DELAY_MAX], b[CLOCK_DELAY_MAX], c[CLOCK_DELAY_MAX],
	    d[CLOCK_DELAY_MAX];

	if (active == 0 || active > began_us)
		active = began_us;
	log_info("%.*s: to=<%s>, %s%s%srelay=%s, delay=%s, "
	    "delays=%s/%s/0/%s, dsn=%s, status=%s (%s)",
	    SPAN_ARG(j->env.queue_id), to_text, show ? "orig_to=<" : "",
	    orig_text, show ? ">, " : "", res->relay,
	    clock_delay(now - j->env.arrival_us, a),
	    clock_delay(active - j->env.arrival_us, b),
	    clock_delay(began_us - active, c),
	    clock_delay(now - began_us, d), res->why.code,
	    (j->env.flags & ENV_PROBE) ? (res->outcome == DELIVER_DELIVERED ?
	    "deliverable" : "undeliverable") : names[res->outcome],
	    res->why.text);
	buf_fini(&to);
	buf_fini(&orig);
}

static void
send_status(const struct job *j, size_t i, const struct result *res)
{
	struct deliver_status m = {
		.rcpt = (uint32_t)i, .outcome = res->outcome,
		.dsn = span_of(res->why.code), .text = span_of(res->why.text),
		.relay = span_of(res->relay),
		.action = span_of(res->action != NULL ? res->action : ""),
	};
	struct why why = WHY_INIT;

	if (res->outcome == DELIVER_DELIVERED && !res->durable)
		m.serial = checkpoint_serial();
	if (g.broken)
		return;
	buf_reset(&g.body);
	deliver_status_encode(&g.body, &m);
	if (ipc_sync_send(g.ipc, DELIVER_STATUS, j->tag, buf_span(&g.body),
	    &why) < 0)
		g.broken = true;
}

static void
on_durable(uint64_t serial)
{
	struct deliver_checkpoint m = { .serial = serial };
	struct why why = WHY_INIT;

	if (g.ipc == NULL || g.broken)
		return;
	buf_reset(&g.body);
	deliver_checkpoint_encode(&g.body, &m);
	if (ipc_sync_send(g.ipc, DELIVER_CHECKPOINT, 0, buf_span(&g.body),
	    &why) < 0 || ipc_sync_flush(g.ipc, &why) < 0)
		g.broken = true;
}

static void
flush(void)
{
	struct why why = WHY_INIT;

	if (!g.broken && ipc_sync_flush(g.ipc, &why) < 0) {
		if (why.text[0] != '\0')
			log_warning("qmgr: %s", why.text);
		g.broken = true;
	}
}

/* --- one message ------------------------------------------------------------------ */

bool
job_delivered_to(struct job *j, struct span addr)
{
	struct header_field f;
	struct span in;
	struct why why = WHY_INIT;
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);

	if (!j->scanned) {
		j->scanned = true;
		if (store_content_peek(&j->content, HEADER_PEEK, &in,
		    &why) < 0)
			in = SPAN_EMPTY;	/* the delivery will say it */
		else if (memmem(in.p, in.len, "\n\n", 2) == NULL &&
		    store_content_peek(&j->content, HEADER_SCAN_MAX, &in,
		    &why) < 0)
			in = SPAN_EMPTY;
		in = span_sub(in, 0, HEADER_SCAN_MAX);
		while (header_next(&in, &f) == 1) {
			struct span v;

			if (!span_caseis(f.name, "delivered-to"))
				continue;
			buf_reset(&tmp);
			header_unfold(f.value, &tmp);
			v = span_trim(buf_span(&tmp));
			v.p = arena_span_dup(j->arena, v);
			*ARRAY_PUSH(&j->delivered_to) = v;
		}
	}
	if (j->delivered_to.len == 0)
		return false;
	buf_reset(&tmp);
	address_quote_822(addr, &tmp);
	bool hit = false;
	for (size_t i = 0; i < j->delivered_to.len && !hit; i++)
		hit = span_caseeq(j->delivered_to.v[i], addr) ||
		    span_caseeq(j->delivered_to.v[i], buf_span(&tmp));
	buf_fini(&tmp);
	return hit;
}

void
job_head(struct buf *out, const struct rcpt *r, struct span sender,
    struct span delivered_to)
{
	if (sender.p != NULL) {
		buf_add_str(out, "Return-Path: <");
		address_quote_822(sender, out);
		buf_add_str(out, ">\n");
	}
	if (r->orig.len > 0 || r->addr.len > 0) {
		buf_add_str(out, "X-Original-To: ");
		address_quote_822(r->orig.len > 0 ? r->orig : r->addr, out);
		buf_add_char(out, '\n');
	}
	if (delivered_to.len > 0) {
		buf_add_str(out, "Delivered-To: ");
		address_quote_822(delivered_to, out);
		buf_add_char(out, '\n');
	}
}

static void
job_free(struct job *j)
{
	envelope_fini(&j->env);
	store_content_fini(&j->content);
	ARRAY_FINI(&j->delivered_to);
	fd_close(&j->own_fd);
}

static void
job_answer(struct job *j, size_t i, struct result *res, int64_t began)
{
	if (res->outcome == DELIVER_BOUNCED && conf.soft_bounce) {
		res->outcome = DELIVER_DEFERRED;
		res->why.code[0] = '4';
	}
	log_result(j, &j->env.rcpts.v[i], res, began);
	send_status(j, i, res);
}

static void
job_run(struct job *j)
{
	while (j->next < j->env.rcpts.len) {
		size_t i = j->next++, last = i;
		struct result res = { .outcome = 0, .action = "" };
		int64_t began = clock_wall_us();

		snprintf(res.relay, sizeof(res.relay), "%s", g.a->name);
		if (g.a->deliver_all != NULL) {
			last = j->env.rcpts.len - 1;
			j->next = j->env.rcpts.len;
			g.a->deliver_all(j, &res);
		} else {
			g.a->deliver(j, &j->env.rcpts.v[i], &res);
		}
		cred_restore();
		status_filter(g.filter, g.filter_name, &res.outcome, &res.why);
		for (; i <= last; i++)
			job_answer(j, i, &res, began);
	}
	/* The next one's content gets the same memory. */
	store_content_fini(&j->content);
}

void
agent_slow(void)
{
	struct result back = { .outcome = DELIVER_RETURNED, .action = "",
	    .durable = true };

	if (g.ipc == NULL)
		return;
	/* What is under way stays ours; everything behind it goes back. */
	for (size_t k = g.at; k < g.batch.len; k++) {
		struct job *j = g.batch.v[k];

		while (j->next < j->env.rcpts.len)
			send_status(j, j->next++, &back);
	}
	flush();
	log_flush();
	(void)checkpoint_poll();
}

int
agent_wait(int fd, short events, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = checkpoint_event(), .events = POLLIN },
			{ .fd = fd, .events = events },
		};
		int64_t left = end - clock_mono_ms(), look = checkpoint_poll();

		if (look >= 0 && look < left)
			left = look;
		if (poll(p, fd < 0 ? 1 : 2, (int)MAX(left, 0)) < 0 &&
		    errno != EINTR)
			log_fatal("poll: %m");
		if (p[0].revents != 0)
			checkpoint_end();
		if (fd >= 0 && p[1].revents != 0)
			return 1;
		if (clock_mono_ms() >= end)
			return 0;
	}
}

/* --- the conversation -------------------------------------------------------------- */

static int
segment_fd(uint32_t number)
{
	for (size_t i = 0; i < g.segments.len; i++) {
		if (g.segments.v[i].number == number)
			return g.segments.v[i].fd;
	}
	return -1;
}

static void
segment_drop(uint32_t number)
{
	for (size_t i = 0; i < g.segments.len; i++) {
		if (g.segments.v[i].number == number) {
			fd_close(&g.segments.v[i].fd);
			ARRAY_DROP(&g.segments, i);
			return;
		}
	}
}

/* 0, or -1: the frame breaks the conversation. */
static int
take_message(const struct ipc_frame *f)
{
	struct job *j = arena_zalloc(&g.arena, sizeof(*j));
	struct why why = WHY_INIT;
	struct span body;
	int fd;

	j->own_fd = -1;
	j->tag = f->tag;
	j->arena = &g.arena;
	body.p = arena_span_dup(&g.arena, f->body);
	body.len = f->body.len;
	if (deliver_message_decode(&j->req, body) < 0)
		return -1;
	if (j->req.segment == DELIVER_FILE)
		fd = f->fd;
	else
		fd = segment_fd(j->req.segment);
	if (fd < 0 || envelope_decode(&j->env, j->req.envelope, &why) < 0) {
		log_warning("qmgr: %s", fd < 0 ?
		    "a request for a segment that was not sent" : why.text);
		return -1;
	}
	if (j->req.segment == DELIVER_FILE)
		j->own_fd = f->fd;
	store_content_init(&j->content, fd, j->req.offset, j->req.len);
	*ARRAY_PUSH(&g.batch) = j;
	return 0;
}

static int
take_frame(const struct ipc_frame *f)
{
	struct deliver_segment seg;
	int fd = f->fd;

	switch (f->type) {
	case DELIVER_SEGMENT:
		if (deliver_segment_decode(&seg, f->body) < 0 || fd < 0 ||
		    g.segments.len >= 4096)
			break;
		segment_drop(seg.segment);
		*ARRAY_PUSH(&g.segments) = (struct segment){ seg.segment, fd };
		return 0;
	case DELIVER_DROP:
		if (deliver_segment_decode(&seg, f->body) < 0)
			break;
		/*
		 * Requests of this turn may still need it: they come first
		 * in the stream, so deliver them before.
		 */
		segment_drop(seg.segment);
		fd_close(&fd);
		return 0;
	case DELIVER_MESSAGE:
		if (take_message(f) < 0)
			break;
		/* Without DELIVER_FILE a descriptor is nobody's. */
		if (fd >= 0 && g.batch.v[g.batch.len - 1]->own_fd != fd)
			close(fd);
		return 0;
	}
	fd_close(&fd);
	return -1;
}

static void
run_batch(void)
{
	for (g.at = 0; g.at < g.batch.len; g.at++) {
		job_run(g.batch.v[g.at]);
		/* A long batch: let qmgr hear of the first part. */
		if (g.at % 64 == 63) {
			flush();
			(void)checkpoint_poll();
		}
	}
	store_settle(g.store);
	flush();
	for (size_t i = 0; i < g.batch.len; i++)
		job_free(g.batch.v[i]);
	g.batch.len = 0;
	g.at = 0;
	arena_reset(&g.arena);
	log_flush();
}

/* Read what has arrived.  1 go on, 0 the connection is over. */
static int
gather(void)
{
	struct why why = WHY_INIT;
	struct ipc_frame f;
	int rc;

	while (g.batch.len < BATCH_MAX) {
		rc = ipc_sync_recv(g.ipc, &f, 0, &why);
		if (rc == 0)
			return 1;
		if (rc < 0) {
			if (why.text[0] != '\0')
				log_warning("qmgr: %s", why.text);
			return 0;
		}
		if (f.type == DELIVER_DROP && g.batch.len > 0)
			run_batch();
		if (take_frame(&f) < 0) {
			log_warning("qmgr: a frame of type %u breaks the "
			    "conversation", f.type);
			return 0;
		}
	}
	return 1;
}

/*
 * qmgr may die while we still deliver what it sent, and the next one gives the
 * same to another process.  The next one writes its number into the pid file
 * before it gives out anything (daemon.c); so whoever sees the old number with
 * the mailbox's lock held is before the other process.
 */
static void
know_qmgr(void)
{
	fd_close(&g.qmgr_fd);
	g.qmgr_fd = open(QMGR_PID_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (g.qmgr_fd < 0 && errno != ENOENT)
		log_warning("cannot see who is qmgr: %s: %m", QMGR_PID_FILE);
	(void)snprintf(g.qmgr_pid, sizeof(g.qmgr_pid), "%d\n",
	    (int)ipc_sync_peer(g.ipc)->pid);
}

static bool
on_stale(void *arg)
{
	char now[sizeof(g.qmgr_pid)];
	ssize_t n;

	if (g.qmgr_fd < 0)
		return false;		/* no master: a test's */
	n = pread(g.qmgr_fd, now, sizeof(now), 0);
	return n < 0 || (size_t)n != strlen(g.qmgr_pid) ||
	    memcmp(now, g.qmgr_pid, (size_t)n) != 0;
}

static bool
peer_may(const struct ipc_sync *s)
{
	const struct sock_cred *c = ipc_sync_peer(s);

	return c->uid == 0 || c->uid == daemon_mail_uid() ||
	    c->uid == geteuid();
}

void
agent_serve(int fd)
{
	struct why why = WHY_INIT;
	struct epoll_event ev = { .events = EPOLLIN };

	g.ipc = ipc_sync_accept(fd, &DELIVER_PROTO, conf.ipc_timeout * 1000,
	    &why);
	if (g.ipc == NULL) {
		if (why.text[0] != '\0')
			log_warning("%s", why.text);
		return;
	}
	if (!peer_may(g.ipc)) {
		log_warning("uid %u may not ask for deliveries",
		    (unsigned)ipc_sync_peer(g.ipc)->uid);
		ipc_sync_free(&g.ipc);
		return;
	}
	g.broken = false;
	know_qmgr();
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g.epoll < 0 ||
	    epoll_ctl(g.epoll, EPOLL_CTL_ADD, checkpoint_event(), &ev) < 0 ||
	    epoll_ctl(g.epoll, EPOLL_CTL_ADD, ipc_sync_fd(g.ipc), &ev) < 0)
		log_fatal("epoll: %m");
	while (!g.broken) {
		bool open = gather() == 1;
		int64_t look;

		if (g.batch.len > 0) {
			run_batch();
			(void)checkpoint_poll();
			(void)store_tidy(g.store, false);
			if (open)
				continue;	/* more may have come */
		}
		if (!open)
			break;
		look = checkpoint_poll();
		if (checkpoint_idle() &&
		    store_tidy(g.store, true))
			look = 0;
		if (daemon_wait(g.epoll, look) < 0)
			break;
	}
	/* Told to stop, or qmgr has gone: what was delivered is made durable
	 * anyway, and said where somebody still listens. */
	checkpoint_finish();
	for (size_t i = 0; i < g.segments.len; i++)
		close(g.segments.v[i].fd);
	g.segments.len = 0;
	fd_close(&g.epoll);
	ipc_sync_free(&g.ipc);
}

/* --- start -------------------------------------------------------------------------- */

struct store *
agent_store(void)
{
	return g.store;
}

static void
on_slow(void *arg)
{
	agent_slow();
}

static void
on_wait(void *arg, int64_t ms)
{
	(void)agent_wait(-1, 0, ms);
}

static int
on_become(void *arg, uid_t uid, gid_t gid)
{
	if (uid == 0) {
		/* Only to open a file in the mail spool directory. */
		cred_restore();
		return 0;
	}
	return cred_become(uid, gid);
}

int
lock_parse(const char *title, const char *value, unsigned *out,
    struct why *why)
{
	struct span rest = span_of(value), t;

	*out = 0;
	while (span_token(&rest, " \t\r\n,", &t)) {
		if (span_caseis(t, "fcntl"))
			*out |= STORE_LOCK_FCNTL;
		else if (span_caseis(t, "flock"))
			*out |= STORE_LOCK_FLOCK;
		else if (span_caseis(t, "dotlock"))
			*out |= STORE_LOCK_DOTLOCK;
		else
			return why_set(why, "4.3.5",
			    "%s: unknown lock \"%.*s\" (fcntl, flock, "
			    "dotlock)", title, SPAN_ARG(t));
	}
	if (*out == 0)
		return why_set(why, "4.3.5", "%s names no lock", title);
	return 0;
}

int
agent_check(const char *filter, const char *value, struct why *why)
{
	struct maps *m = maps_new(filter, value, 0, why);
	int rc = m == NULL ? -1 : 0;

	maps_free(&m);
	return rc;
}

int
agent_start(const struct agent *a, const char *filter, struct why *why)
{
	struct store_options o = {
		.open_max = OPEN_MIN, .hostname = conf.myhostname,
		.lock_attempts = (int)conf.deliver_lock_attempts,
		.lock_delay_ms = conf.deliver_lock_delay * 1000,
		.stale_lock_s = conf.stale_lock_time,
		.slow = on_slow, .wait = on_wait, .become = on_become,
		.stale = on_stale,
		/* Not where we could become root again. */
		.parse = getuid() != 0,
		.compression = getuid() != 0 ?
		    compress_level(conf.store_compression) : 0,
	};
	struct rlimit lim;

	/* As many as descriptors allow: opening costs more than delivering. */
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 &&
	    lim.rlim_cur > 4 * OPEN_MIN)
		o.open_max = (size_t)MIN(OPEN_MAX, (lim.rlim_cur -
		    2 * OPEN_MIN) / STORE_FDS_PER_BOX);
	g.a = a;
	g.body = BUF_INIT(BUF_UNLIMITED);
	g.store = store_new(&o);
	g.filter_name = filter;
	g.filter = maps_new(filter, a->status_filter, 0, why);
	if (g.filter == NULL)
		return -1;
	return checkpoint_start(g.store, on_durable, why);
}
