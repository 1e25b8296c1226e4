/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <assert.h>
#include <string.h>

#define ROW(name_, type_, scope_, id_, when_, doc_)                                                          \
    .name = name_, .type = type_, .scope = CONFIG_SCOPE_##scope_, .id = id_, .when = CONFIG_WHEN_##when_,    \
    .doc = doc_

const struct option config_options[] = {
#define GROUP(title) { .name = title, .type = CONFIG_TYPE_group },
#define OPTION(name_, type_, def_, min_, max_, when_, doc_)                                                  \
    { ROW(#name_, CONFIG_TYPE_##type_, GLOBAL, CONFIG_ID_##name_, when_, doc_),                              \
      .at = offsetof(struct config, name_), .def = def_, .min = min_, .max = max_ },
#define OPTION_WORD(name_, words_, def_, when_, doc_)                                                        \
    { ROW(#name_, CONFIG_TYPE_word, GLOBAL, CONFIG_ID_##name_, when_, doc_),                                 \
      .at = offsetof(struct config, name_), .def = def_, .syntax = words_ },
#define OPTION_TEXT(name_, def_, bytes_max_, when_, doc_)                                                    \
    { ROW(#name_, CONFIG_TYPE_text, GLOBAL, CONFIG_ID_##name_, when_, doc_),                                 \
      .at = offsetof(struct config, name_), .max = bytes_max_, .def_text = def_ },
#define DIRECTIVE(name_, syntax_, def_, when_, doc_)                                                         \
    { ROW(#name_, CONFIG_TYPE_directive, GLOBAL, CONFIG_ID_##name_, when_, doc_), .def_text = def_,          \
      .syntax = syntax_, .run = directive_##name_ },
#include "config/options.def"

    { .name = "Who may connect", .type = CONFIG_TYPE_group, .scope = CONFIG_SCOPE_SECURITY },
#define SECURITY(name_, type_, when_, doc_)                                                                  \
    ROW(#name_, type_, SECURITY, CONFIG_SECURITY_##name_, when_, doc_),                                      \
        .at = offsetof(struct config_security, name_)
#define SECURITY_BOOL(name_, def_, when_, doc_)                                                              \
    { SECURITY(name_, CONFIG_TYPE_bool, when_, doc_), .def = def_, .max = true },
#define SECURITY_TEXT(name_, bytes_max_, when_, doc_)                                                        \
    { SECURITY(name_, CONFIG_TYPE_text, when_, doc_), .max = bytes_max_, .def_text = "" },
#define SECURITY_FILE(name_, when_, doc_)                                                                    \
    { SECURITY(name_, CONFIG_TYPE_file, when_, doc_), .max = CONFIG_TEXT_BYTES - 1, .def_text = "" },
#define SECURITY_LIST(name_, bytes_max_, when_, doc_)                                                        \
    { SECURITY(name_, CONFIG_TYPE_list, when_, doc_), .max = bytes_max_, .def_text = "" },
#include "config/security.def"

    { .name = "Options of a listener", .type = CONFIG_TYPE_group, .scope = CONFIG_SCOPE_LISTENER },
#define LISTENER(field_, name_, type_, when_, doc_)                                                          \
    ROW(name_, type_, LISTENER, CONFIG_LISTENER_##field_, when_, doc_),                                      \
        .at = offsetof(struct config_listener, field_)
#define LISTENER_NUMBER(name_, def_, min_, max_, when_, doc_)                                                \
    { LISTENER(name_, #name_, CONFIG_TYPE_u32, when_, doc_), .def = def_, .min = min_, .max = max_ },
#define LISTENER_BOOL(name_, def_, when_, doc_)                                                              \
    { LISTENER(name_, #name_, CONFIG_TYPE_bool, when_, doc_), .def = def_, .max = true },
#define LISTENER_WORD(name_, words_, when_, doc_)                                                            \
    { LISTENER(name_, #name_, CONFIG_TYPE_word, when_, doc_), .syntax = words_ },
#define LISTENER_TEXT(name_, bytes_max_, when_, doc_)                                                        \
    { LISTENER(name_, #name_, CONFIG_TYPE_text, when_, doc_), .max = bytes_max_, .def_text = "" },
#define LISTENER_TEXT_AS(field_, name_, bytes_max_, when_, doc_)                                             \
    { LISTENER(field_, name_, CONFIG_TYPE_text, when_, doc_), .max = bytes_max_, .def_text = "" },
#define LISTENER_FILE(name_, when_, doc_)                                                                    \
    { LISTENER(name_, #name_, CONFIG_TYPE_file, when_, doc_), .max = CONFIG_TEXT_BYTES - 1, .def_text = "" },
#define LISTENER_FOLDER(name_, when_, doc_)                                                                  \
    { LISTENER(name_, #name_, CONFIG_TYPE_folder, when_, doc_), .max = CONFIG_TEXT_BYTES - 1,                \
      .def_text = "" },
#define LISTENER_LIST(name_, bytes_max_, when_, doc_)                                                        \
    { LISTENER(name_, #name_, CONFIG_TYPE_list, when_, doc_), .max = bytes_max_, .def_text = "" },
#include "config/listener.def"
};

const size_t config_options_count = sizeof config_options / sizeof config_options[0];

/* A default outside of its range, or a text longer than its field, does not compile. That 0 lies above a
 * minimum of 0 is asked all the same, so the warning about that is off here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
#define OPTION(name, type, def, min, max, when, doc)                                                         \
    static_assert((CONFIG_TYPE_##type == CONFIG_TYPE_limit && (def) == 0) ||                                 \
                      ((min) <= (def) && (def) <= (max)),                                                    \
                  #name ": default out of range");
#define OPTION_TEXT(name, def, bytes_max, when, doc)                                                         \
    static_assert(sizeof(def) <= CONFIG_TEXT_BYTES && (bytes_max) < CONFIG_TEXT_BYTES, #name ": too long");
#include "config/options.def"

#define LISTENER_NUMBER(name, def, min, max, when, doc)                                                      \
    static_assert((min) <= (def) && (def) <= (max), #name ": default out of range");
#define LISTENER_TEXT(name, bytes_max, when, doc)                                                            \
    static_assert((bytes_max) < CONFIG_TEXT_BYTES, #name ": too long");
#define LISTENER_TEXT_AS(name, option, bytes_max, when, doc)                                                 \
    static_assert((bytes_max) < CONFIG_TEXT_BYTES, #name ": too long");
#define LISTENER_LIST(name, bytes_max, when, doc)                                                            \
    static_assert((bytes_max) < CONFIG_LIST_BYTES, #name ": too long");
#include "config/listener.def"

#define SECURITY_TEXT(name, bytes_max, when, doc)                                                            \
    static_assert((bytes_max) < CONFIG_TEXT_BYTES, #name ": too long");
#define SECURITY_LIST(name, bytes_max, when, doc)                                                            \
    static_assert((bytes_max) < CONFIG_LIST_BYTES, #name ": too long");
#include "config/security.def"
#pragma GCC diagnostic pop

const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type != CONFIG_TYPE_group && strcmp(o->name, name) == 0) return o;
    }
    return NULL;
}

void *option_base(const struct place *p, const struct option *o)
{
    switch (o->scope) {
    case CONFIG_SCOPE_LISTENER: return p->listener;
    case CONFIG_SCOPE_SECURITY:
        return p->config->per_listener_settings ? &p->listener->security : &p->config->security;
    default: return p->config;
    }
}

const struct config_origin *option_origins(const void *base, enum config_scope scope)
{
    switch (scope) {
    case CONFIG_SCOPE_LISTENER: return ((const struct config_listener *)base)->origins;
    case CONFIG_SCOPE_SECURITY: return ((const struct config_security *)base)->origins;
    default: return ((const struct config *)base)->origins;
    }
}

void options_init(void *base, enum config_scope scope)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->scope != scope || o->type == CONFIG_TYPE_group || o->type == CONFIG_TYPE_directive) continue;
        value_init(base, o);
    }
}
