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
 * Tests:   tests/unit/test_config.c, test_config_files.c, test_config_listeners.c
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/bytes.h"
#include "base/err.h"
#include "config/notes.h"
#include "config/plugin.h"
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
    CONFIG_PATH_BYTES = 108,             /* the path of a Unix socket with its NUL, as the system has it */
    CONFIG_LIST_BYTES = 4096,            /* the texts of a list, all together */
    CONFIG_ORIGIN_BYTES = 160,           /* FILE:LINE with its NUL; a longer path keeps its end */
    CONFIG_ORIGINS_MAX = 1024,           /* files and flags that set something */
    CONFIG_LISTENERS_MAX = 64,
    CONFIG_PORTS_MAX = 10, /* flags -p, as mosquitto */
    CONFIG_DESTS_MAX = 8,
};

/* --- the options */

/* In the order of their words in listener.def. */
enum config_protocol { CONFIG_PROTOCOL_MQTT, CONFIG_PROTOCOL_WEBSOCKETS };
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_proxy { CONFIG_PROXY_OFF, CONFIG_PROXY_V1, CONFIG_PROXY_V2, CONFIG_PROXY_ANY };
enum config_keepalive { CONFIG_KEEPALIVE_CAP, CONFIG_KEEPALIVE_OFF, CONFIG_KEEPALIVE_LEARN };
enum config_raise { CONFIG_RAISE_ASKED, CONFIG_RAISE_ALL };
enum config_domain { CONFIG_DOMAIN_ANY, CONFIG_DOMAIN_IPV4, CONFIG_DOMAIN_IPV6 };

/* In the order of their words in options.def. */
enum config_hints { CONFIG_HINTS_ALWAYS, CONFIG_HINTS_REFUSED, CONFIG_HINTS_OFF };
enum config_queue_policy { CONFIG_QUEUE_DROP_NEW, CONFIG_QUEUE_DROP_OLDEST, CONFIG_QUEUE_REFUSE };
enum config_durability { CONFIG_DURABILITY_MEMORY, CONFIG_DURABILITY_OS, CONFIG_DURABILITY_DISK };
enum config_damaged { CONFIG_DAMAGED_REFUSE, CONFIG_DAMAGED_SET_ASIDE };

typedef bool conf_bool;
typedef uint32_t conf_u32;
typedef uint64_t conf_u64;
typedef uint32_t conf_seconds;
typedef uint32_t conf_limit;    /* 0: none */
typedef uint32_t conf_duration; /* seconds; UINT32_MAX: never */
typedef uint32_t conf_word;     /* its place among the words of its row */
typedef char conf_text[CONFIG_TEXT_BYTES];

/* Their places in a struct's origins: CONFIG_ID_shards, CONFIG_LISTENER_max_qos, CONFIG_SECURITY_... */
enum config_id {
#define OPTION(name, ...)      CONFIG_ID_##name,
#define OPTION_WORD(name, ...) CONFIG_ID_##name,
#define OPTION_TEXT(name, ...) CONFIG_ID_##name,
#define DIRECTIVE(name, ...)   CONFIG_ID_##name,
#include "config/options.def"
    CONFIG_OPTIONS_COUNT
};

enum config_listener_id {
#define LISTENER_NUMBER(name, ...)  CONFIG_LISTENER_##name,
#define LISTENER_BOOL(name, ...)    CONFIG_LISTENER_##name,
#define LISTENER_WORD(name, ...)    CONFIG_LISTENER_##name,
#define LISTENER_TEXT(name, ...)    CONFIG_LISTENER_##name,
#define LISTENER_TEXT_AS(name, ...) CONFIG_LISTENER_##name,
#define LISTENER_FILE(name, ...)    CONFIG_LISTENER_##name,
#define LISTENER_FOLDER(name, ...)  CONFIG_LISTENER_##name,
#define LISTENER_LIST(name, ...)    CONFIG_LISTENER_##name,
#include "config/listener.def"
    CONFIG_LISTENER_OPTIONS_COUNT
};

enum config_security_id {
#define SECURITY_BOOL(name, ...) CONFIG_SECURITY_##name,
#define SECURITY_TEXT(name, ...) CONFIG_SECURITY_##name,
#define SECURITY_FILE(name, ...) CONFIG_SECURITY_##name,
#define SECURITY_LIST(name, ...) CONFIG_SECURITY_##name,
#include "config/security.def"
    CONFIG_SECURITY_OPTIONS_COUNT
};

/* Where a value was set: a line of one of the files of its configuration, or a flag, which has no line. */
struct config_origin {
    uint32_t file; /* 0: nowhere, it is the default */
    uint32_t line;
};

struct config_security {
#define SECURITY_BOOL(name, def, when, doc)       bool name;
#define SECURITY_TEXT(name, bytes_max, when, doc) char name[(bytes_max) + 1];
#define SECURITY_FILE(name, when, doc)            conf_text name;
#define SECURITY_LIST(name, bytes_max, when, doc) char name[(bytes_max) + 1];
#include "config/security.def"
    struct config_origin origins[CONFIG_SECURITY_OPTIONS_COUNT];
};

struct config_listener {
    uint16_t port;                      /* 0: choose a free one and print it */
    char address[CONFIG_ADDRESS_BYTES]; /* empty: all addresses */
    char path[CONFIG_PATH_BYTES];       /* of a Unix socket; empty: a TCP port */
    char origin[CONFIG_ORIGIN_BYTES];   /* of its listener line */
#define LISTENER_NUMBER(name, def, min, max, when, doc)      uint32_t name;
#define LISTENER_BOOL(name, def, when, doc)                  bool name;
#define LISTENER_WORD(name, words, when, doc)                conf_word name;
#define LISTENER_TEXT(name, bytes_max, when, doc)            char name[(bytes_max) + 1];
#define LISTENER_TEXT_AS(name, option, bytes_max, when, doc) char name[(bytes_max) + 1];
#define LISTENER_FILE(name, when, doc)                       conf_text name;
#define LISTENER_FOLDER(name, when, doc)                     conf_text name;
#define LISTENER_LIST(name, bytes_max, when, doc)            char name[(bytes_max) + 1];
#include "config/listener.def"
    struct config_security security; /* what holds here, after config_finish */
    bool lacks_plugin; /* after config_keep: it came with one, and plugins are loaded at start only */
    struct config_origin origins[CONFIG_LISTENER_OPTIONS_COUNT];
};

struct config_dest {
    char sink[16]; /* stderr stdout file syslog topic */
    char path[CONFIG_TEXT_BYTES];
    struct config_origin set_at;
};

struct config {
#define OPTION(name, type, def, min, max, when, doc) conf_##type name;
#define OPTION_WORD(name, words, def, when, doc)     conf_word name;
#define OPTION_TEXT(name, def, bytes_max, when, doc) conf_text name;
#include "config/options.def"
    /* 1 << type of each: error 0, warning 1, notice 2, information 3, debug 4, subscribe 5, unsubscribe 6 */
    unsigned log_types;
    struct config_dest log_dests[CONFIG_DESTS_MAX];
    size_t log_dests_count;
    size_t listeners_count;
    bool local_only; /* nothing was configured: this machine only */

    /* Of this module alone. */
    struct config_security security; /* without per_listener_settings: everyone's */
    struct config_listener default_listener;
    bool default_listener_is_used;
    uint16_t ports[CONFIG_PORTS_MAX];
    size_t ports_count;
    size_t plugins_count;
    size_t files_count;
    struct config_origin origins[CONFIG_OPTIONS_COUNT];

    /* The first *_count of each; what is behind them is never touched, and takes no memory. */
    struct config_listener listeners[CONFIG_LISTENERS_MAX]; /* filled by config_finish */
    char files[CONFIG_ORIGINS_MAX][CONFIG_ORIGIN_BYTES];
    struct config_plugin plugins[CONFIG_PLUGINS_MAX]; /* in their order */
};

/* Is it set anywhere, or is it the default? */
static inline bool config_is_set(const struct config *c, enum config_id id)
{
    return c->origins[id].file != 0;
}

/* FILE:LINE, a flag, or "default". */
void config_origin_print(const struct config *c, struct config_origin at, char out[CONFIG_ORIGIN_BYTES]);

/* The next text of a LIST: `for (at = l->x; config_list_next(&at, &text);)`. False at its end. */
bool config_list_next(const char **at, struct bytes *text);

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

#endif
