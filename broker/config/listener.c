/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include "config/keep.h"
#include <string.h>

void listener_init(struct config_listener *l)
{
    memset(l, 0, sizeof *l);
    l->port = 1883;
    options_init(l, CONFIG_SCOPE_LISTENER);
    options_init(&l->security, CONFIG_SCOPE_SECURITY);
}

/* Only these: a port open to the world should not come of an option that mosquitto would have left alone. */
static const char *const callers[] = {
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "ciphers",
    "ciphers_tls1.3",
    "crlfile",
    "dhparamfile",
    "keyfile",
    "max_connections",
    "max_qos",
    "psk_hint",
    "require_certificate",
    "socket_domain",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    /* with per_listener_settings */
    "allow_zero_length_clientid",
    "password_file",
    "plugin",
    "psk_file",
};

bool listener_is_called_by(const char *option)
{
    bool is = false;
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        is = is || strcmp(callers[i], option) == 0;
    return is;
}

bool listener_binds_alike(const struct config_listener *a, const struct config_listener *b)
{
    if (a->path[0] != '\0' || b->path[0] != '\0') return strcmp(a->path, b->path) == 0;
    return a->port == b->port && a->socket_domain == b->socket_domain &&
           strcmp(a->address, b->address) == 0 && strcmp(a->bind_interface, b->bind_interface) == 0;
}

/* How many before the one at index bind what l does. */
static size_t place_among(const struct config *c, size_t index, const struct config_listener *l)
{
    size_t place = 0;
    for (size_t i = 0; i < index; i++) place += listener_binds_alike(&c->listeners[i], l);
    return place;
}

size_t config_find_listener(const struct config *c, const struct config *other, size_t index)
{
    const struct config_listener *l = &other->listeners[index];
    size_t place = place_among(other, index, l);
    for (size_t i = 0; i < c->listeners_count; i++)
        if (listener_binds_alike(&c->listeners[i], l) && place_among(c, i, l) == place) return i;
    return c->listeners_count;
}

bool config_list_next(const char **at, struct bytes *text)
{
    const char *start = *at + strspn(*at, "\n");
    *text = bytes_of(start, strcspn(start, "\n"));
    *at = start + text->len;
    return text->len > 0;
}
