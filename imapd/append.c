/* SPDX-License-Identifier: ISC */
/*
 * append - APPEND and its kin: MULTIAPPEND (RFC 3502), UIDPLUS (RFC 4315),
 * REPLACE (RFC 8508), BINARY (RFC 3516), UTF8 (RFC 6855), CATENATE (RFC 4469).
 * RFC 9755 4 would have 8-bit headers refused from who has not enabled
 * UTF8=ACCEPT: imapd(8) says why they are not.
 *
 * A message does not wait in memory until it is complete: when the frame sees
 * the literal of an APPEND announced, append_takes() opens the destination,
 * and from then on input is ours (MODE_APPEND): the literal's bytes, then a
 * line that is empty or announces the next message.
 *
 * An error is answered as soon as it is known.  A client that waits for "+"
 * then sends nothing more; what another one has sent is passed over.
 */
#include "base/mem.h"
#include "conf/params.h"
#include "imapd/catenate.h"
#include "mail/message.h"

struct append_cmd {
	struct append	*ap;
	uint32_t	 box;		/* into it */
	uint64_t	 left;		/* of the literal */
	bool		 eight;		/* a literal8 is, or was, part of it */
	bool		 nul;		/* and had a NUL in it */
	bool		 utf8;		/* a ")" closes it */
	bool		 part_utf8;	/* the same, of a part */
	bool		 catenate;	/* it has parts, and this many bytes */
	uint64_t	 total;
	uint32_t	 n;		/* messages */
	uint32_t	 replaces;	/* UID; 0: none */
};

uint64_t
append_limit(void)
{
	if (conf.imapd_append_limit == 0 ||
	    conf.imapd_append_limit == PARAM_UNLIMITED)
		return UINT64_MAX;
	return (uint64_t)conf.imapd_append_limit;
}

void
append_abort(struct imap *im)
{
	if (im->append == NULL)
		return;
	append_free(&im->append->ap);
	mem_free(im->append);
	im->append = NULL;
}

/* The command was answered; literal bytes of it may still come. */
static void
give_up(struct imap *im, size_t consume, uint64_t literal, bool more)
{
	append_abort(im);
	if (im->mode == MODE_END)
		return;
	imap_consume(im, consume);
	im->mode = MODE_COMMAND;
	if (more)
		imap_skip(im, literal, "");
}

/* --- one message's arguments --------------------------------------------------------- */

struct message_args {
	struct flag_list flags;
	int64_t		 wall_s;	/* INTERNALDATE; 0: now */
	int		 zone_min;
	bool		 utf8, catenate, eight;
};

/* SP [flags SP] [date SP] literal; the literal ends the line. */
static bool
scan_message(struct imap *im, struct scan *s, struct message_args *a)
{
	*a = (struct message_args){ 0 };
	if (!scan_sp(s))
		return false;
	if (scan_is(s, '(') &&
	    (!imap_scan_flags(im, s, &a->flags) || !scan_sp(s)))
		return false;
	if (scan_is(s, '"') &&
	    (!scan_date_time(s, &a->wall_s, &a->zone_min) || !scan_sp(s)))
		return false;
	if (scan_take_word(s, "UTF8")) {
		a->utf8 = true;
		if (!scan_sp(s) || !scan_open(s))
			return false;
		if (!IMAP_HAS(im, UTF8))
			return scan_bad(s, "UTF8=ACCEPT is not enabled.");
	}
	if (!a->utf8 && scan_take_word(s, "CATENATE")) {
		a->catenate = true;
		return scan_sp(s) && scan_open(s);
	}
	a->eight = scan_take(s, '~');
	return scan_is(s, '{') || scan_bad(s, "Literal expected.");
}

static bool
check_size(struct imap *im, uint64_t size)
{
	if (size == 0)
		imap_no(im, NULL, "Can't save a zero byte message.");
	else if (size > append_limit() || size == UINT64_MAX)
		imap_no(im, "TOOBIG", "Message is larger than %ju bytes.",
		    (uintmax_t)append_limit());
	else
		return true;
	return false;
}

/* The next message begins.  False: answered. */
static bool
begin_message(struct imap *im, const struct message_args *a, uint64_t size)
{
	struct append_info info = {
		.flags = a->flags.flags, .keywords = a->flags.keywords,
		.nkeywords = a->flags.nkeywords,
		.date_us = a->wall_s * 1000000, .zone_min = a->zone_min,
		.size = size,
	};
	struct why why = WHY_INIT;

	if (a->catenate)
		info.size = 0;		/* that will be seen */
	else if (!check_size(im, size))
		return false;
	if (im->append->n >= (uint64_t)conf.imapd_multiappend_limit) {
		char code[48];

		snprintf(code, sizeof(code), "MESSAGELIMIT %ju",
		    (uintmax_t)conf.imapd_multiappend_limit);
		imap_no(im, code, "Too many messages in one command.");
		return false;
	}
	if (append_next(im->append->ap, &info, &why) != 0) {
		imap_fail(im, &why);
		return false;
	}
	im->append->left = a->catenate ? 0 : size;
	im->append->utf8 = a->utf8;
	im->append->eight = a->eight;
	im->append->nul = false;
	im->append->catenate = a->catenate;
	im->append->part_utf8 = false;
	im->append->total = 0;
	im->append->n++;
	return true;
}

/* --- the beginning --------------------------------------------------------------------- */

/* "REPLACE 4 mailbox": which message.  False with s->err. */
static bool
scan_replaced(struct imap *im, struct scan *s, uint32_t *uid)
{
	bool uids = (im->cmd->flags & CMD_UID) != 0;
	uint32_t n;

	if (im->state != STATE_SELECTED)
		return scan_bad(s, "No mailbox selected.");
	if (!uids && !imap_may_number(im, s))
		return false;
	if (scan_take(s, '*'))		/* RFC 9051 9 seq-number */
		n = uids ? mailbox_uid(im->box, mailbox_count(im->box)) :
		    mailbox_count(im->box);
	else if (!scan_nz_number(s, &n))
		return false;
	if (!scan_sp(s))
		return false;
	if (uids)
		*uid = mailbox_seq(im->box, n) > 0 ? n : 0;
	else
		*uid = mailbox_uid(im->box, n);
	if (*uid == 0)
		return uids ? scan_no(s, "NONEXISTENT",
		    "There is no such message") :
		    scan_bad(s, "Invalid messageset");
	return true;
}

/* The destination, open for it.  False: answered. */
static bool
begin_append(struct imap *im, struct span name, uint32_t replaces)
{
	const struct account_box *b = imap_find_box(im, name, "TRYCREATE");
	struct why why = WHY_INIT;

	if (b == NULL)
		return false;
	im->append = mem_zalloc(sizeof(*im->append));
	im->append->box = b->box;
	im->append->replaces = replaces;
	im->append->ap = append_begin(im->account, b->box, replaces != 0 ?
	    im->box : NULL, replaces, &why);
	if (im->append->ap)
		return true;
	imap_fail(im, &why);
	return false;
}

enum go_on { GO_LITERAL, GO_COMMITTED, GO_FAILED };	/* both: answered */

/* The parts of a CATENATE from here to the next literal or its end. */
static bool
parts(struct imap *im, struct scan *s, bool first, bool literal, uint64_t size)
{
	struct append_cmd *a = im->append;

	switch (catenate_parts(im, s, a->ap, first, &a->part_utf8,
	    &a->total)) {
	case CATENATE_TEXT:
		if (!literal)
			break;
		a->eight |= s->at > 0 && s->in.p[s->at - 1] == '~';
		a->total = size > append_limit() ? UINT64_MAX :
		    a->total + size;
		if (!check_size(im, a->total))
			return false;
		a->left = size;
		return true;
	case CATENATE_DONE:
		a->catenate = false;
		return check_size(im, a->total);
	case CATENATE_FAILED:
		return false;
	}
	scan_bad(s, "Invalid arguments.");
	imap_refuse(im, s);
	return false;
}

struct again {
	struct append	*ap;
	struct why	*why;
};

static int
put_again(void *arg, struct span s)
{
	struct again *g = arg;

	return append_data(g->ap, s, g->why);
}

static int
without_nuls(void *arg, struct span bytes, struct why *why)
{
	struct again g = { .ap = arg, .why = why };
	struct message m;
	int rc;

	message_parse(&m, bytes);
	rc = message_is_binary(&m) ? message_put_base64(&m, put_again, &g) :
	    put_again(&g, bytes);
	message_fini(&m);
	return rc;
}

/* The message is complete.  RFC 3516 6: what is binary in it is shown in an
 * encoding that everybody can be shown, and so is kept in one. */
static bool
end_message(struct imap *im)
{
	struct append_cmd *a = im->append;
	struct why why = WHY_INIT;

	if (!a->nul || append_again(a->ap, without_nuls, a->ap, &why) == 0)
		return true;
	imap_fail(im, &why);
	return false;
}

static void commit(struct imap *im);

/*
 * Go on behind a literal, or in a CATENATE whose list was just opened (first),
 * to the literal that the line announces, or to the end of the command.
 */
static enum go_on
go_on(struct imap *im, struct scan *s, bool first, bool literal, uint64_t size)
{
	struct append_cmd *a = im->append;
	struct message_args args;

	for (;;) {
		if (a->catenate) {
			if (!parts(im, s, first, literal, size))
				return GO_FAILED;
			if (a->catenate)
				return GO_LITERAL;
		} else if (a->utf8 && !scan_close(s)) {
			break;
		}
		a->utf8 = false;
		if (!end_message(im))
			return GO_FAILED;
		if (!literal && s->at == s->in.len) {
			commit(im);
			return GO_COMMITTED;
		}
		if ((a->replaces != 0 && !scan_end(s)) ||
		    !scan_message(im, s, &args))
			break;
		if (!args.catenate && !literal) {
			scan_bad(s, "Literal expected.");
			break;
		}
		if (!begin_message(im, &args, size))
			return GO_FAILED;
		if (!args.catenate)
			return GO_LITERAL;
		first = true;
	}
	imap_refuse(im, s);
	return GO_FAILED;
}

/* From the name of the mailbox on; literal: one is announced at the end. */
static enum go_on
begin(struct imap *im, struct scan *s, bool literal, uint64_t size)
{
	struct message_args a;
	struct span name;
	uint32_t uid = 0;

	if (!command_wake(im))
		return GO_FAILED;
	if ((im->cmd->handler == cmd_replace &&
	    !scan_replaced(im, s, &uid)) || !scan_mailbox(s, &name) ||
	    !scan_message(im, s, &a) ||
	    (!literal && !a.catenate && !scan_bad(s, "Literal expected."))) {
		imap_refuse(im, s);
		return GO_FAILED;
	}
	if (uid != 0 && im->readonly) {
		imap_no(im, "READ-ONLY", "Mailbox is read-only.");
		return GO_FAILED;
	}
	if (!begin_append(im, name, uid))
		return GO_FAILED;
	if (!begin_message(im, &a, size))
		return GO_FAILED;
	return a.catenate ? go_on(im, s, true, literal, size) : GO_LITERAL;
}

/* Is the literal at the end of sofar the name of the mailbox? */
static bool
is_name(const struct imap *im, const struct scan *s)
{
	struct scan peek = *s;
	struct span drop;
	uint32_t n;

	if (im->cmd->handler == cmd_replace && (scan_take(&peek, '*') ||
	    scan_number(&peek, &n)))
		scan_take(&peek, ' ');
	return !scan_astring(&peek, &drop);
}

bool
append_takes(struct imap *im, struct span sofar)
{
	uint64_t size = im->frame.literal;
	bool sync = im->frame.sync;
	size_t have = sofar.len;
	struct scan s;
	struct span tag, name;

	while (sofar.len > 0 && (sofar.p[sofar.len - 1] == '\n' ||
	    sofar.p[sofar.len - 1] == '\r'))
		sofar.len--;
	scan_init(&s, sofar, &im->arena);
	s.utf8 = IMAP_HAS(im, UTF8) || IMAP_HAS(im, REV2);
	if (!scan_tag(&s, &tag) || !scan_sp(&s) || tag.len > IMAP_TAG_MAX ||
	    !scan_command_name(&s, &name))
		return false;
	im->cmd = command_find(name);
	if (im->cmd == NULL || (im->cmd->handler != cmd_append &&
	    im->cmd->handler != cmd_replace) || !scan_sp(&s) || is_name(im, &s)) {
		im->cmd = NULL;
		return false;
	}
	imap_take_tag(im, sofar);
	if (begin(im, &s, true, size) != GO_LITERAL) {
		if (!sync && size == UINT64_MAX)
			imap_bye(im, "Literal too large",
			    "[TOOBIG] Literal too large.");
		give_up(im, have, size, !sync);
		return true;
	}
	if (sync)
		buf_add_str(&im->out, "+ OK\r\n");
	imap_consume(im, have);
	im->mode = MODE_APPEND;
	return true;
}

/* --- what comes then ---------------------------------------------------------------------- */

static void
put_code(struct buf *b, const struct uid_result *r)
{
	buf_addf(b, "APPENDUID %u ", r->uidvalidity);
	ranges_print(r->to, b);
}

static void
commit(struct imap *im)
{
	struct buf code = BUF_INIT(BUF_UNLIMITED);
	bool alone = im->out.len == im->held, tell;
	struct uid_result r;
	struct why why = WHY_INIT;

	if (append_commit(im->append->ap, &r, &why) != 0) {
		imap_fail(im, &why);
		return;
	}
	im->appended += im->append->n;
	tell = imap_may_tell_uids(im, im->append->box);
	put_code(&code, &r);
	notify_own_messages(im, im->append->box, r.to);
	if (im->append->replaces == 0) {
		imap_ok(im, tell ? code.data : NULL, "Append completed.");
		if (alone)
			im->held = im->out.len;
	} else {			/* RFC 8508 4.3 */
		char modseq[64];

		if (tell)
			buf_addf(&im->out, "* OK [%s] Replacement message is "
			    "there.\r\n", code.data);
		sync_expunged(im, r.expunged.v, r.expunged.n);
		snprintf(modseq, sizeof(modseq), "HIGHESTMODSEQ %ju",
		    (uintmax_t)mailbox_modseq(im->box));
		/* RFC 8508 4.5: as UID EXPUNGE (RFC 7162 3.2.9). */
		imap_ok(im, r.expunged.n > 0 && IMAP_HAS(im, CONDSTORE) ?
		    modseq : NULL, "Replace completed.");
	}
	buf_fini(&code);
}

static bool
data_input(struct imap *im, struct span in)
{
	struct append_cmd *a = im->append;
	size_t n = (size_t)MIN(a->left, in.len);
	struct why why = WHY_INIT;

	if (append_data(a->ap, span_sub(in, 0, n), &why) != 0) {
		imap_fail(im, &why);
		give_up(im, n, a->left - n, true);
		return true;
	}
	a->nul |= a->eight && span_has_nul(span_sub(in, 0, n));
	a->left -= n;
	imap_consume(im, n);
	return true;
}

/* The line behind a message: empty, or the next one's arguments. */
static bool
line_input(struct imap *im, struct span in)
{
	struct append_cmd *a = im->append;
	struct scan s;
	size_t len, text;
	enum frame_result r = frame_next(&im->frame, in,
	    (size_t)conf.imapd_line_limit, &len, &text);
	uint64_t size = im->frame.literal;
	bool sync = im->frame.sync;

	if (r == FRAME_MORE) {
		stream_want(im->conn->stream, im->frame.at + 1);
		return false;
	}
	if (r == FRAME_TOO_LONG) {
		imap_bad(im, "TOOBIG", "Too long line.");
		give_up(im, 0, 0, true);
		return true;
	}
	scan_init(&s, span_sub(in, 0, text), &im->arena);
	s.depth = a->utf8 || a->catenate;
	s.utf8 = IMAP_HAS(im, UTF8) || IMAP_HAS(im, REV2);
	switch (go_on(im, &s, false, r == FRAME_LITERAL, size)) {
	case GO_LITERAL:
		break;
	case GO_COMMITTED:
		give_up(im, len, 0, false);
		return true;
	case GO_FAILED:
		give_up(im, len, size, r == FRAME_LITERAL && !sync);
		return true;
	}
	if (sync)
		buf_add_str(&im->out, "+ OK\r\n");
	imap_consume(im, len);
	return true;
}

bool
append_input(struct imap *im)
{
	struct span in = imap_input(im);

	if (in.len == 0)
		return false;
	return im->append->left > 0 ? data_input(im, in) : line_input(im, in);
}

/* An APPEND comes here when no literal ends one of its lines: it has nothing
 * but URLs, or is wrong. */
void
cmd_append(struct imap *im, struct scan *s)
{
	if (!scan_sp(s))
		imap_refuse(im, s);
	else
		(void)begin(im, s, false, 0);
	append_abort(im);
}

void
cmd_replace(struct imap *im, struct scan *s)
{
	cmd_append(im, s);
}
