/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depends on several options. As mosquitto has it: without any listener the broker serves this machine
 * only, on 1883 or the ports of -p, and lets everyone in; with one, -p counts for nothing and clients must
 * say who they are unless allow_anonymous says otherwise.
 */
#include "config/config_int.h"
#include <ctype.h>
#include <net/if.h>
#include <string.h>

static void local_add(struct config *c, const char *address, uint16_t port)
{
    struct config_listener *l = &c->listeners[c->listeners_count++];
    *l = c->default_listener;
    l->port = port;
    snprintf(l->address, sizeof l->address, "%s", address);
    snprintf(l->origin, sizeof l->origin, "%s", c->ports_count > 0 ? "-p" : "default");
}

static bool port_is_first(const struct config *c, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (c->ports[i] == c->ports[index] && c->ports[i] != 0) return false;
    return true;
}

static void local_only(struct config *c)
{
    static const uint16_t standard = 1883;
    c->local_only = true;
    const uint16_t *ports = c->ports_count > 0 ? c->ports : &standard;
    size_t count = c->ports_count > 0 ? c->ports_count : 1;
    for (size_t i = 0; i < count; i++) {
        if (!port_is_first(c, i)) continue;
        local_add(c, "127.0.0.1", ports[i]);
        /* Two addresses could not choose the same free port. */
        if (ports[i] != 0) local_add(c, "::1", ports[i]);
    }
}

static bool is_configured(const struct config *c, uint16_t port)
{
    for (size_t i = 0; i < c->listeners_count; i++)
        if (c->listeners[i].port == port) return true;
    return false;
}

static void warn_about_ports(const struct place *p)
{
    const struct config *c = p->config;
    for (size_t i = 0; i < c->ports_count; i++)
        if (!is_configured(c, c->ports[i]))
            note_warning(p, "port", "value '%u' has no effect: the configuration has listeners of its own",
                         c->ports[i]);
}

/* What was set for a default listener that is not there. */
static void warn_about_default(const struct place *p)
{
    const struct config_listener *l = &p->config->default_listener;
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->type == CONFIG_TYPE_group || o->scope == CONFIG_SCOPE_GLOBAL) continue;
        const void *base = o->scope == CONFIG_SCOPE_LISTENER ? (const void *)l : &l->security;
        struct config_origin set_at = option_origins(base, o->scope)[o->id];
        char origin[CONFIG_ORIGIN_BYTES];
        struct place at = { .config = p->config, .notes = p->notes, .file = origin };
        if (set_at.file == 0) continue;
        config_origin_print(p->config, set_at, origin);
        note_warning(&at, o->name, "has no effect: it stands before the first listener line");
    }
}

static void add_default(const struct place *p)
{
    struct config *c = p->config;
    if (c->listeners_count == CONFIG_LISTENERS_MAX)
        note_error(p, "port", "is one listener too many; allowed: %d listeners", CONFIG_LISTENERS_MAX);
    else
        c->listeners[c->listeners_count++] = c->default_listener;
}

/* A name that the system does not know is wrong in the file, not only when the listener is opened. */
static void check_interface(const struct place *p, const struct config_listener *l)
{
    char origin[CONFIG_ORIGIN_BYTES];
    if (l->bind_interface[0] == '\0' || if_nametoindex(l->bind_interface) != 0) return;
    config_origin_print(p->config, l->origins[CONFIG_LISTENER_bind_interface], origin);
    struct place at = { .config = p->config, .notes = p->notes, .file = origin };
    note_refusal(&at, "bind_interface", l->bind_interface,
                 "is no interface of this machine; allowed: one of ip(8) link");
}

/* It becomes part of topics. */
static void check_mount_point(const struct place *p, const struct config_listener *l)
{
    char origin[CONFIG_ORIGIN_BYTES];
    struct place at_origin = { .config = p->config, .notes = p->notes, .file = origin };
    config_origin_print(p->config, l->origins[CONFIG_LISTENER_mount_point], origin);
    for (const char *at = l->mount_point; *at != '\0'; at++) {
        if (isprint((unsigned char)*at) && *at != '+' && *at != '#') continue;
        note_value(&at_origin, "mount_point", l->mount_point, "printable ASCII without + and #");
        return;
    }
    size_t n = strlen(l->mount_point);
    if (n > 0 && l->mount_point[n - 1] != '/')
        note_warning(
            &at_origin, "mount_point",
            "'%s' does not end with '/': a filter that begins with + or # is none behind it, and its "
            "client is disconnected",
            l->mount_point);
}

static void check_doubles(const struct place *p)
{
    const struct config *c = p->config;
    for (size_t i = 0; i < c->listeners_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct config_listener *l = &c->listeners[i], *other = &c->listeners[j];
            bool is_free_port = l->port == 0 && l->path[0] == '\0';
            if (is_free_port || !listener_binds_alike(l, other)) continue;
            struct place at = { .config = p->config, .notes = p->notes, .file = l->origin };
            const char *where = l->path[0] != '\0' ? l->path : l->address;
            note_error(&at, "listener", "value '%u%s%s' was given before at %s; allowed: once", l->port,
                       where[0] == '\0' ? "" : " ", where, other->origin);
        }
    }
}

/* What clients are told has to be text for them, too. */
static void check_plain(const struct place *p, enum config_id id, const char *option, const char *value)
{
    char origin[CONFIG_ORIGIN_BYTES];
    struct place at_origin = { .config = p->config, .notes = p->notes, .file = origin };
    config_origin_print(p->config, p->config->origins[id], origin);
    for (const char *at = value; *at != '\0'; at++) {
        if (isprint((unsigned char)*at)) continue;
        note_value(&at_origin, option, value, "printable ASCII");
        return;
    }
}

static void warn_if_nobody_comes_in(const struct place *p, const struct config_listener *l)
{
    char origin[CONFIG_ORIGIN_BYTES];
    struct config_origin set_at = l->security.origins[CONFIG_SECURITY_allow_anonymous];
    struct place at = { .config = p->config,
                        .notes = p->notes,
                        .file = set_at.file == 0 ? l->origin : origin };
    config_origin_print(p->config, set_at, origin);
    if (l->security.allow_anonymous || l->security.password_file[0] != '\0') return;
    if (l->use_identity_as_username || l->use_subject_as_username) return;
    if (plugins_any(p->config, (size_t)(l - p->config->listeners))) return;
    note_warning(&at, "allow_anonymous",
                 "is false, and there is no password_file: every client will be refused");
}

static void warn_of_option(const struct place *p, struct config_origin set_at, const char *name,
                           const char *why)
{
    char origin[CONFIG_ORIGIN_BYTES];
    struct place at = { .config = p->config, .notes = p->notes, .file = origin };
    if (set_at.file == 0) return;
    config_origin_print(p->config, set_at, origin);
    note_warning(&at, name, "%s", why);
}

/* How TLS is to be, where none is spoken. */
static void warn_about_tls(const struct place *p, const struct config_listener *l)
{
    const char *why =
        "has no effect without certfile and keyfile, or psk_hint: this listener does not speak TLS";
    if (l->certfile[0] != '\0' || l->keyfile[0] != '\0' || l->psk_hint[0] != '\0') return;
    warn_of_option(p, l->origins[CONFIG_LISTENER_tls_version], "tls_version", why);
    warn_of_option(p, l->origins[CONFIG_LISTENER_ciphers], "ciphers", why);
    warn_of_option(p, l->origins[CONFIG_LISTENER_ciphers_tls1_3], "ciphers_tls1.3", why);
    warn_of_option(p, l->origins[CONFIG_LISTENER_dhparamfile], "dhparamfile", why);
}

/* Options that need another one. Those of TLS that say who may come in are errors of the listener when it is
 * opened. */
static void warn_about_companions(const struct place *p, const struct config_listener *l)
{
    bool is_proxied = l->enable_proxy_protocol != CONFIG_PROXY_OFF;
    bool knows_names = l->cafile[0] != '\0' || l->capath[0] != '\0' || l->psk_hint[0] != '\0' ||
                       (is_proxied && l->enable_proxy_protocol != CONFIG_PROXY_V1);
    const char *nobody =
        "is true, and no client can have a certificate (cafile, capath) or a key (psk_hint): every client "
        "will be refused";
    if (l->use_identity_as_username && !knows_names)
        warn_of_option(p, l->origins[CONFIG_LISTENER_use_identity_as_username], "use_identity_as_username",
                       nobody);
    if (l->use_subject_as_username && !knows_names)
        warn_of_option(p, l->origins[CONFIG_LISTENER_use_subject_as_username], "use_subject_as_username",
                       nobody);
    warn_about_tls(p, l);
    if (!is_proxied)
        warn_of_option(p, l->origins[CONFIG_LISTENER_proxy_trusted], "proxy_trusted",
                       "has no effect without enable_proxy_protocol");
    if (l->protocol != CONFIG_PROTOCOL_WEBSOCKETS)
        warn_of_option(p, l->origins[CONFIG_LISTENER_websockets_origin], "websockets_origin",
                       "has no effect without protocol websockets");
}

/* What holds at a listener. */
static void settle_security(const struct place *p, struct config_listener *l)
{
    const struct config *c = p->config;
    if (!c->per_listener_settings) l->security = c->security;
    if (l->security.origins[CONFIG_SECURITY_allow_anonymous].file == 0)
        l->security.allow_anonymous = c->local_only;
    /* What is everyone's is said once. */
    if (c->per_listener_settings || l == c->listeners) warn_if_nobody_comes_in(p, l);
}

enum err config_finish(struct config *c, struct config_notes *notes)
{
    size_t before = notes->errors;
    struct place p = { .config = c, .notes = notes, .file = "configuration" };
    struct place flag = { .config = c, .notes = notes, .file = "-p" };

    if (c->default_listener_is_used) add_default(&p);
    if (c->listeners_count == 0)
        local_only(c);
    else
        warn_about_ports(&flag);
    plugins_settle(c);
    if (!c->default_listener_is_used && !c->local_only) warn_about_default(&p);
    check_doubles(&p);
    for (size_t i = 0; i < c->listeners_count; i++) check_interface(&p, &c->listeners[i]);
    for (size_t i = 0; i < c->listeners_count; i++) check_mount_point(&p, &c->listeners[i]);
    for (size_t i = 0; i < c->listeners_count; i++) warn_about_companions(&p, &c->listeners[i]);
    readable_check(&p);
    check_plain(&p, CONFIG_ID_response_information, "response_information", c->response_information);
    check_plain(&p, CONFIG_ID_server_reference, "server_reference", c->server_reference);

    for (size_t i = 0; i < c->listeners_count; i++) settle_security(&p, &c->listeners[i]);
    return notes->errors == before ? ERR_OK : ERR_SYNTAX;
}
