/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <ctype.h>
#include <string.h>

enum kind { KIND_NOT_YET, KIND_NEVER, KIND_NO_EFFECT };

struct elsewhere {
    const char *name;
    enum kind kind;
    const char *same, *why;
};

static const struct elsewhere rows[] = {
#define RENAMED(old, now)
#define ELSEWHERE(name, kind, same, why) { name, KIND_##kind, same, why },
#include "config/options_mosquitto.def"
};
enum { ROWS_COUNT = sizeof rows / sizeof rows[0], NAME_BYTES_MAX = 64 };

const char *known_name(const char *name)
{
#define ELSEWHERE(old, kind, same, why)
#define RENAMED(old, now)                                                                                    \
    if (strcmp(name, old) == 0) return now;
#include "config/options_mosquitto.def"
    return name;
}

static bool row_is(const struct elsewhere *r, const char *name)
{
    size_t n = strlen(r->name);
    if (r->name[n - 1] == '*') return strncmp(r->name, name, n - 1) == 0;
    return strcmp(r->name, name) == 0;
}

static void tell(const struct place *p, const struct elsewhere *r, const char *name)
{
    const char *how = r->kind == KIND_NEVER ? "is not supported" : "is not built yet";
    if (r->kind == KIND_NO_EFFECT)
        note_warning(p, name, "has no effect: %s", r->why);
    else if (r->same[0] != '\0')
        note_error(p, name, "%s: %s; allowed: %s", how, r->why, r->same);
    else
        note_error(p, name, "%s: %s", how, r->why);
}

bool known_elsewhere(const struct place *p, const char *name, const char *value)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        if (!row_is(&rows[i], name)) continue;
        /* The value is not repeated: it may be a password. */
        if (rows[i].same[0] != '\0' && strcmp(rows[i].same, value) == 0) return true;
        tell(p, &rows[i], name);
        return true;
    }
    return false;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance, without regard to case. Both at most NAME_BYTES_MAX long. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_BYTES_MAX + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++) row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned next = least(row[j] + 1, row[j - 1] + 1, diagonal + (same ? 0 : 1));
            diagonal = row[j];
            row[j] = next;
        }
    }
    return row[b_len];
}

struct nearest {
    const char *to, *name;
    unsigned distance;
};

static void nearer(struct nearest *n, const char *name)
{
    if (strlen(name) > NAME_BYTES_MAX) return;
    unsigned d = distance(n->to, name);
    if (d < n->distance) {
        n->distance = d;
        n->name = name;
    }
}

const char *known_nearest(const char *name)
{
    if (strlen(name) > NAME_BYTES_MAX) return NULL;
    /* A third of the letters wrong is another word. */
    struct nearest n = { .to = name, .distance = (unsigned)(strlen(name) / 3 + 1) };
    for (size_t i = 0; i < config_options_count; i++)
        if (config_options[i].type != CONFIG_TYPE_group) nearer(&n, config_options[i].name);
    for (size_t i = 0; i < ROWS_COUNT; i++)
        if (strchr(rows[i].name, '*') == NULL) nearer(&n, rows[i].name);
    return n.name;
}
