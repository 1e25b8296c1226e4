/* SPDX-License-Identifier: Apache-2.0 */
#include "power/power.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TRACE_FD_MIN = 900, ZEROS_BYTES = 4096 };

/* Calls come in before this library has begun: type is TYPE_NONE then, and they pass. The type is read
 * without the lock, for every write of a socket asks for it. */
static _Atomic unsigned char types[POWER_FDS_MAX];
static uint32_t files[POWER_FDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *dir;
static size_t dir_len;
static int trace_fd = -1;
static uint64_t last_number;

void power_die(const char *what)
{
    static const char head[] = "power layer: ";
    syscall(SYS_write, STDERR_FILENO, head, sizeof head - 1);
    syscall(SYS_write, STDERR_FILENO, what, strlen(what));
    syscall(SYS_write, STDERR_FILENO, "\n", (size_t)1);
    abort();
}

void power_lock(void)
{
    pthread_mutex_lock(&lock);
}

void power_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("LONGLINK_POWER_TRACE");
    if (getenv("LONGLINK_POWER_DIR") == NULL) return;
    if (path == NULL) power_die("LONGLINK_POWER_TRACE is not set");
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC);
    /* Out of the way of those who count on the lowest descriptors. */
    trace_fd = fcntl(fd, F_DUPFD_CLOEXEC, TRACE_FD_MIN);
    if (trace_fd < 0) power_die("LONGLINK_POWER_TRACE cannot be opened");
    syscall(SYS_close, fd);
    power_control_open();
    power_lock();
    power_trace_locked((struct power_record){ .kind = RECORD_BEGIN }, NULL);
    power_unlock();
    dir_len = strlen(getenv("LONGLINK_POWER_DIR"));
    dir = getenv("LONGLINK_POWER_DIR"); /* from now on files are noticed */
}

uint64_t power_trace_locked(struct power_record r, const void *data)
{
    struct iovec v[2] = { { &r, sizeof r }, { (void *)(uintptr_t)data, r.data_bytes } };

    r.number = ++last_number;
    ssize_t done = syscall(SYS_writev, trace_fd, v, 2);
    if (done != (ssize_t)(sizeof r + r.data_bytes)) power_die("the trace cannot be written");
    return r.number;
}

uint64_t power_last_number(void)
{
    power_lock();
    uint64_t number = last_number;
    power_unlock();
    return number;
}

/* --- files */

enum power_type power_type(int fd)
{
    return fd >= 0 && fd < POWER_FDS_MAX ? types[fd] : TYPE_NONE;
}

uint32_t power_file_number(int fd)
{
    return files[fd];
}

void power_opened(int fd, enum power_type type, uint32_t file)
{
    if (fd >= POWER_FDS_MAX) power_die("too many descriptors");
    files[fd] = file;
    types[fd] = (unsigned char)type;
}

void power_closed(int fd)
{
    if (power_type(fd) != TYPE_NONE) types[fd] = TYPE_NONE;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

enum power_type power_type_of(const char *name)
{
    if (strcmp(name, ".") == 0) return TYPE_DIR;
    if (ends_with(name, "-shm")) return TYPE_SHM;
    if (ends_with(name, ".wal")) return TYPE_SEGMENT;
    if (strcmp(name, "copy.tmp") == 0) return TYPE_COPY;
    if (strcmp(name, "longlink.db") == 0) return TYPE_TABLES;
    if (strcmp(name, "longlink.db-wal") == 0) return TYPE_TABLES_WAL;
    return strcmp(name, "longlink.db-journal") == 0 ? TYPE_TABLES_JOURNAL : TYPE_OTHER;
}

bool power_name(int at, const char *path, char name[NAME_MAX + 1])
{
    const char *rest = path;

    if (dir == NULL) return false;
    if (path[0] == '/') {
        if (strncmp(path, dir, dir_len) != 0 || (path[dir_len] != '/' && path[dir_len] != '\0')) return false;
        rest = path + dir_len + strspn(path + dir_len, "/");
        if (*rest == '\0') rest = ".";
    } else if (at == AT_FDCWD || power_type(at) != TYPE_DIR) {
        return false;
    }
    if (strlen(rest) > NAME_MAX || strchr(rest, '/') != NULL)
        power_die("a file in a folder of the directory");
    memcpy(name, rest, strlen(rest) + 1);
    return true;
}

/* --- what was written */

bool power_all_zero(const void *from, size_t n)
{
    static const uint8_t zeros[ZEROS_BYTES];
    const uint8_t *at = from;

    for (; n > ZEROS_BYTES; at += ZEROS_BYTES, n -= ZEROS_BYTES)
        if (memcmp(at, zeros, ZEROS_BYTES) != 0) return false;
    return memcmp(at, zeros, n) == 0;
}

void power_trace_write(int fd, const struct iovec *v, int count, off_t at, size_t done)
{
    int before = errno;

    power_lock();
    for (int i = 0; i < count && done > 0; i++) {
        size_t n = v[i].iov_len < done ? v[i].iov_len : done;
        struct power_record r = {
            .kind = RECORD_WRITE, .file = files[fd], .offset = (uint64_t)at, .size = n
        };
        bool zeros = power_all_zero(v[i].iov_base, n);
        if (zeros)
            r.kind = RECORD_ZEROS;
        else
            r.data_bytes = (uint32_t)n;
        power_trace_locked(r, v[i].iov_base);
        done -= n;
        at += (off_t)n;
    }
    power_unlock();
    errno = before;
}

void power_trace_size(int fd)
{
    struct stat s;
    int before = errno;

    power_lock();
    if (fstat(fd, &s) != 0) power_die("fstat");
    struct power_record r = { .kind = RECORD_SIZE, .file = files[fd], .size = (uint64_t)s.st_size };
    power_trace_locked(r, NULL);
    power_unlock();
    errno = before;
}
