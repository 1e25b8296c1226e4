/* SPDX-License-Identifier: Apache-2.0 */
#include "store/journal.h"
#include "base/check.h"
#include "codec/rd.h"
#include <stdlib.h>

static size_t mid_bytes(const struct command_mid *mid)
{
    return sizeof *mid + mid->client_id.len + mid->mid.len;
}

/* Into room of mid_bytes(from), aligned. */
static const struct command_mid *mid_copy(uint8_t *at, const struct command_mid *from)
{
    struct command_mid *mid = (struct command_mid *)(void *)at;
    uint8_t *client_id = at + sizeof *mid, *id = client_id + from->client_id.len;
    if (from->client_id.len > 0) memcpy(client_id, from->client_id.at, from->client_id.len);
    if (from->mid.len > 0) memcpy(id, from->mid.at, from->mid.len);
    mid->client_id = bytes_of(client_id, from->client_id.len);
    mid->mid = bytes_of(id, from->mid.len);
    mid->window_s = from->window_s;
    return mid;
}

struct command *command_new(enum command_kind kind, const struct command_size *size)
{
    size_t targets_bytes = size->targets * sizeof(struct command_target);
    size_t seats_bytes = size->seats * sizeof(struct command_seat);
    size_t open_bytes = size->open * sizeof(uint64_t);
    size_t mid_at = sizeof(struct command) + targets_bytes + seats_bytes + open_bytes;
    size_t data_at = mid_at + (size->mid != NULL ? mid_bytes(size->mid) : 0);
    struct command *c = calloc(1, data_at + size->data.len);
    if (c == NULL) return NULL;

    uint8_t *at = (uint8_t *)(c + 1);
    ref_init(&c->ref, 1);
    c->kind = kind;
    c->targets_count = size->targets;
    c->targets = (struct command_target *)(void *)at;
    c->seats_count = (uint16_t)size->seats;
    c->seats = (struct command_seat *)(void *)(at + targets_bytes);
    c->ack.open_count = size->open;
    c->ack.open = (uint64_t *)(void *)(at + targets_bytes + seats_bytes);
    if (size->mid != NULL) c->mid = mid_copy((uint8_t *)c + mid_at, size->mid);
    c->data = bytes_of((uint8_t *)c + data_at, size->data.len);
    if (size->data.len > 0) memcpy((uint8_t *)c + data_at, size->data.at, size->data.len);
    for (uint32_t i = 0; i < size->seats; i++) c->seats[i].command = c;
    return c;
}

void command_unref(struct command **owner)
{
    struct command *c = *owner;
    *owner = NULL;
    if (c == NULL || !ref_drop(&c->ref)) return;
    msg_unref(&c->msg);
    free(c);
}

void command_mark_refused(struct command *c, struct bytes codes)
{
    enum { QOS_BITS = 3 }; /* section 3.8.3.1 */
    struct rd r = { c->data.at, c->data.len, false };
    for (size_t i = 0; i < codes.len; i++) {
        rd_str(&r);
        uint8_t *options = (uint8_t *)(uintptr_t)r.at; /* the command's own copy */
        rd_u8(&r);
        CHECK(!r.bad);
        if (codes.at[i] > 2)
            *options |= COMMAND_FILTER_REFUSED;
        else
            *options = (uint8_t)((*options & ~QOS_BITS) | codes.at[i]);
    }
}

void command_put(struct outbox *o, struct command *c)
{
    DCHECK(c->seats_count == 0 || command_has_targets(c->kind));
    /* The reference it came with is the completion's. */
    if (c->seats_count > 0) ref_add(&c->ref, c->seats_count);
    c->mail.kind = JOURNAL_MAIL_COMMAND;
    outbox_put(o, &c->mail);
}
