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
	if ((c = fetch_msg_cache(&m, MESSAGE_CACHE_KEYS, &why)) != NULL) {
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
	fetch_msg_tell(&m);
	fetch_msg_fini(&m);
	arena_reset(scratch);
}

/* An answer about all messages of a view; the one used last comes first. */
struct thread_kept {
	struct view_key		 view;
	enum thread_algorithm	 algorithm;
	bool			 uid;
	struct buf		 text;
};
static struct thread_kept kept[VIEWS_KEPT];

static const struct thread_kept *
find_answer(const struct view_key *view, enum thread_algorithm alg, bool uid)
{
	for (size_t i = 0; i < VIEWS_KEPT; i++) {
		struct thread_kept t = kept[i];

		if (t.text.len == 0 || t.algorithm != alg || t.uid != uid ||
		    !view_key_same(&t.view, view))
			continue;
		memmove(&kept[1], &kept[0], i * sizeof(kept[0]));
		kept[0] = t;
		return &kept[0];
	}
	return NULL;
}

static void
keep_answer(const struct view_key *view, enum thread_algorithm alg, bool uid,
    struct span text)
{
	struct thread_kept t = { .view = *view, .algorithm = alg, .uid = uid,
	    .text = BUF_INIT(BUF_UNLIMITED) };

	buf_fini(&kept[VIEWS_KEPT - 1].text);
	memmove(&kept[1], &kept[0], (VIEWS_KEPT - 1) * sizeof(kept[0]));
	buf_add_span(&t.text, text);
	kept[0] = t;
}

int
thread_run(struct imap *im, enum thread_algorithm alg, const uint32_t *seqs,
    size_t n, bool uid, struct buf *out, const char **code, const char **text)
{
	int64_t until = clock_mono_us() +
	    conf.imapd_search_time_limit * 1000000;
	struct arena keep = ARENA_INIT, scratch = ARENA_INIT;
	const struct thread_kept *known;
	bool all = n == mailbox_count(im->box);
	struct view_key view;
	size_t start = out->len;
	struct thread_msg *msgs;
	int rc = -1;

	view_key_get(im, &view);
	if (all && (known = find_answer(&view, alg, uid)) != NULL) {
		buf_add_span(out, buf_span(&known->text));
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
		keep_answer(&view, alg, uid, span_from(buf_span(out), start));
	mem_free(msgs);
	arena_fini(&keep);
	arena_fini(&scratch);
	return rc;
}
