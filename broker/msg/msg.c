/* SPDX-License-Identifier: Apache-2.0 */
#include "msg/msg.h"
#include <stdlib.h>

static uint8_t *put(uint8_t *at, struct bytes b)
{
    if (b.len > 0) memcpy(at, b.at, b.len);
    return at + b.len;
}

enum err msg_new(struct msg **out, const struct msg_parts *parts)
{
    size_t rides_bytes = parts->rides_count * sizeof(struct msg_ride);
    size_t data_bytes = 2 + parts->topic.len + parts->block.len + parts->payload.len;
    struct msg *m = malloc(sizeof *m + rides_bytes + data_bytes);
    *out = m;
    if (m == NULL) return ERR_NOMEM;

    struct msg_ride *rides = (struct msg_ride *)(m + 1);
    uint8_t *data = (uint8_t *)rides + rides_bytes;
    *m = (struct msg){
        .topic_bytes = (uint32_t)parts->topic.len,
        .block_bytes = (uint32_t)parts->block.len,
        .payload_bytes = (uint32_t)parts->payload.len,
        .qos = parts->qos,
        .retain = parts->retain,
        .rides_count = parts->rides_count,
        .from_shard = parts->from_shard,
        .from_session = parts->from_session,
        .from_client = parts->from_client,
        .expires_ms = parts->expires_ms,
        .rides = rides,
        .data = data,
    };
    ref_init(&m->ref, 1);
    data[0] = (uint8_t)(parts->topic.len >> 8);
    data[1] = (uint8_t)parts->topic.len;
    put(put(put(data + 2, parts->topic), parts->block), parts->payload);
    return ERR_OK;
}

void msg_unref(struct msg **owner)
{
    struct msg *m = *owner;
    *owner = NULL;
    if (m != NULL && ref_drop(&m->ref)) free(m);
}

size_t msg_bytes(const struct msg *m)
{
    return sizeof *m + m->rides_count * sizeof(struct msg_ride) + 2 + m->topic_bytes + m->block_bytes +
           m->payload_bytes;
}
