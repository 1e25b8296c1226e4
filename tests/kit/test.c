/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"

static struct CMUnitTest cases[KIT_CASES_MAX];
static size_t cases_count;

void kit_add(const char *name, void (*run)(void **state))
{
    if (cases_count == KIT_CASES_MAX) abort();
    cases[cases_count++] = (struct CMUnitTest){ .name = name, .test_func = run };
}

void kit_check_int(long long want, long long got, const char *what, const char *file, int line)
{
    if (want == got) return;
    print_error("%s is %lld, want %lld\n", what, got, want);
    _fail(file, line);
}

int main(void)
{
    if (cases_count == 0) return 1;
    return _cmocka_run_group_tests("kit", cases, cases_count, NULL, NULL);
}
