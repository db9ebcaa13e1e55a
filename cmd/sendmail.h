/* SPDX-License-Identifier: ISC */
/*
 * sendmail.h - private to the sendmail command.
 *
 * The command runs with the rights of whoever calls it and has none of its
 * own: it reads the message, finds the recipients, and hands both to pickup,
 * which decides.
 */
#ifndef CMD_SENDMAIL_H
#define CMD_SENDMAIL_H

#include <sysexits.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/why.h"
#include "ipc/msg_submit.h"

#define SENDMAIL_HEADER_MAX	(8u << 20)	/* bytes looked through by -t */
#define SENDMAIL_READ_FIRST	(1u << 20)	/* bytes read before pickup is
						 * asked to wait for us */

typedef ARRAY(char *) strings;
void	 strings_fini(strings *s);

/* --- options (sendmail_options.c) ---------------------------------------------- */

enum sendmail_mode {
	MODE_MAIL, MODE_SMTP, MODE_VERIFY, MODE_DAEMON, MODE_NEWALIASES,
	MODE_MAILQ, MODE_FLUSH
};

struct sendmail_options {
	enum sendmail_mode mode;
	const char	*config_dir;	/* -C; NULL: the default */
	bool		 from_header;	/* -t */
	bool		 keep_dots;	/* -i, -oi: a lone '.' does not end */
	bool		 gateway;	/* -G */
	bool		 eightbit;	/* -B 8BITMIME */
	const char	*sender;	/* -f, -r; NULL: the user */
	const char	*full_name;	/* -F */
	unsigned	 notify;	/* -N */
	unsigned	 ret;		/* -R */
	const char	*envid;		/* -V */
	const char	*alias_file;	/* -oA, -O AliasFile= */
	const char	*flush_site, *flush_id;	/* -qR, -qI */
	int		 verbose;	/* -v: a report, please */
	char		**rcpts;	/* what follows the options */
	int		 nrcpts;
};

/* Does not return when the options make no sense: EX_USAGE. */
void	 sendmail_options(struct sendmail_options *o, int argc, char **argv);
NORETURN void sendmail_fatal(int status, const char *fmt, ...) PRINTF(2, 3);

/* --- the message (sendmail_input.c) ----------------------------------------------- */

struct input;
/* Read from fd; keep_dots: a line with just '.' is content. */
struct input *input_new(int fd, bool keep_dots);
void	 input_free(struct input **in);
/*
 * The next line with its LF, or a piece of a long one.  Line ends are turned
 * into LF as sendmail_fix_line_endings says, a leading "From " line is left
 * out.  1: a line, good until the next call; 0: the end; -1 with errno.
 */
MUST_CHECK int input_line(struct input *in, struct span *line);

/*
 * The recipients in a header section are added to rcpts (Resent-* ones only,
 * when there are any), and the section without Bcc and Resent-Bcc to out.
 * -1: an address list is absurdly long.
 */
MUST_CHECK int header_recipients(struct span section, strings *rcpts,
	    struct buf *out);
/* The addresses of an argument or option, in their unquoted form. */
MUST_CHECK int add_addresses(struct span list, strings *out);

/* --- pickup (sendmail_submit.c) ------------------------------------------------------ */

struct submission;
/* Connect; NULL with why. */
struct submission *submission_new(struct why *why);
void	 submission_free(struct submission **s);
/* A message.  -1 with why: refused or lost, and the message is over. */
MUST_CHECK int submission_begin(struct submission *s,
	    const struct submit_begin *b, struct why *why);
MUST_CHECK int submission_rcpt(struct submission *s,
	    const struct submit_rcpt *r, struct why *why);
MUST_CHECK int submission_content(struct submission *s, struct span bytes,
	    struct why *why);
/* 0: it is queued, queue_id (may be NULL) is appended to. */
MUST_CHECK int submission_end(struct submission *s, struct buf *queue_id,
	    struct why *why);
MUST_CHECK int submission_verify(struct submission *s, struct span address,
	    struct buf *text, struct why *why);
/* The exit status for a failure (sysexits.h). */
int	 submission_status(const struct why *why);

/* --- -bs (sendmail_smtp.c) ------------------------------------------------------------ */

/* Speak SMTP on standard input and output; the exit status. */
int	 sendmail_smtp(void);

#endif
