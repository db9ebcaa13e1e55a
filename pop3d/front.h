/* SPDX-License-Identifier: ISC */
/*
 * front - POP3 before the login; private to this folder.
 */
#ifndef POP3D_FRONT_H
#define POP3D_FRONT_H

#include "front/front.h"

int	 pop3_front_pre_jail(struct why *why);

#endif
