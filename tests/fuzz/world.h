/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - what all clients of a run together did: who they are, what they asked for, what was published.
 *
 * It only ever grows during a run, so it says what may come, not what must.
 *
 * Thread:  one.
 * Memory:  static, and an arena that world_begin empties.
 * Limits:  WORLD_*_MAX; beyond them nothing is known any more, and the questions are answered so.
 * Errors:  none.
 * Tests:   tests/fuzz/fuzz_connection.c uses it.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "base/bytes.h"
#include <stdbool.h>

enum {
    WORLD_WHO_MAX = 24,
    WORLD_FILTERS_MAX = 64,
    WORLD_IDS_MAX = 8,
    WORLD_PUBLISHED_MAX = 1024,
    WORLD_ARENA_BYTES = 256 * 1024
};

struct wanted {
    struct bytes filter; /* without $share/NAME/ */
    uint8_t qos;         /* the highest it was asked with */
    bool is_shared;      /* once at least */
    bool takes_own;      /* once at least without No Local */
    uint32_t ids[WORLD_IDS_MAX];
    unsigned ids_count;
};

/* A client id, and what its sessions had. */
struct who {
    struct bytes id;
    bool is_unknown;         /* more filters than are kept */
    unsigned connects, jobs; /* CONNECTs; SUBSCRIBEs and UNSUBSCRIBEs */
    struct wanted wanted[WORLD_FILTERS_MAX];
    unsigned wanted_count;
};

struct published {
    uint64_t hash; /* of topic and payload; 0: free */
    uint64_t props_hash;
    uint32_t run;
    uint8_t qos; /* the highest */
    bool retain, has_expiry;
    bool is_repeated;  /* the same more than once: nobody can tell them apart */
    bool is_late;      /* a will, or delayed: its order says nothing */
    bool is_withdrawn; /* a will */
    uint32_t expiry_s;
    int by;           /* whose it is */
    uint32_t link_no; /* over which connection of the run */
    uint32_t order;   /* of all that was published */
    uint32_t done_by; /* a bit for each that has got it with QoS 2, to the end */
};

void world_begin(void);

/* A copy that stays until world_begin; nothing when there is no room, and then the world is not judged. */
struct bytes world_keep(struct bytes b);
bool world_is_known(void);
void world_forget(void); /* something happened that nobody can follow */

/* The number of a client id; -1: too many. */
int world_who(struct bytes client_id);
struct who *world_of(int who);

/* A filter that a client asked for; id 0: without an identifier. */
struct world_wish {
    struct bytes filter;
    uint8_t qos;
    bool no_local;
    uint32_t id;
};
void world_wants(int who, const struct world_wish *wish);
/* The highest QoS with which a client may get what somebody (-1: nobody knows who) published to this topic;
 * -1: nothing; 2 when nobody knows. */
int world_may_get(int who, struct bytes topic, int by);
/* Might it come by a shared subscription? */
bool world_is_shared(int who, struct bytes topic);

/* Did it give this identifier to a filter that matches the topic? True when nobody knows. */
bool world_has_id(int who, struct bytes topic, uint32_t id);

/* A publish, or a will; block: the properties that go on to receivers. */
struct world_publish {
    struct bytes topic, payload, block;
    uint8_t qos;
    bool retain, has_expiry, is_late;
    uint32_t expiry_s;
    int by;
    uint32_t link_no;
};
/* NULL when nothing is known any more. */
struct published *world_publish(const struct world_publish *p);
struct published *world_published(struct bytes topic, struct bytes payload);
uint64_t world_hash(struct bytes b, uint64_t seed);

#endif
