/* SPDX-License-Identifier: Apache-2.0 */
#include "interop/peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void wrong(const char *what, const char *where)
{
    fprintf(stderr, "peer: %s: %s\n", what, where);
    exit(2);
}

void must(int rc, const char *what)
{
    if (rc == 0) return;
    fprintf(stderr, "peer: %s failed: %d\n", what, rc);
    exit(1);
}

/* --- orders */

bool order_read(struct order *o)
{
    ssize_t n = getline(&o->line, &o->size, stdin);

    o->count = 0;
    if (n <= 0) return false;
    o->line[strcspn(o->line, "\n")] = '\0';
    for (char *at = o->line; at != NULL && o->count < ORDER_WORDS; o->count++) {
        o->words[o->count] = at;
        at = strchr(at, ' ');
        if (at != NULL) *at++ = '\0';
    }
    return true;
}

void order_free(struct order *o)
{
    free(o->line);
    *o = (struct order){ 0 };
}

bool order_is(const struct order *o, const char *verb)
{
    return o->count > 0 && strcmp(o->words[0], verb) == 0;
}

const char *order_nth(const struct order *o, const char *key, int nth)
{
    size_t n = strlen(key);

    for (int i = 1; i < o->count; i++) {
        if (strncmp(o->words[i], key, n) != 0 || o->words[i][n] != '=') continue;
        if (nth-- == 0) return o->words[i] + n + 1;
    }
    return NULL;
}

const char *order_text(const struct order *o, const char *key, const char *otherwise)
{
    const char *found = order_nth(o, key, 0);
    return found != NULL ? found : otherwise;
}

int order_number(const struct order *o, const char *key, int otherwise)
{
    const char *found = order_nth(o, key, 0);
    return found != NULL ? (int)strtol(found, NULL, 10) : otherwise;
}

unsigned char *order_bytes(const struct order *o, const char *key, int *size)
{
    const char *hex = order_text(o, key, "");
    size_t n = strlen(hex) / 2;
    unsigned char *out = malloc(n + 1);

    if (out == NULL) wrong("no memory", key);
    for (size_t i = 0; i < n; i++) {
        char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        out[i] = (unsigned char)strtol(pair, NULL, 16);
    }
    out[n] = '\0';
    *size = (int)n;
    return out;
}

/* --- properties */

enum kind { TEXT, BYTES, NUMBER, PAIR };

static const struct name {
    const char *key;
    enum MQTTPropertyCodes id;
    enum kind kind;
} names[] = {
    { "ct", MQTTPROPERTY_CODE_CONTENT_TYPE, TEXT },
    { "rt", MQTTPROPERTY_CODE_RESPONSE_TOPIC, TEXT },
    { "cd", MQTTPROPERTY_CODE_CORRELATION_DATA, BYTES },
    { "mei", MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, NUMBER },
    { "pfi", MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR, NUMBER },
    { "alias", MQTTPROPERTY_CODE_TOPIC_ALIAS, NUMBER },
    { "sid", MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER, NUMBER },
    { "expiry", MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, NUMBER },
    { "rm", MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, NUMBER },
    { "delay", MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL, NUMBER },
    { "up", MQTTPROPERTY_CODE_USER_PROPERTY, PAIR },
};

static const struct name *name_of(const char *key)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].key, key) == 0) return &names[i];
    }
    wrong("no such property", key);
    return NULL;
}

static void set_number(MQTTProperty *p, int value)
{
    switch (MQTTProperty_getType(p->identifier)) {
    case MQTTPROPERTY_TYPE_BYTE: p->value.byte = (unsigned char)value; break;
    case MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER: p->value.integer2 = (unsigned short)value; break;
    default: p->value.integer4 = (unsigned int)value; break;
    }
}

static MQTTLenString part(const char *from, size_t n)
{
    return (MQTTLenString){ .len = (int)n, .data = (char *)(size_t)from };
}

static void add_value(const struct order *o, const struct name *n, const char *value, MQTTProperties *props)
{
    MQTTProperty p = { .identifier = n->id };
    unsigned char *bytes = NULL;
    int size = 0;

    switch (n->kind) {
    case NUMBER: set_number(&p, (int)strtol(value, NULL, 10)); break;
    case TEXT: p.value.data = part(value, strlen(value)); break;
    case PAIR:
        p.value.data = part(value, strcspn(value, ":"));
        p.value.value = part(value + strcspn(value, ":") + 1, strlen(value) - strcspn(value, ":") - 1);
        break;
    case BYTES:
        bytes = order_bytes(o, n->key, &size);
        p.value.data = (MQTTLenString){ .len = size, .data = (char *)bytes };
        break;
    }
    must(MQTTProperties_add(props, &p), n->key); /* copies */
    free(bytes);
}

static void add(const struct order *o, const char *key, MQTTProperties *props)
{
    const struct name *n = name_of(key);
    const char *value = NULL;

    for (int i = 0; (value = order_nth(o, key, i)) != NULL; i++) add_value(o, n, value, props);
}

void order_publish_props(const struct order *o, MQTTProperties *props)
{
    static const char *const keys[] = { "ct", "rt", "cd", "mei", "pfi", "alias", "up" };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) add(o, keys[i], props);
}

void order_connect_props(const struct order *o, MQTTProperties *props)
{
    add(o, "expiry", props);
    add(o, "rm", props);
}

void order_will_props(const struct order *o, MQTTProperties *props)
{
    add(o, "delay", props);
}

void order_subscribe_props(const struct order *o, MQTTProperties *props)
{
    add(o, "sid", props);
}

/* --- events */

void say(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    flockfile(stdout);
    vprintf(format, list);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
    va_end(list);
}

static void put_hex(const void *data, int n)
{
    const unsigned char *bytes = data;
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < n; i++) {
        putchar(digits[bytes[i] >> 4]);
        putchar(digits[bytes[i] & 15]);
    }
}

static unsigned number_of(const MQTTProperty *p)
{
    switch (MQTTProperty_getType(p->identifier)) {
    case MQTTPROPERTY_TYPE_BYTE: return p->value.byte;
    case MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER: return p->value.integer2;
    default: return p->value.integer4;
    }
}

static void put_property(const struct name *n, const MQTTProperty *p)
{
    printf(" %s=", n->key);
    switch (n->kind) {
    case NUMBER: printf("%u", number_of(p)); break;
    case TEXT: printf("%.*s", p->value.data.len, p->value.data.data); break;
    case BYTES: put_hex(p->value.data.data, p->value.data.len); break;
    case PAIR:
        printf("%.*s:%.*s", p->value.data.len, p->value.data.data, p->value.value.len, p->value.value.data);
        break;
    }
}

void say_message(const struct heard *h)
{
    flockfile(stdout);
    printf("message topic=%s qos=%d retain=%d dup=%d payload=", h->topic, h->qos, h->retained, h->dup);
    put_hex(h->payload, h->size);
    for (int i = 0; i < h->props->count; i++) {
        const MQTTProperty *p = &h->props->array[i];
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            if (names[k].id == p->identifier) put_property(&names[k], p);
        }
    }
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
}
