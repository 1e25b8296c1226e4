/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT 5.0 section 2.2.2. One table row a property; all that is special about one is in property_check(). */
#include "codec/codec_int.h"

enum prop_type { TYPE_u8, TYPE_u16, TYPE_u32, TYPE_varint, TYPE_str, TYPE_bin, TYPE_pairs };

struct prop_row {
    uint8_t id, type;
    uint16_t offset; /* of the field in struct props */
    uint32_t packets, low, high;
};

#define IN(packet) (1u << PACKET_##packet)
#define IN_WILL    PROPS_IN_WILL
static const struct prop_row rows[] = {
#define PROP(name, id, type, packets, low, high, doc)                                                        \
    { (id), TYPE_##type, offsetof(struct props, name), (packets), (low), (high) },
#include "codec/props.def"
#undef PROP
};

enum { ROWS = sizeof rows / sizeof rows[0], ID_MAX = 0x2a };
_Static_assert(ROWS <= 32, "one bit a property in props.has");

/* Row of an identifier plus one; 0: unknown. */
static const uint8_t row_of_id[ID_MAX + 1] = {
#define PROP(name, id, type, packets, low, high, doc) [id] = PROP_BIT_##name + 1,
#include "codec/props.def"
#undef PROP
};

struct prop_value {
    uint32_t number;
    struct bytes text;
};

static const struct prop_row *row_find(uint8_t id)
{
    return id <= ID_MAX && row_of_id[id] != 0 ? &rows[row_of_id[id] - 1] : NULL;
}

static struct prop_value value_read(struct rd *r, enum prop_type type)
{
    struct prop_value v = { 0 };

    switch (type) {
    case TYPE_u8: v.number = rd_u8(r); break;
    case TYPE_u16: v.number = rd_u16(r); break;
    case TYPE_u32: v.number = rd_u32(r); break;
    case TYPE_varint: v.number = rd_varint(r); break;
    case TYPE_str: v.text = rd_utf8(r); break;
    case TYPE_bin: v.text = rd_str(r); break;
    case TYPE_pairs:
        rd_utf8(r);
        rd_utf8(r);
        break;
    }
    return v;
}

/* The rules of a value and of its neighbours. Numbers of text rows are 0, within their range of 0 to 0. */
static enum mqtt_rc property_check(uint32_t bit, const struct prop_value *v, uint32_t packet_bit,
                                   const struct props *out)
{
    const struct prop_row *row = &rows[bit];
    bool may_repeat = bit == PROP_BIT_user || (bit == PROP_BIT_subscription_id && packet_bit == IN(PUBLISH));

    if ((out->has & 1u << bit) != 0 && !may_repeat) return MQTT_RC_PROTOCOL;
    if (v->number < row->low || v->number > row->high) {
        return bit == PROP_BIT_topic_alias ? MQTT_RC_TOPIC_ALIAS_INVALID : MQTT_RC_PROTOCOL;
    }
    /* A response topic is a topic name [MQTT-3.3.2-14], [MQTT-4.7.3-1]. */
    if (bit == PROP_BIT_response_topic && (v->text.len == 0 || utf8_scan(v->text) != 0))
        return MQTT_RC_PROTOCOL;
    return MQTT_RC_OK;
}

static void property_store(uint32_t bit, const struct prop_value *v, struct props *out)
{
    char *field = (char *)out + rows[bit].offset;
    uint8_t narrow = (uint8_t)v->number;
    uint16_t half = (uint16_t)v->number;

    if (bit == PROP_BIT_user) out->user_count++;
    if (bit == PROP_BIT_subscription_id) out->subscription_id_count++;
    if ((out->has & 1u << bit) != 0) return; /* the first of a repeated one stays */
    out->has |= 1u << bit;
    switch ((enum prop_type)rows[bit].type) {
    case TYPE_u8: memcpy(field, &narrow, sizeof narrow); break;
    case TYPE_u16: memcpy(field, &half, sizeof half); break;
    case TYPE_u32:
    case TYPE_varint: memcpy(field, &v->number, sizeof v->number); break;
    case TYPE_str:
    case TYPE_bin: memcpy(field, &v->text, sizeof v->text); break;
    case TYPE_pairs: break;
    }
}

static enum mqtt_rc property_decode(struct rd *r, uint32_t packet_bit, struct props *out)
{
    /* The identifier is a variable byte integer of which one byte is in use; a longer one is unknown. */
    const struct prop_row *row = row_find(rd_u8(r));
    if (row == NULL || (row->packets & packet_bit) == 0) return MQTT_RC_MALFORMED;

    struct prop_value v = value_read(r, row->type);
    if (r->bad) return MQTT_RC_MALFORMED;
    uint32_t bit = (uint32_t)(row - rows);
    enum mqtt_rc rc = property_check(bit, &v, packet_bit, out);
    if (rc == MQTT_RC_OK) property_store(bit, &v, out);
    return rc;
}

enum mqtt_rc props_decode(struct rd *r, uint32_t packet_bit, struct props *out)
{
    enum mqtt_rc rc = MQTT_RC_OK;

    props_clear(out);
    uint32_t length = rd_varint(r);
    struct rd sub = rd_sub(r, length);
    if (r->bad) return MQTT_RC_MALFORMED;
    out->block = rd_rest(&sub);
    while (rc == MQTT_RC_OK && sub.left > 0) rc = property_decode(&sub, packet_bit, out);
    return rc;
}

/* Steps over one property of a block that was decoded before; NULL at the end. */
static const struct prop_row *property_skip(struct rd *r)
{
    static const uint8_t fixed[] = { [TYPE_u8] = 1, [TYPE_u16] = 2, [TYPE_u32] = 4, [TYPE_pairs] = 0 };
    if (r->left == 0) return NULL;
    const struct prop_row *row = row_find(rd_u8(r));
    if (row == NULL) return NULL;

    if (row->type == TYPE_varint)
        rd_varint(r);
    else if (row->type == TYPE_str || row->type == TYPE_bin)
        rd_str(r);
    else
        rd_take(r, fixed[row->type]);
    if (row->type == TYPE_pairs) {
        rd_str(r);
        rd_str(r);
    }
    return r->bad ? NULL : row;
}

/* Moves *at past the next property with this bit and gives a cursor on its value. */
static bool next_with(struct bytes *at, uint32_t bit, struct rd *value)
{
    struct rd r = rd_of(*at);
    const struct prop_row *row;
    bool found = false;

    do {
        *value = r;
        row = property_skip(&r);
        found = row == &rows[bit];
    } while (row != NULL && !found);
    rd_u8(value);
    *at = rd_rest(&r);
    return found;
}

bool props_next_user(struct bytes *at, struct bytes *key, struct bytes *value)
{
    struct rd r;
    if (!next_with(at, PROP_BIT_user, &r)) return false;
    *key = rd_str(&r);
    *value = rd_str(&r);
    return true;
}

bool props_next_subscription_id(struct bytes *at, uint32_t *id)
{
    struct rd r;
    if (!next_with(at, PROP_BIT_subscription_id, &r)) return false;
    *id = rd_varint(&r);
    return true;
}

void publish_forward_props(struct wr *w, struct bytes block)
{
    const uint32_t per_hop = 1u << PROP_BIT_topic_alias | 1u << PROP_BIT_message_expiry |
                             1u << PROP_BIT_subscription_id | 1u << PROP_BIT_will_delay;
    struct rd r = rd_of(block);
    const uint8_t *keep = block.at; /* start of the run of bytes to copy */
    const uint8_t *before = block.at;
    const struct prop_row *row;

    while ((row = property_skip(&r)) != NULL) {
        if ((per_hop & 1u << (row - rows)) != 0) {
            wr_bytes(w, bytes_of(keep, (size_t)(before - keep)));
            keep = r.at;
        }
        before = r.at;
    }
    wr_bytes(w, bytes_of(keep, (size_t)(before - keep)));
}

/* The value of a property as a number or text, whatever its width. */
static struct prop_value value_load(const struct prop_row *row, const struct props *p)
{
    const char *field = (const char *)p + row->offset;
    struct prop_value v = { 0 };
    uint8_t narrow;
    uint16_t half;

    switch ((enum prop_type)row->type) {
    case TYPE_u8:
        memcpy(&narrow, field, sizeof narrow);
        v.number = narrow;
        break;
    case TYPE_u16:
        memcpy(&half, field, sizeof half);
        v.number = half;
        break;
    case TYPE_u32:
    case TYPE_varint: memcpy(&v.number, field, sizeof v.number); break;
    case TYPE_str:
    case TYPE_bin:
    case TYPE_pairs: memcpy(&v.text, field, sizeof v.text); break;
    }
    return v;
}

static uint32_t value_bytes(const struct prop_row *row, const struct prop_value *v)
{
    switch ((enum prop_type)row->type) {
    case TYPE_u8: return 1;
    case TYPE_u16: return 2;
    case TYPE_u32: return 4;
    case TYPE_varint: return varint_size(v->number);
    default: return 2 + (uint32_t)v->text.len;
    }
}

static void value_write(struct wr *w, const struct prop_row *row, const struct prop_value *v)
{
    switch ((enum prop_type)row->type) {
    case TYPE_u8: wr_u8(w, (uint8_t)v->number); break;
    case TYPE_u16: wr_u16(w, (uint16_t)v->number); break;
    case TYPE_u32: wr_u32(w, v->number); break;
    case TYPE_varint: wr_varint(w, v->number); break;
    default: wr_str(w, v->text); break;
    }
}

/* Bits to write from their fields: user properties come last and as they are. */
static uint32_t bits_to_write(const struct props *p)
{
    return p->has & ~(1u << PROP_BIT_user);
}

uint32_t props_encoded_bytes(const struct props *p)
{
    uint32_t sum = (uint32_t)p->user.len;

    for (uint32_t bits = bits_to_write(p); bits != 0; bits &= bits - 1) {
        const struct prop_row *row = &rows[__builtin_ctz(bits)];
        struct prop_value v = value_load(row, p);
        sum += 1 + value_bytes(row, &v);
    }
    return sum;
}

void props_encode(struct wr *w, const struct props *p)
{
    wr_varint(w, props_encoded_bytes(p));
    for (uint32_t bits = bits_to_write(p); bits != 0; bits &= bits - 1) {
        const struct prop_row *row = &rows[__builtin_ctz(bits)];
        struct prop_value v = value_load(row, p);
        wr_u8(w, row->id);
        value_write(w, row, &v);
    }
    wr_bytes(w, p->user);
}

void props_user_encode(struct wr *w, struct bytes key, struct bytes value)
{
    wr_u8(w, rows[PROP_BIT_user].id);
    wr_str(w, key);
    wr_str(w, value);
}
