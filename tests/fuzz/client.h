/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - what the other end of a connection knows, and what it may expect: the oracle of fuzz_connection.
 *
 * It reads what was sent, as the broker will, and what the broker answers; whatever the answer must not be,
 * aborts. What was sent may be anything: a client that broke the protocol must lose its connection, and one
 * that did not must keep it. A client is one link of shard_rig.h.
 *
 * Thread:  one.
 * Memory:  static, and an arena that clients_begin empties.
 * Limits:  where a table is full the client is no longer judged (is_lax), but for the form of what it gets.
 * Errors:  aborts (CHECK) when the broker breaks a promise.
 * Tests:   tests/fuzz/fuzz_connection.c uses it.
 */
#ifndef FUZZ_CLIENT_H
#define FUZZ_CLIENT_H

#include "base/bytes.h"
#include "codec/codec.h"
#include <stdbool.h>

enum {
    CLIENT_FLIGHTS_MAX = 256,
    CLIENT_ASKED_MAX = 512,
    CLIENT_ALIASES_MAX = 32,
    CLIENT_LAST_MAX = 24,
    CLIENT_BUFFER_BYTES = 64 * 1024
};

struct published;

/* A PUBLISH that the client got and has not finished. */
struct flight {
    uint16_t id;
    uint8_t qos;
    bool is_received, is_released; /* QoS 2: PUBREC has gone; PUBREL has come */
    struct published *source;      /* NULL: nobody knows */
};

/* What the client sent and waits for. */
struct asked {
    enum packet_type type; /* of what it sent */
    uint16_t id;
    uint8_t qos;
    uint16_t count;       /* filters */
    struct bytes filters; /* SUBSCRIBE: in the arena */
};

enum client_state { CLIENT_NEW, CLIENT_ASKED, CLIENT_OPEN, CLIENT_REFUSED };

/* What came last of a topic from one connection, with one QoS at both ends. */
struct last_got {
    uint64_t topic_hash;
    uint32_t link_no, order;
    uint8_t qos, published_qos;
};

struct client {
    bool is_used;
    enum client_state state;
    uint8_t version;
    int who;       /* which client id; -1: none that is known */
    bool is_bad;   /* it broke the protocol */
    bool is_lax;   /* nobody can say what it may expect */
    bool may_end;  /* there is a reason for the broker to end it */
    bool has_gone; /* it left by itself */
    bool was_told; /* DISCONNECT came: nothing may follow */
    bool is_over;  /* the broker will write no more */
    bool acks;     /* answers all that it gets at once */
    bool clean_start;
    bool says_goodbye; /* DISCONNECT has gone, and nothing was wrong before it */
    struct published *will;
    uint32_t link_no; /* of all connections of the run */
    struct last_got last[CLIENT_LAST_MAX];
    unsigned last_count;
    uint16_t keepalive_s;
    uint64_t born_ms;            /* since when it is there */
    uint64_t heard_ms, began_ms; /* when it finished a packet last, and began the one that it is in */
    uint32_t window, max_packet, alias_max;
    struct flight flights[CLIENT_FLIGHTS_MAX];
    unsigned flights_count;
    struct asked asked[CLIENT_ASKED_MAX];
    unsigned asked_count;
    struct bytes aliases[CLIENT_ALIASES_MAX + 1], server_aliases[CLIENT_ALIASES_MAX + 1]; /* sent; got */
    uint16_t last_id;
    size_t sent_bytes, got_bytes;
    uint8_t sent[CLIENT_BUFFER_BYTES], got[CLIENT_BUFFER_BYTES]; /* what is no whole packet yet */
};

void clients_begin(void);
struct client *client_of(unsigned link);

/* A link begins. */
void client_begin(unsigned link);

/* Sends bytes and notes what they mean. False: there was no room. */
bool client_send(unsigned link, struct bytes b);

/* It leaves, with or without the network's help. */
void client_leave(unsigned link, bool is_broken);

/* Time has passed. */
void clients_clock(void);

/* Acknowledges one of the PUBLISHes it got, as it should, and goes on with what waits for that. */
void client_acknowledge(unsigned link, unsigned index);

/* From now on it answers all, and what waits, too. */
void client_acks_all(unsigned link);

/* Nothing moves any more: has everybody got what was due? */
void clients_check_rest(void);

/* For rig_ears. */
void client_got(unsigned link, struct bytes b);
void client_ended(unsigned link);
void client_closed(unsigned link);

#endif
