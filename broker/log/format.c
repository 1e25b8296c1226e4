/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line: 2026-02-03T04:05:06.789Z info client-connected client="phone-1" port=51234
 * Warnings and errors end with the event's sentence after " - ", so that whoever reads knows what to do.
 */
#include "log/escape.h"
#include "log/log_int.h"
#include <inttypes.h>
#include <time.h>

enum {
    FIELD_BYTES_MAX = 300, /* of a text, escaped: topics and reasons fit, and no value takes the whole line */
    END_BYTES = 8,         /* kept back for the mark of a cut and the newline */
};

const struct log_event_row log_event_rows[EVENTS_COUNT] = {
#define LOG_RATE_PEER true
#define LOG_RATE_NONE false
#define EVENT(constant, name_, level_, rate_, doc_)                                                          \
    { .name = name_, .level = LOG_LEVEL_##level_, .peer = LOG_RATE_##rate_, .doc = doc_ },
#include "log/events.def"
#undef EVENT
};

const uint8_t log_event_kinds[EVENTS_COUNT] = {
    [EVENT_CLIENT_SUBSCRIBED] = LOG_KIND_SUBSCRIBE, [EVENT_CLIENT_UNSUBSCRIBED] = LOG_KIND_UNSUBSCRIBE,
    [EVENT_CONNECTION_OPEN] = LOG_KIND_CONNECTION,  [EVENT_CLIENT_CONNECTED] = LOG_KIND_CONNECTION,
    [EVENT_CLIENT_ENDED] = LOG_KIND_CONNECTION,     [EVENT_CLIENT_CLOSED] = LOG_KIND_CONNECTION,
    [EVENT_CLIENT_SLOW] = LOG_KIND_DELIVERY,        [EVENT_MESSAGE_DROPPED] = LOG_KIND_DELIVERY,
    [EVENT_SESSION_QUEUE_FULL] = LOG_KIND_DELIVERY, [EVENT_MEMORY_REFUSED] = LOG_KIND_DELIVERY,
    [EVENT_LOG_LOST] = LOG_KIND_DELIVERY,           [EVENT_LOG_SUPPRESSED] = LOG_KIND_DELIVERY,
};

const char *const log_level_names[LOG_LEVELS_COUNT] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

/* The format is the operator's, whom the compiler cannot warn. Nothing when it is too long. */
static size_t log_strftime(char *out, size_t size, const char *format, const struct tm *tm)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return strftime(out, size, format, tm);
#pragma GCC diagnostic pop
}

/* All of the text or nothing: half a number would be a lie. */
static void put(struct log_line *line, const char *text)
{
    size_t n = strlen(text);
    if (line->cut || n > sizeof line->at - END_BYTES - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->at + line->len, text, n);
    line->len += n;
}

void log_line_stamp(struct log_line *line, const char *format, uint64_t wall_ms)
{
    enum { STAMP_BYTES_MAX = 128 };
    char text[STAMP_BYTES_MAX + 8];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (format[0] == '\0') {
        gmtime_r(&seconds, &tm);
        size_t n = strftime(text, STAMP_BYTES_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, sizeof text - n, ".%03uZ ", (unsigned)(wall_ms % 1000));
    } else {
        localtime_r(&seconds, &tm);
        size_t n = log_strftime(text, STAMP_BYTES_MAX, format, &tm);
        snprintf(text + n, sizeof text - n, ": "); /* as mosquitto has it */
    }
    put(line, text);
}

void log_line_start(struct log_line *line, enum event e)
{
    put(line, log_level_names[log_event_rows[e].level]);
    put(line, " ");
    put(line, log_event_rows[e].name);
}

void log_line_add(struct log_line *line, const struct log_field *field)
{
    char text[FIELD_BYTES_MAX + 64];
    if (!field->is_text) {
        snprintf(text, sizeof text, " %.40s=%" PRId64, field->key, field->number);
    } else {
        char value[FIELD_BYTES_MAX];
        bool whole = log_escape(value, sizeof value, field->text);
        snprintf(text, sizeof text, " %.40s=\"%s\"%s", field->key, value, whole ? "" : "...");
    }
    put(line, text);
}

void log_line_end(struct log_line *line, enum event e)
{
    bool fields_cut = line->cut;
    if (log_event_rows[e].level <= LOG_LEVEL_WARNING && !fields_cut) {
        char text[LOG_LINE_BYTES_MAX];
        snprintf(text, sizeof text, " - %s", log_event_rows[e].doc);
        put(line, text);
    }
    const char *end = fields_cut ? " ...\n" : "\n";
    memcpy(line->at + line->len, end, strlen(end)); /* END_BYTES were kept back */
    line->len += strlen(end);
}

void log_print_reference(FILE *to)
{
    fputs("# Log events\n\n"
          "<!-- Generated from broker/log/events.def by longlink-docs. Do not edit. -->\n\n"
          "A line is `TIME LEVEL EVENT key=value ...`; warnings and errors end with ` - ` and the sentence\n"
          "below. An event marked *limited* can be caused by a peer and is written at most once a second;\n"
          "the next line says in `suppressed=N` how many were not.\n\n"
          "| event | level | limited | what it says |\n|---|---|---|---|\n",
          to);
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        const struct log_event_row *r = &log_event_rows[i];
        fprintf(to, "| `%s` | %s | %s | %s |\n", r->name, log_level_names[r->level], r->peer ? "yes" : "no",
                r->doc);
    }
}
