/* SPDX-License-Identifier: Apache-2.0 */
/*
 * one_door - what shards see of a configuration with one plain listener, for tests that have no broker.
 *
 * Thread:  the test's.
 * Memory:  the caller's struct; one_door_fini before it goes.
 * Limits:  one listener, with the default listener's options.
 * Errors:  CHECK.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_ONE_DOOR_H
#define UNIT_ONE_DOOR_H

#include "base/check.h"
#include "shard/shard.h"

struct one_door {
    struct shards_view view;
    struct shards_door door;
};

static inline void one_door_init(struct one_door *d, const struct config *config)
{
    char text[EDGE_TEXT_BYTES];
    struct edge_conf none = { 0 };
    d->door = (struct shards_door){ .config = &config->default_listener };
    CHECK(edge_new(&d->door.edge, &none, text) == ERR_OK);
    d->view = (struct shards_view){ config, &d->door, 1 };
}

static inline void one_door_fini(struct one_door *d)
{
    edge_unref(&d->door.edge);
}

#endif
