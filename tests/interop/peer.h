/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer - what the programs around paho's two libraries share: orders on stdin, events on stdout.
 *
 * An order is a line: a verb, and words key=value; bytes are in hexadecimal. An event is the same. peers.py
 * says which there are; the programs in Python and JavaScript understand the same.
 *
 * Thread:  orders are read by main's thread alone; say() and say_message() may be called by any.
 * Memory:  an order keeps its line until the next order_read(); order_bytes() gives what the caller frees.
 * Limits:  ORDER_WORDS words to a line.
 * Errors:  an order that makes no sense ends the program with what is wrong on stderr.
 * Tests:   tests/interop/test_peers.py
 */
#ifndef LONGLINK_TESTS_INTEROP_PEER_H
#define LONGLINK_TESTS_INTEROP_PEER_H

#include <MQTTProperties.h>
#include <stdbool.h>
#include <stddef.h>

enum { ORDER_WORDS = 40 };

struct order {
    char *line;
    size_t size;
    const char *words[ORDER_WORDS];
    int count;
};

/* False at the end of the orders. */
bool order_read(struct order *o);
void order_free(struct order *o);
bool order_is(const struct order *o, const char *verb);

/* The nth value of a key, from 0; NULL: there is none. */
const char *order_nth(const struct order *o, const char *key, int nth);
const char *order_text(const struct order *o, const char *key, const char *otherwise);
int order_number(const struct order *o, const char *key, int otherwise);
unsigned char *order_bytes(const struct order *o, const char *key, int *size);

/* The properties that an order has, by their short names; props is to be freed with MQTTProperties_free(). */
void order_publish_props(const struct order *o, MQTTProperties *props);
void order_connect_props(const struct order *o, MQTTProperties *props);
void order_will_props(const struct order *o, MQTTProperties *props);
void order_subscribe_props(const struct order *o, MQTTProperties *props);

/* What was received. */
struct heard {
    const char *topic;
    int qos, retained, dup;
    const void *payload;
    int size;
    const MQTTProperties *props;
};

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_message(const struct heard *h);

/* Ends the program when a call of the library failed. */
void must(int rc, const char *what);

#endif
