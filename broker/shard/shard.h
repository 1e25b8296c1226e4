/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard - one event loop with its connections, sessions and timers; and the set of them.
 *
 * Thread:  shards_* from main. Each shard runs on a thread of its own once started.
 * Memory:  shards_new lends out the sink and borrows everything in shards_conf until shards_free.
 * Limits:  SHARDS_MAX.
 * Errors:  ERR_NOMEM, ERR_SYS from shards_new and shards_start.
 * Tests:   tests/e2e, tests/conformance, tests/stress
 */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include "base/clock.h"
#include "base/err.h"
#include "base/gauge.h"
#include "config/config.h"
#include "log/log.h"
#include "metrics/metrics.h"
#include "store/journal.h"
#include "store/restore.h"
#include "store/store.h"

struct shards;

struct shards_conf {
    unsigned count;
    const struct config *config;
    struct log *log;
    struct metrics *metrics; /* `count` blocks, and one more for the journal */
    const struct clock *clock;
};

/* One listening descriptor that the shards accept from. */
struct shards_listener {
    int fd;
    uint16_t port;
    uint32_t max_connections; /* UINT32_MAX: no limit */
    struct gauge *open;       /* connections of the listener, all its descriptors together */
};

enum err shards_new(struct shards **out, const struct shards_conf *conf);

/* What the journal delivers to. */
struct journal_sink shards_sink(struct shards *s);

/* Where a store shows what it remembers, before shards_start. */
struct restore_sink shards_restore(struct shards *s);

/* A value of the broker's own, as the retained message of a topic below $SYS. Before shards_start. */
enum err shards_sys(struct shards *s, const char *topic, const char *value);

/* What a store remembers of earlier processes; in memory nothing, and all is 0. */
struct shards_past {
    uint64_t boot_no;    /* which start of this store it is: numbers minted now are new */
    uint64_t client_key; /* what publishers of retained messages are known by is hashed with it */
};

/* Runs the loops. */
enum err shards_start(struct shards *s, const struct journal *journal, const struct store *store,
                      const struct shards_past *past);

/* Accepts from a descriptor. All shards have it when this returns. Borrows the listener until shards_free. */
void shards_listen(struct shards *s, struct shards_listener *listener);

/* Stops accepting, tells every client (v5: DISCONNECT 0x8B) and closes. After this no shard submits. */
void shards_close_clients(struct shards *s);

/* Ends the loops. The journal has been stopped before. */
void shards_stop(struct shards *s);
void shards_free(struct shards **owner);

#endif
