/* SPDX-License-Identifier: ISC */
/*
 * engine - the life of an IMAP connection in the session process; imap.h.
 *
 * Whatever wakes us (input, room for output, a timer, a changed mailbox) ends
 * in imap_pump(), which is the only place where output leaves and where a
 * connection is freed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "imapd/compress.h"
#include "imapd/imap.h"

#define HOLD_MS		30		/* for more APPENDs in one sync */
#define HOLD_MAX	(32u << 10)	/* bytes of answers */

/* --- the end ---------------------------------------------------------------------- */

void
imap_free(struct imap *im)
{
	if (im->step_abort)
		im->step_abort(im);
	append_abort(im);
	notify_forget(im);
	imap_watch_stop(im);
	mailbox_close(&im->box);
	ranges_fini(&im->saved);
	ranges_fini(&im->own);
	context_forget(im);
	ARRAY_FINI(&im->asleep);
	loop_timer_free(&im->timer);
	loop_timer_free(&im->again);
	loop_timer_free(&im->tidy);
	arena_fini(&im->arena);
	buf_fini(&im->out);
	buf_wipe(&im->rest);
	mem_free(im);
}

void
imap_counts(const struct imap *im, char counts[IMAP_COUNTS_LEN])
{
	snprintf(counts, IMAP_COUNTS_LEN, "fetched=%u appended=%u expunged=%u",
	    im->fetched, im->appended, im->expunged);
}

static void
end(struct imap *im)
{
	struct session_conn *c = im->conn;
	const char *how = im->how ? im->how : "Connection closed";
	char counts[IMAP_COUNTS_LEN];

	imap_counts(im, counts);
	if (im->broken)
		stream_free(&c->stream);
	imap_free(im);
	c->data = NULL;
	session_done(c, how, counts);
}

void
imap_bye(struct imap *im, const char *how, const char *fmt, ...)
{
	va_list ap;

	if (im->mode == MODE_END)
		return;
	im->how = how;
	if (im->mode == MODE_RETURN) {
		/* It has had its answer, and is nobody's now. */
		im->mode = MODE_END;
		return;
	}
	buf_add_str(&im->out, "* BYE ");
	va_start(ap, fmt);
	if (buf_vprintf(&im->out, fmt, ap) != 0)
		log_panic("imap: output without a limit is full");
	va_end(ap);
	buf_add_str(&im->out, "\r\n");
	im->mode = MODE_END;
	im->state = STATE_LOGOUT;
}

/* --- output ------------------------------------------------------------------------ */

bool
imap_out_full(const struct imap *im)
{
	return im->out.len >= IMAP_OUT_HIGH ||
	    stream_out_len(im->conn->stream) >= IMAP_OUT_HIGH;
}

/*
 * A client that is sending the next message already does not wait for what is
 * said of the last one: then one sync is made for more of them.
 */
static bool
may_hold(struct imap *im)
{
	int64_t now = loop_now_ms(im->loop);

	if (im->mode != MODE_APPEND || im->out.len != im->held ||
	    im->held > HOLD_MAX || !account_dirty(im->account))
		return false;
	if (im->held_ms == 0)
		im->held_ms = now;
	if (now - im->held_ms >= HOLD_MS)
		return false;
	loop_timer_set(im->again, HOLD_MS);
	return true;
}

static void
write_out(struct imap *im)
{
	im->held = 0;
	im->held_ms = 0;
	stream_write_span(im->conn->stream, buf_span(&im->out));
	if (im->out.alloc > 2 * IMAP_OUT_HIGH)
		buf_fini(&im->out);
	else
		buf_reset(&im->out);
}

/*
 * Nothing that says OK leaves before what it stands for is on the disk.  The
 * connections whose input one turn of the loop brought wait for each other:
 * one sync is for all of them.
 */
static struct imap *waiting;

/* Where an earlier one in the list has the same account it is done already. */
static bool
sync_one(const struct imap *list, const struct imap *im)
{
	struct why why = WHY_INIT;

	for (; list != im; list = list->next_waiting)
		if (list->account == im->account)
			return !list->sync_failed;
	if (!account_dirty(im->account) ||
	    account_sync(im->account, &why) == 0)
		return true;
	log_error("imap: %s: cannot be made durable: %s",
	    im->conn->facts.id, why.text);
	return false;
}

static void
sync_all(void *arg)
{
	struct imap *list = waiting, *im;

	waiting = NULL;
	for (im = list; im != NULL; im = im->next_waiting) {
		im->sync_failed = !sync_one(list, im);
		if (im->sync_failed) {
			buf_reset(&im->out);
			im->mode = MODE_COMMAND;
			imap_bye(im, "Cannot write", "[UNAVAILABLE] Changes "
			    "could not be made durable, they may be lost.");
		}
	}
	for (im = list; im != NULL; im = im->next_waiting)
		write_out(im);
	while ((im = list) != NULL) {
		list = im->next_waiting;
		im->next_waiting = NULL;
		im->waits = false;
		imap_pump(im);
	}
}

/* False: it waits. */
static bool
flush(struct imap *im)
{
	static struct loop_defer later = { .fn = sync_all };

	if (im->out.len == 0 || may_hold(im))
		return true;
	if (im->account && account_dirty(im->account)) {
		im->waits = true;
		im->next_waiting = waiting;
		waiting = im;
		loop_defer(im->loop, &later);
		return false;
	}
	write_out(im);
	return true;
}

/* --- going on ----------------------------------------------------------------------- */

static bool
nothing_under_way(const struct imap *im)
{
	return im->step == NULL && !im->full && imap_input(im).len == 0 &&
	    (im->mode == MODE_COMMAND || im->mode == MODE_IDLE) &&
	    stream_out_len(im->conn->stream) == 0;
}

/* RFC 9585: the client should not think that we are dead. */
static void
say_progress(struct imap *im, struct buf *out)
{
	int64_t now = clock_mono_ms();	/* the loop's is the turn's */

	if (now - im->progress_ms < conf.imapd_progress_interval * 1000)
		return;
	im->progress_ms = now;
	buf_add_str(out, "* OK [INPROGRESS (");
	/* "]" would end the code: "it MUST be set to NIL" (RFC 9585 4). */
	put_nstring(out, strchr(im->tag, ']') == NULL ?
	    span_of(im->tag) : SPAN_EMPTY);
	if (im->done < im->goal)
		buf_addf(out, " %ju %ju", (uintmax_t)im->done,
		    (uintmax_t)im->goal);
	else
		buf_add_str(out, " NIL NIL");
	buf_add_str(out, ")] Still working.\r\n");
}

/*
 * It passes what waits in im->out, which promises what is not on the disk yet,
 * and which is whole lines where a command begins.
 */
static void
say_progress_now(void *arg, uint64_t done, uint64_t goal)
{
	struct buf line = BUF_INIT(BUF_UNLIMITED);
	struct imap *im = arg;

	im->done = done;
	im->goal = goal;
	say_progress(im, &line);
	if (line.len > 0) {
		stream_write_span(im->conn->stream, buf_span(&line));
		stream_flush(im->conn->stream);
	}
	buf_fini(&line);
}

void
imap_tell_progress(struct imap *im, bool tell)
{
	im->progress_ms = loop_now_ms(im->loop);
	mailbox_on_progress(im->box, tell ? say_progress_now : NULL, im);
}

static void
run(struct imap *im)
{
	while (im->mode != MODE_END && !im->full && !im->compress) {
		if (im->step == NULL) {
			if (imap_out_full(im))
				im->full = true;
			else if (!imap_take_input(im))
				return;
			continue;
		}
		switch (im->step(im)) {
		case STEP_DONE:
			break;
		case STEP_FULL:
			im->full = true;
			break;
		case STEP_MORE:
			say_progress(im, &im->out);
			loop_timer_set(im->again, 0);
			return;
		}
	}
}

void
imap_pump(struct imap *im)
{
	struct stream *s = im->conn->stream;

	if (im->pumping)
		return;
	im->pumping = true;
	if (im->waits) {
		/* The sync is still to come: it is for this, too. */
		run(im);
		im->pumping = false;
		return;
	}
	do {
		run(im);
		if (im->watch_pending && im->step == NULL && !im->full &&
		    im->mode != MODE_END) {
			im->watch_pending = false;
			idle_changed(im);
		}
		if (!flush(im)) {
			im->pumping = false;
			return;
		}
		if (im->compress && im->mode != MODE_END)
			compress_start(s);
	} while (im->compress && (im->compress = false, true));
	im->pumping = false;
	if (im->mode == MODE_END) {
		end(im);
		return;
	}
	if (im->mode == MODE_RETURN) {
		/* on_drain() follows. */
		if (compress_active(s) && stream_out_len(s) > 0)
			compress_stop(s);
		return;
	}
	/* Output that went out at once leaves no drain to wait for. */
	if (im->full && stream_out_len(s) == 0)
		loop_timer_set(im->again, 0);
	if (im->step || im->full) {
		if (!stream_paused(s))
			stream_pause(s);
	} else {
		if (stream_paused(s))
			stream_resume(s);
		/* The CRLF after a literal is often a packet of its own. */
		if (im->mode == MODE_APPEND || im->mode == MODE_SKIP)
			stream_ack(s);
		session_idle(im->conn, nothing_under_way(im));
	}
}

static void
on_read(void *arg, struct stream *s)
{
	struct session_conn *c = arg;
	struct imap *im = c->data;

	im->last_ms = loop_now_ms(im->loop);
	session_idle(c, false);
	imap_pump(im);
}

static void
on_drain(void *arg, struct stream *s)
{
	struct session_conn *c = arg;
	struct imap *im = c->data;

	im->full = false;
	im->last_ms = loop_now_ms(im->loop);
	/* It may be the end of what was written before the answer. */
	im->answered = im->mode == MODE_RETURN && !im->waits &&
	    im->out.len == 0;
	if (im->answered)
		unauthenticate_return(im);
	else
		imap_pump(im);
}

static void
on_end(void *arg, struct stream *s, enum stream_end why)
{
	struct session_conn *c = arg;
	struct imap *im = c->data;

	switch (why) {
	case STREAM_EOF:
		im->how = "Connection closed";
		break;
	case STREAM_ERROR:
		im->how = "Connection lost";
		break;
	case STREAM_TIMEOUT:
		im->how = "Timeout";
		break;
	case STREAM_OVERFLOW:
		im->how = "Input or output overflow";
		break;
	}
	im->broken = why != STREAM_EOF;
	im->mode = MODE_END;
	imap_pump(im);
}

static void
on_again(void *arg)
{
	struct imap *im = arg;

	if (stream_out_len(im->conn->stream) == 0)
		im->full = false;
	if (im->answered)
		unauthenticate_return(im);
	else
		imap_pump(im);
}

/* Autologout (RFC 9051 5.4), and a sign of life to one that idles. */
static void
on_timer(void *arg)
{
	struct imap *im = arg;
	int64_t idle_ms = loop_now_ms(im->loop) - im->last_ms;

	if (im->mode == MODE_IDLE) {
		idle_tick(im);
		loop_timer_set(im->timer,
		    conf.imapd_idle_notify_interval * 1000);
	} else if ((im->full || im->mode == MODE_RETURN) &&
	    idle_ms >= conf.imapd_timeout * 1000) {
		/* It takes nothing, so it will not take a goodbye either. */
		im->how = "Timeout, answers not taken";
		im->broken = true;
		im->mode = MODE_END;
	} else if (im->step == NULL && idle_ms >= conf.imapd_timeout * 1000) {
		imap_bye(im, "Inactivity", "Disconnected for inactivity.");
	} else {
		loop_timer_set(im->timer, MAX(1000,
		    conf.imapd_timeout * 1000 - idle_ms));
	}
	imap_pump(im);
}

/* --- being told ---------------------------------------------------------------------- */

static void
ignore_changed(void *arg, struct account *a, uint32_t box)
{
}

static void
on_watch(void *arg, unsigned events)
{
	struct imap *im = arg;

	store_watch_read(im->watch, ignore_changed, NULL);
	im->watch_pending = true;
	imap_pump(im);
}

void
imap_watch_start(struct imap *im)
{
	struct why why = WHY_INIT;
	uint32_t box, list;

	if (im->watch || (im->box == NULL && im->notify == NULL))
		return;
	im->watch = store_watch_new();
	box = im->box ? mailbox_box(im->box) : 0;
	/* Of another's mailbox the rights, too. */
	list = account_list_of(im->account, box);
	if (im->watch == NULL || (im->box && store_watch_add(im->watch,
	    im->account, box, &why) != 0) || (list != 0 &&
	    store_watch_add(im->watch, im->account, list, &why) != 0)) {
		log_warning("imap: %s: changes are not seen: %s",
		    im->conn->facts.id, why.text);
		store_watch_free(&im->watch);
		return;
	}
	im->watch_io = loop_io_new(im->loop, store_watch_fd(im->watch),
	    on_watch, im);
	loop_io_want(im->watch_io, LOOP_READ);
}

void
imap_watch_stop(struct imap *im)
{
	loop_io_free(&im->watch_io);
	store_watch_free(&im->watch);
}

/* --- the engine ------------------------------------------------------------------------ */

static struct imap *
imap_new(struct session_conn *c)
{
	struct imap *im = mem_zalloc(sizeof(*im));

	im->conn = c;
	im->loop = c->loop;
	im->out = BUF_INIT(BUF_UNLIMITED);
	im->rest = BUF_SECRET(BUF_UNLIMITED);
	im->state = STATE_AUTH;
	im->timer = loop_timer_new(c->loop, on_timer, im);
	im->again = loop_timer_new(c->loop, on_again, im);
	im->last_ms = loop_now_ms(c->loop);
	loop_timer_set(im->timer, conf.imapd_timeout * 1000);
	/* A command is whole in the input before it runs. */
	stream_set_in_max(c->stream, (size_t)(conf.imapd_command_size_limit +
	    2 * conf.imapd_line_limit) + LOOP_SHARED_LEN);
	c->data = im;
	return im;
}

static void
engine_start(struct session_conn *c)
{
	struct imap *im = imap_new(c);
	struct why why = WHY_INIT;

	im->account = session_account(c, &why);
	if (im->account == NULL) {
		log_error("imap: %s: %s", c->facts.id, why.text);
		buf_addf(&im->out, "%s NO [UNAVAILABLE] Mailboxes cannot be "
		    "opened now.\r\n", c->facts.tag);
		imap_bye(im, "No mailboxes", "Try again later.");
	} else {
		buf_addf(&im->out, "%s OK [CAPABILITY ", c->facts.tag);
		imap_capability_put(im, &im->out);
		buf_add_str(&im->out, "] Logged in\r\n");
	}
	imap_pump(im);
}

static int
engine_freeze(struct session_conn *c, struct buf *state)
{
	if (freeze_connection(c->data, state) != 0)
		return -1;
	imap_free(c->data);
	c->data = NULL;
	return 0;
}

static void
engine_thaw(struct session_conn *c, struct span state, bool changed)
{
	struct imap *im = imap_new(c);

	thaw_connection(im, state);
	if (!changed && im->mode != MODE_IDLE) {
		/* Input is about to come, or nothing has come for too long. */
		im->last_ms -= conf.imapd_timeout * 1000;
		loop_timer_set(im->timer, 1000);
	}
	imap_pump(im);
}

static void
engine_drain(struct session_conn *c, enum session_stop why)
{
	struct imap *im = c->data;

	imap_bye(im, why == SESSION_STOP_KICKED ? "Kicked" : "Server stops",
	    why == SESSION_STOP_KICKED ?
	    "[UNAVAILABLE] Disconnected by the administrator." :
	    "[UNAVAILABLE] Server shutting down.");
	imap_pump(im);
}

static int64_t
engine_user_limit(void)
{
	return conf.imapd_user_connection_limit;
}

static int64_t
engine_hibernate_ms(void)
{
	return conf.imapd_hibernate_time > 0 ?
	    conf.imapd_hibernate_time * 1000 : -1;
}

static const struct stream_ops ops = { on_read, on_drain, on_end };

const struct engine imap_engine = {
	.service	= "imap",
	.ops		= &ops,
	.in_max		= 1 << 20,
	.returns	= true,
	.out_max	= 1 << 30,
	.warm		= account_warm,
	.start		= engine_start,
	.freeze		= engine_freeze,
	.thaw		= engine_thaw,
	.drain		= engine_drain,
	.goodbye	= "* BYE [UNAVAILABLE] Server shutting down.\r\n",
	.user_limit	= engine_user_limit,
	.hibernate_ms	= engine_hibernate_ms,
};
