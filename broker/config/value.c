/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    char letter;
    uint32_t seconds;
};

/* As mosquitto counts them: a month has 30 days and a year 365. */
static const struct unit units[] = {
    { 'y', 365u * 86400 }, { 'm', 30u * 86400 }, { 'w', 7u * 86400 }, { 'd', 86400 }, { 'h', 3600 },
};
enum { UNITS_COUNT = sizeof units / sizeof units[0] };

/* Digits only: no sign, no blanks, no other base. end: where they end. */
static bool read_digits(const char *text, uint64_t *out, const char **end)
{
    char *stop;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    unsigned long long v = strtoull(text, &stop, 10);
    *end = stop;
    *out = v;
    return errno == 0;
}

bool value_number(const char *text, uint64_t *out)
{
    const char *end;
    return read_digits(text, out, &end) && *end == '\0';
}

static bool read_bool(const char *text, uint64_t *out)
{
    *out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out != 0 || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static bool read_duration(const char *text, uint64_t *out)
{
    const char *end;
    uint64_t n;
    if (strcmp(text, "never") == 0) {
        *out = UINT32_MAX;
        return true;
    }
    if (!read_digits(text, &n, &end) || end[0] == '\0' || end[1] != '\0') return false;
    for (size_t i = 0; i < UNITS_COUNT; i++) {
        if (units[i].letter != end[0]) continue;
        if (n >= UINT32_MAX / units[i].seconds) return false;
        *out = n * units[i].seconds;
        return true;
    }
    return false;
}

/* A listener's number whose maximum is all that fits stands for no limit there. */
static bool has_no_limit(const struct option *o)
{
    return o->scope == CONFIG_SCOPE_LISTENER && o->type == CONFIG_TYPE_u32 && o->max == UINT32_MAX;
}

/* A value and whether its type allows it; the range is the caller's to check. */
static bool read_value(const struct option *o, const char *text, uint64_t *out)
{
    switch (o->type) {
    case CONFIG_TYPE_bool: return read_bool(text, out);
    case CONFIG_TYPE_duration: return read_duration(text, out);
    default: break;
    }
    if (!has_no_limit(o) || strcmp(text, "-1") != 0) return value_number(text, out);
    *out = UINT32_MAX;
    return true;
}

static void *field(void *base, const struct option *o)
{
    return (char *)base + o->at;
}

static uint64_t get(const void *base, const struct option *o)
{
    const void *at = (const char *)base + o->at;
    if (o->type == CONFIG_TYPE_bool) return *(const bool *)at;
    return o->type == CONFIG_TYPE_u64 ? *(const uint64_t *)at : *(const uint32_t *)at;
}

static void set(void *base, const struct option *o, uint64_t v)
{
    if (o->type == CONFIG_TYPE_bool)
        *(bool *)field(base, o) = v != 0;
    else if (o->type == CONFIG_TYPE_u64)
        *(uint64_t *)field(base, o) = v;
    else
        *(uint32_t *)field(base, o) = (uint32_t)v;
}

bool value_is_text(const struct option *o)
{
    return o->type == CONFIG_TYPE_text || o->type == CONFIG_TYPE_file || o->type == CONFIG_TYPE_folder ||
           o->type == CONFIG_TYPE_list;
}

void value_init(void *base, const struct option *o)
{
    if (value_is_text(o))
        snprintf(field(base, o), o->max + 1, "%s", o->def_text);
    else
        set(base, o, o->def);
}

void value_copy(void *to, const void *from, const struct option *o)
{
    if (value_is_text(o))
        snprintf(field(to, o), o->max + 1, "%s", (const char *)from + o->at);
    else
        set(to, o, get(from, o));
}

/* A list keeps the texts before, a line each. */
static bool set_text(const struct place *p, const struct option *o, const char *value)
{
    char allowed[64];
    char *to = field(option_base(p, o), o);
    size_t used = o->type == CONFIG_TYPE_list ? strlen(to) : 0;
    value_allowed(o, allowed, sizeof allowed);
    if (value[0] == '\0' || strchr(value, '\n') != NULL || strlen(value) + used + (used > 0) > o->max)
        return note_value(p, o->name, value, allowed);
    snprintf(to + used, o->max + 1 - used, "%s%s", used > 0 ? "\n" : "", value);
    return true;
}

static bool set_number(const struct place *p, const struct option *o, const char *value)
{
    uint64_t v;
    bool ok = read_value(o, value, &v);
    if (ok && !(o->type == CONFIG_TYPE_limit && v == 0)) ok = v >= o->min && v <= o->max;
    if (!ok) {
        char allowed[128];
        value_allowed(o, allowed, sizeof allowed);
        return note_value(p, o->name, value, allowed);
    }
    set(option_base(p, o), o, v);
    return true;
}

bool value_set(const struct place *p, const struct option *o, const char *value)
{
    if (value_is_text(o)) return set_text(p, o, value);
    if (o->type != CONFIG_TYPE_word) return set_number(p, o, value);
    uint32_t index;
    if (!word_set(p, o, value, &index)) return false;
    set(option_base(p, o), o, index);
    return true;
}

static void range_print(const struct option *o, char *out, size_t size)
{
    snprintf(out, size, "%sa number from %" PRIu64 " to %" PRIu64,
             has_no_limit(o) ? "-1 for no limit, or " : "", o->min, o->max);
}

void value_allowed(const struct option *o, char *out, size_t size)
{
    switch (o->type) {
    case CONFIG_TYPE_bool: snprintf(out, size, "true or false"); break;
    case CONFIG_TYPE_duration: snprintf(out, size, "never, or a number with h, d, w, m or y, as 14d"); break;
    case CONFIG_TYPE_text: snprintf(out, size, "1 to %" PRIu64 " bytes", o->max); break;
    case CONFIG_TYPE_file: snprintf(out, size, "a file that can be read"); break;
    case CONFIG_TYPE_folder: snprintf(out, size, "a directory that can be read"); break;
    case CONFIG_TYPE_list: snprintf(out, size, "several times, %" PRIu64 " bytes in all", o->max); break;
    case CONFIG_TYPE_directive: snprintf(out, size, "%s", o->syntax); break;
    case CONFIG_TYPE_word: words_print(o->syntax, out, size); break;
    case CONFIG_TYPE_limit: snprintf(out, size, "0, or %" PRIu64 " to %" PRIu64, o->min, o->max); break;
    case CONFIG_TYPE_seconds:
        snprintf(out, size, "%" PRIu64 " to %" PRIu64 " seconds", o->min, o->max);
        break;
    default: range_print(o, out, size); break;
    }
}

static void print_duration(uint64_t v, char *out, size_t size)
{
    if (v == UINT32_MAX) {
        snprintf(out, size, "never");
        return;
    }
    size_t i = 0;
    while (i + 1 < UNITS_COUNT && v % units[i].seconds != 0) i++;
    snprintf(out, size, "%" PRIu64 "%c", v / units[i].seconds, units[i].letter);
}

static void print_number(const struct option *o, uint64_t v, char *out, size_t size)
{
    if (o->type == CONFIG_TYPE_bool)
        snprintf(out, size, "%s", v != 0 ? "true" : "false");
    else if (o->type == CONFIG_TYPE_duration)
        print_duration(v, out, size);
    else if (o->type == CONFIG_TYPE_word)
        word_print(o->syntax, v, out, size);
    else if (has_no_limit(o) && v == UINT32_MAX)
        snprintf(out, size, "-1");
    else
        snprintf(out, size, "%" PRIu64, v);
}

void value_print(const void *base, const struct option *o, char *out, size_t size)
{
    if (value_is_text(o))
        snprintf(out, size, "%s", (const char *)base + o->at);
    else
        print_number(o, get(base, o), out, size);
}

void value_print_default(const struct option *o, char *out, size_t size)
{
    if (o->def_text != NULL)
        snprintf(out, size, "%s", o->def_text);
    else
        print_number(o, o->def, out, size);
}
