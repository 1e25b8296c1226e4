/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_int - what the files of this module share: the table of options, a place in a file, values.
 *
 * Thread:  one.
 * Memory:  the caller's.
 * Limits:  see config.h.
 * Errors:  every reader of a value adds its error to the place's notes and says false.
 * Tests:   tests/unit/test_config.c
 */
#ifndef CONFIG_CONFIG_INT_H
#define CONFIG_CONFIG_INT_H

#include "config/config.h"

/* Where a value comes from, and where errors go. */
struct place {
    struct config *config;
    struct config_notes *notes;
    const char *file; /* or the flag, when line is 0 */
    unsigned line;
    bool is_included;                 /* by include_dir */
    struct config_listener *listener; /* whose section this is */
};

/* --- notes.c */

__attribute__((format(printf, 3, 4))) void note_error(const struct place *p, const char *option,
                                                      const char *format, ...);
__attribute__((format(printf, 3, 4))) void note_warning(const struct place *p, const char *option,
                                                        const char *format, ...);

/* "option 'x': value 'y' is not allowed; allowed: ALLOWED", or that it has no value. Always false. */
bool note_value(const struct place *p, const char *option, const char *value, const char *allowed);

/* "option 'x': value 'y' WHY". Always false. */
bool note_refusal(const struct place *p, const char *option, const char *value, const char *why);

/* FILE:LINE of p. */
void place_origin(const struct place *p, char out[CONFIG_ORIGIN_BYTES]);

/* --- value.c */

enum config_type {
    CONFIG_TYPE_bool,
    CONFIG_TYPE_u32,
    CONFIG_TYPE_u64,
    CONFIG_TYPE_seconds,
    CONFIG_TYPE_limit,
    CONFIG_TYPE_duration,
    CONFIG_TYPE_text,
    CONFIG_TYPE_directive,
    CONFIG_TYPE_group,
};

enum config_when { CONFIG_WHEN_START, CONFIG_WHEN_RELOAD };

typedef bool directive(const struct place *p, const char *value);

struct option {
    const char *name;
    enum config_type type;
    enum config_id id;
    enum config_when when;
    size_t at;              /* offset in struct config */
    uint64_t def, min, max; /* of a text: max is its bytes */
    const char *def_text;   /* of a text or a directive */
    const char *syntax;     /* of a directive */
    directive *run;
    const char *doc;
};

extern const struct option config_options[];
extern const size_t config_options_count; /* groups included */

/* Each says false, and has noted why, when the value is not allowed. */
bool value_set(const struct place *p, const struct option *o, const char *value);
bool value_number(const char *text, uint64_t *out);

/* "true or false", "0 to 65535": what the option takes. */
void value_allowed(const struct option *o, char *out, size_t size);
void value_print(const struct config *c, const struct option *o, char *out, size_t size);
void value_print_default(const struct option *o, char *out, size_t size);

/* --- listener.c */

struct listener_option {
    const char *name;
    size_t at; /* offset in struct config_listener */
    uint32_t def, min, max;
    const char *words; /* NULL: a number */
    const char *doc;
};

extern const struct listener_option config_listener_options[];
extern const size_t config_listener_options_count;

const struct listener_option *listener_option_find(const char *name);
bool listener_option_set(const struct place *p, const struct listener_option *o, const char *value);
void listener_option_allowed(const struct listener_option *o, char *out, size_t size);
void listener_option_print(const struct config_listener *l, const struct listener_option *o, char *out,
                           size_t size);
void listener_init(struct config_listener *l);

/* --- directive.c */

#define GROUP(title)
#define OPTION(name, type, def, min, max, when, doc)
#define OPTION_TEXT(name, def, bytes_max, when, doc)
#define DIRECTIVE(name, syntax, def, when, doc) directive directive_##name;
#include "config/options.def"
#undef GROUP
#undef OPTION
#undef OPTION_TEXT
#undef DIRECTIVE

/* --- file.c */

void file_read(struct place *p);
enum err files_read_folder(const struct place *p, const char *folder);

/* --- known.c */

/* An option that mosquitto knows and we do not have: notes it and says true. */
bool known_elsewhere(const struct place *p, const char *name, const char *value);

/* The name nearest to this one, or NULL when none is near. */
const char *known_nearest(const char *name);

/* --- config.c */

/* One line's option: from a file or a flag. */
bool option_apply(struct place *p, const char *name, const char *value);

#endif
