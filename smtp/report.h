/* SPDX-License-Identifier: ISC */
/*
 * report - tells tlsrpt(8) how a session was secured, or why not (RFC 8460).
 */
#ifndef SMTP_REPORT_H
#define SMTP_REPORT_H

#include "io/loop.h"
#include "ipc/msg_tlsrpt.h"

struct session;
struct tls_facts;

/* Does nothing unless smtp_tlsrpt_enable. */
void	 report_start(struct loop *l, const char *path);
/* reason: a word or a line for the domain's people, "" without. */
void	 report_session(const struct session *s, enum tlsrpt_result r,
	    const char *reason);
/* What is wrong with the certificate; TLSRPT_FAILURE where it is not that. */
enum tlsrpt_result report_problem(const struct tls_facts *f);

#endif
