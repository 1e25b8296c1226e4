/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_flow.h"

#include <stdlib.h>

#include "base/check.h"

static const uint32_t FLOW_WAITS_ACK = UINT32_C(1) << 31; /* PUBACK, PUBCOMP */
static const uint32_t FLOW_WAITS_REC = UINT32_C(1) << 30; /* PUBREC, and PUBCOMP then */
static const uint32_t FLOW_DELIVERIES = (UINT32_C(1) << 30) - 1;

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

uint64_t flow_send(struct flow *f, uint32_t deliveries, uint8_t qos, uint64_t since_ns)
{
    DCHECK(flow_may_send(f));
    uint64_t seq = f->next++;
    f->waits[seq & f->mask] = deliveries | (qos > 0 ? FLOW_WAITS_ACK : 0) | (qos > 1 ? FLOW_WAITS_REC : 0);
    f->since_ns[seq & f->mask] = since_ns;
    if (qos > 0) f->unacked++;
    finish_oldest(f); /* with nothing to wait for it is finished already */
    return seq;
}

/* Where the only unfinished message with this id is: ids repeat after FLOW_IDS, and the window is shorter.
 * NULL when there is none. */
static uint32_t *find(struct flow *f, uint16_t packet_id, uint64_t *seq)
{
    if (packet_id == 0) return NULL;
    uint64_t ahead = ((uint64_t)packet_id + FLOW_IDS - flow_packet_id(f->oldest)) % FLOW_IDS;
    *seq = f->oldest + ahead;
    return *seq < f->next ? &f->waits[*seq & f->mask] : NULL;
}

bool flow_ack(struct flow *f, uint16_t packet_id, uint64_t *since_ns)
{
    uint64_t seq = 0;
    uint32_t *waits = find(f, packet_id, &seq);
    *since_ns = 0;
    if (waits == NULL || (*waits & (FLOW_WAITS_ACK | FLOW_WAITS_REC)) != FLOW_WAITS_ACK) return false;
    *waits &= ~FLOW_WAITS_ACK;
    *since_ns = f->since_ns[seq & f->mask];
    f->unacked--;
    finish_oldest(f);
    return true;
}

bool flow_receive(struct flow *f, uint16_t packet_id)
{
    uint64_t seq = 0;
    uint32_t *waits = find(f, packet_id, &seq);
    if (waits == NULL || (*waits & FLOW_WAITS_REC) == 0) return false;
    *waits &= ~FLOW_WAITS_REC;
    return true;
}

void flow_deliver(struct flow *f, uint64_t seq)
{
    if (seq < f->oldest || seq >= f->next) return;
    uint32_t *waits = &f->waits[seq & f->mask];
    if ((*waits & FLOW_DELIVERIES) == 0) return;
    *waits -= 1;
    finish_oldest(f);
}
