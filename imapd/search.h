/* SPDX-License-Identifier: ISC */
/*
 * search - SEARCH, SORT and THREAD: what is looked for, and finding it.
 *
 *	cmd_search.c	the commands: RETURN options, answers, "$"
 *	search_parse.c	search keys to a struct search
 *	search_run.c	which messages match, a slice of time after the other
 *	sort.c		ordering them; thread_run.c: threads of them
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

struct search_run *search_begin(struct imap *im, const struct search *p);
/* Look at messages for at most us: STEP_MORE, or STEP_DONE. */
enum step_result search_step(struct search_run *r, int64_t us);
/*
 * After DONE: the sequence numbers that match, ascending.  0, or -1 with
 * *code (may be NULL) and *text for the tagged NO: it took too long.
 */
int	 search_result(struct search_run *r, const uint32_t **seqs, size_t *n,
	    const char **code, const char **text);
/* Frees what is not in the arena; also a search that is not DONE. */
void	 search_end(struct search_run **r);

#define SORT_KEYS_MAX	16
struct sort_spec {
	struct { uint8_t key; bool reverse; } v[SORT_KEYS_MAX];
	size_t		 n;
};
/* "(REVERSE DATE SUBJECT)" (RFC 5256 3, RFC 5957). */
bool	 sort_scan(struct scan *s, struct sort_spec *out);
/* Order seqs.  0, or -1 with code and text. */
int	 sort_run(struct imap *im, const struct sort_spec *spec,
	    uint32_t *seqs, size_t n, const char **code, const char **text);
/* Append the threads, "(2)(3 6 (4 23))"; UIDs if uid. */
int	 thread_run(struct imap *im, enum thread_algorithm alg,
	    const uint32_t *seqs, size_t n, bool uid, struct buf *out,
	    const char **code, const char **text);

#endif
