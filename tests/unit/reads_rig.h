/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reads_rig - whole clients on shards whose turns are run one by one, and plugins that answer when they are
 * told. What a client is sent stands in its transcript, a word a PUBLISH: payload, QoS if above 0, then 'd'
 * for DUP, 'r' for RETAIN, '#' and a subscription identifier. '!' and a code in hexadecimal is a DISCONNECT.
 *
 * Thread:  one.
 * Memory:  static, see shard_rig.h.
 * Limits:  RIG_LINKS clients, READS_ASKED_MAX questions at once.
 * Errors:  fails the test.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_READS_RIG_H
#define UNIT_READS_RIG_H

#include "codec/codec.h"
#include "fuzz/shard_rig.h"
#include "hook/hook.h"

enum { READS_ASKED_MAX = 64, TRANSCRIPT_BYTES = 64 * 1024, IDS_MAX = 256 };

typedef enum hook_verdict reads_verdict(const struct hook_read *r);

/* The plugins. */
struct reads_host {
    struct hooks hooks;
    uint32_t wants;
    reads_verdict *at_once; /* NULL: they wait for reads_answer */
    struct hook_reads *asked[READS_ASKED_MAX];
    unsigned asked_count, items, most_items; /* the second: ever asked about */
    enum hook_verdict write;                 /* of who publishes; how often that was asked: */
    unsigned writes;
    const char *gone; /* a client id that must not be mentioned any more */
};
extern struct reads_host reads_host;

/* One that connects: a version, "-" before its id for a clean session, as "5 -a"; window 0: the default. */
unsigned reads_connect(const char *who, uint16_t window);
unsigned reads_connect_as(const struct connect *c);
void reads_subscribe(unsigned link, const char *filter, uint8_t qos);
void reads_subscribe_as(unsigned link, const char *filter, uint8_t id); /* QoS 0, MQTT 5 */
void reads_publish(unsigned link, const char *topic, const char *payload, uint8_t qos);
void reads_retain(unsigned link, const char *topic, const char *payload);
void reads_ack(unsigned link, enum packet_type type, uint16_t id);
/* Acknowledges all that has come; gives how many there were. */
unsigned reads_ack_all(unsigned link);

/* What has come since reads_heard was called last. */
const char *reads_heard(unsigned link);
uint16_t reads_id(unsigned link, unsigned which); /* packet id of the PUBLISH that came as this one */
unsigned reads_releases(unsigned link);           /* PUBRELs that came */

void reads_begin(unsigned shards, uint32_t acl_cache_seconds);
void reads_end(void);

/* The question that was asked first, or as this one. */
void reads_answer(reads_verdict *verdict);
void reads_answer_nth(unsigned nth, reads_verdict *verdict);
/* Answers until nothing is asked any more. */
void reads_answer_all(reads_verdict *verdict);

enum hook_verdict reads_allow(const struct hook_read *r);
enum hook_verdict reads_deny(const struct hook_read *r);
enum hook_verdict reads_defer(const struct hook_read *r);
enum hook_verdict reads_late(const struct hook_read *r);

bool reads_is(const struct hook_read *r, const char *payload);

#endif
