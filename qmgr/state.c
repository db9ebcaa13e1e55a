/* SPDX-License-Identifier: ISC */
/*
 * state - see state.h.
 */
#include "qmgr/state.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#define ENTRY_LEN	12		/* bytes of an entry on disk */
#define SEGMENT_SIZE	(4u << 20)	/* bytes of a slot of state/ */
#define RECORD_ENTRIES	(64u * 1024)	/* entries of one record at most */
#define RETRY_MS	1000		/* after a full disk */

struct slot {
	uint32_t	slot, generation;
	uint64_t	max_seq;	/* the newest message it speaks of */
};

struct state {
	struct loop		*loop;
	struct qlog		*log;
	struct loop_worker	*worker;
	struct loop_timer	*timer;
	int64_t			 due_ms;	/* 0: the timer is not set */
	ARRAY(struct finished)	 pending;	/* not appended yet */
	ARRAY(struct finished)	 writing;	/* in the batch */
	struct qlog_batch	*batch;
	ARRAY(struct slot)	 slots;
	struct state_entries	 found;
	struct buf		 record;
	void			(*done)(void *, const struct finished *);
	void			*arg;
};

/* --- reading ---------------------------------------------------------------- */

int
state_parse(struct span payload, struct state_entries *out)
{
	if (payload.len % ENTRY_LEN != 0)
		return -1;
	for (size_t at = 0; at < payload.len; at += ENTRY_LEN) {
		struct state_entry *e = ARRAY_PUSH(&out->v);

		e->seq = num_get_le64(payload.p + at);
		e->rcpt = num_get_le32(payload.p + at + 8);
	}
	return 0;
}

static int
entry_cmp(const void *a, const void *b)
{
	const struct state_entry *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->rcpt < y->rcpt ? -1 : x->rcpt > y->rcpt;
}

static void
entries_sort(struct state_entries *e)
{
	if (e->v.len > 1)
		qsort(e->v.v, e->v.len, sizeof(e->v.v[0]), entry_cmp);
}

size_t
state_entries_find(const struct state_entries *e, uint64_t seq,
    const struct state_entry **first)
{
	size_t lo = 0, hi = e->v.len, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e->v.v[mid].seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = e->v.v + lo;
	while (lo + n < e->v.len && e->v.v[lo + n].seq == seq)
		n++;
	return n;
}

bool
state_entries_all(const struct state_entries *e, uint64_t seq)
{
	const struct state_entry *first;
	size_t n = state_entries_find(e, seq, &first);

	return n > 0 && first[n - 1].rcpt == QREC_ALL;	/* the largest */
}

void
state_entries_fini(struct state_entries *e)
{
	ARRAY_FINI(&e->v);
}

struct reading {
	struct state_entries	*out;
	struct state		*s;	/* NULL for a mere reader */
};

static void
slot_note(struct state *s, const struct qlog_pos *pos, uint64_t seq)
{
	for (size_t i = s->slots.len; i-- > 0;) {
		struct slot *t = &s->slots.v[i];

		if (t->slot == pos->slot && t->generation == pos->generation) {
			if (t->max_seq < seq)
				t->max_seq = seq;
			return;
		}
	}
	*ARRAY_PUSH(&s->slots) = (struct slot){
		.slot = pos->slot, .generation = pos->generation,
		.max_seq = seq
	};
}

static bool
on_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct reading *r = arg;
	size_t from = r->out->v.len;

	if (type != QREC_FINISHED)
		return true;
	if (state_parse(payload, r->out) < 0) {
		log_warning("state/: record %llu makes no sense",
		    (unsigned long long)pos->seq);
		return true;
	}
	if (r->s != NULL)
		for (; from < r->out->v.len; from++)
			slot_note(r->s, pos, r->out->v.v[from].seq);
	return true;
}

static void
on_damage(void *arg, uint32_t slot, uint64_t offset, struct span bytes)
{
	log_error("state/: damaged record in slot %u at %llu: some messages "
	    "may be delivered a second time", slot,
	    (unsigned long long)offset);
}

static int
read_all(int dirfd, struct reading *r, struct why *why)
{
	struct qlog_visit v = {
		.record = on_record, .damage = on_damage, .arg = r
	};

	if (qlog_scan(dirfd, "state", 0, &v, why) < 0)
		return -1;
	entries_sort(r->out);
	return 0;
}

int
state_read(int dirfd, struct state_entries *out, struct why *why)
{
	struct reading r = { .out = out, .s = NULL };

	*out = (struct state_entries){ .v = ARRAY_EMPTY };
	if (read_all(dirfd, &r, why) < 0) {
		state_entries_fini(out);
		return -1;
	}
	return 0;
}

struct state_entries
state_take_entries(struct state *s)
{
	struct state_entries e = s->found;

	s->found = (struct state_entries){ .v = ARRAY_EMPTY };
	return e;
}

/* --- writing ---------------------------------------------------------------- */

static void	 commit(struct state *s);

static void
timer_set(struct state *s, int64_t in_ms)
{
	int64_t due;

	if (s->timer == NULL)
		return;
	due = loop_now_ms(s->loop) + in_ms;
	if (s->due_ms != 0 && s->due_ms <= due)
		return;
	s->due_ms = due;
	loop_timer_set(s->timer, in_ms);
}

static void
on_timer(void *arg)
{
	struct state *s = arg;

	s->due_ms = 0;
	commit(s);
}

/* Put what is pending into the log's batch, as far as there is room. */
static void
append(struct state *s)
{
	size_t at = 0;

	while (at < s->pending.len) {
		size_t n = MIN(s->pending.len - at, (size_t)RECORD_ENTRIES);
		struct qlog_pos pos;
		struct why why = WHY_INIT;
		struct span part;
		uint64_t max = 0;

		buf_reset(&s->record);
		for (size_t i = at; i < at + n; i++) {
			char e[ENTRY_LEN];

			num_put_le64(e, s->pending.v[i].seq);
			num_put_le32(e + 8, s->pending.v[i].rcpt);
			buf_add(&s->record, e, sizeof(e));
			max = MAX(max, s->pending.v[i].seq);
		}
		part = buf_span(&s->record);
		if (qlog_append(s->log, QREC_FINISHED, &part, 1, &pos,
		    &why) < 0) {
			if (qlog_broken(s->log))
				log_fatal("state/: %s", why.text);
			log_warning("state/: %s", why.text);
			timer_set(s, RETRY_MS);
			break;
		}
		slot_note(s, &pos, max);
		for (size_t i = at; i < at + n; i++)
			*ARRAY_PUSH(&s->writing) = s->pending.v[i];
		at += n;
	}
	if (at > 0) {
		memmove(s->pending.v, s->pending.v + at,
		    (s->pending.len - at) * sizeof(s->pending.v[0]));
		s->pending.len -= at;
	}
}

static void
batch_write(void *arg)
{
	struct state *s = arg;

	qlog_batch_write(s->batch);
}

static void
batch_done(void *arg)
{
	struct state *s = arg;
	struct why why = WHY_INIT;
	size_t n = s->writing.len;

	/* What the disk holds is unknown now: read it again, from the start. */
	if (qlog_commit_end(s->log, &s->batch, &why) < 0)
		log_fatal("state/: %s", why.text);
	/* done() may note more, but that goes to pending. */
	for (size_t i = 0; i < n; i++)
		s->done(s->arg, &s->writing.v[i]);
	s->writing.len = 0;
	if (s->pending.len > 0 && s->due_ms == 0)
		timer_set(s, STATE_SOON_MS);
}

static void
commit(struct state *s)
{
	if (s->batch != NULL || s->pending.len == 0)
		return;		/* batch_done() comes back */
	append(s);
	if (!qlog_dirty(s->log))
		return;
	s->batch = qlog_commit_begin(s->log);
	if (s->batch == NULL)
		return;
	if (loop_worker_start(s->worker, batch_write, batch_done, s) < 0)
		log_panic("state: a commit is under way already");
}

void
state_note(struct state *s, const struct finished *f, bool soon)
{
	*ARRAY_PUSH(&s->pending) = *f;
	timer_set(s, soon ? STATE_SOON_MS : STATE_LAZY_MS);
}

size_t
state_pending(const struct state *s)
{
	return s->pending.len + s->writing.len;
}

void
state_flush(struct state *s)
{
	commit(s);
}

void
state_release_below(struct state *s, uint64_t min_seq)
{
	size_t max = s->slots.len + 16;
	struct qlog_slot *used = mem_alloc_array(max, sizeof(*used));
	size_t n = qlog_slots(s->log, used, max);

	if (n == 0 || n == max) {
		mem_free(used);
		return;
	}
	for (size_t i = 0; i < s->slots.len;) {
		struct slot t = s->slots.v[i];
		bool writing = t.slot == used[n - 1].slot;

		/* One that is in the batch may be the last of its slot. */
		if (writing || t.max_seq >= min_seq || s->batch != NULL ||
		    qlog_dirty(s->log)) {
			i++;
			continue;
		}
		if (!qlog_release(s->log, t.slot, t.generation)) {
			i++;
			continue;
		}
		ARRAY_DROP(&s->slots, i);
	}
	mem_free(used);
}

struct state *
state_open(struct loop *l, int dirfd,
    void (*done)(void *arg, const struct finished *f), void *arg,
    struct why *why)
{
	struct qlog_options opt = {
		.segment_size = SEGMENT_SIZE, .slots_keep = 1
	};
	struct state *s = mem_zalloc(sizeof(*s));
	struct reading r = { .out = &s->found, .s = s };

	s->loop = l;
	s->done = done;
	s->arg = arg;
	s->record = BUF_INIT(BUF_UNLIMITED);
	s->log = qlog_open(dirfd, "state", &opt, why);
	if (s->log == NULL || read_all(dirfd, &r, why) < 0) {
		why_prefix(why, "state/");
		state_close(&s);
		return NULL;
	}
	if (l != NULL) {
		s->worker = loop_worker_new(l);
		s->timer = loop_timer_new(l, on_timer, s);
	}
	return s;
}

void
state_close(struct state **sp)
{
	struct state *s = *sp;

	if (s == NULL)
		return;
	loop_worker_free(&s->worker);
	loop_timer_free(&s->timer);
	qlog_close(&s->log);
	ARRAY_FINI(&s->pending);
	ARRAY_FINI(&s->writing);
	ARRAY_FINI(&s->slots);
	state_entries_fini(&s->found);
	buf_fini(&s->record);
	mem_free(s);
	*sp = NULL;
}
