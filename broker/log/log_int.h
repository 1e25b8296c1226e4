/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_int - what the files of this module share: a line, a destination, the thread that writes.
 *
 * Thread:  a sink belongs to the log's thread between open and close; a line to who formats it.
 * Memory:  in the owner's struct.
 * Limits:  LOG_LINE_BYTES_MAX a line, with its newline.
 * Errors:  a sink's write says false when the destination refused; the line counts as lost.
 * Tests:   tests/unit/test_log.c
 */
#ifndef LOG_LOG_INT_H
#define LOG_LOG_INT_H

#include "base/lock.h"
#include "log/log.h"

/* --- format.c */

struct log_line {
    char at[LOG_LINE_BYTES_MAX];
    size_t len;
    bool cut; /* something did not fit */
};

/* What an event is about, beyond its level. */
enum {
    LOG_KIND_SUBSCRIBE = 1,
    LOG_KIND_UNSUBSCRIBE = 2,
    LOG_KIND_CONNECTION = 4, /* of a client: connection_messages */
    LOG_KIND_DELIVERY = 8,   /* the delivery of a message may cause it */
};
extern const uint8_t log_event_kinds[EVENTS_COUNT];

struct log_event_row {
    const char *name;
    enum log_level level;
    bool peer; /* at most one line a second */
    const char *doc;
};

extern const struct log_event_row log_event_rows[EVENTS_COUNT];
extern const char *const log_level_names[LOG_LEVELS_COUNT];

void log_line_start(struct log_line *line, enum event e);
/* In UTC; or as this strftime(3) format has it, in local time. */
void log_line_stamp(struct log_line *line, const char *format, uint64_t wall_ms);
void log_line_add(struct log_line *line, const struct log_field *field);
void log_line_end(struct log_line *line, enum event e);

/* --- sink_*.c */

/* Of a line that is to be written. */
struct log_record {
    uint16_t size;  /* with its newline */
    uint16_t stamp; /* so many bytes of it are the time */
    uint8_t level, kinds;
};

/* Who publishes lines. */
struct log_publish {
    struct lock lock; /* guards the others: held while it runs */
    log_publisher *run;
    void *arg;
};

struct log_sink {
    const struct log_sink_ops *ops;
    char *path;
    int fd;
    bool is_old; /* a file: as an earlier plan has opened it */
    unsigned facility;
    struct log_publish *publish;
};

struct log_sink_ops {
    const char *name;
    enum err (*open)(struct log_sink *s);
    bool (*write)(struct log_sink *s, const struct log_record *r, const char *text);
    void (*close)(struct log_sink *s); /* open may follow */
};

#define SINK(name) extern const struct log_sink_ops log_sink_##name;
#include "log/sinks.def"
#undef SINK

/* --- plan.c: what a configuration asks of the log */

struct log_plan {
    struct log_sink sinks[LOG_DESTS_MAX];
    size_t sinks_count;
    unsigned wanted; /* LOG_WANTS_* */
    bool stamps;
    char stamp[LOG_STAMP_FORMAT_BYTES]; /* empty: our own */
};

/* Files that could not be opened again go on where the old plan's do. */
void log_plan_inherit(struct log_plan *p, struct log_plan *old);

/* NULL when there is no sink of this name. */
const struct log_sink_ops *log_sink_find(const char *name);

/* Writes all n bytes, however many calls it takes. */
bool log_sink_write_fd(struct log_sink *s, const struct log_record *r, const char *text);

#endif
