/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"
#include "store_sqlite/disk_int.h"
#include <stdlib.h>

/* Commands into the log. One that does not fit into a record goes in parts before it, each with a position of
 * its own; only the last piece makes it a command, so a crash between them leaves nothing. */

static uint8_t *scratch_for(struct store_disk *s, size_t bytes)
{
    if (bytes <= s->scratch_room) return s->scratch;
    uint8_t *grown = realloc(s->scratch, bytes);
    if (grown == NULL) disk_fail(s, "journal", "out of memory");
    s->scratch = grown;
    s->scratch_room = bytes;
    return grown;
}

static void append_piece(struct store_disk *s, enum record_type type, uint64_t position, struct bytes piece)
{
    struct wal_record r = { .type = (uint8_t)type, .first = position, .last = position, .payload = piece };
    r.prev = wal_last(s->wal, 0);
    enum err rc = wal_append(s->wal, &r);
    if (rc == ERR_AGAIN) {
        disk_sync(s);
        rc = wal_append(s->wal, &r);
    }
    if (rc != ERR_OK) disk_fail(s, "journal", wal_error(s->wal));
    s->has_unsynced = true;
}

void disk_append(struct store_disk *s, const struct command *c)
{
    size_t bytes = record_size(c);
    size_t pieces = (bytes + WAL_PAYLOAD_BYTES_MAX - 1) / WAL_PAYLOAD_BYTES_MAX;
    uint8_t *at = scratch_for(s, bytes);
    if (c->kind != COMMAND_ACK) s->is_awaited = true; /* acknowledgements are lazy: they go with the next */
    record_encode(c, at);
    for (size_t i = 0; i < pieces; i++) {
        bool last = i + 1 == pieces;
        size_t from = i * WAL_PAYLOAD_BYTES_MAX;
        size_t n = last ? bytes - from : WAL_PAYLOAD_BYTES_MAX;
        append_piece(s, last ? RECORD_COMMAND : RECORD_PART, c->position - (pieces - 1 - i),
                     bytes_of(at + from, n));
    }
}

void disk_sync(struct store_disk *s)
{
    if (!s->has_unsynced) return;
    enum err rc = wal_sync(s->wal);
    if (rc != ERR_OK) disk_fail(s, "journal", wal_error(s->wal));
    s->has_unsynced = s->is_awaited = false;
}
