/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - events with a name, a level and key=value fields. A row of events.def each.
 *
 * The caller formats its line into a bounded queue; a thread of its own writes to the destinations. So an
 * event loop never waits for a disk. What a peer can cause makes at most one line a second.
 *
 * Thread:  log_event and log_wants from any; open, reopen and close from the main thread.
 * Memory:  copies what it is given. Two queues of queue_bytes.
 * Limits:  LOG_LINE_BYTES_MAX a line, longer values are cut and marked. A full queue loses the line, and a
 *          later line says how many were lost.
 * Errors:  log_open: ERR_NOMEM, or ERR_SYS with errno when a file cannot be opened. Logging never fails.
 * Tests:   tests/unit/test_log.c
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    LOG_LINE_BYTES_MAX = 1024,
    LOG_QUEUE_BYTES = 256 * 1024, /* default of queue_bytes: some 2,000 lines */
    LOG_DESTS_MAX = 8,
    LOG_RATE_MS = 1000, /* a peer's event: one line in this time */
    LOG_STAMP_FORMAT_BYTES = 101,
};

/* In the order of the words of the option log_type. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum { LOG_LEVELS_COUNT = LOG_LEVEL_DEBUG + 1, LOG_LEVELS_ALL = (1 << LOG_LEVELS_COUNT) - 1 };

/* What is wanted beside levels, whatever the level of these events; and what is not. */
enum {
    LOG_WANTS_SUBSCRIBE = 1 << LOG_LEVELS_COUNT,
    LOG_WANTS_UNSUBSCRIBE = LOG_WANTS_SUBSCRIBE << 1,
    LOG_WANTS_NO_CONNECTIONS = LOG_WANTS_SUBSCRIBE << 2, /* that come and go */
    LOG_WANTS_START = LOG_WANTS_SUBSCRIBE
                      << 3, /* until log_started: errors on stderr, whatever else is wanted */
};

enum event {
#define EVENT(constant, name, level, rate, doc) EVENT_##constant,
#include "log/events.def"
#undef EVENT
    EVENTS_COUNT
};

/* A destination by the name of its sink: "stderr", "stdout", "file" with a path, "syslog" with the path of
 * its socket or NULL, "topic". */
struct log_dest {
    const char *sink, *path;
    bool is_open; /* it is one of those of now: if it cannot be opened again, it goes on as it is */
};

struct log_conf {
    const struct clock *clock;
    unsigned levels; /* 1 << enum log_level of each that is wanted, and LOG_WANTS_* */
    bool timestamps;
    const char *stamp;            /* how, for strftime(3), in local time; NULL or empty: our own, in UTC */
    unsigned facility;            /* of syslog: 0: daemon; 1 to 8: local0 to local7 */
    const struct log_dest *dests; /* borrows; none: nothing is written */
    size_t dests_count;
    size_t queue_bytes; /* 0: LOG_QUEUE_BYTES */
};

struct log_field {
    const char *key;
    bool is_text;
    struct bytes text;
    int64_t number;
};

struct log;

enum err log_open(struct log **out, const struct log_conf *conf);

/* LOG_WANTS_START is over. */
void log_started(struct log *l);

/* Writes what is queued, and closes. */
void log_close(struct log **owner);

/* For a process that is about to end abruptly: writes what is queued; what comes later is lost. False:
 * another thread has come to this first. */
bool log_finish(struct log *l);

/* Opens the files again, for rotation; one that cannot be goes on as it is. Done by the log's thread; returns
 * at once. */
void log_reopen(struct log *l);

/* Another configuration, all but its clock and queue: opened first, as log_open does, with its errors and
 * `bad` set to the destination that is meant; and then used, by a log that runs. */
struct log_plan;
enum err log_plan_new(struct log_plan **out, const struct log_conf *conf, size_t *bad);
void log_plan_free(struct log_plan **owner);
void log_change(struct log *l, struct log_plan **plan); /* takes it */

/* Who publishes the lines for the destination topic, below $SYS/broker/log/, at "E" for example. Called by
 * the log's thread; must not log. NULL: nobody does from now on, and the one before is called no more. */
typedef void log_publisher(void *arg, const char *topic_end, const char *text, size_t n);
void log_publish(struct log *l, log_publisher *publisher, void *arg);

/* Would this event be written? To ask before what is expensive to gather. */
bool log_wants(const struct log *l, enum event e);

/* Lines lost so far because the queue was full or a destination failed. */
uint64_t log_lost(struct log *l);

/* Text of peers is fine: control bytes, quotes, backslashes and what is not UTF-8 become \xNN. */
#define LOG_TEXT(key_, bytes_) ((struct log_field){ .key = (key_), .is_text = true, .text = (bytes_) })
#define LOG_STR(key_, text_)   LOG_TEXT(key_, bytes_of_text(text_))
#define LOG_NUM(key_, number_) ((struct log_field){ .key = (key_), .number = (int64_t)(number_) })

/* log_event(log, EVENT_x, LOG_TEXT(..), LOG_NUM(..), ...): any number of fields. A NULL log takes nothing. */
#define log_event(log_, ...)                                                                                 \
    log_fields((log_), LOG_FIRST_(__VA_ARGS__, 0),                                                           \
               (const struct log_field[]){ LOG_REST_(__VA_ARGS__, LOG_END_) })
#define LOG_FIRST_(first, ...) first
#define LOG_REST_(first, ...)  __VA_ARGS__
#define LOG_END_                                                                                             \
    {                                                                                                        \
        .key = NULL                                                                                          \
    }

/* The same with the fields in an array that ends with a NULL key. */
void log_fields(struct log *l, enum event e, const struct log_field *fields);

/* The manual's table of events, in Markdown. */
void log_print_reference(FILE *to);

#endif
