/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files - descriptors: as many as the system lets this process have, and some that connections leave to it.
 *
 * The journal's next segment, the log, keys that are read again: the broker opens files while it runs, and
 * one that it cannot open costs more than a client that waits.
 *
 * Thread:  main, at start.
 * Memory:  a value.
 * Limits:  of what there is, connections get at least half.
 * Errors:  none: what cannot be raised stays as it is.
 * Tests:   tests/e2e/test_descriptors.py
 */
#ifndef MAIN_FILES_H
#define MAIN_FILES_H

#include <stddef.h>
#include <stdint.h>

struct files {
    uint64_t limit;       /* of open files */
    uint32_t connections; /* that there is room for */
};

/* Raises the soft limit to the hard one. */
struct files files_raise(unsigned shards, size_t listeners);

#endif
