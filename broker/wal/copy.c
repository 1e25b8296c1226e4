/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a log that is written meanwhile.
 *
 * The log is one run of bytes that grows at its end: a byte is zero until it is written, and then stays. A
 * batch is written only when the one before it is durable, a segment begun only when all of the one before
 * is. So whoever reads from the end to the beginning finds, below anything that he saw, everything that was
 * written before it. The newest segment comes first, the last block of a segment first; and a block is taken
 * as it was at one moment. Then the copy is the log's beginning up to some byte, and ends like one that was
 * cut by a crash: at most its last batch is torn.
 *
 * Segments that come later are not looked for: what is in them was not durable when the copy began. One that
 * is gone was purged, or was prepared and never begun.
 */
#include "wal/wal_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct copy {
    struct wal from, to; /* not open: only io, dir and dir_fd of them are used */
    uint8_t *block, *again;
    char *text;
};

/* Reads a block twice, until nothing has changed between: as every byte changes once at most, what was read
 * is what was there between the two. */
static int read_block(struct copy *c, int fd, uint32_t at, uint32_t n)
{
    int rc = wal_read_all(&c->from, fd, c->block, n, at);

    while (rc == 0) {
        rc = wal_read_all(&c->from, fd, c->again, n, at);
        if (rc != 0 || memcmp(c->block, c->again, n) == 0) break;
        uint8_t *newer = c->again;
        c->again = c->block;
        c->block = newer;
    }
    return rc;
}

static bool is_zero(const uint8_t *at, uint32_t n)
{
    return n == 0 || (at[0] == 0 && memcmp(at, at + 1, n - 1) == 0);
}

/* The file is made with its first block that is not of zeros: an unused segment leaves none. */
static enum err put_block(struct copy *c, const char *name, int *fd, uint32_t at, uint32_t n)
{
    const struct wal_io *io = c->to.io;

    if (is_zero(c->block, n)) return ERR_OK;
    if (*fd < 0) *fd = io->open(io->ctx, c->to.dir_fd, name, O_RDWR | O_CREAT | O_EXCL);
    if (*fd < 0) return wal_fail(&c->to, c->text, "create", name);
    if (wal_write_all(&c->to, *fd, c->block, n, at) < n) return wal_fail(&c->to, c->text, "write", name);
    return ERR_OK;
}

static enum err copy_bytes(struct copy *c, const char *name, int from, int *to)
{
    const struct wal_io *io = c->from.io;
    int64_t left = io->size(io->ctx, from);
    enum err rc = ERR_OK;

    if (left > WAL_SEGMENT_BYTES_MAX) errno = EFBIG;
    if (left < 0 || left > WAL_SEGMENT_BYTES_MAX) return wal_fail(&c->from, c->text, "read", name);
    while (rc == ERR_OK && left > 0) {
        uint32_t at = (uint32_t)((left - 1) / BLOCK_BYTES * BLOCK_BYTES), n = (uint32_t)left - at;
        rc = read_block(c, from, at, n) == 0 ? put_block(c, name, to, at, n)
                                             : wal_fail(&c->from, c->text, "read", name);
        left = at;
    }
    if (rc == ERR_OK && *to >= 0 && c->to.io->fsync(c->to.io->ctx, *to) != 0)
        rc = wal_fail(&c->to, c->text, "sync", name);
    return rc;
}

static enum err copy_segment(struct copy *c, uint64_t number)
{
    const struct wal_io *io = c->from.io;
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, number);
    int to = -1, from = io->open(io->ctx, c->from.dir_fd, name, O_RDONLY);
    if (from < 0) return errno == ENOENT ? ERR_OK : wal_fail(&c->from, c->text, "open", name);
    enum err rc = copy_bytes(c, name, from, &to);
    io->close(io->ctx, from);
    if (to >= 0) io->close(io->ctx, to);
    return rc;
}

static enum err copy_segments(struct copy *c)
{
    struct wal_numbers all;
    enum err rc = ERR_OK;

    if (wal_numbers_list(&c->from, &all) != 0) return wal_fail(&c->from, c->text, "list", ".");
    for (size_t i = all.count; rc == ERR_OK && i > 0; i--) rc = copy_segment(c, all.at[i - 1]);
    free(all.at);
    return rc;
}

static enum err open_dir(struct copy *c, struct wal *w)
{
    w->dir_fd = w->io->open_dir(w->io->ctx, w->dir);
    return w->dir_fd >= 0 ? ERR_OK : wal_fail(w, c->text, "open", ".");
}

enum err wal_copy(const char *from, const char *to, const struct wal_io *io, char text[WAL_TEXT_BYTES])
{
    struct copy *c = calloc(1, sizeof *c);
    enum err rc = ERR_NOMEM;

    snprintf(text, WAL_TEXT_BYTES, "out of memory");
    if (c == NULL) return rc;
    c->text = text;
    c->from.io = c->to.io = io != NULL ? io : &wal_io_system;
    c->from.dir_fd = c->to.dir_fd = -1;
    c->from.dir = strdup(from);
    c->to.dir = strdup(to);
    c->block = malloc(BLOCK_BYTES);
    c->again = malloc(BLOCK_BYTES);
    if (c->from.dir != NULL && c->to.dir != NULL && c->block != NULL && c->again != NULL) rc = ERR_OK;
    if (rc == ERR_OK) rc = open_dir(c, &c->from);
    if (rc == ERR_OK) rc = open_dir(c, &c->to);
    if (rc == ERR_OK) rc = copy_segments(c);
    if (c->from.dir_fd >= 0) c->from.io->close(c->from.io->ctx, c->from.dir_fd);
    if (c->to.dir_fd >= 0) c->to.io->close(c->to.io->ctx, c->to.dir_fd);
    free(c->from.dir);
    free(c->to.dir);
    free(c->block);
    free(c->again);
    free(c);
    return rc;
}
