/* SPDX-License-Identifier: ISC */
/*
 * search - SEARCH, SORT and THREAD: what is looked for, and finding it.
 *
 *	cmd_search.c	the commands: RETURN options, answers, "$"
 *	search_parse.c	search keys to a struct search
 *	search_run.c	which messages match, a slice of time after the other
 *	sort.c		ordering them; thread_run.c: threads of them
 *	context.c	results that are kept up to date (RFC 5267 UPDATE);
 *			context_order.c: those of SORT
 *	multisearch.c	ESEARCH, in several mailboxes (RFC 7377)
 *
 * Everything lives in the command's arena unless it says otherwise.
 */
#ifndef IMAPD_SEARCH_H
#define IMAPD_SEARCH_H

#include "imapd/imap.h"
#include "mail/thread.h"

struct search;				/* search keys */
struct search_run;			/* a search under way */

/*
 * "[CHARSET x] key key ..." to the end of the command.  NULL: s says why
 * (s->code BADCHARSET).  Numbers above EXISTS find nothing.
 */
struct search *search_parse(struct imap *im, struct scan *s);
/* SORT and THREAD: the charset stands in front of the keys, always. */
struct search *search_parse_charset(struct imap *im, struct scan *s);
/* A MODSEQ key is in it: the answer has MODSEQ (RFC 7162 3.1.5). */
bool	 search_has_modseq(const struct search *p);
/* A FUZZY key is in it: there are scores (RFC 6203 4). */
bool	 search_has_fuzzy(const struct search *p);
/* Sequence numbers are in it. */
bool	 search_has_numbers(const struct search *p);
/*
 * Sets that hold while numbers change: sequence numbers go on to mean the
 * messages that they mean now (RFC 5267 4.3).  search_refresh() before each
 * search then; search_unpin() frees what is not in the arena.
 */
void	 search_pin(struct imap *im, struct search *p);
void	 search_refresh(struct imap *im, struct search *p);
void	 search_unpin(struct search *p);

/* among: sequence numbers of the only messages to look at, or NULL. */
struct search_run *search_begin(struct imap *im, const struct search *p,
	    const struct ranges *among);
/* RFC 9738: look at no more messages than one command may be about. */
void	 search_limit(struct search_run *r);
/* The time it has taken until now; and to count such time of others. */
int64_t	 search_used_us(const struct search_run *r);
void	 search_charge(struct search_run *r, int64_t us);
/* How many messages it has looked at, and will in all. */
void	 search_progress(const struct search_run *r, uint64_t *done,
	    uint64_t *goal);
/* Look at messages for at most us: STEP_MORE, or STEP_DONE. */
enum step_result search_step(struct search_run *r, int64_t us);
/*
 * After DONE: the sequence numbers that match, ascending.  0, or -1 with
 * *code (may be NULL) and *text for the tagged NO: it took too long.
 */
int	 search_result(struct search_run *r, const uint32_t **seqs, size_t *n,
	    const char **code, const char **text);
/* Before the first step: find out how relevant each message is, too. */
void	 search_want_scores(struct search_run *r);
/* After search_result(): 1 to 100 for each of seqs; NULL: was not wanted. */
const uint8_t *search_scores(const struct search_run *r);
/* Frees what is not in the arena; also a search that is not DONE. */
void	 search_end(struct search_run **r);

/* --- cmd_search.c, for multisearch.c and context.c --------------------------------- */

enum search_verb { VERB_SEARCH, VERB_SORT, VERB_THREAD, VERB_MULTI };

enum {					/* search_cmd.give */
	RETURN_MIN = 1 << 0, RETURN_MAX = 1 << 1, RETURN_ALL = 1 << 2,
	RETURN_COUNT = 1 << 3, RETURN_SAVE = 1 << 4, RETURN_PARTIAL = 1 << 5,
	RETURN_UPDATE = 1 << 6, RETURN_CONTEXT = 1 << 7,
	RETURN_RELEVANCY = 1 << 8,
	/* What the answer is made of. */
	RETURN_DATA = RETURN_MIN | RETURN_MAX | RETURN_ALL | RETURN_COUNT |
	    RETURN_PARTIAL,
};

/* How relevant messages are (RFC 6203); seqs ascend. */
struct search_scores {
	const uint32_t	*seqs;
	const uint8_t	*v;
	size_t		 n;
};
/* 0: it has none. */
unsigned search_score(const struct search_scores *s, uint32_t seq);

#define SORT_KEYS_MAX	16
struct sort_spec {
	struct { uint8_t key; bool reverse; } v[SORT_KEYS_MAX];
	size_t		 n;
	bool		 relevancy;	/* one of them is */
	const struct search_scores *scores;	/* for it */
};

struct search_context;

struct search_cmd {
	enum search_verb verb;
	bool		 extended;	/* RETURN was there */
	unsigned	 give;
	int64_t		 from, to;	/* PARTIAL */
	struct sort_spec sort;
	struct search_scores scores;
	enum thread_algorithm algorithm;
	struct search	*keys;
	struct search_run *run;
	struct search_context *context;	/* UPDATE; not yet im's */
};

/* " RETURN (MIN ALL)" from the word on, if it is there, and the space behind
 * it. */
bool	 search_scan_return(struct imap *im, struct scan *s,
	    struct search_cmd *c);
/* "* ESEARCH (TAG "x") ..." of im->box. */
void	 search_put_extended(struct imap *im, const struct search_cmd *c,
	    const uint32_t *seqs, size_t n);
/* "(TAG "x")"; with MAILBOX and UIDVALIDITY if box is not NULL. */
void	 search_put_correlator(struct imap *im, const char *tag,
	    const struct mailbox *box);
/* "$" from now on. */
void	 search_save(struct imap *im, const struct search_cmd *c,
	    const uint32_t *seqs, size_t n);

/* --- context.c ------------------------------------------------------------------------ */

#define CONTEXTS_MAX	16		/* of one client */

/* For the command whose tag is im->tag; NULL: the tag is in use. */
struct search_context *context_new(struct imap *im);
void	 context_free(struct search_context **c);
/* Where its search keys are to be allocated. */
struct arena *context_arena(struct search_context *c);
/* " (UID FLAGS)" behind UPDATE (RFC 5465 7), if it is there. */
bool	 context_scan_fetch(struct imap *im, struct scan *s,
	    struct search_context *c);
/*
 * Keep telling of cmd's result from now on; takes cmd->context and its keys.
 * Says NOUPDATE when there are too many.
 */
void	 context_start(struct imap *im, struct search_cmd *cmd,
	    const uint32_t *seqs, size_t n);

/* "(REVERSE DATE SUBJECT)" (RFC 5256 3, RFC 5957). */
bool	 sort_scan(struct scan *s, struct sort_spec *out);
/* Order seqs.  0, or -1 with code and text. */
int	 sort_run(struct imap *im, const struct sort_spec *spec,
	    uint32_t *seqs, size_t n, const char **code, const char **text);
/*
 * Where each of more (sorted) goes in seqs (sorted): places[i] of seqs stand
 * before more[i].  0, or -1 when there are too many to sort.
 */
int	 sort_places(struct imap *im, const struct sort_spec *spec,
	    const uint32_t *seqs, size_t n, const uint32_t *more, size_t k,
	    size_t *places);
/* Numbers in the order of v: "5,3,7:9". */
void	 search_put_numbers(struct buf *out, const uint32_t *v, size_t n);
/*
 * What is found out about all messages of a view is kept for the next time, for
 * all connections of the process.  UIDs are never used again, so those of the
 * messages, summed up after mixing, say which messages a view has.
 */
struct view_key {
	const struct account	*account;
	uint32_t		 box, uidvalidity, count;
	uint64_t		 sum;
};
void	 view_key_get(struct imap *im, struct view_key *k);
bool	 view_key_same(const struct view_key *a, const struct view_key *b);
#define VIEWS_KEPT	4		/* by SORT; and by THREAD */

/* Append the threads, "(2)(3 6 (4 23))"; UIDs if uid. */
int	 thread_run(struct imap *im, enum thread_algorithm alg,
	    const uint32_t *seqs, size_t n, bool uid, struct buf *out,
	    const char **code, const char **text);

#endif
