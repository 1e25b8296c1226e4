/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session.h"
#include <stdlib.h>

static struct bytes keep(uint8_t **at, struct bytes b)
{
    struct bytes kept = bytes_of(*at, b.len);
    if (b.len > 0) memcpy(*at, b.at, b.len);
    *at += b.len;
    return kept;
}

enum err session_set_will(struct session *s, const struct session_will_parts *parts)
{
    session_drop_will(s);
    size_t bytes = parts->topic.len + parts->payload.len + parts->block.len + parts->username.len;
    struct session_will *w = malloc(sizeof *w + bytes);
    if (w == NULL) return ERR_NOMEM;
    uint8_t *at = w->data;
    w->topic = keep(&at, parts->topic);
    w->payload = keep(&at, parts->payload);
    w->block = keep(&at, parts->block);
    w->username = parts->username.at == NULL ? parts->username : keep(&at, parts->username);
    w->door_no = parts->door_no;
    w->asked = NULL;
    w->qos = parts->qos;
    w->retain = parts->retain;
    w->delay_s = parts->delay_s;
    w->has_expiry = parts->has_expiry;
    w->expiry_s = parts->expiry_s;
    s->will = w;
    return ERR_OK;
}

void session_drop_will(struct session *s)
{
    free(s->will);
    s->will = NULL;
}
