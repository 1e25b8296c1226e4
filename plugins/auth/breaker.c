/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/breaker.h"

bool breaker_may(struct breaker *b, uint64_t now_ms)
{
    if (!b->is_open) return true;
    if (b->is_trying || now_ms < b->until_ms) return false;
    b->is_trying = true;
    return true;
}

bool breaker_done(struct breaker *b, bool is_good, uint64_t now_ms)
{
    if (is_good) {
        b->failures = 0;
        b->is_open = b->is_trying = false;
        return false;
    }
    bool opens = b->is_trying || (!b->is_open && b->failures_max > 0 && ++b->failures >= b->failures_max);
    if (!opens) return false;
    b->is_open = true;
    b->is_trying = false;
    b->until_ms = now_ms + b->open_ms;
    return true;
}
