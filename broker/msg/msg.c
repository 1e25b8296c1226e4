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
    size_t groups_bytes = parts->groups_count * sizeof parts->groups[0];
    size_t data_bytes = 2 + parts->topic.len + parts->block.len + parts->payload.len;
    struct msg *m = malloc(sizeof *m + rides_bytes + groups_bytes + data_bytes);
    *out = m;
    if (m == NULL) return ERR_NOMEM;

    struct msg_ride *rides = (struct msg_ride *)(m + 1);
    uint64_t *groups = (uint64_t *)(rides + parts->rides_count);
    uint8_t *data = (uint8_t *)groups + groups_bytes;
    *m = (struct msg){
        .topic_bytes = (uint32_t)parts->topic.len,
        .block_bytes = (uint32_t)parts->block.len,
        .payload_bytes = (uint32_t)parts->payload.len,
        .qos = parts->qos,
        .retain = parts->retain,
        .rides_count = parts->rides_count,
        .from_shard = parts->from_shard,
        .is_for_one = parts->is_for_one,
        .from_session = parts->from_session,
        .from_client = parts->from_client,
        .expires_ms = parts->expires_ms,
        .groups_count = parts->groups_count,
        .rides = rides,
        .groups = groups,
        .data = data,
    };
    ref_init(&m->ref, 1);
    if (groups_bytes > 0) memcpy(groups, parts->groups, groups_bytes);
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

bool msg_has_group(const struct msg *m, uint64_t group_no)
{
    for (uint32_t i = 0; i < m->groups_count; i++)
        if (m->groups[i] == group_no) return true;
    return false;
}
