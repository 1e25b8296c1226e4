/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that are ours instead of the C library's. They reach the kernel by syscall(2): a sanitizer's own
 * versions come before these, and call them. */
#include "power/power.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define OURS __attribute__((visibility("default")))

/* What fortified callers call. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);

static int fail(int error)
{
    errno = error;
    return -1;
}

/* --- names */

/* What this thread has done to names since it synced the directory last. */
static _Thread_local enum power_place dir_place = PLACE_sync_dir_keep;

static int open_ours(int at, const char *path, int flags, mode_t mode, const char *name)
{
    enum power_type type = power_type_of(name);
    struct stat s;
    int error = 0;

    bool creates = (flags & O_CREAT) != 0 && fstatat(at, path, &s, AT_SYMLINK_NOFOLLOW) != 0;
    if (creates && type != TYPE_SHM) error = power_before(PLACE_create);
    if (error != 0) return fail(error);
    power_lock();
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int before = errno;
    if (fd >= 0) {
        struct power_record r = { .kind = RECORD_OPEN,
                                  .file = (uint32_t)type,
                                  .offset = creates,
                                  .data_bytes = (uint32_t)strlen(name) };
        power_opened(fd, type, (uint32_t)power_trace_locked(r, name));
    }
    power_unlock();
    if (fd >= 0 && (flags & O_TRUNC) != 0) power_trace_size(fd);
    if (fd >= 0 && creates && type == TYPE_SEGMENT) dir_place = PLACE_sync_dir_made;
    if (fd >= 0 && creates && type != TYPE_SHM) power_after(PLACE_create);
    errno = before;
    return fd;
}

static int open_any(int at, const char *path, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];

    if (power_name(at, path, name)) return open_ours(at, path, flags, mode, name);
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

static int open_with(int at, const char *path, int flags, va_list more)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) mode = va_arg(more, mode_t);
    return open_any(at, path, flags, mode);
}

#define OPEN_WITH(at)                                                                                        \
    va_list more;                                                                                            \
    va_start(more, flags);                                                                                   \
    int fd = open_with(at, path, flags, more);                                                               \
    va_end(more);                                                                                            \
    return fd

OURS int open(const char *path, int flags, ...)
{
    OPEN_WITH(AT_FDCWD);
}

OURS int open64(const char *path, int flags, ...)
{
    OPEN_WITH(AT_FDCWD);
}

OURS int openat(int at, const char *path, int flags, ...)
{
    OPEN_WITH(at);
}

OURS int openat64(int at, const char *path, int flags, ...)
{
    OPEN_WITH(at);
}

OURS int __open_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}

OURS int __open64_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}

OURS int __openat_2(int at, const char *path, int flags)
{
    return open_any(at, path, flags, 0);
}

OURS int __openat64_2(int at, const char *path, int flags)
{
    return open_any(at, path, flags, 0);
}

OURS int creat(const char *path, mode_t mode)
{
    return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

OURS int creat64(const char *path, mode_t mode)
{
    return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

OURS int close(int fd)
{
    power_closed(fd);
    return (int)syscall(SYS_close, fd);
}

static int dup_any(int to, long done)
{
    if (done >= 0 && to >= 0) power_closed(to);
    return (int)done;
}

/* A second descriptor of the same file would not be noticed. */
static void check_dup(int fd)
{
    if (power_type(fd) != TYPE_NONE) power_die("dup of a file of the directory");
}

OURS int dup(int fd)
{
    check_dup(fd);
    return dup_any(-1, syscall(SYS_dup, fd));
}

OURS int dup2(int fd, int to)
{
    check_dup(fd);
    return dup_any(to, syscall(SYS_dup2, fd, to));
}

OURS int dup3(int fd, int to, int flags)
{
    check_dup(fd);
    return dup_any(to, syscall(SYS_dup3, fd, to, flags));
}

/* Under the lock, so that nobody opens it meanwhile. A call that failed has changed nothing. */
static int rename_ours(int from_at, const char *from, int to_at, const char *to)
{
    char names[2 * (NAME_MAX + 1)], target[NAME_MAX + 1];

    if (!power_name(from_at, from, names) || !power_name(to_at, to, target))
        power_die("a rename out of the directory, or into it");
    int error = power_before(PLACE_rename);
    if (error != 0) return fail(error);
    size_t n = strlen(names) + 1;
    memcpy(names + n, target, strlen(target));
    power_lock();
    int done = (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
    int before = errno;
    struct power_record r = { .kind = RECORD_RENAME, .data_bytes = (uint32_t)(n + strlen(target)) };
    if (done == 0) power_trace_locked(r, names);
    power_unlock();
    if (done == 0) dir_place = PLACE_sync_dir_copy;
    if (done == 0) power_after(PLACE_rename);
    errno = before;
    return done;
}

OURS int renameat(int from_at, const char *from, int to_at, const char *to)
{
    char name[NAME_MAX + 1];

    if (power_name(from_at, from, name) || power_name(to_at, to, name))
        return rename_ours(from_at, from, to_at, to);
    return (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
}

OURS int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static int unlink_ours(int at, const char *path, const char *name)
{
    enum power_type type = power_type_of(name);
    if (type == TYPE_SHM) return (int)syscall(SYS_unlinkat, at, path, 0);
    int error = power_before(PLACE_unlink);
    if (error != 0) return fail(error);
    power_lock();
    int done = (int)syscall(SYS_unlinkat, at, path, 0);
    int before = errno;
    struct power_record r = { .kind = RECORD_UNLINK, .data_bytes = (uint32_t)strlen(name) };
    if (done == 0) power_trace_locked(r, name);
    power_unlock();
    if (done == 0 && type == TYPE_SEGMENT) dir_place = PLACE_sync_dir_purge;
    if (done == 0) power_after(PLACE_unlink);
    errno = before;
    return done;
}

OURS int unlinkat(int at, const char *path, int flags)
{
    char name[NAME_MAX + 1];

    if (flags == 0 && power_name(at, path, name)) return unlink_ours(at, path, name);
    return (int)syscall(SYS_unlinkat, at, path, flags);
}

OURS int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

OURS int remove(const char *path)
{
    char name[NAME_MAX + 1];

    if (power_name(AT_FDCWD, path, name)) return unlink_ours(AT_FDCWD, path, name);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    return done != 0 && errno == EISDIR ? (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR) : done;
}

/* --- bytes */

static enum power_place write_place(enum power_type type, const struct iovec *first)
{
    switch (type) {
    case TYPE_SEGMENT:
        return power_all_zero(first->iov_base, first->iov_len) ? PLACE_write_made : PLACE_write_segment;
    case TYPE_COPY: return PLACE_write_copy;
    case TYPE_TABLES: return PLACE_write_tables;
    case TYPE_TABLES_WAL: return PLACE_write_tables_wal;
    case TYPE_TABLES_JOURNAL: return PLACE_write_tables_journal;
    default: return PLACE_write_other;
    }
}

static bool is_traced(int fd)
{
    enum power_type type = power_type(fd);
    return type != TYPE_NONE && type != TYPE_SHM && type != TYPE_DIR;
}

/* Only the first piece, when the quota ends within them. */
static ssize_t write_ours(int fd, const struct iovec *v, int count, off_t at)
{
    enum power_place place = write_place(power_type(fd), v);
    struct iovec first = { NULL, 0 };
    size_t all = 0;
    for (int i = 0; i < count; i++) all += v[i].iov_len;
    if ((fcntl(fd, F_GETFL) & O_APPEND) != 0) power_die("O_APPEND in the directory");

    int error = is_traced(fd) ? power_before(place) : 0;
    if (error != 0) return fail(error);
    if (all == 0) return 0;
    size_t room = power_room(fd, at, all);
    if (room == 0) return fail(ENOSPC);
    if (room < all) {
        first = v[0];
        if (first.iov_len > room) first.iov_len = room;
        v = &first;
        count = 1;
    }
    /* The offset as two words: the second is for longer ones than there are. */
    ssize_t done = syscall(SYS_pwritev, fd, v, count, at, 0L);
    if (done > 0 && is_traced(fd)) power_trace_write(fd, v, count, at, (size_t)done);
    if (is_traced(fd)) power_after(place);
    return done;
}

/* Where the file stands, and it goes on from there. */
static ssize_t write_on(int fd, const struct iovec *v, int count)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = write_ours(fd, v, count, at);
    int before = errno;
    if (done > 0) lseek(fd, at + done, SEEK_SET);
    errno = before;
    return done;
}

OURS ssize_t write(int fd, const void *from, size_t n)
{
    struct iovec v = { (void *)(uintptr_t)from, n };
    if (power_type(fd) != TYPE_NONE) return write_on(fd, &v, 1);
    return syscall(SYS_write, fd, from, n);
}

OURS ssize_t writev(int fd, const struct iovec *v, int count)
{
    if (power_type(fd) != TYPE_NONE) return write_on(fd, v, count);
    return syscall(SYS_writev, fd, v, count);
}

OURS ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    struct iovec v = { (void *)(uintptr_t)from, n };
    if (power_type(fd) != TYPE_NONE) return write_ours(fd, &v, 1, at);
    return syscall(SYS_pwrite64, fd, from, n, at);
}

OURS ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
    return pwrite(fd, from, n, at);
}

OURS ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
    if (power_type(fd) != TYPE_NONE) return write_ours(fd, v, count, at);
    return syscall(SYS_pwritev, fd, v, count, at, 0L);
}

OURS ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t at)
{
    return pwritev(fd, v, count, at);
}

/* From its size to an end; by the call nr with these three arguments. */
static int resize(int fd, off_t end, long nr, const long a[3])
{
    if (power_type(fd) == TYPE_NONE) return (int)syscall(nr, fd, a[0], a[1], a[2]);
    int error = is_traced(fd) ? power_before(PLACE_resize) : 0;
    if (error != 0) return fail(error);
    if (end > 0 && power_room(fd, 0, (size_t)end) < (size_t)end) return fail(ENOSPC);
    int done = (int)syscall(nr, fd, a[0], a[1], a[2]);
    if (done == 0 && is_traced(fd)) {
        power_trace_size(fd);
        power_after(PLACE_resize);
    }
    return done;
}

OURS int ftruncate(int fd, off_t size)
{
    return resize(fd, size, SYS_ftruncate, (const long[]){ size, 0, 0 });
}

OURS int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

OURS int fallocate(int fd, int mode, off_t at, off_t n)
{
    if (mode != 0 && is_traced(fd)) power_die("fallocate of another mode in the directory");
    return resize(fd, at + n, SYS_fallocate, (const long[]){ mode, at, n });
}

OURS int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    return fallocate(fd, mode, at, n);
}

OURS int posix_fallocate(int fd, off_t at, off_t n)
{
    int before = errno;
    int error = fallocate(fd, 0, at, n) == 0 ? 0 : errno;
    errno = before;
    return error;
}

OURS int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return posix_fallocate(fd, at, n);
}

/* --- syncs */

/* Who syncs what is known by the calls they make: the journal syncs the directory and new files by fsync, and
 * records by fdatasync, a header before them; SQLite knows fdatasync only. */
static enum power_place sync_place(int fd, bool data_only)
{
    static _Atomic unsigned char begun[POWER_FDS_MAX]; /* 1: the header of this segment was synced */
    enum power_place place = dir_place;

    switch (power_type(fd)) {
    case TYPE_DIR:
        if (data_only) return PLACE_sync_dir_tables;
        dir_place = PLACE_sync_dir_keep;
        return place;
    case TYPE_SEGMENT:
        if (!data_only) {
            begun[fd] = 0;
            return PLACE_sync_made;
        }
        place = begun[fd] ? PLACE_sync_batch : PLACE_sync_header;
        begun[fd] = 1;
        return place;
    case TYPE_COPY: return PLACE_sync_copy;
    case TYPE_TABLES: return PLACE_sync_tables;
    case TYPE_TABLES_WAL: return PLACE_sync_tables_wal;
    case TYPE_TABLES_JOURNAL: return PLACE_sync_tables_journal;
    default: return PLACE_sync_other;
    }
}

/* A sync that fails has made pages clean that are not on the disk: a later one does not write them. */
static int sync_ours(int fd, bool data_only)
{
    enum power_place place = sync_place(fd, data_only);
    struct power_record r = { .kind = RECORD_SYNC, .file = power_file_number(fd), .place = place };
    int error = power_before(place);

    r.size = power_last_number();
    if (error == 0 && power_is_ignored(place)) {
        power_after(place);
        return 0;
    }
    power_wait_for_disk();
    if (error != 0) r.kind = RECORD_LOST;
    power_lock();
    power_trace_locked(r, NULL);
    power_unlock();
    power_after(place);
    return error == 0 ? 0 : fail(error);
}

OURS int fsync(int fd)
{
    enum power_type type = power_type(fd);
    if (type != TYPE_NONE && type != TYPE_SHM) return sync_ours(fd, false);
    return (int)syscall(SYS_fsync, fd);
}

OURS int fdatasync(int fd)
{
    enum power_type type = power_type(fd);
    if (type != TYPE_NONE && type != TYPE_SHM) return sync_ours(fd, true);
    return (int)syscall(SYS_fdatasync, fd);
}

/* No promise of durability: it starts the writing of pages, not of what is needed to find them. */
OURS int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
    return (int)syscall(SYS_sync_file_range, fd, at, n, flags);
}

/* --- how much room there is */

static bool is_inside(int fd, const char *path)
{
    char name[NAME_MAX + 1];
    return path != NULL ? power_name(AT_FDCWD, path, name) : power_type(fd) != TYPE_NONE;
}

static int stat_system(int fd, const char *path, struct statfs *out)
{
    uint64_t all, left;
    long done = path != NULL ? syscall(SYS_statfs, path, out) : syscall(SYS_fstatfs, fd, out);
    if (done != 0 || !is_inside(fd, path) || !power_quota(&all, &left)) return (int)done;
    uint64_t block = (uint64_t)(out->f_frsize != 0 ? out->f_frsize : out->f_bsize);
    out->f_blocks = all / block;
    out->f_bfree = out->f_bavail = left / block;
    return 0;
}

static int stat_vfs(int fd, const char *path, struct statvfs *out)
{
    struct statfs s;
    int done = stat_system(fd, path, &s);
    if (done != 0) return done;
    *out = (struct statvfs){ .f_bsize = (unsigned long)s.f_bsize,
                             .f_frsize = (unsigned long)(s.f_frsize != 0 ? s.f_frsize : s.f_bsize),
                             .f_blocks = s.f_blocks,
                             .f_bfree = s.f_bfree,
                             .f_bavail = s.f_bavail,
                             .f_files = s.f_files,
                             .f_ffree = s.f_ffree,
                             .f_favail = s.f_ffree,
                             .f_namemax = (unsigned long)s.f_namelen };
    return 0;
}

OURS int statfs(const char *path, struct statfs *out)
{
    return stat_system(-1, path, out);
}

OURS int fstatfs(int fd, struct statfs *out)
{
    return stat_system(fd, NULL, out);
}

OURS int statvfs(const char *path, struct statvfs *out)
{
    return stat_vfs(-1, path, out);
}

OURS int fstatvfs(int fd, struct statvfs *out)
{
    return stat_vfs(fd, NULL, out);
}

OURS int statvfs64(const char *path, struct statvfs64 *out)
{
    struct statvfs s;
    int done = stat_vfs(-1, path, &s);
    if (done == 0) memcpy(out, &s, sizeof s); /* the same on 64 bits */
    return done;
}

OURS int fstatvfs64(int fd, struct statvfs64 *out)
{
    struct statvfs s;
    int done = stat_vfs(fd, NULL, &s);
    if (done == 0) memcpy(out, &s, sizeof s);
    return done;
}

/* --- the clock */

enum { NS_IN_US = 1000 };
static const int64_t ns_in_s = 1000000000;

OURS int clock_gettime(clockid_t which, struct timespec *out)
{
    int done = (int)syscall(SYS_clock_gettime, which, out);
    if (done != 0 || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return done;
    int64_t ns = (int64_t)out->tv_sec * ns_in_s + out->tv_nsec + power_clock_ns();
    out->tv_sec = ns / ns_in_s;
    out->tv_nsec = ns % ns_in_s;
    return 0;
}

OURS int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){ now.tv_sec, now.tv_nsec / NS_IN_US };
    return 0;
}

OURS time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) *out = now.tv_sec;
    return now.tv_sec;
}
