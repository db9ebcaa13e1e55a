/* SPDX-License-Identifier: ISC */
/*
 * unit - what every unit test starts from; the compiler includes it.
 *
 * A test file defines suite(), and main() comes from main.c: every case runs
 * in a process of its own, so a crash names its case.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>

Suite	*suite(void);

#endif
