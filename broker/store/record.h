/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - a command as bytes of the journal, and back.
 *
 * What a record holds is all that applying and folding it needs, and nothing of who submitted it: no seats,
 * no connection. Numbers are big-endian; strings have a length of two bytes, a payload of four.
 *
 *   u8 kind | u8 format (1) | u64 stamp_ms | u16 node, u32 boot_no, u64 n | u64 session_no | u64 claim_no |
 *   then by kind:
 *   ENQUEUE, FIRE_WILL   message, then by the message's flags (ENQUEUE only): mid, bit 4; u16 in_id, bit 5;
 *               u64 due_ms, bit 6; u32 targets: those that are not skipped
 *   MOVE        u64 seq, u8 retains, message, u32 targets
 *   RETAINED    u64 version, message, one target
 *   CLAIM       u32 expiry_s, client id, u8 has a will: u32 delay_s, u32 expiry_s, message
 *   OFFLINE     u64 sent, u8 keeps its will
 *   EXPIRY      u32 expiry_s
 *   SUBSCRIBE, UNSUBSCRIBE   the filters as in the packet; if bit 31 of their length is set, u32 sub_id
 * before them
 *   GROUP       "$share/NAME/FILTER"
 *   KEEPALIVE   keepalive_rows
 *   ACK, RECEIVED            u64 cursor, u32 open, each u64
 *   RELEASE     u16 in_id
 *   SENT_AS     u64 seq, u16 packet id
 *   END_SESSION, FENCE       nothing
 *
 *   message: u8 flags | u64 expires_ms | u64 from_session | u64 from_client | topic | block | payload
 *   mid:     client id | mid | u32 window_s
 *   target:  u64 session_no | u8 flags | u64 drop_upto, if bit 3
 *   flags:   bits 0-1 QoS, bit 2 retain
 *
 * Thread:  any; no state.
 * Memory:  record_encode borrows the command; record_decode makes a command of its own.
 * Limits:  what a record may hold is the journal's to bound.
 * Errors:  ERR_SYNTAX for bytes that are no record, ERR_UNKNOWN for a kind or format of a later version.
 * Tests:   tests/unit/test_record.c
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/bytes.h"
#include "base/err.h"
#include "store/journal.h"

/* Bytes that record_encode will write. */
size_t record_size(const struct command *c);

/* Writes exactly record_size bytes. */
void record_encode(const struct command *c, uint8_t *to);

/* Whose it is, without decoding the rest; all zero for bytes that are no record. */
struct command_origin record_origin(struct bytes record);

/* A command without seats, whose targets have no shard. One reference. */
enum err record_decode(struct bytes record, struct command **out);

#endif
