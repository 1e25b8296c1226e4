/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: the life of a segment. made (zeros, synced, in the directory) -> begun (header, synced) -> written
 * batch by batch -> left, synced, when the next has begun. */
#include "base/failpoint.h"
#include "wal/wal_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

void wal_segment_name(char name[WAL_NAME_BYTES], uint64_t number)
{
    snprintf(name, WAL_NAME_BYTES, WAL_NAME_FORMAT, (unsigned long long)number);
}

enum err wal_fail(const struct wal *w, char text[WAL_TEXT_BYTES], const char *what, const char *name)
{
    int why = errno;
    char reason[128];

    snprintf(text, WAL_TEXT_BYTES, "cannot %s %.300s/%s: %s", what, w->dir, name,
             strerror_r(why, reason, sizeof reason));
    if (why == ENOSPC || why == EDQUOT) return ERR_FULL;
    return why == ENOMEM ? ERR_NOMEM : ERR_SYS;
}

uint32_t wal_write_all(const struct wal *w, int fd, const uint8_t *from, uint32_t n, uint32_t at)
{
    uint32_t done = 0;

    while (done < n) {
        ssize_t got = w->io->pwrite(w->io->ctx, fd, from + done, n - done, (off_t)at + done);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;
        if (got <= 0) break;
        done += (uint32_t)got;
    }
    return done;
}

/* Room that a batch's fdatasync need not ask the file system for: blocks, and zeros in them. A little at a
 * time is under way to the disk, so that the syncs of the active segment need not wait for all of them. */
static enum err fill(struct wal *w, int fd, const char *name, char *error)
{
    static const uint8_t zeros[256 * 1024];
    const struct wal_io *io = w->io;
    uint32_t done = 0;

    if (io->reserve(io->ctx, fd, w->segment_bytes) != 0 && errno != EOPNOTSUPP)
        return wal_fail(w, error, "reserve room for", name);
    while (done < w->segment_bytes) {
        uint32_t n =
            w->segment_bytes - done < sizeof zeros ? w->segment_bytes - done : (uint32_t)sizeof zeros;
        if (wal_write_all(w, fd, zeros, n, done) < n) return wal_fail(w, error, "write", name);
        if (io->write_back != NULL) io->write_back(io->ctx, fd, (off_t)done, (off_t)n);
        done += n;
    }
    failpoint(FAIL_wal_next_filled);
    if (io->fsync(io->ctx, fd) != 0) return wal_fail(w, error, "sync", name);
    failpoint(FAIL_wal_next_synced);
    if (io->fsync(io->ctx, w->dir_fd) != 0) return wal_fail(w, error, "sync the directory of", name);
    return ERR_OK;
}

/* Makes the next segment. Under next_lock. */
static enum err make_next_locked(struct wal *w, char *error)
{
    const struct wal_io *io = w->io;
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, w->next_number);
    int fd = io->open(io->ctx, w->dir_fd, name, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0) return wal_fail(w, error, "create", name);

    failpoint(FAIL_wal_next_created);
    enum err rc = fill(w, fd, name, error);
    if (rc == ERR_OK) {
        failpoint(FAIL_wal_next_made);
        w->next_fd = fd;
        return ERR_OK;
    }
    io->close(io->ctx, fd);
    io->unlink(io->ctx, w->dir_fd, name);
    return rc;
}

enum err wal_prepare(struct wal *w)
{
    lock_take(&w->next_lock);
    enum err rc = w->next_fd >= 0 ? ERR_OK : make_next_locked(w, w->upkeep_error);
    lock_release(&w->next_lock);
    return rc;
}

struct wal_segment *wal_segment_add(struct wal *w, uint64_t number, uint32_t end, uint32_t file_bytes)
{
    struct wal_segment *s = calloc(1, sizeof *s);

    if (s == NULL) return NULL;
    s->number = number;
    s->end = end;
    s->file_bytes = file_bytes;
    lock_take(&w->list_lock);
    list_add(&w->segments, &s->link);
    w->stat.segments++;
    w->stat.disk_bytes += file_bytes;
    lock_release(&w->list_lock);
    return s;
}

void wal_segment_drop_locked(struct wal *w, struct wal_segment *s)
{
    list_remove(&s->link);
    w->stat.segments--;
    w->stat.disk_bytes -= s->file_bytes;
    free(s);
}

static enum err sync_active(struct wal *w)
{
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, w->active->number);
    lock_take(&w->list_lock);
    w->stat.syncs++;
    lock_release(&w->list_lock);
    if (w->io->fdatasync(w->io->ctx, w->fd) == 0) {
        w->synced = w->end;
        return ERR_OK;
    }
    wal_fail(w, w->error, "sync", name);
    w->failed = true; /* also when it says that there is no room: what was written may be lost */
    return ERR_SYS;
}

/* The header must be durable before any record: a batch that is torn would else leave records under none. */
static enum err put_header(struct wal *w, struct wal_header *h)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, h->number);
    wal_header_put(bytes, w, h);
    if (wal_write_all(w, w->next_fd, bytes, sizeof bytes, 0) < sizeof bytes)
        return wal_fail(w, w->error, "write", name);
    failpoint(FAIL_wal_header_written);
    if (w->io->fdatasync(w->io->ctx, w->next_fd) == 0) return ERR_OK;
    wal_fail(w, w->error, "sync", name);
    return ERR_SYS;
}

/* Makes next the active one. Under next_lock. */
static enum err begin_next_locked(struct wal *w)
{
    struct wal_record first;
    wal_record_get(w->batch, &first);
    struct wal_header h = { .number = w->next_number,
                            .first = first.first,
                            .salt = w->io->random(w->io->ctx),
                            .chain = w->chain,
                            .synced = WAL_HEADER_BYTES };

    enum err rc = put_header(w, &h);
    if (rc != ERR_OK) return rc;
    failpoint(FAIL_wal_header_synced);
    struct wal_segment *s = wal_segment_add(w, h.number, WAL_HEADER_BYTES, w->segment_bytes);
    if (s == NULL) return ERR_NOMEM; /* the header is written again */

    if (w->fd >= 0) w->io->close(w->io->ctx, w->fd);
    w->active = s;
    w->fd = w->next_fd;
    w->end = w->synced = WAL_HEADER_BYTES;
    w->seed = h.seed;
    w->next_fd = -1;
    w->next_number++;
    return ERR_OK;
}

/* To the next segment. One that is left is durable whatever the durability, so that only the last can be
 * torn. */
static enum err roll(struct wal *w)
{
    enum err rc = w->fd >= 0 && w->synced < w->end ? sync_active(w) : ERR_OK;
    bool waits = false;

    if (rc != ERR_OK) return rc;
    failpoint(FAIL_wal_roll_left);
    lock_take(&w->next_lock);
    if (w->next_fd < 0) {
        waits = true;
        rc = make_next_locked(w, w->error);
    }
    if (rc == ERR_OK) rc = begin_next_locked(w);
    lock_release(&w->next_lock);

    lock_take(&w->list_lock);
    w->stat.waits += waits;
    w->stat.syncs += rc == ERR_OK;
    lock_release(&w->list_lock);
    return rc;
}

/* Gives the records of the batch their chain. The chain that follows it is the result. */
static uint32_t seal_batch(struct wal *w)
{
    uint32_t chain = w->chain;

    for (uint32_t at = 0; at < w->batch_len; at += wal_record_bytes(w->batch + at))
        chain = wal_record_seal(w->batch + at, w->seed, chain, w->synced);
    return chain;
}

static enum err write_batch(struct wal *w)
{
    char name[WAL_NAME_BYTES];
    uint32_t written = 0;

    failpoint(FAIL_wal_batch_begun);
    if (failpoint_is_armed(FAIL_wal_batch_half)) {
        written = wal_write_all(w, w->fd, w->batch, w->batch_len / 2, w->end);
        failpoint(FAIL_wal_batch_half);
    }
    written += wal_write_all(w, w->fd, w->batch + written, w->batch_len - written, w->end + written);
    if (written == w->batch_len) return ERR_OK;
    wal_segment_name(name, w->active->number);
    enum err rc = wal_fail(w, w->error, "write", name);
    return written == 0 ? rc : ERR_SYS;
}

/* What was written is part of the log now. */
static void take_note(struct wal *w)
{
    lock_take(&w->list_lock);
    w->active->end = w->end;
    for (unsigned g = 0; g < w->groups; g++)
        if (w->batch_highest[g] > w->active->highest[g]) w->active->highest[g] = w->batch_highest[g];
    w->stat.batches++;
    w->stat.appends += w->batch_records;
    w->stat.bytes += w->batch_len;
    lock_release(&w->list_lock);
    memcpy(w->written, w->appended, sizeof w->written);
    wal_discard(w);
}

enum err wal_sync(struct wal *w)
{
    enum err rc = ERR_OK;

    if (w->failed) return ERR_SYS;
    if (w->batch_len == 0) return ERR_OK;
    if (w->fd < 0 || w->batch_len > w->active->file_bytes - w->end) rc = roll(w);
    if (rc == ERR_OK) {
        uint32_t chain = seal_batch(w);
        rc = write_batch(w);
        if (rc == ERR_OK) {
            w->chain = chain;
            w->end += w->batch_len;
            failpoint(FAIL_wal_batch_written);
        }
    }
    if (rc == ERR_OK && w->durability == WAL_DISK) rc = sync_active(w);
    if (rc == ERR_OK) {
        failpoint(FAIL_wal_batch_synced);
        take_note(w);
    }
    if (rc != ERR_OK && rc != ERR_FULL && rc != ERR_NOMEM) w->failed = true;
    return w->failed ? ERR_SYS : rc;
}

enum err wal_append(struct wal *w, const struct wal_record *r)
{
    if (r->payload.len > WAL_PAYLOAD_BYTES_MAX || r->group >= w->groups || r->first > r->last || r->type == 0)
        return ERR_RANGE;
    struct wal_group *g = &w->appended[r->group];
    uint32_t len = (uint32_t)r->payload.len + WAL_RECORD_BYTES_MIN;

    if (len > w->batch_max || (g->known && r->prev != g->last)) return ERR_RANGE;
    if (len > w->batch_max - w->batch_len) return ERR_AGAIN;
    wal_record_put(w->batch + w->batch_len, r);
    w->batch_len += len;
    w->batch_records++;
    *g = (struct wal_group){ r->last, true };
    if (r->last > w->batch_highest[r->group]) w->batch_highest[r->group] = r->last;
    return ERR_OK;
}

void wal_discard(struct wal *w)
{
    memcpy(w->appended, w->written, sizeof w->appended);
    memset(w->batch_highest, 0, sizeof w->batch_highest);
    w->batch_len = w->batch_records = 0;
}

uint64_t wal_last(const struct wal *w, uint16_t group)
{
    return w->appended[group].last;
}
