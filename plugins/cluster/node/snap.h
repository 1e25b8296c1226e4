/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snap - files with the whole state of a state machine at one zxid: snap.<zxid in 16 hex digits>.
 *
 * A head of 8 KiB, then what the state machine wrote. Numbers are big-endian.
 *
 *   head   0 u64 magic      8 u32 version    12 u32 current epoch   16 u64 zxid
 *         24 u64 bytes after the head        32 u32 their crc32c    36 u32 length of members
 *         40 members, by zab_members_encode   8188 u32 crc32c of the head before it
 *
 * A file gets its name when it is whole and durable, and its name is durable when snap_end returns.
 *
 * Thread:  one for each writer and reader.
 * Memory:  none; a file each.
 * Limits:  SNAPS_MAX files are looked at.
 * Errors:  ERR_FULL: no room, nothing is left behind. ERR_SYNTAX: not what a writer has written.
 *          ERR_SYS. With a text.
 * Tests:   tests/unit/test_cluster_snap.c
 */
#ifndef NODE_SNAP_H
#define NODE_SNAP_H

#include "base/bytes.h"
#include "base/err.h"
#include "zab/types.h"

enum { SNAP_HEAD_BYTES = 8192, SNAPS_MAX = 64, SNAP_TEXT_BYTES = 256 };

#define SNAP_SAVE_NAME    "snap.save.tmp"
#define SNAP_INSTALL_NAME "snap.install.tmp"

struct snap_head {
    uint64_t zxid, bytes;
    uint32_t epoch, crc;
    struct zab_members members;
};

struct snap_writer {
    int dir, fd;
    const char *name; /* until it is whole */
    uint64_t bytes;
    uint32_t crc;
    enum err rc; /* the first that failed */
    char text[SNAP_TEXT_BYTES];
};

struct snap_reader {
    int fd;
    uint64_t left;
    struct snap_head head;
};

/* Of the snapshots in a directory, the newest first. */
struct snap_list {
    uint32_t count;
    uint64_t at[SNAPS_MAX];
};

/* Forgets a file that is half there. */
void snap_begin(struct snap_writer *w, int dir, const char *name);
void snap_write(struct snap_writer *w, struct bytes data);
/* Makes it durable under its name. head's bytes and crc are the writer's to say. */
enum err snap_end(struct snap_writer *w, const struct snap_head *head);
void snap_drop(struct snap_writer *w);

/* Checks all of it, and stands at the first byte of the state. */
enum err snap_open(struct snap_reader *r, int dir, uint64_t zxid, char text[SNAP_TEXT_BYTES]);
/* How many bytes: fewer than n only at the end, or when they cannot be read. */
size_t snap_read(struct snap_reader *r, void *to, size_t n);
void snap_close(struct snap_reader *r);

enum err snap_list(int dir, struct snap_list *out);
void snap_remove(int dir, uint64_t zxid);

#endif
