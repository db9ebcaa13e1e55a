/* SPDX-License-Identifier: ISC */
/*
 * imap - the IMAP engine: one client that has logged in, in the session
 * process of its user.  Private to the folder.
 *
 *	engine.c	the connection: start, output, going on, end
 *	input.c		what comes, as commands
 *	frame.c		bytes to commands; scan.c: commands to tokens
 *	command.c	the table of commands, dispatch, tagged answers
 *	sync.c		what others changed, as untagged responses
 *	cmd_*.c		the commands, a file a family
 *	fetch_*.c search*.c sort.c thread.c	what looks into messages
 *
 * One command runs at a time.  A handler answers at once, or leaves a step in
 * imap.step that is called until it says DONE: at once again after MORE (but
 * others are served in between), and once the client has taken output after
 * FULL.  All output is gathered in imap.out; it goes to the stream after what
 * it promises has been made durable, once for all commands of all connections
 * that one turn's input held.
 */
#ifndef IMAPD_IMAP_H
#define IMAPD_IMAP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ranges.h"
#include "imapd/frame.h"
#include "imapd/scan.h"
#include "session/engine.h"
#include "store/account.h"
#include "store/mailbox.h"

#define IMAP_OUT_HIGH	(256u << 10)	/* bytes: a step pauses above */
#define IMAP_TAG_MAX	256		/* bytes */

enum imap_state {			/* RFC 9051 3 */
	STATE_AUTH	= 1 << 0,
	STATE_SELECTED	= 1 << 1,
	STATE_LOGOUT	= 1 << 2,
};

enum {					/* imap.enabled */
	ENABLED_CONDSTORE	= 1 << 0,
	ENABLED_QRESYNC		= 1 << 1,
	ENABLED_UTF8		= 1 << 2,
	ENABLED_REV2		= 1 << 3,
	ENABLED_UIDONLY		= 1 << 4,
};

enum imap_mode {			/* what input is */
	MODE_COMMAND,
	MODE_APPEND,		/* a message's literal, and what follows it */
	MODE_IDLE,		/* DONE */
	MODE_SKIP,		/* the rest of a command that was refused */
	MODE_RETURN,		/* none: the client goes back to the front */
	MODE_END,		/* nothing more is read */
};

enum step_result { STEP_DONE, STEP_MORE, STEP_FULL };

struct imap;
struct append_cmd;
struct notify;
struct search_context;
struct fetch;
typedef enum step_result imap_step_fn(struct imap *im);

struct command {
	const char	*name;
	unsigned	 states;
	unsigned	 flags;
	void		(*handler)(struct imap *im, struct scan *s);
	const char	*done;		/* "Fetch" completed */
};

enum {					/* command.flags */
	CMD_UID		= 1 << 0,	/* the UID variant: numbers are UIDs */
	CMD_QUIET	= 1 << 1,	/* RFC 9051 7.5.1: no EXPUNGE during it */
	CMD_NOSYNC	= 1 << 2,	/* says nothing of the mailbox's changes */
	CMD_SEQ		= 1 << 3,	/* takes sequence numbers: not with
					 * UIDONLY (RFC 9586 3) */
};

struct skip {				/* MODE_SKIP */
	uint64_t	 literal;	/* bytes still to come */
	char		 tail[32];	/* the end of the line so far */
	size_t		 ntail;
	char		 answer[160];	/* tagged, when it is over; or "" */
};

struct imap {
	struct session_conn	*conn;
	struct loop		*loop;
	struct account		*account;
	enum imap_state		 state;
	enum imap_mode		 mode;
	unsigned		 enabled;

	/* The selected mailbox. */
	struct mailbox		*box;
	bool			 readonly;

	/*
	 * What happened while the connection slept and has not been said yet
	 * (freeze.c): the client still counts as it did then.
	 */
	bool			 just_woken;
	ARRAY(struct mailbox_expunge) asleep;
	uint32_t		 asleep_count, asleep_uidnext;
	uint64_t		 asleep_modseq;

	/* RFC 7162 3.2: the highest that FETCH has said since the last tagged
	 * answer; a HIGHESTMODSEQ below it was said. */
	uint64_t		 modseq_said;
	bool			 modseq_low;

	/* RFC 5182: UIDs. */
	struct ranges		 saved;
	/* RFC 5267 (context.c); UIDs that may have joined or left a result. */
	struct search_context	*contexts;
	struct ranges		 touched;
	/* UIDs that this client put here, until they are told: with NOTIFY or
	 * contexts, which have data of others' messages (RFC 5465 5.2). */
	struct ranges		 own;
	/* Which messages the view has (search.h view_key). */
	uint64_t		 sum;
	bool			 sum_known;

	/* Input. */
	struct frame		 frame;
	struct skip		 skip;
	struct append_cmd	*append;
	bool			 pumping;

	/* The command under way. */
	const struct command	*cmd;
	char			 tag[IMAP_TAG_MAX + 1];
	struct arena		 arena;
	imap_step_fn		*step;
	void			*step_data;	/* in the arena */
	void			(*step_abort)(struct imap *im);	/* or NULL */
	bool			 full;		/* step waits for the client */
	int64_t			 progress_ms;	/* its last sign, or its start */
	uint64_t		 done, goal;	/* messages, say; goal 0: it is
						 * not known */
	bool			 numbers;	/* a UID command that has message
						 * numbers: no EXPUNGE in it */
	uint32_t		 limited_to;	/* MESSAGELIMIT: it was done down
						 * to this UID; or 0 */

	/* Output. */
	struct buf		 out;
	size_t			 held;		/* so much of out are answers to
						 * APPENDs and may wait a little
						 * for the next one's */
	int64_t			 held_ms;	/* since then */
	bool			 broken;	/* do not write any more */
	bool			 waits;		/* for the sync (engine.c) */
	bool			 sync_failed;
	struct imap		*next_waiting;
	bool			 compress;	/* begin after this output */
	struct buf		 rest;		/* MODE_RETURN: the front's input */
	bool			 answered;	/* MODE_RETURN: the client is */

	/* Being told of changes. */
	struct store_watch	*watch;
	struct loop_io		*watch_io;
	struct notify		*notify;	/* RFC 5465 */
	bool			 notify_none;
	bool			 watch_pending;	/* it spoke while a step ran */
	struct loop_timer	*timer;		/* autologout, "still here" */
	struct loop_timer	*again;		/* the step goes on */
	struct loop_timer	*tidy;		/* for box, after SELECT; NULL */
	int64_t			 last_ms;	/* the client's last word */

	/* For the log. */
	uint32_t		 expunged, appended, fetched;
	unsigned		 errors;	/* bad commands in a row */
	const char		*how;		/* why it ends */
};

#define IMAP_HAS(im, what)	(((im)->enabled & ENABLED_ ## what) != 0)

/* --- engine.c -------------------------------------------------------------------- */

/*
 * Go on: run the step and take input until either has to wait, then sync what
 * was promised, hand out over to the stream, and end when it is over.  im may
 * be gone afterwards.
 */
void	 imap_pump(struct imap *im);
/* Write BYE and end; how is for the log. */
void	 imap_bye(struct imap *im, const char *how, const char *fmt, ...)
	    PRINTF(3, 4);
/* Of the connection, for the log. */
#define IMAP_COUNTS_LEN	96
void	 imap_counts(const struct imap *im, char counts[IMAP_COUNTS_LEN]);
void	 imap_free(struct imap *im);
/* A step went too long, or out is above its mark: what it should return. */
bool	 imap_out_full(const struct imap *im);
/* Around what a handler cannot leave (COPY): the client is told how far it is,
 * when it is time to (RFC 9585). */
void	 imap_tell_progress(struct imap *im, bool tell);
/* Read changes of the mailbox (and of what NOTIFY asked for) from now on. */
void	 imap_watch_start(struct imap *im);
void	 imap_watch_stop(struct imap *im);

/* --- input.c --------------------------------------------------------------------- */

/* Take what there is, one command at most.  False: wait for more. */
bool	 imap_take_input(struct imap *im);
/* A connection's input and its limits, for modes of their own. */
struct span imap_input(const struct imap *im);
void	 imap_consume(struct imap *im, size_t n);
/* Go over the rest of a refused command, then answer, if answer is not "". */
void	 imap_skip(struct imap *im, uint64_t literal, const char *answer);

/* --- command.c ------------------------------------------------------------------- */

/* Run one complete command: text has no line end and is copied. */
void	 imap_command(struct imap *im, struct span text);
const struct command *command_find(struct span name);
/* The tag at the start of text into im->tag; "*" when there is none. */
void	 imap_take_tag(struct imap *im, struct span text);
/*
 * After sleep (freeze.c), before im->cmd runs: say what happened.  False: the
 * command's numbers may mean other messages now; answered.
 */
bool	 command_wake(struct imap *im);
/* A command's name, "FETCH" or "UID FETCH". */
bool	 scan_command_name(struct scan *s, struct span *out);
/* Syntax: BAD (or what s says), and the command is over. */
void	 imap_refuse(struct imap *im, const struct scan *s);
/*
 * The tagged answer, after what others changed, and the command is over.
 * code, without brackets, may be NULL.
 */
void	 imap_ok(struct imap *im, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
void	 imap_no(struct imap *im, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
void	 imap_bad(struct imap *im, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
/* "OK <done> completed." */
void	 imap_done(struct imap *im);
/* NO with the code for what the account says. */
void	 imap_fail(struct imap *im, const struct why *why);
/* That code, or NULL.  TRYCREATE where a mailbox to put into is missing. */
const char *imap_error_code(enum account_error e);
/* im->step will be called; see above.  It may set im->done and im->goal. */
void	 imap_continue(struct imap *im, imap_step_fn *step);
void	 imap_capability_put(const struct imap *im, struct buf *out);
/* What follows "ID", up to the end (RFC 2971 4); the untagged answer.  The
 * front has them, too. */
bool	 imap_scan_id(struct scan *s);
void	 imap_put_id(struct buf *out);

/* --- put.c: words of answers, into im->out or any buf ------------------------------ */

void	 put_astring(struct buf *b, struct span s);
void	 put_string(struct buf *b, struct span s);	/* quoted or literal */
void	 put_nstring(struct buf *b, struct span s);
/* A mailbox's name as this client wants it. */
void	 put_mailbox(const struct imap *im, struct buf *b, struct span name);
/* The same where an atom is not allowed (NAMESPACE). */
void	 put_prefix(const struct imap *im, struct buf *b, struct span name);
/* "* 3 FETCH (", or "* 17 UIDFETCH (" (RFC 9586 3.3). */
void	 put_fetch(const struct imap *im, struct buf *b, uint32_t seq,
	    uint32_t uid);
/* "MODSEQ (5)", in FETCH. */
void	 put_modseq(struct imap *im, struct buf *b, uint64_t modseq);
void	 put_flags(const struct mailbox *m, struct buf *b,
	    const struct mailbox_message *msg, bool recent);
void	 put_id(struct buf *b, const uint8_t id[16], char prefix);
/* "dd-Mon-yyyy hh:mm:ss +0100", quoted; zone_min: minutes east of UTC. */
void	 put_date_time(struct buf *b, int64_t wall_s, int zone_min);

/* --- sets.c: message sets ------------------------------------------------------------ */

/* Whether message numbers may be named; else BAD, once UIDONLY is enabled (RFC
 * 9586 3). */
bool	 imap_may_number(struct imap *im, struct scan *s);
/*
 * A sequence-set, or "$", as ranges of sequence numbers of the view; UIDs
 * that are not there are left out, numbers that are not there are BAD.
 */
bool	 imap_scan_set(struct imap *im, struct scan *s, bool uid,
	    struct ranges *seqs);
/* A set of UIDs alone, where it cannot be looked up (QRESYNC). */
bool	 imap_resolve(struct imap *im, const struct ranges *set, bool uid,
	    struct ranges *seqs);
/*
 * RFC 9738: of more messages than one command may be about only the last ones
 * stay; the tagged OK will say so.
 */
void	 imap_limit(struct imap *im, struct ranges *seqs);
/* How many COPY may be about: UINT64_MAX for no limit. */
uint64_t imap_save_limit(void);
/* RFC 4315 3: of a mailbox that the user may put into, but not select, nothing
 * is disclosed.  box: where they were put. */
bool	 imap_may_tell_uids(struct imap *im, uint32_t box);
/* Those messages' UIDs; to ranges_fini(). */
void	 imap_uids(struct imap *im, const struct ranges *seqs,
	    struct ranges *uids);

/* --- sync.c --------------------------------------------------------------------------- */

/*
 * Of another user's mailbox: what was withdrawn may not be done from now on.
 * False: that is to read it, and BYE was said.
 */
bool	 sync_rights(struct imap *im);
/* Report what others changed; expunges: EXPUNGE may be said now. */
void	 sync_report(struct imap *im, bool expunges);
void	 sync_expunged(struct imap *im, const struct mailbox_expunge *v,
	    size_t n);
/* HIGHESTMODSEQ, where what FETCH has told is not to be believed. */
void	 sync_say_highest(struct imap *im);
/* "* 3 FETCH (FLAGS (...) ...)"; uid: with UID, whatever is enabled. */
void	 sync_put_fetch(struct imap *im, uint32_t seq, bool uid);
void	 sync_flags_line(struct imap *im);	/* * FLAGS, PERMANENTFLAGS */
/* A CONDSTORE-enabling command (RFC 7162 3.1). */
void	 sync_condstore(struct imap *im);

/* --- the commands' own ------------------------------------------------------------------ */

/* Close the mailbox that is selected, if any; says CLOSED when it may. */
void	 select_close(struct imap *im, bool say);
/* Flags as they are written: system flags as STORE_* bits, keywords into the
 * arena. */
struct flag_list {
	uint32_t	 flags;
	struct span	*keywords;
	size_t		 nkeywords;
};
bool	 imap_scan_flags(struct imap *im, struct scan *s,
	    struct flag_list *out);
/* The existing mailbox of that name; NULL: answered. */
const struct account_box *imap_find_box(struct imap *im, struct span name,
	    const char *code);
/* The answer where there is none, or none that this user may know of. */
void	 imap_no_box(struct imap *im, struct span name, const char *code);

/* RFC 7162: what of known (NULL: all) vanished since, but for UIDs to upto. */
void	 put_vanished(struct imap *im, uint64_t modseq,
	    const struct ranges *known, uint32_t upto);
/*
 * "* LIST ..." of one entry; old: with OLDNAME, or NULL; subscribed: also
 * whether it is.
 */
void	 list_one(struct imap *im, const struct account_box *b,
	    const char *old, bool subscribed);
/* One that may be listed and not read (RFC 5465 3.1). */
void	 list_no_access(struct imap *im, const struct account_box *b);

/* imapd_append_limit; UINT64_MAX: none. */
uint64_t append_limit(void);
bool	 append_input(struct imap *im);		/* MODE_APPEND */
bool	 append_takes(struct imap *im, struct span sofar);
void	 append_abort(struct imap *im);
bool	 idle_input(struct imap *im);		/* MODE_IDLE */
void	 idle_changed(struct imap *im);
void	 idle_tick(struct imap *im);

/* STATUS's items: a parenthesised list to bits, and the line of answer. */
bool	 status_scan(struct imap *im, struct scan *s, unsigned *items);
/* -1: nothing was said, *why says why. */
int	 status_put(struct imap *im, const struct account_box *b,
	    unsigned items, struct why *why);

/*
 * cmd_unauthenticate.c: MODE_RETURN's answer is out; im is gone afterwards, or
 * waits for the end of compressed input (imap.again).
 */
void	 unauthenticate_return(struct imap *im);

/* freeze.c: 0, or -1 when it cannot sleep now. */
int	 freeze_connection(struct imap *im, struct buf *state);
void	 thaw_connection(struct imap *im, struct span state);
void	 freeze_say_changes(struct imap *im);

/* sort.c: the view's messages are others now. */
static inline void
view_changed(struct imap *im)
{
	im->sum = 0;
	im->sum_known = false;
}

/* context.c: a message came, or its flags changed; find out what that means
 * for results, and tell it; what those that a new message joined want to see of
 * it, false: nothing; messages are about to be told expunged; there are none
 * any more. */
void	 context_touch(struct imap *im, uint32_t uid);
void	 context_touch_all(struct imap *im, const struct ranges *uids);
void	 context_search(struct imap *im);
bool	 context_wants(const struct imap *im, uint32_t uid, struct arena *a,
	    struct fetch *f);
void	 context_tell(struct imap *im);
void	 context_expunged(struct imap *im, const struct mailbox_expunge *v,
	    size_t n);
void	 context_forget(struct imap *im);

/* notify.c: something that is watched may have changed. */
void	 notify_changed(struct imap *im);
/* Whether to tell of changes of the selected mailbox. */
bool	 notify_wants_selected(const struct imap *im);
/* Messages from seq on are new: what NOTIFY, and results that they joined,
 * want to see of them. */
void	 notify_fetch_new(struct imap *im, uint32_t from);
/* Whether flags that others change there are to be told. */
bool	 notify_wants_flags(const struct imap *im);
/* What this client did itself is not told it (RFC 5465 5): it has made b, or
 * changed its name or subscription, with all below it; it has deleted box.
 * b may be NULL. */
void	 notify_own(struct imap *im, const struct account_box *b);
void	 notify_own_deleted(struct imap *im, uint32_t box);
/* It has put messages into box, with these UIDs. */
void	 notify_own_messages(struct imap *im, uint32_t box,
	    const struct ranges *uids);
/* The selected mailbox is another one. */
void	 notify_rewatch(struct imap *im);
void	 notify_forget(struct imap *im);
void	 cmd_notify(struct imap *, struct scan *);

/* "* MYRIGHTS ..." of one mailbox. */
void	 acl_put_myrights(struct imap *im, const struct account_box *b);
/* LIST's RETURN (METADATA (entries)): to remember, and its answer. */
struct metadata_get;
bool	 metadata_scan(struct scan *s, struct metadata_get **out);
void	 metadata_put(struct imap *im, const struct account_box *b,
	    struct metadata_get *g);

void	 cmd_capability(struct imap *, struct scan *);
void	 cmd_noop(struct imap *, struct scan *);
void	 cmd_logout(struct imap *, struct scan *);
void	 cmd_id(struct imap *, struct scan *);
void	 cmd_enable(struct imap *, struct scan *);
void	 cmd_unauthenticate(struct imap *, struct scan *);
void	 cmd_namespace(struct imap *, struct scan *);
void	 cmd_select(struct imap *, struct scan *);
void	 cmd_examine(struct imap *, struct scan *);
void	 cmd_close(struct imap *, struct scan *);
void	 cmd_unselect(struct imap *, struct scan *);
void	 cmd_create(struct imap *, struct scan *);
void	 cmd_delete(struct imap *, struct scan *);
void	 cmd_rename(struct imap *, struct scan *);
void	 cmd_subscribe(struct imap *, struct scan *);
void	 cmd_unsubscribe(struct imap *, struct scan *);
void	 cmd_list(struct imap *, struct scan *);
void	 cmd_lsub(struct imap *, struct scan *);
void	 cmd_status(struct imap *, struct scan *);
void	 cmd_append(struct imap *, struct scan *);
void	 cmd_replace(struct imap *, struct scan *);
void	 cmd_idle(struct imap *, struct scan *);
void	 cmd_expunge(struct imap *, struct scan *);
void	 cmd_store(struct imap *, struct scan *);
void	 cmd_copy(struct imap *, struct scan *);
void	 cmd_move(struct imap *, struct scan *);
void	 cmd_fetch(struct imap *, struct scan *);
void	 cmd_compress(struct imap *, struct scan *);
void	 cmd_getquota(struct imap *, struct scan *);
void	 cmd_getquotaroot(struct imap *, struct scan *);
void	 cmd_setquota(struct imap *, struct scan *);
/* Whether SETQUOTA works in this session. */
bool	 quota_may_set(const struct imap *im);
void	 cmd_getacl(struct imap *, struct scan *);
void	 cmd_setacl(struct imap *, struct scan *);
void	 cmd_deleteacl(struct imap *, struct scan *);
void	 cmd_listrights(struct imap *, struct scan *);
void	 cmd_myrights(struct imap *, struct scan *);
void	 cmd_getmetadata(struct imap *, struct scan *);
void	 cmd_setmetadata(struct imap *, struct scan *);
void	 cmd_search(struct imap *, struct scan *);
void	 cmd_sort(struct imap *, struct scan *);
void	 cmd_thread(struct imap *, struct scan *);
void	 cmd_esearch(struct imap *, struct scan *);
void	 cmd_cancelupdate(struct imap *, struct scan *);
void	 cmd_uidbatches(struct imap *, struct scan *);

#endif
