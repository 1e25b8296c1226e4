/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with a log, and what the input does to its bytes. Opening must refuse it or give records of the
 * log as they were, in order; then it goes on, and comes back. Forged headers and records have sound
 * checksums: then only the going on is checked. An edit is six bytes: what, file, place (two), how much,
 * value. */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "unit/wal_disk.h"
#include "wal/crc32c.h"
#include "wal/wal.h"
#include <stdio.h>
#include <string.h>

enum { EDIT_BYTES = 6, SEGMENT_BYTES = 8192, FILES = 4, PAYLOAD = 90, LOG_END = 60 };

static struct disk base;

static struct wal_record record(uint64_t n, uint8_t payload[PAYLOAD])
{
    for (unsigned i = 0; i < PAYLOAD; i++) payload[i] = (uint8_t)(n % 3 == 0 ? 0 : n * 7 + i);
    return (struct wal_record){ .type = 1,
                                .first = n,
                                .last = n,
                                .prev = n - 1,
                                .payload = bytes_of(payload, (size_t)(n * 13 % PAYLOAD)) };
}

static struct wal_conf conf_of(struct disk *d)
{
    return (struct wal_conf){ .dir = "memory", .io = &d->io, .segment_bytes = SEGMENT_BYTES, .node_id = 1 };
}

static void append(struct wal *w)
{
    uint8_t payload[PAYLOAD];
    struct wal_record r = record(wal_last(w, 0) + 1, payload);
    r.prev = wal_last(w, 0);
    r.last = r.first = r.prev == UINT64_MAX ? r.prev : r.first;
    CHECK(wal_append(w, &r) == ERR_OK);
    CHECK(wal_sync(w) == ERR_OK);
}

static void base_make(void)
{
    struct disk d;
    struct wal *w;
    struct wal_report report;

    disk_init(&d, 1);
    struct wal_conf conf = conf_of(&d);
    CHECK(wal_open(&w, &conf, &report) == ERR_OK);
    for (unsigned i = 0; i < LOG_END; i++) append(w);
    CHECK(wal_stat(w).segments == 2);
    CHECK(wal_prepare(w) == ERR_OK);
    disk_copy(&base, &d);
    wal_close(&w);
    disk_fini(&d);
}

static void put(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(v >> 8 * i);
}

static void forge_header(uint8_t *at)
{
    put(at + WAL_HEADER_BYTES - 4, crc32c(0, at, WAL_HEADER_BYTES - 4), 4);
}

/* Whatever is there becomes a record with sound checksums, as long as it says or to the end. */
static void forge_record(uint8_t *file, size_t size, size_t place)
{
    uint8_t *at = file + place;
    uint32_t seed, len = 0;

    if (size - place < WAL_HEAD_BYTES + 1) return;
    seed = crc32c(0, file, 52);
    memcpy(&len, at, 4);
    if (len <= WAL_HEAD_BYTES || len > size - place) len = (uint32_t)(size - place);
    put(at, len, 4);
    at[47] = 0xa1;
    at[len - 1] = 0xa5;
    put(at + 40, crc32c(crc32c(crc32c(seed, at, 4), at + 8, 32), at + 44, 4), 4);
    put(at + 4, crc32c(crc32c(seed, at, 4), at + 8, len - 8), 4);
}

/* Did it forge? */
static bool edit(struct disk *d, const uint8_t e[EDIT_BYTES])
{
    char name[DISK_NAME_BYTES];
    size_t size = 0, place, n;

    snprintf(name, sizeof name, "%016x.wal", 1 + e[1] % FILES);
    uint8_t *at = disk_bytes(d, name, &size);
    place = (size_t)e[2] << 8 | e[3];
    if (at == NULL || e[0] % 8 == 0) {
        disk_resize(d, e[0] % 16 == 8 ? "copy.tmp" : name, place % ((size_t)2 * SEGMENT_BYTES));
        return false;
    }
    if (size == 0) return false;
    place %= size;
    n = e[4] < size - place ? e[4] : size - place;
    switch (e[0] % 8) {
    case 1: disk_remove(d, name); return false;
    case 2: at[place] = e[5]; return false;
    case 3: at[place] ^= (uint8_t)(1u << e[5] % 8); return false;
    case 4: memset(at + place, e[5], n); return false;
    case 5: memmove(at + place, at + size - n, n); return false;
    case 6:
        if (size >= WAL_HEADER_BYTES) forge_header(at);
        return size >= WAL_HEADER_BYTES;
    default:
        if (place >= WAL_HEADER_BYTES) forge_record(at, size, place);
        return true;
    }
}

struct seen {
    bool forged;
    uint64_t next;
};

static enum err see(void *arg, const struct wal_record *r)
{
    struct seen *s = arg;
    uint8_t payload[PAYLOAD];

    if (s->forged) return ERR_OK;
    struct wal_record want = record(r->first, payload);
    CHECK(s->next == 0 || s->next == r->first);
    CHECK(r->last == want.last && r->prev == want.prev && r->type == want.type);
    CHECK(bytes_equal(r->payload, want.payload));
    CHECK(r->first <= LOG_END);
    s->next = r->last + 1;
    return ERR_OK;
}

static void go_on(struct disk *d, struct wal *w)
{
    struct wal_conf conf = conf_of(d);
    struct wal_report report;

    append(w);
    append(w);
    uint64_t last = wal_last(w, 0);
    CHECK(wal_close(&w) == ERR_OK);
    disk_lose_power(d);
    CHECK(wal_open(&w, &conf, &report) == ERR_OK);
    CHECK(report.verdict == WAL_CLEAN);
    CHECK(wal_last(w, 0) == last);
    CHECK(wal_close(&w) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen s = { .next = 0 };
    struct disk d;
    struct wal *w;
    struct wal_report report;

    if (base.files_count == 0) base_make();
    disk_copy(&d, &base);
    for (; size >= EDIT_BYTES; data += EDIT_BYTES, size -= EDIT_BYTES)
        if (edit(&d, data)) s.forged = true;

    struct wal_conf conf = conf_of(&d);
    if (wal_open(&w, &conf, &report) == ERR_OK) {
        enum err rc = wal_replay(w, 0, 0, see, &s);
        CHECK(rc == ERR_OK || rc == ERR_NOTFOUND);
        go_on(&d, w);
    } else {
        CHECK(w == NULL && report.text[0] != '\0');
    }
    disk_fini(&d);
    return 0;
}
