/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kit/mtc_packet.h"

/* A reader that remembers the first thing that was wrong and reads zeros from then on. */
struct dec {
    const uint8_t *at;
    size_t left;
    struct fields *out;
    unsigned type;
    unsigned version;
    const char *wrong;
};

static void refuse(struct dec *d, const char *why)
{
    if (d->wrong == NULL) d->wrong = why;
    d->left = 0;
}

static const uint8_t *take(struct dec *d, size_t len)
{
    const uint8_t *at = d->at;

    if (len > d->left) {
        refuse(d, "it ends inside a field");
        return NULL;
    }
    d->at += len;
    d->left -= len;
    return at;
}

static unsigned long get_number(struct dec *d, size_t len)
{
    const uint8_t *at = take(d, len);
    unsigned long n = 0;

    for (size_t i = 0; at != NULL && i < len; i++) n = n << 8 | at[i];
    return n;
}

static unsigned long get_varint(struct dec *d)
{
    unsigned long n = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned long byte = get_number(d, 1);
        n |= (byte & 0x7f) << (7 * i);
        if ((byte & 0x80) != 0) continue;
        if (byte == 0 && i > 0) refuse(d, "a variable byte integer is longer than it need be");
        return n;
    }
    refuse(d, "a variable byte integer is too long");
    return 0;
}

static void get_text(struct dec *d, const char *name)
{
    size_t len = get_number(d, 2);
    const uint8_t *at = take(d, len);
    if (at != NULL) fields_add(d->out, name, at, len);
}

static void get_pair(struct dec *d, const char *name)
{
    struct out both = { 0 };
    size_t len = get_number(d, 2);
    const uint8_t *key = take(d, len);

    if (key != NULL) out_add(&both, key, len);
    out_u8(&both, ':');
    len = get_number(d, 2);
    const uint8_t *value = take(d, len);
    if (value != NULL) out_add(&both, value, len);
    if (d->wrong == NULL) fields_add(d->out, name, both.at, both.len);
    out_clear(&both);
}

static void get_prop(struct dec *d, const struct mtc_prop *p)
{
    switch (p->form) {
    case FORM_BYTE: fields_add_number(d->out, p->name, get_number(d, 1)); break;
    case FORM_U16: fields_add_number(d->out, p->name, get_number(d, 2)); break;
    case FORM_U32: fields_add_number(d->out, p->name, get_number(d, 4)); break;
    case FORM_VARINT: fields_add_number(d->out, p->name, get_varint(d)); break;
    case FORM_TEXT: get_text(d, p->name); break;
    case FORM_PAIR: get_pair(d, p->name); break;
    }
}

static void get_props(struct dec *d)
{
    if (d->version < 5) return;

    size_t len = get_varint(d);
    if (len > d->left) refuse(d, "the properties are longer than the packet");
    size_t after = d->left - (d->wrong == NULL ? len : 0);
    while (d->left > after && d->wrong == NULL) {
        const struct mtc_prop *p = mtc_prop_by_id((unsigned)get_varint(d));
        if (p == NULL || (p->in & 1U << d->type) == 0) {
            refuse(d, "a property does not belong into this packet");
        } else {
            bool may_repeat = p->form == FORM_PAIR || p->form == FORM_VARINT;
            if (!may_repeat && fields_find(d->out, p->name, 0) != NULL) refuse(d, "a property comes twice");
            get_prop(d, p);
        }
    }
    if (d->left < after) refuse(d, "a property is longer than the properties");
}

static void get_publish(struct dec *d, unsigned flags)
{
    unsigned qos = flags >> 1 & 3;

    if (qos == 3) refuse(d, "QoS 3");
    if (qos == 0 && (flags & 8) != 0) refuse(d, "DUP with QoS 0 [MQTT-3.3.1-2]");
    fields_add_number(d->out, "dup", flags >> 3);
    fields_add_number(d->out, "qos", qos);
    fields_add_number(d->out, "retain", flags & 1);
    get_text(d, "topic");
    if (qos > 0) {
        unsigned long id = get_number(d, 2);
        if (id == 0) refuse(d, "packet identifier 0 [MQTT-2.2.1-3]");
        fields_add_number(d->out, "id", id);
    }
    get_props(d);
    if (d->wrong == NULL) fields_add(d->out, "payload", d->at, d->left);
    d->left = 0;
}

static void get_reason(struct dec *d)
{
    unsigned long code = get_number(d, 1);

    if (!mtc_has_code(d->type, d->version, code))
        refuse(d, "the standard does not have this code in this packet");
    fields_add_number(d->out, "code", code);
}

static void get_connack(struct dec *d)
{
    unsigned long flags = get_number(d, 1);

    if (flags > (d->version == 3 ? 0U : 1U)) refuse(d, "reserved acknowledge flags are set [MQTT-3.2.2-1]");
    fields_add_number(d->out, "session", flags);
    get_reason(d);
    get_props(d);
}

static void get_code(struct dec *d)
{
    if (d->version < 5) return;
    if (d->left > 0)
        get_reason(d);
    else
        fields_add_number(d->out, "code", 0);
    if (d->left > 0) get_props(d);
}

static void get_body(struct dec *d, unsigned flags)
{
    switch (d->type) {
    case MTC_CONNACK: get_connack(d); break;
    case MTC_PUBLISH: get_publish(d, flags); break;
    case MTC_PUBACK:
    case MTC_PUBREC:
    case MTC_PUBREL:
    case MTC_PUBCOMP:
        fields_add_number(d->out, "id", get_number(d, 2));
        get_code(d);
        break;
    case MTC_SUBACK:
    case MTC_UNSUBACK:
        fields_add_number(d->out, "id", get_number(d, 2));
        get_props(d);
        if (d->left == 0 && (d->version == 5 || d->type == MTC_SUBACK)) refuse(d, "no reason code");
        while (d->left > 0 && (d->version == 5 || d->type == MTC_SUBACK)) get_reason(d);
        break;
    case MTC_PINGRESP: break;
    case MTC_DISCONNECT:
    case MTC_AUTH:
        if (d->version < 5) refuse(d, "MQTT before 5.0 does not let a server send that");
        get_code(d);
        break;
    default: refuse(d, "a server does not send that");
    }
}

const char *mtc_decode(struct fields *out, unsigned version, const uint8_t *at, size_t len)
{
    struct dec d = { .at = at, .left = len, .out = out, .version = version };
    unsigned first = (unsigned)get_number(&d, 1);
    unsigned flags = first & 15;

    d.type = first >> 4;
    if (get_varint(&d) != d.left) refuse(&d, "its length is not its length");
    if (d.type != MTC_PUBLISH && flags != (d.type == MTC_PUBREL ? 2 : 0))
        refuse(&d, "reserved flags of the fixed header are wrong");
    if (d.wrong == NULL) get_body(&d, flags);
    if (d.left > 0) refuse(&d, "bytes are left over at its end");
    return d.wrong;
}
