/* SPDX-License-Identifier: ISC */
/*
 * command - the table of commands, and the answers that end them; see imap.h.
 */
#include "base/log.h"
#include "conf/params.h"
#include "imapd/imap.h"

#define SEL	STATE_SELECTED
#define ANY	(STATE_AUTH | STATE_SELECTED)

/* Sorted by nothing but RFC 9051's order; extensions after it. */
static const struct command commands[] = {
	/* 6.1: any state */
	{ "CAPABILITY", ANY, 0, cmd_capability, "Capability" },
	{ "NOOP", ANY, 0, cmd_noop, "NOOP" },
	{ "LOGOUT", ANY, CMD_NOSYNC, cmd_logout, "Logout" },
	{ "ID", ANY, 0, cmd_id, "ID" },				/* RFC 2971 */
	/* 6.3: authenticated */
	{ "ENABLE", ANY, 0, cmd_enable, "Enabled" },		/* RFC 5161 */
	{ "SELECT", ANY, CMD_NOSYNC, cmd_select, "Select" },
	{ "EXAMINE", ANY, CMD_NOSYNC, cmd_examine, "Examine" },
	{ "CREATE", ANY, 0, cmd_create, "Create" },
	{ "DELETE", ANY, 0, cmd_delete, "Delete" },
	{ "RENAME", ANY, 0, cmd_rename, "Rename" },
	{ "SUBSCRIBE", ANY, 0, cmd_subscribe, "Subscribe" },
	{ "UNSUBSCRIBE", ANY, 0, cmd_unsubscribe, "Unsubscribe" },
	{ "LIST", ANY, 0, cmd_list, "List" },
	{ "LSUB", ANY, 0, cmd_lsub, "Lsub" },			/* RFC 3501 */
	{ "NAMESPACE", ANY, 0, cmd_namespace, "Namespace" },	/* RFC 2342 */
	{ "STATUS", ANY, 0, cmd_status, "Status" },
	{ "APPEND", ANY, 0, cmd_append, "Append" },
	{ "IDLE", ANY, 0, cmd_idle, "Idle" },			/* RFC 2177 */
	{ "UNAUTHENTICATE", ANY, CMD_NOSYNC, cmd_unauthenticate,
	    "Unauthenticate" },					/* RFC 8437 */
	{ "COMPRESS", ANY, 0, cmd_compress, "Compress" },	/* RFC 4978 */
	{ "NOTIFY", ANY, 0, cmd_notify, "NOTIFY" },		/* RFC 5465 */
	{ "GETQUOTA", ANY, 0, cmd_getquota, "Getquota" },	/* RFC 9208 */
	{ "GETQUOTAROOT", ANY, 0, cmd_getquotaroot, "Getquotaroot" },
	{ "SETQUOTA", ANY, 0, cmd_setquota, "Setquota" },
	{ "GETACL", ANY, 0, cmd_getacl, "Getacl" },		/* RFC 4314 */
	{ "SETACL", ANY, 0, cmd_setacl, "Setacl" },
	{ "DELETEACL", ANY, 0, cmd_deleteacl, "Deleteacl" },
	{ "LISTRIGHTS", ANY, 0, cmd_listrights, "Listrights" },
	{ "MYRIGHTS", ANY, 0, cmd_myrights, "Myrights" },
	{ "GETMETADATA", ANY, 0, cmd_getmetadata, "Getmetadata" },
	{ "SETMETADATA", ANY, 0, cmd_setmetadata, "Setmetadata" },
	/* 6.4: selected */
	{ "CHECK", SEL, 0, cmd_noop, "Check" },			/* RFC 3501 */
	{ "CLOSE", SEL, CMD_NOSYNC, cmd_close, "Close" },
	{ "UNSELECT", SEL, CMD_NOSYNC, cmd_unselect, "Unselect" },
	{ "EXPUNGE", SEL, 0, cmd_expunge, "Expunge" },
	{ "UID EXPUNGE", SEL, CMD_UID, cmd_expunge, "Expunge" },
	{ "FETCH", SEL, CMD_QUIET | CMD_SEQ, cmd_fetch, "Fetch" },
	{ "UID FETCH", SEL, CMD_UID, cmd_fetch, "Fetch" },
	{ "SEARCH", SEL, CMD_QUIET | CMD_SEQ, cmd_search, "Search" },
	{ "UID SEARCH", SEL, CMD_UID, cmd_search, "Search" },
	{ "SORT", SEL, CMD_QUIET | CMD_SEQ, cmd_sort, "Sort" },	/* RFC 5256 */
	{ "UID SORT", SEL, CMD_UID, cmd_sort, "Sort" },
	{ "THREAD", SEL, CMD_QUIET | CMD_SEQ, cmd_thread, "Thread" },
	{ "UID THREAD", SEL, CMD_UID, cmd_thread, "Thread" },
	{ "ESEARCH", ANY, CMD_UID, cmd_esearch, "Esearch" },	/* RFC 7377 */
	{ "CANCELUPDATE", SEL, 0, cmd_cancelupdate, "Cancelupdate" },
	{ "UIDBATCHES", SEL, 0, cmd_uidbatches, "Uidbatches" },
	{ "STORE", SEL, CMD_QUIET | CMD_SEQ, cmd_store, "Store" },
	{ "UID STORE", SEL, CMD_UID, cmd_store, "Store" },
	{ "COPY", SEL, CMD_SEQ, cmd_copy, "Copy" },
	{ "UID COPY", SEL, CMD_UID, cmd_copy, "Copy" },
	{ "MOVE", SEL, CMD_SEQ, cmd_move, "Move" },		/* RFC 6851 */
	{ "UID MOVE", SEL, CMD_UID, cmd_move, "Move" },
	{ "REPLACE", SEL, CMD_SEQ, cmd_replace, "Replace" },	/* RFC 8508 */
	{ "UID REPLACE", SEL, CMD_UID, cmd_replace, "Replace" },
};

const struct command *
command_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (span_caseis(name, commands[i].name))
			return &commands[i];
	return NULL;
}

void
imap_take_tag(struct imap *im, struct span text)
{
	struct scan s;
	struct span tag;

	/* Half of what was meant as a tag answers nothing (RFC 9051 7.1.3). */
	scan_init(&s, text, &im->arena);
	if (!scan_tag(&s, &tag) || tag.len > IMAP_TAG_MAX ||
	    (scan_peek(&s) >= 0 && !scan_is(&s, ' ')))
		tag = SPAN("*");
	memcpy(im->tag, tag.p, tag.len);
	im->tag[tag.len] = '\0';
}

/* --- the end of a command --------------------------------------------------------- */

static void
finished(struct imap *im)
{
	im->cmd = NULL;
	im->step = NULL;
	im->step_abort = NULL;
	im->step_data = NULL;
	im->full = false;
	im->limited_to = 0;
	im->numbers = false;
	arena_reset(&im->arena);
}

static void PRINTF(4, 0)
tagged(struct imap *im, const char *word, const char *code, const char *fmt,
    va_list ap)
{
	const struct command *c = im->cmd;
	char limit[64] = "";

	if (c != NULL && !(c->flags & CMD_NOSYNC) && !im->just_woken &&
	    im->state == STATE_SELECTED && notify_wants_selected(im))
		sync_report(im, !(c->flags & CMD_QUIET) && !im->numbers);
	else
		sync_say_highest(im);
	context_search(im);
	context_tell(im);
	if (im->mode == MODE_END)	/* the mailbox is gone: BYE was said */
		return;
	if (im->limited_to != 0) {
		snprintf(limit, sizeof(limit), "MESSAGELIMIT %ju %u",
		    (uintmax_t)conf.imapd_message_limit, im->limited_to);
		/* RFC 9738 3.1: there is room for one code. */
		if (code != NULL)
			buf_addf(&im->out, "* NO [%s] Only the last messages "
			    "were looked at.\r\n", limit);
		else
			code = limit;
	}
	buf_addf(&im->out, "%s %s ", im->tag, word);
	if (code)
		buf_addf(&im->out, "[%s] ", code);
	if (buf_vprintf(&im->out, fmt, ap) != 0)
		log_panic("imap: output without a limit is full");
	buf_add_str(&im->out, "\r\n");
	finished(im);
}

void
imap_ok(struct imap *im, const char *code, const char *fmt, ...)
{
	va_list ap;

	im->errors = 0;
	va_start(ap, fmt);
	tagged(im, "OK", code, fmt, ap);
	va_end(ap);
}

void
imap_no(struct imap *im, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tagged(im, "NO", code, fmt, ap);
	va_end(ap);
}

void
imap_bad(struct imap *im, const char *code, const char *fmt, ...)
{
	va_list ap;

	im->errors++;
	va_start(ap, fmt);
	tagged(im, "BAD", code, fmt, ap);
	va_end(ap);
	if (im->errors >= (uint64_t)conf.imapd_error_limit)
		imap_bye(im, "Too many invalid commands",
		    "Too many invalid IMAP commands.");
}

void
imap_done(struct imap *im)
{
	imap_ok(im, NULL, "%s completed.", im->cmd->done);
}

void
imap_refuse(struct imap *im, const struct scan *s)
{
	if (s->no)
		imap_no(im, s->code, "%s", s->err);
	else
		imap_bad(im, s->code, "Error in IMAP command %s: %s",
		    im->cmd ? im->cmd->name : "received by server",
		    s->err ? s->err : "Invalid arguments.");
}

const char *
imap_error_code(enum account_error e)
{
	switch (e) {
	case ACCOUNT_OK:		return NULL;
	case ACCOUNT_NONEXISTENT:	return "NONEXISTENT";
	case ACCOUNT_EXISTS:		return "ALREADYEXISTS";
	case ACCOUNT_CANNOT:		return "CANNOT";
	case ACCOUNT_NOPERM:		return "NOPERM";
	case ACCOUNT_OVERQUOTA:		return "OVERQUOTA";
	case ACCOUNT_LIMIT:		return "LIMIT";
	case ACCOUNT_INUSE:		return "INUSE";
	case ACCOUNT_HASCHILDREN:	return "HASCHILDREN";
	case ACCOUNT_EXPUNGED:		return "EXPUNGEISSUED";
	case ACCOUNT_CORRUPT:		return "CORRUPTION";
	case ACCOUNT_UNAVAILABLE:	return "UNAVAILABLE";
	}
	return NULL;
}

/* A line of text for the client, without what would end it. */
static const char *
safe_text(struct imap *im, const char *text)
{
	char *p = arena_strdup(&im->arena, text);

	for (char *c = p; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	return p;
}

void
imap_fail(struct imap *im, const struct why *why)
{
	imap_no(im, imap_error_code(account_error(im->account)), "%s",
	    why->text[0] ? safe_text(im, why->text) : "Failed");
}

void
imap_continue(struct imap *im, imap_step_fn *step)
{
	im->step = step;
	im->done = im->goal = 0;
	im->progress_ms = loop_now_ms(im->loop);
}

/* --- the beginning ------------------------------------------------------------------- */

/* "UID FETCH" is one name. */
bool
scan_command_name(struct scan *s, struct span *out)
{
	size_t at = s->at;
	struct span second;

	if (!scan_atom(s, out))
		return false;
	if (!span_caseis(*out, "UID") || !scan_is(s, ' '))
		return true;
	scan_sp(s);
	if (!scan_atom(s, &second))
		return false;
	*out = span_sub(s->in, at, s->at - at);
	return true;
}

static void
unknown(struct imap *im, struct span name)
{
	char shown[64];
	size_t n = MIN(name.len, sizeof(shown) - 1);

	if (span_caseis(name, "LOGIN") || span_caseis(name, "AUTHENTICATE") ||
	    span_caseis(name, "STARTTLS")) {
		imap_bad(im, NULL, "Logged in already.");
		return;
	}
	for (size_t i = 0; i < n; i++)
		shown[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ?
		    name.p[i] - 32 : name.p[i]);
	shown[n] = '\0';
	imap_bad(im, NULL, "Error in IMAP command %s: Unknown command.", shown);
}

bool
command_wake(struct imap *im)
{
	if (!im->just_woken || (im->cmd->flags & CMD_NOSYNC))
		return true;
	if (im->asleep.len > 0 && (im->cmd->flags & CMD_SEQ)) {
		imap_no(im, "EXPUNGEISSUED",
		    "Messages were expunged meanwhile, NOOP will tell.");
		return false;
	}
	freeze_say_changes(im);
	return true;
}

void
imap_command(struct imap *im, struct span text)
{
	struct scan s;
	struct span tag, name;

	/* The input goes on while the command runs. */
	text = span_make(arena_span_dup(&im->arena, text), text.len);
	scan_init(&s, text, &im->arena);
	s.utf8 = IMAP_HAS(im, UTF8) || IMAP_HAS(im, REV2);
	imap_take_tag(im, text);
	if (!scan_tag(&s, &tag) || tag.len > IMAP_TAG_MAX || !scan_sp(&s) ||
	    !scan_command_name(&s, &name)) {
		imap_bad(im, NULL, "Error in IMAP command received by server.");
		return;
	}
	im->cmd = command_find(name);
	if (im->cmd == NULL) {
		unknown(im, name);
		return;
	}
	log_debug("imap: %s %s", im->tag, im->cmd->name);
	if (!(im->cmd->states & im->state)) {
		imap_bad(im, NULL, "No mailbox selected.");
		return;
	}
	if ((im->cmd->flags & CMD_SEQ) && IMAP_HAS(im, UIDONLY)) {
		imap_bad(im, "UIDREQUIRED", "Message numbers are not allowed "
		    "once UIDONLY is enabled.");
		return;
	}
	if (!command_wake(im) ||
	    (!(im->cmd->flags & CMD_NOSYNC) && !sync_rights(im)))
		return;
	im->cmd->handler(im, &s);
}
