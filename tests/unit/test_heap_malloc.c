/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include <errno.h>
#include <stdlib.h>

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
