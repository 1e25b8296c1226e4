/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook_kit - plugins that answer when the test says so, and clients of a shard whose clock is the test's.
 *
 * Thread:  one.
 * Memory:  static; rig_end checks that nothing is left.
 * Limits:  KIT_ASKS questions, KIT_TEXT bytes of what was asked, KIT_BYTES to a client.
 * Errors:  CHECK.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_HOOK_KIT_H
#define UNIT_HOOK_KIT_H

#include "base/check.h"
#include "codec/codec.h"
#include "fuzz/shard_rig.h"
#include "hook/hook.h"
#include "kit/test.h"
#include <string.h>

enum { KIT_ASKS = 256, KIT_TEXT = 8192, KIT_BYTES = 64 * 1024, KIT_PACKET = 4096 };

struct kit_plugins {
    struct hooks hooks;
    uint32_t wants;
    bool at_once;   /* they answer while they are asked: */
    uint8_t answer; /* so */
    struct hook_ask *asked[KIT_ASKS];
    unsigned count;
    char said[KIT_TEXT]; /* what they were asked, a line each */
    const char *topic;   /* what they make of a publish's topic; NULL: nothing */
};
extern struct kit_plugins plugins;

struct kit_client {
    uint8_t in[KIT_BYTES];
    size_t at, end;
    bool is_ended;
};
extern struct kit_client kit_clients[RIG_LINKS];

/* A broker of one shard whose listener has these plugins; rig_end ends it. */
void kit_begin(uint32_t wants, struct access *access, void (*options)(struct config *c, void *ctx));

/* One of two shards, without plugins. */
void kit_begin_two(void (*options)(struct config *c, void *ctx));

/* --- plugins */

/* What they have been asked since the last time. */
void expect_asked(const char *want);

/* What the answer to question number i is to say; why: NULL, or a text for the client. */
void say(unsigned i, uint8_t code, const char *why);
/* Question number i, from 0, is answered, and the shard has heard it. */
void answer(unsigned i, enum hook_verdict verdict);

/* The same, and the shard hears it in its next turn. */
void answer_unheard(unsigned i, enum hook_verdict verdict);

/* --- clients */

unsigned open_link(void);
void send_bytes(unsigned link, const void *at, size_t n);
unsigned try_connect(const struct connect *p);
void send_publish(unsigned link, uint8_t version, const struct publish *p);
void publish_text(unsigned link, uint8_t version, const char *topic, uint8_t qos, uint16_t id);
void send_subscribe(unsigned link, uint8_t version, uint16_t id, const char *first, const char *second);
void send_unsubscribe(unsigned link, uint8_t version, uint16_t id, const char *filter);
void send_disconnect(unsigned link);
void ping(unsigned link);

bool hears_nothing(unsigned link);
struct frame next(unsigned link, enum packet_type type);
void expect_connack(unsigned link, uint8_t version, uint8_t code);
void expect_ack(unsigned link, uint8_t version, enum packet_type type, uint16_t id, uint8_t code);
/* The same, with a Reason String; NULL: without. */
void expect_ack_text(unsigned link, enum packet_type type, uint16_t id, const char *text);
void expect_connack_text(unsigned link, const char *text);
void expect_publish(unsigned link, uint8_t version, const char *topic, const char *payload);
void expect_disconnect(unsigned link, enum mqtt_rc code);
/* codes: so many. */
void expect_suback(unsigned link, uint8_t version, enum packet_type type, const char *codes, size_t count);

#endif
