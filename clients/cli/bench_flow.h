/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_flow - one publisher's window: which of its messages still wait for a PUBACK or PUBREC and PUBCOMP,
 * or for deliveries.
 *
 * Messages are numbered from 0. The window is the distance from the oldest unfinished one to the next, so a
 * message that nobody finishes holds the publisher back however many later ones are finished: the broker
 * never has more than `window` of them at once.
 *
 * Thread:  one owner.
 * Memory:  twelve bytes for each message of the window.
 * Limits:  window <= FLOW_WINDOW_MAX, so that packet ids of unfinished messages differ.
 * Errors:  none; running out of memory ends the program.
 * Tests:   tests/unit/test_bench_flow.c
 */
#ifndef CLI_BENCH_FLOW_H
#define CLI_BENCH_FLOW_H

#include <stdbool.h>
#include <stdint.h>

enum { FLOW_WINDOW_MAX = 32768, FLOW_IDS = 65535 };

struct flow {
    uint32_t *waits;    /* deliveries still missing, and FLOW_WAITS_*; by number & mask */
    uint64_t *since_ns; /* when each was to be sent; by number & mask */
    uint32_t mask, window;
    uint32_t unacked, unacked_max; /* unacked_max: the peer's Receive Maximum */
    uint64_t oldest, next;
};

void flow_init(struct flow *f, uint32_t window);
void flow_fini(struct flow *f);

static inline uint64_t flow_outstanding(const struct flow *f)
{
    return f->next - f->oldest;
}
static inline bool flow_may_send(const struct flow *f)
{
    return f->next - f->oldest < f->window && f->unacked < f->unacked_max;
}

static inline uint16_t flow_packet_id(uint64_t seq)
{
    return (uint16_t)(seq % FLOW_IDS + 1);
}

/* Opens the next message, to be sent at since_ns, which waits for so many deliveries, and for what its QoS
 * says. Returns its number. */
uint64_t flow_send(struct flow *f, uint32_t deliveries, uint8_t qos, uint64_t since_ns);

/* A PUBACK or PUBCOMP came, for the message of *since_ns. False when no message waits for it, or one whose
 * PUBREC has not come. */
bool flow_ack(struct flow *f, uint16_t packet_id, uint64_t *since_ns);

/* A PUBREC came. False when no message waits for it. */
bool flow_receive(struct flow *f, uint16_t packet_id);

/* One delivery of message seq was made, or given up. One too many, or of a finished message, changes nothing.
 */
void flow_deliver(struct flow *f, uint64_t seq);

#endif
