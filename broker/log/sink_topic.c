/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"

/*
 * Lines as messages of the broker, for whoever subscribes. A delivery that goes wrong says so in the log; if
 * that were a message again, and its delivery went wrong as well, there would be no end: such lines go to the
 * other destinations only.
 */

static const char *const ends[LOG_LEVELS_COUNT] = {
    [LOG_LEVEL_ERROR] = "E", [LOG_LEVEL_WARNING] = "W", [LOG_LEVEL_NOTICE] = "N",
    [LOG_LEVEL_INFO] = "I",  [LOG_LEVEL_DEBUG] = "D",
};

static const char *end_of(const struct log_record *r)
{
    if ((r->kinds & LOG_KIND_SUBSCRIBE) != 0) return "M/subscribe";
    if ((r->kinds & LOG_KIND_UNSUBSCRIBE) != 0) return "M/unsubscribe";
    return ends[r->level];
}

static enum err open_topic(struct log_sink *s)
{
    (void)s;
    return ERR_OK;
}

static bool write_topic(struct log_sink *s, const struct log_record *r, const char *text)
{
    if ((r->kinds & LOG_KIND_DELIVERY) != 0) return true;
    lock_take(&s->publish->lock);
    if (s->publish->run != NULL) s->publish->run(s->publish->arg, end_of(r), text, r->size - 1u);
    lock_release(&s->publish->lock);
    return true; /* nobody there, or too many at once: they are no record */
}

static void close_topic(struct log_sink *s)
{
    (void)s;
}

const struct log_sink_ops log_sink_topic = {
    .name = "topic",
    .open = open_topic,
    .write = write_topic,
    .close = close_topic,
};
