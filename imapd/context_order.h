/* SPDX-License-Identifier: ISC */
/*
 * context_order - the order of a SORT's result that is kept up to date, and
 * how changes of it are said: by position (RFC 5267 4.3.3, 4.3.4).
 *
 * The keys of a message never change, so nothing moves: messages go and come.
 * The client holds the same list, so whatever becomes of a message meanwhile,
 * here it stays at its place until that was said.
 */
#ifndef IMAPD_CONTEXT_ORDER_H
#define IMAPD_CONTEXT_ORDER_H

#include "imapd/search.h"

struct context_order {
	struct sort_spec	 spec;
	ARRAY(uint32_t)		 uids;		/* in order */
};

/* seqs: the result.  _fini() of a zeroed one is allowed. */
void	 context_order_init(struct context_order *o, struct imap *im,
	    const struct sort_spec *spec, const uint32_t *seqs, size_t n);
void	 context_order_fini(struct context_order *o);
/*
 * Take out uids, all of which are in it, and append " REMOVEFROM (...)", unless
 * there are none.  number: what to call a UID; NULL: as it is.
 */
void	 context_order_remove(struct context_order *o,
	    const struct ranges *uids, uint32_t (*number)(void *, uint32_t),
	    void *arg, struct buf *out);
/*
 * Take in uids, none of which is in it, and append " ADDTO (...)" to im->out,
 * with numbers if not by_uid.  -1: too many to sort; then it is of no use
 * any more.
 */
MUST_CHECK int	context_order_add(struct context_order *o, struct imap *im,
	    const struct ranges *uids, bool by_uid);

#endif
