/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "wal/wal_io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_open_dir(void *ctx, const char *path)
{
    (void)ctx;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int io_open(void *ctx, int dir, const char *name, int flags)
{
    (void)ctx;
    return openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int io_close(void *ctx, int fd)
{
    (void)ctx;
    return close(fd);
}

static int io_lock(void *ctx, int fd)
{
    (void)ctx;
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int io_list(void *ctx, int dir, void (*each)(void *arg, const char *name), void *arg)
{
    (void)ctx;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (d == NULL) {
        if (fd >= 0) close(fd);
        return -1;
    }
    errno = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        each(arg, e->d_name);
        errno = 0;
    }
    int failed = errno;
    closedir(d);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

static int64_t io_size(void *ctx, int fd)
{
    (void)ctx;
    struct stat s;
    return fstat(fd, &s) == 0 ? (int64_t)s.st_size : -1;
}

static ssize_t io_pread(void *ctx, int fd, void *to, size_t n, off_t at)
{
    (void)ctx;
    return pread(fd, to, n, at);
}

static ssize_t io_pwrite(void *ctx, int fd, const void *from, size_t n, off_t at)
{
    (void)ctx;
    return pwrite(fd, from, n, at);
}

static int io_reserve(void *ctx, int fd, off_t bytes)
{
    (void)ctx;
    return fallocate(fd, 0, 0, bytes);
}

static void io_write_back(void *ctx, int fd, off_t at, off_t bytes)
{
    (void)ctx;
    sync_file_range(fd, at, bytes,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

static int io_fdatasync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd);
}

static int io_fsync(void *ctx, int fd)
{
    (void)ctx;
    return fsync(fd);
}

static int io_rename(void *ctx, int dir, const char *from, const char *to)
{
    (void)ctx;
    return renameat(dir, from, dir, to);
}

static int io_unlink(void *ctx, int dir, const char *name)
{
    (void)ctx;
    return unlinkat(dir, name, 0);
}

static uint64_t io_random(void *ctx)
{
    (void)ctx;
    return rng_u64();
}

const struct wal_io wal_io_system = {
    .open_dir = io_open_dir,
    .open = io_open,
    .close = io_close,
    .lock = io_lock,
    .list = io_list,
    .size = io_size,
    .pread = io_pread,
    .pwrite = io_pwrite,
    .reserve = io_reserve,
    .write_back = io_write_back,
    .fdatasync = io_fdatasync,
    .fsync = io_fsync,
    .rename = io_rename,
    .unlink = io_unlink,
    .random = io_random,
};
