/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space - room on the disk: what is kept in reserve, and when there is too little.
 *
 *   free >= watermark     all is well
 *   free <  watermark     publishes are refused; acknowledgements, deletes and checkpoints go on
 *   a write finds no room the ballast, a file of reserved blocks, goes; it comes back when there is room
 *
 * Sizes follow the file system's, so that a small one is not eaten by its reserve.
 *
 * Thread:  any may ask and release; space_tend belongs to one.
 * Memory:  none.
 * Limits:  see space_plan.
 * Errors:  what cannot be asked counts as room: the write will tell.
 * Tests:   tests/unit/test_space.c, tests/e2e/test_disk_full.py
 */
#ifndef STORE_SQLITE_SPACE_H
#define STORE_SQLITE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#define SPACE_BALLAST_NAME "ballast"

struct space {
    int dir_fd; /* borrowed */
    uint32_t segment_bytes;
    uint64_t unfolded_bytes_max; /* in RAM, and in the log */
    uint64_t checkpoint_bytes;   /* what SQLite's own log may hold */
    uint64_t ballast_bytes;      /* at least twice what the log may hold */
    uint64_t watermark_bytes;    /* room for what has been promised and is not in its last place yet */
};

/* Sizes for a file system of so many bytes. */
struct space space_plan(uint64_t disk_bytes);

/* The plan for the directory's file system. */
struct space space_of(int dir_fd);

uint64_t space_free_bytes(const struct space *s);

/* Is there too little for what is under way and some more? was_low: a little more than that is needed to be
 * well again. */
bool space_is_low(const struct space *s, uint64_t under_way_bytes, bool was_low);

/* Gives the ballast's blocks back to the file system. False: there was none. */
bool space_release(const struct space *s);

/* Makes the ballast again when there is plenty of room. */
void space_tend(const struct space *s);

#endif
