/* SPDX-License-Identifier: ISC */
/*
 * cc - what we ask of the compiler beyond C17, in one place.
 */
#ifndef BASE_CC_H
#define BASE_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK		__attribute__((warn_unused_result))
#define NORETURN		__attribute__((noreturn))
#define PRINTF(fmt, first)	__attribute__((format(printf, fmt, first)))
#define UNUSED			__attribute__((unused))
#define FALLTHROUGH		__attribute__((fallthrough))

#define ARRAY_LEN(a)		(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)		((a) < (b) ? (a) : (b))
#define MAX(a, b)		((a) > (b) ? (a) : (b))
/* The struct of type T whose member m is at p. */
#define CONTAINER_OF(p, T, m)	((T *)(void *)((char *)(p) - offsetof(T, m)))

#endif
