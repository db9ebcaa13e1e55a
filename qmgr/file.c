/* SPDX-License-Identifier: ISC */
/*
 * file - messages that stay become queue files.
 *
 * Many are written, then one spool_sync() in a thread makes all of them
 * durable; only then is what they came from forgotten (message_filed()).  A
 * new state in a file that is there already needs no such wait: the old one
 * would do too.  A file that cannot be written is tried again; its message
 * stays in the log meanwhile.  When the sync itself fails nobody knows what
 * is on disk: we exit, and the next process reads it.
 */
#include "qmgr/qmgr.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"

#define GATHER_MS	100	/* files of one sync */
#define DIRTY_MS	1000	/* new states and removals */
#define RETRY_MS	10000	/* after a full disk */

static struct {
	struct loop_worker *worker;
	struct loop_timer *timer, *retry_timer;
	int64_t		 due_ms;	/* 0: the timer is not set */
	struct list	 written;	/* wait for the next sync */
	struct list	 syncing;	/* wait for the one under way */
	struct list	 retry;
	ARRAY(struct message *) copied, copying;
	size_t		 n_written, n_syncing, n_retry;
	bool		 dirty;
	int		 failed;	/* of the sync under way */
	struct why	 why;
} fs;

static void
timer_set(int64_t in_ms)
{
	int64_t due = loop_now_ms(qm.loop) + in_ms;

	if (fs.due_ms != 0 && fs.due_ms <= due)
		return;
	fs.due_ms = due;
	loop_timer_set(fs.timer, in_ms);
}

void
file_dirty(void)
{
	fs.dirty = true;
	timer_set(DIRTY_MS);
}

size_t
file_pending(void)
{
	return fs.n_written + fs.n_syncing + fs.copied.len + fs.copying.len +
	    fs.dirty;
}

/* --- the sync ------------------------------------------------------------------------ */

static void
sync_run(void *arg)
{
	fs.failed = spool_sync(&qm.spool, &fs.why);
}

/* The copy is durable: the log's record is not needed any more. */
static void
copy_done(struct message *m)
{
	struct why why = WHY_INIT;
	struct qfile *f = qfile_open(&qm.spool, SPOOL_DEFERRED,
	    m->env.queue_id, &why);
	struct finished fin = {
		.seq = m->pos.seq, .rcpt = QREC_ALL, .slot = m->pos.slot,
		.generation = m->pos.generation,
		.large = m->source == FROM_LARGE,
		.id_us = m->id_us, .id_seq = m->id_seq,
	};

	m->refs--;
	m->copying = false;
	loop_defer(qm.loop, &m->settle);
	if (f == NULL) {
		log_error("%.*s: %s", SPAN_ARG(m->env.queue_id), why.text);
		return;		/* the log still has it */
	}
	m->source = FROM_FILE;
	m->file_queue = SPOOL_DEFERRED;
	m->off = qfile_content(f).offset;
	m->len = qfile_content(f).len;
	qfile_close(&f);
	state_note(qm.state, &fin, false);
}

static void	 sync_done(void *arg);

static void
on_timer(void *arg)
{
	fs.due_ms = 0;
	if (loop_worker_busy(fs.worker))
		return;		/* sync_done() comes back */
	if (fs.n_written + fs.copied.len == 0 && !fs.dirty)
		return;
	fs.dirty = false;
	while (!list_empty(&fs.written)) {
		struct list *l = fs.written.next;

		list_remove(l);
		list_append(&fs.syncing, l);
	}
	fs.n_syncing = fs.n_written;
	fs.n_written = 0;
	for (size_t i = 0; i < fs.copied.len; i++)
		*ARRAY_PUSH(&fs.copying) = fs.copied.v[i];
	fs.copied.len = 0;
	if (loop_worker_start(fs.worker, sync_run, sync_done, NULL) < 0)
		log_panic("file: a sync is under way already");
}

static void
sync_done(void *arg)
{
	if (fs.failed < 0)
		log_fatal("%s", fs.why.text);
	while (!list_empty(&fs.syncing)) {
		struct message *m = LIST_ENTRY(fs.syncing.next, struct message,
		    wait);

		list_remove(&m->wait);
		message_filed(m, m->file_queue);
	}
	fs.n_syncing = 0;
	for (size_t i = 0; i < fs.copying.len; i++)
		copy_done(fs.copying.v[i]);
	fs.copying.len = 0;
	if (fs.n_written + fs.copied.len > 0)
		timer_set(GATHER_MS);
	else if (fs.dirty)
		timer_set(DIRTY_MS);
}

/* --- writing ------------------------------------------------------------------------------ */

/* 0: written, to be synced; 1: nothing to wait for; -1 with why. */
static int
write_new(struct message *m, enum spool_queue q, struct why *why)
{
	struct qmsg_content c = { .offset = m->off, .len = m->len };
	bool close_fd;
	int rc;

	c.fd = message_content(m, &close_fd, why);
	if (c.fd < 0)
		return -1;
	rc = qfile_create(&qm.spool, q, &m->env, &c, why);
	if (close_fd)
		fd_close(&c.fd);
	return rc;
}

static int
write_state(struct message *m, enum spool_queue q, struct why *why)
{
	struct qfile *f = qfile_open(&qm.spool, m->file_queue,
	    m->env.queue_id, why);
	int rc;

	if (f == NULL)
		return -1;
	rc = qfile_set_state(f, &m->env, why);
	qfile_close(&f);
	if (rc == 0 && m->file_queue != q)
		rc = qfile_move(&qm.spool, m->env.queue_id, m->file_queue, q,
		    why);
	return rc;
}

static void
file_again(struct message *m, enum spool_queue q, const struct why *why)
{
	log_warning("%.*s: %s queue file: %s", SPAN_ARG(m->env.queue_id),
	    spool_queue_name(q), why->text);
	m->want_queue = q;
	list_append(&fs.retry, &m->wait);
	if (fs.n_retry++ == 0)
		loop_timer_set(fs.retry_timer, RETRY_MS);
}

void
file_message(struct message *m, enum spool_queue q)
{
	struct why why = WHY_INIT;

	if (m->source == FROM_FILE) {
		if (write_state(m, q, &why) < 0) {
			file_again(m, q, &why);
			return;
		}
		m->file_queue = q;
		file_dirty();
		message_filed(m, q);
		return;
	}
	if (write_new(m, q, &why) < 0) {
		file_again(m, q, &why);
		return;
	}
	m->file_queue = q;
	list_append(&fs.written, &m->wait);
	fs.n_written++;
	timer_set(GATHER_MS);
}

static void
on_retry(void *arg)
{
	struct list again = LIST_INIT(again);

	while (!list_empty(&fs.retry)) {
		struct list *l = fs.retry.next;

		list_remove(l);
		list_append(&again, l);
	}
	fs.n_retry = 0;
	while (!list_empty(&again)) {
		struct message *m = LIST_ENTRY(again.next, struct message,
		    wait);

		list_remove(&m->wait);
		if (m->fate == FATE_DELETE)
			message_gone(m);
		else
			file_message(m, m->want_queue);
	}
}

void
file_remove(struct message *m)
{
	struct why why = WHY_INIT;

	if (qfile_remove(&qm.spool, m->file_queue, m->env.queue_id,
	    &why) < 0)
		log_error("%.*s: %s", SPAN_ARG(m->env.queue_id), why.text);
	file_dirty();
}

void
file_copy(struct message *m)
{
	struct why why = WHY_INIT;

	if (m->source == FROM_FILE || m->over || m->copying)
		return;
	message_fates(m);
	m->env.next_us = clock_wall_us();
	if (write_new(m, SPOOL_DEFERRED, &why) < 0) {
		log_warning("%.*s: %s", SPAN_ARG(m->env.queue_id), why.text);
		return;
	}
	m->copying = true;
	m->refs++;		/* stays until the sync is over */
	*ARRAY_PUSH(&fs.copied) = m;
	timer_set(GATHER_MS);
}

void
file_start(void)
{
	list_init(&fs.written);
	list_init(&fs.syncing);
	list_init(&fs.retry);
	fs.worker = loop_worker_new(qm.loop);
	fs.timer = loop_timer_new(qm.loop, on_timer, NULL);
	fs.retry_timer = loop_timer_new(qm.loop, on_retry, NULL);
}

void
file_stop(void)
{
	loop_worker_free(&fs.worker);
	loop_timer_free(&fs.timer);
	loop_timer_free(&fs.retry_timer);
	ARRAY_FINI(&fs.copied);
	ARRAY_FINI(&fs.copying);
}
