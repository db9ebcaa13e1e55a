/* SPDX-License-Identifier: ISC */
/*
 * cmd_uidbatches - UIDBATCHES (RFC 10022): UIDs that part a mailbox into
 * batches of one size, the newest first.
 */
#include "imapd/imap.h"

#define BATCH_MIN	500		/* messages (RFC 10022 3.1.3.2) */

/* "2000 10:20"; without a range all batches. */
static bool
scan_batches(struct scan *s, uint32_t *size, uint32_t *from, uint32_t *to)
{
	*from = 1;
	*to = UINT32_MAX;
	if (!scan_sp(s) || !scan_nz_number(s, size))
		return false;
	if (scan_is(s, ' ') && (!scan_sp(s) || !scan_nz_number(s, from) ||
	    !scan_char(s, ':') || !scan_nz_number(s, to)))
		return false;
	if (!scan_end(s))
		return false;
	if (*from > *to) {
		s->code = "CLIENTBUG";		/* 3.1.5 */
		return scan_bad(s, "Invalid batch range.");
	}
	if (*size < BATCH_MIN)
		return scan_no(s, "TOOFEW", "Minimum batch size is 500.");
	return true;
}

void
cmd_uidbatches(struct imap *im, struct scan *s)
{
	uint32_t size, from, to, count = mailbox_count(im->box);
	uint64_t batch;
	const char *sep = " ";

	if (!scan_batches(s, &size, &from, &to)) {
		imap_refuse(im, s);
		return;
	}
	buf_add_str(&im->out, "* UIDBATCHES (TAG ");
	put_string(&im->out, span_of(im->tag));
	buf_add_char(&im->out, ')');
	for (batch = from; batch <= to && (batch - 1) * size < count; batch++) {
		uint32_t last = count - (uint32_t)((batch - 1) * size);
		uint32_t first = last > size ? last - size + 1 : 1;

		/* Batch 1 ends with what is newest, the last one with UID 1:
		 * that tells that it is the last (3.1.4). */
		buf_addf(&im->out, "%s%u:%u", sep, mailbox_uid(im->box, last),
		    first == 1 ? 1 : mailbox_uid(im->box, first));
		sep = ",";
	}
	buf_add_str(&im->out, "\r\n");
	imap_done(im);
}
