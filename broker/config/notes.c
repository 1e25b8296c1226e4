/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include "log/escape.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_BYTES = 1200 };

void config_notes_init(struct config_notes *n)
{
    *n = (struct config_notes){ .count = 0 };
}

void config_notes_fini(struct config_notes *n)
{
    for (size_t i = 0; i < n->count; i++) free(n->at[i].text);
    config_notes_init(n);
}

void place_origin(const struct place *p, char out[CONFIG_ORIGIN_BYTES])
{
    char line[16] = "";
    if (p->line > 0) snprintf(line, sizeof line, ":%u", p->line);

    size_t room = CONFIG_ORIGIN_BYTES - strlen(line), len = strlen(p->file);
    const char *end = len < room ? p->file : p->file + len - (room - 1); /* the end tells more */
    log_escape(out, room, bytes_of_text(end));
    memcpy(out + strlen(out), line, strlen(line) + 1); /* room left a place for it */
}

static void add(struct config_notes *n, bool is_error, const char *text)
{
    if (is_error) n->errors++;
    char *copy = n->count < CONFIG_NOTES_MAX ? strdup(text) : NULL;
    if (copy == NULL) {
        n->missed++;
        return;
    }
    n->at[n->count++] = (struct config_note){ .is_error = is_error, .text = copy };
}

__attribute__((format(printf, 4, 0))) static void note(const struct place *p, bool is_error,
                                                       const char *option, const char *format, va_list args)
{
    char text[NOTE_BYTES], origin[CONFIG_ORIGIN_BYTES], name[80], message[NOTE_BYTES / 2];
    place_origin(p, origin);
    vsnprintf(message, sizeof message, format, args);
    if (option == NULL) {
        snprintf(text, sizeof text, "%s: %s", origin, message);
    } else {
        bool whole = log_escape(name, sizeof name, bytes_of_text(option));
        const char *colon = strncmp(message, "value ", 6) == 0 ? ":" : "";
        snprintf(text, sizeof text, "%s: option '%s%s'%s %s", origin, name, whole ? "" : "...", colon,
                 message);
    }
    add(p->notes, is_error, text);
}

void note_error(const struct place *p, const char *option, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(p, true, option, format, args);
    va_end(args);
}

void note_warning(const struct place *p, const char *option, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(p, false, option, format, args);
    va_end(args);
}

bool note_value(const struct place *p, const char *option, const char *value, const char *allowed)
{
    if (value[0] == '\0') {
        note_error(p, option, "has no value; allowed: %s", allowed);
        return false;
    }
    char why[NOTE_BYTES / 4];
    snprintf(why, sizeof why, "is not allowed; allowed: %s", allowed);
    return note_refusal(p, option, value, why);
}

bool note_refusal(const struct place *p, const char *option, const char *value, const char *why)
{
    char shown[160];
    bool whole = log_escape(shown, sizeof shown, bytes_of_text(value));
    note_error(p, option, "value '%s%s' %s", shown, whole ? "" : "...", why);
    return false;
}
