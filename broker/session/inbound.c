/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bisect.h"
#include "base/check.h"
#include "session/session_int.h"
#include <stdlib.h>

/* QoS 2 from the client: one item for each packet id until its PUBREL is through, so that a PUBLISH that
 * comes again is known. Clients count their ids up, so a new one mostly goes to the end. */

enum { ROOM_MIN = 4 };

static bool is_before(const void *items, size_t i, uint64_t id)
{
    const struct inbound_item *item = items;
    return item[i].id < id;
}

/* The first item whose id is not below this one. */
static uint32_t place_of(const struct session *s, uint16_t id)
{
    return (uint32_t)bisect(s->inbound.at, s->inbound.count, id, is_before);
}

static struct inbound_item *find(const struct session *s, uint16_t id)
{
    uint32_t i = place_of(s, id);
    return i < s->inbound.count && s->inbound.at[i].id == id ? &s->inbound.at[i] : NULL;
}

enum inbound session_inbound(const struct session *s, uint16_t id)
{
    const struct inbound_item *item = find(s, id);
    return item == NULL ? INBOUND_NONE : item->state;
}

static bool make_room(struct qos2_in *in)
{
    if (in->count < in->room) return true;
    uint32_t room = in->room == 0 ? ROOM_MIN : in->room * 2u;
    if (room > PACKET_ID_MAX) room = PACKET_ID_MAX;
    struct inbound_item *grown = realloc(in->at, room * sizeof *grown);
    if (grown == NULL) return false;
    in->at = grown;
    in->room = (uint16_t)room;
    return true;
}

enum err session_inbound_add(struct session *s, uint16_t id, enum inbound state)
{
    struct qos2_in *in = &s->inbound;
    uint32_t i = place_of(s, id);
    CHECK(i == in->count || in->at[i].id != id);
    if (!make_room(in)) return ERR_NOMEM;
    memmove(&in->at[i + 1], &in->at[i], (in->count - i) * sizeof in->at[0]);
    in->at[i] = (struct inbound_item){ .id = id, .state = (uint8_t)state };
    in->count++;
    return ERR_OK;
}

static void take_out(struct session *s, struct inbound_item *item)
{
    struct qos2_in *in = &s->inbound;
    size_t behind = in->count - (size_t)(item - in->at) - 1;
    memmove(item, item + 1, behind * sizeof *item);
    if (--in->count > 0) return;
    free(in->at);
    in->at = NULL;
    in->room = 0;
}

void session_inbound_await(struct session *s, uint16_t id, uint32_t ticket)
{
    struct inbound_item *item = find(s, id);
    CHECK(item != NULL);
    item->is_awaited = true;
    item->ticket = ticket;
}

bool session_inbound_is_awaited(const struct session *s, uint16_t id)
{
    const struct inbound_item *item = find(s, id);
    return item != NULL && item->is_awaited;
}

bool session_inbound_kept(struct session *s, uint16_t id, bool kept, uint32_t *ticket)
{
    struct inbound_item *item = find(s, id);
    if (item == NULL || item->state != INBOUND_PENDING) return false;
    bool is_awaited = item->is_awaited;
    *ticket = item->ticket;
    item->state = INBOUND_RECEIVED;
    item->is_awaited = false;
    if (!kept) take_out(s, item);
    return is_awaited;
}

void session_inbound_release(struct session *s, uint16_t id)
{
    struct inbound_item *item = find(s, id);
    CHECK(item != NULL);
    CHECK(item->state == INBOUND_RECEIVED);
    item->state = INBOUND_RELEASING;
}

bool session_inbound_gone(struct session *s, uint16_t id, bool gone)
{
    struct inbound_item *item = find(s, id);
    if (item == NULL || item->state != INBOUND_RELEASING) return false;
    bool is_awaited = item->is_awaited;
    item->state = INBOUND_RECEIVED;
    item->is_awaited = false;
    if (gone) take_out(s, item);
    return is_awaited;
}

void session_inbound_attach(struct session *s)
{
    s->inbound.inherited = s->inbound.count;
}

void session_inbound_detach(struct session *s)
{
    for (uint32_t i = 0; i < s->inbound.count; i++) s->inbound.at[i].is_awaited = false;
}
