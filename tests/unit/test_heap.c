/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"
#include "base/thread.h"
#include "kit/test.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1000000, MORE_AT_MOST = BLOCK / 10 };

/* Through a volatile pointer, so that the compiler does not leave the whole of it out. */
static void *volatile kept;

static void check_grown(uint64_t before, uint64_t by)
{
    uint64_t used = heap_used();
    CHECK_TRUE(used >= before + by);
    CHECK_TRUE(used <= before + by + MORE_AT_MOST);
}

static void check_freed(uint64_t before)
{
    uint64_t used = heap_used();
    CHECK_TRUE(used <= before + MORE_AT_MOST);
    CHECK_TRUE(used + MORE_AT_MOST >= before);
}

TEST(every_way_to_allocate_is_counted_and_free_takes_it_back)
{
    static void *(*const ways[])(size_t) = { malloc, valloc, pvalloc };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        uint64_t before = heap_used();
        kept = ways[i](BLOCK);
        check_grown(before, BLOCK);
        free(kept);
        check_freed(before);
    }
    uint64_t before = heap_used();
    kept = calloc(BLOCK / 8, 8);
    check_grown(before, BLOCK);
    free(kept);
    kept = aligned_alloc(64, BLOCK / 64 * 64);
    check_grown(before, BLOCK / 64 * 64);
    free(kept);
    kept = memalign(4096, BLOCK);
    check_grown(before, BLOCK);
    free(kept);
    check_freed(before);
}

TEST(posix_memalign_is_counted)
{
    uint64_t before = heap_used();
    void *at = NULL;
    CHECK_INT(0, posix_memalign(&at, 64, BLOCK));
    kept = at;
    check_grown(before, BLOCK);
    free(kept);
    check_freed(before);
}

TEST(a_block_that_grows_shrinks_and_goes_counts_with_its_size)
{
    uint64_t before = heap_used();
    kept = realloc(NULL, BLOCK);
    check_grown(before, BLOCK);
    kept = realloc(kept, 4 * BLOCK);
    check_grown(before, 4 * BLOCK);
    kept = realloc(kept, 2 * BLOCK);
    check_grown(before, 2 * BLOCK);
    free(kept);
    check_freed(before);
}

/* Allocated within the C library, freed by us. */
TEST(what_the_library_allocates_for_us_is_counted_too)
{
    uint64_t before = heap_used();
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    for (int i = 0; i < BLOCK / 10; i++) fputs("ten bytes ", f);
    fclose(f);
    CHECK_TRUE(heap_used() >= before + BLOCK);
    char *copy = strdup(text);
    CHECK_TRUE(heap_used() >= before + 2 * (uint64_t)BLOCK);
    free(copy);
    free(text);
    check_freed(before);
}

static void allocate(void *arg)
{
    void **at = arg;
    *at = malloc(BLOCK);
    if (*at != NULL) memset(*at, 1, BLOCK);
}

TEST(what_one_thread_allocates_another_may_free)
{
    struct thread t;
    void *at;
    uint64_t before = heap_used();
    CHECK_INT(ERR_OK, thread_start(&t, "allocates", allocate, &at));
    thread_join(&t);
    check_grown(before, BLOCK);
    free(at);
    check_freed(before);
}

static void come_and_go(void *arg)
{
    kept = malloc(16);
    free(kept);
    (void)arg;
}

TEST(more_threads_than_counters_are_counted_all_the_same)
{
    uint64_t before = heap_used();
    for (int i = 0; i < HEAP_SLOTS + 10; i++) {
        struct thread t;
        CHECK_INT(ERR_OK, thread_start(&t, "short", come_and_go, NULL));
        thread_join(&t);
    }
    check_freed(before);
    struct thread t;
    void *at;
    CHECK_INT(ERR_OK, thread_start(&t, "allocates", allocate, &at));
    thread_join(&t);
    check_grown(before, BLOCK);
    free(at);
    check_freed(before);
}

static enum heap_change look(struct heap_gate *g, uint64_t used)
{
    return heap_gate_look(g, heap_gate_changes(g), used);
}

TEST(the_gate_is_high_above_its_limit_until_a_twentieth_less_is_in_use)
{
    struct heap_gate g = { 0 };
    CHECK_INT(HEAP_SAME, look(&g, UINT64_MAX)); /* no limit */
    heap_gate_set(&g, 1000);
    CHECK_INT(HEAP_SAME, look(&g, 1000));
    CHECK_INT(HEAP_HIGH, look(&g, 1001));
    CHECK_TRUE(heap_gate_is_high(&g));
    CHECK_INT(HEAP_SAME, look(&g, 1001)); /* told once */
    CHECK_INT(HEAP_SAME, look(&g, 951));
    CHECK_INT(HEAP_WELL, look(&g, 950));
    CHECK_TRUE(!heap_gate_is_high(&g));
    CHECK_INT(HEAP_SAME, look(&g, 1000));
}

TEST(who_was_held_up_since_it_asked_what_is_in_use_changes_nothing)
{
    struct heap_gate g = { 0 };
    heap_gate_set(&g, 1000);
    uint32_t before = heap_gate_changes(&g);
    CHECK_INT(HEAP_HIGH, look(&g, 1001));
    CHECK_INT(HEAP_SAME, heap_gate_look(&g, before, 900));
    CHECK_TRUE(heap_gate_is_high(&g));
    before = heap_gate_changes(&g);
    CHECK_INT(HEAP_WELL, look(&g, 900));
    CHECK_INT(HEAP_HIGH, look(&g, 1001));
    CHECK_INT(HEAP_SAME, heap_gate_look(&g, before, 900)); /* it is high again, and not as it was */
    CHECK_TRUE(heap_gate_is_high(&g));
}

TEST(a_gate_whose_limit_goes_is_well)
{
    struct heap_gate g = { 0 };
    heap_gate_set(&g, 10);
    CHECK_INT(HEAP_HIGH, look(&g, 11));
    heap_gate_set(&g, 0);
    CHECK_INT(HEAP_WELL, look(&g, 11));
}

TEST(room_is_what_is_left_below_the_limit)
{
    struct heap_gate g = { 0 };
    CHECK_TRUE(heap_gate_has_room(&g, SIZE_MAX, 0));
    heap_gate_set(&g, heap_used() + BLOCK);
    CHECK_TRUE(heap_gate_has_room(&g, BLOCK / 2, 0));
    CHECK_TRUE(!heap_gate_has_room(&g, 2 * BLOCK, 0));
    CHECK_TRUE(!heap_gate_has_room(&g, SIZE_MAX, 0));
    CHECK_TRUE(heap_gate_has_room(&g, 2 * BLOCK, 2 * BLOCK));
    CHECK_TRUE(heap_gate_has_room(&g, SIZE_MAX, UINT64_MAX));
    heap_gate_set(&g, 1);
    CHECK_TRUE(!heap_gate_has_room(&g, 0, 0));
}
