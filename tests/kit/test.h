/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test - a unit test is a sentence: TEST(a_subscribe_cut_inside_a_field_is_malformed) { ... }
 * Cases register themselves; cmocka runs them and counts.
 *
 * Thread:  cases run one after another on the main thread.
 * Memory:  none.
 * Limits:  KIT_CASES_MAX cases a program.
 * Errors:  a failed check ends the case, and the program exits with the number of failed cases.
 * Tests:   every unit test.
 */
#ifndef KIT_TEST_H
#define KIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { KIT_CASES_MAX = 512 };

void kit_add(const char *name, void (*run)(void **state));

#define TEST(name)                                                                                           \
    static void name(void **state_);                                                                         \
    __attribute__((constructor)) static void name##_add(void)                                                \
    {                                                                                                        \
        kit_add(#name, name);                                                                                \
    }                                                                                                        \
    static void name(void **state_ __attribute__((unused)))

#define CHECK_TRUE(e)        assert_true(e)
#define CHECK_INT(want, got) kit_check_int((long long)(want), (long long)(got), #got, __FILE__, __LINE__)

void kit_check_int(long long want, long long got, const char *what, const char *file, int line);

#endif
