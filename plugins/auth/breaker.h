/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker - asks a service that fails no more for a while, and then first with a single question.
 *
 *   closed --(so many failures one after the other)--> open --(so long)--> trying --(good)--> closed
 *                                                        ^------------------(failed)
 *
 * Thread:  the owner's.
 * Memory:  the caller's struct.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_auth_plugin_http.c
 */
#ifndef AUTH_BREAKER_H
#define AUTH_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
    uint32_t failures_max; /* 0: it never opens */
    uint32_t open_ms;
    uint32_t failures;
    uint64_t until_ms; /* while open */
    bool is_open, is_trying;
};

/* May it be asked now? Then breaker_done follows. */
bool breaker_may(struct breaker *b, uint64_t now_ms);
/* True: this has opened it. */
bool breaker_done(struct breaker *b, bool is_good, uint64_t now_ms);

#endif
