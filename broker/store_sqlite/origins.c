/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/origins.h"

static struct command_origin *find(struct origins *o, uint16_t node)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->at[i].node == node) return &o->at[i];
    return NULL;
}

static bool follows(const struct command_origin *last, const struct command_origin *next)
{
    if (last == NULL || next->boot_no > last->boot_no) return next->n == 1;
    return next->boot_no == last->boot_no && next->n == last->n + 1;
}

bool origins_accept(struct origins *o, const struct command_origin *next)
{
    struct command_origin *last = find(o, next->node);
    if (!follows(last, next)) return false;
    if (last == NULL) return origins_restore(o, next) == ERR_OK;
    *last = *next;
    return true;
}

enum err origins_restore(struct origins *o, const struct command_origin *last)
{
    if (o->count == ORIGINS_MAX) return ERR_FULL;
    o->at[o->count++] = *last;
    return ERR_OK;
}
