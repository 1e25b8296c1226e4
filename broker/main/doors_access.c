/* SPDX-License-Identifier: Apache-2.0 */
#include "main/doors_access.h"
#include <string.h>

static void warn(void *log, const char *text)
{
    log_event(log, EVENT_CONFIG_WARNING, LOG_STR("warning", text));
}

static bool is_alike(const struct config_security *a, const struct config_security *b)
{
    return strcmp(a->password_file, b->password_file) == 0 && strcmp(a->acl_file, b->acl_file) == 0;
}

enum err door_access_open(struct shards_door *door, const struct shards_door *others, size_t count,
                          struct log *log)
{
    const struct config_security *s = &door->config->security;
    struct access_conf conf = { s->password_file, s->acl_file };
    struct access_notes notes = { .warn = warn, .ctx = log };
    door->access = NULL;
    if (s->password_file[0] == '\0' && s->acl_file[0] == '\0') return ERR_OK;
    for (size_t i = 0; i < count; i++) {
        if (others[i].access == NULL || others[i].config == NULL || !is_alike(s, &others[i].config->security))
            continue;
        door->access = access_ref(others[i].access);
        return ERR_OK;
    }
    enum err rc = access_new(&door->access, &conf, &notes);
    if (rc != ERR_OK) log_event(log, EVENT_CONFIG_ERROR, LOG_STR("error", notes.error));
    return rc;
}
