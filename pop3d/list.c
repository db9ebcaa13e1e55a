/* SPDX-License-Identifier: ISC */
/*
 * list - LIST and UIDL of all messages (RFC 1939 5, 7).
 *
 * A list is made in pieces, or, where the drop has it ready (keep.c), sent as
 * it is.
 */
#include "base/num.h"
#include "pop3d/pop3.h"

char *
list_put(struct drop *d, uint32_t n, bool uidl, char *to)
{
	*to++ = ' ';
	to = uidl ? uidl_put(d, n, to) : num_put_decimal(to, drop_size(d, n));
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

void
list_begin(struct listing *l, bool uidl)
{
	*l = (struct listing){
		.at = 1, .number = "1", .len = 1, .uidl = uidl,
		.active = true,
	};
}

/* The next number, as text: counting is quicker than dividing. */
static void
count_on(struct listing *l)
{
	size_t i = l->len;

	l->at++;
	while (i > 0 && l->number[i - 1] == '9')
		l->number[--i] = '0';
	if (i > 0) {
		l->number[i - 1]++;
	} else {
		l->number[0] = '1';
		l->number[l->len++] = '0';
	}
}

void
list_some(struct listing *l, struct drop *d, struct buf *out, size_t room)
{
	char *begin = buf_reserve(out, room), *to = begin;
	char *full = begin + room - LIST_LINE_MAX;

	/* In place: a mailbox of 100,000 messages is listed at every poll. */
	while (l->at <= d->count && to <= full) {
		uint32_t n = l->at;
		char *rest = to + l->len;

		/* Counted on now: what was just changed digit by digit cannot
		 * be read as a whole without waiting. */
		memcpy(to, l->number, sizeof(l->number));
		count_on(l);
		if (!(d->marks[n] & DROP_DELETED))
			to = list_put(d, n, l->uidl, rest);
	}
	buf_commit(out, (size_t)(to - begin));
	if (l->at <= d->count)
		return;
	buf_add_str(out, ".\r\n");
	l->active = false;
}
