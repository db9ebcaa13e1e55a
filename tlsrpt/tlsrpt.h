/* SPDX-License-Identifier: ISC */
/*
 * tlsrpt.h - private to the daemon of TLS reports.
 *
 * session.c takes events, count.c adds them up, period.c keeps the periods and
 * their files, report.c writes a report, send.c delivers it.
 */
#ifndef TLSRPT_TLSRPT_H
#define TLSRPT_TLSRPT_H

#include "base/array.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_tlsrpt.h"

#define POLICIES_MAX	8	/* of a domain in a period */
#define FAILURES_MAX	64	/* kinds of failure of a policy */

/* --- count.c: what happened with a domain --------------------------------------- */

struct failure {
	enum tlsrpt_result result;
	char		*mx, *mx_ip, *my_ip, *reason;
	uint64_t	 count;
};

struct rpolicy {
	enum tlsrpt_policy type;
	char		*domain;
	char		*strings;	/* '|' between them */
	char		*patterns;	/* a space between them */
	uint64_t	 good, bad;	/* sessions */
	/* What exceeds FAILURES_MAX is in bad only. */
	ARRAY(struct failure) failures;
};

struct counts {
	ARRAY(struct rpolicy) policies;
};

const char *result_name(enum tlsrpt_result r);	/* "validation-failure" */
const char *policy_name(enum tlsrpt_policy t);	/* "sts" */
void	 counts_add(struct counts *c, const struct tlsrpt_event *e);
void	 counts_fini(struct counts *c);
/* Lines for the file of a period. */
void	 counts_put(const struct counts *c, struct buf *out);
/* A line of such a file that is not the domain's own; 0, or -1: damaged. */
MUST_CHECK int counts_parse(struct counts *c, struct span line);

/* --- period.c ----------------------------------------------------------------------- */

struct period {
	struct list	 link;
	int64_t		 begin_s, end_s;
	struct hash	 domains;	/* struct rdomain */
	struct list	 order;
	bool		 dirty;		/* the file is older */
	int64_t		 send_s;	/* when to begin to send */
};

struct rdomain {
	struct list	 link;
	struct period	*p;
	char		*name;
	struct counts	 counts;
	int64_t		 next_s;	/* not to try before */
	bool		 busy;		/* being sent */
};

/* Before the jail: makes the directory. */
MUST_CHECK int period_open(struct why *why);
void	 period_start(void);
void	 period_event(const struct tlsrpt_event *e);
/* A report is delivered, or nobody wants it. */
void	 period_done(struct rdomain *d);
/* It could not be delivered now. */
void	 period_again(struct rdomain *d);
/* Write what has changed, and wait for it. */
void	 period_save(void);
/* The file of a period: its text, and the text taken apart.  0, or -1: it is
 * no such file; damaged lines are left out. */
void	 period_put(const struct period *p, struct buf *out);
MUST_CHECK int period_parse(struct period *p, struct span text);
void	 period_fini(struct period *p);

/* --- report.c --------------------------------------------------------------------------- */

/* "BEGIN.DOMAIN": the same for the same domain and period. */
void	 report_id(const struct rdomain *d, struct buf *out);
void	 report_json(const struct rdomain *d, struct buf *out);
/* gzip; -1: no memory. */
MUST_CHECK int report_gzip(struct span in, struct buf *out);
/* A whole message: envelope, encoded, and text. */
void	 report_mail(const struct rdomain *d, struct span to, struct span gz,
	    struct buf *envelope, struct buf *text);

/* --- send.c ------------------------------------------------------------------------------- */

MUST_CHECK int send_open(struct why *why);
void	 send_start(void);
/* period_done() or period_again() follows. */
void	 send_report(struct rdomain *d);

/* --- session.c ------------------------------------------------------------------------------ */

void	 session_start(int fd, const struct sock_addr *peer, int index);
void	 session_retire(void);

#endif
