/* SPDX-License-Identifier: ISC */
/*
 * thread_run - THREAD of messages of the mailbox (RFC 5256); see search.h and
 * mail/thread.h.
 */
#include "base/clock.h"
#include "conf/params.h"
#include "imapd/fetch.h"
#include "imapd/search.h"

static bool
in_time(void *arg)
{
	const int64_t *until_us = arg;

	return clock_mono_us() < *until_us;
}

/* What the record of one message says, copied. */
static void
get_message(struct imap *im, uint32_t seq, bool uid, struct arena *keep,
    struct arena *scratch, struct thread_msg *out)
{
	struct fetch_msg m = { 0 };
	struct why why = WHY_INIT;
	const struct message_cache *c;
	uint64_t *refs;

	fetch_msg_init(&m, im, seq, scratch);
	out->num = uid ? m.m.uid : seq;
	out->sent_s = m.m.date_us / 1000000;
	/* One that cannot be read is a thread of its own. */
	if ((c = fetch_msg_cache(&m, &why)) != NULL) {
		out->msgid = c->msgid;
		out->is_reply = (c->flags & MESSAGE_IS_REPLY) != 0;
		if (c->flags & MESSAGE_HAS_DATE)
			out->sent_s = c->sent_s;
		out->base_subject = span_make(arena_span_dup(keep,
		    c->base_subject), c->base_subject.len);
		refs = arena_alloc(keep, c->nrefs * sizeof(*refs));
		for (uint32_t i = 0; i < c->nrefs; i++)
			refs[i] = message_cache_ref(c, i);
		out->refs = refs;
		out->nrefs = c->nrefs;
	}
	fetch_msg_fini(&m);
	arena_reset(scratch);
}

/* The answer about all messages, while they are the same. */
struct thread_kept {
	enum thread_algorithm	 algorithm;
	bool			 uid;
	uint32_t		 count;
	struct buf		 text;
};

void
thread_forget(struct imap *im)
{
	if (im->threads)
		buf_fini(&im->threads->text);
	mem_free(im->threads);
	im->threads = NULL;
}

static void
keep_answer(struct imap *im, enum thread_algorithm alg, bool uid, size_t n,
    struct span text)
{
	struct thread_kept *t;

	thread_forget(im);
	t = im->threads = mem_zalloc(sizeof(*t));
	t->algorithm = alg;
	t->uid = uid;
	t->count = (uint32_t)n;
	t->text = BUF_INIT(BUF_UNLIMITED);
	buf_add_span(&t->text, text);
}

int
thread_run(struct imap *im, enum thread_algorithm alg, const uint32_t *seqs,
    size_t n, bool uid, struct buf *out, const char **code, const char **text)
{
	int64_t until = clock_mono_us() +
	    conf.imapd_search_time_limit * 1000000;
	struct arena keep = ARENA_INIT, scratch = ARENA_INIT;
	const struct thread_kept *kept = im->threads;
	bool all = n == mailbox_count(im->box);
	size_t start = out->len;
	struct thread_msg *msgs;
	int rc = -1;

	if (all && kept != NULL && kept->algorithm == alg &&
	    kept->uid == uid && kept->count == n) {
		buf_add_span(out, buf_span(&kept->text));
		return 0;
	}
	*code = "LIMIT";
	if (n > (uint64_t)conf.imapd_sort_limit) {
		*text = "Too many messages to thread.";
		return -1;
	}
	msgs = mem_zalloc_array(MAX(n, 1), sizeof(*msgs));
	for (size_t i = 0; i < n; i++)
		get_message(im, seqs[i], uid, &keep, &scratch, &msgs[i]);
	rc = thread_messages(alg, msgs, n, out, in_time, &until);
	if (rc < 0)
		*text = "Threading took too long.";
	else if (all && n > 0)
		keep_answer(im, alg, uid, n, span_from(buf_span(out), start));
	mem_free(msgs);
	arena_fini(&keep);
	arena_fini(&scratch);
	return rc;
}
