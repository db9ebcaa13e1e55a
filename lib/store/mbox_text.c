/* SPDX-License-Identifier: ISC */
/*
 * mbox_text - what an mbox is made of: the From_ line, the quoting of lines
 * that look like one, and the mark of a message that is not finished.
 */
#include <stdio.h>
#include <time.h>

#include "store/store_internal.h"

void
mbox_from_line(struct buf *out, struct span sender, int64_t wall_us)
{
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;
	char date[64];

	buf_add_str(out, "From ");
	if (sender.len == 0)
		buf_add_str(out, "MAILER-DAEMON");
	/* A blank would end the address, a line end the line. */
	for (size_t i = 0; i < sender.len; i++) {
		unsigned char c = (unsigned char)sender.p[i];

		buf_add_char(out, c <= ' ' || c == 127 ? '_' : (char)c);
	}
	if (localtime_r(&t, &tm) == NULL ||
	    strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm) == 0)
		date[0] = '\0';
	buf_addf(out, "  %s\n", date);
}

void
mbox_quote(struct mbox_quoter *q, struct span in, struct buf *out)
{
	static const char from[] = "From ";
	size_t i = 0;

	while (i < in.len) {
		if (q->in_line) {
			const char *nl = memchr(in.p + i, '\n', in.len - i);
			size_t n = nl ? (size_t)(nl - in.p) - i + 1 :
			    in.len - i;

			buf_add(out, in.p + i, n);
			i += n;
			q->last_nl = nl != NULL;
			q->in_line = nl == NULL;
			q->any = true;
			continue;
		}
		char c = in.p[i];

		/* A NUL in the place of the 'F' is our mark of a half. */
		if (q->matched == 0 && (c == 'F' || c == '\0')) {
			q->matched = c == 'F' ? 1 : 101;
			i++;
			continue;
		}
		if (q->matched > 0 && c == from[q->matched % 100]) {
			i++;
			if (++q->matched % 100 == sizeof(from) - 1) {
				buf_add_char(out, '>');
				buf_add(out, q->matched > 100 ? "" : "F", 1);
				buf_add_str(out, "rom ");
				q->matched = 0;
				q->in_line = true;
				q->any = true;
				q->last_nl = false;
			}
			continue;
		}
		if (q->matched > 0) {
			buf_add(out, q->matched > 100 ? "" : "F", 1);
			buf_add(out, from + 1, q->matched % 100 - 1);
			q->matched = 0;
		}
		q->in_line = true;	/* takes c and what follows */
	}
}

void
mbox_quote_end(struct mbox_quoter *q, struct buf *out)
{
	if (q->matched > 0) {
		buf_add(out, q->matched > 100 ? "" : "F", 1);
		buf_add(out, "rom " , q->matched % 100 - 1);
		q->matched = 0;
		q->any = true;
		q->last_nl = false;
	}
	if (q->any && !q->last_nl)
		buf_add_char(out, '\n');
	buf_add_char(out, '\n');
}

int
mbox_start_at(const char *p, size_t left)
{
	if (left < 5 || memcmp(p + 1, "rom ", 4) != 0)
		return 0;
	return p[0] == 'F' ? 2 : p[0] == '\0' ? 1 : 0;
}

int64_t
mbox_find_half(struct span in, int64_t at)
{
	/* A half shorter than its mark: the file ends in "\0", "\0r", ... */
	for (size_t n = 1; n < 5 && n <= in.len; n++) {
		size_t i = in.len - n;

		if (in.p[i] == '\0' && memcmp(in.p + i + 1, "rom ", n - 1) == 0
		    && ((i > 0 && in.p[i - 1] == '\n') || at + (int64_t)i == 0))
			return at + (int64_t)i;
	}
	for (size_t i = in.len; i-- > 0; ) {
		bool line = i > 0 ? in.p[i - 1] == '\n' : at == 0;
		int k = line ? mbox_start_at(in.p + i, in.len - i) : 0;

		if (k == 2)
			return -1;
		if (k == 1)
			return at + (int64_t)i;
	}
	return -1;
}
