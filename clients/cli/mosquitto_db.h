/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mosquitto_db - the file that mosquitto keeps its state in, chunk by chunk.
 *
 * Format versions 5 (mosquitto 1.6) and 6 (2.0 and 2.1). Numbers are big-endian, but for ids of messages and
 * times, which have the byte order of the machine that wrote them: this one's, it is taken to be.
 *
 *   15 bytes "\0\xb5\0mosquitto db", u32 unused, u32 version, then chunks: u32 kind | u32 bytes |
 *   1 CFG           u64 last id, u8 clean end, u8 bytes of an id (8), padding
 *   2 MESSAGE       u64 id, i64 expiry time, u32 payload, u16 source's packet id, u16 source's client id,
 *                   u16 source's user name, u16 topic (bytes each), u16 port, u8 QoS, u8 retain;
 *                   client id, user name, topic, payload, properties with their length, or nothing
 *   3 ENTRY         u64 id, u16 packet id, u16 client id (bytes), u8 QoS, u8 state, u8 retain and dup,
 *                   u8 direction; client id, properties
 *   4 RETAIN        u64 id
 *   5 SUBSCRIPTION  u32 identifier, u16 client id, u16 filter (bytes), u8 QoS, u8 options, u16 0;
 *                   client id, filter
 *   6 CLIENT        i64 expiry time, u32 expiry interval, u16 last packet id, u16 client id (bytes); only
 *                   version 6: u16 port, u16 user name (bytes), u32 0; client id, user name
 *
 * Thread:  one.
 * Memory:  borrows the file; what chunks hold points into it.
 * Limits:  the file's: a length is compared with what is left before it is used.
 * Errors:  a text with the offset and what to do. ERR_SYNTAX: it is damaged, or no such file. ERR_UNKNOWN: of
 *          a version that is not known.
 * Tests:   tests/unit/test_mosquitto_db.c, tests/fuzz/fuzz_mosquitto_db.c, tests/e2e/test_import.py
 */
#ifndef CLI_MOSQUITTO_DB_H
#define CLI_MOSQUITTO_DB_H

#include "base/bytes.h"
#include "base/err.h"

enum { MOSQUITTO_TEXT_BYTES = 256 };

struct mosquitto_db {
    struct bytes file;
    size_t at;
    uint32_t version;
    char text[MOSQUITTO_TEXT_BYTES]; /* of the last error */
};

enum mosquitto_kind {
    MOSQUITTO_UNKNOWN,
    MOSQUITTO_CFG,
    MOSQUITTO_MESSAGE,
    MOSQUITTO_ENTRY,
    MOSQUITTO_RETAIN,
    MOSQUITTO_SUBSCRIPTION,
    MOSQUITTO_CLIENT
};

/* How far a message has come on its way to or from a client, as mosquitto numbers it. What is not named here
 * has not been answered yet. */
enum mosquitto_state {
    MOSQUITTO_RESEND_PUBREL = 6,
    MOSQUITTO_WAITS_FOR_PUBREL = 7,
    MOSQUITTO_RESEND_PUBCOMP = 8,
    MOSQUITTO_WAITS_FOR_PUBCOMP = 9,
    MOSQUITTO_QUEUED = 11 /* was not sent yet */
};

struct mosquitto_message {
    uint64_t id;
    int64_t expires_s; /* since 1970; 0: never */
    struct bytes source_id, topic, payload;
    struct bytes props; /* with their length; not looked at, and maybe more follows; empty: none */
    uint8_t qos;
    bool retain;
};

struct mosquitto_entry {
    uint64_t message_id;
    struct bytes client_id;
    uint16_t packet_id;
    uint8_t qos, state;
    bool retain, dup;
    bool is_out; /* to the client */
};

struct mosquitto_subscription {
    struct bytes client_id, filter;
    uint32_t id;     /* subscription identifier; 0: none */
    uint8_t options; /* as in a SUBSCRIBE packet, QoS included */
};

struct mosquitto_client {
    struct bytes id;
    int64_t expires_s;   /* since 1970; 0: it was connected, or never */
    uint32_t interval_s; /* UINT32_MAX: never */
    bool has_username;
};

struct mosquitto_chunk {
    enum mosquitto_kind kind;
    uint32_t number; /* of the kind */
    size_t offset;
    union {
        bool is_clean_end; /* CFG */
        struct mosquitto_message message;
        struct mosquitto_entry entry;
        uint64_t retain; /* a message's id */
        struct mosquitto_subscription subscription;
        struct mosquitto_client client;
    };
};

enum err mosquitto_db_open(struct mosquitto_db *db, struct bytes file);

/* ERR_NOTFOUND: that was all. */
enum err mosquitto_db_next(struct mosquitto_db *db, struct mosquitto_chunk *out);

#endif
