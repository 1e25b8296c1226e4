/* SPDX-License-Identifier: Apache-2.0 */
#include "power/power.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct power_control *control;

void power_control_open(void)
{
    const char *path = getenv("LONGLINK_POWER_CONTROL");
    if (path == NULL) power_die("LONGLINK_POWER_CONTROL is not set");
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) power_die("LONGLINK_POWER_CONTROL cannot be opened");
    long at = syscall(SYS_mmap, NULL, sizeof *control, (long)(PROT_READ | PROT_WRITE), (long)MAP_SHARED,
                      (long)fd, 0L);
    if (at == -1) power_die("LONGLINK_POWER_CONTROL cannot be mapped");
    syscall(SYS_close, fd);
    struct power_control *c = (struct power_control *)(uintptr_t)at;
    if (c->magic != POWER_MAGIC) power_die("LONGLINK_POWER_CONTROL is of another version");
    control = c;
}

/* Whether the rule comes true with this call. */
static bool counts_down(struct power_rule *rule, enum power_place place, uint32_t when)
{
    if (rule->countdown == 0 || (rule->flags & POWER_AFTER) != when) return false;
    if ((rule->anew & UINT32_C(1) << place) != 0) rule->countdown = rule->nth;
    if ((rule->places & UINT32_C(1) << place) == 0) return false;
    if (--rule->countdown > 0) return false;
    if (rule->then > 0) {
        *rule = (struct power_rule){ .places = UINT32_MAX,
                                     .countdown = rule->then,
                                     .error = rule->error,
                                     .flags = rule->flags & POWER_FOR_GOOD };
        return false;
    }
    if ((rule->flags & POWER_FOR_GOOD) != 0) rule->countdown = 1;
    control->fired++;
    return true;
}

static int apply(enum power_place place, uint32_t when)
{
    int error = 0;

    for (int i = 0; i < POWER_RULES; i++) {
        struct power_rule *rule = &control->rules[i];
        if (!counts_down(rule, place, when)) continue;
        if (rule->error == 0) syscall(SYS_kill, getpid(), SIGKILL);
        error = rule->error;
    }
    return error;
}

int power_before(enum power_place place)
{
    power_lock();
    control->calls[place]++;
    int error = apply(place, 0);
    power_unlock();
    return error;
}

void power_after(enum power_place place)
{
    int before = errno;
    power_lock();
    apply(place, POWER_AFTER);
    power_unlock();
    errno = before;
}

bool power_is_ignored(enum power_place place)
{
    if ((control->ignored & UINT32_C(1) << place) == 0) return false;
    power_lock();
    control->swallowed[place]++;
    power_unlock();
    return true;
}

static uint64_t used_bytes(void)
{
    uint64_t bytes = 0;
    DIR *d = opendir(getenv("LONGLINK_POWER_DIR"));
    if (d == NULL) power_die("the directory cannot be read");
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        struct stat s;
        if (fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s.st_mode))
            bytes += (uint64_t)s.st_size;
    }
    closedir(d);
    return bytes;
}

size_t power_room(int fd, off_t at, size_t n)
{
    struct stat s;
    uint64_t quota = control->quota_bytes, used;

    if (quota == 0 || fstat(fd, &s) != 0 || at + (off_t)n <= s.st_size) return n;
    used = used_bytes();
    uint64_t end = (uint64_t)s.st_size + (used < quota ? quota - used : 0);
    if (end >= (uint64_t)at + n) return n;
    return end > (uint64_t)at ? (size_t)(end - (uint64_t)at) : 0;
}

bool power_quota(uint64_t *all_bytes, uint64_t *free_bytes)
{
    if (control == NULL || control->quota_bytes == 0) return false;
    uint64_t used = used_bytes();
    *all_bytes = control->quota_bytes;
    *free_bytes = used < *all_bytes ? *all_bytes - used : 0;
    return true;
}

void power_wait_for_disk(void)
{
    struct timespec t = { 0, (long)control->sync_ns };
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

int64_t power_clock_ns(void)
{
    return control != NULL ? control->clock_ns : 0;
}
