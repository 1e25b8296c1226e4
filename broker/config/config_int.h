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
    struct config_plugin *plugin;     /* whose options follow; NULL: no plugin line yet */
    const char *name;                 /* of the option, as it is written */
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

/* FILE:LINE of p, for people; and the short form that is kept for an option. */
void place_print(const struct place *p, char out[CONFIG_ORIGIN_BYTES]);
struct config_origin place_origin(const struct place *p);

/* --- the table: options.def, security.def and listener.def one after another */

enum config_type {
    CONFIG_TYPE_bool,
    CONFIG_TYPE_u32,
    CONFIG_TYPE_u64,
    CONFIG_TYPE_seconds,
    CONFIG_TYPE_limit,
    CONFIG_TYPE_duration,
    CONFIG_TYPE_word,
    CONFIG_TYPE_text,
    CONFIG_TYPE_file,
    CONFIG_TYPE_folder,
    CONFIG_TYPE_list,
    CONFIG_TYPE_directive,
    CONFIG_TYPE_group,
};

/* Which struct has the field: struct config, config_security or config_listener. */
enum config_scope { CONFIG_SCOPE_GLOBAL, CONFIG_SCOPE_SECURITY, CONFIG_SCOPE_LISTENER };

enum config_when { CONFIG_WHEN_START, CONFIG_WHEN_RELOAD };

typedef bool directive(const struct place *p, const char *value);

struct option {
    const char *name;
    enum config_type type;
    enum config_scope scope;
    unsigned id; /* its place in the origins of that struct */
    enum config_when when;
    size_t at;              /* offset in that struct */
    uint64_t def, min, max; /* of a text or list: max is its bytes */
    const char *def_text;   /* of a text or a directive */
    const char *syntax;     /* of a directive; of a word: all words, those with ! are not built */
    directive *run;
    const char *doc;
};

extern const struct option config_options[];
extern const size_t config_options_count; /* groups included */

const struct option *option_find(const char *name);

/* The struct that has the field for an option of this place, and its origins. */
void *option_base(const struct place *p, const struct option *o);
const struct config_origin *option_origins(const void *base, enum config_scope scope);

/* Sets every option of a scope to its default. */
void options_init(void *base, enum config_scope scope);

/* --- value.c */

/* Each says false, and has noted why, when the value is not allowed. */
bool value_set(const struct place *p, const struct option *o, const char *value);
bool value_number(const char *text, uint64_t *out);
bool value_is_text(const struct option *o); /* char[] */
void value_init(void *base, const struct option *o);
void value_copy(void *to, const void *from, const struct option *o);

/* "true or false", "0 to 65535": what the option takes. */
void value_allowed(const struct option *o, char *out, size_t size);

/* base is the struct that the option's scope is about. The texts of a list are lines. */
void value_print(const void *base, const struct option *o, char *out, size_t size);
void value_print_default(const struct option *o, char *out, size_t size);

/* --- word.c */

/* The place of a word among words; false and noted if it is none of them or not built. */
bool word_set(const struct place *p, const struct option *o, const char *value, uint32_t *out);
void word_print(const char *words, uint64_t index, char *out, size_t size);
void words_print(const char *words, char *out, size_t size); /* those that are built */

/* --- listener.c */

void listener_init(struct config_listener *l);
bool listener_is_called_by(const char *option); /* the default listener, when it is set before any other */
bool listener_binds_alike(const struct config_listener *a, const struct config_listener *b);

/* --- directive.c */

#define DIRECTIVE(name, syntax, def, when, doc) directive directive_##name;
#include "config/options.def"

/* --- plugin.c */

/* The row of plugin_opt_KEY for any KEY, and for auth_opt_KEY; NULL: it is called otherwise. */
const struct option *plugin_opt_row(const char *name);
void plugins_settle(struct config *c); /* for config_finish: which listener each belongs to */
bool plugins_any(const struct config *c, size_t listener);
void plugins_print(const struct config *c, size_t listener, FILE *to); /* for --print-config */

/* --- file.c */

void file_read(struct place *p);
enum err files_read_folder(const struct place *p, const char *folder);

/* --- known.c */

/* An option that mosquitto knows and we do not have: notes it and says true. */
bool known_elsewhere(const struct place *p, const char *name, const char *value);

/* What an old name is called now; any other is itself. */
const char *known_name(const char *name);

/* The name nearest to this one, or NULL when none is near. */
const char *known_nearest(const char *name);

/* --- readable.c */

/* Notes each file and directory of the listeners that cannot be read. */
void readable_check(const struct place *p);

/* --- config.c */

/* One line's option: from a file or a flag. */
bool option_apply(struct place *p, const char *name, const char *value);

#endif
