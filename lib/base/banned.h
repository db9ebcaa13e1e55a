/* SPDX-License-Identifier: ISC */
/*
 * banned - C library functions that have no place in a mail server.
 *
 * They write without a bound, keep hidden state, or cannot report an error.
 * The compiler refuses them; use buf, span and num instead.  Included on the
 * command line (-include), after the system headers that declare them.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under clang the fortified ones are macros, which cannot be poisoned. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets
#pragma GCC poison strtok strtok_r atoi atol atoll atof mktemp tmpnam

#endif
