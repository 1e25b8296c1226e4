/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: everything is read and judged before anything is changed.
 *
 *   1. the numbers of the segments                                   list_numbers
 *   2. those at the end that were made and not begun; no gaps before drop_unused, check_gaps
 *   3. each record of each segment, in the order of the chain        read_segments
 *   4. what follows the last sound record of the last segment        judge_end
 *   5. only now: unused and emptied segments are removed, and the
 *      records of the segment that was in use are copied             mend
 *
 * What a crash leaves of a batch that was not synced: each sector has its old bytes or its new ones. The old
 * ones are zeros, from the last durable record on. So a record that is bad although no sector of it is
 * missing was damaged later, even if nothing follows it.
 */
#include "base/failpoint.h"
#include "wal/wal_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECTOR_BYTES = 512 };

struct recovery {
    struct wal *w;
    struct wal_report *report;
    uint64_t *numbers;
    size_t count, unused; /* unused ones follow the count */
    bool has_copy;
    struct wal_image last; /* the last one that was begun */
    uint32_t chain, stop;  /* behind the last sound record: its crc, its place */
};

static enum err failed(struct recovery *r, const char *what, const char *name)
{
    r->report->verdict = WAL_FAILED;
    return wal_fail(r->w, r->report->text, what, name);
}

static enum err damaged(struct recovery *r, uint64_t number, uint32_t offset, const char *why)
{
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, number);
    r->report->verdict = WAL_DAMAGED;
    snprintf(r->report->text, sizeof r->report->text,
             "%.300s/%s is damaged at offset %u: %s. Nothing was changed; restore a backup of the directory",
             r->w->dir, name, (unsigned)offset, why);
    return ERR_SYNTAX;
}

static enum err foreign(struct recovery *r, uint64_t number, const char *why)
{
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, number);
    r->report->verdict = WAL_FOREIGN;
    snprintf(r->report->text, sizeof r->report->text,
             "%.300s/%s is %s. Nothing was changed; check the directory", r->w->dir, name, why);
    return ERR_RANGE;
}

static enum err list_numbers(struct recovery *r)
{
    struct wal_numbers all;

    if (wal_numbers_list(r->w, &all) != 0) return failed(r, "list", ".");
    r->numbers = all.at;
    r->count = all.count;
    r->has_copy = all.has_copy;
    return ERR_OK;
}

static enum err load(struct recovery *r, uint64_t number, uint32_t bytes_max, struct wal_image *out)
{
    char name[WAL_NAME_BYTES];

    if (wal_image_load(r->w, number, bytes_max, out) == 0) return ERR_OK;
    enum err rc = ERR_OK;
    if (errno == EFBIG) {
        rc = damaged(r, number, WAL_SEGMENT_BYTES_MAX, "no segment is that long");
    } else {
        wal_segment_name(name, number);
        rc = failed(r, "read", name);
    }
    wal_image_fini(out);
    return rc;
}

/* A header is synced before the first record is written: without one, and with nothing behind it, a segment
 * was never begun. */
static enum err is_unused(struct recovery *r, uint64_t number, bool *yes)
{
    struct wal_image image;

    *yes = false;
    enum err rc = load(r, number, WAL_HEADER_BYTES, &image);
    bool is_begun = rc != ERR_OK || wal_header_sound(image.at);
    wal_image_fini(&image);
    if (is_begun) return rc;
    rc = load(r, number, WAL_SEGMENT_BYTES_MAX, &image);
    *yes = rc == ERR_OK && wal_image_used(&image) <= WAL_HEADER_BYTES;
    wal_image_fini(&image);
    return rc;
}

static enum err drop_unused(struct recovery *r)
{
    enum err rc = ERR_OK;
    bool unused = true;

    while (rc == ERR_OK && unused && r->count > 0) {
        rc = is_unused(r, r->numbers[r->count - 1], &unused);
        r->count -= unused;
        r->unused += unused;
    }
    return rc;
}

static enum err check_gaps(struct recovery *r)
{
    for (size_t i = 1; i < r->count; i++)
        if (r->numbers[i] != r->numbers[i - 1] + 1)
            return damaged(r, r->numbers[i - 1] + 1, 0, "the file is missing, later ones are there");
    return ERR_OK;
}

static enum err note_record(struct recovery *r, struct wal_segment *s, const uint8_t *at)
{
    struct wal *w = r->w;
    struct wal_record record;

    wal_record_get(at, &record);
    if (record.group >= w->groups) return damaged(r, s->number, s->end, "a group that is not configured");
    struct wal_group *g = &w->written[record.group];
    if (g->known && g->last != record.prev)
        return damaged(r, s->number, s->end, "a position is missing before");
    *g = (struct wal_group){ record.last, true };
    if (record.last > s->highest[record.group]) s->highest[record.group] = record.last;
    r->report->records++;
    return ERR_OK;
}

/* The sound records of a segment; they end at r->stop. */
static enum err read_records(struct recovery *r, const struct wal_image *image, struct wal_segment *s)
{
    enum err rc = ERR_OK;

    while (rc == ERR_OK && wal_record_sound(image, s->end)) {
        const uint8_t *at = image->at + s->end;
        if (wal_record_chain(at) != r->chain)
            return damaged(r, s->number, s->end, "it is not behind the record before");
        rc = note_record(r, s, at);
        r->chain = wal_record_crc(at);
        s->end += wal_record_bytes(at);
    }
    r->stop = s->end;
    if (rc == ERR_OK && s->end < image->header.synced)
        rc = damaged(r, s->number, s->end, "a record that was durable is bad");
    return rc;
}

/* The segment i, in r->last. */
static enum err read_segment(struct recovery *r, size_t i)
{
    struct wal_header *h = &r->last.header;
    uint64_t number = r->numbers[i];

    if (!wal_header_sound(r->last.at)) return damaged(r, number, 0, "its header is bad");
    const char *why = wal_header_get(r->last.at, r->w, number, h);
    if (why != NULL) return foreign(r, number, why);
    if (i > 0 && h->chain != r->chain)
        return damaged(r, number - 1, r->stop, "records that the next segment follows are bad or missing");
    r->chain = h->chain;

    struct wal_segment *s = wal_segment_add(r->w, number, WAL_HEADER_BYTES, r->last.size);
    if (s == NULL) {
        errno = ENOMEM;
        return failed(r, "read", "a segment");
    }
    return read_records(r, &r->last, s);
}

static enum err read_segments(struct recovery *r)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < r->count; i++) {
        wal_image_fini(&r->last);
        rc = load(r, r->numbers[i], WAL_SEGMENT_BYTES_MAX, &r->last);
        if (rc == ERR_OK) rc = read_segment(r, i);
    }
    return rc;
}

static bool all_zero(const struct wal_image *image, uint32_t from, uint32_t to)
{
    while (from < to && image->at[from] == 0) from++;
    return from >= to;
}

/* Can the bad record at stop be one of which something never reached the disk? Its end did not, or a sector.
 */
static bool is_incomplete(const struct wal_image *image, uint32_t stop, uint32_t used)
{
    uint32_t len = wal_head_sound(image, stop) ? wal_record_bytes(image->at + stop) : WAL_HEAD_BYTES;

    if (used - stop < len) return true;
    uint32_t end = stop + len;
    for (uint32_t from = stop; from < end; from = (from / SECTOR_BYTES + 1) * SECTOR_BYTES) {
        uint32_t to = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
        if (all_zero(image, from, to < image->size ? to : image->size)) return true;
    }
    return false;
}

/* Was something written when the bytes at stop were durable? Looks at every place where a head could be. */
static bool has_later_record(const struct wal_image *image, uint32_t stop, uint32_t used)
{
    for (uint32_t at = stop + 1; at < used; at++)
        if (wal_head_sound(image, at) && wal_record_synced(image->at + at) > stop) return true;
    return false;
}

static enum err judge_end(struct recovery *r)
{
    uint64_t number = r->count > 0 ? r->numbers[r->count - 1] : 0;
    uint32_t used = r->count > 0 ? wal_image_used(&r->last) : 0;
    char name[WAL_NAME_BYTES];

    if (used <= r->stop) return ERR_OK;
    if (wal_record_sound(&r->last, r->stop))
        return damaged(r, number, r->stop, "it is not behind the record before");
    if (has_later_record(&r->last, r->stop, used))
        return damaged(r, number, r->stop, "a bad record, and later ones");
    if (!is_incomplete(&r->last, r->stop, used))
        return damaged(r, number, r->stop, "a bad record that is complete");
    wal_segment_name(name, number);
    r->report->verdict = WAL_TORN;
    r->report->torn_bytes = used - r->stop;
    snprintf(r->report->text, sizeof r->report->text,
             "%.300s/%s ends in a batch that was never durable: %u bytes from offset %u on were dropped",
             r->w->dir, name, (unsigned)(used - r->stop), (unsigned)r->stop);
    return ERR_OK;
}

/* The records up to stop as a file of their own, with a header that says that all of it is durable: it is
 * before it takes the name of the old one. The bytes of the records stay the same, and with them the chain to
 * a next segment: one that was removed may come back when the power is lost. */
static enum err write_copy(struct recovery *r, int fd)
{
    const struct wal_io *io = r->w->io;
    struct wal_header h = r->last.header;

    h.synced = r->stop;
    wal_header_put(r->last.at, r->w, &h);
    if (wal_write_all(r->w, fd, r->last.at, r->stop, 0) < r->stop) return failed(r, "write", WAL_COPY_NAME);
    failpoint(FAIL_wal_copy_written);
    if (io->fsync(io->ctx, fd) != 0) return failed(r, "sync", WAL_COPY_NAME);
    failpoint(FAIL_wal_copy_synced);
    return ERR_OK;
}

static enum err copy_last(struct recovery *r)
{
    const struct wal_io *io = r->w->io;
    struct wal_segment *s = CONTAINER(r->w->segments.prev, struct wal_segment, link);
    char name[WAL_NAME_BYTES];

    int fd = io->open(io->ctx, r->w->dir_fd, WAL_COPY_NAME, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0) return failed(r, "create", WAL_COPY_NAME);
    failpoint(FAIL_wal_copy_created);
    enum err rc = write_copy(r, fd);
    io->close(io->ctx, fd);
    wal_segment_name(name, s->number);
    if (rc == ERR_OK && io->rename(io->ctx, r->w->dir_fd, WAL_COPY_NAME, name) != 0)
        rc = failed(r, "replace", name);
    if (rc == ERR_OK) failpoint(FAIL_wal_copy_renamed);
    if (rc == ERR_OK && io->fsync(io->ctx, r->w->dir_fd) != 0) rc = failed(r, "sync the directory of", name);
    if (rc != ERR_OK) {
        io->unlink(io->ctx, r->w->dir_fd, WAL_COPY_NAME);
        return rc;
    }
    failpoint(FAIL_wal_copy_done);
    r->w->stat.disk_bytes -= s->file_bytes - r->stop;
    s->file_bytes = r->stop;
    return ERR_OK;
}

static enum err remove_file(struct recovery *r, const char *name)
{
    if (r->w->io->unlink(r->w->io->ctx, r->w->dir_fd, name) != 0) return failed(r, "remove", name);
    return ERR_OK;
}

static enum err remove_segment(struct recovery *r, uint64_t number)
{
    char name[WAL_NAME_BYTES];
    wal_segment_name(name, number);
    return remove_file(r, name);
}

/* A whole copy that an earlier recovery made. Its name may be in the cache only. */
static enum err keep_copy(struct recovery *r)
{
    return r->w->io->fsync(r->w->io->ctx, r->w->dir_fd) == 0 ? ERR_OK : failed(r, "sync", ".");
}

static enum err mend(struct recovery *r)
{
    struct wal *w = r->w;
    failpoint(FAIL_wal_recover_judged);
    enum err rc = r->has_copy ? remove_file(r, WAL_COPY_NAME) : ERR_OK;

    /* No sync of the directory for what is removed: if it comes back, it is unused or empty again. */
    for (; rc == ERR_OK && r->unused > 0; r->unused--) {
        rc = remove_segment(r, r->numbers[r->count + r->unused - 1]);
        failpoint(FAIL_wal_recover_unused);
    }
    if (rc != ERR_OK || r->count == 0) return rc;
    if (r->stop > WAL_HEADER_BYTES)
        return r->stop == r->last.size && r->last.header.synced == r->stop ? keep_copy(r) : copy_last(r);

    rc = remove_segment(r, r->numbers[r->count - 1]);
    failpoint(FAIL_wal_recover_empty);
    if (rc == ERR_OK) wal_segment_drop_locked(w, CONTAINER(w->segments.prev, struct wal_segment, link));
    return rc;
}

enum err wal_recover(struct wal *w, struct wal_report *report)
{
    struct recovery r = { .w = w, .report = report };

    enum err rc = list_numbers(&r);
    if (rc == ERR_OK) rc = drop_unused(&r);
    if (rc == ERR_OK) rc = check_gaps(&r);
    if (rc == ERR_OK) rc = read_segments(&r);
    if (rc == ERR_OK) rc = judge_end(&r);
    if (rc == ERR_OK) rc = mend(&r);
    if (rc == ERR_OK) {
        struct wal_segment *s =
            list_empty(&w->segments) ? NULL : CONTAINER(w->segments.prev, struct wal_segment, link);
        w->chain = r.chain;
        w->next_number = s == NULL ? 1 : s->number + 1;
        memcpy(w->appended, w->written, sizeof w->appended);
    }
    report->segments = w->stat.segments;
    wal_image_fini(&r.last);
    free(r.numbers);
    return rc;
}
