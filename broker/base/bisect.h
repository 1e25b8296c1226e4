/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bisect - where a number is, or would be, among items that are in its order.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_bisect.c
 */
#ifndef BASE_BISECT_H
#define BASE_BISECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many of so many items are before the key: the index of the first that is not. */
static inline size_t bisect(const void *items, size_t count, uint64_t key,
                            bool (*is_before)(const void *items, size_t i, uint64_t key))
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(items, middle, key))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
