/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { WELL_PART = 20 };

enum heap_change heap_gate_look(struct heap_gate *g, uint32_t changes, uint64_t used)
{
    uint64_t limit = heap_gate_limit(g);
    bool was = (changes & 1) != 0;
    bool is = limit > 0 && used > (was ? limit - limit / WELL_PART : limit);
    if (is == was || !atomic_compare_exchange_strong_explicit(&g->changes, &changes, changes + 1,
                                                              memory_order_relaxed, memory_order_relaxed))
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

/* Pages of the process that are no file's. */
static uint64_t private_bytes(void)
{
    unsigned long size, resident = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) return 0;
    int got = fscanf(f, "%lu %lu %lu", &size, &resident, &shared);
    fclose(f);
    return got == 3 && resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t kept_bytes(void)
{
    uint64_t has = private_bytes(), used = heap_used();
    return has > used ? has - used : 0;
}

void heap_tend(void)
{
    enum { WORTH_BYTES = 16 * 1024 * 1024 };
    static uint64_t left; /* that could not be given back the last time */
    uint64_t kept = kept_bytes();
    if (kept < left) left = kept;
    if (kept - left < WORTH_BYTES) return;
    malloc_trim(0);
    left = kept_bytes();
}
