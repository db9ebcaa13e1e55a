/* SPDX-License-Identifier: ISC */
/*
 * front - IMAP before the login (RFC 9051 3.1), on lib/front.
 */
#ifndef IMAPD_FRONT_H
#define IMAPD_FRONT_H

#include "front/front.h"

extern const struct front_ops imapd_front;

#endif
