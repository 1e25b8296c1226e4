/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - the options of mosquitto.conf's format, checked, with the place where each was set.
 *
 * config_init, then files and single options, then config_finish; after that it is only read. It knows
 * nothing of the modules that it configures: whoever uses an option reads its field.
 *
 * Thread:  one thread until config_finish; then any, read only.
 * Memory:  no pointers inside: a struct config may be copied.
 * Limits:  CONFIG_*_MAX below; a file that exceeds one is refused with its line.
 * Errors:  every error of a file is collected in struct config_notes as
 *          "FILE:LINE: option 'x': value 'y' ...; allowed: ..."; the call says ERR_SYNTAX.
 * Tests:   tests/unit/test_config.c
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CONFIG_LINE_BYTES_MAX = 4096,        /* a line of a file */
    CONFIG_FILE_BYTES_MAX = 1024 * 1024, /* a file */
    CONFIG_FILES_MAX = 256,              /* of one include_dir */
    CONFIG_TEXT_BYTES = 1024,            /* a text option with its NUL */
    CONFIG_ADDRESS_BYTES = 256,          /* a host name with its NUL */
    CONFIG_ORIGIN_BYTES = 160,           /* FILE:LINE with its NUL; a longer path keeps its end */
    CONFIG_LISTENERS_MAX = 64,
    CONFIG_PORTS_MAX = 10, /* flags -p, as mosquitto */
    CONFIG_DESTS_MAX = 8,
    CONFIG_NOTES_MAX = 100, /* kept; the others are counted */
};

/* --- what went wrong */

struct config_note {
    bool is_error; /* else a warning */
    char *text;
};

struct config_notes {
    struct config_note at[CONFIG_NOTES_MAX];
    size_t count;  /* kept */
    size_t errors; /* all, kept or not */
    size_t missed; /* not kept */
};

void config_notes_init(struct config_notes *n);
void config_notes_fini(struct config_notes *n);

/* --- the options */

/* In the order of the words in listener.def. */
enum config_protocol { CONFIG_PROTOCOL_MQTT };
enum config_domain { CONFIG_DOMAIN_ANY, CONFIG_DOMAIN_IPV4, CONFIG_DOMAIN_IPV6 };

/* In the order of their words in config.c. */
enum config_queue_policy { CONFIG_QUEUE_DROP_NEW, CONFIG_QUEUE_DROP_OLDEST, CONFIG_QUEUE_REFUSE };
enum config_durability { CONFIG_DURABILITY_MEMORY, CONFIG_DURABILITY_OS, CONFIG_DURABILITY_DISK };

typedef uint32_t conf_word;

struct config_listener {
    uint16_t port;                      /* 0: choose a free one and print it */
    char address[CONFIG_ADDRESS_BYTES]; /* empty: all addresses */
    char origin[CONFIG_ORIGIN_BYTES];
#define LISTENER_NUMBER(name, def, min, max, doc) uint32_t name;
#define LISTENER_WORD(name, words, doc)           conf_word name;
#include "config/listener.def"
#undef LISTENER_NUMBER
#undef LISTENER_WORD
};

struct config_dest {
    char sink[16]; /* stderr stdout file */
    char path[CONFIG_TEXT_BYTES];
};

typedef bool conf_bool;
typedef uint32_t conf_u32;
typedef uint64_t conf_u64;
typedef uint32_t conf_seconds;
typedef uint32_t conf_limit;    /* 0: none */
typedef uint32_t conf_duration; /* seconds; UINT32_MAX: never */
typedef char conf_text[CONFIG_TEXT_BYTES];

enum config_id {
#define GROUP(title)
#define OPTION(name, type, def, min, max, when, doc) CONFIG_ID_##name,
#define OPTION_TEXT(name, def, bytes_max, when, doc) CONFIG_ID_##name,
#define DIRECTIVE(name, syntax, def, when, doc)      CONFIG_ID_##name,
#include "config/options.def"
#undef OPTION
#undef OPTION_TEXT
#undef DIRECTIVE
    CONFIG_OPTIONS_COUNT
};

struct config {
#define OPTION(name, type, def, min, max, when, doc) conf_##type name;
#define OPTION_TEXT(name, def, bytes_max, when, doc) conf_text name;
#define DIRECTIVE(name, syntax, def, when, doc)
#include "config/options.def"
#undef GROUP
#undef OPTION
#undef OPTION_TEXT
#undef DIRECTIVE
    enum config_durability durability;
    enum config_queue_policy max_queued_policy;
    bool sets_damaged_aside;
    unsigned log_types; /* 1 << level of each: error 0, warning 1, notice 2, information 3, debug 4 */
    struct config_dest log_dests[CONFIG_DESTS_MAX];
    size_t log_dests_count;

    /* Filled by config_finish. */
    struct config_listener listeners[CONFIG_LISTENERS_MAX];
    size_t listeners_count;
    bool local_only; /* nothing was configured: this machine only */

    /* Of this module alone. */
    struct config_listener default_listener;
    bool default_listener_is_used;
    uint16_t ports[CONFIG_PORTS_MAX];
    size_t ports_count;
    char origins[CONFIG_OPTIONS_COUNT][CONFIG_ORIGIN_BYTES]; /* empty: the default */
};

/* The defaults. */
void config_init(struct config *c);

/* Reads a file and what it includes. ERR_SYNTAX when it added an error to notes. */
enum err config_read_file(struct config *c, const char *path, struct config_notes *notes);

/* One option as if a file had it; origin names the place, "-v" for example. */
enum err config_set(struct config *c, const char *name, const char *value, const char *origin,
                    struct config_notes *notes);

/* The flag -p: the port of local only mode, instead of 1883; may be repeated. A configuration with
 * listeners goes before it, as in mosquitto, and the same port in both is bound once. */
enum err config_override_port(struct config *c, const char *value, struct config_notes *notes);

/* After all of the above: settles what depends on several options and fills listeners. */
enum err config_finish(struct config *c, struct config_notes *notes);

const char *config_durability_word(enum config_durability d);
const char *config_queue_policy_word(enum config_queue_policy p);

/* --- print */

/* What holds: NAME VALUE  # ORIGIN, one a line. */
void config_print_effective(const struct config *c, FILE *to);

/* For docs: the manual in Markdown, a sample file, the option part of longlinkd.conf(5). */
void config_print_reference(FILE *to);
void config_print_sample(FILE *to);
void config_print_man(FILE *to);

#endif
