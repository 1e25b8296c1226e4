/* SPDX-License-Identifier: Apache-2.0 */
#include "store/in_ids.h"
#include "base/bisect.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

void in_ids_fini(struct in_ids *s)
{
    for (uint32_t i = 0; i < s->count; i++) free(s->pages[i].at);
    free(s->pages);
    *s = (struct in_ids){ 0 };
}

static bool is_page_before(const void *items, size_t i, uint64_t high)
{
    const struct in_ids_page *pages = items;
    return pages[i].high < high;
}

/* Where the page of an id is, or would be. */
static uint32_t page_index(const struct in_ids *s, uint16_t id)
{
    return (uint32_t)bisect(s->pages, s->count, id >> 8, is_page_before);
}

static struct in_ids_page *find_page(const struct in_ids *s, uint16_t id)
{
    uint32_t i = page_index(s, id);
    return i < s->count && s->pages[i].high == id >> 8 ? &s->pages[i] : NULL;
}

static bool is_before(const void *items, size_t i, uint64_t id)
{
    const struct in_id *ids = items;
    return ids[i].id < id;
}

/* Where it is in its page, or would be. */
static uint32_t place_of(const struct in_ids_page *p, uint16_t id)
{
    return (uint32_t)bisect(p->at, p->count, id, is_before);
}

struct in_id *in_ids_find(const struct in_ids *s, uint16_t id)
{
    const struct in_ids_page *p = find_page(s, id);
    uint32_t i = p == NULL ? 0 : place_of(p, id);
    return p != NULL && i < p->count && p->at[i].id == id ? &p->at[i] : NULL;
}

static struct in_ids_page *add_page(struct in_ids *s, uint16_t id)
{
    uint32_t i = page_index(s, id);
    if (s->count == s->room) {
        uint32_t room = s->room == 0 ? 1 : s->room * 2;
        struct in_ids_page *grown = realloc(s->pages, room * sizeof *grown);
        if (grown == NULL) return NULL;
        s->pages = grown;
        s->room = room;
    }
    memmove(s->pages + i + 1, s->pages + i, (s->count - i) * sizeof *s->pages);
    s->pages[i] = (struct in_ids_page){ .high = (uint8_t)(id >> 8) };
    s->count++;
    return &s->pages[i];
}

static void take_page(struct in_ids *s, struct in_ids_page *p)
{
    free(p->at);
    uint32_t i = (uint32_t)(p - s->pages);
    memmove(p, p + 1, (s->count - i - 1) * sizeof *p);
    if (--s->count == 0) in_ids_fini(s);
}

static bool make_room(struct in_ids_page *p)
{
    if (p->count < p->room) return true;
    uint16_t room = p->room == 0 ? 4 : (uint16_t)(p->room * 2);
    struct in_id *grown = realloc(p->at, room * sizeof *grown);
    if (grown == NULL) return false;
    p->at = grown;
    p->room = room;
    return true;
}

enum err in_ids_add(struct in_ids *s, uint16_t id, uint64_t position)
{
    struct in_ids_page *p = find_page(s, id);
    if (p == NULL) p = add_page(s, id);
    if (p == NULL) return ERR_NOMEM;
    if (!make_room(p)) {
        if (p->count == 0) take_page(s, p);
        return ERR_NOMEM;
    }
    uint32_t i = place_of(p, id);
    DCHECK(i == p->count || p->at[i].id != id);
    memmove(p->at + i + 1, p->at + i, (p->count - i) * sizeof *p->at);
    p->at[i] = (struct in_id){ .position = position, .id = id };
    p->count++;
    return ERR_OK;
}

bool in_ids_take(struct in_ids *s, uint16_t id)
{
    struct in_id *found = in_ids_find(s, id);
    if (found == NULL) return false;
    bool was_stored = found->is_stored;
    struct in_ids_page *p = find_page(s, id);
    uint32_t i = (uint32_t)(found - p->at);
    memmove(found, found + 1, (p->count - i - 1) * sizeof *found);
    if (--p->count == 0) take_page(s, p);
    return was_stored;
}
