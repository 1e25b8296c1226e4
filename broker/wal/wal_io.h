/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_io - what the log asks of the system, so that tests can be a disk that fails, tears and forgets.
 *
 * Thread:  the journal's and one other at once; on different files, but for the directory.
 * Memory:  borrows names and bytes.
 * Limits:  none.
 * Errors:  like the system's calls: -1 and errno. A write may be short.
 * Tests:   tests/unit/test_wal*.c
 */
#ifndef WAL_WAL_IO_H
#define WAL_WAL_IO_H

#include <stdint.h>
#include <sys/types.h>

/* Names are of files in the directory dir, which is what open_dir gave. */
struct wal_io {
    int (*open_dir)(void *ctx, const char *path);
    int (*open)(void *ctx, int dir, const char *name, int flags); /* mode 0600 */
    int (*close)(void *ctx, int fd);
    int (*lock)(void *ctx, int fd); /* EWOULDBLOCK: someone else has it */
    int (*list)(void *ctx, int dir, void (*each)(void *arg, const char *name), void *arg);
    int64_t (*size)(void *ctx, int fd);
    ssize_t (*pread)(void *ctx, int fd, void *to, size_t n, off_t at);
    ssize_t (*pwrite)(void *ctx, int fd, const void *from, size_t n, off_t at);
    int (*reserve)(void *ctx, int fd, off_t bytes); /* fallocate */
    /* Waits until these bytes have been written, and promises nothing of them. NULL: not needed. */
    void (*write_back)(void *ctx, int fd, off_t at, off_t bytes);
    int (*fdatasync)(void *ctx, int fd);
    int (*fsync)(void *ctx, int fd); /* of a file, or of the directory */
    int (*rename)(void *ctx, int dir, const char *from, const char *to);
    int (*unlink)(void *ctx, int dir, const char *name);
    uint64_t (*random)(void *ctx);
    void *ctx;
};

extern const struct wal_io wal_io_system;

#endif
