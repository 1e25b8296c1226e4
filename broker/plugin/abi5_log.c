/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plugins write into the log, on any thread.
 */
#include "plugin/abi5_int.h"
#include <stdarg.h>
#include <stdio.h>

#pragma GCC visibility push(default)
/* mosquitto exports it without a header. */
void mosquitto_log_vprintf(int level, const char *fmt, va_list va) __attribute__((format(printf, 2, 0)));
#pragma GCC visibility pop

static void say(struct log *log, int level, const char *text)
{
    const struct plugin *p = plugin_now();
    const char *name = p == NULL ? "?" : p->name; /* a thread of a plugin's own */
    switch (level) {
    case MOSQ_LOG_ERR:
        log_event(log, EVENT_PLUGIN_ERROR, LOG_STR("plugin", name), LOG_STR("text", text));
        break;
    case MOSQ_LOG_WARNING:
        log_event(log, EVENT_PLUGIN_WARNING, LOG_STR("plugin", name), LOG_STR("text", text));
        break;
    case MOSQ_LOG_NOTICE:
        log_event(log, EVENT_PLUGIN_NOTICE, LOG_STR("plugin", name), LOG_STR("text", text));
        break;
    case MOSQ_LOG_INFO:
        log_event(log, EVENT_PLUGIN_INFO, LOG_STR("plugin", name), LOG_STR("text", text));
        break;
    default: log_event(log, EVENT_PLUGIN_DEBUG, LOG_STR("plugin", name), LOG_STR("text", text));
    }
}

void mosquitto_log_vprintf(int level, const char *fmt, va_list va)
{
    struct plugin_gate gate;
    char text[LOG_LINE_BYTES_MAX];
    int size = fmt == NULL ? -1 : vsnprintf(text, sizeof text, fmt, va);
    if (size < 0 || !plugins_enter(&gate)) return;
    say(gate.log, level, text);
    plugins_leave();
}

void mosquitto_log_printf(int level, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    mosquitto_log_vprintf(level, fmt, list);
    va_end(list);
}
