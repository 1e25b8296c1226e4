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

#include "log/log.h"

/* --- format.c */

struct log_line {
    char at[LOG_LINE_BYTES_MAX];
    size_t len;
    bool cut; /* something did not fit */
};

struct log_event_row {
    const char *name;
    enum log_level level;
    bool peer; /* at most one line a second */
    const char *doc;
};

extern const struct log_event_row log_event_rows[EVENTS_COUNT];
extern const char *const log_level_names[LOG_LEVELS_COUNT];

void log_line_start(struct log_line *line, enum event e);
void log_line_stamp(struct log_line *line, uint64_t wall_ms);
void log_line_add(struct log_line *line, const struct log_field *field);
void log_line_end(struct log_line *line, enum event e);

/* --- sink_*.c */

struct log_sink {
    const struct log_sink_ops *ops;
    char *path;
    int fd;
};

struct log_sink_ops {
    const char *name;
    enum err (*open)(struct log_sink *s);
    bool (*write)(struct log_sink *s, enum log_level level, const char *text, size_t n);
    void (*close)(struct log_sink *s); /* open may follow */
};

#define SINK(name) extern const struct log_sink_ops log_sink_##name;
#include "log/sinks.def"
#undef SINK

/* NULL when there is no sink of this name. */
const struct log_sink_ops *log_sink_find(const char *name);

/* Writes all n bytes, however many calls it takes. */
bool log_sink_write_fd(struct log_sink *s, enum log_level level, const char *text, size_t n);

#endif
