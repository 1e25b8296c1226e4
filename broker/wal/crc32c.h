/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c - the Castagnoli checksum, by the processor's instruction where it has one.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_wal_crc32c.c
 */
#ifndef WAL_CRC32C_H
#define WAL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc, which is 0 at the beginning: crc32c(crc32c(0, a), b) is that of a and b together. */
uint32_t crc32c(uint32_t crc, const void *at, size_t n);

/* The same by tables, on every processor. */
uint32_t crc32c_by_table(uint32_t crc, const void *at, size_t n);

#endif
