/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_flow.h"

#include <stdlib.h>

#include "base/check.h"

static const uint32_t FLOW_WAITS_ACK = UINT32_C(1) << 31;

void flow_init(struct flow *f, uint32_t window)
{
    CHECK(window >= 1);
    CHECK(window <= FLOW_WINDOW_MAX);
    uint32_t slots = 1;
    while (slots < window) slots *= 2;
    *f = (struct flow){ .mask = slots - 1, .window = window, .unacked_max = FLOW_IDS };
    f->waits = calloc(slots, sizeof *f->waits);
    f->since_ns = calloc(slots, sizeof *f->since_ns);
    CHECK(f->waits != NULL);
    CHECK(f->since_ns != NULL);
}

void flow_fini(struct flow *f)
{
    free(f->waits);
    free(f->since_ns);
    *f = (struct flow){ 0 };
}

static void finish_oldest(struct flow *f)
{
    while (f->oldest < f->next && f->waits[f->oldest & f->mask] == 0) f->oldest++;
}

uint64_t flow_send(struct flow *f, uint32_t deliveries, bool wants_ack, uint64_t since_ns)
{
    DCHECK(flow_may_send(f));
    uint64_t seq = f->next++;
    f->waits[seq & f->mask] = deliveries | (wants_ack ? FLOW_WAITS_ACK : 0);
    f->since_ns[seq & f->mask] = since_ns;
    if (wants_ack) f->unacked++;
    finish_oldest(f); /* with nothing to wait for it is finished already */
    return seq;
}

bool flow_ack(struct flow *f, uint16_t packet_id, uint64_t *since_ns)
{
    *since_ns = 0;
    if (packet_id == 0) return false;
    /* The only unfinished number with this id: ids repeat after FLOW_IDS, and the window is shorter. */
    uint64_t ahead = ((uint64_t)packet_id + FLOW_IDS - flow_packet_id(f->oldest)) % FLOW_IDS;
    uint64_t seq = f->oldest + ahead;
    if (seq >= f->next || (f->waits[seq & f->mask] & FLOW_WAITS_ACK) == 0) return false;
    f->waits[seq & f->mask] &= ~FLOW_WAITS_ACK;
    *since_ns = f->since_ns[seq & f->mask];
    f->unacked--;
    finish_oldest(f);
    return true;
}

void flow_deliver(struct flow *f, uint64_t seq)
{
    if (seq < f->oldest || seq >= f->next) return;
    uint32_t *waits = &f->waits[seq & f->mask];
    if ((*waits & ~FLOW_WAITS_ACK) == 0) return;
    *waits -= 1;
    finish_oldest(f);
}
