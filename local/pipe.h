/* SPDX-License-Identifier: ISC */
/*
 * pipe - deliver into a program that master.cf names.
 */
#ifndef LOCAL_PIPE_H
#define LOCAL_PIPE_H

#include "base/arena.h"
#include "base/array.h"
#include "base/why.h"
#include "local/program.h"
#include "queue/envelope.h"

enum {					/* flags= */
	PIPE_BLANK	= 1 << 0,	/* B: a blank line at the end */
	PIPE_DELIVERED	= 1 << 1,	/* D: Delivered-To: */
	PIPE_FROM	= 1 << 2,	/* F: From_ line */
	PIPE_ORIGINAL	= 1 << 3,	/* O: X-Original-To: */
	PIPE_RETURN	= 1 << 4,	/* R: Return-Path: */
	PIPE_FINAL	= 1 << 5,	/* X: that is the end of the road */
	PIPE_FOLD_DOMAIN = 1 << 6,	/* h */
	PIPE_FOLD_USER	= 1 << 7,	/* u */
	PIPE_QUOTE	= 1 << 8,	/* q */
	PIPE_DOT	= 1 << 9,	/* .: double dots at line starts */
	PIPE_ANGLE	= 1 << 10,	/* >: in front of "From " */
};

/* The entry's arguments. */
struct pipe_conf {
	unsigned	 flags;
	struct program	 program;
	const char	*directory;	/* or NULL */
	const char	*null_sender;
	const char	*eol;
	int64_t		 size_max;	/* bytes; 0: any */
};

/* argv as daemon_argv() gives it.  -1 with why. */
MUST_CHECK int pipe_parse(int argc, char *const *argv, struct pipe_conf *out,
	    struct why *why);
/*
 * The command's words for this message: each word that has a macro of a
 * recipient comes once for each of them.  NULL at the end; in the arena.
 * NULL with why for a macro that does not exist.
 */
char	**pipe_expand(const struct pipe_conf *c, const struct envelope *e,
	    struct span nexthop, uint64_t size, struct arena *a,
	    struct why *why);
/* Lines of content for the program, as the flags and eol say. */
void	 pipe_content(const struct pipe_conf *c, struct span in,
	    struct buf *out);

/* The daemon's. */
MUST_CHECK int pipe_pre_jail(struct why *why);
MUST_CHECK int pipe_check(struct why *why);
MUST_CHECK int pipe_start(struct why *why);

#endif
