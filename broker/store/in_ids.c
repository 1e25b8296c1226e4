/* SPDX-License-Identifier: Apache-2.0 */
#include "store/in_ids.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

void in_ids_fini(struct in_ids *s)
{
    free(s->at);
    *s = (struct in_ids){ 0 };
}

/* Where it is, or would be. */
static uint32_t place_of(const struct in_ids *s, uint16_t id)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (s->at[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct in_id *in_ids_find(const struct in_ids *s, uint16_t id)
{
    uint32_t i = place_of(s, id);
    return i < s->count && s->at[i].id == id ? &s->at[i] : NULL;
}

enum err in_ids_add(struct in_ids *s, uint16_t id, uint64_t position)
{
    uint32_t i = place_of(s, id);
    DCHECK(i == s->count || s->at[i].id != id);
    if (s->count == s->room) {
        uint32_t room = s->room == 0 ? 4 : s->room * 2;
        struct in_id *grown = realloc(s->at, room * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        s->at = grown;
        s->room = room;
    }
    memmove(s->at + i + 1, s->at + i, (s->count - i) * sizeof *s->at);
    s->at[i] = (struct in_id){ .position = position, .id = id };
    s->count++;
    return ERR_OK;
}

bool in_ids_take(struct in_ids *s, uint16_t id)
{
    struct in_id *found = in_ids_find(s, id);
    if (found == NULL) return false;
    bool was_stored = found->is_stored;
    uint32_t i = (uint32_t)(found - s->at);
    memmove(found, found + 1, (s->count - i - 1) * sizeof *found);
    if (--s->count == 0) in_ids_fini(s);
    return was_stored;
}
