/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct step {
    const char *name, *text;
};

static const struct step steps[] = {
#define FAILPOINT(name, step) { #name, step },
#include "base/failpoint.def"
#undef FAILPOINT
};

/* How often each may still be reached; 0: as often as it likes. */
static _Atomic uint32_t left[FAILPOINTS_COUNT];

static enum err refuse(const char *word, size_t len, const char *why)
{
    fprintf(stderr, FAILPOINT_VARIABLE ": '%.*s': %s. NAME[:COUNT][,NAME[:COUNT]]... of\n", (int)len, word,
            why);
    for (unsigned i = 0; i < FAILPOINTS_COUNT; i++)
        fprintf(stderr, "  %-24s %s\n", steps[i].name, steps[i].text);
    return ERR_SYNTAX;
}

static unsigned find(const char *name, size_t len)
{
    unsigned i = 0;
    while (i < FAILPOINTS_COUNT && (strlen(steps[i].name) != len || memcmp(steps[i].name, name, len) != 0))
        i++;
    return i;
}

/* The number of len digits; 0 when it is none. */
static uint32_t count_of(const char *at, size_t len)
{
    uint32_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9' || n > FAILPOINT_COUNT_MAX / 10) return 0;
        n = n * 10 + (uint32_t)(at[i] - '0');
    }
    return n <= FAILPOINT_COUNT_MAX ? n : 0;
}

static enum err arm_one(const char *word, size_t len)
{
    const char *colon = memchr(word, ':', len);
    size_t name_len = colon != NULL ? (size_t)(colon - word) : len;
    unsigned which = find(word, name_len);
    uint32_t count = colon != NULL ? count_of(colon + 1, len - name_len - 1) : 1;

    if (which == FAILPOINTS_COUNT) return refuse(word, len, "there is no such failpoint");
    if (count == 0) return refuse(word, len, "a count is a number from 1 to 1000000000");
    atomic_store_explicit(&left[which], count, memory_order_relaxed);
    return ERR_OK;
}

enum err failpoints_arm(const char *variable)
{
    enum err rc = ERR_OK;

    for (const char *at = variable; at != NULL && rc == ERR_OK;) {
        size_t len = strcspn(at, ",");
        rc = arm_one(at, len);
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    return rc;
}

static _Noreturn void end_here(enum failpoint f)
{
    char text[128];
    int len = snprintf(text, sizeof text, "failpoint %s: %s\n", steps[f].name, steps[f].text);
    ssize_t written = write(STDERR_FILENO, text, len < (int)sizeof text ? (size_t)len : sizeof text - 1);

    (void)written; /* the process ends, said or unsaid */
    kill(getpid(), SIGKILL);
    abort();
}

/* The counts are all that threads share: any order will do. */
void failpoint(enum failpoint f)
{
    if (atomic_load_explicit(&left[f], memory_order_relaxed) == 0) return;
    if (atomic_fetch_sub_explicit(&left[f], 1, memory_order_relaxed) == 1) end_here(f);
}

bool failpoint_is_armed(enum failpoint f)
{
    return atomic_load_explicit(&left[f], memory_order_relaxed) > 0;
}
