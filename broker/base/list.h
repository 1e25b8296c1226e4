/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list - intrusive doubly linked ring; the head is a link too.
 *
 * Thread:  the owner's.
 * Memory:  links are members of the caller's structs.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define CONTAINER(at, type, member) ((type *)(void *)((char *)(at)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Appends to the ring of head. */
static inline void list_add(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

/* Leaves item a ring of its own, so that removing it again is harmless. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

#endif
