/* SPDX-License-Identifier: ISC */
/*
 * commit - many messages, one flush.
 *
 * Messages that are complete are appended to the log's batch in memory.  When
 * no batch is on its way to the disk, the end of a loop turn sends what has
 * gathered: a thread writes and syncs it while the next batch gathers.  Then
 * each message of it gets its RESULT, and qmgr hears of it.
 *
 * Under load a batch waits a moment (GATHER_MS at most), for a flush costs the
 * same for one message and for twenty: for the messages that are just coming
 * in, while it holds fewer than half of them, and for those of the senders
 * who have just been answered, who as a rule send their next one at once.
 * How many that are the last batch tells; when they do not come the next
 * batch waits for fewer.  One or two senders never wait for each other.
 *
 * A large message has its file in large/ renamed and synced in another thread
 * first, and is appended only then, so that a failure there is its own and a
 * long sync holds up nobody.
 *
 * When mail comes so fast that the next segment is not made yet, what is
 * complete waits for it in memory; flow control keeps that bounded.
 *
 * When the log breaks, everybody who waits is told 451, and the process ends:
 * what the disk has is for the next one to find out (qlog.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cleanup/cleanup.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fault.h"
#include "io/fd.h"

#define GATHER_MS	2
#define GATHER_MIN	3		/* senders that are worth waiting for */
#define GATHER_BYTES	(512u << 10)	/* with so much, writing takes longer */
#define STALL_MS	5		/* look for a new segment */
#define STALL_MAX_MS	30000
#define IDS_STEP	1000000		/* numbers taken from the file at once */
#define IDS_FILE	"log/ids"

struct large_job {
	struct message	*m;
	int		 fd, dirfd, err;
	char		 from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];
	int		 queue_dirfd;
};

static struct {
	struct loop_worker	*worker, *large_worker;
	struct qlog_batch	*batch;		/* under way */
	struct list		 gathering, writing, syncing, stalled;
	struct loop_timer	*stall_timer;
	size_t			 ngathering, nwriting;
	size_t			 expected;	/* messages, in the next batch */
	struct loop_defer	 defer;
	struct loop_timer	*timer;
	bool			 waiting;	/* timer is set */
	bool			 waited;	/* ... and has run out */
	struct large_job	 large;
	bool			 failed;
	/* Queue ids. */
	uint64_t		 next_number, numbers_end;
	int64_t			 last_us;
} cm;

/* --- queue ids -------------------------------------------------------------------- */

/*
 * The number in a queue id is given once in a spool.  It is needed before the
 * message has its place in the log, and many a number is given to a message
 * that is never stored; so the numbers have a counter of their own, of which
 * the file says which are taken.
 */
static int
numbers_take(struct why *why)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n",
	    (unsigned long long)cm.next_number + IDS_STEP);

	if (fd_replace_file(cl.spool.dirfd, IDS_FILE, 0600, text,
	    (size_t)n) < 0)
		return why_errno(why, errno == ENOSPC || errno == EDQUOT ?
		    "4.3.1" : "4.3.0", "write %s", IDS_FILE);
	cm.numbers_end = cm.next_number + IDS_STEP;
	return 0;
}

static int
numbers_start(struct why *why)
{
	struct buf b = BUF_INIT(64);
	uint64_t n = 0;

	cm.next_number = qlog_next_seq(cl.log);
	if (fd_read_file(cl.spool.dirfd, IDS_FILE, &b) == 0 &&
	    num_parse_u64(span_trim(buf_span(&b)), UINT64_MAX - 2 * IDS_STEP,
	    &n) == 0)
		cm.next_number = MAX(cm.next_number, n);
	else if (b.len > 0)
		log_warning("%s is damaged: queue ids go on from %llu",
		    IDS_FILE, (unsigned long long)cm.next_number);
	buf_fini(&b);
	if (numbers_take(why) == 0)
		return 0;
	/* A full disk is no reason not to start: see room_full(). */
	cm.numbers_end = cm.next_number;
	return strcmp(why->code, "4.3.1") == 0 ? 0 : -1;
}

int
commit_numbers(unsigned n, struct why *why)
{
	return cm.numbers_end - cm.next_number >= n ? 0 : numbers_take(why);
}

uint64_t
commit_grant(unsigned n)
{
	cm.next_number += n;
	return cm.next_number - n;
}

void
commit_queue_id(char out[QUEUE_ID_MAX])
{
	struct why why = WHY_INIT;
	int64_t now = clock_wall_us();

	if (commit_numbers(1, &why) < 0)
		log_panic("a queue id without commit_numbers(): %s", why.text);
	cm.last_us = MAX(now, cm.last_us);
	queue_id_make(cm.last_us, commit_grant(1), out);
}

/* --- the batch --------------------------------------------------------------------- */

static void	commit_turn(void *arg);

static void
list_take(struct list *from, struct list *to)
{
	list_init(to);
	while (!list_empty(from)) {
		struct list *l = from->next;

		list_remove(l);
		list_append(to, l);
	}
}

/* The log is broken. */
static void
fail_all(const struct why *why)
{
	struct list *lists[] = { &cm.writing, &cm.gathering, &cm.syncing,
	    &cm.stalled };

	cm.failed = true;
	log_error("%s: no more mail is accepted by this process", why->text);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		while (!list_empty(lists[i])) {
			struct message *m = LIST_ENTRY(lists[i]->next,
			    struct message, in_work);

			refuse(m, 451, "4.3.0", "Error: queue file write error");
			session_result(m);
		}
	session_flush_all();
	log_fatal("%s", why->text);
}

static void
batch_write(void *arg)
{
	qlog_batch_write(arg);
}

static void
batch_done(void *arg)
{
	struct why why = WHY_INIT;
	struct list done;

	if (qlog_commit_end(cl.log, &cm.batch, &why) < 0)
		fail_all(&why);
	list_take(&cm.writing, &done);
	/* Those that came meanwhile, and the next of those answered now. */
	cm.expected = cm.ngathering + cm.nwriting;
	cm.nwriting = 0;
	while (!list_empty(&done)) {
		struct message *m = LIST_ENTRY(done.next, struct message,
		    in_work);

		feed_message(m);
		session_result(m);
	}
	loop_defer(cl.loop, &cm.defer);
}

/* Whether to wait for messages that are on their way; none is being written. */
static bool
worth_waiting(void)
{
	size_t open = cl.messages - cm.ngathering - cm.nwriting;

	if (cm.waited || daemon_draining() ||
	    cl.committing > GATHER_BYTES)
		return false;
	return open > cm.ngathering || (cm.expected >= GATHER_MIN &&
	    cm.ngathering < cm.expected);
}

static void
commit_turn(void *arg)
{
	if (cm.failed || cm.batch != NULL || !qlog_dirty(cl.log))
		return;
	if (worth_waiting()) {
		if (!cm.waiting) {
			cm.waiting = true;
			loop_timer_set(cm.timer, GATHER_MS);
		}
		return;
	}
	if (cm.waiting) {
		cm.waiting = false;
		loop_timer_cancel(cm.timer);
	}
	cm.waited = false;
	cm.batch = qlog_commit_begin(cl.log);
	if (cm.batch == NULL)
		return;
	list_take(&cm.gathering, &cm.writing);
	cm.nwriting = cm.ngathering;
	cm.ngathering = 0;
	if (loop_worker_start(cm.worker, batch_write, batch_done,
	    cm.batch) < 0)
		log_panic("commit: the worker is busy");
}

static void
gather_over(void *arg)
{
	cm.waiting = false;
	cm.waited = true;
	commit_turn(NULL);
}

/* "Queue file" in what clients read: the words of Postfix. */
static void
append_failed(struct message *m, const struct why *why)
{
	log_warning("%s: %s", m->queue_id, why->text);
	if (qlog_broken(cl.log))
		fail_all(why);
	if (strcmp(why->code, "4.3.1") == 0) {
		room_note_full();
		refuse(m, 452, "4.3.1", "Error: insufficient system storage");
	} else if (why->code[0] == '5')
		refuse(m, 552, "5.3.4", "Error: message file too big");
	else
		refuse(m, 451, "4.3.0", "Error: queue file write error");
	session_result(m);
}

static bool
stall(struct message *m, const struct why *why)
{
	if (strcmp(why->code, "4.3.1") != 0 || !qlog_preparing(cl.log) ||
	    loop_now_ms(cl.loop) - m->active_ms > STALL_MAX_MS)
		return false;
	m->state = MESSAGE_SYNCING;
	buf_fini(&m->record);
	if (!list_linked(&m->in_work))
		list_append(&cm.stalled, &m->in_work);
	loop_timer_set(cm.stall_timer, STALL_MS);
	return true;
}

static void
append(struct message *m)
{
	struct why why = WHY_INIT;
	struct span parts[2];
	char le[4];
	bool large = m->large_fd >= 0 || m->large_len > 0;

	m->record = BUF_INIT(BUF_UNLIMITED);
	buf_add(&m->record, "\0\0\0\0", 4);
	envelope_encode(&m->record, &m->env);
	num_put_le32(le, (uint32_t)(m->record.len - 4));
	memcpy(m->record.data, le, 4);
	parts[0] = buf_span(&m->record);
	parts[1] = buf_span(&m->out);
	if (qlog_append_kept(cl.log, large ? QREC_LARGE : QREC_MESSAGE, parts,
	    large ? 1 : 2, &m->pos, &why) < 0) {
		if (!stall(m, &why))
			append_failed(m, &why);
		return;
	}
	list_remove(&m->in_work);
	m->state = MESSAGE_COMMITTING;
	/* The batch has copied what is short, and writes the rest from here. */
	room_hold(m, m->record.len + parts[1].len + sizeof(*m));
	room_committing((ptrdiff_t)m->held);
	list_append(&cm.gathering, &m->in_work);
	cm.ngathering++;
	loop_defer(cl.loop, &cm.defer);
}

static void
stall_over(void *arg)
{
	/* In their order; the first that stalls again ends the round. */
	while (!list_empty(&cm.stalled)) {
		struct message *m = LIST_ENTRY(cm.stalled.next,
		    struct message, in_work);

		append(m);
		if (cm.stalled.next == &m->in_work)
			break;
	}
}

/* --- large messages ------------------------------------------------------------------ */

static void	large_next(void);

static void
large_write(void *arg)
{
	struct large_job *j = arg;

	j->err = 0;
	if (fault_renameat(j->queue_dirfd, j->from, j->queue_dirfd,
	    j->to) < 0 || fault_fsync(j->fd) < 0 || fault_fsync(j->dirfd) < 0)
		j->err = errno != 0 ? errno : EIO;
}

static void
large_done(void *arg)
{
	struct large_job *j = arg;
	struct message *m = j->m;

	j->m = NULL;
	if (j->err != 0)
		(void)unlinkat(j->queue_dirfd, j->to, 0);
	if (m == NULL) {		/* aborted meanwhile */
		if (j->err == 0)
			(void)unlinkat(j->queue_dirfd, j->to, 0);
		fd_close(&j->fd);
		large_next();
		return;
	}
	list_remove(&m->in_work);
	fd_close(&m->large_fd);
	j->fd = -1;
	if (j->err != 0) {
		log_warning("%s: write %s: %s", m->queue_id, j->to,
		    strerror(j->err));
		if (j->err == ENOSPC || j->err == EDQUOT) {
			room_note_full();
			refuse(m, 452, "4.3.1",
			    "Error: insufficient system storage");
		} else
			refuse(m, 451, "4.3.0",
			    "Error: queue file write error");
		session_result(m);
	} else
		append(m);
	large_next();
}

static void
large_next(void)
{
	struct large_job *j = &cm.large;
	struct message *m;

	if (loop_worker_busy(cm.large_worker) || list_empty(&cm.syncing))
		return;
	m = LIST_ENTRY(cm.syncing.next, struct message, in_work);
	j->m = m;
	j->fd = m->large_fd;
	j->dirfd = cl.large_dirfd;
	j->queue_dirfd = cl.spool.dirfd;
	memcpy(j->from, m->large_tmp, sizeof(j->from));
	spool_path(SPOOL_LARGE, span_of(m->queue_id), j->to);
	m->large_tmp[0] = '\0';
	if (loop_worker_start(cm.large_worker, large_write, large_done, j) < 0)
		log_panic("commit: the large worker is busy");
}

/* --- called from outside ------------------------------------------------------------ */

void
commit_message(struct message *m)
{
	if (cm.failed) {
		refuse(m, 451, "4.3.0", "Error: queue file write error");
		session_result(m);
		return;
	}
	if (m->large_fd < 0) {
		append(m);
		return;
	}
	m->state = MESSAGE_SYNCING;
	list_append(&cm.syncing, &m->in_work);
	large_next();
}

void
commit_forget(struct message *m)
{
	m->conn = NULL;
	/* A record that is in the batch stays: it cannot be told from one
	 * whose RESULT was on its way.  A large file can still be dropped. */
	if (m->state == MESSAGE_SYNCING) {
		if (cm.large.m == m) {
			cm.large.m = NULL;
			m->large_fd = -1;	/* the job's to close */
		}
		list_remove(&m->in_work);
		session_result(m);
	}
}

int
commit_start(struct why *why)
{
	list_init(&cm.gathering);
	list_init(&cm.writing);
	list_init(&cm.syncing);
	list_init(&cm.stalled);
	cm.stall_timer = loop_timer_new(cl.loop, stall_over, NULL);
	cm.worker = loop_worker_new(cl.loop);
	cm.large_worker = loop_worker_new(cl.loop);
	cm.timer = loop_timer_new(cl.loop, gather_over, NULL);
	cm.defer = (struct loop_defer){ .fn = commit_turn };
	return numbers_start(why);
}
