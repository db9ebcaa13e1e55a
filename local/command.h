/* SPDX-License-Identifier: ISC */
/*
 * command - run a program on a message, as somebody, for a limited time: what
 * local's "|command" and pipe have in common.
 */
#ifndef LOCAL_COMMAND_H
#define LOCAL_COMMAND_H

#include "local/agent.h"
#include "local/program.h"

#define COMMAND_OUTPUT_MAX	4096	/* bytes of output that are kept */

struct command_spec {
	struct job	*job;		/* its content; NULL: head is all */
	struct span	 head;		/* comes before the content */
	struct program_run run;
	int64_t		 limit_s;
};

/*
 * The wait status, with the first of what it printed in text (of
 * COMMAND_OUTPUT_MAX) and whether it took too long; or -1 with why.  It has
 * ended, with all that it started, when this returns.
 */
MUST_CHECK int command_run(const struct command_spec *c, struct buf *text,
	    bool *late, struct why *why);
/* 0, or -1 with why, as sysexits.h and the output say. */
MUST_CHECK int command_judge(const char *command, int status, bool late,
	    struct buf *text, struct why *why);
/* What an exit status means (sysexits.h); code and text. */
void	 command_status(int status, char code[WHY_CODE_MAX],
	    const char **text);

#endif
