/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/mount.h"
#include "base/check.h"
#include "shard/shard_int.h"
#include "topic/topic.h"
#include <stdlib.h>

struct bytes mount_point(const struct shard *sh, const struct conn *c)
{
    return bytes_of_text(conn_door(sh, c)->mount_point);
}

struct bytes mount_topic(const struct shard *sh, const struct conn *c, struct bytes topic)
{
    static _Thread_local uint8_t room[2 * TOPIC_BYTES_MAX];
    struct bytes prefix = mount_point(sh, c);
    struct wr w = { .at = room, .left = sizeof room };
    if (prefix.len == 0) return topic;
    wr_bytes(&w, prefix);
    wr_bytes(&w, topic);
    return bytes_of(room, sizeof room - w.left);
}

bool mount_strip(const struct shard *sh, const struct conn *c, struct bytes *topic)
{
    struct bytes prefix = mount_point(sh, c);
    if (prefix.len == 0) return true;
    if (topic->len <= prefix.len || memcmp(topic->at, prefix.at, prefix.len) != 0) return false;
    *topic = bytes_of(topic->at + prefix.len, topic->len - prefix.len);
    return true;
}

/* A filter's place in a packet: what is before the prefix, and what is behind it. */
struct split {
    struct bytes head, tail;
};

static struct split split(struct bytes filter)
{
    struct bytes group, rest = filter;
    topic_share_split(filter, &group, &rest);
    return (struct split){ bytes_of(filter.at, filter.len - rest.len), rest };
}

/* The packet, walked: its filters, each with an option byte or without. */
struct walk {
    struct rd r;
    bool has_options;
    struct bytes filter;
    uint8_t options;
};

static bool next(struct walk *w)
{
    if (w->r.left == 0) return false;
    w->filter = rd_str(&w->r);
    if (w->has_options) w->options = rd_u8(&w->r);
    return !w->r.bad;
}

/* The packet's identifier and properties, which stay; then the filters. */
static struct walk begin(const struct frame *f, uint8_t version, struct bytes *head)
{
    struct walk w = { .r = { f->body.at, f->body.len, false }, .has_options = f->type == PACKET_SUBSCRIBE };
    rd_u16(&w.r);
    if (version == MQTT_V5) rd_take(&w.r, rd_varint(&w.r));
    *head = bytes_of(f->body.at, f->body.len - w.r.left);
    return w;
}

/* Bytes of the mounted packet; 0: it is not well formed, which its decoder is to say. */
static size_t measure(struct walk w, size_t head_bytes, size_t prefix_bytes, bool *is_too_long)
{
    size_t sum = head_bytes;
    while (next(&w)) {
        if (topic_filter_check(w.filter) == TOPIC_FILTER_WRONG) return 0;
        *is_too_long |= w.filter.len + prefix_bytes > TOPIC_BYTES_MAX;
        sum += 2 + prefix_bytes + w.filter.len + w.has_options;
    }
    return w.r.bad ? 0 : sum;
}

static void build(struct walk w, struct wr *to, struct bytes prefix)
{
    while (next(&w)) {
        struct split s = split(w.filter);
        wr_u16(to, (uint16_t)(w.filter.len + prefix.len));
        wr_bytes(to, s.head);
        wr_bytes(to, prefix);
        wr_bytes(to, s.tail);
        if (w.has_options) wr_u8(to, w.options);
    }
}

enum mqtt_rc mount_filters(struct shard *sh, const struct conn *c, struct frame *f, uint8_t **made)
{
    struct bytes head, prefix = mount_point(sh, c);
    bool is_too_long = false;
    *made = NULL;
    if (prefix.len == 0) return MQTT_RC_OK;
    struct walk w = begin(f, c->version, &head);
    size_t bytes = w.r.bad ? 0 : measure(w, head.len, prefix.len, &is_too_long);
    if (bytes == 0) return MQTT_RC_OK;
    if (is_too_long) return MQTT_RC_FILTER_INVALID;
    if (bytes > PACKET_BYTES_MAX || !memory_grants(sh, bytes)) return MQTT_RC_QUOTA_EXCEEDED;
    *made = malloc(bytes);
    if (*made == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    struct wr to = { .at = *made, .left = bytes };
    wr_bytes(&to, head);
    build(w, &to, prefix);
    CHECK(!to.bad);
    f->body = bytes_of(*made, bytes);
    return MQTT_RC_OK;
}
