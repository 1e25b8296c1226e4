/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap - how much memory the process has allocated and not freed, and a gate that says when it is too much.
 *
 * The daemon's malloc and its kin are its own functions (heap_malloc.c) that count and call the C library's,
 * so what libraries allocate is counted too: SQLite, OpenSSL, plugins. Each thread counts for itself; whoever
 * asks sums up. A sanitizer has an allocator of its own, and counts (heap_sanitizer.c). Other programs than
 * the daemon count nothing: there 0 is in use.
 *
 * Counted is what is in use, with the allocator's rounding; not what it keeps for later, nor stacks, code and
 * the page cache. So a process' resident memory is more: by a tenth, or after a storm by half.
 *
 * Thread:  any. Of two that see the gate change only one is told.
 * Memory:  none of its own but 64 bytes a thread.
 * Limits:  more than HEAP_SLOTS threads share a counter, which is slower.
 * Errors:  none.
 * Tests:   tests/unit/test_heap.c, tests/e2e/test_memory_limit.py
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAP_SLOTS = 512, HEAP_LINE_BYTES = 64 };

/* Of one thread: the bytes it has allocated less those it has freed, whoever had allocated them. */
struct heap_slot {
    _Alignas(HEAP_LINE_BYTES) _Atomic(int64_t) bytes;
};

/* heap_malloc.c: the calling thread's, for its life; the first is shared by those that have no own. */
extern struct heap_slot heap_slots[HEAP_SLOTS];
struct heap_slot *heap_slot_take(void);

/* Bytes in use. A sum of what each thread says, so not of one moment while others work. */
uint64_t heap_used(void);

/* Gives back to the system what the allocator keeps, if it is much. May take some milliseconds, and others
 * wait in malloc meanwhile. By one thread. */
void heap_tend(void);

/* Says when a limit has been reached, until there is a twentieth less in use. All zero: no limit. */
struct heap_gate {
    _Atomic(uint64_t) limit;
    _Atomic(uint32_t) changes; /* odd: it is high */
};

enum heap_change { HEAP_SAME, HEAP_HIGH, HEAP_WELL };

static inline void heap_gate_set(struct heap_gate *g, uint64_t limit)
{
    atomic_store_explicit(&g->limit, limit, memory_order_relaxed);
}

static inline uint64_t heap_gate_limit(const struct heap_gate *g)
{
    return atomic_load_explicit(&g->limit, memory_order_relaxed);
}

static inline bool heap_gate_is_high(const struct heap_gate *g)
{
    return (atomic_load_explicit(&g->changes, memory_order_relaxed) & 1) != 0;
}

/* How often it has changed: to be asked before heap_used, for heap_gate_look. */
static inline uint32_t heap_gate_changes(const struct heap_gate *g)
{
    return atomic_load_explicit(&g->changes, memory_order_acquire);
}

/* Looks at what is in use, and says what has changed with that. Nothing, if somebody has changed it since
 * `changes`: who was held up between asking and looking knows less. */
enum heap_change heap_gate_look(struct heap_gate *g, uint32_t changes, uint64_t used);

/* Would so much more be within the limit and so much beyond it? */
bool heap_gate_has_room(const struct heap_gate *g, size_t bytes, uint64_t beyond);

#endif
