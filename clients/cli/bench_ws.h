/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ws - WebSocket below a connection of the load generator: just enough for a broker that does all
 * right.
 *
 * The request goes together with the first frame. All output of one write is one frame, its mask is zero: the
 * broker has the same to do, and this program less.
 *
 * Thread:  the connection's owner.
 * Memory:  a value.
 * Limits:  none.
 * Errors:  ERR_SYNTAX: the broker's answer is not 101.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_WS_H
#define CLI_BENCH_WS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "cli/bench_wire.h"

enum { BENCH_WS_HEAD_MAX = 14 };

struct bench_ws {
    bool is_on;
    bool is_open; /* 101 has come */
    bool skips;   /* the frame that comes is none of data */
    uint8_t seen, matched;
    uint8_t in_head[BENCH_WS_HEAD_MAX], in_head_bytes;
    uint8_t out_head[BENCH_WS_HEAD_MAX], out_head_bytes, out_head_sent;
    uint16_t request_sent;
    uint64_t in_left, out_left; /* payload of the frame that comes, of the frame that goes */
};

/* As send: gives how much of the payload has gone. */
ssize_t bench_ws_send(struct bench_ws *ws, struct bench_wire *wire, const uint8_t *at, uint32_t len);

/* Leaves of the n bytes at `at` what is MQTT's; *n is how much that is. */
enum err bench_ws_take(struct bench_ws *ws, uint8_t *at, size_t *n);

#endif
