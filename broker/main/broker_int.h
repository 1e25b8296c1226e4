/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_int - what the files of main share: the parts of a broker.
 *
 * Thread:  main.
 * Memory:  the broker's.
 * Limits:  none of its own.
 * Errors:  in the log.
 * Tests:   tests/e2e
 */
#ifndef MAIN_BROKER_INT_H
#define MAIN_BROKER_INT_H

#include "main/broker.h"
#include "main/doors.h"
#include "shard/shard.h"

struct plugins;
struct store_mem;
struct store_disk;
struct throttle;
struct workers;

struct broker {
    const struct config *config; /* that holds; the doors have it */
    struct clock_steady clock;   /* of all but the log, whose lines have the time of day */
    struct log *log;
    struct metrics *metrics;
    struct shards *shards;
    struct shards_pulse *pulse;
    struct workers *workers;
    struct throttle *throttle;
    struct store_mem *mem; /* one of the two */
    struct store_disk *disk;
    char state_dir[CONFIG_TEXT_BYTES + 64];
    struct plugins *plugins; /* NULL: none */
    bool runs;               /* the loops, and the store behind them */
    struct doors *doors;
    struct doors_plan *plan; /* at the start, until it is applied */
};

/* reload.c */
enum err broker_open_log(struct broker *b, const struct config *config);
void broker_log_warnings(struct broker *b, const struct config_notes *notes);

#endif
