/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/order_wal.h"
#include "base/check.h"
#include "base/failpoint.h"
#include <stdlib.h>
#include <string.h>

enum record_type { RECORD_WHOLE = 1, RECORD_PART = 2, RECORD_FIRST_PART = 3, RECORD_LAST_PART = 4 };

struct order_wal {
    struct wal *wal;
    const struct order_sink *sink;
    uint64_t last;      /* position of the last piece */
    size_t piece_max;   /* bytes */
    size_t pieces_done; /* of a record that was proposed, and did not fit */
    struct bytes parts; /* at boot: of a record that is not whole yet */
};

/* --- at boot */

static enum err gather(struct order_wal *o, struct bytes piece)
{
    size_t bytes = o->parts.len + piece.len;
    uint8_t *grown = realloc((void *)(uintptr_t)o->parts.at, bytes + 1);
    if (grown == NULL) return ERR_NOMEM;
    if (piece.len > 0) memcpy(grown + o->parts.len, piece.at, piece.len);
    o->parts = bytes_of(grown, bytes);
    return ERR_OK;
}

static void forget_parts(struct order_wal *o)
{
    free((void *)(uintptr_t)o->parts.at);
    o->parts = bytes_of(NULL, 0);
}

static enum err replay_record(void *arg, const struct wal_record *r)
{
    struct order_wal *o = arg;
    o->last = r->last;
    if (r->type == RECORD_WHOLE) return o->sink->applied(o->sink->ctx, r->last, r->payload);
    if (r->type == RECORD_FIRST_PART) o->parts.len = 0; /* those before it have no last one */
    enum err rc = gather(o, r->payload);
    if (rc != ERR_OK || r->type != RECORD_LAST_PART) return rc;
    return o->sink->applied(o->sink->ctx, r->last, o->parts);
}

static enum err replay(void *impl, uint64_t after, const struct order_sink *sink)
{
    struct order_wal *o = impl;
    o->sink = sink;
    o->last = after;
    enum err rc = wal_replay(o->wal, 0, after, replay_record, o);
    forget_parts(o);
    return rc;
}

/* --- while it runs */

static void start(void *impl, const struct order_sink *sink)
{
    struct order_wal *o = impl;
    o->sink = sink;
}

static enum err append(struct order_wal *o, enum record_type type, struct bytes piece)
{
    struct wal_record r = { .type = (uint8_t)type,
                            .first = o->last + 1,
                            .last = o->last + 1,
                            .prev = wal_last(o->wal, 0),
                            .payload = piece };
    enum err rc = wal_append(o->wal, &r);
    if (rc == ERR_AGAIN) { /* the batch is full */
        rc = wal_sync(o->wal);
        if (rc == ERR_OK) rc = wal_append(o->wal, &r);
    }
    if (rc == ERR_OK) o->last++;
    return rc;
}

static enum record_type type_of(size_t piece, size_t pieces)
{
    if (pieces == 1) return RECORD_WHOLE;
    if (piece == 0) return RECORD_FIRST_PART;
    return piece + 1 == pieces ? RECORD_LAST_PART : RECORD_PART;
}

static enum err propose(void *impl, struct bytes record)
{
    struct order_wal *o = impl;
    size_t pieces = (record.len + o->piece_max - 1) / o->piece_max;
    while (o->pieces_done < pieces) {
        size_t from = o->pieces_done * o->piece_max;
        bool last = o->pieces_done + 1 == pieces;
        size_t n = last ? record.len - from : o->piece_max;
        enum err rc = append(o, type_of(o->pieces_done, pieces), bytes_of(record.at + from, n));
        if (rc != ERR_OK) return rc;
        o->pieces_done++;
        if (!last && failpoint_is_armed(FAIL_order_part)) rc = wal_sync(o->wal);
        if (rc != ERR_OK) return rc;
        if (!last) failpoint(FAIL_order_part);
    }
    o->pieces_done = 0;
    return o->sink->applied(o->sink->ctx, o->last, record);
}

static enum err settle(void *impl)
{
    struct order_wal *o = impl;
    return wal_sync(o->wal);
}

static void run(void *impl, struct mail *m)
{
    (void)impl;
    (void)m;
    check_failed("mail for an order that sends itself none", __FILE__, __LINE__);
}

/* A segment made ahead spares the journal the wait; without room for one the journal finds out itself. */
static enum err purge(void *impl, uint64_t upto)
{
    struct order_wal *o = impl;
    enum err rc = wal_purge(o->wal, 0, upto + 1);
    if (rc == ERR_OK) rc = wal_prepare(o->wal);
    return rc == ERR_FULL ? ERR_OK : rc;
}

static const char *error(void *impl)
{
    const struct order_wal *o = impl;
    return wal_error(o->wal);
}

static const char *upkeep_error(void *impl)
{
    const struct order_wal *o = impl;
    return wal_upkeep_error(o->wal);
}

static void order_wal_close(void *impl)
{
    struct order_wal *o = impl;
    if (o == NULL) return;
    wal_close(&o->wal);
    forget_parts(o);
    free(o);
}

static const struct order_ops ops = {
    .name = "log",
    .is_alone = true,
    .replay = replay,
    .start = start,
    .propose = propose,
    .settle = settle,
    .run = run,
    .purge = purge,
    .error = error,
    .upkeep_error = upkeep_error,
    .close = order_wal_close,
};

enum err order_wal_open(struct order *out, const struct wal_conf *conf, struct wal_report *report)
{
    *out = (struct order){ NULL, NULL };
    struct order_wal *o = calloc(1, sizeof *o);
    if (o == NULL) return ERR_NOMEM;
    uint32_t segment = conf->segment_bytes != 0 ? conf->segment_bytes : (uint32_t)WAL_SEGMENT_BYTES_DEFAULT;
    size_t room = segment - WAL_HEADER_BYTES - WAL_HEAD_BYTES - 1;
    o->piece_max = room < WAL_PAYLOAD_BYTES_MAX ? room : WAL_PAYLOAD_BYTES_MAX;
    enum err rc = wal_open(&o->wal, conf, report);
    if (rc == ERR_OK)
        *out = (struct order){ &ops, o };
    else
        order_wal_close(o);
    return rc;
}

struct wal_stat order_wal_stat(const struct order *o)
{
    const struct order_wal *impl = o->impl;
    return wal_stat(impl->wal);
}
