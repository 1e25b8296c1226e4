/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/backup_int.h"
#include "wal/crc32c.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024 };

enum err folder_fail(const struct folder *f, const char *what, const char *name, char *text)
{
    int why = errno;
    char reason[128];

    snprintf(text, BACKUP_TEXT_BYTES, "cannot %s %.400s%s%s: %s", what, f->path, name[0] != '\0' ? "/" : "",
             name, strerror_r(why, reason, sizeof reason));
    return why == ENOMEM ? ERR_NOMEM : ERR_SYS;
}

enum err folder_open(struct folder *f, const char *path, char *text)
{
    f->path = path;
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->fd >= 0 ? ERR_OK : folder_fail(f, "open the directory", "", text);
}

enum err folder_make(struct folder *f, const char *path, char *text)
{
    f->path = path;
    f->is_made = mkdir(path, 0700) == 0;
    if (!f->is_made && errno != EEXIST) return folder_fail(f, "make the directory", "", text);
    return folder_open(f, path, text);
}

enum err folder_each(const struct folder *f, enum err (*each)(void *arg, const char *name), void *arg,
                     char *text)
{
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    enum err rc = ERR_OK;

    if (d == NULL) {
        if (fd >= 0) close(fd);
        return folder_fail(f, "list", "", text);
    }
    errno = 0;
    for (struct dirent *e = readdir(d); rc == ERR_OK && e != NULL; e = rc == ERR_OK ? readdir(d) : NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) rc = each(arg, e->d_name);
        errno = 0;
    }
    if (rc == ERR_OK && errno != 0) rc = folder_fail(f, "list", "", text);
    closedir(d);
    return rc;
}

struct search {
    const struct folder *f;
    char *text;
};

static enum err refuse_content(void *arg, const char *name)
{
    struct search *s = arg;
    if (strcmp(name, BACKUP_LOCK_NAME) == 0) return ERR_OK;
    snprintf(
        s->text, BACKUP_TEXT_BYTES,
        "%.400s is not empty, '%.200s' is in it: name a directory that is new or empty, or move away what is "
        "there",
        s->f->path, name);
    return ERR_FULL;
}

enum err folder_check_empty(const struct folder *f, char *text)
{
    struct search s = { f, text };
    return folder_each(f, refuse_content, &s, text);
}

enum err folder_sync(const struct folder *f, char *text)
{
    if (fsync(f->fd) != 0) return folder_fail(f, "sync the directory", "", text);
    if (!f->is_made) return ERR_OK;
    int parent = openat(f->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err rc = parent >= 0 && fsync(parent) == 0 ? ERR_OK : folder_fail(f, "sync", "..", text);
    if (parent >= 0) close(parent);
    return rc;
}

static enum err remove_file(void *arg, const char *name)
{
    const struct folder *f = arg;
    unlinkat(f->fd, name, 0); /* what cannot be removed is seen: the directory stays */
    return ERR_OK;
}

void folder_undo(struct folder *f)
{
    char text[BACKUP_TEXT_BYTES];
    if (f->fd >= 0) folder_each(f, remove_file, f, text);
    if (f->is_made) rmdir(f->path);
}

void folder_close(struct folder *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

int folder_create(const struct folder *f, const char *name)
{
    struct stat s;
    int fd = openat(f->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || geteuid() != 0) return fd;
    if (fstat(f->fd, &s) == 0 && (s.st_uid == 0 || fchown(fd, s.st_uid, s.st_gid) == 0)) return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int write_all(int fd, const void *from, size_t n)
{
    const char *at = from;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return -1;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

/* What `from` holds goes to `to`, if there is one, and is measured. -1: reading failed; -2: writing. */
static int pass(int from, int to, struct manifest_file *file)
{
    static _Thread_local uint8_t block[BLOCK_BYTES];

    file->bytes = 0;
    file->crc = 0;
    for (;;) {
        ssize_t n = read(from, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0 ? 0 : -1;
        file->crc = crc32c(file->crc, block, (size_t)n);
        file->bytes += (uint64_t)n;
        if (to >= 0 && write_all(to, block, (size_t)n) != 0) return -2;
    }
}

enum err folder_measure(const struct folder *f, const char *name, struct manifest_file *out, char *text)
{
    snprintf(out->name, sizeof out->name, "%s", name);
    int fd = openat(f->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    enum err rc = fd >= 0 && pass(fd, -1, out) == 0 ? ERR_OK : folder_fail(f, "read", name, text);
    if (fd >= 0) close(fd);
    return rc;
}

enum err folder_copy(const struct folder *from, const struct folder *to, const char *as,
                     struct manifest_file *file, char *text)
{
    enum err rc = ERR_OK;
    int target = -1, source = openat(from->fd, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (source < 0) rc = folder_fail(from, "read", file->name, text);
    if (rc == ERR_OK) target = folder_create(to, as);
    if (rc == ERR_OK && target < 0) rc = folder_fail(to, "create", as, text);
    int done = rc == ERR_OK ? pass(source, target, file) : 0;
    if (done == -1) rc = folder_fail(from, "read", file->name, text);
    if (done == -2) rc = folder_fail(to, "write", as, text);
    if (rc == ERR_OK && fsync(target) != 0) rc = folder_fail(to, "sync", as, text);
    if (source >= 0) close(source);
    if (target >= 0) close(target);
    return rc;
}

enum err folder_write(const struct folder *f, const char *name, const char *content, char *text)
{
    int fd = folder_create(f, name);

    if (fd < 0) return folder_fail(f, "create", name, text);
    bool is_written = write_all(fd, content, strlen(content)) == 0 && fsync(fd) == 0;
    enum err rc = is_written ? ERR_OK : folder_fail(f, "write", name, text);
    close(fd);
    return rc;
}

enum err folder_rename(const struct folder *f, const char *name, char *text)
{
    char new_name[MANIFEST_NAME_BYTES + sizeof BACKUP_NEW_SUFFIX];
    snprintf(new_name, sizeof new_name, "%s%s", name, BACKUP_NEW_SUFFIX);
    return renameat(f->fd, new_name, f->fd, name) == 0 ? ERR_OK : folder_fail(f, "create", name, text);
}
