/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int wal_read_all(const struct wal *w, int fd, uint8_t *to, uint32_t n, uint32_t at)
{
    uint32_t done = 0;

    while (done < n) {
        ssize_t got = w->io->pread(w->io->ctx, fd, to + done, n - done, (off_t)at + done);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO; /* it had this size a moment ago */
        if (got <= 0) return -1;
        done += (uint32_t)got;
    }
    return 0;
}

static int load(const struct wal *w, int fd, uint32_t bytes_max, struct wal_image *out)
{
    int64_t size = w->io->size(w->io->ctx, fd);

    if (size < 0) return -1;
    if (size > WAL_SEGMENT_BYTES_MAX) {
        errno = EFBIG;
        return -1;
    }
    if (size > bytes_max) size = bytes_max;
    out->size = size < WAL_HEADER_BYTES ? WAL_HEADER_BYTES : (uint32_t)size;
    out->at = malloc(out->size);
    if (out->at == NULL) return -1;
    if (size < WAL_HEADER_BYTES) memset(out->at, 0, WAL_HEADER_BYTES);
    return wal_read_all(w, fd, out->at, (uint32_t)size, 0);
}

int wal_image_load(const struct wal *w, uint64_t number, uint32_t bytes_max, struct wal_image *out)
{
    char name[WAL_NAME_BYTES];

    *out = (struct wal_image){ 0 };
    wal_segment_name(name, number);
    int fd = w->io->open(w->io->ctx, w->dir_fd, name, O_RDONLY);
    if (fd < 0) return -1;
    int rc = load(w, fd, bytes_max, out);
    int why = errno;
    w->io->close(w->io->ctx, fd);
    errno = why;
    return rc;
}

void wal_image_fini(struct wal_image *image)
{
    free(image->at);
    *image = (struct wal_image){ 0 };
}

uint32_t wal_image_used(const struct wal_image *image)
{
    static const uint8_t zeros[4096];
    uint32_t n = image->size;

    while (n >= sizeof zeros && memcmp(image->at + n - sizeof zeros, zeros, sizeof zeros) == 0)
        n -= (uint32_t)sizeof zeros;
    while (n > 0 && image->at[n - 1] == 0) n--;
    return n;
}

struct visit {
    uint64_t after;
    uint16_t group;
    bool begun;
    enum err (*each)(void *arg, const struct wal_record *record);
    void *arg;
};

static enum err visit_record(struct wal *w, struct visit *v, const uint8_t *at)
{
    struct wal_record r;

    wal_record_get(at, &r);
    if (r.group != v->group || r.last <= v->after) return ERR_OK;
    if (!v->begun && r.prev > v->after) {
        snprintf(
            w->error, sizeof w->error,
            "the log in %.300s begins behind position %llu, but from %llu on it is needed: segments are gone",
            w->dir, (unsigned long long)r.prev, (unsigned long long)v->after + 1);
        return ERR_NOTFOUND;
    }
    v->begun = true;
    return v->each(v->arg, &r);
}

/* It was sound when it was opened. */
static enum err changed(struct wal *w, const char *name)
{
    errno = EIO;
    return wal_fail(w, w->error, "read again", name);
}

static enum err visit_records(struct wal *w, struct visit *v, const struct wal_segment *s,
                              const struct wal_image *image)
{
    char name[WAL_NAME_BYTES];
    uint32_t at = WAL_HEADER_BYTES;
    enum err rc = ERR_OK;

    wal_segment_name(name, s->number);
    while (rc == ERR_OK && at < s->end) {
        if (!wal_record_sound(image, at)) return changed(w, name);
        rc = visit_record(w, v, image->at + at);
        at += wal_record_bytes(image->at + at);
    }
    return rc;
}

static enum err visit_segment(struct wal *w, struct visit *v, const struct wal_segment *s)
{
    struct wal_image image;
    struct wal_header header = { 0 };
    char name[WAL_NAME_BYTES];
    enum err rc = ERR_OK;

    wal_segment_name(name, s->number);
    if (wal_image_load(w, s->number, WAL_SEGMENT_BYTES_MAX, &image) != 0)
        rc = wal_fail(w, w->error, "read", name);
    else if (!wal_header_sound(image.at) || wal_header_get(image.at, w, s->number, &header) != NULL)
        rc = changed(w, name);
    image.header = header;
    if (rc == ERR_OK) rc = visit_records(w, v, s, &image);
    wal_image_fini(&image);
    return rc;
}

enum err wal_replay(struct wal *w, uint16_t group, uint64_t after,
                    enum err (*each)(void *arg, const struct wal_record *record), void *arg)
{
    struct visit v = { .after = after, .group = group, .each = each, .arg = arg };
    enum err rc = group < w->groups ? ERR_OK : ERR_RANGE;

    for (struct list *at = w->segments.next; rc == ERR_OK && at != &w->segments; at = at->next) {
        const struct wal_segment *s = CONTAINER(at, struct wal_segment, link);
        if (s->highest[group] > after) rc = visit_segment(w, &v, s);
    }
    return rc;
}
