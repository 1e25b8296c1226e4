/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "wal/crc32c.h"
#include "wal/wal_int.h"

enum { HEADER_CRC_AT = WAL_HEADER_BYTES - 4, SEED_FROM_BYTES = 52 };

static void put(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get(const uint8_t *at, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v |= (uint64_t)at[i] << 8 * i;
    return v;
}

void wal_header_put(uint8_t at[WAL_HEADER_BYTES], const struct wal *w, struct wal_header *h)
{
    memset(at, 0, WAL_HEADER_BYTES);
    put(at, WAL_MAGIC, 8);
    put(at + 8, WAL_VERSION, 4);
    put(at + 12, w->node_id, 4);
    put(at + 16, w->cluster_id, 8);
    put(at + 24, h->number, 8);
    put(at + 32, h->first, 8);
    put(at + 40, h->salt, 8);
    put(at + 48, h->chain, 4);
    put(at + 52, h->synced, 4);
    h->seed = crc32c(0, at, SEED_FROM_BYTES);
    put(at + HEADER_CRC_AT, crc32c(0, at, HEADER_CRC_AT), 4);
}

bool wal_header_sound(const uint8_t *at)
{
    return get(at, 8) == WAL_MAGIC && get(at + HEADER_CRC_AT, 4) == crc32c(0, at, HEADER_CRC_AT);
}

const char *wal_header_get(const uint8_t *at, const struct wal *w, uint64_t number, struct wal_header *out)
{
    *out = (struct wal_header){ .number = get(at + 24, 8),
                                .first = get(at + 32, 8),
                                .salt = get(at + 40, 8),
                                .chain = (uint32_t)get(at + 48, 4),
                                .synced = (uint32_t)get(at + 52, 4),
                                .seed = crc32c(0, at, SEED_FROM_BYTES) };
    if (get(at + 8, 4) != WAL_VERSION) return "of another version of the format";
    if (get(at + 16, 8) != w->cluster_id) return "of another cluster";
    if (get(at + 12, 4) != w->node_id) return "of another node";
    if (out->number != number) return "of another place in the log: it was renamed";
    return NULL;
}

void wal_record_put(uint8_t *at, const struct wal_record *r)
{
    uint32_t len = (uint32_t)r->payload.len + WAL_RECORD_BYTES_MIN;

    memset(at, 0, WAL_HEAD_BYTES);
    put(at, len, 4);
    put(at + 16, r->first, 8);
    put(at + 24, r->last, 8);
    put(at + 32, r->prev, 8);
    put(at + 44, r->group, 2);
    at[46] = r->type;
    at[47] = WAL_RECORD_VERSION;
    if (r->payload.len > 0) memcpy(at + WAL_HEAD_BYTES, r->payload.at, r->payload.len);
    at[len - 1] = WAL_END_BYTE;
}

/* All but crc, which is in front, and the head's crc itself. */
static uint32_t head_crc(const uint8_t *at, uint32_t seed)
{
    return crc32c(crc32c(crc32c(seed, at, 4), at + 8, 32), at + 44, 4);
}

static uint32_t record_crc(const uint8_t *at, uint32_t seed)
{
    return crc32c(crc32c(seed, at, 4), at + 8, wal_record_bytes(at) - 8);
}

uint32_t wal_record_seal(uint8_t *at, uint32_t seed, uint32_t chain, uint32_t synced)
{
    put(at + 8, chain, 4);
    put(at + 12, synced, 4);
    put(at + 40, head_crc(at, seed), 4);
    uint32_t crc = record_crc(at, seed);
    put(at + 4, crc, 4);
    return crc;
}

uint32_t wal_record_bytes(const uint8_t *at)
{
    return (uint32_t)get(at, 4);
}

uint32_t wal_record_crc(const uint8_t *at)
{
    return (uint32_t)get(at + 4, 4);
}

uint32_t wal_record_chain(const uint8_t *at)
{
    return (uint32_t)get(at + 8, 4);
}

uint32_t wal_record_synced(const uint8_t *at)
{
    return (uint32_t)get(at + 12, 4);
}

static bool head_is_whole(const uint8_t *at, uint32_t seed)
{
    if (at[47] != WAL_RECORD_VERSION) return false;
    uint32_t len = wal_record_bytes(at);
    if (len < WAL_RECORD_BYTES_MIN || len > WAL_RECORD_BYTES_MAX) return false;
    return get(at + 40, 4) == head_crc(at, seed);
}

bool wal_head_sound(const struct wal_image *image, uint32_t offset)
{
    if (image->size < WAL_HEAD_BYTES || offset > image->size - WAL_HEAD_BYTES) return false;
    const uint8_t *at = image->at + offset;
    return head_is_whole(at, image->header.seed) && wal_record_synced(at) <= offset;
}

bool wal_record_is_whole(const uint8_t *at, uint32_t left, uint32_t seed)
{
    if (left < WAL_HEAD_BYTES || !head_is_whole(at, seed)) return false;
    uint32_t len = wal_record_bytes(at);
    return len <= left && at[len - 1] == WAL_END_BYTE && wal_record_crc(at) == record_crc(at, seed);
}

bool wal_record_sound(const struct wal_image *image, uint32_t offset)
{
    if (!wal_head_sound(image, offset)) return false;
    return wal_record_is_whole(image->at + offset, image->size - offset, image->header.seed);
}

void wal_record_get(const uint8_t *at, struct wal_record *out)
{
    *out = (struct wal_record){ .group = (uint16_t)get(at + 44, 2),
                                .type = at[46],
                                .first = get(at + 16, 8),
                                .last = get(at + 24, 8),
                                .prev = get(at + 32, 8),
                                .payload = bytes_of(at + WAL_HEAD_BYTES,
                                                    wal_record_bytes(at) - WAL_RECORD_BYTES_MIN) };
}
