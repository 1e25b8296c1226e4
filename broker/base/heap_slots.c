/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

/* The counters; who counts is heap_malloc.c, where that is linked. */

struct heap_slot heap_slots[HEAP_SLOTS];
static _Atomic(uint32_t) slots_taken;

struct heap_slot *heap_slot_take(void)
{
    uint32_t taken = atomic_load_explicit(&slots_taken, memory_order_relaxed);
    while (taken < HEAP_SLOTS - 1)
        if (atomic_compare_exchange_weak_explicit(&slots_taken, &taken, taken + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return &heap_slots[taken + 1];
    return &heap_slots[0];
}

uint64_t heap_used(void)
{
    uint32_t taken = atomic_load_explicit(&slots_taken, memory_order_relaxed);
    int64_t sum = 0;
    for (uint32_t i = 0; i <= taken; i++)
        sum += atomic_load_explicit(&heap_slots[i].bytes, memory_order_relaxed);
    return sum > 0 ? (uint64_t)sum : 0;
}
