/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <inttypes.h>
#include <string.h>

const struct listener_option config_listener_options[] = {
#define LISTENER_NUMBER(name_, def_, min_, max_, doc_)                                                       \
    { #name_, offsetof(struct config_listener, name_), def_, min_, max_, NULL, doc_ },
#define LISTENER_WORD(name_, words_, doc_)                                                                   \
    { #name_, offsetof(struct config_listener, name_), 0, 0, 0, words_, doc_ },
#include "config/listener.def"
#undef LISTENER_NUMBER
#undef LISTENER_WORD
};

const size_t config_listener_options_count =
    sizeof config_listener_options / sizeof config_listener_options[0];

static uint32_t *field(struct config_listener *l, const struct listener_option *o)
{
    return (uint32_t *)(void *)((char *)l + o->at);
}

const struct listener_option *listener_option_find(const char *name)
{
    for (size_t i = 0; i < config_listener_options_count; i++)
        if (strcmp(config_listener_options[i].name, name) == 0) return &config_listener_options[i];
    return NULL;
}

void listener_init(struct config_listener *l)
{
    memset(l, 0, sizeof *l);
    l->port = 1883;
    for (size_t i = 0; i < config_listener_options_count; i++)
        *field(l, &config_listener_options[i]) = config_listener_options[i].def;
}

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

/* The words that are built. */
static void words_print(const char *words, char *out, size_t size)
{
    struct word w;
    size_t used = 0;
    out[0] = '\0';
    while (word_next(&words, &w)) {
        if (!w.is_built || used + w.len + 5 > size) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", used > 0 ? ", " : "", (int)w.len, w.at);
    }
}

static bool set_word(const struct place *p, const struct listener_option *o, const char *value)
{
    const char *rest = o->words;
    struct word w;
    for (uint32_t i = 0; word_next(&rest, &w); i++) {
        if (w.len != strlen(value) || memcmp(w.at, value, w.len) != 0) continue;
        if (!w.is_built) {
            char built[64];
            words_print(o->words, built, sizeof built);
            note_error(p, o->name, "value '%s' is not built yet; allowed: %s", value, built);
            return false;
        }
        *field(p->listener, o) = i;
        return true;
    }
    char allowed[64];
    words_print(o->words, allowed, sizeof allowed);
    return note_value(p, o->name, value, allowed);
}

static bool set_number(const struct place *p, const struct listener_option *o, const char *value)
{
    uint64_t v;
    bool ok = value_number(value, &v);
    if (o->max == UINT32_MAX && strcmp(value, "-1") == 0) {
        v = UINT32_MAX;
        ok = true;
    }
    if (!ok || v < o->min || v > o->max) {
        char allowed[64];
        listener_option_allowed(o, allowed, sizeof allowed);
        return note_value(p, o->name, value, allowed);
    }
    *field(p->listener, o) = (uint32_t)v;
    return true;
}

bool listener_option_set(const struct place *p, const struct listener_option *o, const char *value)
{
    bool ok = o->words != NULL ? set_word(p, o, value) : set_number(p, o, value);
    /* As in mosquitto, an option of the default listener calls it into being. */
    if (ok && p->listener == &p->config->default_listener) {
        p->config->default_listener_is_used = true;
        place_origin(p, p->listener->origin);
    }
    return ok;
}

void listener_option_allowed(const struct listener_option *o, char *out, size_t size)
{
    if (o->words != NULL)
        words_print(o->words, out, size);
    else if (o->max != UINT32_MAX)
        snprintf(out, size, "a number from %" PRIu32 " to %" PRIu32, o->min, o->max);
    else
        snprintf(out, size, "-1 for no limit, or a number from %" PRIu32 " to %" PRIu32, o->min, o->max);
}

static void word_print(const struct listener_option *o, uint32_t index, char *out, size_t size)
{
    const char *rest = o->words;
    struct word w;
    out[0] = '\0';
    for (uint32_t i = 0; word_next(&rest, &w); i++)
        if (i == index) snprintf(out, size, "%.*s", (int)w.len, w.at);
}

void listener_option_print(const struct config_listener *l, const struct listener_option *o, char *out,
                           size_t size)
{
    uint32_t v;
    memcpy(&v, (const char *)l + o->at, sizeof v);
    if (o->words != NULL)
        word_print(o, v, out, size);
    else if (v == UINT32_MAX)
        snprintf(out, size, "-1");
    else
        snprintf(out, size, "%" PRIu32, v);
}
