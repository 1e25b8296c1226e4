/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_int.h"
#include "wal/wal_reader.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { READ_BYTES = 128 * 1024 };

/* The record after `after` begins there, or at the beginning of the next segment. */
struct place {
    uint64_t after, number;
    uint32_t offset;
    uint16_t group;
};

struct wal_reader {
    struct wal *w;
    int fd; /* of segment `number`; -1: none */
    uint64_t number;
    uint32_t seed;
    uint8_t *buffer; /* bytes [from, from + len) of it */
    uint32_t from, len;
    struct place places[WAL_READER_PLACES];
    unsigned oldest;
    char error[WAL_TEXT_BYTES];
};

enum err wal_reader_open(struct wal_reader **out, struct wal *w)
{
    struct wal_reader *r = calloc(1, sizeof *r);

    *out = NULL;
    if (r == NULL) return ERR_NOMEM;
    r->w = w;
    r->fd = -1;
    r->buffer = malloc(WAL_RECORD_BYTES_MAX);
    if (r->buffer == NULL) wal_reader_close(&r);
    *out = r;
    return r != NULL ? ERR_OK : ERR_NOMEM;
}

static void leave_segment(struct wal_reader *r)
{
    if (r->fd >= 0) r->w->io->close(r->w->io->ctx, r->fd);
    r->fd = -1;
    r->from = r->len = 0;
}

void wal_reader_close(struct wal_reader **owner)
{
    struct wal_reader *r = *owner;

    *owner = NULL;
    if (r == NULL) return;
    leave_segment(r);
    free(r->buffer);
    free(r);
}

const char *wal_reader_error(const struct wal_reader *r)
{
    return r->error;
}

/* Says which segment it is about. */
static enum err fail(struct wal_reader *r, const char *what)
{
    char name[WAL_NAME_BYTES];

    wal_segment_name(name, r->number);
    return wal_fail(r->w, r->error, what, name);
}

static enum err changed(struct wal_reader *r)
{
    errno = EIO;
    return fail(r, "read again");
}

/* n bytes at offset, at most a record's; NULL: they cannot be read. What is behind them comes with them, up
 * to the end of what was synced. */
static const uint8_t *view(struct wal_reader *r, uint32_t offset, uint32_t n, uint32_t end)
{
    if (offset >= r->from && offset - r->from <= r->len && n <= r->len - (offset - r->from))
        return r->buffer + (offset - r->from);
    uint32_t more = end - offset < READ_BYTES ? end - offset : (uint32_t)READ_BYTES;
    uint32_t len = n > more ? n : more;
    r->len = 0;
    if (wal_read_all(r->w, r->fd, r->buffer, len, offset) != 0) return NULL;
    r->from = offset;
    r->len = len;
    return r->buffer;
}

static enum err read_header(struct wal_reader *r)
{
    struct wal_header header;
    const uint8_t *at = view(r, 0, WAL_HEADER_BYTES, WAL_HEADER_BYTES);

    if (at == NULL) return fail(r, "read");
    if (!wal_header_sound(at) || wal_header_get(at, r->w, r->number, &header) != NULL) return changed(r);
    r->seed = header.seed;
    return ERR_OK;
}

static enum err enter_segment(struct wal_reader *r, uint64_t number)
{
    const struct wal_io *io = r->w->io;
    char name[WAL_NAME_BYTES];

    if (r->fd >= 0 && r->number == number) return ERR_OK;
    leave_segment(r);
    r->number = number;
    wal_segment_name(name, number);
    r->fd = io->open(io->ctx, r->w->dir_fd, name, O_RDONLY);
    if (r->fd < 0 && errno == ENOENT) return ERR_NOTFOUND;
    if (r->fd < 0) return fail(r, "open");
    enum err rc = read_header(r);
    if (rc != ERR_OK) leave_segment(r); /* the next call tries again */
    return rc;
}

/* The record at p. */
static enum err load(struct wal_reader *r, const struct place *p, uint32_t end, const uint8_t **out)
{
    *out = end - p->offset >= WAL_RECORD_BYTES_MIN ? view(r, p->offset, WAL_RECORD_BYTES_MIN, end) : NULL;
    if (*out == NULL) return changed(r);
    uint32_t len = wal_record_bytes(*out);
    if (len < WAL_RECORD_BYTES_MIN || len > WAL_RECORD_BYTES_MAX || len > end - p->offset) return changed(r);
    *out = view(r, p->offset, len, end);
    if (*out == NULL) return fail(r, "read");
    return wal_record_is_whole(*out, len, r->seed) ? ERR_OK : changed(r);
}

/* From p to the end of its segment. p moves on behind each record that was taken, also when each failed. */
static enum err read_segment(struct wal_reader *r, struct place *p, uint32_t end,
                             enum err (*each)(void *arg, const struct wal_record *record), void *arg)
{
    const uint8_t *at;
    enum err rc = enter_segment(r, p->number);

    while (rc == ERR_OK && p->offset < end) {
        struct wal_record record;
        rc = load(r, p, end, &at);
        if (rc != ERR_OK) break;
        wal_record_get(at, &record);
        if (record.group == p->group && record.last > p->after) {
            rc = each(arg, &record);
            if (rc != ERR_OK) break;
            p->after = record.last;
        }
        p->offset += wal_record_bytes(at);
    }
    return rc;
}

/* The segment that has the next record, not before p's; false: nothing is there yet. */
static bool find_segment(struct wal_reader *r, struct place *p, uint32_t *end)
{
    struct wal *w = r->w;
    const struct wal_segment *found = NULL;

    lock_take(&w->list_lock);
    for (struct list *at = w->segments.next; found == NULL && at != &w->segments; at = at->next) {
        const struct wal_segment *s = CONTAINER(at, struct wal_segment, link);
        if (s->number >= p->number && s->highest[p->group] > p->after) found = s;
    }
    if (found != NULL && found->number != p->number) {
        p->number = found->number;
        p->offset = WAL_HEADER_BYTES;
    }
    if (found != NULL) *end = found->end;
    lock_release(&w->list_lock);
    return found != NULL;
}

static struct place recall(const struct wal_reader *r, uint16_t group, uint64_t after)
{
    for (unsigned i = 0; i < WAL_READER_PLACES; i++) {
        const struct place *p = &r->places[i];
        if (p->number != 0 && p->group == group && p->after == after) return *p;
    }
    return (struct place){ .group = group, .after = after };
}

/* In the place of the one that this call came from, so that each who reads on has one. */
static void remember(struct wal_reader *r, uint64_t began, const struct place *now)
{
    struct place *to = NULL;

    if (now->number == 0) return;
    for (unsigned i = 0; i < WAL_READER_PLACES; i++)
        if (r->places[i].number != 0 && r->places[i].group == now->group && r->places[i].after == began)
            to = &r->places[i];
    if (to == NULL) to = &r->places[r->oldest++ % WAL_READER_PLACES];
    *to = *now;
}

enum err wal_read(struct wal_reader *r, uint16_t group, uint64_t after,
                  enum err (*each)(void *arg, const struct wal_record *record), void *arg)
{
    enum err rc = group < r->w->groups ? ERR_OK : ERR_RANGE;
    uint32_t end;

    if (rc != ERR_OK) return rc;
    struct place p = recall(r, group, after);
    while (rc == ERR_OK && find_segment(r, &p, &end)) rc = read_segment(r, &p, end, each, arg);
    remember(r, after, &p);
    return rc;
}
