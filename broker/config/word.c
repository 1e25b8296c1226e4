/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <string.h>

struct word {
    const char *at;
    size_t len;
    bool is_built;
};

/* The next word of a list; false at its end. */
static bool word_next(const char **rest, struct word *w)
{
    const char *at = *rest + strspn(*rest, " ");
    w->is_built = *at != '!';
    w->at = w->is_built ? at : at + 1;
    w->len = strcspn(w->at, " ");
    *rest = w->at + w->len;
    return w->len > 0;
}

void words_print(const char *words, char *out, size_t size)
{
    struct word w;
    size_t used = 0;
    out[0] = '\0';
    while (word_next(&words, &w)) {
        if (!w.is_built || used + w.len + 5 > size) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", used > 0 ? ", " : "", (int)w.len, w.at);
    }
}

void word_print(const char *words, uint64_t index, char *out, size_t size)
{
    struct word w;
    out[0] = '\0';
    for (uint64_t i = 0; word_next(&words, &w); i++)
        if (i == index) snprintf(out, size, "%.*s", (int)w.len, w.at);
}

bool word_set(const struct place *p, const struct option *o, const char *value, uint32_t *out)
{
    const char *rest = o->syntax;
    struct word w;
    char allowed[128];
    words_print(o->syntax, allowed, sizeof allowed);
    for (uint32_t i = 0; word_next(&rest, &w); i++) {
        if (w.len != strlen(value) || memcmp(w.at, value, w.len) != 0) continue;
        if (!w.is_built) {
            note_error(p, o->name, "value '%s' is not built yet; allowed: %s", value, allowed);
            return false;
        }
        *out = i;
        return true;
    }
    return note_value(p, o->name, value, allowed);
}
