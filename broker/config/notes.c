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

/* The end of a long name tells more than its beginning. */
static void file_print(const char *file, char *out, size_t room)
{
    size_t len = strlen(file);
    log_escape(out, room, bytes_of_text(len < room ? file : file + len - (room - 1)));
}

static void line_add(char out[CONFIG_ORIGIN_BYTES], unsigned line)
{
    size_t n = strlen(out);
    if (line > 0) snprintf(out + n, CONFIG_ORIGIN_BYTES - n, ":%u", line);
}

enum { LINE_BYTES = sizeof ":4294967295" - 1 };

void place_print(const struct place *p, char out[CONFIG_ORIGIN_BYTES])
{
    file_print(p->file, out, CONFIG_ORIGIN_BYTES - LINE_BYTES);
    line_add(out, p->line);
}

/* The file is most often the one of the line before. */
struct config_origin place_origin(const struct place *p)
{
    struct config *c = p->config;
    char file[CONFIG_ORIGIN_BYTES];
    file_print(p->file, file, CONFIG_ORIGIN_BYTES - LINE_BYTES);
    size_t at = c->files_count;
    while (at > 0 && strcmp(c->files[at - 1], file) != 0) at--;
    if (at == 0 && c->files_count < CONFIG_ORIGINS_MAX) {
        snprintf(c->files[c->files_count], CONFIG_ORIGIN_BYTES, "%s", file);
        at = ++c->files_count;
    }
    /* One too many: better the wrong file than one that looks unset. */
    return (struct config_origin){ .file = (uint32_t)(at > 0 ? at : c->files_count), .line = p->line };
}

void config_origin_print(const struct config *c, struct config_origin at, char out[CONFIG_ORIGIN_BYTES])
{
    snprintf(out, CONFIG_ORIGIN_BYTES, "%s", at.file == 0 ? "default" : c->files[at.file - 1]);
    line_add(out, at.line);
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
    place_print(p, origin);
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
