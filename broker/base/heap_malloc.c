/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

/*
 * The allocator's functions, all that the C library lets a program replace: count, and call the library's
 * own. Linked into the daemon alone.
 *
 * Counted is malloc_usable_size(), which is what free() can know again. A thread has its counter for itself,
 * so counting is a load and a store. It makes a malloc and its free 9 ns slower.
 *
 * What a thread frees it keeps for its next malloc of that size, up to a bound: messages come in bursts, and
 * the library keeps seven of a size. What is kept counts as free, like the library's own.
 */

/* NOLINTBEGIN: the library's names */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *at, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void *__libc_valloc(size_t n);
extern void *__libc_pvalloc(size_t n);
extern void __libc_free(void *at);
/* NOLINTEND */

#define SEEN_BY_LIBRARIES __attribute__((visibility("default")))

static _Thread_local struct heap_slot *mine;

static void count(int64_t bytes)
{
    struct heap_slot *s = mine;
    if (s == NULL) s = mine = heap_slot_take();
    if (s == heap_slots) {
        atomic_fetch_add_explicit(&s->bytes, bytes, memory_order_relaxed);
        return;
    }
    int64_t before = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    atomic_store_explicit(&s->bytes, before + bytes, memory_order_relaxed);
}

/* --- what is kept */

enum {
    STEP_BYTES = 16, /* from one size of the library to the next */
    LEAST_BYTES = 24,
    SHELVES = 64, /* up to a kilobyte */
    KEPT_BLOCKS_MAX = 256,
    KEPT_BYTES_MAX = 64 * 1024,
};

struct kept {
    struct kept *next;
};

enum { UNTOUCHED, OPEN, CLOSED }; /* a thread's store: closed when it ends */

static _Thread_local struct {
    struct kept *shelves[SHELVES];
    uint32_t blocks, bytes;
    int state;
} store;
static pthread_key_t ends;
static pthread_once_t ends_once = PTHREAD_ONCE_INIT;

static void clear(void *unused)
{
    (void)unused;
    store.state = CLOSED;
    for (size_t i = 0; i < SHELVES; i++) {
        while (store.shelves[i] != NULL) {
            struct kept *k = store.shelves[i];
            store.shelves[i] = k->next;
            __libc_free(k);
        }
    }
}

static void make_key(void)
{
    if (pthread_key_create(&ends, clear) != 0) ends = PTHREAD_KEYS_MAX;
}

/* A thread whose end would not be noticed keeps nothing. */
static void open_store(void)
{
    store.state = CLOSED;
    pthread_once(&ends_once, make_key);
    if (ends < PTHREAD_KEYS_MAX && pthread_setspecific(ends, &store) == 0) store.state = OPEN;
}

/* The shelf of blocks that have room for n bytes. */
static size_t shelf_for(size_t n)
{
    return n <= LEAST_BYTES ? 0 : (n - LEAST_BYTES + STEP_BYTES - 1) / STEP_BYTES;
}

static bool keep(void *at, size_t usable)
{
    size_t shelf = shelf_for(usable);
    if (store.state == UNTOUCHED) open_store();
    bool is_regular = shelf < SHELVES && usable == LEAST_BYTES + shelf * STEP_BYTES;
    if (!is_regular || store.state != OPEN) return false;
    if (store.blocks >= KEPT_BLOCKS_MAX || store.bytes + usable > KEPT_BYTES_MAX) return false;
    struct kept *k = at;
    k->next = store.shelves[shelf];
    store.shelves[shelf] = k;
    store.blocks++;
    store.bytes += (uint32_t)usable;
    return true;
}

/* NULL: none is kept. */
static void *take(size_t n)
{
    size_t shelf = shelf_for(n);
    struct kept *k = shelf < SHELVES ? store.shelves[shelf] : NULL;
    if (k == NULL) return NULL;
    size_t usable = LEAST_BYTES + shelf * STEP_BYTES;
    store.shelves[shelf] = k->next;
    store.blocks--;
    store.bytes -= (uint32_t)usable;
    count((int64_t)usable);
    return k;
}

static void *counted(void *at)
{
    if (at != NULL) count((int64_t)malloc_usable_size(at));
    return at;
}

SEEN_BY_LIBRARIES void *malloc(size_t n)
{
    void *kept = take(n);
    return kept != NULL ? kept : counted(__libc_malloc(n));
}

SEEN_BY_LIBRARIES void *calloc(size_t n, size_t size)
{
    return counted(__libc_calloc(n, size));
}

SEEN_BY_LIBRARIES void *realloc(void *at, size_t n)
{
    int64_t before = at == NULL ? 0 : (int64_t)malloc_usable_size(at);
    void *grown = __libc_realloc(at, n);
    if (grown != NULL)
        count((int64_t)malloc_usable_size(grown) - before);
    else if (n == 0)
        count(-before); /* it was freed */
    return grown;
}

SEEN_BY_LIBRARIES void free(void *at)
{
    if (at == NULL) return;
    size_t usable = malloc_usable_size(at);
    count(-(int64_t)usable);
    if (!keep(at, usable)) __libc_free(at);
}

SEEN_BY_LIBRARIES void *memalign(size_t align, size_t n)
{
    return counted(__libc_memalign(align, n));
}

SEEN_BY_LIBRARIES void *aligned_alloc(size_t align, size_t n)
{
    return counted(__libc_memalign(align, n));
}

SEEN_BY_LIBRARIES int posix_memalign(void **out, size_t align, size_t n)
{
    if (align % sizeof(void *) != 0 || align == 0 || (align & (align - 1)) != 0) return EINVAL;
    void *at = counted(__libc_memalign(align, n));
    if (at == NULL) return ENOMEM;
    *out = at;
    return 0;
}

SEEN_BY_LIBRARIES void *valloc(size_t n)
{
    return counted(__libc_valloc(n));
}

SEEN_BY_LIBRARIES void *pvalloc(size_t n)
{
    return counted(__libc_pvalloc(n));
}
