/* SPDX-License-Identifier: ISC */
/*
 * cmd_idle - IDLE (RFC 2177): changes are said as they happen.
 */
#include "conf/params.h"
#include "imapd/imap.h"

void
cmd_idle(struct imap *im, struct scan *s)
{
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	buf_add_str(&im->out, "+ idling\r\n");
	im->mode = MODE_IDLE;
	/* First the watch, then a look: nothing falls in between. */
	imap_watch_start(im);
	if (notify_wants_selected(im))
		sync_report(im, true);
	loop_timer_set(im->timer, conf.imapd_idle_notify_interval * 1000);
}

void
idle_changed(struct imap *im)
{
	if (im->notify)
		notify_changed(im);
	else if (im->mode == MODE_IDLE && !im->notify_none)
		sync_report(im, true);
}

/* Middle boxes forget connections on which nothing is said. */
void
idle_tick(struct imap *im)
{
	buf_add_str(&im->out, "* OK Still here\r\n");
}

bool
idle_input(struct imap *im)
{
	struct span in = imap_input(im);
	size_t len, text;

	switch (frame_next(&im->frame, in, (size_t)conf.imapd_line_limit, &len,
	    &text)) {
	case FRAME_MORE:
		stream_want(im->conn->stream, im->frame.at + 1);
		return false;
	case FRAME_TOO_LONG:
		imap_bye(im, "Too long line", "[TOOBIG] Too long line.");
		return false;
	case FRAME_LITERAL:
	case FRAME_COMMAND:
		break;
	}
	im->mode = MODE_COMMAND;
	if (im->notify == NULL)
		imap_watch_stop(im);
	loop_timer_set(im->timer, conf.imapd_timeout * 1000);
	if (span_caseis(span_sub(in, 0, text), "DONE"))
		imap_done(im);
	else
		imap_bad(im, NULL, "Expected DONE.");
	imap_consume(im, len);
	return true;
}
