/* SPDX-License-Identifier: ISC */
/*
 * pop3 - a POP3 session after its login; private to this folder.
 */
#ifndef POP3D_POP3_H
#define POP3D_POP3_H

#include "base/num.h"
#include "base/ranges.h"
#include "pop3d/parse.h"
#include "session/engine.h"
#include "store/mailbox.h"
#include "store/uidls.h"

/*
 * The maildrop as it was at the login (RFC 1939 3): numbers, sizes and ids
 * stay what they are, whatever others do to the mailbox meanwhile.
 */
struct drop {
	struct account	*account;
	struct mailbox	*box;
	int		 lock;		/* -1: not locked */
	bool		 in_use;	/* another session has the lock */
	uint32_t	 count;		/* messages, at the login */
	uint64_t	 size;		/* octets, of all */
	uint32_t	 deleted;	/* marked, so many ... */
	uint64_t	 deleted_size;	/* ... and with so many octets */
	uint8_t		*marks;		/* DROP_*, per message; from index 1 */
	const char	*uidl;		/* format; NULL until it is asked for */
	bool		 uidl_plain;	/* it is "%i" and nothing else */
	bool		 uidl_file;	/* ... "%f" ... */
	bool		 uidl_ids;	/* it has no UID in it */
	bool		 changed;	/* we have, at QUIT */
	/* Of messages that are all there (keep.c). */
	bool		 listed;	/* UIDL has been asked for */
	bool		 no_ready;	/* its answer is not to be kept */
	int		 ready;		/* -1, or a file with the answer ... */
	off_t		 ready_len;	/* ... and so many bytes */
};

#define DROP_EXPIRE_MAX	36500	/* days */
enum { DROP_DELETED = 1, DROP_READ = 2 };

/* Open the user's maildrop.  -1 with why, and in_use when another session
 * has it locked. */
MUST_CHECK int drop_open(struct drop *d, struct session_conn *c,
	    struct why *why);
void	 drop_close(struct drop *d);
/* Of message n, which is there; the octets that RETR sends. */
uint64_t drop_size(const struct drop *d, uint32_t n);
void	 drop_mark(struct drop *d, uint32_t n, uint8_t mark);
void	 drop_reset(struct drop *d);	/* no deletions any more */
/*
 * QUIT: messages marked as read become \Seen, those marked as deleted go as
 * pop3d_delete_action says, and so do those that pop3d_expire is about; all of
 * it is on stable storage then.  *gone: how many went.  -1 with why.
 */
MUST_CHECK int drop_update(struct drop *d, uint32_t *gone, struct why *why);

/*
 * keep.c: take over what was kept of this mailbox, if it still is what it was;
 * false: open it.
 */
bool	 drop_take_kept(struct drop *d, uint32_t box);
/* The session is over: keep the mailbox, or close it. */
void	 drop_keep(struct drop *d);
/* The process leaves. */
void	 drop_forget(void);
/* Whether d->ready is the answer to UIDL: it is asked for now. */
bool	 drop_uidl_ready(struct drop *d);

/* Write the unique id of message n (RFC 1939 7), which is there: 1 to 70
 * characters, more where another server had given out such a one.  Returns the
 * end. */
#define UIDL_MAX	UIDLS_ID_MAX
char	*uidl_put(struct drop *d, uint32_t n, char *to);
/* Whether a pop3d_uidl_format can be used; else why. */
MUST_CHECK int uidl_check(const char *format, struct why *why);

/* LIST or UIDL of all messages on its way to the client. */
struct listing {
	uint32_t	 at;		/* it goes on there ... */
	char		 number[16];	/* ... as text */
	size_t		 len;
	bool		 uidl, active;
	bool		 ready;		/* it is drop.ready, "+OK" and all, */
	off_t		 sent;		/* ... of which so much is sent */
};
/* A number, a space, an id or a size, CRLF; and of an id that we made. */
#define LIST_LINE_MAX	(NUM_DECIMAL_MAX + 1 + UIDL_MAX + 2)
#define UIDL_LINE	(5 + 1 + 32 + 2)

void	 list_begin(struct listing *l, bool uidl);
/* What follows a message's number on its line; returns the end. */
char	*list_put(struct drop *d, uint32_t n, bool uidl, char *to);
/* Append at most room bytes, LIST_LINE_MAX or more, of one that is not ready;
 * at its end a line "." more, and active is false. */
void	 list_some(struct listing *l, struct drop *d, struct buf *out,
	    size_t room);

/*
 * A message on its way to the client: lines end in CRLF, a '.' at a line's
 * beginning is doubled (RFC 1939 3).
 */
struct sending {
	struct mailbox_content	content;
	struct span		rest;		/* not sent yet */
	bool			at_start;	/* of a line */
	bool			in_body;
	bool			top;		/* TOP: lines counts down */
	uint32_t		lines;
	bool			active;
};

/* Begin with the bytes of a message; top: the header and n lines. */
void	 send_begin(struct sending *s, bool top, uint32_t lines);
/*
 * Append about max bytes more to out.  False: that was the end, with the
 * line "." behind it.
 */
bool	 send_some(struct sending *s, struct buf *out, size_t max);
void	 send_end(struct sending *s);

struct pop3 {
	struct session_conn	*conn;
	struct drop		 drop;
	struct sending		 sending;
	struct buf		 out;		/* gathered in one handler */
	struct listing		 listing;
	bool			 skipping;	/* a line that is too long */
	bool			 eof;		/* the client has said all */
	bool			 utf8;
	int64_t			 errors;	/* in a row */
	uint64_t		 retr, top, retr_bytes;	/* for the log */
};

#endif
