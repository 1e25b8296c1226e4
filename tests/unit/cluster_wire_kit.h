/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_wire_kit - frames, notes and records of every type, small and extreme, for tests of their bytes.
 *
 * Thread:  the test's.
 * Memory:  samples point to static values; a blob is a heap block of exactly its bytes.
 * Limits:  KIT_VARIANTS of each.
 * Errors:  CHECK.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_CLUSTER_WIRE_KIT_H
#define UNIT_CLUSTER_WIRE_KIT_H

#include "wire/wire.h"

/* 0: zeros where they are permitted; 1: all different; 2: as large as it can be. */
enum { KIT_SMALL, KIT_MIXED, KIT_EXTREME, KIT_VARIANTS };

enum { KIT_FRAME_TYPES = ZAB_PONG, KIT_RECORD_KINDS = ZAB_RECORD_RELEARN };

struct zab_frame kit_frame(uint8_t type, int variant);
struct zab_record kit_record(uint8_t kind, int variant);
struct zab_note kit_note(int variant);
const struct zab_members *kit_members(int variant);

bool kit_frames_equal(const struct zab_frame *a, const struct zab_frame *b);
bool kit_records_equal(const struct zab_record *a, const struct zab_record *b);

/* An allocation of exactly len bytes, so that a sanitizer sees the first one too many. */
struct kit_blob {
    uint8_t *at;
    uint32_t len;
};

struct kit_blob kit_blob(const struct wire_out *o);
struct kit_blob kit_blob_of(const uint8_t *at, uint32_t len);
void kit_blob_fini(struct kit_blob *b);

static inline struct bytes kit_bytes(struct kit_blob b)
{
    return bytes_of(b.at, b.len);
}

#endif
