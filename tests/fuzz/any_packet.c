/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/any_packet.h"

#include "base/check.h"
#include <stdlib.h>

enum mqtt_rc any_decode(struct any_packet *out, const struct frame *f, uint8_t version)
{
    *out = (struct any_packet){ .type = f->type, .version = version };
    switch (f->type) {
    case PACKET_CONNECT: return connect_decode(f->body, &out->connect);
    case PACKET_CONNACK: return connack_decode(f->body, version, &out->connack);
    case PACKET_PUBLISH: return publish_decode(f, version, &out->publish);
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: return ack_decode(f, version, &out->ack);
    case PACKET_SUBSCRIBE: return subscribe_decode(f->body, version, &out->subscribe);
    case PACKET_UNSUBSCRIBE: return unsubscribe_decode(f->body, version, &out->unsubscribe);
    case PACKET_SUBACK:
    case PACKET_UNSUBACK: return suback_decode(f, version, &out->suback);
    case PACKET_DISCONNECT:
    case PACKET_AUTH: return session_end_decode(f, version, &out->session_end);
    default: return MQTT_RC_OK; /* a ping: frame_split() has seen all of it */
    }
}

uint8_t *any_users_collect(struct props *p)
{
    uint8_t *room = malloc(p->block.len + 1);
    CHECK(room != NULL);
    struct wr w = { room, p->block.len + 1, false };
    struct bytes at = p->block, key, value;
    uint32_t count = 0;

    for (; props_next_user(&at, &key, &value); count++) props_user_encode(&w, key, value);
    CHECK(count == p->user_count);
    CHECK(!w.bad);
    p->user = bytes_of(room, (size_t)(w.at - room));
    return room;
}

static void subscribe_again(struct wr *w, const struct any_packet *p)
{
    struct subscribe walk = p->subscribe;
    struct subscribe_filter *filters = calloc(walk.count + 1u, sizeof *filters);
    size_t n = 0;

    CHECK(filters != NULL);
    while (subscribe_next(&walk, p->version, &filters[n])) n++;
    CHECK(n == walk.count);
    subscribe_encode(w, p->version, walk.id, filters, n);
    free(filters);
}

static void unsubscribe_again(struct wr *w, const struct any_packet *p)
{
    struct unsubscribe walk = p->unsubscribe;
    struct bytes *filters = calloc(walk.count + 1u, sizeof *filters);
    size_t n = 0;

    CHECK(filters != NULL);
    while (unsubscribe_next(&walk, &filters[n])) n++;
    CHECK(n == walk.count);
    unsubscribe_encode(w, p->version, walk.id, filters, n);
    free(filters);
}

/* The properties of a packet; NULL when it has none, or none that its encoder takes. */
static struct props *props_of(struct any_packet *p)
{
    switch (p->type) {
    case PACKET_CONNECT: return &p->connect.props;
    case PACKET_CONNACK: return &p->connack.props;
    case PACKET_PUBLISH: return &p->publish.props;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: return &p->ack.props;
    case PACKET_SUBACK:
    case PACKET_UNSUBACK: return &p->suback.props;
    case PACKET_DISCONNECT:
    case PACKET_AUTH: return &p->session_end.props;
    default: return NULL;
    }
}

static void encode_by_type(struct wr *w, const struct any_packet *p)
{
    switch (p->type) {
    case PACKET_CONNECT: connect_encode(w, &p->connect); break;
    case PACKET_CONNACK: connack_encode(w, p->version, &p->connack); break;
    case PACKET_PUBLISH: publish_encode(w, p->version, &p->publish); break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: ack_encode(w, p->version, p->type, &p->ack); break;
    case PACKET_SUBSCRIBE: subscribe_again(w, p); break;
    case PACKET_UNSUBSCRIBE: unsubscribe_again(w, p); break;
    case PACKET_SUBACK: suback_encode(w, p->version, &p->suback); break;
    case PACKET_UNSUBACK: unsuback_encode(w, p->version, &p->suback); break;
    case PACKET_DISCONNECT:
    case PACKET_AUTH: session_end_encode(w, p->version, p->type, &p->session_end); break;
    default: ping_encode(w, p->type); break;
    }
}

void any_encode(struct wr *w, const struct any_packet *p)
{
    struct any_packet copy = *p;
    struct props *props = props_of(&copy);
    uint8_t *users = props != NULL ? any_users_collect(props) : NULL;
    uint8_t *will_users = p->type == PACKET_CONNECT ? any_users_collect(&copy.connect.will.props) : NULL;

    encode_by_type(w, &copy);
    free(users);
    free(will_users);
}

#define EQUAL_u8(a, b)     ((a) == (b))
#define EQUAL_u16(a, b)    ((a) == (b))
#define EQUAL_u32(a, b)    ((a) == (b))
#define EQUAL_varint(a, b) ((a) == (b))
#define EQUAL_str(a, b)    bytes_equal(a, b)
#define EQUAL_bin(a, b)    bytes_equal(a, b)
#define EQUAL_pairs(a, b)  true /* compared in the block */

static bool users_equal(const struct props *a, const struct props *b)
{
    struct bytes at_a = a->block, at_b = b->block, key_a, key_b, value_a, value_b;

    while (props_next_user(&at_a, &key_a, &value_a)) {
        if (!props_next_user(&at_b, &key_b, &value_b)) return false;
        if (!bytes_equal(key_a, key_b) || !bytes_equal(value_a, value_b)) return false;
    }
    return !props_next_user(&at_b, &key_b, &value_b);
}

bool any_props_equal(const struct props *a, const struct props *b)
{
    if (a->has != b->has || a->user_count != b->user_count) return false;
#define PROP(name, id, type, packets, low, high, doc)                                                        \
    if (PROPS_HAS(a, name) && !EQUAL_##type(a->name, b->name)) return false;
#include "codec/props.def"
#undef PROP
    return users_equal(a, b);
}

static bool connect_equal(const struct connect *a, const struct connect *b)
{
    return a->version == b->version && a->clean_start == b->clean_start && a->has_will == b->has_will &&
           a->has_username == b->has_username && a->has_password == b->has_password &&
           a->keepalive_s == b->keepalive_s && bytes_equal(a->client_id, b->client_id) &&
           bytes_equal(a->username, b->username) && bytes_equal(a->password, b->password) &&
           a->will.qos == b->will.qos && a->will.retain == b->will.retain &&
           bytes_equal(a->will.topic, b->will.topic) && bytes_equal(a->will.payload, b->will.payload) &&
           any_props_equal(&a->will.props, &b->will.props);
}

static bool publish_equal(const struct publish *a, const struct publish *b)
{
    return bytes_equal(a->topic, b->topic) && bytes_equal(a->payload, b->payload) && a->id == b->id &&
           a->qos == b->qos && a->dup == b->dup && a->retain == b->retain;
}

static bool subscribe_equal(struct subscribe a, struct subscribe b, uint8_t version)
{
    struct subscribe_filter x, y;

    if (a.id != b.id || a.count != b.count) return false;
    while (subscribe_next(&a, version, &x)) {
        if (!subscribe_next(&b, version, &y)) return false;
        if (!bytes_equal(x.filter, y.filter) || x.qos != y.qos || x.no_local != y.no_local) return false;
        if (x.retain_as_published != y.retain_as_published || x.retain_handling != y.retain_handling)
            return false;
    }
    return !subscribe_next(&b, version, &y);
}

static bool unsubscribe_equal(struct unsubscribe a, struct unsubscribe b)
{
    struct bytes x, y;

    if (a.id != b.id || a.count != b.count) return false;
    while (unsubscribe_next(&a, &x)) {
        if (!unsubscribe_next(&b, &y) || !bytes_equal(x, y)) return false;
    }
    return !unsubscribe_next(&b, &y);
}

bool any_equal(const struct any_packet *a, const struct any_packet *b)
{
    struct any_packet copy_a = *a, copy_b = *b;
    struct props *props = props_of(&copy_a);

    if (a->type != b->type || a->version != b->version) return false;
    if (props != NULL && !any_props_equal(props, props_of(&copy_b))) return false;
    switch (a->type) {
    case PACKET_CONNECT: return connect_equal(&a->connect, &b->connect);
    case PACKET_CONNACK:
        return a->connack.session_present == b->connack.session_present && a->connack.code == b->connack.code;
    case PACKET_PUBLISH: return publish_equal(&a->publish, &b->publish);
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: return a->ack.id == b->ack.id && a->ack.code == b->ack.code;
    case PACKET_SUBSCRIBE: return subscribe_equal(a->subscribe, b->subscribe, a->version);
    case PACKET_UNSUBSCRIBE: return unsubscribe_equal(a->unsubscribe, b->unsubscribe);
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        return a->suback.id == b->suback.id && bytes_equal(a->suback.codes, b->suback.codes);
    case PACKET_DISCONNECT:
    case PACKET_AUTH: return a->session_end.code == b->session_end.code;
    default: return true;
    }
}

void any_round_trip(const struct any_packet *p, size_t body_bytes)
{
    size_t room = body_bytes + 5; /* the longest fixed header: what we write is never longer than what came */
    uint8_t *buffer = malloc(room);
    struct wr w = { buffer, room, false };
    struct frame f;
    struct any_packet again;

    CHECK(buffer != NULL);
    any_encode(&w, p);
    CHECK(!w.bad);
    CHECK(frame_split(bytes_of(buffer, room - w.left), UINT32_MAX, &f) == MQTT_RC_OK);
    CHECK(f.total == room - w.left);
    CHECK(any_decode(&again, &f, p->version) == MQTT_RC_OK);
    CHECK(any_equal(p, &again));
    free(buffer);
}

void any_try(const struct frame *f)
{
    static const uint8_t versions[] = { MQTT_V311, MQTT_V5 };
    struct any_packet p;

    for (size_t i = 0; i < sizeof versions; i++) {
        if (any_decode(&p, f, versions[i]) == MQTT_RC_OK) any_round_trip(&p, f->body.len);
    }
}

void any_try_body(enum packet_type type, uint8_t flags, struct bytes body)
{
    struct frame f = { .type = type, .flags = flags, .body = body };
    any_try(&f);
}
