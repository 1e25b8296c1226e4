/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_parts - clients of a run, and what is counted of them. Private to bench_*.c.
 *
 * Thread:  a client's worker, but for what the conductor reads at the end (bench_int.h).
 * Memory:  made by bench_setup(), freed by bench_fini().
 * Limits:  bench_options.def.
 * Errors:  none.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_PARTS_H
#define CLI_BENCH_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/bench_conn.h"
#include "cli/bench_flow.h"
#include "cli/bench_track.h"

/* Before the payload; a message of another run is counted as foreign. */
struct payload_head {
    uint32_t run, stream;
    uint64_t seq, intended_ns;
};

struct publisher {
    struct conn conn;
    struct flow flow;
    uint8_t *packet; /* a whole PUBLISH; number, time and packet id are patched in each copy */
    uint32_t packet_bytes, topic_number_at, id_at, payload_at; /* payload_at: packet_bytes when it is empty */
    uint32_t stream;                                           /* of the next message */
    bool listed;          /* on the worker's list of publishers to fill */
    uint64_t quota, sent; /* messages of the whole run */
    uint64_t due;         /* open loop: scheduled and not yet sent */
};

struct subscriber {
    struct conn conn;
    struct track *tracks; /* one for each stream that it gets; of a group, only in what order they came */
    uint64_t *seen;       /* retained: a bit for each stream */
    uint64_t *open_ids;   /* persistent, QoS 2: a bit for each packet id that waits for PUBREL */
    uint64_t got;         /* group, retained: the first time each */
};

/* fleet: who has left, and when it comes back. */
struct away {
    uint64_t back_ns;
    uint32_t index;
};

/* Who tries again, and when. */
struct retry {
    uint64_t at_ns;
    struct conn *conn;
};

struct counts {
    uint64_t sent, acked, delivered; /* delivered: the first time each */
    uint64_t refused, foreign, sessions_lost, redelivered, returns, turned_away;
};

struct mark {
    uint64_t at_ns;
    struct counts counts;
};

/* A delivery that another worker's publisher waits for. */
struct credit {
    uint32_t publisher;
    uint32_t count; /* of consecutive numbers from seq */
    uint64_t seq;
};

struct credits {
    struct credit *at;
    uint32_t len, room;
};

#endif
