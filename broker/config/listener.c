/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_int.h"
#include <string.h>

void listener_init(struct config_listener *l)
{
    memset(l, 0, sizeof *l);
    l->port = 1883;
    options_init(l, CONFIG_SCOPE_LISTENER);
    options_init(&l->security, CONFIG_SCOPE_SECURITY);
}

bool listener_binds_alike(const struct config_listener *a, const struct config_listener *b)
{
    if (a->path[0] != '\0' || b->path[0] != '\0') return strcmp(a->path, b->path) == 0;
    return a->port == b->port && a->socket_domain == b->socket_domain && strcmp(a->address, b->address) == 0;
}

bool config_list_next(const char **at, struct bytes *text)
{
    const char *start = *at + strspn(*at, "\n");
    *text = bytes_of(start, strcspn(start, "\n"));
    *at = start + text->len;
    return text->len > 0;
}
