/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_reader - records that are in the log already, from any position on, while the journal writes more.
 *
 * Shows what a wal_sync has ended with, never a part of a batch. A reader remembers the places where its last
 * calls ended: one that goes on there costs what it reads; any other reads its segment from the beginning.
 *
 * Thread:  one for each reader, while the log is open; any number of readers.
 * Memory:  one record of the longest; payloads are lent to each.
 * Limits:  WAL_READER_PLACES places.
 * Errors:  ERR_NOTFOUND: a segment was purged in the middle of the call. ERR_SYS, ERR_NOMEM, with
 *          wal_reader_error: it cannot be read, or was sound when it was written and is not any more.
 * Tests:   tests/unit/test_wal_reader.c
 */
#ifndef WAL_WAL_READER_H
#define WAL_WAL_READER_H

#include "wal/wal.h"

enum { WAL_READER_PLACES = 8 };

struct wal_reader;

enum err wal_reader_open(struct wal_reader **out, struct wal *w); /* borrows w */
void wal_reader_close(struct wal_reader **owner);

/* Calls each for all records of a group that end after `after`, in order, until it fails, and returns its
 * error. When what followed `after` is gone, the first record that is there has a prev above it. */
enum err wal_read(struct wal_reader *r, uint16_t group, uint64_t after,
                  enum err (*each)(void *arg, const struct wal_record *record), void *arg);

const char *wal_reader_error(const struct wal_reader *r);

#endif
