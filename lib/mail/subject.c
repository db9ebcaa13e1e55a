/* SPDX-License-Identifier: ISC */
/*
 * subject - see subject.h.  The numbers are the steps of RFC 5256 2.1, the
 * names those of its grammar in section 5.  Works on the casemapped text:
 * "Re" and "FWD" are ASCII, so that folding first changes nothing but the
 * result's case, which comparing ignores.
 */
#include "mail/casemap.h"
#include "mail/encoded.h"
#include "mail/subject.h"

#define SUBJECT_MAX	(64u << 10)	/* bytes of the field looked at */

/* (1) Tabs and line ends become spaces, runs of them one. */
static void
squeeze(struct buf *b, size_t start)
{
	size_t to = start;

	for (size_t i = start; i < b->len; i++) {
		char c = b->data[i];

		if (c == '\t' || c == '\r' || c == '\n')
			c = ' ';
		if (c == ' ' && to > start && b->data[to - 1] == ' ')
			continue;
		b->data[to++] = c;
	}
	buf_trunc(b, to);
}

static struct span
trim_end(struct span s)
{
	while (s.len > 0 && s.p[s.len - 1] == ' ')
		s.len--;
	return s;
}

static struct span
trim_start(struct span s)
{
	while (s.len > 0 && s.p[0] == ' ')
		s = span_from(s, 1);
	return s;
}

/* (2) subj-trailer: "(FWD)" / WSP */
static struct span
drop_trailers(struct span s, bool *reply)
{
	for (;;) {
		s = trim_end(s);
		if (!span_ends(s, SPAN("(FWD)")))
			return s;
		s.len -= 5;
		*reply = true;
	}
}

/* subj-blob: "[" *BLOBCHAR "]" *WSP; the bytes it has, 0: there is none. */
static size_t
blob_len(struct span s)
{
	size_t i = 1;

	if (s.len == 0 || s.p[0] != '[')
		return 0;
	while (i < s.len && s.p[i] != '[' && s.p[i] != ']')
		i++;
	if (i == s.len || s.p[i] != ']')
		return 0;
	for (i++; i < s.len && s.p[i] == ' ';)
		i++;
	return i;
}

/* subj-refwd: ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t
refwd_len(struct span s)
{
	size_t i;

	if (span_starts(s, SPAN("RE")))
		i = 2;
	else if (span_starts(s, SPAN("FWD")))
		i = 3;
	else if (span_starts(s, SPAN("FW")))
		i = 2;
	else
		return 0;
	while (i < s.len && s.p[i] == ' ')
		i++;
	i += blob_len(span_from(s, i));
	return i < s.len && s.p[i] == ':' ? i + 1 : 0;
}

/*
 * (3) subj-leader: (*subj-blob subj-refwd) / WSP, (4) subj-blob as long as
 * something is left behind it, (5) both until there is none.
 */
static struct span
drop_leaders(struct span s, bool *reply)
{
	for (;;) {
		size_t blobs = 0, last = 0, n;

		s = trim_start(s);
		while ((n = blob_len(span_from(s, blobs))) > 0) {
			last = blobs;
			blobs += n;
		}
		n = refwd_len(span_from(s, blobs));
		if (n > 0) {
			s = span_from(s, blobs + n);
			*reply = true;
			continue;
		}
		/* Nothing but blobs: the last one is the subject. */
		return span_from(s, blobs < s.len ? blobs : last);
	}
}

bool
subject_base(struct span value, struct buf *out)
{
	struct buf utf8 = BUF_INIT(BUF_UNLIMITED), text = utf8;
	bool reply = false;
	struct span s;

	encoded_decode(span_sub(value, 0, SUBJECT_MAX), &utf8);
	casemap(buf_span(&utf8), &text);
	squeeze(&text, 0);
	s = buf_span(&text);
	for (;;) {
		s = drop_trailers(s, &reply);
		s = drop_leaders(s, &reply);
		/* (6) subj-fwd-hdr "[fwd:" … subj-fwd-trl "]" */
		if (!span_starts(s, SPAN("[FWD:")) || !span_ends(s, SPAN("]")))
			break;
		s = span_sub(s, 5, s.len - 6);
		reply = true;
	}
	buf_add_span(out, s);
	buf_fini(&utf8);
	buf_fini(&text);
	return reply;
}
