/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard_rig - real shards with the journal in memory, on one thread: no epoll, no sockets, no clock but ours.
 *
 * rig_begin makes shards of a configuration, and rig_end checks that nothing is left of what happened to
 * them.
 *
 * Thread:  one.
 * Memory:  static; blocks of memory are counted (rig_blocks), and at the end of a run none may be missing.
 * Limits:  RIG_LINKS connections at once, or as many as rig_conf says; LINK_IN_BYTES that the broker has
 *          not read.
 * Errors:  aborts (CHECK) when the broker keeps something, or does not come to rest.
 * Tests:   tests/fuzz/fuzz_connection.c uses it.
 */
#ifndef FUZZ_SHARD_RIG_H
#define FUZZ_SHARD_RIG_H

#include "base/bytes.h"
#include "config/config.h"
#include "hook/broker.h"
#include "hook/hook.h"
#include "metrics/metrics.h"
#include "net/transport.h"
#include <stdbool.h>

enum {
    RIG_LINKS = 16,
    RIG_LINKS_MAX = 160,
    RIG_SHARDS_MAX = 2,
    LINK_IN_BYTES = 64 * 1024,
    LINK_ALL_ROOM = -1,
    RIG_TOPIC_ALIASES = 10
};

/* Who hears what the broker writes to a link. */
struct rig_ears {
    void (*got)(unsigned link, struct bytes b);
    void (*ended)(unsigned link); /* nothing more will come; not told if the network broke */
    void (*closed)(unsigned link);
};

struct hooks;

struct rig_conf {
    unsigned shards; /* 1 or 2 */
    unsigned links;  /* at once, RIG_LINKS_MAX at most; 0: RIG_LINKS */
    struct rig_ears ears;
    /* Changes the options; they are the defaults when it is called. */
    void (*options)(struct config *c, void *ctx);
    void *ctx;
    struct hooks *hooks;   /* plugins of the listener; NULL: none. Borrowed until rig_end */
    struct access *access; /* its files; the same */
};

void rig_begin(const struct rig_conf *conf);

/* From now on the listener has these plugins, as after a reload. */
void rig_reload(struct hooks *hooks);

/* Closes all links, lets everything expire, and checks that nothing is left. */
void rig_end(void);

const struct config *rig_config(void);
uint64_t rig_now_ms(void);
int64_t rig_metric(enum metric m);
struct hook_broker rig_broker(void);     /* what plugins may ask */
void rig_set_hooks(struct hooks *hooks); /* as a reload does */

/* A connection that the broker accepts; -1: there are as many as there may be. */
int rig_open(unsigned shard);
/* One with a handshake of so many steps: each a read that takes so long, by the clock of the rig. */
int rig_open_shaking(unsigned shard, unsigned steps, unsigned step_ms);
unsigned rig_shakes(unsigned link); /* steps that are left */
/* One that says nothing below its bytes, as TCP does. */
int rig_open_bare(unsigned shard);
void rig_wear_ids(unsigned shard);            /* as after 2^32 connections: the next ids begin anew */
unsigned rig_watches(unsigned link);          /* how often epoll has been told of it */
unsigned rig_writes(unsigned link);           /* how often the broker has tried to write */
bool rig_is_open(unsigned link);              /* the broker has not closed it */
bool rig_send(unsigned link, struct bytes b); /* False: no room, and nothing was sent */
size_t rig_unread(unsigned link);
void rig_finish(unsigned link);          /* the client will send no more */
void rig_break(unsigned link);           /* the network is gone: reading and writing fail */
void rig_room(unsigned link, int bytes); /* how much it takes before it is full; LINK_ALL_ROOM */

/* From now on reading needs room, too, as it does where an answer of the transport's own has found none. */
void rig_read_by_room(unsigned link);

/* --- what the system knows and does: a link has nothing of it before one of these was called */

/* The address of clients that come from now on; all zero: nobody knows it. */
void rig_come_from(const struct net_address *a);
void rig_set_facts(unsigned link, const struct transport_facts *f);
struct transport_probe rig_probe(unsigned link); /* what it was told to probe; all zero: never */
uint32_t rig_patience(unsigned link);            /* ms for what is not acknowledged; UINT32_MAX: never told */

/* One turn of one shard's loop. */
void rig_turn(unsigned shard);
/* One of each, and some more of those that have work then. */
void rig_turn_all(void);

/* The journal applies so many of the commands that it has, and answers. While it is held, rig_turn leaves it
 * alone; else each turn ends with it. */
void rig_journal_hold(bool holds);
void rig_journal_release(unsigned count);

/* Turns all shards until nothing moves. */
void rig_settle(void);
void rig_advance(uint64_t ms);
void rig_use_memory(uint64_t bytes); /* what is in use now, for memory_limit */

/* Does the broker read from this link: it is open, not paused, and not in its end? */
bool rig_is_read(unsigned link);

/* Has every message that was queued for its session gone out, and been acknowledged? */
bool rig_is_drained(unsigned link);

/* Blocks of memory that are allocated now. */
long rig_blocks(void);

#endif
