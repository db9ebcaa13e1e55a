/* SPDX-License-Identifier: ISC */
/*
 * cmd_unauthenticate - back to the front (RFC 8437): the client is nobody's
 * again, and may log in as somebody else.
 *
 * The answer leaves as any other does, after all it promises is durable; when
 * the kernel has it the client goes, and with it all that we know of it.
 */
#include "conf/params.h"
#include "imapd/compress.h"
#include "imapd/imap.h"

#define COMPRESS_END_MS	10		/* looking for the end of the input */

/*
 * The answer is out: the client goes, with what it has sent already.  Where
 * its compressed data has not come to its end yet, that is waited for.
 */
void
unauthenticate_return(struct imap *im)
{
	struct session_conn *c = im->conn;
	struct buf rest = im->rest;
	char counts[IMAP_COUNTS_LEN];

	stream_take_input(c->stream, &rest);
	im->rest = BUF_SECRET(BUF_UNLIMITED);
	if (compress_active(c->stream) &&
	    !compress_stopped(c->stream, &rest)) {
		im->rest = rest;
		stream_resume(c->stream);
		loop_timer_set(im->again, COMPRESS_END_MS);
		return;
	}
	imap_counts(im, counts);
	imap_free(im);
	c->data = NULL;
	session_return(c, buf_span(&rest), "Unauthenticated", counts);
	buf_wipe(&rest);
}

void
cmd_unauthenticate(struct imap *im, struct scan *s)
{
	struct stream *stream = im->conn->stream;

	if (!conf.imapd_unauthenticate) {
		imap_bad(im, NULL, "UNAUTHENTICATE is switched off.");
		return;
	}
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	/* All state goes with the struct, after the answer. */
	notify_forget(im);
	select_close(im, false);
	imap_watch_stop(im);
	imap_done(im);
	im->state = STATE_LOGOUT;
	im->mode = MODE_RETURN;
	/* What follows is not ours, and a password may be among it. */
	stream_set_secret(stream, true);
	stream_pause(stream);
}
