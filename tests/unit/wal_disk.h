/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_disk - a directory in memory with a page cache that can be lost, for the tests of wal/.
 *
 * What was not synced is, after a loss of power, any mix: each sector of a file has the bytes of any moment
 * since the last sync, each name is what it was at any moment since the directory's last sync, a file has its
 * old or its new length. The end of a process loses nothing of that, only the open files and locks.
 *
 * Thread:  one.
 * Memory:  owns the files.
 * Limits:  DISK_* below; more is a CHECK.
 * Errors:  those that a test asks for.
 * Tests:   it is for tests.
 */
#ifndef UNIT_WAL_DISK_H
#define UNIT_WAL_DISK_H

#include "wal/wal_io.h"
#include <stdbool.h>
#include <stddef.h>

enum { DISK_FILES_MAX = 512, DISK_NAMES_MAX = 64, DISK_OPEN_MAX = 64, DISK_NAME_BYTES = 32 };

/* Every place where wal/ makes something durable. */
enum disk_sync {
    DISK_SYNC_NONE,
    DISK_SYNC_MADE,       /* the zeros of a new segment */
    DISK_SYNC_MADE_DIR,   /* its name */
    DISK_SYNC_HEADER,     /* the header of the segment that is begun */
    DISK_SYNC_BATCH,      /* records */
    DISK_SYNC_COPY,       /* the copy that recovery makes */
    DISK_SYNC_COPY_DIR,   /* its name */
    DISK_SYNC_REMOVE_DIR, /* a segment that is purged */
    DISK_SYNCS,
};

enum disk_call {
    DISK_ANY,
    DISK_OPEN,
    DISK_READ,
    DISK_WRITE,
    DISK_RESERVE,
    DISK_FSYNC,
    DISK_RENAME,
    DISK_UNLINK
};

struct disk_file;

struct disk_name {
    char text[DISK_NAME_BYTES];
    struct disk_file *file; /* NULL: there is none */
};

struct disk {
    struct wal_io io;
    uint64_t random; /* everything is drawn from it */

    /* What goes wrong. Calls of `failing` are counted down, and the last fails with an errno; for good, if
     * asked. */
    enum disk_call failing;
    unsigned countdown; /* 0: never */
    int failure;
    bool fails_for_good;
    bool is_lost_in_sync; /* a failed sync is the moment the power goes: what it had to write stays undecided
                           */
    bool writes_short;
    enum disk_sync swallowed; /* says it synced, and did not */
    uint64_t room;            /* bytes that all files may have; 0: no bound */

    unsigned syncs[DISK_SYNCS];
    size_t waited_bytes_max; /* the most that one sync of a header or a batch had to write */

    struct disk_file *files[DISK_FILES_MAX];
    size_t files_count;
    struct disk_name names[DISK_NAMES_MAX];   /* as the process sees it */
    struct disk_name on_disk[DISK_NAMES_MAX]; /* as of the last sync of the directory */
    struct disk_name changes[DISK_FILES_MAX];
    size_t changes_count;
    struct disk_file *open[DISK_OPEN_MAX];
    bool locked;
};

void disk_init(struct disk *d, uint64_t seed);
void disk_fini(struct disk *d);

void disk_lose_power(struct disk *d);
void disk_end_process(struct disk *d);

/* A file as the process sees it, to be harmed; NULL: there is none. What the others do is durable at once. */
uint8_t *disk_bytes(struct disk *d, const char *name, size_t *size);
void disk_resize(struct disk *d, const char *name, size_t size); /* makes it, too */
void disk_remove(struct disk *d, const char *name);

/* To go back to: a disk with the same durable files. */
void disk_copy(struct disk *to, const struct disk *from);

uint64_t disk_draw(struct disk *d, uint64_t below);

#endif
