/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"
#include <malloc.h>

enum { WELL_PART = 20 };

enum heap_change heap_gate_look(struct heap_gate *g, uint64_t used)
{
    uint64_t limit = heap_gate_limit(g);
    bool was = heap_gate_is_high(g);
    bool is = limit > 0 && used > (was ? limit - limit / WELL_PART : limit);
    if (is == was || !atomic_compare_exchange_strong_explicit(&g->is_high, &was, is, memory_order_relaxed,
                                                              memory_order_relaxed))
        return HEAP_SAME;
    return is ? HEAP_HIGH : HEAP_WELL;
}

bool heap_gate_has_room(const struct heap_gate *g, size_t bytes, uint64_t beyond)
{
    uint64_t limit = heap_gate_limit(g);
    if (limit == 0 || beyond > UINT64_MAX - limit) return true;
    uint64_t used = heap_used();
    return used < limit + beyond && bytes <= limit + beyond - used;
}

void heap_tend(void)
{
    enum { WORTH_BYTES = 16 * 1024 * 1024 };
    static _Atomic(uint64_t) most; /* in use since the last time */
    uint64_t used = heap_used(), before = atomic_load_explicit(&most, memory_order_relaxed);
    if (used > before) atomic_store_explicit(&most, used, memory_order_relaxed);
    if (used + WORTH_BYTES > before) return;
    atomic_store_explicit(&most, used, memory_order_relaxed);
    malloc_trim(0);
}
