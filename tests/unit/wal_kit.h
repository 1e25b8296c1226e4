/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_kit - records whose content follows from their position, and a log of them on a disk in memory.
 *
 * Thread:  one.
 * Memory:  static scratch; a log is the caller's.
 * Limits:  KIT_PAYLOAD_MAX bytes a payload.
 * Errors:  a failed check ends the case.
 * Tests:   it is for tests.
 */
#ifndef UNIT_WAL_KIT_H
#define UNIT_WAL_KIT_H

#include "kit/test.h"
#include "unit/wal_disk.h"
#include "wal/wal.h"

enum { KIT_PAYLOAD_MAX = 700, KIT_SEGMENT_BYTES = 8192, KIT_NODE = 7, KIT_CLUSTER = 99 };

/* Every third record spans three positions; every fifth payload is of zeros. */
static inline uint64_t kit_span(uint64_t first)
{
    return first % 3 == 0 ? 2 : 0;
}

static inline struct wal_record kit_record(uint64_t first, uint64_t prev)
{
    static uint8_t bytes[KIT_PAYLOAD_MAX];
    size_t len = (size_t)(first * 2654435761u >> 9) % (KIT_PAYLOAD_MAX + 1);

    for (size_t i = 0; i < len; i++) bytes[i] = first % 5 == 0 ? 0 : (uint8_t)(first * 31 + i * 7);
    return (struct wal_record){ .type = (uint8_t)(1 + first % 200),
                                .first = first,
                                .last = first + kit_span(first),
                                .prev = prev,
                                .payload = bytes_of(bytes, len) };
}

static inline bool kit_is_record(const struct wal_record *r)
{
    struct wal_record want = kit_record(r->first, r->prev);
    return r->last == want.last && r->type == want.type && r->group == 0 &&
           bytes_equal(r->payload, want.payload);
}

static inline struct wal_conf kit_conf(struct disk *d)
{
    return (struct wal_conf){ .dir = "memory",
                              .io = &d->io,
                              .segment_bytes = KIT_SEGMENT_BYTES,
                              .node_id = KIT_NODE,
                              .cluster_id = KIT_CLUSTER };
}

static inline struct wal *kit_open(struct disk *d, enum wal_verdict verdict)
{
    struct wal_conf conf = kit_conf(d);
    struct wal_report report;
    struct wal *w = NULL;

    if (wal_open(&w, &conf, &report) != ERR_OK) print_error("%s\n", report.text);
    CHECK_TRUE(w != NULL);
    CHECK_INT(verdict, report.verdict);
    return w;
}

static inline enum err kit_append(struct wal *w)
{
    uint64_t last = wal_last(w, 0);
    struct wal_record r = kit_record(last + 1, last);
    return wal_append(w, &r);
}

/* So many records, each in a batch of its own. */
static inline void kit_write(struct wal *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        CHECK_INT(ERR_OK, kit_append(w));
        CHECK_INT(ERR_OK, wal_sync(w));
    }
}

struct kit_seen {
    uint64_t first, last; /* of what was read */
    unsigned count;
    bool is_wrong;
};

static inline enum err kit_see(void *arg, const struct wal_record *r)
{
    struct kit_seen *s = arg;

    if (!kit_is_record(r) || r->prev != r->first - 1) s->is_wrong = true;
    if (s->count == 0)
        s->first = r->first;
    else if (r->prev != s->last)
        s->is_wrong = true;
    s->last = r->last;
    s->count++;
    return ERR_OK;
}

static inline struct kit_seen kit_read(struct wal *w, uint64_t after)
{
    struct kit_seen s = { .last = after };
    CHECK_INT(ERR_OK, wal_replay(w, 0, after, kit_see, &s));
    CHECK_TRUE(!s.is_wrong);
    return s;
}

#endif
