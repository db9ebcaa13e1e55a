/* SPDX-License-Identifier: ISC */
/*
 * crc32c - the Castagnoli CRC (RFC 3720 B.4) of queue and store records.
 *
 * Uses the processor's instruction where there is one.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/cc.h"

/* Start with crc = 0; feed the result back in to go on. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the instruction: for the tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
