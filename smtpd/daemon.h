/* SPDX-License-Identifier: ISC */
/*
 * What the two programs of this folder give to daemon_main().
 */
#ifndef SMTPD_DAEMON_H
#define SMTPD_DAEMON_H

#include "daemon/daemon.h"
#include "smtpd/smtpd.h"

/* Read what may lie in files: lists of networks, patterns, restrictions. */
MUST_CHECK int smtpd_pre_jail(struct why *why);
/* Whether the settings are in order; logs what is not. */
MUST_CHECK int smtpd_check(struct why *why);
/* Connect to nobody yet; make ready for the first client. */
MUST_CHECK int smtpd_start(struct why *why);

#endif
