/* SPDX-License-Identifier: ISC */
/*
 * context_order - see context_order.h.
 */
#include "imapd/context_order.h"

void
context_order_init(struct context_order *o, struct imap *im,
    const struct sort_spec *spec, const uint32_t *seqs, size_t n)
{
	o->spec = *spec;
	for (size_t i = 0; i < n; i++)
		*ARRAY_PUSH(&o->uids) = mailbox_uid(im->box, seqs[i]);
}

void
context_order_fini(struct context_order *o)
{
	ARRAY_FINI(&o->uids);
}

/* Messages that stand side by side at a position, counted from 1. */
static void
put_pair(struct buf *out, size_t position, const uint32_t *numbers, size_t n,
    bool first)
{
	buf_addf(out, first ? "%zu " : " %zu ", position);
	search_put_numbers(out, numbers, n);
}

/* From the last to the first: so no position changes before it was said. */
void
context_order_remove(struct context_order *o, const struct ranges *uids,
    uint32_t (*number)(void *, uint32_t), void *arg, struct buf *out)
{
	uint32_t *v = o->uids.v, *said;
	size_t end = o->uids.len, begin, kept = 0;
	bool first = true;

	if (uids->len == 0)
		return;
	said = mem_alloc_array(MAX(end, 1), sizeof(*said));
	buf_add_str(out, " REMOVEFROM (");
	for (; end > 0; end = begin) {
		for (begin = end; begin > 0 &&
		    ranges_has(uids, v[begin - 1]); begin--)
			said[begin - 1] = number == NULL ? v[begin - 1] :
			    number(arg, v[begin - 1]);
		if (begin == end) {
			begin--;
			continue;
		}
		put_pair(out, begin + 1, said + begin, end - begin, first);
		first = false;
	}
	buf_add_char(out, ')');
	mem_free(said);
	for (size_t i = 0; i < o->uids.len; i++)
		if (!ranges_has(uids, v[i]))
			v[kept++] = v[i];
	o->uids.len = kept;
}

/* Those of uids in order, and where they go.  -1: too many. */
static int
find_places(const struct context_order *o, struct imap *im,
    const struct ranges *uids, uint32_t *more, size_t k, size_t *places)
{
	size_t n = o->uids.len, at = 0;
	uint32_t *seqs = mem_alloc_array(MAX(n, 1), sizeof(*seqs));
	const char *code, *text;
	int rc;

	for (size_t i = 0; i < n; i++)
		seqs[i] = mailbox_seq(im->box, o->uids.v[i]);
	for (size_t i = 0; i < uids->len; i++)
		for (uint64_t u = uids->v[i].lo; u <= uids->v[i].hi; u++)
			more[at++] = mailbox_seq(im->box, (uint32_t)u);
	rc = sort_run(im, &o->spec, more, k, &code, &text);
	if (rc == 0)
		rc = sort_places(im, &o->spec, seqs, n, more, k, places);
	mem_free(seqs);
	return rc;
}

/* Make room for all, from the end. */
static void
insert(struct context_order *o, const uint32_t *uids, const size_t *places,
    size_t k)
{
	size_t from = o->uids.len;

	for (size_t i = 0; i < k; i++)
		*ARRAY_PUSH(&o->uids) = 0;
	for (size_t i = k; i-- > 0;) {
		while (from > places[i]) {
			from--;
			o->uids.v[from + i + 1] = o->uids.v[from];
		}
		o->uids.v[from + i] = uids[i];
	}
}

/* From the first to the last: a position is what it is in the end. */
int
context_order_add(struct context_order *o, struct imap *im,
    const struct ranges *uids, bool by_uid)
{
	size_t k = (size_t)ranges_count(uids), end;
	uint32_t *more = mem_alloc_array(MAX(k, 1), sizeof(*more));
	uint32_t *said = mem_alloc_array(MAX(k, 1), sizeof(*said));
	size_t *places = mem_alloc_array(MAX(k, 1), sizeof(*places));
	int rc = 0;

	if (k > 0)
		rc = find_places(o, im, uids, more, k, places);
	if (k > 0 && rc == 0) {
		buf_add_str(&im->out, " ADDTO (");
		for (size_t i = 0; i < k; i++) {
			uint32_t uid = mailbox_uid(im->box, more[i]);

			said[i] = by_uid ? uid : more[i];
			more[i] = uid;
		}
		for (size_t i = 0; i < k; i = end) {
			for (end = i; end < k && places[end] == places[i];)
				end++;
			put_pair(&im->out, places[i] + i + 1, said + i, end - i,
			    i == 0);
		}
		buf_add_char(&im->out, ')');
		insert(o, more, places, k);
	}
	mem_free(more);
	mem_free(said);
	mem_free(places);
	return rc;
}
