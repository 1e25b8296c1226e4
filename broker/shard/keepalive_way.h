/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keepalive_way - what a shard sees of the ways to its clients, for the learner (keepalive/keepalive.h), and
 * what it does with what that says.
 *
 *   CONNECT -> way_connected: an interval -> CONNACK (Server Keep Alive), or probes of the kernel's
 *   a packet after a long silence -> way_heard           \
 *   a PUBLISH -> way_pushed -> later: acknowledged?       > keepalive_heard: another interval -> probes
 *   a probe -> later: answered?                          /
 *   the end, and how -> way_ended; who comes back -> way_connected
 *
 * An idle connection has four bits of it. Only what is not as it always is has a struct way: a client that
 * was told another interval than its own, that is probed, that names its network; and for some seconds one
 * that was sent something after a long silence. Nothing here is done per packet: the hot path compares how
 * long it was silent, and asks for a bit.
 *
 * Thread:  the shard's.
 * Memory:  a struct way hangs on the connection's conn_seldom; the learner's is bounded by keepalive_clients.
 * Limits:  keepalive_probes connections are probed; WAYS_LENT_MAX have a struct way for a push alone.
 * Errors:  without memory a client has the interval that it asked for, and nothing is learned from it.
 * Tests:   tests/unit/test_keepalive_way.c, tests/e2e/test_keepalive_learn.py
 */
#ifndef SHARD_KEEPALIVE_WAY_H
#define SHARD_KEEPALIVE_WAY_H

#include "keepalive/keepalive.h"
#include "shard/conn.h"
#include "shard/due.h"
#include "store/keepalive_row.h"

struct connect;
struct shard;
struct shards;

enum { WAYS_LENT_MAX = 4096 };

struct way {
    struct ka_who who;
    uint64_t ack_ms;     /* when the last acknowledgement came that was looked at; 0: none */
    uint64_t push_ms;    /* when the push was sent that is not acknowledged, */
    uint32_t push_gap_s; /* after so much silence; 0: there is none that matters */
    uint16_t probe_s;    /* the kernel's; 0: none */
    bool is_lent;        /* for that push alone */
    bool is_late;        /* a probe was not answered at once */
    bool is_silent;      /* it has ended by its silence: its client's close is waited for */
};

/* A connection with a PUBLISH that was not acknowledged when it was last looked at. */
struct push {
    uint64_t id, since_ms, due_ms;
    bool is_late; /* it has been looked at, and has patience */
};

struct ways {
    struct keepalive *learner;
    struct push *pushes; /* a ring of a power of two, by due_ms */
    uint32_t pushes_at, pushes_count, pushes_room;
    struct due probes; /* connections by when their probe is to be looked at */
    uint32_t lent, probed;
    struct keepalive_counts counted; /* in the metrics already */
};

/* What earlier processes had learned. */
struct keepalive_past {
    struct keepalive_row *at;
    size_t count, room;
};

enum err ways_open(struct shard *sh);
void ways_fini(struct shard *sh);
void ways_reload(struct shard *sh);

/* May CONNACK have a Server Keep Alive because of it? */
bool way_may_tell(const struct shard *sh, const struct conn *c);
/* Its session is its own, and c->keepalive_s is what it asked for, as far as that is allowed: now it is what
 * holds. */
void way_connected(struct shard *sh, struct conn *c, const struct connect *p);

/* How a connection ends, before its session is cut off. Only the first call counts. */
void way_ended(struct shard *sh, struct conn *c, enum ka_how how);
/* The same when the network is gone, or it is dropped: the transport knows which. Of one that was ended for
 * its silence: the answer to that, by which it is seen that its way is there. */
void way_lost(struct shard *sh, struct conn *c);

/* A packet, after so long. */
void way_heard(struct shard *sh, struct conn *c, uint64_t silent_ms);

/* keepalive_push.c: a PUBLISH is on its way, and none was before. */
void way_pushed(struct shard *sh, struct conn *c);
void pushes_fini(struct ways *w);

/* keepalive_probe.c: from now on after so much silence; 0: no more. False: there is no room for another. */
bool way_may_probe(const struct shard *sh, const struct conn *c);
bool way_probe(struct shard *sh, struct conn *c, struct way *w, uint16_t idle_s);

/* keepalive_fold.c */
enum err ways_restore(struct shards *all, const struct keepalive_row *row);
void ways_prepare(struct shards *all);
void ways_past_fini(struct shards *all);
/* What earlier processes have learned of a client. */
void ways_remember(struct shard *sh, uint64_t client);
void ways_fold(struct shard *sh);
void ways_note(struct shard *sh); /* something was learned: it is folded some time later */

/* What a client, by its hash, has settled at where it was last; 0: nothing is known. */
uint16_t way_found(const struct shard *sh, uint64_t client);

/* For the files above. NULL: it has none. */
struct way *way_of(const struct conn *c);
struct way *way_make(struct conn *c);
void way_drop(struct shard *sh, struct conn *c);
struct ka_who way_who(struct shard *sh, const struct conn *c);
/* Does TCP end at the client, so that what it says is the client's? */
bool way_is_own(const struct shard *sh, const struct conn *c);
bool way_facts(const struct conn *c, struct transport_facts *out);
/* The learner hears of a sign of life; probes are changed to what it says. */
void way_sign(struct shard *sh, struct conn *c, enum ka_sign sign, uint64_t gap_ms);

/* The hot path: a whole packet has come. */
static inline void way_note_packet(struct shard *sh, struct conn *c, uint64_t now_ms)
{
    uint64_t silent_ms = now_ms - c->seen_ms;
    if (c->is_way && silent_ms >= (uint64_t)c->keepalive_s * 500) way_heard(sh, c, silent_ms);
    c->is_spoiled = c->is_pushed;
}

#endif
