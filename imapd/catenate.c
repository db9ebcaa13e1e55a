/* SPDX-License-Identifier: ISC */
/*
 * catenate - see catenate.h.
 *
 * A URL names a message of this account: "/box;UIDVALIDITY=1/;UID=2", or
 * ";UID=2" in the selected mailbox, with ";SECTION=1.2" and ";PARTIAL=0.100"
 * behind.  What is on another server is not fetched.
 */
#include "base/num.h"
#include "imapd/catenate.h"
#include "mail/message.h"

#define CHUNK	(64u << 10)	/* bytes copied at a time */

struct url {
	struct span	 box;		/* p NULL: the selected one */
	uint32_t	 uidvalidity;	/* 0: any */
	uint32_t	 uid;
	struct span	 section;
	uint64_t	 off, len;
};

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%20" and its like, into the arena. */
static bool
decode(struct arena *a, struct span in, struct span *out)
{
	char *p = arena_alloc(a, in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int hi, lo;

		if (in.p[i] != '%') {
			p[n++] = in.p[i];
			continue;
		}
		if (i + 2 >= in.len || (hi = hex_value(in.p[i + 1])) < 0 ||
		    (lo = hex_value(in.p[i + 2])) < 0 || (hi | lo) == 0)
			return false;
		p[n++] = (char)(hi << 4 | lo);
		i += 2;
	}
	*out = span_make(p, n);
	return true;
}

/* What stands between ";NAME=" and the next "/;" or the end, off *rest. */
static bool
take_part(struct span *rest, const char *name, struct span *out)
{
	struct span s = *rest;
	ptrdiff_t end;

	if (s.len > 0 && s.p[0] == '/')
		s = span_from(s, 1);
	if (!span_casestarts(s, span_of(name)))
		return false;
	s = span_from(s, strlen(name));
	end = span_search(s, SPAN("/;"));
	*out = end < 0 ? s : span_sub(s, 0, (size_t)end);
	*rest = span_from(s, out->len);
	return true;
}

static bool
parse_range(struct span in, struct url *u)
{
	ptrdiff_t dot = span_find(in, '.');
	struct span off = dot < 0 ? in : span_sub(in, 0, (size_t)dot);

	if (num_parse_u64(off, INT64_MAX, &u->off) != 0)
		return false;
	return dot < 0 || (num_parse_u64(span_from(in, (size_t)dot + 1),
	    INT64_MAX, &u->len) == 0 && u->len > 0);
}

static bool
parse_box(struct imap *im, struct span *rest, struct url *u)
{
	ptrdiff_t end = span_casesearch(*rest, SPAN("/;UID="));
	struct span box, validity;
	ptrdiff_t semi;

	if (end < 0 || rest->p[0] != '/' || span_starts(*rest, SPAN("//")))
		return false;
	box = span_sub(*rest, 1, (size_t)end - 1);
	semi = span_casesearch(box, SPAN(";UIDVALIDITY="));
	if (semi >= 0) {
		validity = span_from(box, (size_t)semi + 13);
		if (num_parse_u32(validity, UINT32_MAX, &u->uidvalidity) != 0 ||
		    u->uidvalidity == 0)
			return false;
		box.len = (size_t)semi;
	}
	*rest = span_from(*rest, (size_t)end);
	return decode(&im->arena, box, &u->box);
}

static bool
parse_url(struct imap *im, struct span in, struct url *u)
{
	struct span part;

	*u = (struct url){ .len = UINT64_MAX };
	if (!span_casestarts(in, SPAN(";UID=")) &&
	    !span_casestarts(in, SPAN("/;UID=")) && !parse_box(im, &in, u))
		return false;
	if (!take_part(&in, ";UID=", &part) ||
	    num_parse_u32(part, UINT32_MAX, &u->uid) != 0)
		return false;
	if (take_part(&in, ";SECTION=", &part) &&
	    (part.len == 0 || !decode(&im->arena, part, &u->section)))
		return false;
	if (take_part(&in, ";PARTIAL=", &part) && !parse_range(part, u))
		return false;
	return in.len == 0;
}

/* --- fetching it ------------------------------------------------------------------- */

/* 0; 1: there is no such part; -1 with why. */
static int
copy_section(struct imap *im, struct append *ap, const struct message *msg,
    const struct url *u, uint64_t *total, struct why *why)
{
	struct section sec;
	struct section_text text;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint64_t left;
	int rc = 0;

	if (section_parse(u->section, &im->arena, &sec) != 0 ||
	    section_find(msg, &sec, &im->arena, &text) != 0)
		return 1;
	section_seek(&text, u->off);
	left = u->off >= text.crlf_size ? 0 : text.crlf_size - u->off;
	left = MIN(left, u->len);
	*total += left;
	if (*total > append_limit())
		left = 0;		/* it is refused by whoever counts */
	while (left > 0 && rc == 0) {
		size_t n = section_read(&text, (size_t)MIN(left, CHUNK), &b);

		if (n == 0)
			break;
		rc = append_data(ap, buf_span(&b), why);
		buf_reset(&b);
		left -= n;
	}
	buf_fini(&b);
	return rc;
}

static int
copy_message(struct imap *im, struct append *ap, struct mailbox *m,
    const struct url *u, uint64_t *total, struct why *why)
{
	struct mailbox_content c;
	struct message msg;
	int rc;

	if ((u->uidvalidity != 0 && u->uidvalidity != mailbox_uidvalidity(m)) ||
	    mailbox_seq(m, u->uid) == 0)
		return 1;
	if (mailbox_content(m, u->uid, &c, why) != 0)
		return -1;
	message_parse(&msg, c.bytes);
	rc = copy_section(im, ap, &msg, u, total, why);
	message_fini(&msg);
	mailbox_content_done(&c);
	return rc;
}

static int
copy_url(struct imap *im, struct append *ap, const struct url *u,
    uint64_t *total, struct why *why)
{
	const struct account_box *b;
	struct mailbox *m;
	int rc;

	if (u->box.p == NULL)
		return im->box == NULL ? 1 :
		    copy_message(im, ap, im->box, u, total, why);
	b = account_find(im->account, u->box);
	if (b == NULL || b->box == 0 || (b->flags & BOX_NOSELECT))
		return 1;
	m = mailbox_open(im->account, b->box, MAILBOX_READONLY, why);
	if (m == NULL)		/* that it may not be read is the URL's fault */
		return account_error(im->account) == ACCOUNT_NOPERM ? 1 : -1;
	rc = copy_message(im, ap, m, u, total, why);
	mailbox_close(&m);
	return rc;
}

/* RFC 4469 4.1: which URL it was, in quotes; without what would end it. */
static void
bad_url(struct imap *im, struct span url)
{
	struct buf code = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&code, "BADURL \"");
	for (size_t i = 0; i < MIN(url.len, 500); i++)
		buf_add_char(&code, url.p[i] <= ' ' || url.p[i] >= 0x7f ||
		    strchr("\"\\]", url.p[i]) ? '?' : url.p[i]);
	buf_add_str(&code, "\"");
	imap_no(im, code.data, "CATENATE failed: there is no such part.");
	buf_fini(&code);
}

static bool
add_url(struct imap *im, struct append *ap, struct span text, uint64_t *total)
{
	struct why why = WHY_INIT;
	struct url u;
	int rc = parse_url(im, text, &u) ? copy_url(im, ap, &u, total, &why) : 1;

	if (rc == 1)
		bad_url(im, text);
	else if (rc < 0)
		imap_fail(im, &why);
	else if (*total > append_limit())
		imap_no(im, "TOOBIG", "Message is larger than %ju bytes.",
		    (uintmax_t)append_limit());
	else
		return true;
	return false;
}

enum catenate_next
catenate_parts(struct imap *im, struct scan *s, struct append *ap, bool first,
    bool *utf8, uint64_t *total)
{
	struct span url;
	bool text;

	if (*utf8 && !scan_char(s, ')')) {
		imap_refuse(im, s);
		return CATENATE_FAILED;
	}
	*utf8 = false;
	for (;; first = false) {
		if (!first && scan_take(s, ')'))
			return CATENATE_DONE;
		if (!first && !scan_sp(s))
			break;
		text = scan_take_word(s, "TEXT");
		/* RFC 6855 4; it is TEXT for RFC 9755. */
		*utf8 = !text && IMAP_HAS(im, UTF8) &&
		    scan_take_word(s, "UTF8");
		if (text || *utf8) {
			if (!scan_sp(s) || (*utf8 && !scan_char(s, '(')))
				break;
			scan_take(s, '~');
			if (scan_is(s, '{'))
				return CATENATE_TEXT;
			scan_bad(s, "Literal expected.");
			break;
		}
		if (!scan_take_word(s, "URL")) {
			scan_bad(s, "TEXT or URL expected.");
			break;
		}
		if (!scan_sp(s) || !scan_astring(s, &url))
			break;
		if (!add_url(im, ap, url, total))
			return CATENATE_FAILED;
	}
	imap_refuse(im, s);
	return CATENATE_FAILED;
}
