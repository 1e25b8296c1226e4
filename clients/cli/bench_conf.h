/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_conf - what `longlink bench` was asked for, and who publishes what to whom because of it.
 *
 * Thread:  any; values.
 * Memory:  text points into argv.
 * Limits:  bench_options.def.
 * Errors:  as options_parse(), and ERR_RANGE for options that contradict each other.
 * Tests:   tests/unit/test_bench_conf.c
 */
#ifndef CLI_BENCH_CONF_H
#define CLI_BENCH_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"

enum bench_scenario {
    BENCH_PAIRS,
    BENCH_FANOUT,
    BENCH_FANIN,
    BENCH_HOLD,
    BENCH_OFFLINE,
    BENCH_STORM,
    BENCH_SHARED,
    BENCH_RETAINED,
    BENCH_FLEET
};
enum bench_part { BENCH_ALL, BENCH_ENQUEUE, BENCH_DRAIN };

/* One member for each row, named as in the table: a number (SECONDS in milliseconds) or text. */
struct bench_conf {
#define OPTION(name, type, default_, min, max, form, doc) uint64_t name;
#define TEXT(name, default_, form, doc)                   const char *name;
#include "cli/bench_options.def"
#undef OPTION
#undef TEXT
};

extern const struct options_table bench_options;

enum err bench_conf_parse(int argc, char *const *argv, struct bench_conf *conf, struct options_parsed *out);

/* Nothing is published. */
static inline bool bench_only_connects(const struct bench_conf *conf)
{
    return conf->scenario == BENCH_HOLD || conf->scenario == BENCH_STORM;
}

/* "pairs" and so on. */
const char *bench_scenario_name(const struct bench_conf *conf, char *buffer, size_t buffer_bytes);

/*
 * A stream is the messages of one publisher on one topic. Either all streams share a topic and every
 * subscriber gets them all (fanout, fanin), or stream i has its own topic and subscriber i alone gets it.
 * Publisher p has the streams p, p + publishers, p + 2 * publishers ... Two are special: of a group each
 * message goes to one of all subscribers, and retained streams have one message each, which every subscriber
 * gets when it asks.
 */
struct bench_plan {
    uint32_t publishers, subscribers, streams;
    bool shared_topic;
    bool group;            /* streams are shared, and whoever gets a message is good */
    bool retains;          /* publishes are retained, and subscribers come later */
    bool persistent;       /* subscribers keep their session */
    bool counts_delivery;  /* a message is outstanding until it is delivered, not only until its PUBACK */
    bool measures_latency; /* of deliveries */
    uint32_t deliveries;   /* of each message */
    uint64_t messages;     /* in all; 0: as many as go in the time */
    uint32_t window;
};

struct bench_plan bench_plan_of(const struct bench_conf *conf);

/* Messages of publisher p, UINT64_MAX when their number is not given; and, when it is, of a stream. */
uint64_t bench_quota_of(const struct bench_plan *plan, uint32_t publisher);
uint64_t bench_share_of(const struct bench_plan *plan, uint32_t stream);

#endif
