/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"
#include "config/config_int.h"
#include <assert.h>
#include <string.h>

const struct option config_options[] = {
#define GROUP(title) { .name = title, .type = CONFIG_TYPE_group, .id = CONFIG_OPTIONS_COUNT },
#define OPTION(name_, type_, def_, min_, max_, when_, doc_)                                                  \
    { .name = #name_,                                                                                        \
      .type = CONFIG_TYPE_##type_,                                                                           \
      .id = CONFIG_ID_##name_,                                                                               \
      .when = CONFIG_WHEN_##when_,                                                                           \
      .at = offsetof(struct config, name_),                                                                  \
      .def = def_,                                                                                           \
      .min = min_,                                                                                           \
      .max = max_,                                                                                           \
      .doc = doc_ },
#define OPTION_TEXT(name_, def_, bytes_max_, when_, doc_)                                                    \
    { .name = #name_,                                                                                        \
      .type = CONFIG_TYPE_text,                                                                              \
      .id = CONFIG_ID_##name_,                                                                               \
      .when = CONFIG_WHEN_##when_,                                                                           \
      .at = offsetof(struct config, name_),                                                                  \
      .max = bytes_max_,                                                                                     \
      .def_text = def_,                                                                                      \
      .doc = doc_ },
#define DIRECTIVE(name_, syntax_, def_, when_, doc_)                                                         \
    { .name = #name_,                                                                                        \
      .type = CONFIG_TYPE_directive,                                                                         \
      .id = CONFIG_ID_##name_,                                                                               \
      .when = CONFIG_WHEN_##when_,                                                                           \
      .def_text = def_,                                                                                      \
      .syntax = syntax_,                                                                                     \
      .run = directive_##name_,                                                                              \
      .doc = doc_ },
#include "config/options.def"
#undef GROUP
#undef OPTION
#undef OPTION_TEXT
#undef DIRECTIVE
};

const size_t config_options_count = sizeof config_options / sizeof config_options[0];

/* A default outside of its range, or a text longer than its field, does not compile. That 0 lies above a
 * minimum of 0 is asked all the same, so the warning about that is off here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
#define GROUP(title)
#define OPTION(name, type, def, min, max, when, doc)                                                         \
    static_assert((CONFIG_TYPE_##type == CONFIG_TYPE_limit && (def) == 0) ||                                 \
                      ((min) <= (def) && (def) <= (max)),                                                    \
                  #name ": default out of range");
#define OPTION_TEXT(name, def, bytes_max, when, doc)                                                         \
    static_assert(sizeof(def) <= CONFIG_TEXT_BYTES && (bytes_max) < CONFIG_TEXT_BYTES, #name ": too long");
#define DIRECTIVE(name, syntax, def, when, doc)
#include "config/options.def"
#undef GROUP
#undef OPTION
#undef OPTION_TEXT
#undef DIRECTIVE
#pragma GCC diagnostic pop

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type != CONFIG_TYPE_group && strcmp(o->name, name) == 0) return o;
    }
    return NULL;
}

void config_init(struct config *c)
{
    memset(c, 0, sizeof *c);
    c->durability = CONFIG_DURABILITY_DISK;
#define GROUP(title)
#define OPTION(name, type, def, min, max, when, doc) c->name = def;
#define OPTION_TEXT(name, def, bytes_max, when, doc) snprintf(c->name, sizeof c->name, "%s", def);
#define DIRECTIVE(name, syntax, def, when, doc)
#include "config/options.def"
#undef GROUP
#undef OPTION
#undef OPTION_TEXT
#undef DIRECTIVE
    listener_init(&c->default_listener);
    c->log_types = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3; /* all but debug */
    snprintf(c->log_dests[0].sink, sizeof c->log_dests[0].sink, "stderr");
    c->log_dests_count = 1;
}

static void unknown(const struct place *p, const char *name)
{
    const char *near = known_nearest(name);
    if (near != NULL)
        note_error(p, name, "is not known; did you mean '%s'?", near);
    else
        note_error(p, name, "is not known; longlinkd.conf(5) lists what is");
}

static bool option_run(struct place *p, const struct option *o, const char *value)
{
    bool ok = o->type == CONFIG_TYPE_directive ? o->run(p, value) : value_set(p, o, value);
    /* Even a wrong listener line begins a section: what follows is not the previous listener's. */
    if (o->id == CONFIG_ID_listener) p->listener = &p->config->listeners[p->config->listeners_count - 1];
    if (ok) place_origin(p, p->config->origins[o->id]);
    return ok;
}

bool option_apply(struct place *p, const char *name, const char *value)
{
    const struct option *o = option_find(name);
    if (o != NULL) return option_run(p, o, value);

    const struct listener_option *l = listener_option_find(name);
    if (l != NULL) return listener_option_set(p, l, value);

    if (!known_elsewhere(p, name, value)) unknown(p, name);
    return false;
}

enum err config_set(struct config *c, const char *name, const char *value, const char *origin,
                    struct config_notes *notes)
{
    size_t before = notes->errors;
    struct place p = { .config = c, .notes = notes, .file = origin, .listener = &c->default_listener };
    option_apply(&p, name, value);
    return notes->errors == before ? ERR_OK : ERR_SYNTAX;
}

enum err config_override_port(struct config *c, const char *value, struct config_notes *notes)
{
    struct place p = { .config = c, .notes = notes, .file = "-p" };
    uint64_t port;
    if (!value_number(value, &port) || port > UINT16_MAX) {
        note_value(&p, "port", value, "a port from 0 to 65535");
        return ERR_SYNTAX;
    }
    if (c->ports_count == CONFIG_PORTS_MAX) {
        note_error(&p, "port", "is one too many; allowed: %d ports", CONFIG_PORTS_MAX);
        return ERR_SYNTAX;
    }
    c->ports[c->ports_count++] = (uint16_t)port;
    return ERR_OK;
}

const char *config_durability_word(enum config_durability d)
{
    static const char *const words[] = { "memory", "os", "disk" };
    return words[d];
}

const char *config_queue_policy_word(enum config_queue_policy p)
{
    static const char *const words[] = { "drop-new", "drop-oldest", "refuse" };
    return words[p];
}
