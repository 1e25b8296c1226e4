/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PID_BYTES = 12, SEGMENT_BYTES_MIN = 2 * WAL_HEADER_BYTES };

static enum err failed(struct wal *w, struct wal_report *report, const char *what, const char *name)
{
    report->verdict = WAL_FAILED;
    return wal_fail(w, report->text, what, name);
}

static enum err refuse(struct wal_report *report, const char *why)
{
    report->verdict = WAL_FAILED;
    snprintf(report->text, sizeof report->text, "the journal cannot be opened: %s", why);
    return ERR_RANGE;
}

static struct wal *wal_new(const struct wal_conf *conf)
{
    struct wal *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;

    w->io = conf->io != NULL ? conf->io : &wal_io_system;
    w->segment_bytes = conf->segment_bytes != 0 ? conf->segment_bytes : (uint32_t)WAL_SEGMENT_BYTES_DEFAULT;
    w->node_id = conf->node_id;
    w->cluster_id = conf->cluster_id;
    w->groups = conf->groups != 0 ? conf->groups : 1;
    w->durability = conf->durability;
    w->dir_fd = w->lock_fd = w->fd = w->next_fd = -1;
    lock_init(&w->next_lock, LOCK_RANK_WAL_NEXT);
    lock_init(&w->list_lock, LOCK_RANK_WAL_LIST);
    list_init(&w->segments);

    uint32_t room = w->segment_bytes - WAL_HEADER_BYTES;
    w->batch_max = room < WAL_BATCH_BYTES_MAX ? room : (uint32_t)WAL_BATCH_BYTES_MAX;
    w->dir = strdup(conf->dir);
    w->batch = malloc(w->batch_max);
    return w;
}

static void wal_free(struct wal *w)
{
    const struct wal_io *io = w->io;

    if (w->fd >= 0) io->close(io->ctx, w->fd);
    if (w->next_fd >= 0) io->close(io->ctx, w->next_fd);
    if (w->lock_fd >= 0) io->close(io->ctx, w->lock_fd);
    if (w->dir_fd >= 0) io->close(io->ctx, w->dir_fd);
    while (!list_empty(&w->segments))
        wal_segment_drop_locked(w, CONTAINER(w->segments.next, struct wal_segment, link));
    lock_fini(&w->next_lock);
    lock_fini(&w->list_lock);
    free(w->batch);
    free(w->dir);
    free(w);
}

/* The process id in the lock file is for the message only: the lock itself is the kernel's, and ends with its
 * holder however that ends. */
static enum err take_lock(struct wal *w, struct wal_report *report)
{
    const struct wal_io *io = w->io;
    char pid[PID_BYTES + 1] = { 0 };

    w->lock_fd = io->open(io->ctx, w->dir_fd, WAL_LOCK_NAME, O_RDWR | O_CREAT);
    if (w->lock_fd < 0) return failed(w, report, "create", WAL_LOCK_NAME);
    if (io->lock(io->ctx, w->lock_fd) == 0) {
        snprintf(pid, sizeof pid, "%-*ld\n", PID_BYTES - 1, (long)getpid());
        if (io->pwrite(io->ctx, w->lock_fd, pid, PID_BYTES, 0) == PID_BYTES) return ERR_OK;
        return errno == ENOSPC ? ERR_OK : failed(w, report, "write", WAL_LOCK_NAME);
    }
    if (errno != EWOULDBLOCK) return failed(w, report, "lock", WAL_LOCK_NAME);
    if (io->pread(io->ctx, w->lock_fd, pid, PID_BYTES, 0) <= 0) pid[0] = '\0';
    report->verdict = WAL_LOCKED;
    snprintf(report->text, sizeof report->text,
             "%.300s is in use by process %ld: stop it, or choose another directory", w->dir,
             strtol(pid, NULL, 10));
    return ERR_AGAIN;
}

bool wal_is_in_use(const char *dir, long *pid)
{
    const struct wal_io *io = &wal_io_system;
    char text[PID_BYTES + 1] = { 0 };
    int dir_fd = io->open_dir(io->ctx, dir);
    int fd = dir_fd >= 0 ? io->open(io->ctx, dir_fd, WAL_LOCK_NAME, O_RDONLY) : -1;
    bool in_use = fd >= 0 && io->lock(io->ctx, fd) != 0 && errno == EWOULDBLOCK;

    if (in_use && io->pread(io->ctx, fd, text, PID_BYTES, 0) <= 0) text[0] = '\0';
    *pid = strtol(text, NULL, 10);
    if (fd >= 0) io->close(io->ctx, fd);
    if (dir_fd >= 0) io->close(io->ctx, dir_fd);
    return in_use;
}

static enum err open_dir(struct wal *w, struct wal_report *report)
{
    w->dir_fd = w->io->open_dir(w->io->ctx, w->dir);
    return w->dir_fd >= 0 ? ERR_OK : failed(w, report, "open", ".");
}

static enum err check_conf(const struct wal_conf *conf, struct wal_report *report)
{
    uint32_t bytes = conf->segment_bytes;

    if (bytes != 0 && (bytes < SEGMENT_BYTES_MIN || bytes > WAL_SEGMENT_BYTES_MAX))
        return refuse(report, "a segment has 8 KiB to 1 GiB");
    if (conf->groups > WAL_GROUPS_MAX) return refuse(report, "it has at most 64 groups");
    return ERR_OK;
}

enum err wal_open(struct wal **out, const struct wal_conf *conf, struct wal_report *report)
{
    struct wal *w = NULL;

    *out = NULL;
    *report = (struct wal_report){ .verdict = WAL_CLEAN };
    enum err rc = check_conf(conf, report);
    if (rc != ERR_OK) return rc;

    w = wal_new(conf);
    if (w == NULL || w->dir == NULL || w->batch == NULL) {
        refuse(report, "out of memory");
        rc = ERR_NOMEM;
    }
    if (rc == ERR_OK) rc = open_dir(w, report);
    if (rc == ERR_OK) rc = take_lock(w, report);
    if (rc == ERR_OK) rc = wal_recover(w, report);
    if (rc != ERR_OK && w != NULL) {
        wal_free(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

/* Otherwise the next start would have to read it, to see that it was never begun. */
static void remove_next(struct wal *w)
{
    char name[WAL_NAME_BYTES];

    if (w->next_fd < 0) return;
    wal_segment_name(name, w->next_number);
    w->io->unlink(w->io->ctx, w->dir_fd, name);
}

enum err wal_close(struct wal **owner)
{
    struct wal *w = *owner;
    enum err rc = ERR_OK;

    *owner = NULL;
    if (w == NULL) return ERR_OK;
    if (!w->failed && w->fd >= 0 && w->synced < w->end && w->io->fdatasync(w->io->ctx, w->fd) != 0)
        rc = ERR_SYS;
    if (w->failed) rc = ERR_SYS;
    remove_next(w);
    wal_free(w);
    return rc;
}

struct wal_stat wal_stat(struct wal *w)
{
    lock_take(&w->list_lock);
    struct wal_stat stat = w->stat;
    lock_release(&w->list_lock);
    return stat;
}

const char *wal_error(const struct wal *w)
{
    return w->error;
}

const char *wal_upkeep_error(const struct wal *w)
{
    return w->upkeep_error;
}
