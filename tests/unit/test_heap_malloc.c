/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"
#include "base/thread.h"
#include "kit/test.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Of the daemon's own allocator alone: a sanitizer ends the process instead. */

TEST(posix_memalign_refuses_what_is_no_alignment)
{
    static const size_t wrong[] = { 0, 1, 4, 24 };
    void *at = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        volatile size_t align = wrong[i];
        CHECK_INT(EINVAL, posix_memalign(&at, align, 64));
        CHECK_TRUE(at == NULL);
    }
}

TEST(what_cannot_be_had_is_refused_and_leaves_a_block_as_it_was)
{
    volatile size_t too_much = SIZE_MAX / 2;
    void *at = NULL;
    CHECK_INT(ENOMEM, posix_memalign(&at, 64, too_much));
    CHECK_TRUE(malloc(too_much) == NULL);
    char *block = malloc(8);
    CHECK_TRUE(block != NULL);
    block[0] = 'x';
    CHECK_TRUE(realloc(block, too_much) == NULL);
    CHECK_INT('x', block[0]);
    free(block);
}

/* Through a volatile pointer, so that the compiler does not leave the whole of it out. */
static void *volatile kept;

enum { SIZES = 1200 };

TEST(blocks_that_were_freed_are_as_large_as_is_asked_for_and_nobody_elses)
{
    static unsigned char *volatile at[SIZES];
    uint64_t before = heap_used();
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < SIZES; n++) {
            at[n] = malloc(n);
            CHECK_TRUE(malloc_usable_size(at[n]) >= n);
            memset(at[n], (int)(n % 251), n);
        }
        for (size_t n = 0; n < SIZES; n++) {
            for (size_t i = 0; i < n; i += 16) CHECK_INT(n % 251, at[n][i]);
            free(at[n]);
        }
    }
    CHECK_TRUE(heap_used() == before);
}

TEST(what_is_kept_for_the_next_one_counts_as_free)
{
    uint64_t before = heap_used();
    kept = malloc(200);
    uint64_t with_it = heap_used();
    free(kept);
    CHECK_TRUE(heap_used() == before);
    kept = malloc(200);
    CHECK_TRUE(heap_used() == with_it);
    free(kept);
    CHECK_TRUE(heap_used() == before);
}

enum { BURST = 100 };

static void burst(void *arg)
{
    void *at[BURST];
    for (int i = 0; i < BURST; i++) at[i] = malloc(500);
    kept = at[0];
    for (int i = 0; i < BURST; i++) free(at[i]);
    (void)arg;
}

/* The library's own figure, which has what is kept among what is in use. */
TEST(a_thread_that_ends_gives_back_what_it_has_kept)
{
    struct thread t;
    CHECK_INT(ERR_OK, thread_start(&t, "bursts", burst, NULL)); /* makes what threads share */
    thread_join(&t);
    size_t before = mallinfo2().uordblks;
    CHECK_INT(ERR_OK, thread_start(&t, "bursts", burst, NULL));
    thread_join(&t);
    CHECK_TRUE(mallinfo2().uordblks < before + BURST * 500 / 2);
}
