/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <assert.h>
#include <ctype.h>
#include <string.h>

static bool read_port(const char *text, uint16_t *out)
{
    uint64_t v;
    if (!value_number(text, &v) || v > UINT16_MAX) return false;
    *out = (uint16_t)v;
    return true;
}

/* One word that can be a name or a number of an address; says why if not. */
static bool address_set(const struct place *p, const char *option, struct config_listener *l,
                        const char *address)
{
    bool ok = address[0] != '\0' && strlen(address) < CONFIG_ADDRESS_BYTES;
    ok = ok && strpbrk(address, "/#") == NULL; /* a path has its own place, and a comment is none */
    for (const char *c = address; ok && *c != '\0'; c++) ok = isgraph((unsigned char)*c) != 0;
    if (!ok) return note_value(p, option, address, "one host name or IP address of at most 255 bytes");
    snprintf(l->address, sizeof l->address, "%s", address);
    return true;
}

/* A Unix socket has no port, and mosquitto wants that said with a 0. */
static bool path_set(const struct place *p, struct config_listener *l, const char *path)
{
    if (l->port != 0)
        return note_refusal(p, "listener", path, "is a path, which has no port; allowed: listener 0 PATH");
    bool ok = path[0] == '/' && strlen(path) < CONFIG_PATH_BYTES;
    for (const char *c = path; ok && *c != '\0'; c++) ok = isprint((unsigned char)*c) != 0;
    if (!ok) return note_value(p, "listener", path, "an absolute path of at most 107 bytes");
    static_assert(CONFIG_PATH_BYTES == 108, "the text above says so");
    snprintf(l->path, sizeof l->path, "%s", path);
    return true;
}

/* The section that begins here; NULL when there are too many. */
static struct config_listener *section_new(const struct place *p)
{
    struct config *c = p->config;
    if (c->listeners_count == CONFIG_LISTENERS_MAX) {
        note_error(p, "listener", "is one too many; allowed: %d listeners", CONFIG_LISTENERS_MAX);
        return NULL;
    }
    struct config_listener *l = &c->listeners[c->listeners_count++];
    listener_init(l);
    l->port = 0; /* until its line has been read: two wrong lines are not the same listener */
    place_print(p, l->origin);
    return l;
}

bool directive_listener(const struct place *p, const char *value)
{
    char port[8];
    size_t n = strcspn(value, " \t");
    const char *address = value + n + strspn(value + n, " \t");
    snprintf(port, sizeof port, "%.*s", n < sizeof port ? (int)n : (int)sizeof port - 1, value);

    struct config_listener *l = section_new(p);
    if (l == NULL) return false;
    if (n >= sizeof port || !read_port(port, &l->port))
        return note_value(p, "listener", value,
                          "a port from 0 to 65535, then an address or nothing; or 0 and a path");
    if (strchr(address, '/') != NULL) return path_set(p, l, address);
    return address[0] == '\0' || address_set(p, "listener", l, address);
}

/* Options of the default listener call it into being. */
static bool use_default(const struct place *p)
{
    p->config->default_listener_is_used = true;
    place_print(p, p->config->default_listener.origin);
    return true;
}

bool directive_port(const struct place *p, const char *value)
{
    if (!read_port(value, &p->config->default_listener.port))
        return note_value(p, "port", value, "a port from 0 to 65535");
    return use_default(p);
}

bool directive_bind_address(const struct place *p, const char *value)
{
    return address_set(p, "bind_address", &p->config->default_listener, value) && use_default(p);
}

/* --- log */

static bool dest_add(const struct place *p, const char *sink, const char *path)
{
    struct config *c = p->config;
    if (c->log_dests_count == CONFIG_DESTS_MAX) {
        note_error(p, "log_dest", "is one too many; allowed: %d destinations", CONFIG_DESTS_MAX);
        return false;
    }
    struct config_dest *d = &c->log_dests[c->log_dests_count++];
    snprintf(d->sink, sizeof d->sink, "%s", sink);
    snprintf(d->path, sizeof d->path, "%s", path);
    d->set_at = place_origin(p);
    return true;
}

static const char dests_allowed[] = "stderr, stdout, file PATH, syslog, syslog SOCKET, topic or none";

/* What follows the word, behind a blank; NULL: it begins otherwise, or nothing follows. */
static const char *after_word(const char *value, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(value, word, n) != 0 || (value[n] != ' ' && value[n] != '\t')) return NULL;
    const char *rest = value + n + strspn(value + n, " \t");
    return rest[0] == '\0' || strlen(rest) >= CONFIG_TEXT_BYTES ? NULL : rest;
}

bool directive_log_dest(const struct place *p, const char *value)
{
    static const char *const simple[] = { "stderr", "stdout", "syslog", "topic" };
    struct config *c = p->config;
    bool is_first = !config_is_set(c, CONFIG_ID_log_dest);
    if (strcmp(value, "dlt") == 0)
        return note_refusal(p, "log_dest", value,
                            "is a logger of vehicles that hardly a server has; use syslog, or a file");
    if (is_first || strcmp(value, "none") == 0) c->log_dests_count = 0;
    if (strcmp(value, "none") == 0) return true;
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++)
        if (strcmp(value, simple[i]) == 0) return dest_add(p, value, "");

    const char *path = after_word(value, "file"), *socket = after_word(value, "syslog");
    if (path != NULL) return dest_add(p, "file", path);
    if (socket != NULL) return dest_add(p, "syslog", socket);
    return note_value(p, "log_dest", value, dests_allowed);
}

struct log_word {
    const char *word;
    unsigned types;
};

static const struct log_word log_words[] = {
    { "error", 1u << 0 }, { "warning", 1u << 1 },   { "notice", 1u << 2 },      { "information", 1u << 3 },
    { "debug", 1u << 4 }, { "subscribe", 1u << 5 }, { "unsubscribe", 1u << 6 }, { "all", (1u << 5) - 1 },
};

/* Of mosquitto's, for single kinds of events: what we have at debug. */
static const char *const log_words_finer[] = { "websockets", "internal" };

bool directive_log_type(const struct place *p, const char *value)
{
    struct config *c = p->config;
    bool is_first = !config_is_set(c, CONFIG_ID_log_type);
    unsigned before = is_first ? 0 : c->log_types;
    if (strcmp(value, "none") == 0) {
        c->log_types = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof log_words / sizeof log_words[0]; i++) {
        if (strcmp(log_words[i].word, value) != 0) continue;
        c->log_types = before | log_words[i].types;
        return true;
    }
    for (size_t i = 0; i < sizeof log_words_finer / sizeof log_words_finer[0]; i++) {
        if (strcmp(log_words_finer[i], value) != 0) continue;
        note_warning(p, "log_type", "value '%s' has no effect: it is part of debug here", value);
        c->log_types = before;
        return true;
    }
    return note_value(p, "log_type", value,
                      "error, warning, notice, information, debug, subscribe, unsubscribe, all or none");
}

bool directive_include_dir(const struct place *p, const char *value)
{
    if (p->is_included) {
        note_error(p, "include_dir", "is not allowed in an included file; allowed: in the main file only");
        return false;
    }
    if (value[0] == '\0') return note_value(p, "include_dir", value, "a directory");
    return files_read_folder(p, value) == ERR_OK;
}
