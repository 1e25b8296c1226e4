/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kit/mtc_packet.h"

struct enc {
    struct out body;
    struct fields *words;
    unsigned version;
    const char *wrong; /* the first thing that was */
};

static const struct field *word(struct enc *e, const char *name)
{
    struct field *f = fields_find(e->words, name, 0);
    if (f != NULL) f->is_used = true;
    return f;
}

static unsigned long number_of(struct enc *e, const struct field *f)
{
    unsigned long n = 0;
    if (!field_number(f, &n) && e->wrong == NULL) e->wrong = "a number was expected";
    return n;
}

static unsigned long number(struct enc *e, const char *name, unsigned long otherwise)
{
    const struct field *f = word(e, name);
    return f != NULL ? number_of(e, f) : otherwise;
}

static void put_text(struct out *to, const char *at, size_t len)
{
    out_u16(to, len);
    out_add(to, at, len);
}

static void put_word(struct enc *e, const char *name, const char *otherwise)
{
    const struct field *f = word(e, name);
    if (f != NULL)
        put_text(&e->body, f->at, f->len);
    else
        put_text(&e->body, otherwise, strlen(otherwise));
}

static void put_varint(struct out *to, unsigned long n)
{
    for (; n > 127; n >>= 7) out_u8(to, (n & 0x7f) | 0x80);
    out_u8(to, n);
}

static void put_pair(struct enc *e, struct out *to, const struct field *f)
{
    const char *colon = memchr(f->at, ':', f->len);

    if (colon == NULL) {
        e->wrong = "a user property is written key:value";
        return;
    }
    size_t key_len = (size_t)(colon - f->at);
    put_text(to, f->at, key_len);
    put_text(to, colon + 1, f->len - key_len - 1);
}

static void put_prop(struct enc *e, struct out *to, const struct mtc_prop *p, const struct field *f)
{
    unsigned long n = p->form < FORM_TEXT ? number_of(e, f) : 0;

    out_u8(to, p->id);
    switch (p->form) {
    case FORM_BYTE: out_u8(to, n); break;
    case FORM_U16: out_u16(to, n); break;
    case FORM_U32:
        out_u16(to, n >> 16);
        out_u16(to, n);
        break;
    case FORM_VARINT: put_varint(to, n); break;
    case FORM_TEXT: put_text(to, f->at, f->len); break;
    case FORM_PAIR: put_pair(e, to, f); break;
    }
}

/* All properties whose names start so, in the order of the line. */
static void put_props(struct enc *e, const char *prefix)
{
    struct out props = { 0 };
    size_t skip = strlen(prefix);

    if (e->version < 5) return;
    for (size_t i = 0; i < e->words->count; i++) {
        struct field *f = &e->words->all[i];
        if (strncmp(f->name, prefix, skip) != 0) continue;
        const struct mtc_prop *p = mtc_prop_by_name(f->name + skip);
        if (p == NULL) continue;
        f->is_used = true;
        put_prop(e, &props, p, f);
    }
    put_varint(&e->body, props.len);
    out_add(&e->body, props.at, props.len);
    out_clear(&props);
}

static void put_connect(struct enc *e)
{
    bool has_will = word(e, "will_topic") != NULL;
    bool has_name = word(e, "username") != NULL;
    bool has_password = word(e, "password") != NULL;
    unsigned long flags = number(e, "clean", 1) << 1 | (has_name ? 0x80U : 0) | (has_password ? 0x40U : 0);

    if (has_will) flags |= 4 | number(e, "will_qos", 0) << 3 | number(e, "will_retain", 0) << 5;
    put_word(e, "protocol", e->version == 3 ? "MQIsdp" : "MQTT");
    out_u8(&e->body, number(e, "version", e->version));
    out_u8(&e->body, number(e, "connect_flags", flags));
    out_u16(&e->body, number(e, "keepalive", 60));
    put_props(e, "");
    put_word(e, "id", "");
    if (has_will) {
        put_props(e, "will.");
        put_word(e, "will_topic", "");
        put_word(e, "will_payload", "");
    }
    if (has_name) put_word(e, "username", "");
    if (has_password) put_word(e, "password", "");
}

static unsigned long put_publish(struct enc *e)
{
    unsigned long qos = number(e, "qos", 0);
    unsigned long flags = number(e, "dup", 0) << 3 | qos << 1 | number(e, "retain", 0);

    put_word(e, "topic", "");
    if (qos > 0) out_u16(&e->body, number(e, "id", 1));
    put_props(e, "");
    const struct field *payload = word(e, "payload");
    if (payload != NULL) out_add(&e->body, payload->at, payload->len);
    return flags;
}

/* Reason code and properties may be left out from the end [MQTT-5.0 3.4.2.1]; so they are, unless named. */
static void put_code(struct enc *e)
{
    bool has_props = false;

    if (e->version < 5) return;
    for (size_t i = 0; i < e->words->count; i++) has_props |= mtc_prop_by_name(e->words->all[i].name) != NULL;
    if (has_props || word(e, "code") != NULL) out_u8(&e->body, number(e, "code", 0));
    if (has_props) put_props(e, "");
}

static unsigned long option_bits(struct enc *e, struct field *f)
{
    static const struct {
        const char *name;
        unsigned shift;
    } bits[] = { { "qos", 0 }, { "nl", 2 }, { "rap", 3 }, { "rh", 4 }, { "options", 0 } };

    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        if (strcmp(f->name, bits[i].name) != 0) continue;
        f->is_used = true;
        if (e->version < 5 && mtc_is_v5_only(MTC_SUBSCRIBE, f->name)) return 0;
        return number_of(e, f) << bits[i].shift;
    }
    return 0;
}

/* What follows a filter, up to the next filter, are its options. */
static void put_filters(struct enc *e, bool with_options)
{
    struct field *all = e->words->all;
    size_t count = e->words->count;

    for (size_t i = 0; i < count; i++) {
        unsigned long options = 0;

        if (strcmp(all[i].name, "filter") != 0) continue;
        all[i].is_used = true;
        put_text(&e->body, all[i].at, all[i].len);
        if (!with_options) continue;
        for (size_t k = i + 1; k < count && strcmp(all[k].name, "filter") != 0; k++)
            options |= option_bits(e, &all[k]);
        out_u8(&e->body, options);
    }
}

/* Returns the flags of the fixed header. */
static unsigned long put_body(struct enc *e, unsigned type)
{
    switch (type) {
    case MTC_CONNECT: put_connect(e); return 0;
    case MTC_PUBLISH: return put_publish(e);
    case MTC_PUBACK:
    case MTC_PUBREC:
    case MTC_PUBREL:
    case MTC_PUBCOMP:
        out_u16(&e->body, number(e, "id", 1));
        put_code(e);
        return type == MTC_PUBREL ? 2 : 0;
    case MTC_SUBSCRIBE:
    case MTC_UNSUBSCRIBE:
        out_u16(&e->body, number(e, "id", 1));
        put_props(e, "");
        put_filters(e, type == MTC_SUBSCRIBE);
        return 2;
    case MTC_PINGREQ: return 0;
    case MTC_DISCONNECT:
    case MTC_AUTH: put_code(e); return 0;
    default: e->wrong = "only a broker sends that; write the bytes with 'send'"; return 0;
    }
}

const char *mtc_encode(struct out *to, unsigned type, unsigned version, struct fields *words)
{
    struct enc e = { .words = words, .version = version };
    unsigned long flags = put_body(&e, type);
    const struct field *tail = word(&e, "tail");

    if (tail != NULL) out_add(&e.body, tail->at, tail->len);
    out_u8(to, type << 4 | number(&e, "flags", flags));
    put_varint(to, e.body.len);
    out_add(to, e.body.at, e.body.len);
    out_clear(&e.body);

    for (size_t i = 0; i < words->count && e.wrong == NULL; i++) {
        const struct field *f = &words->all[i];
        if (!f->is_used && (version == 5 || !mtc_is_v5_only(type, f->name)))
            e.wrong = "a word of the line means nothing in this packet";
    }
    return e.wrong;
}
