/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/space.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)

static uint64_t clamp(uint64_t v, uint64_t least, uint64_t most)
{
    if (v < least) return least;
    return v > most ? most : v;
}

struct space space_plan(uint64_t disk_bytes)
{
    struct space s = { .dir_fd = -1 };
    uint64_t segment = clamp(disk_bytes / 512 / MIB * MIB, MIB, 64 * MIB);
    s.segment_bytes = (uint32_t)segment;
    s.unfolded_bytes_max = segment * 2 < 32 * MIB ? segment * 2 : 32 * MIB;
    s.checkpoint_bytes = segment * 2 < 64 * MIB ? segment * 2 : 64 * MIB;
    /* The log: what is not folded, the segment where that begins, and one that is made ahead. */
    s.ballast_bytes = 2 * (s.unfolded_bytes_max + 2 * segment);
    /* A fold goes into SQLite's log, and from there, at a checkpoint, into the tables; then it is in both. */
    s.watermark_bytes = segment + 2 * s.checkpoint_bytes;
    return s;
}

struct space space_of(int dir_fd)
{
    struct statvfs v;
    uint64_t all = fstatvfs(dir_fd, &v) == 0 ? (uint64_t)v.f_blocks * v.f_frsize : UINT64_MAX;
    struct space s = space_plan(all);
    s.dir_fd = dir_fd;
    return s;
}

uint64_t space_free_bytes(const struct space *s)
{
    struct statvfs v;
    return fstatvfs(s->dir_fd, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX;
}

bool space_is_low(const struct space *s, uint64_t under_way_bytes, bool was_low)
{
    uint64_t more = was_low ? s->watermark_bytes / 4 : 0;
    return space_free_bytes(s) < s->watermark_bytes + under_way_bytes + more;
}

bool space_release(const struct space *s)
{
    return unlinkat(s->dir_fd, SPACE_BALLAST_NAME, 0) == 0;
}

static bool is_there(const struct space *s)
{
    struct stat st;
    return fstatat(s->dir_fd, SPACE_BALLAST_NAME, &st, 0) == 0 &&
           (uint64_t)st.st_blocks * 512 >= s->ballast_bytes;
}

void space_tend(const struct space *s)
{
    if (is_there(s) || space_free_bytes(s) < s->ballast_bytes + 2 * s->watermark_bytes) return;
    int fd = openat(s->dir_fd, SPACE_BALLAST_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    /* Blocks without a byte written: where the file system cannot do that, there is no ballast. */
    if (fallocate(fd, 0, 0, (off_t)s->ballast_bytes) != 0) space_release(s);
    close(fd);
}
