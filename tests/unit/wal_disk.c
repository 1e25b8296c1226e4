/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/wal_disk.h"
#include "base/check.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, DIR_FD = 1000 };

/* The bytes of a sector after one write that is not durable yet. */
struct old_sector {
    size_t index;
    uint8_t bytes[SECTOR];
};

struct disk_file {
    uint8_t *seen, *durable; /* `room` bytes each; beyond the size they are 0 */
    size_t seen_size, durable_size, room;
    struct old_sector *writes;
    size_t writes_count, writes_room;
    bool was_synced;
};

uint64_t disk_draw(struct disk *d, uint64_t below)
{
    d->random = d->random * 6364136223846793005u + 1442695040888963407u;
    return (d->random >> 33) % below;
}

static bool fails(struct disk *d, enum disk_call call)
{
    if (d->countdown == 0 || (d->failing != call && d->failing != DISK_ANY)) return false;
    if (d->countdown > 1) {
        d->countdown--;
        return false;
    }
    if (!d->fails_for_good) d->countdown = 0;
    errno = d->failure;
    return true;
}

static struct disk_file *file_new(struct disk *d)
{
    struct disk_file *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    CHECK(d->files_count < DISK_FILES_MAX);
    d->files[d->files_count++] = f;
    return f;
}

static void file_grow(struct disk_file *f, size_t size)
{
    CHECK(f != NULL);
    if (size <= f->room) return;
    size_t room = (size + SECTOR - 1) / SECTOR * SECTOR;
    f->seen = realloc(f->seen, room);
    f->durable = realloc(f->durable, room);
    CHECK(f->seen != NULL && f->durable != NULL);
    memset(f->seen + f->room, 0, room - f->room);
    memset(f->durable + f->room, 0, room - f->room);
    f->room = room;
}

static struct disk_name *name_find(struct disk_name *names, const char *text)
{
    struct disk_name *hole = NULL;

    for (size_t i = 0; i < DISK_NAMES_MAX; i++) {
        if (names[i].text[0] != '\0' && strcmp(names[i].text, text) == 0) return &names[i];
        if (hole == NULL && names[i].file == NULL) hole = &names[i];
    }
    CHECK(hole != NULL);
    CHECK(strlen(text) < DISK_NAME_BYTES);
    *hole = (struct disk_name){ .file = NULL };
    memcpy(hole->text, text, strlen(text) + 1);
    return hole;
}

static void name_change(struct disk *d, const char *text, struct disk_file *f)
{
    struct disk_name *n = name_find(d->names, text);

    n->file = f;
    CHECK(d->changes_count < DISK_FILES_MAX);
    d->changes[d->changes_count++] = *n;
}

static void dir_flush(struct disk *d)
{
    memcpy(d->on_disk, d->names, sizeof d->on_disk);
    d->changes_count = 0;
}

static void file_flush(struct disk_file *f)
{
    if (f->room > 0) memcpy(f->durable, f->seen, f->room);
    f->durable_size = f->seen_size;
    f->writes_count = 0;
    f->was_synced = true;
}

/* --- the calls */

static int disk_open_dir(void *ctx, const char *path)
{
    (void)path;
    return fails(ctx, DISK_OPEN) ? -1 : DIR_FD;
}

static int disk_open(void *ctx, int dir, const char *name, int flags)
{
    struct disk *d = ctx;
    struct disk_name *n = name_find(d->names, name);
    int fd = 0;

    CHECK(dir == DIR_FD);
    if (fails(d, DISK_OPEN)) return -1;
    if (n->file != NULL && (flags & O_EXCL) != 0) errno = EEXIST;
    if (n->file == NULL && (flags & O_CREAT) == 0) errno = ENOENT;
    if (n->file != NULL ? (flags & O_EXCL) != 0 : (flags & O_CREAT) == 0) return -1;
    if (n->file == NULL) name_change(d, name, file_new(d));
    while (fd < DISK_OPEN_MAX && d->open[fd] != NULL) fd++;
    CHECK(fd < DISK_OPEN_MAX);
    d->open[fd] = n->file;
    return fd;
}

static struct disk_file *opened(struct disk *d, int fd)
{
    CHECK(fd >= 0 && fd < DISK_OPEN_MAX);
    CHECK(d->open[fd] != NULL);
    return d->open[fd];
}

static int disk_close(void *ctx, int fd)
{
    struct disk *d = ctx;

    if (fd == DIR_FD) return 0;
    if (opened(d, fd) == name_find(d->names, "lock")->file) d->locked = false;
    d->open[fd] = NULL;
    return 0;
}

static int disk_lock(void *ctx, int fd)
{
    struct disk *d = ctx;

    opened(d, fd);
    errno = EWOULDBLOCK;
    if (d->locked) return -1;
    d->locked = true;
    return 0;
}

static int disk_list(void *ctx, int dir, void (*each)(void *arg, const char *name), void *arg)
{
    struct disk *d = ctx;

    CHECK(dir == DIR_FD);
    if (fails(d, DISK_READ)) return -1;
    for (size_t i = 0; i < DISK_NAMES_MAX; i++)
        if (d->names[i].file != NULL) each(arg, d->names[i].text);
    return 0;
}

static int64_t disk_size(void *ctx, int fd)
{
    return (int64_t)opened(ctx, fd)->seen_size;
}

static ssize_t disk_pread(void *ctx, int fd, void *to, size_t n, off_t at)
{
    struct disk_file *f = opened(ctx, fd);

    if (fails(ctx, DISK_READ)) return -1;
    if ((size_t)at >= f->seen_size) return 0;
    if (n > f->seen_size - (size_t)at) n = f->seen_size - (size_t)at;
    memcpy(to, f->seen + at, n);
    return (ssize_t)n;
}

static void remember_sector(struct disk_file *f, size_t index)
{
    if (f->writes_count == f->writes_room) {
        f->writes_room = f->writes_room * 2 + 16;
        f->writes = realloc(f->writes, f->writes_room * sizeof *f->writes);
        CHECK(f->writes != NULL);
    }
    struct old_sector *s = &f->writes[f->writes_count++];
    s->index = index;
    memcpy(s->bytes, f->seen + index * SECTOR, SECTOR);
}

static uint64_t bytes_of_all(const struct disk *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < DISK_NAMES_MAX; i++)
        if (d->names[i].file != NULL) n += d->names[i].file->seen_size;
    return n;
}

static bool has_room(struct disk *d, const struct disk_file *f, size_t size)
{
    errno = ENOSPC;
    return d->room == 0 || size <= f->seen_size || bytes_of_all(d) + (size - f->seen_size) <= d->room;
}

/* Where systems do: at the end of a sector. */
static size_t cut_short(struct disk *d, size_t begin, size_t n)
{
    size_t end = (begin + 1 + (size_t)disk_draw(d, n)) / SECTOR * SECTOR;
    return end > begin ? end - begin : n;
}

static ssize_t disk_pwrite(void *ctx, int fd, const void *from, size_t n, off_t at)
{
    struct disk *d = ctx;
    struct disk_file *f = opened(d, fd);
    size_t begin = (size_t)at;

    if (fails(d, DISK_WRITE)) return -1;
    if (d->writes_short) n = cut_short(d, begin, n);
    if (!has_room(d, f, begin + n)) return -1;
    file_grow(f, begin + n);
    memcpy(f->seen + begin, from, n);
    if (begin + n > f->seen_size) f->seen_size = begin + n;
    for (size_t s = begin / SECTOR; s * SECTOR < begin + n; s++) remember_sector(f, s);
    return (ssize_t)n;
}

static int disk_reserve(void *ctx, int fd, off_t bytes)
{
    struct disk_file *f = opened(ctx, fd);

    if (fails(ctx, DISK_RESERVE) || !has_room(ctx, f, (size_t)bytes)) return -1;
    file_grow(f, (size_t)bytes);
    if ((size_t)bytes > f->seen_size) f->seen_size = (size_t)bytes;
    return 0;
}

static enum disk_sync sync_of_file(struct disk *d, const struct disk_file *f)
{
    if (name_find(d->names, "copy.tmp")->file == f) return DISK_SYNC_COPY;
    for (size_t i = 0; i < f->writes_count; i++)
        if (f->writes[i].index == 0) return f->was_synced ? DISK_SYNC_HEADER : DISK_SYNC_MADE;
    return DISK_SYNC_BATCH;
}

static enum disk_sync sync_of_dir(const struct disk *d)
{
    if (d->changes_count == 0) return DISK_SYNC_NONE;
    const struct disk_name *last = &d->changes[d->changes_count - 1];
    if (strcmp(last->text, "copy.tmp") == 0) return DISK_SYNC_COPY_DIR;
    return last->file != NULL ? DISK_SYNC_MADE_DIR : DISK_SYNC_REMOVE_DIR;
}

/* As Linux does: what a failed sync did not write stays in the cache, and no later sync writes it. */
static void forget_dirty(struct disk_file *f)
{
    f->writes_count = 0;
}

static int disk_fdatasync(void *ctx, int fd)
{
    struct disk *d = ctx;
    bool is_dir = fd == DIR_FD;
    struct disk_file *f = is_dir ? NULL : opened(d, fd);
    enum disk_sync what = is_dir ? sync_of_dir(d) : sync_of_file(d, f);
    bool failing = fails(d, DISK_FSYNC);

    d->syncs[what]++;
    if ((what == DISK_SYNC_BATCH || what == DISK_SYNC_HEADER) &&
        f->writes_count * SECTOR > d->waited_bytes_max)
        d->waited_bytes_max = f->writes_count * SECTOR;
    if (failing && !is_dir && !d->is_lost_in_sync) forget_dirty(f);
    if (failing) return -1;
    if (what == d->swallowed && what != DISK_SYNC_NONE) {
        if (!is_dir) f->was_synced = true;
        return 0;
    }
    if (is_dir)
        dir_flush(d);
    else
        file_flush(f);
    return 0;
}

static int disk_rename(void *ctx, int dir, const char *from, const char *to)
{
    struct disk *d = ctx;
    struct disk_file *f = name_find(d->names, from)->file;

    CHECK(dir == DIR_FD);
    if (fails(d, DISK_RENAME)) return -1;
    CHECK(f != NULL);
    name_change(d, to, f);
    name_change(d, from, NULL);
    return 0;
}

static int disk_unlink(void *ctx, int dir, const char *name)
{
    struct disk *d = ctx;

    CHECK(dir == DIR_FD);
    if (fails(d, DISK_UNLINK)) return -1;
    errno = ENOENT;
    if (name_find(d->names, name)->file == NULL) return -1;
    name_change(d, name, NULL);
    return 0;
}

static uint64_t disk_random(void *ctx)
{
    return disk_draw(ctx, UINT64_C(1) << 31) << 32 | disk_draw(ctx, UINT64_C(1) << 31);
}

static const struct wal_io calls = {
    .open_dir = disk_open_dir,
    .open = disk_open,
    .close = disk_close,
    .lock = disk_lock,
    .list = disk_list,
    .size = disk_size,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .reserve = disk_reserve,
    .fdatasync = disk_fdatasync,
    .fsync = disk_fdatasync,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .random = disk_random,
};

void disk_init(struct disk *d, uint64_t seed)
{
    *d = (struct disk){ .io = calls, .random = seed * 2654435761u + 1 };
    d->io.ctx = d;
}

void disk_fini(struct disk *d)
{
    for (size_t i = 0; i < d->files_count; i++) {
        free(d->files[i]->seen);
        free(d->files[i]->durable);
        free(d->files[i]->writes);
        free(d->files[i]);
    }
    d->files_count = 0;
}

void disk_end_process(struct disk *d)
{
    memset(d->open, 0, sizeof d->open);
    d->locked = false;
    d->countdown = 0;
    d->room = 0;
}

/* Each sector: as of a moment between the last sync and now. */
static void file_lose(struct disk *d, struct disk_file *f)
{
    uint8_t *after = malloc(f->room + 1);

    CHECK(after != NULL);
    if (f->room > 0) memcpy(after, f->durable, f->room);
    for (size_t s = 0; s * SECTOR < f->room; s++) {
        size_t versions = 0;
        for (size_t i = 0; i < f->writes_count; i++) versions += f->writes[i].index == s;
        size_t kept = (size_t)disk_draw(d, versions + 1);
        for (size_t i = 0; kept > 0 && i < f->writes_count; i++) {
            if (f->writes[i].index != s) continue;
            kept--;
            memcpy(after + s * SECTOR, f->writes[i].bytes, SECTOR);
        }
    }
    if (disk_draw(d, 2) == 0) f->durable_size = f->seen_size;
    if (f->durable_size < f->room) memset(after + f->durable_size, 0, f->room - f->durable_size);
    if (f->room > 0) memcpy(f->durable, after, f->room);
    free(after);
}

static bool was_changed_before(const struct disk *d, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(d->changes[k].text, d->changes[i].text) == 0) return true;
    return false;
}

/* Each name: as of a moment between the last sync of the directory and now. */
static void dir_lose(struct disk *d)
{
    for (size_t i = 0; i < d->changes_count; i++) {
        size_t versions = 0;
        if (was_changed_before(d, i)) continue;
        for (size_t k = i; k < d->changes_count; k++)
            versions += strcmp(d->changes[k].text, d->changes[i].text) == 0;
        size_t kept = (size_t)disk_draw(d, versions + 1);
        for (size_t k = i; kept > 0 && k < d->changes_count; k++) {
            if (strcmp(d->changes[k].text, d->changes[i].text) != 0) continue;
            kept--;
            name_find(d->on_disk, d->changes[k].text)->file = d->changes[k].file;
        }
    }
    d->changes_count = 0;
}

/* Files that no name leads to are gone; without this a long run would need many. */
static void collect(struct disk *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->files_count; i++) {
        struct disk_file *f = d->files[i];
        bool is_named = false;
        for (size_t k = 0; k < DISK_NAMES_MAX; k++) is_named = is_named || d->names[k].file == f;
        if (is_named) {
            d->files[kept++] = f;
            continue;
        }
        free(f->seen);
        free(f->durable);
        free(f->writes);
        free(f);
    }
    d->files_count = kept;
}

void disk_lose_power(struct disk *d)
{
    disk_end_process(d);
    dir_lose(d);
    memcpy(d->names, d->on_disk, sizeof d->names);
    collect(d);
    for (size_t i = 0; i < d->files_count; i++) {
        struct disk_file *f = d->files[i];
        file_lose(d, f);
        if (f->room > 0) memcpy(f->seen, f->durable, f->room);
        f->seen_size = f->durable_size;
        file_flush(f);
    }
}

uint8_t *disk_bytes(struct disk *d, const char *name, size_t *size)
{
    struct disk_file *f = name_find(d->names, name)->file;

    if (f == NULL) return NULL;
    *size = f->seen_size;
    return f->seen;
}

void disk_resize(struct disk *d, const char *name, size_t size)
{
    struct disk_name *n = name_find(d->names, name);

    if (n->file == NULL) name_change(d, name, file_new(d));
    file_grow(n->file, size);
    if (size < n->file->seen_size) memset(n->file->seen + size, 0, n->file->seen_size - size);
    n->file->seen_size = size;
    file_flush(n->file);
    dir_flush(d);
}

void disk_remove(struct disk *d, const char *name)
{
    name_change(d, name, NULL);
    dir_flush(d);
}

void disk_copy(struct disk *to, const struct disk *from)
{
    disk_init(to, from->random);
    for (size_t i = 0; i < DISK_NAMES_MAX; i++) {
        const struct disk_file *f = from->names[i].file;
        if (f == NULL) continue;
        disk_resize(to, from->names[i].text, f->seen_size);
        struct disk_file *copy = name_find(to->names, from->names[i].text)->file;
        if (f->seen_size > 0) memcpy(copy->seen, f->seen, f->seen_size);
        file_flush(copy);
    }
}
