/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/due.h"
#include "base/check.h"
#include <stdbool.h>
#include <stdlib.h>

/* at[0] is the first; the children of i, 2i + 1 and 2i + 2, are not before it. */

void due_fini(struct due *d)
{
    free(d->at);
    *d = (struct due){ 0 };
}

enum err due_reserve(struct due *d, uint32_t room)
{
    if (room <= d->room) return ERR_OK;
    struct due_entry *grown = realloc(d->at, room * sizeof *grown);
    if (grown == NULL) return ERR_NOMEM;
    d->at = grown;
    d->room = room;
    return ERR_OK;
}

static bool is_before(const struct due_entry *a, const struct due_entry *b)
{
    return a->due < b->due || (a->due == b->due && a->seq < b->seq);
}

void due_put(struct due *d, struct due_entry e)
{
    CHECK(d->count < d->room);
    uint32_t i = d->count++;
    while (i > 0 && is_before(&e, &d->at[(i - 1) / 2])) {
        d->at[i] = d->at[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    d->at[i] = e;
}

const struct due_entry *due_first(const struct due *d)
{
    return d->count == 0 ? NULL : &d->at[0];
}

struct due_entry due_take(struct due *d)
{
    CHECK(d->count > 0);
    struct due_entry first = d->at[0], last = d->at[--d->count];
    uint32_t i = 0;
    for (uint64_t child = 1; child < d->count; child = 2 * (uint64_t)i + 1) {
        if (child + 1 < d->count && is_before(&d->at[child + 1], &d->at[child])) child++;
        if (!is_before(&d->at[child], &last)) break;
        d->at[i] = d->at[child];
        i = (uint32_t)child;
    }
    if (d->count > 0) d->at[i] = last;
    return first;
}
