/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msg - one published message: immutable once made, shared by counting.
 *
 * The bytes behind it, in one block: the topic with its length as on the wire, the forwarded v5 properties,
 * the payload. So a receiver's packet is a small head of its own plus runs of these bytes.
 *
 * Thread:  any may read and hold. The rides are used once each, by the shard that made the message.
 * Memory:  counted; msg_unref frees after the last owner.
 * Limits:  a packet's: 256 MB.
 * Errors:  ERR_NOMEM from msg_new.
 * Tests:   tests/unit/test_msg.c
 */
#ifndef MSG_MSG_H
#define MSG_MSG_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mailbox.h"
#include "base/ref.h"

/* A seat in a mailbox, so that passing a message to another shard allocates nothing. */
struct msg_ride {
    struct mail mail;
    struct msg *msg;
    size_t credit_bytes; /* the rider's: what it took for it */
};

struct msg {
    struct ref ref;
    uint32_t topic_bytes, block_bytes, payload_bytes;
    uint8_t qos;
    bool retain;
    uint16_t rides_count;
    uint16_t from_shard;
    bool is_for_one;       /* whom a plugin has named: nobody asks whether it may read it */
    uint64_t from_session; /* session_no of the publisher, for No Local; 0: none */
    uint64_t from_client;  /* retained: its publisher's client_hash, which outlives the session */
    uint64_t expires_ms;   /* wall clock; 0: never [MQTT-3.3.2-5] */
    uint32_t groups_count;
    struct msg_ride *rides;
    const uint64_t *groups;
    const uint8_t *data;
};

struct msg_parts {
    struct bytes topic, block, payload;
    uint8_t qos;
    bool retain;
    uint16_t rides_count; /* other shards it will be passed to */
    uint16_t from_shard;
    bool is_for_one;
    uint64_t from_session, from_client, expires_ms;
    const uint64_t *groups; /* shared subscriptions that get it through the journal, by number */
    uint32_t groups_count;
};

/* Copies the parts. One reference, the caller's. */
enum err msg_new(struct msg **out, const struct msg_parts *parts);

static inline struct msg *msg_ref(struct msg *m)
{
    ref_add(&m->ref, 1);
    return m;
}
void msg_unref(struct msg **owner);

static inline struct bytes msg_topic(const struct msg *m)
{
    return bytes_of(m->data + 2, m->topic_bytes);
}
static inline struct bytes msg_block(const struct msg *m)
{
    return bytes_of(m->data + 2 + m->topic_bytes, m->block_bytes);
}
static inline struct bytes msg_payload(const struct msg *m)
{
    return bytes_of(m->data + 2 + m->topic_bytes + m->block_bytes, m->payload_bytes);
}

/* Block and payload, which follow each other: what ends a v5 packet. */
static inline struct bytes msg_tail(const struct msg *m, bool with_block)
{
    return with_block ? bytes_of(m->data + 2 + m->topic_bytes, (size_t)m->block_bytes + m->payload_bytes)
                      : msg_payload(m);
}

/* Does this group get it through the journal? */
bool msg_has_group(const struct msg *m, uint64_t group_no);

/* Bytes it holds in memory: what credit and limits count. */
static inline size_t msg_bytes(const struct msg *m)
{
    return sizeof *m + m->rides_count * sizeof(struct msg_ride) + m->groups_count * sizeof m->groups[0] + 2 +
           m->topic_bytes + m->block_bytes + m->payload_bytes;
}

#endif
