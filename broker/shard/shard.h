/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard - one event loop with its connections, sessions and timers; and the set of them.
 *
 * Thread:  shards_* from main, shards_offline_ids from any; each shard runs on a thread of its own.
 * Memory:  shards_new lends out the sink and borrows everything in shards_conf until shards_free.
 * Limits:  SHARDS_MAX.
 * Errors:  ERR_NOMEM, ERR_SYS from shards_new and shards_start.
 * Tests:   tests/e2e, tests/conformance, tests/stress, tests/unit/test_offline_ids.c
 */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include "access/access.h"
#include "base/bucket.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/gauge.h"
#include "config/config.h"
#include "hook/broker.h"
#include "log/log.h"
#include "metrics/metrics.h"
#include "net/edge.h"
#include "store/journal.h"
#include "store/restore.h"
#include "store/store.h"

struct hooks;
struct shards;
struct throttle;
struct workers;

/* What holds for the connections of one listener. */
struct shards_door {
    const struct config_listener *config;
    struct edge *edge;
    struct access *access; /* NULL: no password file and no ACL file */
    struct hooks *hooks;   /* NULL: no plugins */
    uint64_t number;       /* never another one's, as a place in a view may be; 0: none */
    bool is_gone;          /* from the configuration: its connections end */
};

/* What holds, of the configuration. Never changed: a reload makes another one. */
struct shards_view {
    const struct config *config;
    const struct shards_door *doors;
    size_t doors_count;
};

struct shards_conf {
    unsigned count;
    const struct shards_view *view; /* the first */
    struct log *log;
    struct metrics *metrics; /* `count` blocks, and one more for the journal */
    const struct clock *clock;
    struct workers *workers; /* these two may be NULL when no door has a password file */
    struct throttle *throttle;
    uint32_t connections_max; /* that descriptors are there for; 0: not known */
};

/* What is counted for all connections of a listener together, on all shards. */
struct shards_rates {
    struct bucket connects, bytes;
};

/* One listening descriptor that the shards accept from. */
struct shards_listener {
    int fd;
    uint16_t port;
    uint16_t door;              /* its place in each view */
    struct gauge *open;         /* connections of the listener, all its descriptors together */
    struct shards_rates *rates; /* the same; NULL: it has no limits of this kind */
};

enum err shards_new(struct shards **out, const struct shards_conf *conf);

/* What the journal delivers to. */
struct journal_sink shards_sink(struct shards *s);

/* Where a store shows what it remembers, before shards_start. */
struct restore_sink shards_restore(struct shards *s);

/* Begins to say below $SYS how the broker is, if it is configured to. Before shards_start, when all that a
 * store remembers has been restored. */
enum err shards_sys(struct shards *s, const char *version, const char *durability);

/* What a store remembers of earlier processes; in memory nothing, and all is 0. */
struct shards_past {
    uint64_t boot_no;    /* which start of this store it is: numbers minted now are new */
    uint64_t client_key; /* what publishers of retained messages are known by is hashed with it */
};

/* Runs the loops. */
enum err shards_start(struct shards *s, const struct journal *journal, const struct store *store,
                      const struct shards_past *past);

/* What plugins may ask, of any thread (hook/broker.h); not after shards_stop. */
struct hook_broker shards_hook_broker(struct shards *s);

/* From now on this holds. Every shard has it when this returns, and nobody uses the one before. Clients that
 * may be here no more are ended in the turns that follow. */
void shards_change(struct shards *s, const struct shards_view *view);

/* Accepts from a descriptor. All shards have it when this returns, or none and it says why. They leave who
 * comes waiting as long as it is no door of their view. Borrows the listener until its last connection has
 * ended. */
enum err shards_listen(struct shards *s, struct shards_listener *listener);

/* Accepts from it no more. One that no shard has is fine. */
void shards_unlisten(struct shards *s, struct shards_listener *listener);

/* A log_publisher: lines of the log as messages below $SYS/broker/log/. `shards` is the argument. Not after
 * shards_stop. */
void shards_log_line(void *shards, const char *topic_end, const char *text, size_t n);

/* For a watchdog. True: every shard has turned since the call before this one; then all are asked again. */
struct shards_pulse;
enum err shards_pulse_new(struct shards_pulse **out, struct shards *s);
bool shards_pulse(struct shards_pulse *p);
void shards_pulse_free(struct shards_pulse **owner); /* after shards_stop */

/* What waits for a client, whether it is connected or not: a question of any thread, which comes back as mail
 * when it is answered. This is what the admin's HTTP, and the tool through it, show of a queue. */
struct shards_ids {
    struct bytes client_id; /* lent until the answer */
    struct mailbox *to;     /* where the answer goes, as `mail` with this kind */
    uint32_t kind;
    struct mail mail;
    enum err rc; /* ERR_OK; ERR_NOTFOUND: no session that outlives its connection; ERR_CLOSED: at the end */
    /* Set `after` (0 at first, then the last seq that came) and `limit` (1 to IDS_ENTRIES_MAX). There come
     * the rows that are not acknowledged, in the order of seq; fewer than `limit` though there are more,
     * perhaps, but none only at the end. */
    struct store_ids page;
};

/* Takes the question until it is answered. Not after shards_stop. */
void shards_offline_ids(struct shards *s, struct shards_ids *q);

/* Stops accepting, tells every client (v5: DISCONNECT 0x8B) and closes. After this no shard submits. */
void shards_close_clients(struct shards *s);

/* Ends the loops. The journal has been stopped before. */
void shards_stop(struct shards *s);
void shards_free(struct shards **owner);

#endif
